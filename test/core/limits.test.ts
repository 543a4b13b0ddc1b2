import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultLimits, LIMITS, type LimitName } from "../../src/core/limits.ts";
import { createBroker } from "../../src/library.ts";
import { Stage } from "./stage.ts";

/** Those with a test below or in the file that is named. */
const TESTED: Record<LimitName, string> = {
  clients: "here",
  connecting: "here",
  connectBytes: "here",
  connectTimeoutMs: "here",
  inflight: "here",
  queuedMessages: "queueing.test.ts",
  queuedBytes: "queueing.test.ts",
  queuedAgeMs: "queueing.test.ts",
  linkPendingBytes: "slow-reader.test.ts",
  linkPendingPackets: "slow-reader.test.ts",
  linkStallMs: "slow-reader.test.ts",
  journalBytes: "durable.test.ts",
  subscriptionsPerSession: "here",
  subscriptions: "here",
  topicLevels: "here",
  clientIdBytes: "here",
  retained: "here",
  retainedBytes: "here",
  retainedMessageBytes: "here",
  sessions: "here",
  clientConnectionsPerSecond: "rates.test.ts",
  clientMessagesPerSecond: "rates.test.ts",
  clientBytesPerSecond: "rates.test.ts",
  userConnectionsPerSecond: "rates.test.ts",
  userMessagesPerSecond: "rates.test.ts",
  userBytesPerSecond: "rates.test.ts",
  addressConnections: "entrance-limits.test.ts",
  addressConnectionsPerSecond: "rates.test.ts",
  addressMessagesPerSecond: "rates.test.ts",
  addressBytesPerSecond: "rates.test.ts",
  listenerConnectionsPerSecond: "rates.test.ts",
  listenerMessagesPerSecond: "rates.test.ts",
  listenerBytesPerSecond: "rates.test.ts",
  takeoverHoldMs: "takeovers.test.ts",
  loginFailures: "auth/guard.test.ts",
  loginDelayMs: "auth/guard.test.ts",
  loginBanMs: "auth/guard.test.ts",
  loginBanMaxMs: "auth/guard.test.ts",
};

test("every limit has a test, a reason, and a default within its range", () => {
  assert.deepEqual(Object.keys(TESTED), Object.keys(LIMITS));
  for (const { min, max, default: value, reason } of Object.values(LIMITS)) {
    assert.ok(min <= value && value <= max && reason.length > 10);
  }
  assert.equal(defaultLimits().inflight, 100);
});

test("a limit that does not exist or is out of its range is refused when the broker is made", () => {
  assert.throws(
    () => createBroker({ limits: { inflight: 0 } }),
    /^RangeError: Limit inflight is 0, must be 1 to 65535$/,
  );
  assert.throws(() => createBroker({ limits: { inflight: Number.NaN } }), RangeError);
  const misspelt = { inflights: 5 } as unknown as { inflight: number };
  assert.throws(() => createBroker({ limits: misspelt }), /^RangeError: There is no limit called inflights$/);
});

test("clients: one more is refused with Server busy, logged and counted, until one leaves", () => {
  const stage = new Stage({ limits: { clients: 2 } });
  const first = stage.connect("a");
  stage.connect("b");
  const refused = stage.dial({ clientId: "c" });
  assert.deepEqual(refused.take(), ['CONNACK 89 {"reasonString":"there are already 2 clients"}']);
  assert.equal(refused.state, "ended");
  assert.deepEqual(stage.dial({ clientId: "d", version: 4 }).take(), ["CONNACK 03"]);
  assert.equal(stage.counters.connectionsRefused, 2);
  assert.equal(
    stage.log.of("Connection refused")[0]?.reason,
    "refused: there are already 2 clients (Server busy (0x89))",
  );
  first.disconnect();
  stage.connect("c");
});

test("clients: whoever has a place can take it over again", () => {
  const stage = new Stage({ limits: { clients: 1 } });
  stage.resume("a");
  assert.equal(stage.resume("a").state, "open");
  assert.equal(stage.counters.clientsConnected, 1);
});

