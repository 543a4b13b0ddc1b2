import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, properties } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());
const publisher = await broker.connect();

async function subscriber(
  topic: string,
  qos: 0 | 1 | 2,
  list: Record<string, unknown>,
  options = {},
): Promise<RawClient> {
  const client = await broker.connect({ ...options, properties: list });
  await client.subscribe(topic, { qos });
  return client;
}

for (const receiveMaximum of [1, 2, 5]) {
  test(`5.0 [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] keeps at most ${receiveMaximum} messages unacknowledged`, async () => {
    const topic = unique("t");
    const client = await subscriber(topic, 2, { receiveMaximum });
    const total = receiveMaximum + 3;
    for (let index = 0; index < total; index += 1) await publisher.publish(topic, `${index}`, { qos: 1 });
    const waiting: number[] = [];
    for (let index = 0; index < receiveMaximum; index += 1) {
      waiting.push((await client.expect("publish", { payload: `${index}` })).messageId);
    }
    await client.expectNothing();
    for (let index = receiveMaximum; index < total; index += 1) {
      client.send({ cmd: "puback", messageId: waiting.shift()! });
      waiting.push((await client.expect("publish", { payload: `${index}`, dup: false })).messageId);
      await client.expectNothing();
    }
    await client.disconnect();
  });
}

test("5.0 [MQTT-3.3.4-9] [MQTT-4.9.0-2] frees the quota of a QoS 2 message at PUBCOMP, not at PUBREC", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 2, { receiveMaximum: 1 });
  await publisher.publish(topic, "1", { qos: 2 });
  await publisher.publish(topic, "2", { qos: 2 });
  const { messageId } = await client.expect("publish", { payload: "1" });
  client.send({ cmd: "pubrec", messageId });
  await client.expect("pubrel", { messageId });
  await client.expectNothing();
  client.send({ cmd: "pubcomp", messageId });
  await client.expect("publish", { payload: "2" });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.4-9] frees the quota at a PUBREC of 0x80 or above", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 2, { receiveMaximum: 1 });
  await publisher.publish(topic, "1", { qos: 2 });
  await publisher.publish(topic, "2", { qos: 2 });
  const { messageId } = await client.expect("publish", { payload: "1" });
  client.send({ cmd: "pubrec", messageId, reasonCode: 0x80 });
  await client.expect("publish", { payload: "2" });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.4-10] [MQTT-4.9.0-3] goes on with all other packets while the quota is used up", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 1, { receiveMaximum: 1 });
  await publisher.publish(topic, "1", { qos: 1 });
  await publisher.publish(topic, "2", { qos: 1 });
  await client.expect("publish", { payload: "1" });
  await client.expectNothing();
  const other = unique("t");
  assert.deepEqual(await client.subscribe(other), [0]);
  assert.equal(await client.publish(unique("t"), "x", { qos: 1 }), 0x10);
  assert.equal(await client.publish(unique("t"), "x", { qos: 2 }), 0x10);
  await publisher.publish(other, "qos 0");
  await client.expect("publish", { topic: other, qos: 0 });
  assert.deepEqual(await client.unsubscribe(other), [0]);
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-4.9.0-1] [MQTT-4.4.0-1] sends again no more at once than the Receive Maximum of the new connection", async () => {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false };
  const client = await subscriber(topic, 1, { sessionExpiryInterval: 100, receiveMaximum: 3 }, options);
  for (const payload of ["1", "2", "3", "4"]) await publisher.publish(topic, payload, { qos: 1 });
  for (const payload of ["1", "2", "3"]) await client.expect("publish", { payload });
  await client.drop();
  const back = await broker.connect({ ...options, properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  for (const payload of ["1", "2", "3"]) {
    const { messageId } = await back.expect("publish", { payload, dup: true });
    await back.expectNothing();
    back.send({ cmd: "puback", messageId });
  }
  await back.expect("publish", { payload: "4", dup: false });
  await back.disconnect();
});

test("5.0 [MQTT-3.3.4-7] answers more unreleased QoS 2 messages than its Receive Maximum with DISCONNECT 0x93", async () => {
  const narrow = await startBroker({ mqtt: { receiveMaximum: 2 } });
  try {
    const client = await narrow.connect();
    assert.equal(client.connack.properties.receiveMaximum, 2);
    client.sendPublish("t", "1", { qos: 2, messageId: 1 });
    client.sendPublish("t", "2", { qos: 2, messageId: 2 });
    await client.expect("pubrec", { messageId: 1 });
    await client.expect("pubrec", { messageId: 2 });
    // A repetition is not one more.
    client.sendPublish("t", "2", { qos: 2, messageId: 2, dup: true });
    await client.expect("pubrec", { messageId: 2 });
    client.sendPublish("t", "3", { qos: 2, messageId: 3 });
    await client.expectDisconnect(0x93);
  } finally {
    await narrow.stop();
  }
});

