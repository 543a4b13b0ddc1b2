import assert from "node:assert/strict";
import { test } from "node:test";
import { Publish } from "../../src/codec/packet.ts";
import type { Access, UserLimits } from "../../src/core/access.ts";
import { Budgets, shortKey } from "../../src/core/budget.ts";
import { refuse } from "../../src/core/hooks.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import { networkOf } from "../../src/core/ports.ts";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

/** Rules that give each user limits; clients without a user name are "anonymous". */
function users(limits: Record<string, UserLimits>): Access {
  return {
    authenticate: (_client, { userName }) => ({
      name: userName ?? "anonymous",
      userName,
      limits: limits[userName ?? "anonymous"] ?? {},
    }),
  };
}

function burst(client: TestPeer, count: number, qos: 0 | 1 | 2, first = 1): void {
  const packets = Array.from({ length: count }, (_, index) =>
    client.publishPacket("t", String(first + index), { qos, ...(qos > 0 && { id: first + index }) }),
  );
  client.send(...packets);
}

const from = (host: string, port: number): PeerOptions => ({ from: { address: `${host}:${port}` } });

test("without a rate a connection has no meter, and nothing is counted", () => {
  const stage = new Stage();
  stage.connect("a");
  const [connection] = stage.broker.connections;
  assert.deepEqual([connection?.meter, connection?.budgets], [undefined, undefined]);
});

test("QoS 0 above the rate is dropped and counted, until there is room again", () => {
  for (const version of [3, 4, 5] as const) {
    const stage = new Stage({ limits: { clientMessagesPerSecond: 3 } });
    const reader = stage.connect("r").subscribed("t");
    const client = stage.connect("a", { version });
    burst(client, 5, 0);
    assert.deepEqual(reader.takePayloads(), ["1", "2", "3"]);
    assert.equal(stage.counters.droppedBy.rate, 2);
    stage.advance(400);
    burst(client, 2, 0, 6);
    assert.deepEqual(reader.takePayloads(), ["6"]);
    assert.equal(stage.counters.messagesDropped, 3);
    assert.equal(client.state, "open");
  }
});

test("QoS 1 and 2 of 5.0 clients above the rate are refused with Quota exceeded and the limit's name", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const reader = stage.connect("r").subscribed("t");
  const client = stage.connect("a");
  burst(client, 2, 1);
  burst(client, 1, 2, 3);
  const why = '{"reasonString":"more than 1 messages a second (limit clientMessagesPerSecond)"}';
  assert.deepEqual(client.take(), ["PUBACK #1", `PUBACK #2 97 ${why}`, `PUBREC #3 97 ${why}`]);
  assert.deepEqual(reader.takePayloads(), ["1"]);
  assert.equal(stage.counters.droppedBy.rate, 2);
  // The identifier is free at once, 5.0 [MQTT-4.3.3-4] wants no PUBREL after a refusal.
  stage.advance(1000);
  client.publish("t", "again", { qos: 2, id: 3 });
  assert.deepEqual(client.take(), ["PUBREC #3"]);
  assert.deepEqual(reader.takePayloads(), ["again"]);
});

test("a client that wants no problem information is told the code alone", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const client = stage.connect("a", { properties: { requestProblemInformation: false } });
  burst(client, 2, 1);
  assert.deepEqual(client.take(), ["PUBACK #1 10", "PUBACK #2 97"]);
});

test("a QoS 2 message that is sent again before its PUBREL is acknowledged as before, whatever the rate", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const client = stage.connect("a");
  client.publish("t", "x", { qos: 2, id: 1 });
  client.publish("t", "x", { qos: 2, id: 1, dup: true });
  assert.deepEqual(client.take(), ["PUBREC #1 10", "PUBREC #1"]);
  assert.equal(stage.counters.messagesDropped, 0);
});

