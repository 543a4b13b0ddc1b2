import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connect } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import type { Client } from "../../../src/core/client.ts";
import { type Admission, type Hook, refuse } from "../../../src/core/hooks.ts";
import { Stage } from "../stage.ts";

const CONNACK = 'CONNACK 00 {"receiveMaximum":1024,"topicAliasMaximum":64,"maximumPacketSize":2097152}';

function asking(answer: Admission | Promise<Admission>, name = "asked"): Hook {
  return { name, onConnectAuthenticate: () => answer };
}

/** A promise that the test answers. */
function later<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  return Promise.withResolvers<T>();
}

test("onConnect is given the client and its CONNECT before anybody is authenticated", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onConnect(client: Client, packet: Connect) {
          heard.push("connect", client.clientId, client.peer.address, packet.keepAliveSeconds, packet.userName);
        },
        onConnectAuthenticate() {
          heard.push("authenticate");
          return undefined;
        },
      },
    ],
  });
  const client = stage.dial({ clientId: "a", keepalive: 30, username: "u" });
  assert.deepEqual(client.take(), [CONNACK]);
  assert.deepEqual(heard, ["connect", "a", "192.0.2.1:1", 30, "u", "authenticate"]);
});

test("onConnect refuses with the hook's code and reason, and the connection ends", () => {
  const stage = new Stage({ hooks: [{ name: "h", onConnect: () => refuse(ReasonCode.Banned, "not you") }] });
  const client = stage.dial();
  assert.deepEqual(client.take(), ['CONNACK 8a {"reasonString":"not you"}']);
  assert.equal(client.state, "ended");
  assert.equal(stage.broker.sessions.size, 0);
  assert.equal(stage.counters.connectionsRefused, 1);
});

test("onConnect refuses a 3.1.1 client with the Connect Return code that says the same", () => {
  const stage = new Stage({ hooks: [{ name: "h", onConnect: () => refuse(ReasonCode.Banned) }] });
  assert.deepEqual(stage.dial({ version: 4 }).take(), ["CONNACK 05"]);
});

test("onConnect: a code that CONNACK does not have becomes Unspecified error", () => {
  const stage = new Stage({ hooks: [{ name: "h", onConnect: () => refuse(ReasonCode.KeepAliveTimeout, "x") }] });
  assert.deepEqual(stage.dial().take(), ['CONNACK 80 {"reasonString":"x"}']);
});

test("onConnect that throws refuses with Implementation specific error", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onConnect() {
          throw new Error("x");
        },
      },
    ],
  });
  assert.deepEqual(stage.dial().take(), ['CONNACK 83 {"reasonString":"a hook failed"}']);
});

const admissions: [string, Admission, string[]][] = [
  ["true lets in", true, [CONNACK]],
  ["a name lets in", "somebody", [CONNACK]],
  ["false refuses with Not authorized", false, ['CONNACK 87 {"reasonString":"not authorized"}']],
  [
    "a refusal refuses with its code",
    refuse(ReasonCode.BadUserNameOrPassword, "wrong password"),
    ['CONNACK 86 {"reasonString":"wrong password"}'],
  ],
];
for (const [name, answer, lines] of admissions) {
  test(`onConnectAuthenticate: ${name}`, () => {
    const stage = new Stage({ hooks: [asking(answer)], access: { authenticate: () => !answer } });
    assert.deepEqual(stage.dial().take(), lines);
  });
  test(`onConnectAuthenticate: ${name}, also when the answer comes later`, async () => {
    const stage = new Stage({ hooks: [asking(Promise.resolve(answer))], access: { authenticate: () => !answer } });
    const client = stage.dial();
    assert.deepEqual(client.take(), []);
    await stage.settle();
    assert.deepEqual(client.take(), lines);
  });
}

test("onConnectAuthenticate: the name that a hook gives is the client's user from then on", () => {
  const seen: (string | undefined)[] = [];
  const stage = new Stage({
    hooks: [asking("renamed"), { name: "h", onPublished: (client) => void seen.push(client.userName) }],
  });
  stage.connect("a", { username: "given" }).publish("t", "x");
  assert.deepEqual(seen, ["renamed"]);
  assert.deepEqual([...stage.broker.sessions.keys()], ["a\u0000renamed"]);
});

