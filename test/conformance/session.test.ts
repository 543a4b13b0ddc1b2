import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { type ConnectOptions, unique } from "../support/raw-client.ts";

const broker = await startBroker();
after(() => broker.stop());
const publisher = await broker.connect();

/** Options of a client whose session is kept: for 5.0 by an expiry interval. */
function kept(version: 3 | 4 | 5, more: ConnectOptions = {}): ConnectOptions {
  const properties = version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {};
  return { version, clientId: unique("s"), clean: false, ...properties, ...more };
}

const VERSIONS = [
  {
    version: 5,
    resume: "5.0 [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-4.1.0-1]",
    create: "5.0 [MQTT-3.1.2-6]",
    clean: "5.0 [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2]",
    offline: "5.0 [MQTT-3.1.2-23] [MQTT-4.5.0-1]",
    open: "5.0 [MQTT-4.1.0-1]",
  },
  {
    version: 4,
    resume: "3.1.1 [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-4.1.0-1]",
    create: "3.1.1 [MQTT-3.1.2-4] [MQTT-3.2.2-3]",
    clean: "3.1.1 [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-1]",
    offline: "3.1.1 [MQTT-3.1.2-5] [MQTT-4.5.0-1]",
    open: "3.1.1 [MQTT-4.1.0-2]",
  },
] as const;

