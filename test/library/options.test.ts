import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AuthRulesError,
  allowLocal,
  authFile,
  authRules,
  type CreateBrokerOptions,
  createBroker,
  denyAll,
  type Hook,
  type Log,
  ledger,
  type MqttOptions,
} from "../../src/library.ts";
import { startLibrary } from "./kit.ts";

interface Line {
  level: string;
  message: string;
}

function logTo(lines: Line[]): Log {
  const write = (level: string) => (message: string) => void lines.push({ level, message });
  return {
    enabled: (level) => level !== "debug" && level !== "trace",
    error: write("error"),
    warn: write("warn"),
    info: write("info"),
    debug: write("debug"),
    trace: write("trace"),
  };
}

suite("createBroker", () => {
  test("mqtt: options go to CONNACK, those left out are as by default", async (context) => {
    const { connect } = await startLibrary(context, { mqtt: { receiveMaximum: 7, retain: false } });
    const { connack } = await connect({ clientId: "c" });
    assert.deepEqual(connack.properties, {
      receiveMaximum: 7,
      retainAvailable: false,
      maximumPacketSize: 2 * 1024 * 1024,
      topicAliasMaximum: 64,
    });
  });

  test("mqtt: an option that is undefined is as by default", async (context) => {
    const { connect } = await startLibrary(context, { mqtt: { retain: undefined } as unknown as MqttOptions });
    const { connack } = await connect();
    assert.equal(connack.properties.retainAvailable, undefined);
  });

  test("mqtt.compat: one option leaves the others", async (context) => {
    const hook: Hook = { name: "h", onACLCheck: () => false };
    const { connect } = await startLibrary(context, {
      mqtt: { compat: { obscureNotAuthorized: true } },
      hooks: [hook],
    });
    const client = await connect();
    assert.deepEqual(await client.subscribe("a"), [0x80]);
    assert.equal(client.connack.properties.responseInformation, undefined);
  });

  test("mqtt.queue: QoS 0 is kept for absent sessions when asked for", async (context) => {
    const { broker, connect } = await startLibrary(context, { mqtt: { queue: { qos0: true } } });
    const client = await connect({ clientId: "q", properties: { sessionExpiryInterval: 60 } });
    await client.subscribe("a");
    await client.disconnect();
    broker.publish("a", "kept");
    const again = await connect({ clientId: "q", clean: false, properties: { sessionExpiryInterval: 60 } });
    await again.expect("publish", { topic: "a", payload: "kept", qos: 0 });
  });

  test("mqtt.sys: switched off there is no $SYS", async (context) => {
    const { broker } = await startLibrary(context, { mqtt: { sys: { enabled: false } } });
    const topics: string[] = [];
    broker.inlineClient.subscribe("$SYS/#", ({ topicName }) => topics.push(topicName));
    assert.deepEqual(topics, []);
  });

  const wrong: [options: CreateBrokerOptions, message: string][] = [
    [{ mqtt: { receiveMaximum: 0 } }, "Option receiveMaximum is 0, must be 1 to 65535"],
    [{ mqtt: { receiveMaximum: 1.5 } }, "Option receiveMaximum is 1.5, must be 1 to 65535"],
    [{ mqtt: { maximumQos: 3 as 2 } }, "Option maximumQos is 3, must be 0 to 2"],
    [{ mqtt: { serverKeepAlive: 65_536 } }, "Option serverKeepAlive is 65536, must be 0 to 65535"],
    [{ mqtt: { topicAliasMaximum: -1 } }, "Option topicAliasMaximum is -1, must be 0 to 65535"],
    [{ mqtt: { retained: true } as MqttOptions }, "There is no option called retained"],
    [{ mqtt: { queue: { keepLast: ["a/#", "a#"] } } }, 'Option queue.keepLast has "a#", which is no topic filter'],
    [
      { mqtt: { queue: { keepLast: ["$share/g/a"] } } },
      'Option queue.keepLast has "$share/g/a", which is no topic filter',
    ],
    [{ limits: { clients: 0 } }, "Limit clients is 0, must be 1 to 10000000"],
    [{ limits: { clients: Number.NaN } }, "Limit clients is NaN, must be 1 to 10000000"],
    [{ limits: { client: 1 } as never }, "There is no limit called client"],
    [{ limits: { constructor: 1 } as never }, "There is no limit called constructor"],
  ];
  for (const [options, message] of wrong) {
    test(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(() => createBroker(options), { name: "RangeError", message });
    });
  }

  test("limits: what is left out is as by default", async (context) => {
    const { connect, dial } = await startLibrary(context, { limits: { clients: 1 } });
    await connect();
    const second = await dial();
    await second.expectConnackRefusal(0x89);
  });

  test("auth: by default clients on this machine get in", async (context) => {
    const { connect } = await startLibrary(context, { auth: allowLocal() });
    await connect();
  });

  test("auth: denyAll refuses everybody", async (context) => {
    const { dial } = await startLibrary(context, { auth: denyAll() });
    await (await dial()).expectConnackRefusal(0x87);
    await (await dial({ version: 4 })).expectConnackRefusal(5);
  });

  test("auth: an access of one's own may answer later", async (context) => {
    const auth = { authenticate: async () => "renamed" };
    const { broker, connect } = await startLibrary(context, { auth });
    await connect({ clientId: "c" });
    assert.equal(broker.sessions[0]?.userName, "renamed");
  });

  test("auth: a ledger decides who gets in and what they may do, and its warnings are logged", async (context) => {
    const lines: Line[] = [];
    const auth = ledger({ users: { u: { password: "p", acl: { "in/#": 2, "out/#": 1, "#": 0 } } } });
    const { broker, connect, dial } = await startLibrary(context, { auth, log: logTo(lines) });
    assert.deepEqual(lines[0], {
      level: "warn",
      message: 'What no rule of acl matches is allowed. To deny it, end acl with { filters: { "#": 0 } }',
    });
    await (await dial({ username: "u", password: "x" })).expectConnackRefusal(0x86);
    await (await dial()).expectConnackRefusal(0x87);
    await (await dial({ version: 4, username: "u", password: "x" })).expectConnackRefusal(4);
    const client = await connect({ username: "u", password: "p" });
    assert.deepEqual(await client.subscribe([{ topic: "out/a" }, { topic: "in/a" }, { topic: "#" }]), [0, 0x87, 0x87]);
    assert.equal(await client.publish("in/a", "x", { qos: 1 }), 0x10);
    assert.equal(await client.publish("out/a", "x", { qos: 1 }), 0x87);
    assert.equal(broker.publish("out/a", "from the program"), 1);
    await client.expect("publish", { topic: "out/a", payload: "from the program" });
  });

  test("auth: authFile is read when the broker starts, and followed", async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-library-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "auth.json5");
    const rules = (name: string): string =>
      `{ authentication: [{ name: "${name}", method: "plain_password", password: "p" }], authorization: [] }`;
    writeFileSync(path, rules("kim"));
    const auth = authFile(path);
    assert.equal(auth.problems.length, 0);
    const lines: Line[] = [];
    const { broker, connect, dial } = await startLibrary(context, { auth, log: logTo(lines) });
    assert.ok(auth.problems.some(({ message }) => message.includes(`password of "kim"`)));
    await connect({ username: "kim", password: "p" });
    writeFileSync(path, rules("lee"));
    await auth.reload();
    await (await dial({ username: "kim", password: "p" })).expectConnackRefusal(0x87);
    await connect({ username: "lee", password: "p" });
    writeFileSync(path, rules("max"));
    // Followed without being asked for.
    for (let waited = 0; !lines.some(({ message }) => message.includes("(max)")); waited++) {
      assert.ok(waited < 100, JSON.stringify(lines));
      await sleep(50);
    }
    await broker.stop();
    await assert.rejects(createBroker({ auth }).start(), /for one broker/);
  });

  test("auth: authRules are those of a file, and all mistakes in them are told", async (context) => {
    const auth = authRules({
      authentication: [{ name: "kim", method: "plain_password", password: "p" }],
      authorization: [
        { topic: "#", allow: { sub: ["@any"], pub: ["kim"] } },
        { topic: "out/#", deny: { pub: ["kim"] } },
      ],
    });
    assert.equal(auth.warnings.length, 1);
    const { connect, dial } = await startLibrary(context, { auth });
    await (await dial()).expectConnackRefusal(0x87);
    const kim = await connect({ username: "kim", password: "p" });
    assert.deepEqual(
      [await kim.publish("a", "x", { qos: 1 }), await kim.publish("out/a", "x", { qos: 1 })],
      [0x10, 0x87],
    );
    const wrong = { authentication: [{ name: "kim" }], authorization: [{ topic: "#", allow: { pub: ["kima"] } }] };
    assert.throws(
      () => authRules(wrong as never),
      (error) => error instanceof AuthRulesError && error.problems.length === 2 && /kima/.test(error.message),
    );
  });

  test("hooks: asked in their order", async (context) => {
    const asked: string[] = [];
    const hook = (name: string): Hook => ({ name, onPublish: () => void asked.push(name) });
    const { connect } = await startLibrary(context, { hooks: [hook("one"), hook("two")] });
    await (await connect()).publish("a", "b");
    assert.deepEqual(asked, ["one", "two"]);
  });

  test("log: gets what the broker has to say", async (context) => {
    const lines: Line[] = [];
    const { connect, port } = await startLibrary(context, { log: logTo(lines) });
    await connect();
    assert.deepEqual(lines, [
      { level: "info", message: `Listening on tcp://127.0.0.1:${port}` },
      { level: "info", message: "Client connected" },
    ]);
  });

  test("clock: time passes by tick alone", async (context) => {
    let nowMs = 5;
    const clock = { nowMs: () => nowMs, wallMs: () => 1_000_000 + nowMs, trusted: () => true };
    const { broker, connect } = await startLibrary(context, { clock });
    const client = await connect({ keepalive: 10 });
    nowMs += 14_999;
    broker.tick();
    await client.settle();
    nowMs += 15_000;
    broker.tick();
    await client.expectDisconnect(0x8d);
  });
});