for (const qos of [0, 1, 2] as const) {
  test(`5.0 [MQTT-3.1.2-24] [MQTT-3.1.2-25] drops a QoS ${qos} message too large for the client, and goes on as if it was sent`, async () => {
    const topic = unique("t");
    const overhead = 2 + 2 + topic.length + 1 + (qos > 0 ? 2 : 0);
    const client = await subscriber(topic, qos, { maximumPacketSize: 100, receiveMaximum: 1 });
    await publisher.publish(topic, "y".repeat(100 - overhead + 1), { qos });
    await publisher.publish(topic, "y".repeat(100 - overhead), { qos });
    const fits = await client.expect("publish", { payload: "y".repeat(100 - overhead) });
    assert.equal(fits.bytes.length, 100);
    await client.expectNothing();
    await client.disconnect();
  });
}

test("5.0 [MQTT-3.1.2-25] drops nothing for others because it is too large for one", async () => {
  const topic = unique("t");
  const narrow = await subscriber(topic, 1, { maximumPacketSize: 60 });
  const wide = await subscriber(topic, 1, {});
  await publisher.publish(topic, "y".repeat(100), { qos: 1 });
  await wide.expect("publish", { payload: "y".repeat(100) });
  await narrow.expectNothing();
  await narrow.disconnect();
  await wide.disconnect();
});

test("5.0 [MQTT-3.1.2-25] drops a stored message too large for the connection the client returns by", async () => {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false };
  const client = await subscriber(topic, 1, { sessionExpiryInterval: 100 }, options);
  await client.disconnect();
  await publisher.publish(topic, "y".repeat(100), { qos: 1 });
  await publisher.publish(topic, "small", { qos: 1 });
  const back = await broker.connect({ ...options, properties: { sessionExpiryInterval: 100, maximumPacketSize: 60 } });
  await back.expect("publish", { payload: "small" });
  await back.expectNothing();
  await back.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 [MQTT-3.1.2-24] counts the whole packet: properties, too", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 0, { maximumPacketSize: 60 });
  await publisher.publish(topic, "x", { properties: { userProperties: { key: "v".repeat(60) } } });
  await client.expectNothing();
  await publisher.publish(topic, "x", { properties: { userProperties: { key: "v" } } });
  await client.expect("publish", { payload: "x" });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.2-7] [MQTT-3.3.2-12] takes every Topic Alias up to its maximum for the name it was set to", async () => {
  const client = await broker.connect();
  const maximum = client.connack.properties.topicAliasMaximum as number;
  assert.ok(maximum > 0);
  const root = unique("t");
  await client.subscribe(`${root}/#`);
  const alias = (value: number) => properties("23", Buffer.from([value >> 8, value & 0xff]));
  for (let value = 1; value <= maximum; value += 1) {
    client.sendBytes(packet("30", field(`${root}/${value}`), alias(value), "61"));
    await client.expect("publish", { topic: `${root}/${value}`, payload: "a" });
  }
  for (let value = maximum; value >= 1; value -= 1) {
    client.sendBytes(packet("30", field(""), alias(value), "62"));
    await client.expect("publish", { topic: `${root}/${value}`, payload: "b" });
  }
  client.sendBytes(packet("30", field(`${root}/other`), alias(1), "63"));
  await client.expect("publish", { topic: `${root}/other` });
  client.sendBytes(packet("30", field(""), alias(1), "64"));
  await client.expect("publish", { topic: `${root}/other`, payload: "d" });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.2-7] forgets Topic Aliases with the connection", async () => {
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await broker.connect(options);
  first.sendBytes(packet("30", field("some/name"), properties("23 0001"), "61"));
  await first.expectNothing();
  await first.drop();
  const second = await broker.connect(options);
  assert.equal(second.connack.sessionPresent, true);
  second.sendBytes(packet("30", field(""), properties("23 0001"), "62"));
  await second.expectDisconnect(0x82, 0x94);
});

test("5.0 [MQTT-3.3.2-8] answers Topic Alias 0 with DISCONNECT 0x94", async () => {
  const client = await broker.connect();
  client.sendBytes(packet("30", field("t"), properties("23 0000"), "61"));
  await client.expectDisconnect(0x94);
});

test("5.0 [MQTT-3.2.2-17] [MQTT-3.3.2-9] answers a Topic Alias above its maximum with DISCONNECT 0x94", async () => {
  const client = await broker.connect();
  const above = (client.connack.properties.topicAliasMaximum as number) + 1;
  client.sendBytes(packet("30", field("t"), properties("23", Buffer.from([above >> 8, above & 0xff])), "61"));
  await client.expectDisconnect(0x94);
});

test("5.0 [MQTT-3.2.2-18] takes no Topic Alias where it announces none", async () => {
  const without = await startBroker({ mqtt: { topicAliasMaximum: 0 } });
  try {
    const client = await without.connect();
    assert.equal(client.connack.properties.topicAliasMaximum, undefined);
    client.sendBytes(packet("30", field("t"), properties("23 0001"), "61"));
    await client.expectDisconnect(0x94);
  } finally {
    await without.stop();
  }
});

test("5.0 [MQTT-3.3.2-12] takes an unknown Topic Alias without a name for a Protocol Error", async () => {
  const client = await broker.connect();
  client.sendBytes(packet("30", field(""), properties("23 0003"), "61"));
  await client.expectDisconnect(0x82);
});