for (const qos of [1, 2] as const) {
  test(`3.x: above the rate the client is not read from, and every QoS ${qos} message arrives in the end, in order`, () => {
    for (const version of [3, 4] as const) {
      const stage = new Stage({ limits: { clientMessagesPerSecond: 10 } });
      const reader = stage.connect("r").subscribed("t");
      const client = stage.connect("a", { version });
      burst(client, 35, qos);
      // What was in the same bytes waits behind the one that was one too many.
      assert.equal(client.link.reading, false);
      assert.equal(client.take().length, 11);
      burst(client, 5, qos, 36);
      const arrived = reader.takePayloads();
      assert.equal(arrived.length, 11);
      const startMs = stage.nowMs;
      while (arrived.length < 40 && stage.nowMs < startMs + 60_000) {
        stage.advance(50);
        arrived.push(...reader.takePayloads());
      }
      assert.deepEqual(
        arrived,
        Array.from({ length: 40 }, (_, index) => String(index + 1)),
      );
      // 40 messages at 10 a second, of which one second's worth came at once.
      assert.equal(stage.nowMs - startMs, 3000);
      const answers = client.take();
      assert.equal(answers.length, 29);
      assert.equal(answers.at(-1), `${qos === 1 ? "PUBACK" : "PUBREC"} #40`);
      stage.advance(1000);
      assert.equal(client.link.reading, true);
      assert.equal(stage.counters.messagesDropped, 0);
      assert.equal(client.state, "open");
    }
  });
}

test("3.x: what came before the pause is answered, what comes after a hang-up is not invented", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const reader = stage.connect("r").subscribed("t");
  const client = stage.connect("a", { version: 4 });
  burst(client, 4, 1);
  assert.deepEqual(client.take(), ["PUBACK #1", "PUBACK #2"]);
  client.hangUp();
  assert.equal(stage.broker.deadlines.size, 0);
  stage.advance(10_000);
  assert.deepEqual(reader.takePayloads(), ["1", "2"]);
});

test("3.x: a DISCONNECT behind the pause still takes the will back", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const reader = stage.connect("r").subscribed("w");
  const will = { topic: "w", payload: Buffer.from("gone"), qos: 0 as const, retain: false };
  const client = stage.connect("a", { version: 4, will });
  const packets = [1, 2, 3].map((id) => client.publishPacket("t", "x", { qos: 1, id }));
  client.send(...packets, { cmd: "disconnect" });
  stage.advance(5000);
  assert.equal(client.state, "ended");
  assert.deepEqual(reader.take(), []);
});

test("3.x: silence while the client is not read from is not its fault", () => {
  const stage = new Stage({ limits: { clientBytesPerSecond: 10 } });
  const client = stage.connect("a", { version: 4, keepalive: 1 });
  client.publish("t", "x".repeat(90), { qos: 1 });
  client.publish("t", "y", { qos: 1 });
  client.send({ cmd: "pingreq" });
  stage.advance(8000);
  assert.equal(client.state, "open");
  assert.deepEqual(client.take(), ["PUBACK #1", "PUBACK #2"]);
  stage.advance(3000);
  assert.deepEqual(client.take(), ["PINGRESP"]);
  stage.advance(1600);
  assert.equal(client.state, "ended");
});

test("3.x: its Keep Alive counts from when it is read from again", () => {
  const stage = new Stage({ limits: { clientBytesPerSecond: 10 } });
  const client = stage.connect("a", { version: 4, keepalive: 1 });
  client.publish("t", "x".repeat(90), { qos: 1 });
  client.publish("t", "y", { qos: 1 });
  while (!client.link.reading) stage.advance(1);
  stage.advance(1400);
  assert.equal(client.state, "open");
  stage.advance(100);
  assert.equal(client.state, "ended");
});

