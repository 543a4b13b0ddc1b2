import assert from "node:assert/strict";
import { test } from "node:test";
import type { SysInfo } from "../../../src/core/counters.ts";
import type { Hook } from "../../../src/core/hooks.ts";
import type { StoredClient, StoredMessage, StoredRetained, StoredSubscription } from "../../../src/core/stored.ts";
import { Stage, type StageOptions } from "../stage.ts";

interface Stored {
  clients?: StoredClient[];
  subscriptions?: StoredSubscription[];
  messages?: StoredMessage[];
  retained?: StoredRetained[];
  info?: Partial<SysInfo>;
}

/** A broker that finds these. */
function start(stored: Stored, options: StageOptions = {}): Stage {
  const hook: Hook = {
    name: "store",
    storedClients: () => stored.clients ?? [],
    storedSubscriptions: () => stored.subscriptions ?? [],
    storedInflightMessages: () => stored.messages ?? [],
    storedRetainedMessages: () => stored.retained ?? [],
    storedSysInfo: () => stored.info,
  };
  return new Stage({ ...options, hooks: [hook, ...(options.hooks ?? [])] });
}

const a: StoredClient = { clientId: "a", protocolVersion: 5, sessionExpiryInterval: 100 };
const payload = Buffer.from("x");

/** What was left out: the entry's name and the reason. */
function leftOut(stage: Stage, what: string): (string | undefined)[][] {
  return stage.log
    .of(`Stored ${what} left out`)
    .map(({ hook, client, topic, filter, reason }) =>
      [hook, client ?? topic, filter, reason].map((one) => one?.toString()),
    );
}

test("storedClients: a session is there when its client comes", () => {
  const client = start({ clients: [a] }).dial({ clientId: "a", clean: false });
  assert.equal(client.take()[0]?.slice(0, 18), "CONNACK 00 present");
});

test("storedClients: a session belongs to its user", () => {
  const stored: Stored = { clients: [{ ...a, userName: "u" }] };
  const other = start(stored).dial({ clientId: "a", clean: false, username: "v" });
  assert.equal(other.take()[0]?.slice(0, 12), "CONNACK 00 {");
  const own = start(stored).dial({ clientId: "a", clean: false, username: "u" });
  assert.equal(own.take()[0]?.slice(0, 18), "CONNACK 00 present");
});

test("storedClients: a session ends when its time is over, one that never expires stays", () => {
  const stage = start({ clients: [a, { ...a, clientId: "b", sessionExpiryInterval: 0xffff_ffff }] });
  stage.advance(99_999);
  assert.deepEqual([...stage.broker.sessions.keys()], ["a", "b"]);
  stage.advance(1);
  assert.deepEqual([...stage.broker.sessions.keys()], ["b"]);
  stage.advance(1e12);
  assert.deepEqual([...stage.broker.sessions.keys()], ["b"]);
});

test("storedSubscriptions: with their options", () => {
  const stage = start({
    clients: [a],
    subscriptions: [
      { clientId: "a", topicFilter: "t/#", qos: 2, noLocal: true, retainAsPublished: true, subscriptionIdentifier: 7 },
    ],
  });
  const client = stage.resume("a");
  client.publish("t/own", "x");
  stage.broker.inlineClient.publish("t/1", "x", { qos: 2, retain: true });
  assert.deepEqual(client.take(), ['PUBLISH t/1 "x" qos2 #1 retain {"subscriptionIdentifier":7}']);
  assert.equal(stage.counters.subscriptions, 1);
  client.unsubscribe("t/#");
  assert.deepEqual(client.take(), ["UNSUBACK #2 00"]);
  assert.equal(stage.counters.subscriptions, 0);
});

test("storedSubscriptions: members of a share are members again", () => {
  const stage = start({
    clients: [a, { ...a, clientId: "b" }],
    subscriptions: ["a", "b"].map((clientId) => ({ clientId, topicFilter: "$share/g/t", qos: 1 })),
  });
  assert.equal(stage.counters.sharedSubscriptions, 2);
  for (const text of ["1", "2", "3", "4"]) stage.broker.inlineClient.publish("t", text, { qos: 1 });
  assert.deepEqual(stage.resume("a").takePayloads(), ["1", "3"]);
  assert.deepEqual(stage.resume("b").takePayloads(), ["2", "4"]);
});