test("onConnectAuthenticate: the first hook with an opinion decides", () => {
  const asked: string[] = [];
  const hook = (name: string, answer: Admission): Hook => ({
    name,
    onConnectAuthenticate() {
      asked.push(name);
      return answer;
    },
  });
  const stage = new Stage({ hooks: [hook("1", undefined), hook("2", false), hook("3", true)] });
  assert.deepEqual(stage.dial().take(), ['CONNACK 87 {"reasonString":"not authorized"}']);
  assert.deepEqual(asked, ["1", "2"]);
});

test("onConnectAuthenticate: without an opinion the access rules decide, now or later", async () => {
  const access = { authenticate: () => refuse(ReasonCode.ServerBusy, "rules") };
  const stage = new Stage({ hooks: [asking(undefined)], access });
  assert.deepEqual(stage.dial().take(), ['CONNACK 89 {"reasonString":"rules"}']);
  const patient = new Stage({ hooks: [asking(Promise.resolve(undefined)), asking(undefined)], access });
  const client = patient.dial();
  await patient.settle();
  assert.deepEqual(client.take(), ['CONNACK 89 {"reasonString":"rules"}']);
});

test("onConnectAuthenticate: a later hook is asked when the answer of an earlier one was no opinion", async () => {
  const stage = new Stage({ hooks: [asking(Promise.resolve(undefined)), asking("second")] });
  stage.dial({ clientId: "a" });
  await stage.settle();
  assert.deepEqual([...stage.broker.sessions.keys()], ["a\u0000second"]);
});

test("onConnectAuthenticate that throws refuses with Implementation specific error", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onConnectAuthenticate() {
          throw new Error("x");
        },
      },
    ],
  });
  assert.deepEqual(stage.dial().take(), ['CONNACK 83 {"reasonString":"a hook failed"}']);
});

test("onConnectAuthenticate: a rejected promise refuses with Implementation specific error, and the hook is named", async () => {
  const stage = new Stage({ hooks: [asking(Promise.reject(new Error("the database is away")), "ldap")] });
  const client = stage.dial();
  await stage.settle();
  assert.deepEqual(client.take(), ['CONNACK 83 {"reasonString":"a hook failed"}']);
  assert.deepEqual(
    stage.log.of("A hook threw").map(({ hook, moment }) => [hook, moment]),
    [["ldap", "onConnectAuthenticate"]],
  );
});

test("access rules whose promise is rejected refuse with Server unavailable", async () => {
  const stage = new Stage({ access: { authenticate: () => Promise.reject(new Error("x")) } });
  const client = stage.dial();
  await stage.settle();
  assert.deepEqual(client.take(), ['CONNACK 88 {"reasonString":"authentication failed to answer"}']);
});

test("packets sent right after CONNECT are handled after a late answer, in order", async () => {
  const answer = later<Admission>();
  const stage = new Stage({ hooks: [asking(answer.promise)] });
  const client = stage.open({ clientId: "a" });
  client.send(
    client.connectPacket(),
    { cmd: "subscribe", messageId: 9, subscriptions: [{ topic: "t", qos: 1 }] },
    client.publishPacket("t", "one", { qos: 1 }),
  );
  client.send(client.publishPacket("t", "two", { qos: 1 }), { cmd: "pingreq" });
  assert.deepEqual(client.take(), []);
  assert.equal(client.link.reading, false);
  answer.resolve(true);
  await stage.settle();
  assert.deepEqual(client.take(), [
    CONNACK,
    "SUBACK #9 01",
    'PUBLISH t "one" qos1 #1',
    "PUBACK #1",
    'PUBLISH t "two" qos1 #2',
    "PUBACK #2",
    "PINGRESP",
  ]);
  assert.equal(client.link.reading, true);
});

test("packets sent right after CONNECT are not handled when the late answer refuses", async () => {
  const answer = later<Admission>();
  const published: string[] = [];
  const stage = new Stage({
    hooks: [asking(answer.promise), { name: "h", onPublish: (_, packet) => void published.push(packet.topicName) }],
  });
  const client = stage.open();
  client.send(client.connectPacket(), client.publishPacket("t", "x"));
  answer.resolve(false);
  await stage.settle();
  assert.deepEqual(client.take(), ['CONNACK 87 {"reasonString":"not authorized"}']);
  assert.deepEqual(published, []);
  assert.equal(client.state, "ended");
});

test("a client that leaves before the late answer does no harm", async () => {
  const answer = later<Admission>();
  const stage = new Stage({ hooks: [asking(answer.promise)] });
  const client = stage.dial({ will: { topic: "w", payload: Buffer.from("x") } });
  const witness = later<string>();
  stage.broker.inlineClient.subscribe("w", () => witness.resolve("a will"));
  client.hangUp();
  answer.resolve(true);
  await stage.settle();
  witness.resolve("nothing");
  assert.equal(await witness.promise, "nothing");
  assert.equal(stage.broker.sessions.size, 0);
  assert.equal(stage.broker.connections.size, 0);
  assert.equal(stage.counters.clientsConnected, 0);
  assert.deepEqual(stage.log.at("error"), []);
});