suite("sessions and info", () => {
  test("show who is there and what waits for them", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const options = { clientId: "s", username: "u", properties: { sessionExpiryInterval: 60 } };
    const client = await connect(options);
    await client.subscribe([{ topic: "a/#" }, { topic: "$share/g/b" }], { qos: 1 });
    const address = `127.0.0.1:${client.socket.localPort}`;
    const expected = { clientId: "s", userName: "u", queuedMessages: 0, inflightMessages: 0 };
    const subscriptions = ["a/#", "$share/g/b"];
    assert.deepEqual(broker.sessions, [{ ...expected, connected: true, address, subscriptions }]);
    assert.equal(broker.info.clientsConnected, 1);
    assert.equal(broker.info.subscriptions, 2);
    await client.disconnect();
    assert.deepEqual(broker.sessions, [{ ...expected, connected: false, address: "", subscriptions }]);
  });

  test("count what waits and what is under way", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const properties = { sessionExpiryInterval: 60, receiveMaximum: 1 };
    const client = await connect({ properties });
    await client.subscribe([{ topic: "a", qos: 1 }]);
    for (const payload of ["1", "2", "3"]) assert.equal(broker.publish("a", payload, { qos: 1 }), 1);
    const [session] = broker.sessions;
    assert.equal(session?.inflightMessages, 1);
    assert.equal(session?.queuedMessages, 2);
  });
});
