import assert from "node:assert/strict";
import { connect, type RawClient } from "../support/raw-client.ts";

/**
 * A small life in which every type of record comes to be, and what a broker must know of it later: what the fixtures of
 * earlier formats hold. It is the same for all of them.
 */

/** A session of 5.0 that stays for ever. */
const STAYS = { sessionExpiryInterval: 0xffff_ffff };

const BINARY = Buffer.from([0, 255, 128, 10]);

/**
 * Lives it at a broker that allows everything. Those who are still connected at the end are returned: the broker is to be killed
 * while they are, and their wills are due then.
 */
export async function live(port: number): Promise<RawClient[]> {
  const hand = await connect(port, { clientId: "hand" });
  await retain(hand);

  const old = await connect(port, { clientId: "old", version: 4, clean: false });
  assert.deepEqual(await old.subscribe("orders/#", { qos: 2 }), [2]);
  await old.drop();
  const young = await connect(port, { clientId: "young", clean: false, properties: STAYS });
  await young.subscribe("orders/#", { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await young.drop();
  const worker = await connect(port, { clientId: "worker", clean: false, properties: STAYS });
  await worker.subscribe("$share/workers/jobs", { qos: 1 });
  await worker.drop();

  // One waits for two, one for a share, and QoS 2 is finished and not.
  assert.equal(await hand.publish("orders/1", "first", { qos: 1 }), 0);
  const properties = { contentType: "text/plain", userProperties: { from: "hand" }, correlationData: BINARY };
  assert.equal(await hand.publish("orders/2", "second", { qos: 2, properties }), 0);
  assert.equal(await hand.publish("jobs", "dig", { qos: 1 }), 0);

  // Received and not released.
  const halfway = await connect(port, { clientId: "halfway", version: 4, clean: false });
  halfway.sendPublish("orders/3", "third", { qos: 2, messageId: 77 });
  await halfway.take("pubrec", 77);

  // Sent and not acknowledged, and acknowledged half.
  const slow = await connect(port, { clientId: "slow", version: 4, clean: false });
  await slow.subscribe([
    { topic: "slow/1", qos: 1 },
    { topic: "slow/2", qos: 2 },
  ]);
  await hand.publish("slow/2", "two", { qos: 2 });
  const two = await slow.expect("publish", { topic: "slow/2", qos: 2 });
  slow.send({ cmd: "pubrec", messageId: two.messageId });
  await slow.take("pubrel", two.messageId);
  await hand.publish("slow/1", "one", { qos: 1 });
  await slow.expect("publish", { topic: "slow/1", qos: 1, dup: false });

  const will = { topic: "wills/mortal", payload: "gone", qos: 1, retain: true } as const;
  const mortal = await connect(port, { clientId: "mortal", clean: false, properties: STAYS, will });
  return [hand, halfway, slow, mortal];
}

async function retain(hand: RawClient): Promise<void> {
  await hand.publish("house/1/name", "Küche", { qos: 1, retain: true });
  await hand.publish("house/2/name", BINARY, { qos: 2, retain: true });
  const properties = { contentType: "application/json", messageExpiryInterval: 4_000_000_000 };
  await hand.publish("house/3/state", "{}", { qos: 1, retain: true, properties });
  // One that was taken back does not come to life again.
  await hand.publish("house/4/name", "attic", { qos: 1, retain: true });
  await hand.publish("house/4/name", "", { qos: 1, retain: true });
}

/** Demands of a broker that it has all of it, as the clients see it. Afterwards it has not any more. */
export async function demandLife(port: number): Promise<void> {
  await demandQueues(port);
  await demandUnderWay(port);
  await demandRetained(port);
}

async function demandQueues(port: number): Promise<void> {
  const old = await connect(port, { clientId: "old", version: 4, clean: false });
  assert.equal(old.connack.sessionPresent, true, "the session of MQTT 3.1.1");
  await take(old, { topic: "orders/1", payload: "first", qos: 1, retain: false });
  await take(old, { topic: "orders/2", payload: "second", qos: 2, retain: false });
  await take(old, { topic: "orders/3", payload: "third", qos: 2, retain: false });
  await old.expectNothing();

  const young = await connect(port, { clientId: "young", clean: false, properties: STAYS });
  assert.equal(young.connack.sessionPresent, true, "the session of MQTT 5.0");
  const first = await take(young, { topic: "orders/1", payload: "first", qos: 1 });
  assert.equal(first.properties.subscriptionIdentifier, 7);
  const second = await take(young, { topic: "orders/2", payload: "second", qos: 1 });
  assert.equal(second.properties.contentType, "text/plain");
  assert.deepEqual({ ...(second.properties.userProperties as object) }, { from: "hand" });
  assert.deepEqual(second.properties.correlationData, BINARY);
  await take(young, { topic: "orders/3", payload: "third", qos: 1 });
  await young.expectNothing();

  const worker = await connect(port, { clientId: "worker", clean: false, properties: STAYS });
  await take(worker, { topic: "jobs", payload: "dig", qos: 1 });
  await worker.expectNothing();
  // The subscriptions are there too, not only what waited.
  await worker.publish("orders/9", "anew", { qos: 1 });
  await take(old, { topic: "orders/9", payload: "anew", qos: 1 });
  await worker.publish("jobs", "again", { qos: 1 });
  await take(worker, { topic: "jobs", payload: "again", qos: 1 });
  for (const client of [old, young, worker]) await client.drop();
}

async function demandUnderWay(port: number): Promise<void> {
  const listener = await connect(port, { clientId: "listener" });
  await listener.subscribe("orders/3", { qos: 1 });
  const halfway = await connect(port, { clientId: "halfway", version: 4, clean: false });
  assert.equal(halfway.connack.sessionPresent, true, "the session of a publisher");
  halfway.sendPublish("orders/3", "third", { qos: 2, messageId: 77, dup: true });
  await halfway.take("pubrec", 77);
  halfway.send({ cmd: "pubrel", messageId: 77 });
  await halfway.take("pubcomp", 77);
  // It had been handed on before, so this was the same message once more.
  await listener.expectNothing();

  const slow = await connect(port, { clientId: "slow", version: 4, clean: false });
  const pubrel = await slow.expect("pubrel");
  slow.send({ cmd: "pubcomp", messageId: pubrel.messageId });
  const one = await slow.expect("publish", { topic: "slow/1", payload: "one", qos: 1, dup: true });
  slow.send({ cmd: "puback", messageId: one.messageId });
  await slow.expectNothing();
  for (const client of [listener, halfway, slow]) await client.drop();
}

async function demandRetained(port: number): Promise<void> {
  const reader = await connect(port, { clientId: "reader" });
  await reader.subscribe("#", { qos: 1 });
  const found = new Map<string, { payload: string; contentType: unknown }>();
  for (let left = 4; left > 0; left--) {
    const { topic, payload, properties, messageId } = await reader.expect("publish", { retain: true });
    reader.send({ cmd: "puback", messageId });
    found.set(topic, { payload, contentType: properties.contentType });
  }
  await reader.expectNothing();
  assert.deepEqual(
    [...found].sort(([a], [b]) => (a < b ? -1 : 1)),
    [
      ["house/1/name", { payload: "Küche", contentType: undefined }],
      ["house/2/name", { payload: BINARY.toString(), contentType: undefined }],
      ["house/3/state", { payload: "{}", contentType: "application/json" }],
      ["wills/mortal", { payload: "gone", contentType: undefined }],
    ],
  );
  await reader.drop();
}

/** The next message must be this one; it is acknowledged. */
async function take(client: RawClient, fields: Parameters<RawClient["expect"]>[1] & { qos: number }) {
  const message = await client.expect("publish", fields);
  const { messageId } = message;
  client.send({ cmd: fields.qos === 2 ? "pubrec" : "puback", messageId });
  if (fields.qos === 2) {
    await client.take("pubrel", messageId);
    client.send({ cmd: "pubcomp", messageId });
  }
  return message;
}
