import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { type RawClient, unique } from "../support/raw-client.ts";

const broker = await startBroker();
after(() => broker.stop());

const VERSIONS = [
  {
    version: 5,
    stored: "5.0 [MQTT-3.3.1-5] [MQTT-3.3.1-9]",
    live: "5.0 [MQTT-3.3.1-12]",
    cleared: "5.0 [MQTT-3.3.1-6] [MQTT-3.3.1-7]",
    untouched: "5.0 [MQTT-3.3.1-8]",
    qos0: "5.0 [MQTT-3.3.1-5]",
    again: "5.0 [MQTT-3.8.4-4] [MQTT-3.3.1-9]",
  },
  {
    version: 4,
    stored: "3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8]",
    live: "3.1.1 [MQTT-3.3.1-9]",
    cleared: "3.1.1 [MQTT-3.3.1-10] [MQTT-3.3.1-11]",
    untouched: "3.1.1 [MQTT-3.3.1-12]",
    qos0: "3.1.1 [MQTT-3.3.1-7]",
    again: "3.1.1 [MQTT-3.8.4-3] [MQTT-3.3.1-8]",
  },
] as const;

async function subscriber(version: 4 | 5, filter: string, qos: 0 | 1 | 2 = 2): Promise<RawClient> {
  const client = await broker.connect({ version });
  assert.deepEqual(await client.subscribe(filter, { qos }), [qos]);
  return client;
}

for (const ids of VERSIONS) {
  const { version } = ids;
  const publisher = await broker.connect({ version });

  for (const qos of [0, 1, 2] as const) {
    test(`${ids.stored} sends a new subscriber the last retained QoS ${qos} message, RETAIN 1 and with its QoS`, async () => {
      const topic = unique("t");
      await publisher.publish(topic, "old", { qos, retain: true });
      await publisher.publish(topic, "new", { qos, retain: true });
      const client = await subscriber(version, topic);
      await client.expect("publish", { topic, payload: "new", qos, retain: true, dup: false });
      await client.expectNothing();
      await client.disconnect();
    });
  }

  test(`${ids.stored} sends the retained messages of all names that a filter matches, and no others`, async () => {
    const root = unique("t");
    for (const name of ["a", "a/b", "a/c", "x/b"])
      await publisher.publish(`${root}/${name}`, name, { qos: 1, retain: true });
    const client = await subscriber(version, `${root}/a/#`);
    const received: string[] = [];
    for (let count = 0; count < 3; count += 1)
      received.push((await client.expect("publish", { retain: true })).payload);
    assert.deepEqual(received.sort(), ["a", "a/b", "a/c"]);
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.live} forwards to an established subscription with RETAIN 0`, async () => {
    const topic = unique("t");
    const client = await subscriber(version, topic);
    await publisher.publish(topic, "x", { qos: 1, retain: true });
    await client.expect("publish", { topic, payload: "x", retain: false });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.cleared} routes an empty retained message, removes what was retained, and stores nothing`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "x", { qos: 1, retain: true });
    const watcher = await subscriber(version, topic);
    await watcher.expect("publish", { payload: "x", retain: true });
    await publisher.publish(topic, "", { qos: 1, retain: true });
    await watcher.expect("publish", { topic, payload: "", retain: false });
    await watcher.expectNothing();
    const later = await subscriber(version, topic);
    await later.expectNothing();
    await watcher.disconnect();
    await later.disconnect();
  });

  test(`${ids.cleared} stores nothing when an empty retained message is the first of its topic`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "", { qos: 1, retain: true });
    const client = await subscriber(version, topic);
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.untouched} leaves the retained message alone when a message with RETAIN 0 comes, empty or not`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "kept", { qos: 1, retain: true });
    await publisher.publish(topic, "passing", { qos: 1 });
    await publisher.publish(topic, "", { qos: 1 });
    const client = await subscriber(version, topic);
    await client.expect("publish", { payload: "kept", retain: true });
    await client.expectNothing();
    const other = unique("t");
    await publisher.publish(other, "passing", { qos: 1 });
    await client.subscribe(other);
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.qos0} replaces a retained QoS 1 message by one of QoS 0`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "old", { qos: 1, retain: true });
    await publisher.publish(topic, "new", { qos: 0, retain: true });
    const client = await subscriber(version, topic);
    await client.expect("publish", { payload: "new", qos: 0, retain: true });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.again} sends retained messages again when the same filter is subscribed again`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "x", { qos: 1, retain: true });
    const client = await subscriber(version, topic, 0);
    await client.expect("publish", { payload: "x", qos: 0, retain: true });
    assert.deepEqual(await client.subscribe(topic, { qos: 1 }), [1]);
    await client.expect("publish", { payload: "x", qos: 1, retain: true });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.stored} sends retained messages after the SUBACK, and by the lesser QoS`, async () => {
    const topic = unique("t");
    await publisher.publish(topic, "x", { qos: 2, retain: true });
    const client = await broker.connect({ version });
    client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
    await client.expect("suback", { granted: [1] });
    await client.expect("publish", { payload: "x", qos: 1, retain: true });
    await client.disconnect();
  });
}

