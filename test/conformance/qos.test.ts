import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { type RawClient, unique } from "../support/raw-client.ts";
import { field, packet } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

/** A publisher, and a subscriber with a session that outlives its connection. */
async function pair(version: 4 | 5, qos: 0 | 1 | 2 = 2): Promise<Pair> {
  const topic = unique("t");
  const clientId = unique("s");
  const options = { version, clientId, clean: false, properties: { sessionExpiryInterval: 1_000 } };
  const subscriber = await broker.connect(options);
  await subscriber.subscribe(topic, { qos });
  const again = async (properties: Record<string, unknown> = {}) => {
    const client = await broker.connect({ ...options, properties: { ...options.properties, ...properties } });
    assert.equal(client.connack.sessionPresent, true);
    return client;
  };
  const publisher = await broker.connect({ version });
  return { topic, subscriber, publisher, again };
}

interface Pair {
  topic: string;
  subscriber: RawClient;
  publisher: RawClient;
  /** Connects the subscriber anew to its session. */
  again: (properties?: Record<string, unknown>) => Promise<RawClient>;
}

const VERSIONS = [
  {
    version: 5,
    qos1: "5.0 [MQTT-4.3.2-1] [MQTT-4.3.2-2]",
    unacknowledged1: "5.0 [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1]",
    owned1: "5.0 [MQTT-4.3.2-4] [MQTT-2.2.1-5]",
    new1: "5.0 [MQTT-4.3.2-5]",
    qos2: "5.0 [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-2.2.1-5]",
    unacknowledged2: "5.0 [MQTT-4.3.3-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1]",
    pubrel: "5.0 [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1]",
    owned2: "5.0 [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-2.2.1-5]",
    twice2: "5.0 [MQTT-4.3.3-10]",
    new2: "5.0 [MQTT-4.3.3-12]",
    once: "5.0 [MQTT-4.4.0-1]",
    order: "5.0 [MQTT-4.6.0-5] [MQTT-4.6.0-6]",
    pubacks: "5.0 §4.6, as clients have to,",
    pubrecs: "5.0 §4.6, as clients have to,",
    pubrels: "5.0 §4.6, as clients have to,",
    identifiers: "5.0 [MQTT-2.2.1-4]",
    lesser: "5.0 [MQTT-3.8.4-8]",
  },
  {
    version: 4,
    qos1: "3.1.1 [MQTT-4.3.2-1] [MQTT-2.3.1-4]",
    unacknowledged1: "3.1.1 [MQTT-4.3.2-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1]",
    owned1: "3.1.1 [MQTT-4.3.2-2] [MQTT-2.3.1-6]",
    new1: "3.1.1 [MQTT-4.3.2-2]",
    qos2: "3.1.1 [MQTT-4.3.3-1] [MQTT-2.3.1-6]",
    unacknowledged2: "3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1]",
    pubrel: "3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1]",
    owned2: "3.1.1 [MQTT-4.3.3-2] [MQTT-2.3.1-6]",
    twice2: "3.1.1 [MQTT-4.3.3-2]",
    new2: "3.1.1 [MQTT-4.3.3-2]",
    once: "3.1.1 [MQTT-4.4.0-1]",
    order: "3.1.1 [MQTT-4.6.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6]",
    pubacks: "3.1.1 [MQTT-4.6.0-2]",
    pubrecs: "3.1.1 [MQTT-4.6.0-3]",
    pubrels: "3.1.1 [MQTT-4.6.0-4]",
    identifiers: "3.1.1 [MQTT-2.3.1-4]",
    lesser: "3.1.1 [MQTT-3.8.4-6]",
  },
] as const;

