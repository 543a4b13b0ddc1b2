import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrokerOptions } from "../../src/core/options.ts";
import { Stage, type StageMqtt } from "./stage.ts";

/** CONNACK's properties of a 5.0 client. */
function capabilities(stage: Stage, options: object = {}): Record<string, unknown> {
  const packet = stage.dial(options).received.shift();
  assert.ok(packet?.cmd === "connack");
  return { ...packet.properties };
}

const PLAIN = { receiveMaximum: 1024, topicAliasMaximum: 64, maximumPacketSize: 2_097_152 };

test("the defaults: CONNACK says what differs from the specification's", () => {
  assert.deepEqual(capabilities(new Stage()), PLAIN);
});

const announced: [StageMqtt, object][] = [
  [{ retain: false }, { retainAvailable: false }],
  [{ wildcards: false }, { wildcardSubscriptionAvailable: false }],
  [{ sharedSubscriptions: false }, { sharedSubscriptionAvailable: false }],
  [{ subscriptionIdentifiers: false }, { subscriptionIdentifiersAvailable: false }],
  [{ maximumQos: 0 }, { maximumQoS: 0 }],
  [{ maximumQos: 1 }, { maximumQoS: 1 }],
  [{ receiveMaximum: 5 }, { receiveMaximum: 5 }],
  [{ receiveMaximum: 65_535 }, { receiveMaximum: undefined }],
  [{ topicAliasMaximum: 0 }, { topicAliasMaximum: undefined }],
  [{ maximumPacketSize: 4_294_967_295 }, { maximumPacketSize: 268_435_460 }],
  [{ serverKeepAlive: 7 }, { serverKeepAlive: 7 }],
  [{ keepAliveMax: 9 }, { serverKeepAlive: 9 }],
  [{ sessionExpiry: 11 }, { sessionExpiryInterval: 11 }],
  [{ compat: { alwaysReturnResponseInfo: true } }, { responseInformation: `res_${"1".padStart(32, "0")}` }],
];
for (const [mqtt, differing] of announced) {
  test(`CONNACK announces ${JSON.stringify(mqtt)}`, () => {
    const expected = Object.entries({ ...PLAIN, ...differing }).filter(([, value]) => value !== undefined);
    assert.deepEqual(capabilities(new Stage({ mqtt })), Object.fromEntries(expected));
  });
}

test("retain off: QoS 0 ends the connection with 0x9A, QoS 1 and 2 are acknowledged with 0x83", () => {
  const stage = new Stage({ mqtt: { retain: false } });
  const subscriber = stage.connect("s").subscribed("#");
  const client = stage.connect("a");
  client.publish("t", "1", { qos: 1, retain: true });
  client.publish("t", "2", { qos: 2, retain: true });
  client.publish("t", "live", { qos: 1 });
  client.publish("t", "0", { retain: true });
  assert.deepEqual(client.take(), [
    "PUBACK #1 83",
    "PUBREC #2 83",
    "PUBACK #3",
    'DISCONNECT 9a {"reasonString":"Retained messages are not available 5.0 [MQTT-3.2.2-14]"}',
  ]);
  assert.deepEqual(subscriber.takePayloads(), ["live"]);
});

test("retain off: a 3.1.1 client is cut off for QoS 0, and acknowledged for QoS 1", () => {
  const stage = new Stage({ mqtt: { retain: false } });
  const client = stage.connect("a", { version: 4 });
  client.publish("t", "1", { qos: 1, retain: true });
  client.publish("t", "0", { retain: true });
  assert.deepEqual(client.take(), ["PUBACK #1"]);
  assert.equal(client.state, "ended");
  assert.equal(stage.broker.retained.size, 0);
});

test("5.0 [MQTT-3.2.2-13] retain off: a retained will is refused with 0x9A", () => {
  const stage = new Stage({ mqtt: { retain: false } });
  const will = { topic: "w", payload: Buffer.from("x"), retain: true };
  assert.deepEqual(stage.dial({ will }).take(), ['CONNACK 9a {"reasonString":"retained will"}']);
  assert.deepEqual(stage.dial({ will: { ...will, retain: false } }).take().length, 1);
});