test("storedSubscriptions: messages are queued for the session before its client comes", () => {
  const stage = start({ clients: [a], subscriptions: [{ clientId: "a", topicFilter: "t", qos: 1 }] });
  stage.broker.inlineClient.publish("t", "x", { qos: 1 });
  assert.deepEqual(stage.resume("a").take(), ['PUBLISH t "x" qos1 #1']);
});

test("5.0 [MQTT-4.4.0-1] storedInflightMessages: PUBLISH with DUP and PUBREL are sent again in order, then what waited", () => {
  const message = { clientId: "a", topicName: "t", payload };
  const stage = start({
    clients: [a],
    messages: [
      { ...message, qos: 1, packetIdentifier: 900, retain: true, subscriptionIdentifiers: [5] },
      { ...message, qos: 2, packetIdentifier: 3, released: true },
      { ...message, qos: 2, packetIdentifier: 65_535 },
      { ...message, qos: 1, payload: Buffer.from("waits"), properties: { contentType: "c" }, expirySeconds: 60 },
      { ...message, qos: 0, payload: Buffer.from("too") },
    ],
  });
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [3, 2]);
  const client = stage.resume("a");
  assert.deepEqual(client.take(), [
    'PUBLISH t "x" qos1 #900 dup retain {"subscriptionIdentifier":5}',
    "PUBREL #3",
    'PUBLISH t "x" qos2 #65535 dup',
    'PUBLISH t "waits" qos1 #1 {"messageExpiryInterval":60,"contentType":"c"}',
    'PUBLISH t "too"',
  ]);
  client.acknowledge("puback", 900);
  client.acknowledge("pubcomp", 3);
  client.acknowledge("pubrec", 65_535);
  client.acknowledge("pubcomp", 65_535);
  client.acknowledge("puback", 1);
  assert.deepEqual(client.take(), ["PUBREL #65535"]);
  assert.equal(stage.counters.inflight, 0);
});

test("storedInflightMessages: identifiers that are in use are not given again", () => {
  const stage = start({
    clients: [a],
    subscriptions: [{ clientId: "a", topicFilter: "t", qos: 1 }],
    messages: [1, 2, 4].map((packetIdentifier) => ({
      clientId: "a",
      topicName: "t",
      payload,
      qos: 1,
      packetIdentifier,
    })),
  });
  const client = stage.resume("a");
  for (let count = 0; count < 2; count++) stage.broker.inlineClient.publish("t", "new", { qos: 1 });
  assert.deepEqual(client.take().slice(3), ['PUBLISH t "new" qos1 #3', 'PUBLISH t "new" qos1 #5']);
});

test("storedInflightMessages: what has expired meanwhile is not sent", () => {
  const stage = start({
    clients: [a],
    messages: [{ clientId: "a", topicName: "t", payload, qos: 1, expirySeconds: 2 }],
  });
  stage.advance(2000);
  assert.deepEqual(stage.resume("a").take(), []);
  assert.equal(stage.counters.droppedBy.expired, 1);
});

test("storedRetainedMessages: sent to a new subscription, with what is left of their time", () => {
  const stage = start({
    retained: [
      { topicName: "t", payload, qos: 1, properties: { contentType: "c" } },
      { topicName: "u", payload, qos: 0, expirySeconds: 9 },
      { topicName: "v", payload, qos: 0, expirySeconds: 2 },
    ],
  });
  stage.advance(4000);
  const client = stage.connect("s");
  client.subscribe("#", 1);
  assert.deepEqual(client.take(), [
    "SUBACK #1 01",
    'PUBLISH t "x" qos1 #1 retain {"contentType":"c"}',
    'PUBLISH u "x" retain {"messageExpiryInterval":5}',
  ]);
});

