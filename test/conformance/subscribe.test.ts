import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Refusal } from "../../src/core/hooks.ts";
import { startBroker } from "../support/broker.ts";
import { type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, properties } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());
const publisher = await broker.connect();

const VERSIONS = [
  {
    version: 5,
    suback: "5.0 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.8.4-7]",
    several: "5.0 [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]",
    none: "5.0 [MQTT-3.8.3-2]",
    options: "5.0 [MQTT-3.8.3-5]",
    replace: "5.0 [MQTT-3.8.4-3]",
    nothingLost: "5.0 [MQTT-3.8.4-4]",
    overlap: "5.0 [MQTT-3.3.4-2]",
    codes: "5.0 [MQTT-3.9.3-2] [MQTT-3.8.4-7]",
    hash: "5.0 [MQTT-4.7.1-1]",
    plus: "5.0 [MQTT-4.7.1-2]",
    empty: "5.0 [MQTT-4.7.3-1]",
  },
  {
    version: 4,
    suback: "3.1.1 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.3.1-7] [MQTT-3.8.4-5]",
    several: "3.1.1 [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1]",
    none: "3.1.1 [MQTT-3.8.3-3]",
    options: "3.1.1 [MQTT-3.8.3-4]",
    replace: "3.1.1 [MQTT-3.8.4-3]",
    nothingLost: "3.1.1 [MQTT-3.8.4-3]",
    overlap: "3.1.1 [MQTT-3.3.5-1]",
    codes: "3.1.1 [MQTT-3.9.3-2] [MQTT-3.8.4-5]",
    hash: "3.1.1 [MQTT-4.7.1-2]",
    plus: "3.1.1 [MQTT-4.7.1-3]",
    empty: "3.1.1 [MQTT-4.7.3-1]",
  },
] as const;