test("3.x: reading does not go on before the rate allows it because a slow reader has drained", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 20_000, linkPendingBytes: 4096 } });
  const client = stage.connect("a", { version: 4 });
  client.link.peerTakes = false;
  burst(client, 20_002, 1);
  assert.ok(client.link.pendingBytes >= 4096 + 65_536);
  client.link.takeAll();
  assert.equal(client.link.reading, false);
  assert.equal(client.take().length, 20_001);
  stage.advance(1);
  assert.equal(client.link.reading, true);
  assert.equal(client.take().length, 1);
});

test("bytes are those of the whole packet, and one that is larger than a second's worth passes too", () => {
  const stage = new Stage({ limits: { clientBytesPerSecond: 100 } });
  const client = stage.connect("a");
  client.publish("t", "x".repeat(500), { qos: 1 });
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(client.take(), [
    "PUBACK #1 10",
    'PUBACK #2 97 {"reasonString":"more than 100 bytes a second (limit clientBytesPerSecond)"}',
  ]);
  // 509 bytes, of which 100 were saved up: the rest takes 4,090 ms, and the next byte another 10.
  stage.advance(4099);
  client.publish("t", "x", { qos: 1 });
  stage.advance(1);
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(
    client.take().map((line) => line.slice(0, 12)),
    ["PUBACK #3 97", "PUBACK #4 10"],
  );
});

test("bytes: User Properties count, so nothing is carried past the limit in them", () => {
  const stage = new Stage({ limits: { clientBytesPerSecond: 1000 } });
  const client = stage.connect("a");
  const properties = { userProperties: { k: "v".repeat(2000) } };
  client.publish("t", "", { qos: 1, properties });
  client.publish("t", "", { qos: 1 });
  assert.match(client.take()[1]!, /^PUBACK #2 97 /);
});

test("a client that goes on above its rate for ten seconds' worth is disconnected: 5.0 with Message rate too high", () => {
  for (const [version, qos] of [
    [5, 0],
    [5, 1],
    [4, 0],
  ] as const) {
    const stage = new Stage({ limits: { clientMessagesPerSecond: 10 } });
    const client = stage.connect("a", { version });
    burst(client, 110, qos);
    assert.equal(client.state, "open", `${version} ${qos}`);
    client.take();
    burst(client, 1, qos, 111);
    const why = "sends on above its rate: more than 10 messages a second (limit clientMessagesPerSecond)";
    assert.deepEqual(client.take(), version === 5 ? [`DISCONNECT 96 {"reasonString":"${why}"}`] : []);
    assert.equal(client.state, "ended");
    assert.equal(stage.log.of("Client disconnected")[0]?.reason, `${why} (Message rate too high (0x96))`);
    assert.equal(stage.counters.droppedBy.rate, 100);
  }
});

test("its lowest rate decides when that is", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 10, listenerMessagesPerSecond: 1000 } });
  const client = stage.connect("a");
  burst(client, 111, 0);
  assert.equal(client.state, "ended");
});

test("twice the rate for five seconds and then less is forgiven", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 10 } });
  const client = stage.connect("a");
  for (let second = 0; second < 40; second++) {
    burst(client, second % 10 < 5 ? 20 : 0, 0);
    stage.advance(1000);
  }
  assert.equal(client.state, "open");
});

test("a single message of a hundred seconds' worth ends nothing", () => {
  const stage = new Stage({ limits: { clientBytesPerSecond: 100 } });
  const client = stage.connect("a");
  client.publish("t", "x".repeat(10_000), { qos: 1 });
  for (let count = 0; count < 9; count++) client.publish("t", "x", { qos: 1 });
  assert.equal(client.state, "open");
});

test("a client that comes again has the budget it left", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 2 } });
  const reader = stage.connect("r").subscribed("t");
  for (const first of [1, 3, 5]) burst(stage.connect("a"), 2, 0, first);
  assert.deepEqual(reader.takePayloads(), ["1", "2"]);
});