const refusedFilters: [StageMqtt, string, string][] = [
  [{ wildcards: false }, "t/#", "a2"],
  [{ wildcards: false }, "+", "a2"],
  [{ wildcards: false }, "$share/g/t/+", "a2"],
  [{ sharedSubscriptions: false }, "$share/g/t", "9e"],
];
for (const [mqtt, filter, code] of refusedFilters) {
  test(`${JSON.stringify(mqtt)} refuses ${filter} with 0x${code}, and other filters are granted`, () => {
    const stage = new Stage({ mqtt });
    const client = stage.connect("a");
    client.subscribe([filter, "plain"], 1);
    assert.deepEqual(client.take(), [`SUBACK #1 ${code} 01`]);
    const old = stage.connect("b", { version: 4 });
    old.subscribe([filter, "plain"], 1);
    assert.deepEqual(old.take(), ["SUBACK #1 80 01"]);
  });
}

test("subscriptionIdentifiers off: 0xA1 for every entry that comes with one", () => {
  const client = new Stage({ mqtt: { subscriptionIdentifiers: false } }).connect("a");
  client.subscribe(["t", "u"], 1, {}, 5);
  client.subscribe("t");
  client.publish("u", "x");
  assert.deepEqual(client.take(), ["SUBACK #1 a1 a1", "SUBACK #1 00"]);
});

for (const maximumQos of [0, 1] as const) {
  test(`5.0 [MQTT-3.2.2-10] maximumQos ${maximumQos}: a subscription is granted that at most`, () => {
    const stage = new Stage({ mqtt: { maximumQos } });
    const client = stage.connect("a");
    client.subscribe(["t"], 2);
    stage.broker.inlineClient.publish("t", "x", { qos: 2 });
    const qos = maximumQos === 0 ? "" : " qos1 #1";
    assert.deepEqual(client.take(), [`SUBACK #1 0${maximumQos}`, `PUBLISH t "x"${qos}`]);
  });

  test(`5.0 [MQTT-3.2.2-11] maximumQos ${maximumQos}: a PUBLISH above it ends the connection`, () => {
    const stage = new Stage({ mqtt: { maximumQos } });
    const client = stage.connect("a");
    client.publish("t", "x", { qos: 2 });
    assert.deepEqual(client.take(), [
      `DISCONNECT 9b {"reasonString":"QoS 2 is above the Maximum QoS ${maximumQos} 5.0 [MQTT-3.2.2-11]"}`,
    ]);
    const old = stage.connect("b", { version: 4 });
    old.publish("t", "x", { qos: 2 });
    assert.deepEqual(old.take(), []);
    assert.equal(old.state, "ended");
  });

  test(`5.0 [MQTT-3.2.2-12] maximumQos ${maximumQos}: a will above it is refused`, () => {
    const stage = new Stage({ mqtt: { maximumQos } });
    const client = stage.dial({ will: { topic: "w", payload: Buffer.from("x"), qos: 2 } });
    assert.deepEqual(client.take(), [`CONNACK 9b {"reasonString":"will QoS 2 is above ${maximumQos}"}`]);
  });
}

test("5.0 [MQTT-3.3.4-7] receiveMaximum: one more unreleased QoS 2 message ends the connection", () => {
  const client = new Stage({ mqtt: { receiveMaximum: 2 } }).connect("a");
  for (const id of [1, 2, 2]) client.publish("t", "x", { qos: 2, id });
  client.acknowledge("pubrel", 1);
  client.publish("t", "x", { qos: 2, id: 3 });
  client.publish("t", "x", { qos: 1, id: 9 });
  client.publish("t", "x", { qos: 2, id: 4 });
  assert.deepEqual(client.take(), [
    "PUBREC #1 10",
    "PUBREC #2 10",
    "PUBREC #2",
    "PUBCOMP #1",
    "PUBREC #3 10",
    "PUBACK #9 10",
    'DISCONNECT 93 {"reasonString":"More than 2 QoS 2 messages are unreleased 5.0 [MQTT-3.3.4-7]"}',
  ]);
});