for (const ids of VERSIONS) {
  const { version } = ids;
  const none = version === 5 ? "00" : "";

  for (const qos of [0, 1, 2]) {
    test(`${ids.suback} answers with SUBACK of the same identifier, granting QoS ${qos}`, async () => {
      const client = await broker.connect({ version });
      client.sendBytes(packet("82", "fffe", none, field(unique("t")), `0${qos}`));
      await client.expectBytes(packet("90", "fffe", none, `0${qos}`));
      await client.expectNothing();
      await client.disconnect();
    });
  }

  test(`${ids.several} answers several filters by one SUBACK with their codes in order`, async () => {
    const client = await broker.connect({ version });
    const root = unique("t");
    const entries = ["02", "00", "01", "02"].flatMap((qos, index) => [field(`${root}/${index}`), qos]);
    client.sendBytes(packet("82", "0007", none, ...entries));
    await client.expectBytes(packet("90", "0007", none, "02000102"));
    await client.expectNothing();
    for (const index of [0, 1, 2, 3]) await publisher.publish(`${root}/${index}`, "x", { qos: 2 });
    for (const [index, qos] of [2, 0, 1, 2].entries())
      await client.expect("publish", { topic: `${root}/${index}`, qos });
    await client.disconnect();
  });

  test(`${ids.several} takes several filters one after the other: of two equal ones the last holds`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    assert.deepEqual(
      await client.subscribe([
        { topic, qos: 2 },
        { topic, qos: 0 },
      ]),
      [2, 0],
    );
    await publisher.publish(topic, "x", { qos: 2 });
    await client.expect("publish", { topic, qos: 0 });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.none} refuses SUBSCRIBE without a filter`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(packet("82", "0001", none));
    // 5.0 §3.8.3 calls it a Protocol Error; a packet that ends too early may as well be called malformed.
    await client.expectRefusal(0x81, 0x82);
  });

  const reserved = version === 5 ? ["40", "80", "c0", "03", "43", "30"] : ["03", "04", "08", "10", "20", "40", "80"];
  for (const options of reserved) {
    test(`${ids.options} refuses the options byte ${options}`, async () => {
      const client = await broker.connect({ version });
      client.sendBytes(packet("82", "0001", none, field("t"), options));
      await client.expectRefusal(0x81, 0x82);
    });
  }

  test(`${ids.replace} replaces the subscription of an equal filter`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await client.subscribe(topic, { qos: 0 });
    await client.subscribe(topic, { qos: 2 });
    await publisher.publish(topic, "x", { qos: 2 });
    await client.expect("publish", { topic, qos: 2 });
    await client.expectNothing();
    await client.subscribe(topic, { qos: 1 });
    await publisher.publish(topic, "y", { qos: 2 });
    await client.expect("publish", { topic, qos: 1 });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.nothingLost} loses and doubles no message while a subscription is replaced`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await client.subscribe(topic, { qos: 1 });
    const count = 30;
    // One connection, so that publishing and replacing alternate exactly.
    for (let index = 0; index < count; index += 1) {
      client.sendPublish(topic, `${index}`, { qos: 0 });
      client.send({
        cmd: "subscribe",
        messageId: 1_000 + index,
        subscriptions: [{ topic, qos: (index % 2) as 0 | 1 }],
      });
    }
    for (let index = 0; index < count; index += 1) {
      await client.expect("publish", { topic, payload: `${index}` });
      await client.expect("suback", { messageId: 1_000 + index });
    }
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.overlap} delivers to overlapping subscriptions once, by their highest QoS`, async () => {
    const client = await broker.connect({ version });
    const root = unique("t");
    await client.subscribe([
      { topic: `${root}/#`, qos: 0 },
      { topic: `${root}/+`, qos: 2 },
      { topic: `${root}/a`, qos: 1 },
    ]);
    for (const qos of [2, 1, 0] as const) {
      await publisher.publish(`${root}/a`, `${qos}`, { qos });
      await client.expect("publish", { payload: `${qos}`, qos });
      await client.expectNothing();
    }
    await client.disconnect();
  });

  for (const filter of ["a#", "a/#/b", "#/a", "a/b#", "##", "+#", "a/#b"]) {
    test(`${ids.hash} refuses the Topic Filter ${filter}`, async () => await expectInvalidFilter(version, filter));
  }
  for (const filter of ["a+", "+a", "a/b+/c", "++", "a/+b"]) {
    test(`${ids.plus} refuses the Topic Filter ${filter}`, async () => await expectInvalidFilter(version, filter));
  }
  test(`${ids.empty} refuses an empty Topic Filter`, async () => await expectInvalidFilter(version, ""));
}

/** Refused by its code in SUBACK, or by the end of the connection: the specification leaves that open. */
async function expectInvalidFilter(version: 4 | 5, filter: string): Promise<void> {
  const client = await broker.connect({ version });
  client.sendBytes(packet("82", "0001", version === 5 ? "00" : "", field(filter), "00"));
  if (version === 5) await client.expectDisconnect(0x81, 0x82, 0x8f);
  else await client.expectClose();
}

for (const { version, ids, codes } of [
  { version: 5, ids: "5.0 [MQTT-3.9.3-2]", codes: [0x87, 1, 0x87] },
  { version: 4, ids: "3.1.1 [MQTT-3.9.3-2]", codes: [0x80, 1, 0x80] },
  { version: 3, ids: "3.1 §3.9", codes: [0x80, 1, 0x80] },
] as const) {
  test(`${ids} says of each filter whether it is granted or refused`, async () => {
    const guarded = await startBroker({
      hooks: [{ name: "guard", onACLCheck: (_client, topic, write) => write || topic.startsWith("open") }],
    });
    try {
      const client = await guarded.connect({ version });
      const granted = await client.subscribe([
        { topic: "secret/#", qos: 1 },
        { topic: "open/#", qos: 1 },
        { topic: "+", qos: 1 },
      ]);
      assert.deepEqual(granted, codes);
      const by = await guarded.connect();
      await by.publish("secret/1", "x", { qos: 1 });
      await client.expectNothing();
      await by.publish("open/1", "x", { qos: 1 });
      await client.expect("publish", { topic: "open/1" });
    } finally {
      await guarded.stop();
    }
  });
}