test("all connections of a user, of an address and over a listener share the budget", () => {
  const options: [keyof ReturnType<typeof defaultLimits>, PeerOptions, PeerOptions, PeerOptions][] = [
    ["userMessagesPerSecond", { username: "kim" }, { username: "kim" }, { username: "bob" }],
    ["addressMessagesPerSecond", from("198.51.100.1", 1), from("198.51.100.1", 2), from("198.51.100.2", 1)],
    ["listenerMessagesPerSecond", {}, {}, { from: { listener: "other" } }],
  ];
  for (const [limit, first, second, another] of options) {
    const stage = new Stage({ limits: { [limit]: 3 } });
    const reader = stage.connect("r", { from: { address: "198.51.100.9:1", listener: "reader" } }).subscribed("t");
    const [a, b, c] = [stage.connect("a", first), stage.connect("b", second), stage.connect("c", another)];
    burst(a, 2, 0, 1);
    burst(b, 2, 0, 11);
    burst(c, 4, 0, 21);
    assert.deepEqual(reader.takePayloads(), ["1", "2", "11", "21", "22", "23"], limit);
    assert.equal(stage.counters.droppedBy.rate, 2, limit);
  }
});

test("userBytesPerSecond, addressBytesPerSecond and listenerBytesPerSecond hold as well", () => {
  for (const limit of ["userBytesPerSecond", "addressBytesPerSecond", "listenerBytesPerSecond"] as const) {
    const stage = new Stage({ limits: { [limit]: 20 } });
    const client = stage.connect("a", { username: "kim" });
    client.publish("t", "x".repeat(20), { qos: 1 });
    client.publish("t", "x", { qos: 1 });
    const why = `{"reasonString":"more than 20 bytes a second (limit ${limit})"}`;
    assert.deepEqual(client.take(), ["PUBACK #1 10", `PUBACK #2 97 ${why}`]);
  }
});

