import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { type RawClient, type Received, unique } from "../support/raw-client.ts";
import { field, packet } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());
const publisher = await broker.connect();

async function member(filter: string, qos: 0 | 1 | 2 = 0, options = {}): Promise<RawClient> {
  const client = await broker.connect(options);
  assert.deepEqual(await client.subscribe(filter, { qos }), [qos]);
  return client;
}

/** All PUBLISH packets that have come to a client. */
async function drain(client: RawClient): Promise<Received[]> {
  client.sendBytes("c000");
  const received: Received[] = [];
  for (;;) {
    const next = await client.next();
    if (next.cmd === "pingresp") return received;
    received.push(next);
  }
}

for (const version of [5, 4, 3] as const) {
  test(`5.0 [MQTT-4.8.2-1] gives each message to one member of a share, in turn, version ${version}`, async () => {
    const topic = unique("t");
    const members = [];
    for (let count = 0; count < 3; count += 1) members.push(await member(`$share/group/${topic}`, 0, { version }));
    for (let count = 0; count < 9; count += 1) await publisher.publish(topic, `${count}`);
    const received = await Promise.all(members.map(drain));
    assert.deepEqual(
      received.map((list) => list.length),
      [3, 3, 3],
    );
    const payloads = received.flat().map(({ payload }) => payload);
    assert.deepEqual(payloads.sort(), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    for (const client of members) await client.disconnect();
  });
}

test("5.0 [MQTT-4.8.2-2] keeps shares of other names and subscriptions without a share apart", async () => {
  const topic = unique("t");
  const first = await member(`$share/one/${topic}`);
  const second = await member(`$share/two/${topic}`);
  const plain = await member(topic);
  await publisher.publish(topic, "x");
  for (const client of [first, second, plain]) {
    await client.expect("publish", { topic, payload: "x" });
    await client.expectNothing();
    await client.disconnect();
  }
});

test("5.0 [MQTT-4.8.2-2] matches wildcards in the filter of a share", async () => {
  const root = unique("t");
  const client = await member(`$share/g/${root}/+/x/#`);
  await publisher.publish(`${root}/a/x`, "1");
  await publisher.publish(`${root}/a/y`, "2");
  await client.expect("publish", { topic: `${root}/a/x` });
  await client.expectNothing();
  await client.disconnect();
});

const BAD_SHARES = [
  "$share/",
  "$share//t",
  "$share/g",
  "$share/g/",
  "$share/a+/t",
  "$share/#/t",
  "$share/+/t",
  "$share/g/a#",
];
for (const filter of BAD_SHARES) {
  test(`5.0 [MQTT-4.8.2-1] [MQTT-4.8.2-2] refuses the filter ${filter}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("82", "0001 00", field(filter), "00"));
    await client.expectDisconnect(0x81, 0x82, 0x8f);
  });
}

test("5.0 [MQTT-3.8.3-4] refuses No Local for a share", async () => {
  const client = await broker.connect();
  client.sendBytes(packet("82", "0001 00", field("$share/g/t"), "04"));
  await client.expectDisconnect(0x82);
});

test("5.0 [MQTT-4.8.2-3] sends each member by the QoS that it was granted", async () => {
  const topic = unique("t");
  const members = [
    await member(`$share/g/${topic}`, 0),
    await member(`$share/g/${topic}`, 1),
    await member(`$share/g/${topic}`, 2),
  ];
  for (let count = 0; count < 6; count += 1) await publisher.publish(topic, `${count}`, { qos: 2 });
  // All are read before any leaves: what a member that leaves did not acknowledge may go to the others.
  for (const [granted, client] of members.entries()) {
    const received = await drain(client);
    assert.deepEqual(
      received.map(({ qos }) => qos),
      [granted, granted],
    );
  }
  for (const client of members) await client.disconnect();
});

test("5.0 §4.8.2 sends no retained messages because of a share", async () => {
  const topic = unique("t");
  await publisher.publish(topic, "x", { qos: 1, retain: true });
  const client = await member(`$share/g/${topic}`, 1);
  await client.expectNothing();
  await publisher.publish(topic, "live", { qos: 1, retain: true });
  await client.expect("publish", { payload: "live", retain: false });
  await client.disconnect();
});

test("5.0 §4.8.2 gives messages to those members that are there", async () => {
  const topic = unique("t");
  const kept = { clean: false, properties: { sessionExpiryInterval: 100 } };
  const away = await member(`$share/g/${topic}`, 1, { ...kept, clientId: unique("s") });
  const here = await member(`$share/g/${topic}`, 1);
  await away.disconnect();
  for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload, { qos: 1 });
  assert.deepEqual(
    (await drain(here)).map(({ payload }) => payload),
    ["1", "2", "3"],
  );
  await here.disconnect();
});

test("5.0 [MQTT-4.5.0-1] keeps messages of a share whose members are all away for one of them", async () => {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const client = await member(`$share/g/${topic}`, 1, options);
  await client.disconnect();
  await publisher.publish(topic, "x", { qos: 1 });
  const back = await broker.connect(options);
  await back.expect("publish", { payload: "x", qos: 1, dup: false });
  await back.disconnect(0, { sessionExpiryInterval: 0 });
});

/** Two members of a share; the message of the returned identifier is under way to the first. */
async function underWay(qos: 1 | 2) {
  const topic = unique("t");
  const options = { clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await member(`$share/g/${topic}`, qos, options);
  await publisher.publish(topic, "x", { qos });
  const { messageId } = await first.expect("publish", { payload: "x", qos });
  const second = await member(`$share/g/${topic}`, qos);
  return { topic, options, first, second, messageId };
}

test("5.0 [MQTT-4.8.2-4] completes a QoS 2 delivery to the member it had begun with, when that returns", async () => {
  const { options, first, second, messageId } = await underWay(2);
  await first.drop();
  await second.expectNothing();
  const back = await broker.connect(options);
  await back.expect("publish", { payload: "x", qos: 2, dup: true, messageId });
  back.send({ cmd: "pubrec", messageId });
  await back.expect("pubrel", { messageId });
  await back.drop();
  const again = await broker.connect(options);
  await again.expect("pubrel", { messageId });
  again.send({ cmd: "pubcomp", messageId });
  await again.expectNothing();
  await second.expectNothing();
  await again.disconnect(0, { sessionExpiryInterval: 0 });
  await second.disconnect();
});

test("5.0 [MQTT-4.8.2-5] gives a QoS 2 message to nobody else when that member's session ends first", async () => {
  const { options, first, second } = await underWay(2);
  await first.drop();
  const fresh = await broker.connect({ ...options, clean: true });
  await second.expectNothing();
  await fresh.expectNothing();
  await fresh.disconnect(0, { sessionExpiryInterval: 0 });
  const expiring = await underWay(2);
  await expiring.first.drop();
  await broker.advance(101_000);
  await expiring.second.expectNothing();
  await second.disconnect();
  await expiring.second.disconnect();
});

test("5.0 §4.8.2 gives a QoS 1 message to another member when the session ends that did not acknowledge it", async () => {
  const { options, first, second } = await underWay(1);
  await first.drop();
  const fresh = await broker.connect({ ...options, clean: true });
  await second.expect("publish", { payload: "x", qos: 1, dup: false });
  await second.expectNothing();
  await fresh.expectNothing();
  await fresh.disconnect(0, { sessionExpiryInterval: 0 });
  await second.disconnect();
});

for (const qos of [1, 2] as const) {
  test(`5.0 [MQTT-4.8.2-6] gives a QoS ${qos} message that its member refuses to nobody else`, async () => {
    const { options, first, second, messageId } = await underWay(qos);
    first.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId, reasonCode: 0x80 });
    await first.expectNothing();
    await second.expectNothing();
    await first.drop();
    const back = await broker.connect(options);
    await back.expectNothing();
    await back.disconnect(0, { sessionExpiryInterval: 0 });
    await second.disconnect();
  });
}

test("5.0 [MQTT-3.10.4-2] gives nothing more to a member that left the share", async () => {
  const topic = unique("t");
  const first = await member(`$share/g/${topic}`);
  const second = await member(`$share/g/${topic}`);
  await first.unsubscribe(`$share/g/${topic}`);
  for (const payload of ["1", "2", "3"]) await publisher.publish(topic, payload);
  await first.expectNothing();
  assert.equal((await drain(second)).length, 3);
  await first.disconnect();
  await second.disconnect();
});

test("5.0 [MQTT-3.3.4-3] sends a member the Subscription Identifier of its share", async () => {
  const topic = unique("t");
  const client = await broker.connect();
  await client.subscribe(`$share/g/${topic}`, { properties: { subscriptionIdentifier: 9 } });
  await publisher.publish(topic, "x");
  assert.deepEqual((await client.expect("publish")).properties, { subscriptionIdentifier: 9 });
  await client.disconnect();
});

test("5.0 §4.8.2 gives a client that is a member and subscribes itself both copies", async () => {
  const topic = unique("t");
  const client = await broker.connect();
  await client.subscribe([{ topic: `$share/g/${topic}` }, { topic }]);
  await publisher.publish(topic, "x");
  assert.equal((await drain(client)).length, 2);
  await client.disconnect();
});