test("clients: whoever is refused loses no session by it", () => {
  const stage = new Stage({ limits: { clients: 1 } });
  stage.resume("a").hangUp();
  stage.connect("b");
  stage.dial({ clientId: "a", clean: true });
  assert.deepEqual([...stage.broker.sessions.keys()], ["a", "b"]);
});

test("clients: connections that never send their CONNECT are bounded too", () => {
  const stage = new Stage({ limits: { clients: 1 } });
  const peers = Array.from({ length: 1026 }, () => stage.open());
  assert.deepEqual(
    peers.flatMap((peer, index) => (peer.state === "open" ? [] : [`${index} ${peer.state}`])),
    ["1025 destroyed"],
  );
  assert.equal(stage.counters.connectionsRefused, 1);
});

test("connectBytes: a larger CONNECT is not read, and its connection ends", () => {
  const stage = new Stage({ limits: { connectBytes: 64 } });
  assert.equal(stage.dial({ clientId: "fits" }).take().length, 1);
  const client = stage.dial({ clientId: "x".repeat(64) });
  assert.deepEqual(client.take(), []);
  assert.equal(client.state, "ended");
  assert.equal(stage.counters.connectionsRefused, 1);
  assert.match(String(stage.log.of("Connection refused")[0]?.reason), /^Packet of \d+ bytes is over the limit of 64/);
});

test("connectBytes: later packets may be larger", () => {
  const client = new Stage({ limits: { connectBytes: 64 } }).connect("a").subscribed("t");
  client.publish("t", "x".repeat(100));
  assert.equal(client.takePayloads()[0]?.length, 100);
});

test("connecting: so many silent connections beyond `clients`, one more is cut off, counted and logged", () => {
  const stage = new Stage({ limits: { clients: 1, connecting: 2 } });
  const client = stage.connect("a").subscribed("t");
  const silent = [stage.open(), stage.open(), stage.open()];
  assert.deepEqual(
    silent.map(({ state }) => state),
    ["open", "open", "destroyed"],
  );
  assert.equal(stage.counters.connectionsRefused, 1);
  assert.equal(stage.log.of("Connection refused")[0]?.reason, "too many connections");
  assert.equal(client.state, "open");
});

test("connectTimeoutMs: silence before CONNECT ends the connection, half a CONNECT does not help", () => {
  const stage = new Stage({ limits: { connectTimeoutMs: 1000 } });
  const [silent, slow] = [stage.open(), stage.open()];
  stage.advance(999);
  slow.sendBytes(slow.encode(slow.connectPacket()).subarray(0, 10));
  assert.deepEqual([silent.state, slow.state], ["open", "open"]);
  stage.advance(1);
  assert.deepEqual([silent.state, slow.state], ["destroyed", "destroyed"]);
  assert.equal(stage.counters.connectionsRefused, 2);
  assert.equal(stage.log.of("Connection refused")[0]?.reason, "no complete CONNECT in time");
});

test("connectTimeoutMs: a client that connected in time may be silent for ever with Keep Alive 0", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  stage.advance(1e9);
  assert.equal(client.state, "open");
});

test("inflight: no more unacknowledged messages to one client, whatever its Receive Maximum", () => {
  const stage = new Stage({ limits: { inflight: 2 } });
  const peers = [stage.connect("a"), stage.connect("b", { properties: { receiveMaximum: 1 } })];
  peers.push(stage.connect("c", { properties: { receiveMaximum: 9 } }), stage.connect("d", { version: 4 }));
  for (const peer of peers) peer.subscribed("t", 2);
  for (const qos of [1, 2, 1] as const) stage.broker.inlineClient.publish("t", "x", { qos });
  assert.deepEqual(
    peers.map((peer) => peer.takePayloads().length),
    [2, 1, 2, 2],
  );
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [7, 5]);
});

test("subscriptionsPerSession: one more is refused with Quota exceeded, replacing one is not", () => {
  const stage = new Stage({ limits: { subscriptionsPerSession: 2 } });
  const client = stage.connect("a");
  client.subscribe(["1", "2", "3"]);
  client.subscribe(["2", "3"], 1);
  client.unsubscribe("1");
  client.subscribe(["3"]);
  assert.deepEqual(client.take(), ["SUBACK #1 00 00 97", "SUBACK #1 01 97", "UNSUBACK #2 00", "SUBACK #1 00"]);
  const old = stage.connect("b", { version: 4 });
  old.subscribe(["1", "2", "3"]);
  assert.deepEqual(old.take(), ["SUBACK #1 00 00 80"]);
  assert.equal(stage.log.of("Refused to subscribe")[0]?.reason, "Quota exceeded (0x97)");
});