test("5.0 [MQTT-3.9.3-2] puts no code into SUBACK that it does not have", async () => {
  const refusing = await startBroker({ hooks: [{ name: "refusing", onSubscribe: () => new Refusal(0x8a) }] });
  try {
    const five = await refusing.connect();
    const [code] = await five.subscribe("t");
    assert.ok([0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2].includes(code!), `0x${code?.toString(16)}`);
    const four = await refusing.connect({ version: 4 });
    assert.deepEqual(await four.subscribe("t"), [0x80]);
  } finally {
    await refusing.stop();
  }
});

test("5.0 [MQTT-3.8.3-3] keeps from a client with No Local what it published itself", async () => {
  const client = await broker.connect();
  const topic = unique("t");
  await client.subscribe({ topic, nl: true });
  await client.publish(topic, "own", { qos: 1 });
  await client.expectNothing();
  await publisher.publish(topic, "other");
  await client.expect("publish", { payload: "other" });
  await client.disconnect();
});

test("5.0 [MQTT-3.8.3-3] sends what a client published itself by its other subscription, without No Local", async () => {
  const client = await broker.connect();
  const root = unique("t");
  await client.subscribe([{ topic: `${root}/a`, nl: true, qos: 2 }], { properties: { subscriptionIdentifier: 1 } });
  await client.subscribe([{ topic: `${root}/#`, qos: 1 }], { properties: { subscriptionIdentifier: 2 } });
  client.sendPublish(`${root}/a`, "own", { qos: 2, messageId: 900 });
  const message = await client.take("publish", 1);
  assert.equal(message.qos, 1);
  assert.deepEqual(message.properties, { subscriptionIdentifier: 2 });
  await client.disconnect();
});

test("5.0 [MQTT-3.8.3-3] counts No Local for the session: it holds after the client comes back", async () => {
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const topic = unique("t");
  const first = await broker.connect(options);
  await first.subscribe({ topic, nl: true, qos: 1 });
  await first.disconnect();
  const second = await broker.connect(options);
  await second.publish(topic, "own", { qos: 1 });
  await second.expectNothing();
  await second.disconnect(0, { sessionExpiryInterval: 0 });
});

async function withIdentifier(client: RawClient, topic: string, subscriptionIdentifier: number): Promise<void> {
  assert.deepEqual(await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier } }), [1]);
}

function identifiersOf(list: Record<string, unknown>): number[] {
  return ([list.subscriptionIdentifier ?? []].flat() as number[]).sort((a, b) => a - b);
}

for (const identifier of [1, 127, 128, 16_383, 16_384, 2_097_152, 268_435_455]) {
  test(`5.0 [MQTT-3.3.4-3] sends the Subscription Identifier ${identifier} with the message`, async () => {
    const client = await broker.connect();
    const topic = unique("t");
    await withIdentifier(client, topic, identifier);
    await publisher.publish(topic, "x", { qos: 1 });
    assert.deepEqual((await client.expect("publish")).properties, { subscriptionIdentifier: identifier });
    await client.disconnect();
  });
}

test("5.0 [MQTT-3.3.4-3] [MQTT-3.3.4-4] sends the identifiers of all overlapping subscriptions in the one copy", async () => {
  const client = await broker.connect();
  const root = unique("t");
  await withIdentifier(client, `${root}/#`, 5);
  await withIdentifier(client, `${root}/+`, 7);
  await client.subscribe(`${root}/a`, { qos: 1 });
  await publisher.publish(`${root}/a`, "x", { qos: 1 });
  const message = await client.expect("publish", { payload: "x" });
  assert.deepEqual(identifiersOf(message.properties), [5, 7]);
  await publisher.publish(`${root}/b/c`, "y", { qos: 1 });
  assert.deepEqual(identifiersOf((await client.expect("publish", { payload: "y" })).properties), [5]);
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-3.8.4-3] replaces the Subscription Identifier with the subscription, or takes it away", async () => {
  const client = await broker.connect();
  const topic = unique("t");
  await withIdentifier(client, topic, 5);
  await withIdentifier(client, topic, 6);
  await publisher.publish(topic, "x", { qos: 1 });
  assert.deepEqual(identifiersOf((await client.expect("publish")).properties), [6]);
  await client.subscribe(topic, { qos: 1 });
  await publisher.publish(topic, "y", { qos: 1 });
  assert.deepEqual((await client.expect("publish")).properties, {});
  await client.disconnect();
});