test("an answer after connectTimeout comes too late", async () => {
  const answer = later<Admission>();
  const stage = new Stage({ hooks: [asking(answer.promise)] });
  const client = stage.dial();
  stage.advance(9_999);
  assert.equal(client.state, "open");
  stage.advance(1);
  assert.equal(client.state, "destroyed");
  answer.resolve(true);
  await stage.settle();
  assert.deepEqual(client.take(), []);
  assert.equal(stage.broker.sessions.size, 0);
});

test("two clients of one identifier that wait: the one whose answer comes last has the session", async () => {
  const answers = [later<Admission>(), later<Admission>()];
  let asked = 0;
  const stage = new Stage({ hooks: [{ name: "h", onConnectAuthenticate: () => answers[asked++]!.promise }] });
  const first = stage.dial({ clientId: "a" });
  const second = stage.dial({ clientId: "a" });
  answers[1]!.resolve(true);
  await stage.settle();
  assert.deepEqual(second.take(), [CONNACK]);
  answers[0]!.resolve(true);
  await stage.settle();
  assert.deepEqual(first.take(), [CONNACK]);
  assert.deepEqual(second.take(), ['DISCONNECT 8e {"reasonString":"session taken over by 192.0.2.1:1"}']);
  assert.equal(stage.counters.clientsConnected, 1);
});

test("the time that the broker waits for an answer does not count against the Keep Alive", async () => {
  const answer = later<Admission>();
  const stage = new Stage({ hooks: [asking(answer.promise)] });
  const client = stage.dial({ keepalive: 2 });
  stage.advance(8_000);
  answer.resolve(true);
  await stage.settle();
  stage.advance(2_999);
  assert.equal(client.state, "open");
  stage.advance(1);
  assert.equal(client.state, "ended");
});

test("onSessionEstablish comes before CONNACK, onSessionEstablished after it", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onSessionEstablish: (client, packet) => void heard.push(`establish ${client.clientId} ${packet.clientId}`),
        onPacketSent: (_, packet) => void heard.push(`sent ${packet.type}`),
        onSessionEstablished: (client, packet) => void heard.push(`established ${client.clientId} ${packet.clientId}`),
      },
    ],
  });
  stage.connect("a");
  assert.deepEqual(heard, ["establish a a", "sent 2", "established a a"]);
});

test("onSessionEstablished comes after what waited for the session was sent", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onQosPublish: (_, packet) => void heard.push(packet.topicName),
        onSessionEstablished: (client) => void heard.push(`established ${client.clientId}`),
      },
    ],
  });
  stage.resume("a").subscribed("t", 1).hangUp();
  stage.broker.inlineClient.publish("t", "x", { qos: 1 });
  stage.resume("a");
  assert.deepEqual(heard, ["established a", "t", "established a"]);
});

test("onDisconnect tells which session ends with the connection", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onDisconnect: (client, error, expire) => void heard.push([client.clientId, error?.message, expire]),
      },
    ],
  });
  stage.connect("ends").hangUp();
  stage.resume("stays").hangUp(new Error("ECONNRESET"));
  stage.connect("says bye").disconnect();
  stage.resume("ends after all").disconnect(0, { sessionExpiryInterval: 0 });
  assert.deepEqual(heard, [
    ["ends", undefined, true],
    ["stays", "ECONNRESET", false],
    ["says bye", undefined, true],
    ["ends after all", undefined, true],
  ]);
});

test("onDisconnect is given the Protocol Error that ended the connection", () => {
  const heard: unknown[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onDisconnect: (_, error) => void heard.push(error?.message) }] });
  stage.connect("a").connect();
  assert.deepEqual(heard, ["CONNECT is not allowed here"]);
});

test("onDisconnect comes once for a session that is taken over, and not for a connection that was refused", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onConnect: (client) => (client.clientId === "bad" ? refuse(ReasonCode.Banned) : undefined),
        onDisconnect: (client) => void heard.push(`${client.clientId} ${client.peer.address}`),
      },
    ],
  });
  stage.connect("a");
  stage.connect("a");
  stage.dial({ clientId: "bad" });
  assert.deepEqual(heard, ["a 192.0.2.1:1"]);
});