test("storedRetainedMessages: those that can expire are swept", () => {
  const stage = start({ retained: [{ topicName: "t", payload, qos: 0, expirySeconds: 9 }] });
  assert.equal(stage.broker.retained.size, 1);
  stage.advance(60_000);
  assert.equal(stage.broker.retained.size, 0);
});

test("several hooks may hand over; the later one's retained message stands", () => {
  const hook = (name: string): Hook => ({
    name,
    storedRetainedMessages: () => [{ topicName: "t", payload: Buffer.from(name), qos: 0 }],
  });
  const stage = new Stage({ hooks: [hook("1"), hook("2")] });
  assert.equal(Buffer.from(stage.broker.retained.get("t")!.payload).toString(), "2");
});

test("storedSysInfo with sys.restore: totals go on", () => {
  const info: Partial<SysInfo> = {
    bytesReceived: 1000,
    bytesSent: 2000,
    clientsMaximum: 50,
    messagesReceived: 3,
    messagesSent: 4,
    messagesDropped: 5,
    packetsReceived: 6,
    packetsSent: 7,
    inflightDropped: 8,
  };
  const now = start({ info }, { mqtt: { sys: { restore: true } } }).broker.sys.info();
  for (const [name, value] of Object.entries(info)) assert.equal(now[name as keyof SysInfo], value, name);
  assert.equal(now.uptime, 0);
});

test("storedSysInfo without sys.restore: totals begin at 0", () => {
  const info = start({ info: { bytesReceived: 1000, clientsMaximum: 50 } }).broker.sys.info();
  assert.deepEqual([info.bytesReceived, info.clientsMaximum], [0, 0]);
});

test("storedSysInfo with figures that are no numbers is left out and named", () => {
  const broken = { bytesReceived: "1000", bytesSent: 5 } as unknown as Partial<SysInfo>;
  const stage = start({ info: broken }, { mqtt: { sys: { restore: true } } });
  assert.equal(stage.broker.sys.info().bytesSent, 0);
  assert.deepEqual(leftOut(stage, "totals"), [["store", undefined, undefined, "bytesReceived is not a number"]]);
});

const message = { clientId: "a", topicName: "t", payload, qos: 1 as const };
const filter = { clientId: "a", topicFilter: "t", qos: 1 as const };

/** An entry that no type would let pass, as a store may hand it over. */
const untyped = (entry: unknown): never => entry as never;