test("receiveMaximum does not bind 3.1.1 clients, who were not told", () => {
  const client = new Stage({ mqtt: { receiveMaximum: 1 } }).connect("a", { version: 4 });
  for (const id of [1, 2, 3]) client.publish("t", "x", { qos: 2, id });
  assert.deepEqual(client.take(), ["PUBREC #1", "PUBREC #2", "PUBREC #3"]);
});

test("5.0 [MQTT-3.2.2-15] maximumPacketSize: a larger packet ends the connection with 0x95", () => {
  const client = new Stage({ mqtt: { maximumPacketSize: 100 } }).connect("a").subscribed("t");
  client.publish("t", "x".repeat(94));
  assert.equal(client.takePayloads().length, 1);
  client.publish("t", "x".repeat(95));
  assert.deepEqual(client.take(), [
    'DISCONNECT 95 {"reasonString":"Packet of 101 bytes is over the limit of 100 5.0 [MQTT-3.2.2-15]"}',
  ]);
});

test("maximumPacketSize holds for 3.1.1 clients too", () => {
  const client = new Stage({ mqtt: { maximumPacketSize: 100 } }).connect("a", { version: 4 });
  client.publish("t", "x".repeat(96));
  assert.equal(client.state, "ended");
});

test("5.0 [MQTT-3.1.2-24] [MQTT-3.1.2-25] the client's Maximum Packet Size: a larger PUBLISH is dropped and counted as done", () => {
  const stage = new Stage();
  const client = stage.connect("a", { properties: { maximumPacketSize: 40 } }).subscribed("t", 1);
  stage.broker.inlineClient.publish("t", "x".repeat(40), { qos: 1 });
  stage.broker.inlineClient.publish("t", "x".repeat(32), { qos: 1 });
  stage.broker.inlineClient.publish("t", "x".repeat(40));
  assert.deepEqual(client.take(), [`PUBLISH t "${"x".repeat(32)}" qos1 #2`]);
  assert.deepEqual([stage.counters.droppedBy.tooLarge, stage.counters.inflight], [2, 1]);
});

test("5.0 [MQTT-3.2.2-19] the client's Maximum Packet Size holds for a CONNACK that refuses", () => {
  const stage = new Stage({ access: { authenticate: () => false } });
  assert.deepEqual(stage.dial({ properties: { maximumPacketSize: 10 } }).take(), ["CONNACK 87"]);
});

test("5.0 [MQTT-3.4.2-3] an acknowledgement loses what only explains when it is too large for the client", () => {
  const stage = new Stage({ mqtt: { compat: { noInheritedPropertiesOnAck: false } } });
  const client = stage.connect("a", { properties: { maximumPacketSize: 25 } });
  client.publish("t", "x", { qos: 1, properties: { userProperties: { name: "a value" } } });
  client.publish("t", "x", { qos: 1, properties: { userProperties: { name: "a value too long" } } });
  assert.deepEqual(client.take(), ['PUBACK #1 10 {"userProperties":{"name":"a value"}}', "PUBACK #2 10"]);
});

test("minimumProtocolVersion: lower versions are refused in a form that they know", () => {
  const from4 = new Stage({ mqtt: { minimumProtocolVersion: 4 } });
  assert.deepEqual(from4.dial({ version: 3 }).take(), ["CONNACK 01"]);
  assert.deepEqual(from4.dial({ version: 4 }).take(), ["CONNACK 00"]);
  const from5 = new Stage({ mqtt: { minimumProtocolVersion: 5 } });
  assert.deepEqual(from5.dial({ version: 4 }).take(), ["CONNACK 01"]);
  assert.equal(from5.dial().take().length, 1);
  assert.deepEqual(new Stage().dial({ version: 3 }).take(), ["CONNACK 00"]);
});

test("topicAliasMaximum 0: every Topic Alias is invalid", () => {
  const client = new Stage({ mqtt: { topicAliasMaximum: 0 } }).connect("a");
  client.publish("t", "x", { properties: { topicAlias: 1 } });
  assert.deepEqual(client.take(), [
    'DISCONNECT 94 {"reasonString":"Topic Alias 1 is greater than 0 5.0 [MQTT-3.3.2-9]"}',
  ]);
});