test("5.0 [MQTT-3.3.4-3] sends each client its own identifiers", async () => {
  const topic = unique("t");
  const clients: RawClient[] = [];
  for (const identifier of [11, 22, 0]) {
    const client = await broker.connect();
    if (identifier > 0) await withIdentifier(client, topic, identifier);
    else await client.subscribe(topic, { qos: 1 });
    clients.push(client);
  }
  await publisher.publish(topic, "x", { qos: 1 });
  const received = await Promise.all(
    clients.map(async (client) => identifiersOf((await client.expect("publish")).properties)),
  );
  assert.deepEqual(received, [[11], [22], []]);
  for (const client of clients) await client.disconnect();
});

const BAD_PROPERTIES = [
  { name: "Subscription Identifier 0", list: "0b 00", codes: [0x82] },
  { name: "Subscription Identifier twice", list: "0b 01 0b 02", codes: [0x82] },
  { name: "a Subscription Identifier of five bytes", list: "0b ffffffff01", codes: [0x81] },
  { name: "a property that SUBSCRIBE does not have", list: "03 0001 61", codes: [0x81, 0x82] },
];

for (const { name, list, codes } of BAD_PROPERTIES) {
  test(`5.0 [MQTT-4.13.1-1] refuses SUBSCRIBE with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("82", "0001", properties(list), field("t"), "00"));
    await client.expectDisconnect(...codes);
  });
}

test("5.0 [MQTT-3.8.4-1] accepts User Properties in SUBSCRIBE", async () => {
  const client = await broker.connect();
  assert.deepEqual(await client.subscribe(unique("t"), { properties: { userProperties: { a: ["b", "c"] } } }), [0]);
  await client.disconnect();
});

test("refuses a filter with more levels than the limit, and one subscription more than the limit", async () => {
  const small = await startBroker({ limits: { topicLevels: 3, subscriptionsPerSession: 2 } });
  try {
    const client = await small.connect();
    assert.deepEqual(await client.subscribe("a/b/c/d"), [0x8f]);
    assert.deepEqual(await client.subscribe([{ topic: "a/b/c" }, { topic: "b" }, { topic: "c" }]), [0, 0, 0x97]);
    assert.deepEqual(await client.subscribe("b"), [0]);
  } finally {
    await small.stop();
  }
});

const LONG = "x".repeat(200);

for (const { type, name, ids, request } of [
  {
    type: 9,
    name: "suback",
    ids: "5.0 [MQTT-3.9.2-1] [MQTT-3.9.2-2]",
    request: packet("82", "0001 00", field("t"), "00"),
  },
  {
    type: 11,
    name: "unsuback",
    ids: "5.0 [MQTT-3.11.2-1] [MQTT-3.11.2-2]",
    request: packet("a2", "0001 00", field("t")),
  },
] as const) {
  test(`${ids} leaves what would be too large out of ${name.toUpperCase()}`, async () => {
    const list = { reasonString: LONG, userProperties: [["k", LONG]] as const };
    const wordy = await startBroker({
      hooks: [
        {
          name: "wordy",
          onPacketEncode: (_client, sent) => (sent.type === type ? { ...sent, properties: list } : undefined),
        },
      ],
    });
    try {
      for (const { maximumPacketSize, expected } of [
        { maximumPacketSize: 1_000, expected: { reasonString: LONG, userProperties: { k: LONG } } },
        { maximumPacketSize: 300, expected: { reasonString: LONG } },
        { maximumPacketSize: 100, expected: {} },
      ]) {
        const client = await wordy.connect({ properties: { maximumPacketSize } });
        client.sendBytes(request);
        assert.deepEqual((await client.expect(name, { messageId: 1 })).properties, expected);
        client.socket.destroy();
      }
    } finally {
      await wordy.stop();
    }
  });
}