for (const ids of VERSIONS) {
  const { version } = ids;

  test(`${ids.qos1} sends QoS 1 with a non-zero identifier and DUP 0, and is done with PUBACK`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    await publisher.publish(topic, "one", { qos: 1 });
    const { messageId } = await subscriber.expect("publish", {
      topic,
      payload: "one",
      qos: 1,
      dup: false,
      retain: false,
    });
    assert.ok(messageId > 0);
    subscriber.send({ cmd: "puback", messageId });
    await subscriber.expectNothing();
    await subscriber.drop();
    await (await again()).expectNothing();
  });

  test(`${ids.unacknowledged1} sends QoS 1 again, DUP 1 and the same identifier, to who returns without PUBACK`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    await publisher.publish(topic, "one", { qos: 1 });
    const first = await subscriber.expect("publish", { payload: "one", dup: false });
    await subscriber.drop();
    const second = await again();
    await second.expect("publish", { topic, payload: "one", qos: 1, dup: true, messageId: first.messageId });
    await second.drop();
    const third = await again();
    await third.expect("publish", { payload: "one", dup: true, messageId: first.messageId });
    third.send({ cmd: "puback", messageId: first.messageId });
    await third.expectNothing();
    await third.drop();
    await (await again()).expectNothing();
  });

  test(`${ids.owned1} answers QoS 1 by PUBACK of the same identifier`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await broker.connect().then((subscriber) => subscriber.subscribe(topic));
    for (const messageId of [1, 2, 0x100, 0xffff]) {
      client.sendPublish(topic, "x", { qos: 1, messageId });
      await client.expectBytes("40 02", Buffer.from([messageId >> 8, messageId & 0xff]));
    }
    await client.disconnect();
  });

  test(`${ids.new1} takes the identifier for a new message after PUBACK, whatever DUP says`, async () => {
    const { topic, subscriber, publisher } = await pair(version, 0);
    for (const dup of [false, true, true]) {
      await publisher.publish(topic, `dup ${dup}`, { qos: 1, messageId: 5, dup });
    }
    for (const dup of [false, true, true]) await subscriber.expect("publish", { payload: `dup ${dup}` });
    await subscriber.expectNothing();
  });

  test(`${ids.qos2} sends QoS 2 in four steps, each once and with one identifier`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    await publisher.publish(topic, "two", { qos: 2 });
    const { messageId } = await subscriber.expect("publish", { topic, payload: "two", qos: 2, dup: false });
    assert.ok(messageId > 0);
    await subscriber.expectNothing();
    subscriber.send({ cmd: "pubrec", messageId });
    await subscriber.expectBytes("62 02", Buffer.from([messageId >> 8, messageId & 0xff]));
    await subscriber.expectNothing();
    subscriber.send({ cmd: "pubcomp", messageId });
    await subscriber.expectNothing();
    await subscriber.drop();
    await (await again()).expectNothing();
  });

  test(`${ids.unacknowledged2} sends QoS 2 again, DUP 1 and the same identifier, to who returns without PUBREC`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    await publisher.publish(topic, "two", { qos: 2 });
    const { messageId } = await subscriber.expect("publish", { payload: "two", dup: false });
    await subscriber.drop();
    const second = await again();
    await second.expect("publish", { topic, payload: "two", qos: 2, dup: true, messageId });
    second.send({ cmd: "pubrec", messageId });
    await second.expect("pubrel", { messageId });
  });

  test(`${ids.pubrel} sends PUBREL again, and not PUBLISH, to who returns after PUBREC`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    await publisher.publish(topic, "two", { qos: 2 });
    const { messageId } = await subscriber.expect("publish", { payload: "two" });
    subscriber.send({ cmd: "pubrec", messageId });
    await subscriber.expect("pubrel", { messageId });
    await subscriber.drop();
    const second = await again();
    await second.expect("pubrel", { messageId });
    await second.expectNothing();
    await second.drop();
    const third = await again();
    await third.expect("pubrel", { messageId, reasonCode: 0 });
    third.send({ cmd: "pubcomp", messageId });
    await third.expectNothing();
    await third.drop();
    await (await again()).expectNothing();
  });

  test(`${ids.owned2} answers QoS 2 by PUBREC, and PUBREL by PUBCOMP, of the same identifier`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await broker.connect().then((subscriber) => subscriber.subscribe(topic));
    client.sendPublish(topic, "x", { qos: 2, messageId: 0x0203 });
    await client.expectBytes("50 02 0203");
    client.sendBytes("62 02 0203");
    await client.expectBytes("70 02 0203");
    await client.disconnect();
  });

  test(`${ids.twice2} answers each repetition before PUBREL by PUBREC, and delivers once`, async () => {
    const { topic, subscriber, publisher } = await pair(version);
    publisher.sendPublish(topic, "two", { qos: 2, messageId: 9 });
    await publisher.expect("pubrec", { messageId: 9, reasonCode: 0 });
    for (const dup of [true, false, true]) {
      publisher.sendPublish(topic, "two", { qos: 2, messageId: 9, dup });
      await publisher.expect("pubrec", { messageId: 9, reasonCode: 0 });
    }
    publisher.send({ cmd: "pubrel", messageId: 9 });
    await publisher.expect("pubcomp", { messageId: 9 });
    await subscriber.expect("publish", { payload: "two" });
    await subscriber.expectNothing();
  });

  test(`${ids.twice2} delivers once although the sender loses its connection between PUBLISH and PUBREL`, async () => {
    const { topic, subscriber } = await pair(version);
    const clientId = unique("p");
    const options = { version, clientId, clean: false, properties: { sessionExpiryInterval: 100 } };
    const first = await broker.connect(options);
    first.sendPublish(topic, "two", { qos: 2, messageId: 9 });
    await first.expect("pubrec", { messageId: 9 });
    await first.drop();
    const second = await broker.connect(options);
    second.sendPublish(topic, "two", { qos: 2, messageId: 9, dup: true });
    await second.expect("pubrec", { messageId: 9 });
    second.send({ cmd: "pubrel", messageId: 9 });
    await second.expect("pubcomp", { messageId: 9, reasonCode: 0 });
    await subscriber.expect("publish", { payload: "two" });
    await subscriber.expectNothing();
  });

  test(`${ids.new2} takes the identifier for a new message after PUBCOMP`, async () => {
    const { topic, subscriber, publisher } = await pair(version, 0);
    await publisher.publish(topic, "first", { qos: 2, messageId: 9 });
    await publisher.publish(topic, "second", { qos: 2, messageId: 9, dup: true });
    await subscriber.expect("publish", { payload: "first" });
    await subscriber.expect("publish", { payload: "second" });
    await subscriber.expectNothing();
  });

  test(`${ids.once} sends nothing again while the connection lasts`, async () => {
    const { topic, subscriber, publisher } = await pair(version);
    await publisher.publish(topic, "one", { qos: 1 });
    await publisher.publish(topic, "two", { qos: 2 });
    await subscriber.expect("publish", { payload: "one" });
    const { messageId } = await subscriber.expect("publish", { payload: "two" });
    subscriber.send({ cmd: "pubrec", messageId });
    await subscriber.expect("pubrel", { messageId });
    await broker.advance(120_000);
    await subscriber.expectNothing();
  });

  for (const qos of [0, 1, 2] as const) {
    test(`${ids.order} keeps the order of QoS ${qos} messages of one client and topic`, async () => {
      const { topic, subscriber, publisher } = await pair(version, qos);
      const payloads = Array.from({ length: 40 }, (_, index) => `${index}`);
      for (const payload of payloads) publisher.sendPublish(topic, payload, { qos });
      for (const payload of payloads) await subscriber.expect("publish", { payload, qos });
      await subscriber.disconnect();
    });
  }

  test(`${ids.order} keeps the order of what is sent again, and sends what is new after it`, async () => {
    const { topic, subscriber, publisher, again } = await pair(version);
    for (const payload of ["a", "b", "c"]) await publisher.publish(topic, payload, { qos: 1 });
    const identifiers: number[] = [];
    for (const payload of ["a", "b", "c"])
      identifiers.push((await subscriber.expect("publish", { payload })).messageId);
    subscriber.send({ cmd: "puback", messageId: identifiers[1]! });
    await subscriber.expectNothing();
    await subscriber.drop();
    await publisher.publish(topic, "d", { qos: 1 });
    const second = await again();
    await second.expect("publish", { payload: "a", dup: true, messageId: identifiers[0]! });
    await second.expect("publish", { payload: "c", dup: true, messageId: identifiers[2]! });
    await second.expect("publish", { payload: "d", dup: false });
    await second.expectNothing();
  });

  for (const { qos, ack, statement } of [
    { qos: 1, ack: "puback", statement: ids.pubacks },
    { qos: 2, ack: "pubrec", statement: ids.pubrecs },
  ] as const) {
    test(`${statement} sends each ${ack.toUpperCase()} in the order in which the messages came`, async () => {
      const { topic, subscriber, publisher } = await pair(version);
      // Some are for a stored session, some for nobody: what has to be kept must not be overtaken by what has not.
      const identifiers = Array.from({ length: 30 }, (_, index) => 500 - index);
      for (const messageId of identifiers) {
        publisher.sendPublish(messageId % 3 === 0 ? unique("nobody") : topic, "x", { qos, messageId });
      }
      for (const messageId of identifiers) await publisher.expect(ack, { messageId });
      await publisher.disconnect();
      await subscriber.disconnect();
    });
  }

  test(`${ids.pubrels} sends each PUBREL in the order in which the PUBRECs came`, async () => {
    const { topic, subscriber, publisher } = await pair(version);
    const identifiers: number[] = [];
    for (let index = 0; index < 10; index += 1) {
      await publisher.publish(topic, `${index}`, { qos: 2 });
      identifiers.push((await subscriber.expect("publish", { payload: `${index}` })).messageId);
    }
    identifiers.reverse();
    for (const messageId of identifiers) subscriber.send({ cmd: "pubrec", messageId });
    for (const messageId of identifiers) await subscriber.expect("pubrel", { messageId });
    await publisher.disconnect();
    await subscriber.disconnect();
  });

  test(`${ids.identifiers} gives no two unacknowledged messages one identifier`, async () => {
    const { topic, subscriber, publisher } = await pair(version);
    const count = 90;
    for (let index = 0; index < count; index += 1)
      publisher.sendPublish(topic, `${index}`, { qos: index % 2 === 0 ? 1 : 2 });
    const identifiers = new Set<number>();
    for (let index = 0; index < count; index += 1) {
      const { messageId, payload } = await subscriber.expect("publish", { payload: `${index}` });
      identifiers.add(messageId);
      // Every third stays unacknowledged until the end.
      if (index % 3 === 0 && Number(payload) % 2 === 0) subscriber.send({ cmd: "puback", messageId });
    }
    assert.equal(identifiers.has(0), false);
    assert.ok(identifiers.size >= count - Math.ceil(count / 6), `${identifiers.size} different identifiers`);
    await subscriber.disconnect();
  });

  for (const granted of [0, 1, 2] as const) {
    test(`${ids.lesser} delivers to a QoS ${granted} subscription by the lesser of both QoS`, async () => {
      const { topic, subscriber, publisher } = await pair(version, granted);
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish(topic, `${qos}`, { qos });
        await subscriber.expect("publish", { payload: `${qos}`, qos: Math.min(qos, granted) });
      }
      await subscriber.disconnect();
    });
  }
}