const publisher = await broker.connect();

test("5.0 [MQTT-3.3.1-9] sends retained messages at each subscribe with Retain Handling 0", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true });
  const client = await broker.connect();
  for (let round = 0; round < 3; round += 1) {
    await client.subscribe({ topic, qos: 1, rh: 0 });
    await client.expect("publish", { payload: "x", retain: true });
  }
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-3.3.1-10] sends retained messages with Retain Handling 1 only to a subscription that is new", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true });
  const client = await broker.connect();
  await client.subscribe({ topic, qos: 1, rh: 1 });
  await client.expect("publish", { payload: "x", retain: true });
  await client.subscribe({ topic, qos: 1, rh: 1 });
  await client.expectNothing();
  await client.unsubscribe(topic);
  await client.subscribe({ topic, qos: 1, rh: 1 });
  await client.expect("publish", { payload: "x", retain: true });
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-3.3.1-10] knows a subscription of the stored session for an old one", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true });
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await broker.connect(options);
  await first.subscribe({ topic, rh: 2 });
  await first.disconnect();
  const second = await broker.connect(options);
  await second.subscribe({ topic, rh: 1 });
  await second.expectNothing();
  await second.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 [MQTT-3.3.1-11] sends no retained messages with Retain Handling 2", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true });
  const client = await broker.connect();
  await client.subscribe({ topic, qos: 1, rh: 2 });
  await client.expectNothing();
  await publisher.publish(topic, "live", { qos: 1, retain: true });
  await client.expect("publish", { payload: "live", retain: false });
  await client.disconnect();
});

for (const retain of [true, false]) {
  test(`5.0 [MQTT-3.3.1-13] keeps RETAIN ${Number(retain)} with Retain As Published`, async () => {
    const topic = unique("t");
    const client = await broker.connect();
    await client.subscribe({ topic, rap: true });
    await publisher.publish(topic, "x", { qos: 1, retain });
    await client.expect("publish", { payload: "x", retain });
    await client.disconnect();
  });

  test(`5.0 [MQTT-3.3.1-12] sets RETAIN 0 without Retain As Published when it came as ${Number(retain)}`, async () => {
    const topic = unique("t");
    const client = await broker.connect();
    await client.subscribe({ topic, rap: false });
    await publisher.publish(topic, "x", { qos: 1, retain });
    await client.expect("publish", { payload: "x", retain: false });
    await client.disconnect();
  });
}

test("5.0 [MQTT-3.3.1-5] gives retained messages back with all their properties", async () => {
  const topic = unique("t");
  const list = {
    contentType: "json",
    responseTopic: "r",
    correlationData: Buffer.from("id"),
    userProperties: { a: "b" },
  };
  await publisher.publish(topic, "x", { qos: 1, retain: true, properties: list });
  const client = await broker.connect();
  await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 12 } });
  const message = await client.expect("publish", { payload: "x", retain: true });
  assert.deepEqual(message.properties, { ...list, subscriptionIdentifier: 12 });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.2-5] [MQTT-3.3.2-6] lets a retained message expire, and tells what is left of its time before", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true, properties: { messageExpiryInterval: 5 } });
  await broker.advance(2_000);
  const within = await broker.connect();
  await within.subscribe(topic);
  const message = await within.expect("publish", { payload: "x", retain: true });
  assert.deepEqual(message.properties, { messageExpiryInterval: 3 });
  await broker.advance(3_100);
  const later = await broker.connect({ version: 4 });
  await later.subscribe(topic);
  await later.expectNothing();
});

test("refuses what does not fit into the limit of retained messages with 0x97, and keeps what there is", async () => {
  const small = await startBroker({ limits: { retained: 1 }, mqtt: { sys: { enabled: false } } });
  try {
    const client = await small.connect();
    assert.notEqual(await client.publish("a", "1", { qos: 1, retain: true }), 0x97);
    assert.equal(await client.publish("b", "2", { qos: 1, retain: true }), 0x97);
    assert.notEqual(await client.publish("a", "3", { qos: 1, retain: true }), 0x97);
    await client.subscribe("#");
    await client.expect("publish", { topic: "a", payload: "3", retain: true });
    await client.expectNothing();
  } finally {
    await small.stop();
  }
});