test("one who is over a shared rate does not get the others disconnected", () => {
  const stage = new Stage({ limits: { addressMessagesPerSecond: 10 } });
  const [loud, quiet] = [stage.connect("loud"), stage.connect("quiet")];
  burst(loud, 200, 0);
  assert.equal(loud.state, "ended");
  quiet.publish("t", "x", { qos: 1 });
  assert.match(quiet.take()[0]!, /^PUBACK #1 97 /);
  assert.equal(quiet.state, "open");
});

test("wills, the program's own client and injected packets are not limited", () => {
  const stage = new Stage({ limits: { listenerMessagesPerSecond: 1, clientMessagesPerSecond: 1 } });
  const reader = stage.connect("r").subscribed(["t", "w"]);
  const will = { topic: "w", payload: Buffer.from("gone"), qos: 0 as const, retain: false };
  const client = stage.connect("a", { will });
  burst(client, 2, 0);
  for (const payload of ["i1", "i2", "i3"]) stage.broker.inlineClient.publish("t", payload);
  for (let count = 0; count < 200; count++) {
    stage.broker.inject(new Publish("t", 0, false, false, 0, {}, Buffer.from("j"), 0, 1), "a");
  }
  client.hangUp();
  const injected = new Array<string>(200).fill("j");
  assert.deepEqual(reader.takePayloads(), ["1", "i1", "i2", "i3", ...injected, "gone"]);
});

test("one line a minute says that messages are refused, and how many", () => {
  const stage = new Stage({ limits: { clientMessagesPerSecond: 1 } });
  const client = stage.connect("a");
  for (let second = 0; second < 90; second += 2) {
    burst(client, 2, 0);
    stage.advance(2000);
  }
  const lines = stage.log.of("Refusing messages above a rate");
  assert.deepEqual(
    lines.map(({ client: id, messages, reason }) => [id, messages, reason]),
    [
      ["a", 1, "more than 1 messages a second (limit clientMessagesPerSecond)"],
      ["a", 30, "more than 1 messages a second (limit clientMessagesPerSecond)"],
    ],
  );
});

for (const limit of ["addressConnectionsPerSecond", "listenerConnectionsPerSecond"] as const) {
  test(`${limit}: one more is told Connection rate exceeded, before anybody is authenticated`, () => {
    let asked = 0;
    const access = { authenticate: () => ++asked > 0 };
    const stage = new Stage({ limits: { [limit]: 2 }, access });
    stage.connect("a");
    stage.connect("b", { version: 4 });
    const why = `{"reasonString":"more than 2 connections a second (limit ${limit})"}`;
    const [told, old] = [stage.dial({ clientId: "c" }), stage.dial({ clientId: "d", version: 4 })];
    assert.deepEqual([told.take(), old.take()], [[`CONNACK 9f ${why}`], ["CONNACK 03"]]);
    assert.deepEqual([told.state, old.state, asked], ["ended", "ended", 2]);
    assert.equal(stage.counters.connectionsRefused, 2);
    stage.advance(500);
    stage.connect("e");
  });
}

test("addressConnectionsPerSecond: another address, and another /64, have their own", () => {
  const stage = new Stage({ limits: { addressConnectionsPerSecond: 1 } });
  stage.connect("a", from("198.51.100.1", 1));
  stage.connect("b", from("198.51.100.2", 1));
  stage.connect("c", from("[2001:db8:0:1::1]", 1));
  stage.connect("d", from("[2001:db8:0:2::1]", 1));
  assert.match(stage.dial({ clientId: "e", ...from("[2001:db8:0:1:ffff::2]", 9) }).take()[0]!, /^CONNACK 9f /);
  assert.match(stage.dial({ clientId: "f", ...from("198.51.100.1", 2) }).take()[0]!, /^CONNACK 9f /);
});

test("who comes far too often is cut off without a word, and the log says so once a minute", () => {
  const stage = new Stage({ limits: { addressConnectionsPerSecond: 1 } });
  const peers = Array.from({ length: 50 }, (_, index) => stage.dial({ clientId: `c${index}` }));
  const states = peers.map(({ state }) => state);
  assert.deepEqual(
    ["open", "ended", "destroyed"].map((state) => states.filter((one) => one === state).length),
    [1, 10, 39],
  );
  assert.equal(stage.counters.connectionsRefused, 49);
  assert.equal(stage.broker.connections.size, 1);
  const why = "refused: more than 1 connections a second (limit addressConnectionsPerSecond)";
  stage.advance(60_000);
  for (let count = 0; count < 2; count++) stage.dial({ clientId: "again" });
  assert.deepEqual(
    stage.log.of("Connection refused").map(({ reason, refused }) => [reason, refused]),
    [
      [`${why} (Connection rate exceeded (0x9f))`, 1],
      [`${why} (Connection rate exceeded (0x9f))`, 49],
    ],
  );
});

test("a refusal of the access rules is told to a few a second from one address too", () => {
  const access: Access = { authenticate: () => true, admits: () => refuse(0x8a, "banned for an hour") };
  const stage = new Stage({ access });
  const peers = Array.from({ length: 12 }, (_, index) => stage.dial({ clientId: "x", ...from("198.51.100.1", index) }));
  assert.deepEqual(peers[0]!.take(), ['CONNACK 8a {"reasonString":"banned for an hour"}']);
  assert.deepEqual(peers[9]!.state, "ended");
  assert.deepEqual(peers[10]!.state, "destroyed");
  assert.deepEqual(stage.dial({ clientId: "x", version: 4, ...from("198.51.100.2", 1) }).take(), ["CONNACK 05"]);
  assert.deepEqual(
    stage.log.of("Connection refused").map(({ address, refused }) => [address, refused]),
    [
      ["198.51.100.1:0", 1],
      ["198.51.100.2:1", 1],
    ],
  );
});

test("clientConnectionsPerSecond: whoever is refused takes nothing over", () => {
  const stage = new Stage({ limits: { clientConnectionsPerSecond: 2 } });
  stage.connect("a");
  const holder = stage.connect("a");
  const why = '{"reasonString":"more than 2 connections a second (limit clientConnectionsPerSecond)"}';
  assert.deepEqual(stage.dial({ clientId: "a" }).take(), [`CONNACK 9f ${why}`]);
  assert.deepEqual(stage.dial({ clientId: "a", version: 4 }).take(), ["CONNACK 03"]);
  assert.equal(holder.state, "open");
  stage.connect("b");
  stage.advance(500);
  stage.connect("a");
  assert.equal(holder.state, "ended");
});

test("userConnectionsPerSecond: of one user name; clients without one are not a user", () => {
  const stage = new Stage({ limits: { userConnectionsPerSecond: 1 } });
  stage.connect("a", { username: "kim" });
  assert.match(stage.dial({ clientId: "b", username: "kim" }).take()[0]!, /^CONNACK 9f .*userConnectionsPerSecond/);
  stage.connect("c", { username: "bob" });
  stage.connect("d");
  stage.connect("e");
});

test("maxConnections: one more is refused with Quota exceeded, but a session may always be taken over by its user", () => {
  const stage = new Stage({ access: users({ kim: { maxConnections: 2 } }) });
  const first = stage.connect("a", { username: "kim" });
  stage.connect("b", { username: "kim" });
  assert.deepEqual(stage.dial({ clientId: "c", username: "kim" }).take(), [
    'CONNACK 97 {"reasonString":"user kim has 2 of at most 2 connections"}',
  ]);
  assert.deepEqual(stage.dial({ clientId: "c", username: "kim", version: 4 }).take(), ["CONNACK 03"]);
  const second = stage.connect("a", { username: "kim" });
  assert.deepEqual([first.state, second.state], ["ended", "open"]);
  stage.connect("x", { username: "bob" });
  second.disconnect();
  stage.connect("c", { username: "kim" });
  assert.equal(stage.log.of("Connection refused").length, 1);
});

test("maxConnections: taking over another user's session is no way round", () => {
  const stage = new Stage({ access: users({ kim: { maxConnections: 1 } }), mqtt: { sessionKey: "client" } });
  const bob = stage.connect("shared", { username: "bob" });
  stage.connect("a", { username: "kim" });
  assert.match(stage.dial({ clientId: "shared", username: "kim" }).take()[0]!, /^CONNACK 97 /);
  assert.equal(bob.state, "open");
});

test("anonymous clients are bound by their entry alone, not by what holds for every user", () => {
  const access = users({ anonymous: { messagesPerSecond: 9 } });
  const stage = new Stage({ access, limits: { userMessagesPerSecond: 4 } });
  const client = stage.connect("a");
  burst(client, 12, 1);
  assert.equal(client.take().filter((line) => line.includes(" 97 ")).length, 3);
});

test("maxConnections: all anonymous clients together", () => {
  const stage = new Stage({ access: users({ anonymous: { maxConnections: 1 } }) });
  stage.connect("a");
  assert.match(stage.dial({ clientId: "b" }).take()[0]!, /^CONNACK 97 /);
});

test("the rates of a user hold beside those of all users, and the lower one counts", () => {
  const access = users({ kim: { messagesPerSecond: 2 }, bob: { messagesPerSecond: 9 }, eve: { bytesPerSecond: 10 } });
  const stage = new Stage({ access, limits: { userMessagesPerSecond: 4 } });
  const refusals = ["kim", "bob", "eve", "ann"].map((username) => {
    const client = stage.connect(username, { username });
    burst(client, 6, 1);
    const answers = client.take();
    return [answers.findIndex((line) => line.includes(" 97 ")), answers.at(-1)!.replace(/.*second /, "")];
  });
  assert.deepEqual(refusals, [
    [2, '(messagesPerSecond of user kim)"}'],
    [4, '(limit userMessagesPerSecond)"}'],
    [2, '(bytesPerSecond of user eve)"}'],
    [4, '(limit userMessagesPerSecond)"}'],
  ]);
});

test("an identity with other limits after a change of the rules is bound by them at once", () => {
  let limits: UserLimits = {};
  let changed = (): void => {};
  const stage = new Stage({
    access: {
      authenticate: () => ({ name: "kim", userName: "kim", limits }),
      review: () => ({ name: "kim", userName: "kim", limits }),
      onChange: (call) => {
        changed = call;
      },
    },
  });
  const client = stage.connect("a", { username: "kim", version: 4 });
  burst(client, 50, 1);
  assert.equal(client.take().length, 50);
  limits = { messagesPerSecond: 1, maxConnections: 1 };
  changed();
  burst(client, 3, 1);
  assert.equal(client.take().length, 2);
  assert.match(stage.dial({ clientId: "b", username: "kim" }).take()[0]!, /^CONNACK 97 /);
  limits = {};
  changed();
  // Nothing is held back any longer.
  assert.equal(client.take().length, 1);
  assert.equal(client.link.reading, true);
  stage.connect("b", { username: "kim" });
});

test("queueBytes of the user bounds its sessions' queues where it is lower than queuedBytes", () => {
  const access = users({ kim: { queueBytes: 6 }, bob: { queueBytes: 1000 } });
  const stage = new Stage({ access, limits: { queuedBytes: 12 } });
  for (const username of ["kim", "bob"]) stage.resume(username, { username }).subscribed("t", 1).hangUp();
  for (const payload of ["11", "22", "33", "44", "55"]) stage.broker.inlineClient.publish("t", payload, { qos: 1 });
  const [kim, bob] = ["kim", "bob"].map((username) => stage.resume(username, { username }).takePayloads());
  assert.deepEqual(kim, ["44", "55"]);
  assert.deepEqual(bob, ["22", "33", "44", "55"]);
});

test("tables hold no more than so many who are neither idle nor connected", () => {
  const budgets = new Budgets("address", { ...defaultLimits(), addressMessagesPerSecond: 1 });
  const held = budgets.of("held", 0);
  held.connections = 1;
  held.messages.take(5, 0);
  for (let index = 0; index < 140_000; index++) budgets.of(`address ${index}`, 0).messages.take(100, 0);
  assert.ok(budgets.size <= 2 * 65_537, `${budgets.size}`);
  assert.equal(budgets.of("held", 0), held);
});

test("tables forget who is idle, and nobody who is connected", () => {
  const budgets = new Budgets("address", { ...defaultLimits(), addressMessagesPerSecond: 1 });
  const held = budgets.of("held", 0);
  held.connections = 1;
  for (let index = 0; index < 5000; index++)
    budgets.of(`address ${index}`, 1000 * index).messages.take(1, 1000 * index);
  assert.ok(budgets.size <= 1025, `${budgets.size}`);
  assert.equal(budgets.of("held", 0), held);
});

test("tables keep names of any length short", () => {
  assert.equal(shortKey("x".repeat(65_535)).length, 261);
  assert.notEqual(shortKey(`${"x".repeat(300)}1`), shortKey(`${"x".repeat(300)}2`));
  assert.notEqual(shortKey("x".repeat(300)), shortKey("x".repeat(301)));
  assert.equal(shortKey("x".repeat(256)), "x".repeat(256));
});

test("an address is counted without its port, IPv6 by /64, but for link-local hosts, which share one", () => {
  const cases = {
    "192.168.1.7:50312": "192.168.1.7",
    "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
    "[2001:db8::1]:1": "2001:db8::/64",
    "[2001:db8:0:1::1]:1": "2001:db8:0:1::/64",
    "[fd00:1:2:3::]:1": "fd00:1:2:3::/64",
    "[fe80::1%eth0]:1": "fe80::1",
    "[::1]:1": "::1",
    "2001:db8::7": "2001:db8::/64",
    "/run/mqtt.sock": "/run/mqtt.sock",
    "/run/a:b": "/run/a:b",
    "": "",
  };
  for (const [address, network] of Object.entries(cases)) assert.equal(networkOf(address), network, address);
});