test("5.0 [MQTT-4.4.0-2] takes a PUBACK of 0x80 or above for an acknowledgement", async () => {
  const { topic, subscriber, publisher, again } = await pair(5);
  await publisher.publish(topic, "one", { qos: 1 });
  const { messageId } = await subscriber.expect("publish");
  subscriber.send({ cmd: "puback", messageId, reasonCode: 0x97 });
  await subscriber.expectNothing();
  await subscriber.drop();
  await (await again()).expectNothing();
});

test("5.0 [MQTT-4.4.0-2] [MQTT-4.3.3-4] ends QoS 2 at a PUBREC of 0x80 or above, without PUBREL", async () => {
  const { topic, subscriber, publisher, again } = await pair(5);
  await publisher.publish(topic, "two", { qos: 2 });
  const { messageId } = await subscriber.expect("publish");
  subscriber.send({ cmd: "pubrec", messageId, reasonCode: 0x83 });
  await subscriber.expectNothing();
  await subscriber.drop();
  await (await again()).expectNothing();
});

test("5.0 [MQTT-4.3.3-4] answers a PUBREC with 0x10 by PUBREL", async () => {
  const { topic, subscriber, publisher } = await pair(5);
  await publisher.publish(topic, "two", { qos: 2 });
  const { messageId } = await subscriber.expect("publish");
  subscriber.send({ cmd: "pubrec", messageId, reasonCode: 0x10 });
  await subscriber.expect("pubrel", { messageId, reasonCode: 0 });
});