test("compat.obscureNotAuthorized: a refused subscription says 0x80 instead of 0x87", () => {
  const hooks = [{ name: "h", onACLCheck: () => false }];
  for (const [obscureNotAuthorized, code] of [
    [false, "87"],
    [true, "80"],
  ] as const) {
    const client = new Stage({ hooks, mqtt: { compat: { obscureNotAuthorized } } }).connect("a");
    client.subscribe("t");
    assert.deepEqual(client.take(), [`SUBACK #1 ${code}`]);
  }
});

test("compat.passiveClientDisconnect: after a Protocol Error the client has a while to close", () => {
  const stage = new Stage({ mqtt: { compat: { passiveClientDisconnect: true } } });
  const client = stage.connect("a");
  client.connect();
  client.send({ cmd: "pingreq" });
  assert.deepEqual(client.take(), ['DISCONNECT 82 {"reasonString":"CONNECT is not allowed here 5.0 [MQTT-3.1.0-2]"}']);
  assert.equal(stage.broker.sessions.size, 0);
  stage.advance(9_999);
  assert.equal(client.state, "open");
  stage.advance(1);
  assert.equal(client.state, "destroyed");
});

test("compat.noInheritedPropertiesOnAck: acknowledgements repeat the User Properties only when it is off", () => {
  const properties = { userProperties: { trace: "7" } };
  const inheriting = new Stage({ mqtt: { compat: { noInheritedPropertiesOnAck: false } } }).connect("a");
  inheriting.publish("t", "x", { qos: 1, properties });
  inheriting.publish("t", "x", { qos: 2, properties });
  assert.deepEqual(inheriting.take(), [
    'PUBACK #1 10 {"userProperties":{"trace":"7"}}',
    'PUBREC #2 10 {"userProperties":{"trace":"7"}}',
  ]);
  const plain = new Stage().connect("a");
  plain.publish("t", "x", { qos: 1, properties });
  assert.deepEqual(plain.take(), ["PUBACK #1 10"]);
});

test("5.0 [MQTT-3.1.2-29] a client that wants no problem information gets none on an acknowledgement", () => {
  const stage = new Stage({ mqtt: { compat: { noInheritedPropertiesOnAck: false } } });
  const client = stage.connect("a", { properties: { requestProblemInformation: false } });
  client.publish("t", "x", { qos: 1, properties: { userProperties: { trace: "7" } } });
  assert.deepEqual(client.take(), ["PUBACK #1 10"]);
});

const keys: [BrokerOptions["sessionKey"], number][] = [
  ["user+client", 3],
  ["client", 1],
];
for (const [sessionKey, sessions] of keys) {
  test(`sessionKey ${sessionKey}: three users with one client identifier have ${sessions} of their own`, () => {
    const stage = new Stage({ mqtt: { sessionKey } });
    const clients = [undefined, "u", "v"].map((username) =>
      stage.connect("a", username === undefined ? {} : { username }),
    );
    assert.equal(stage.broker.sessions.size, sessions);
    assert.equal(clients.filter((client) => client.state === "open").length, sessions);
  });
}

test("sessionKey: user and client identifier cannot be mistaken for each other", () => {
  const stage = new Stage();
  stage.connect("ab", { username: "c" });
  stage.connect("a", { username: "bc" });
  stage.connect("abc");
  assert.equal(stage.broker.sessions.size, 3);
});

test("logPayloadBytes: packets at debug show their payload up to it, and never a password", () => {
  const stage = new Stage({ logLevel: "debug", mqtt: { logPayloadBytes: 4 } });
  const client = stage.connect("a", { username: "u", password: Buffer.from("secret") });
  client.publish("t", "1234");
  client.publish("t", "12345");
  assert.deepEqual(
    stage.log.of("PUBLISH received").map(({ topic, bytes, payload }) => [topic, bytes, payload]),
    [
      ["t", 4, "1234"],
      ["t", 5, "1234…"],
    ],
  );
  assert.equal(JSON.stringify(stage.log.lines).includes("secret"), false);
});

test("logPayloadBytes 0 shows no payload", () => {
  const stage = new Stage({ logLevel: "debug" });
  stage.connect("a").publish("t", "hidden");
  assert.equal(JSON.stringify(stage.log.lines).includes("hidden"), false);
});
