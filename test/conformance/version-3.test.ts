import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { field, packet, rawConnect } from "./wire.ts";

// MQTT 3.1 has no numbered statements: its names cite sections of "MQTT V3.1 Protocol Specification".

const broker = await startBroker();
after(() => broker.stop());

test("3.1 §3.1 accepts MQIsdp with level 3", async () => {
  const client = await broker.open(3);
  client.sendBytes(rawConnect({ name: "MQIsdp", level: 3, payload: [field(unique("c"))] }));
  await client.expectBytes("20 02 00 00");
  await client.disconnect();
});

for (const [name, level] of [
  ["MQIsdp", 4],
  ["MQIsdp", 5],
  ["MQTT", 3],
] as const) {
  test(`3.1 §3.1 does not accept ${name} with level ${level}`, async () => {
    const client = await broker.open(level === 5 ? 5 : 4);
    client.sendBytes(rawConnect({ name, level }), "c000");
    await client.expectConnectRefusal(level === 5 ? 0x84 : 1);
  });
}

test("3.1 §3.1 accepts the bridge's levels 0x83 and 0x84", async () => {
  for (const [name, level] of [
    ["MQIsdp", 0x83],
    ["MQTT", 0x84],
  ] as const) {
    const client = await broker.open(level === 0x83 ? 3 : 4);
    client.sendBytes(rawConnect({ name, level, payload: [field(unique("b"))] }));
    await client.expectBytes("20 02 00 00");
    await client.disconnect();
  }
});

test("3.1 §3.1 refuses an empty client identifier with return code 2", async () => {
  const client = await broker.open(3);
  client.sendBytes(rawConnect({ name: "MQIsdp", level: 3, payload: [field("")] }), "c000");
  await client.expectBytes("20 02 00 02");
  await client.expectClose();
});

test("3.1 §3.2 has no Session Present: the reserved byte stays 0 when a session goes on", async () => {
  const options = { version: 3, clientId: unique("s"), clean: false } as const;
  const topic = unique("t");
  const first = await broker.dial(options);
  await first.expectBytes("20 02 00 00");
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  await (await broker.connect()).publish(topic, "kept", { qos: 1 });
  const second = await broker.dial(options);
  await second.expectBytes("20 02 00 00");
  await second.expect("publish", { topic, payload: "kept", qos: 1 });
  await second.disconnect();
});

test("3.1 §3.1 begins anew with Clean Session 1", async () => {
  const clientId = unique("s");
  const topic = unique("t");
  const first = await broker.connect({ version: 3, clientId, clean: false });
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  const second = await broker.connect({ version: 3, clientId, clean: true });
  await (await broker.connect()).publish(topic, "x", { qos: 1 });
  await second.expectNothing();
  await second.disconnect();
});

for (const qos of [0, 1, 2] as const) {
  test(`3.1 §4.1 carries QoS ${qos} from end to end in the bytes of 3.1`, async () => {
    const topic = unique("t");
    const subscriber = await broker.connect({ version: 3 });
    const publisher = await broker.connect({ version: 3 });
    subscriber.sendBytes(packet("82", "0005", field(topic), `0${qos}`));
    await subscriber.expectBytes(packet("90", "0005", `0${qos}`));
    const identifier = qos > 0 ? "0009" : "";
    publisher.sendBytes(packet(`3${(qos << 1).toString(16)}`, field(topic), identifier, "6869"));
    if (qos === 1) await publisher.expectBytes("40 02 0009");
    if (qos === 2) {
      await publisher.expectBytes("50 02 0009");
      publisher.sendBytes("62 02 0009");
      await publisher.expectBytes("70 02 0009");
    }
    const { messageId, bytes } = await subscriber.expect("publish", { topic, payload: "hi", qos });
    const own = qos > 0 ? Buffer.from([messageId >> 8, messageId & 0xff]) : "";
    assert.deepEqual(bytes, packet(`3${(qos << 1).toString(16)}`, field(topic), own, "6869"));
    await publisher.disconnect();
    await subscriber.disconnect();
  });
}

test("3.1 §3.8 grants and delivers by the lesser QoS", async () => {
  const topic = unique("t");
  const client = await broker.connect({ version: 3 });
  assert.deepEqual(await client.subscribe([{ topic, qos: 1 }]), [1]);
  await client.publish(topic, "x", { qos: 2 });
  await client.expect("publish", { topic, qos: 1 });
  await client.disconnect();
});

test("3.1 §3.3 keeps and sends retained messages", async () => {
  const topic = unique("t");
  const client = await broker.connect({ version: 3 });
  await client.publish(topic, "x", { qos: 1, retain: true });
  await client.subscribe(topic, { qos: 1 });
  await client.expect("publish", { topic, payload: "x", retain: true });
  await client.disconnect();
});

test("3.1 §3.1 publishes the will, and not after DISCONNECT", async () => {
  const topic = unique("w");
  const watcher = await broker.connect({ version: 3 });
  await watcher.subscribe(topic, { qos: 2 });
  const will = { topic, payload: "gone", qos: 2 } as const;
  await (await broker.connect({ version: 3, will })).drop();
  await watcher.expect("publish", { topic, payload: "gone", qos: 2 });
  await (await broker.connect({ version: 3, will })).disconnect();
  await watcher.expectNothing();
  await watcher.disconnect();
});

test("3.1 §3.10 answers UNSUBSCRIBE by a plain UNSUBACK", async () => {
  const client = await broker.connect({ version: 3 });
  client.sendBytes(packet("a2", "0102", field("t")));
  await client.expectBytes("b0 02 0102");
  await client.disconnect();
});

test("3.1 §3.12 does not know AUTH, and closes on it", async () => {
  const client = await broker.connect({ version: 3 });
  client.sendBytes("f0 00");
  await client.expectClose();
});

test("versions meet: a message of each reaches subscribers of each", async () => {
  const topic = unique("t");
  const versions = [3, 4, 5] as const;
  const subscribers = await Promise.all(versions.map((version) => broker.connect({ version })));
  for (const client of subscribers) await client.subscribe(topic, { qos: 2 });
  for (const version of versions) {
    const publisher = await broker.connect({ version });
    await publisher.publish(topic, `from ${version}`, { qos: 2 });
    await publisher.disconnect();
  }
  for (const client of subscribers) {
    for (const version of versions) await client.expect("publish", { topic, payload: `from ${version}`, qos: 2 });
    await client.expectNothing();
    await client.disconnect();
  }
});