test("5.0 [MQTT-4.3.3-9] takes the identifier for a new message after refusing it with 0x80 or above", async () => {
  const guarded = await startBroker({
    hooks: [{ name: "guard", onACLCheck: (_client, topic, write) => !(write && topic === "no") }],
  });
  try {
    const subscriber = await guarded.connect();
    await subscriber.subscribe("yes");
    const client = await guarded.connect();
    client.sendPublish("no", "x", { qos: 2, messageId: 3 });
    await client.expect("pubrec", { messageId: 3, reasonCode: 0x87 });
    client.sendPublish("yes", "x", { qos: 2, messageId: 3 });
    await client.expect("pubrec", { messageId: 3, reasonCode: 0 });
    client.send({ cmd: "pubrel", messageId: 3 });
    await client.expect("pubcomp", { messageId: 3, reasonCode: 0 });
    await subscriber.expect("publish", { topic: "yes" });
    await subscriber.expectNothing();
  } finally {
    await guarded.stop();
  }
});

test("5.0 [MQTT-4.5.0-1], 3.1.1 [MQTT-4.5.0-1] adds a message to the session of each matching client, of any version", async () => {
  const topic = unique("t");
  const clients: RawClient[] = [];
  for (const version of [5, 4, 3, 5, 4, 3] as const) {
    const client = await broker.connect({ version });
    await client.subscribe(topic, { qos: 1 });
    clients.push(client);
  }
  const publisher = await broker.connect();
  await publisher.publish(topic, "all", { qos: 1 });
  for (const client of clients) {
    const { bytes, messageId } = await client.expect("publish", { topic, payload: "all", qos: 1 });
    const none = client.version === 5 ? "00" : "";
    const identifier = Buffer.from([messageId >> 8, messageId & 0xff]);
    assert.deepEqual(bytes, packet("32", field(topic), identifier, none, Buffer.from("all")));
    await client.expectNothing();
    await client.disconnect();
  }
});