const broken: [what: string, stored: Stored, client: string | undefined, filter: string | undefined, reason: RegExp][] =
  [
    ["client", { clients: [{ ...a, clientId: "" }] }, "", undefined, /^it has no client identifier$/],
    ["client", { clients: [untyped({ ...a, clientId: undefined })] }, undefined, undefined, /^it has no client/],
    [
      "client",
      { clients: [untyped({ ...a, protocolVersion: 6 })] },
      "a",
      undefined,
      /^its protocol version is unknown$/,
    ],
    [
      "client",
      { clients: [{ ...a, sessionExpiryInterval: Number.NaN }] },
      "a",
      undefined,
      /^its session expiry is not/,
    ],
    ["client", { clients: [{ ...a, sessionExpiryInterval: -1 }] }, "a", undefined, /^its session expiry is not/],
    ["client", { clients: [a, a] }, "a", undefined, /^its session is there already$/],
    ["client", { clients: [untyped(null)] }, undefined, undefined, /./],
    ["subscription", { subscriptions: [filter] }, "a", "t", /^it has no session$/],
    ["subscription", { clients: [{ ...a, userName: "u" }], subscriptions: [filter] }, "a", "t", /^it has no session$/],
    [
      "subscription",
      { clients: [a], subscriptions: [{ ...filter, topicFilter: "t/#/u" }] },
      "a",
      "t/#/u",
      /^not a valid Topic F/,
    ],
    [
      "subscription",
      { clients: [a], subscriptions: [{ ...filter, topicFilter: "" }] },
      "a",
      "",
      /^not a valid Topic Filter$/,
    ],
    [
      "subscription",
      { clients: [a], subscriptions: [{ ...filter, topicFilter: "$share/g" }] },
      "a",
      "$share/g",
      /^not a valid/,
    ],
    ["subscription", { clients: [a], subscriptions: [untyped({ ...filter, qos: 3 })] }, "a", "t", /^not a QoS$/],
    [
      "subscription",
      { clients: [a], subscriptions: [{ ...filter, subscriptionIdentifier: 0 }] },
      "a",
      "t",
      /^not a Subscription I/,
    ],
    ["subscription", { clients: [a], subscriptions: [untyped(undefined)] }, undefined, undefined, /./],
    ["retained message", { retained: [{ ...message, topicName: "t/#" }] }, "a", undefined, /^not a valid Topic Name$/],
    [
      "retained message",
      { retained: [{ ...message, payload: Buffer.alloc(0) }] },
      "a",
      undefined,
      /^it has no payload$/,
    ],
    [
      "retained message",
      { retained: [untyped({ ...message, payload: "text" })] },
      "a",
      undefined,
      /^its payload is not bytes$/,
    ],
    [
      "retained message",
      { retained: [{ ...message, expirySeconds: Number.NaN }] },
      "a",
      undefined,
      /^its expiry is not a number/,
    ],
    ["message", { messages: [message] }, "a", undefined, /^it has no session$/],
    [
      "message",
      { clients: [a], messages: [{ ...message, topicName: "+" }] },
      "a",
      undefined,
      /^not a valid Topic Name$/,
    ],
    ["message", { clients: [a], messages: [untyped({ ...message, qos: "1" })] }, "a", undefined, /^not a QoS$/],
    [
      "message",
      { clients: [a], messages: [{ ...message, packetIdentifier: 0 }] },
      "a",
      undefined,
      /^not a packet identifier$/,
    ],
    [
      "message",
      { clients: [a], messages: [{ ...message, packetIdentifier: 65_536 }] },
      "a",
      undefined,
      /^not a packet identifier$/,
    ],
    [
      "message",
      { clients: [a], messages: [{ ...message, qos: 0, packetIdentifier: 1 }] },
      "a",
      undefined,
      /^QoS 0 has no packet i/,
    ],
    [
      "message",
      { clients: [a], messages: [{ ...message, subscriptionIdentifiers: [1, -1] }] },
      "a",
      undefined,
      /^not a Subscription I/,
    ],
    [
      "message",
      {
        clients: [a],
        messages: [
          { ...message, packetIdentifier: 5 },
          { ...message, packetIdentifier: 5 },
        ],
      },
      "a",
      undefined,
      /^its packet identifier is in use$/,
    ],
  ];
for (const [index, [what, stored, client, topicFilter, reason]] of broken.entries()) {
  test(`a broken stored ${what} is left out and named, the broker starts: ${reason.source} (${index})`, () => {
    const stage = start(stored);
    const lines = leftOut(stage, what);
    assert.equal(lines.length, 1);
    const [hook, name, shown, why] = lines[0]!;
    assert.deepEqual([hook, shown], ["store", topicFilter]);
    assert.equal(name, client);
    assert.match(why!, reason);
    const good = stage.connect("good").subscribed("t");
    good.publish("t", "works");
    assert.deepEqual(good.take(), ['PUBLISH t "works"']);
  });
}

test("what stands beside a broken entry is taken up", () => {
  const stage = start({
    clients: [untyped(7), a],
    subscriptions: [{ ...filter, topicFilter: "#/" }, filter],
    retained: [{ ...message, topicName: "" }, message],
    messages: [{ ...message, packetIdentifier: -1 }, message],
  });
  assert.equal(stage.broker.sessions.get("a")?.subscriptions.size, 1);
  assert.equal(stage.broker.retained.size, 1);
  assert.equal(stage.counters.queuedMessages, 1);
  assert.equal(stage.log.at("warn").length, 4);
});

test("retained messages over the limits are left out and named", () => {
  const stage = start(
    { retained: ["t", "u"].map((topicName) => ({ topicName, payload, qos: 0 })) },
    { limits: { retained: 1 } },
  );
  assert.deepEqual(leftOut(stage, "retained message"), [["store", "u", undefined, "over the retained limits"]]);
});