for (const ids of VERSIONS) {
  const { version } = ids;

  test(`${ids.resume} continues a session with its subscriptions`, async () => {
    const options = kept(version);
    const topic = unique("t");
    const first = await broker.connect(options);
    await first.subscribe(topic, { qos: 1 });
    await first.disconnect();
    const second = await broker.connect(options);
    assert.equal(second.connack.sessionPresent, true);
    await publisher.publish(topic, "x", { qos: 1 });
    await second.expect("publish", { topic, payload: "x", qos: 1 });
    await second.disconnect();
  });

  test(`${ids.create} creates a session for a client that had none`, async () => {
    const client = await broker.connect(kept(version));
    assert.equal(client.connack.sessionPresent, false);
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.clean} throws away subscriptions and messages of the old session`, async () => {
    const options = kept(version);
    const topic = unique("t");
    const first = await broker.connect(options);
    await first.subscribe(topic, { qos: 1 });
    await publisher.publish(topic, "unacknowledged", { qos: 1 });
    await first.expect("publish");
    await first.drop();
    await publisher.publish(topic, "waiting", { qos: 1 });
    const second = await broker.connect({ ...options, clean: true });
    assert.equal(second.connack.sessionPresent, false);
    await publisher.publish(topic, "new", { qos: 1 });
    await second.expectNothing();
    await second.disconnect();
  });

  test(`${ids.offline} keeps QoS 1 and 2 messages for a client that is away, in order`, async () => {
    const options = kept(version);
    const topic = unique("t");
    const first = await broker.connect(options);
    await first.subscribe(topic, { qos: 2 });
    await first.disconnect();
    await publisher.publish(topic, "1", { qos: 1 });
    await publisher.publish(topic, "2", { qos: 2 });
    await publisher.publish(topic, "3", { qos: 1 });
    const second = await broker.connect(options);
    await second.expect("publish", { payload: "1", qos: 1, dup: false });
    await second.expect("publish", { payload: "2", qos: 2, dup: false });
    await second.expect("publish", { payload: "3", qos: 1, dup: false });
    await second.expectNothing();
    await second.disconnect();
  });

  test(`${ids.open} keeps the session for as long as the connection, however long it is silent`, async () => {
    const client = await broker.connect({ version, clientId: unique("s") });
    const topic = unique("t");
    await client.subscribe(topic);
    await broker.advance(7_200_000);
    await publisher.publish(topic, "x");
    await client.expect("publish", { topic });
    await client.disconnect();
  });
}

test("3.1.1 [MQTT-3.1.2-6] never reuses the state of a Clean Session 1", async () => {
  const options: ConnectOptions = { version: 4, clientId: unique("s"), clean: true };
  const topic = unique("t");
  const first = await broker.connect(options);
  await first.subscribe(topic, { qos: 1 });
  await first.drop();
  await publisher.publish(topic, "x", { qos: 1 });
  const second = await broker.connect({ ...options, clean: false });
  assert.equal(second.connack.sessionPresent, false);
  await second.expectNothing();
  await second.disconnect();
});

test("3.1.1 [MQTT-3.1.2-7] keeps retained messages after the session of their publisher ended", async () => {
  const topic = unique("t");
  const client = await broker.connect({ version: 4 });
  await client.publish(topic, "stays", { qos: 1, retain: true });
  await client.disconnect();
  const subscriber = await broker.connect({ version: 4 });
  await subscriber.subscribe(topic);
  await subscriber.expect("publish", { payload: "stays", retain: true });
  await subscriber.disconnect();
});

test("5.0 [MQTT-4.1.0-2] discards a session without an expiry interval with its connection", async () => {
  const clientId = unique("s");
  const first = await broker.connect({ clientId, clean: false });
  await first.subscribe(unique("t"), { qos: 1 });
  await first.disconnect();
  const second = await broker.connect({ clientId, clean: false });
  assert.equal(second.connack.sessionPresent, false);
  await second.disconnect();
});

test("5.0 [MQTT-4.1.0-2] [MQTT-3.1.2-23] keeps a session until its expiry interval has passed, and no longer", async () => {
  const options: ConnectOptions = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 3 } };
  await (await broker.connect(options)).drop();
  await broker.advance(2_500);
  const within = await broker.connect(options);
  assert.equal(within.connack.sessionPresent, true);
  await within.disconnect();
  await broker.advance(3_100);
  const later = await broker.connect(options);
  assert.equal(later.connack.sessionPresent, false);
  await later.disconnect();
});

test("5.0 [MQTT-4.1.0-2] counts the expiry interval from the end of the connection, not from its beginning", async () => {
  const options: ConnectOptions = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 3 } };
  const first = await broker.connect(options);
  await broker.advance(10_000);
  await first.disconnect();
  await broker.advance(2_500);
  const second = await broker.connect(options);
  assert.equal(second.connack.sessionPresent, true);
  await second.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 §3.1.2.11.2 keeps a session of interval 0xFFFFFFFF where the server's maximum allows", async () => {
  const options: ConnectOptions = {
    clientId: unique("s"),
    clean: false,
    properties: { sessionExpiryInterval: 0xffff_ffff },
  };
  const endless = await startBroker({ mqtt: { sessionExpiryMax: 0xffff_ffff } });
  try {
    const first = await endless.connect(options);
    assert.equal(first.connack.properties.sessionExpiryInterval, undefined);
    await first.disconnect();
    await endless.advance(10 * 365 * 86_400_000);
    assert.equal((await endless.connect(options)).connack.sessionPresent, true);
  } finally {
    await endless.stop();
  }
});

test("5.0 §3.14.2.2.2 lets DISCONNECT change the expiry interval", async () => {
  const options: ConnectOptions = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 2 } };
  const first = await broker.connect(options);
  await first.disconnect(0, { sessionExpiryInterval: 100 });
  await broker.advance(3_000);
  const second = await broker.connect(options);
  assert.equal(second.connack.sessionPresent, true);
  await second.disconnect(0, { sessionExpiryInterval: 0 });
  const third = await broker.connect(options);
  assert.equal(third.connack.sessionPresent, false);
  await third.disconnect();
});

test("5.0 §3.14.2.2.2 refuses an expiry interval at DISCONNECT where CONNECT had none", async () => {
  const client = await broker.connect();
  client.send({ cmd: "disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
  await client.expectDisconnect(0x82);
});

test("5.0 [MQTT-4.1.0-2] ends subscriptions with the session: nothing is kept any more", async () => {
  const topic = unique("t");
  const options: ConnectOptions = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 2 } };
  const first = await broker.connect(options);
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  assert.equal(await publisher.publish(topic, "kept", { qos: 1 }), 0);
  await broker.advance(3_000);
  assert.equal(await publisher.publish(topic, "nobody", { qos: 1 }), 0x10);
});

test("5.0 [MQTT-3.1.2-5], 3.1.1 [MQTT-3.1.2-4] continues a session whatever version it began with", async () => {
  const clientId = unique("s");
  const topic = unique("t");
  const four = await broker.connect({ version: 4, clientId, clean: false });
  await four.subscribe(topic, { qos: 2 });
  await four.disconnect();
  await publisher.publish(topic, "x", { qos: 2, properties: { contentType: "kept" } });
  const five = await broker.connect({ clientId, clean: false, properties: { sessionExpiryInterval: 100 } });
  assert.equal(five.connack.sessionPresent, true);
  const message = await five.expect("publish", { payload: "x", qos: 2 });
  assert.deepEqual(message.properties, { contentType: "kept" });
  await five.drop();
  const again = await broker.connect({ version: 4, clientId, clean: false });
  await again.expect("publish", { payload: "x", dup: true, messageId: message.messageId });
  await again.disconnect();
});

test("5.0 [MQTT-3.1.2-5] continues over a takeover: what was not acknowledged comes again", async () => {
  const options = kept(5);
  const topic = unique("t");
  const first = await broker.connect(options);
  await first.subscribe(topic, { qos: 1 });
  await publisher.publish(topic, "x", { qos: 1 });
  const { messageId } = await first.expect("publish");
  const second = await broker.connect(options);
  await first.expectDisconnect(0x8e);
  assert.equal(second.connack.sessionPresent, true);
  await second.expect("publish", { payload: "x", dup: true, messageId });
  await second.disconnect();
});

test("5.0 [MQTT-3.1.2-23] sends QoS 0 messages of the time away to nobody", async () => {
  const options = kept(5);
  const topic = unique("t");
  const first = await broker.connect(options);
  await first.subscribe(topic, { qos: 0 });
  await first.disconnect();
  await publisher.publish(topic, "0", { qos: 0 });
  await publisher.publish(topic, "1", { qos: 1 });
  const second = await broker.connect(options);
  await second.expectNothing();
  await second.disconnect();
});

test("5.0 [MQTT-3.1.3-2], 3.1.1 [MQTT-3.1.3-2] keeps the sessions of two users with one client identifier apart", async () => {
  const clientId = unique("s");
  const ann = await broker.connect({ clientId, username: "ann", properties: { sessionExpiryInterval: 100 } });
  const bob = await broker.connect({ clientId, username: "bob", clean: false });
  assert.equal(bob.connack.sessionPresent, false);
  await ann.expectNothing();
  await bob.expectNothing();
  await ann.disconnect();
  await bob.disconnect();
});

/** A session's queue is bounded, and what goes beyond is dropped from its older end. */
test("keeps the newest messages of a client that is away where the queue is full", async () => {
  const small = await startBroker({ limits: { queuedMessages: 3 } });
  try {
    const options = kept(5);
    const first = await small.connect(options);
    await first.subscribe("t", { qos: 1 });
    await first.disconnect();
    const by = await small.connect();
    for (const payload of ["1", "2", "3", "4", "5"]) await by.publish("t", payload, { qos: 1 });
    const second = await small.connect(options);
    for (const payload of ["3", "4", "5"]) await second.expect("publish", { payload });
    await second.expectNothing();
  } finally {
    await small.stop();
  }
});