test("5.0 [MQTT-3.1.2-27] forwards no alias of the publisher's to anybody", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 0, { topicAliasMaximum: 10 });
  publisher.sendBytes(packet("30", field(topic), properties("23 0005"), "61"));
  publisher.sendBytes(packet("30", field(""), properties("23 0005"), "62"));
  await client.expectBytes(packet("30", field(topic), "00 61"));
  await client.expectBytes(packet("30", field(topic), "00 62"));
  await client.disconnect();
});

test("5.0 [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11] sends aliases up to the client's maximum, and none without", async () => {
  const automatic = await startBroker({ mqtt: { autoTopicAlias: true } });
  try {
    const by = await automatic.connect();
    const names = ["a", "b", "c", "a", "b", "c", "a"].map((name) => `some/long/topic/name/${name}`);
    for (const topicAliasMaximum of [0, 1, 2, 3]) {
      const list = topicAliasMaximum === 0 ? {} : { topicAliasMaximum };
      const client = await automatic.connect({ properties: list });
      await client.subscribe("some/#");
      const known = new Map<number, string>();
      let used = 0;
      for (const name of names) {
        await by.publish(name, "x");
        const message = await client.expect("publish", { payload: "x" });
        const alias = message.properties.topicAlias as number | undefined;
        if (alias !== undefined) {
          used += 1;
          assert.ok(alias >= 1 && alias <= topicAliasMaximum, `alias ${alias} of ${topicAliasMaximum}`);
          if (message.topic !== "") known.set(alias, message.topic);
        }
        assert.equal(message.topic === "" ? known.get(alias!) : message.topic, name);
      }
      assert.equal(used > 0, topicAliasMaximum > 0);
      await client.disconnect();
    }
  } finally {
    await automatic.stop();
  }
});

test("5.0 [MQTT-3.3.2-5] deletes a waiting message whose Message Expiry Interval has passed", async () => {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  await (await subscriber(topic, 1, { sessionExpiryInterval: 100 }, options)).disconnect();
  await publisher.publish(topic, "short", { qos: 1, properties: { messageExpiryInterval: 2 } });
  await publisher.publish(topic, "long", { qos: 1, properties: { messageExpiryInterval: 50 } });
  await publisher.publish(topic, "ever", { qos: 1 });
  await broker.advance(3_000);
  const back = await broker.connect(options);
  assert.deepEqual((await back.expect("publish", { payload: "long" })).properties, { messageExpiryInterval: 47 });
  assert.deepEqual((await back.expect("publish", { payload: "ever" })).properties, {});
  await back.expectNothing();
  await back.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 [MQTT-3.3.2-6] forwards the whole interval when a message did not wait", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 1, {});
  await publisher.publish(topic, "x", { qos: 1, properties: { messageExpiryInterval: 0xffff_ffff } });
  assert.deepEqual((await client.expect("publish")).properties, { messageExpiryInterval: 0xffff_ffff });
  await client.disconnect();
});

test("5.0 [MQTT-3.3.2-5] lets messages expire that wait for the quota of a connected client", async () => {
  const topic = unique("t");
  const client = await subscriber(topic, 1, { receiveMaximum: 1 });
  await publisher.publish(topic, "1", { qos: 1 });
  await publisher.publish(topic, "2", { qos: 1, properties: { messageExpiryInterval: 2 } });
  await publisher.publish(topic, "3", { qos: 1 });
  const { messageId } = await client.expect("publish", { payload: "1" });
  await broker.advance(3_000);
  client.send({ cmd: "puback", messageId });
  await client.expect("publish", { payload: "3" });
  await client.disconnect();
});

test("5.0 [MQTT-4.3.3-7] [MQTT-4.3.3-13] completes QoS 2 although the message expired after it was sent", async () => {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const client = await subscriber(topic, 2, { sessionExpiryInterval: 100 }, options);
  await publisher.publish(topic, "x", { qos: 2, properties: { messageExpiryInterval: 2 } });
  const { messageId } = await client.expect("publish", { payload: "x", qos: 2 });
  await client.drop();
  await broker.advance(5_000);
  const back = await broker.connect(options);
  await back.expect("publish", { payload: "x", qos: 2, dup: true, messageId });
  back.send({ cmd: "pubrec", messageId });
  await back.expect("pubrel", { messageId });
  back.send({ cmd: "pubcomp", messageId });
  await back.expectNothing();
  await back.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 [MQTT-4.3.3-13] answers PUBREL by PUBCOMP although the message expired meanwhile", async () => {
  const client = await broker.connect();
  client.sendPublish(unique("t"), "x", { qos: 2, messageId: 4, properties: { messageExpiryInterval: 1 } });
  await client.expect("pubrec", { messageId: 4 });
  await broker.advance(5_000);
  client.send({ cmd: "pubrel", messageId: 4 });
  await client.expect("pubcomp", { messageId: 4, reasonCode: 0 });
  await client.disconnect();
});