test("subscriptions: all sessions together, and free again when a session ends", () => {
  const stage = new Stage({ limits: { subscriptions: 2 } });
  const first = stage.connect("a").subscribed(["1", "$share/g/2"]);
  const second = stage.connect("b");
  second.subscribe("1");
  first.disconnect();
  second.subscribe("1");
  assert.deepEqual(second.take(), ["SUBACK #1 97", "SUBACK #1 00"]);
  assert.equal(stage.counters.subscriptions, 1);
  assert.equal(stage.counters.sharedSubscriptions, 0);
});

test("topicLevels: of a Topic Name and of a Topic Filter", () => {
  const stage = new Stage({ limits: { topicLevels: 3 } });
  const client = stage.connect("a");
  client.subscribe(["a/b/c", "a/b/c/d", "$share/g/a/b/c", "$share/g/a/b/c/d"]);
  client.publish("a/b/x", "fits", { qos: 1 });
  client.publish("a/b/c/d", "does not", { qos: 1 });
  client.publish("a/b/c/d", "does not");
  assert.deepEqual(client.take(), ["SUBACK #1 00 8f 00 8f", "PUBACK #1 10", "PUBACK #2 90"]);
  assert.equal(client.state, "open");
});

test("clientIdBytes: in UTF-8", () => {
  const stage = new Stage({ limits: { clientIdBytes: 23 } });
  stage.connect("x".repeat(23));
  assert.deepEqual(stage.dial({ clientId: "ü".repeat(12) }).take(), [
    'CONNACK 85 {"reasonString":"client identifier over 23 bytes"}',
  ]);
  assert.deepEqual(stage.dial({ clientId: "x".repeat(24), version: 4 }).take(), ["CONNACK 02"]);
});

const retainedLimits: [LimitName, number, string][] = [
  ["retained", 1, "u"],
  ["retainedBytes", 10, "u"],
  ["retainedMessageBytes", 8, "a message of more than eight bytes"],
];
for (const [name, value, payload] of retainedLimits) {
  test(`${name}: a message over it is refused with Quota exceeded, and nobody gets it`, () => {
    const stage = new Stage({ limits: { [name]: value } });
    const client = stage.connect("a").subscribed("#");
    client.publish("t", "12345678", { qos: 1, retain: true });
    client.publish("long/topic", payload, { qos: 1, retain: true });
    client.publish("long/topic", payload, { qos: 2, retain: true });
    client.publish("long/topic", payload, { retain: true });
    client.publish("t", "1", { qos: 1, retain: true });
    assert.deepEqual(client.take(), [
      'PUBLISH t "12345678"',
      "PUBACK #1",
      "PUBACK #2 97",
      "PUBREC #3 97",
      'PUBLISH t "1"',
      "PUBACK #4",
    ]);
    assert.equal(stage.broker.retained.size, 1);
    assert.equal(stage.counters.droppedBy.retainedLimit, 3);
    assert.equal(stage.log.of("Retained message refused: over the limits").length, 3);
  });
}

test("retained: the program's own client is told by an error", () => {
  const stage = new Stage({ limits: { retained: 0 } });
  assert.throws(() => stage.broker.inlineClient.publish("t", "x", { retain: true }), RangeError);
});

test("sessions: one more is refused with Quota exceeded, an old one goes on", () => {
  const stage = new Stage({ limits: { sessions: 2 } });
  stage.resume("a").hangUp();
  stage.connect("b");
  assert.deepEqual(stage.dial({ clientId: "c" }).take(), [
    'CONNACK 97 {"reasonString":"there are already 2 sessions"}',
  ]);
  assert.equal(stage.resume("a").state, "open");
  assert.equal(stage.connect("a").state, "open");
  assert.deepEqual([...stage.broker.sessions.keys()], ["b", "a"]);
});
