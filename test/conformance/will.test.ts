import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { connectBytes, type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, properties, rawConnect } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

async function watch(topic: string, version: 4 | 5 = 5): Promise<RawClient> {
  const watcher = await broker.connect({ version });
  await watcher.subscribe(topic, { qos: 2 });
  return watcher;
}

const VERSIONS = [
  {
    version: 5,
    published: "5.0 [MQTT-3.1.2-7] [MQTT-3.1.2-8]",
    once: "5.0 [MQTT-3.1.2-10]",
    normal: "5.0 [MQTT-3.14.4-3] [MQTT-3.1.2-8] [MQTT-3.1.2-10]",
    notRetained: "5.0 [MQTT-3.1.2-14]",
    retained: "5.0 [MQTT-3.1.2-15]",
    error: "5.0 [MQTT-3.1.2-8] [MQTT-4.13.1-1]",
    keepAlive: "5.0 [MQTT-3.1.2-22] [MQTT-3.1.2-8]",
    takeover: "5.0 [MQTT-3.1.2-8] [MQTT-3.1.4-3]",
    qos: "5.0 [MQTT-3.1.2-12]",
  },
  {
    version: 4,
    published: "3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-9]",
    once: "3.1.1 [MQTT-3.1.2-10]",
    normal: "3.1.1 [MQTT-3.14.4-3] [MQTT-3.1.2-10]",
    notRetained: "3.1.1 [MQTT-3.1.2-16]",
    retained: "3.1.1 [MQTT-3.1.2-17]",
    error: "3.1.1 [MQTT-3.1.2-8] [MQTT-4.8.0-1]",
    keepAlive: "3.1.1 [MQTT-3.1.2-24] [MQTT-3.1.2-8]",
    takeover: "3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.4-2]",
    qos: "3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.2-14]",
  },
] as const;

for (const ids of VERSIONS) {
  const { version } = ids;

  test(`${ids.published} publishes the will when the connection breaks`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.connect({ version, will: { topic, payload: "gone" } });
    await watcher.expectNothing();
    await client.drop();
    await watcher.expect("publish", { topic, payload: "gone", qos: 0, retain: false, dup: false });
    await watcher.expectNothing();
    await watcher.disconnect();
  });

  test(`${ids.published} publishes the will when the client closes without DISCONNECT`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.connect({ version, will: { topic, payload: "gone" } });
    client.halfClose();
    await watcher.expect("publish", { topic, payload: "gone" });
    await client.expectClose();
    await watcher.disconnect();
  });

  test(`${ids.once} publishes the will once, also when the session goes on and breaks again`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const clientId = unique("c");
    const kept = { version, clientId, clean: false, properties: { sessionExpiryInterval: 100 } };
    await (await broker.connect({ ...kept, will: { topic, payload: "gone" } })).drop();
    await watcher.expect("publish", { payload: "gone" });
    await (await broker.connect(kept)).drop();
    await broker.advance(200_000);
    await watcher.expectNothing();
    await watcher.disconnect();
  });

  test(`${ids.normal} discards the will at a normal DISCONNECT`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.connect({ version, will: { topic, payload: "gone" } });
    await client.disconnect();
    await watcher.expectNothing();
    await broker.advance(100_000);
    await watcher.expectNothing();
    await watcher.disconnect();
  });

  test(`${ids.notRetained} publishes a will with Will Retain 0 as an ordinary message`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    await (await broker.connect({ version, will: { topic, payload: "gone" } })).drop();
    await watcher.expect("publish", { payload: "gone", retain: false });
    const later = await watch(topic, version);
    await later.expectNothing();
    await watcher.disconnect();
    await later.disconnect();
  });

  test(`${ids.retained} publishes a will with Will Retain 1 as a retained message`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    await (await broker.connect({ version, will: { topic, payload: "gone", retain: true, qos: 1 } })).drop();
    await watcher.expect("publish", { payload: "gone", retain: false });
    const later = await watch(topic, version);
    await later.expect("publish", { payload: "gone", qos: 1, retain: true });
    await watcher.disconnect();
    await later.disconnect();
  });

  test(`${ids.error} publishes the will when the server closes because of an error`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.connect({ version, will: { topic, payload: "gone" } });
    client.sendBytes("c1 00");
    await client.expectRefusal(0x81);
    await watcher.expect("publish", { topic, payload: "gone" });
    await watcher.disconnect();
  });

  test(`${ids.keepAlive} closes after one and a half times the Keep Alive, and publishes the will`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.connect({ version, keepalive: 2, will: { topic, payload: "gone" } });
    await broker.advance(2_900);
    await watcher.expectNothing();
    await broker.advance(200);
    await client.expectRefusal(0x8d);
    await watcher.expect("publish", { topic, payload: "gone" });
    await watcher.disconnect();
  });

  test(`${ids.takeover} publishes the will of a connection that another one takes over`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const clientId = unique("c");
    const first = await broker.connect({ version, clientId, will: { topic, payload: "gone" } });
    const second = await broker.connect({ version, clientId });
    await first.expectRefusal(0x8e);
    await watcher.expect("publish", { topic, payload: "gone" });
    await watcher.expectNothing();
    await second.disconnect();
    await watcher.disconnect();
  });

  for (const qos of [0, 1, 2] as const) {
    test(`${ids.qos} publishes a will of QoS ${qos} by that QoS`, async () => {
      const topic = unique("w");
      const watcher = await watch(topic, version);
      await (await broker.connect({ version, will: { topic, payload: "gone", qos } })).drop();
      await watcher.expect("publish", { topic, payload: "gone", qos });
      await watcher.disconnect();
    });
  }

  test(`${ids.published} publishes an empty will, too`, async () => {
    const topic = unique("w");
    const watcher = await watch(topic, version);
    const client = await broker.open(version);
    const list = version === 5 ? [properties()] : [];
    client.sendBytes(
      rawConnect({ level: version, flags: "06", payload: [field(unique("c")), ...list, field(topic), field("")] }),
    );
    await client.expect("connack", { reasonCode: 0, returnCode: 0 });
    await client.drop();
    await watcher.expect("publish", { topic, payload: "" });
    await watcher.disconnect();
  });
}

test("3.1.1 [MQTT-3.1.2-12] publishes nothing for a client without the Will Flag", async () => {
  const watcher = await broker.connect();
  await watcher.subscribe({ topic: "#", rh: 2 });
  await (await broker.connect({ version: 4 })).drop();
  await broker.advance(10_000);
  await watcher.expectNothing();
  await watcher.disconnect();
});

test("3.1.1 [MQTT-3.14.4-2], 5.0 [MQTT-3.14.4-1] ignores what a client sends after its DISCONNECT", async () => {
  for (const version of [5, 4] as const) {
    const topic = unique("t");
    const watcher = await watch(topic);
    const client = await broker.connect({ version });
    client.sendBytes("e0 00", packet("30", field(topic), version === 5 ? "00" : "", "78"), "c000");
    await client.expectClose();
    await watcher.expectNothing();
    await watcher.disconnect();
  }
});

test("5.0 §3.14.2.1 publishes the will at DISCONNECT 0x04, and at other codes that are not 0x00", async () => {
  for (const reasonCode of [0x04, 0x80, 0x81, 0x97]) {
    const topic = unique("w");
    const watcher = await watch(topic);
    const client = await broker.connect({ will: { topic, payload: "gone" } });
    await client.disconnect(reasonCode);
    await watcher.expect("publish", { topic, payload: "gone" });
    await watcher.disconnect();
  }
});

test("5.0 [MQTT-3.1.2-8] waits for the Will Delay Interval", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const will = { topic, payload: "gone", properties: { willDelayInterval: 3 } };
  await (await broker.connect({ will, properties: { sessionExpiryInterval: 100 } })).drop();
  await watcher.settle();
  await broker.advance(2_900);
  await watcher.expectNothing();
  await broker.advance(200);
  const message = await watcher.expect("publish", { topic, payload: "gone" });
  assert.deepEqual(message.properties, {}, "the delay is no property of the message");
  await watcher.expectNothing();
  await watcher.disconnect();
});

test("5.0 [MQTT-3.1.2-8] publishes a delayed will when the session ends before the delay", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const will = { topic, payload: "gone", properties: { willDelayInterval: 100 } };
  await (await broker.connect({ will, properties: { sessionExpiryInterval: 2 } })).drop();
  await watcher.expectNothing();
  await broker.advance(2_100);
  await watcher.expect("publish", { topic, payload: "gone" });
  const without = await broker.connect({ will });
  await without.drop();
  await watcher.expect("publish", { topic, payload: "gone" });
  await watcher.disconnect();
});

test("5.0 [MQTT-3.1.3-9] sends no will when the client is back within the delay", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const clientId = unique("c");
  const kept = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } };
  const will = { topic, payload: "gone", properties: { willDelayInterval: 3 } };
  await (await broker.connect({ ...kept, will })).drop();
  await broker.advance(2_000);
  const back = await broker.connect(kept);
  await broker.advance(10_000);
  await watcher.expectNothing();
  // Nor when the session ends later: the will went with the connection that it was given on.
  await back.disconnect(0, { sessionExpiryInterval: 0 });
  await watcher.expectNothing();
  await watcher.disconnect();
});

test("5.0 [MQTT-3.1.3-9] sends no delayed will when the connection is taken over", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const kept = { clientId: unique("c"), clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await broker.connect({
    ...kept,
    will: { topic, payload: "gone", properties: { willDelayInterval: 3 } },
  });
  const second = await broker.connect(kept);
  await first.expectDisconnect(0x8e);
  await broker.advance(10_000);
  await watcher.expectNothing();
  await second.disconnect();
  await watcher.disconnect();
});

test("5.0 [MQTT-3.1.2-8] publishes a delayed will when Clean Start ends the session before the delay", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const clientId = unique("c");
  const will = { topic, payload: "gone", properties: { willDelayInterval: 100 } };
  await (await broker.connect({ clientId, will, properties: { sessionExpiryInterval: 200 } })).drop();
  await watcher.expectNothing();
  const fresh = await broker.connect({ clientId, clean: true });
  await watcher.expect("publish", { topic, payload: "gone" });
  await fresh.disconnect();
  await watcher.disconnect();
});

test("5.0 [MQTT-3.1.3-10] [MQTT-3.3.2-17] publishes the will with its properties, User Properties in their order", async () => {
  const topic = unique("w");
  const watcher = await watch(topic);
  const pairs = ["b:1", "a:2", "b:3", "a:1"].flatMap((pair) => {
    const [name, value] = pair.split(":") as [string, string];
    return ["26", field(name), field(value)];
  });
  const client = await broker.open();
  client.sendBytes(
    rawConnect({ flags: "06", payload: [field(unique("c")), properties(...pairs), field(topic), field("gone")] }),
  );
  await client.expect("connack", { reasonCode: 0 });
  await client.drop();
  await watcher.expectBytes(packet("30", field(topic), properties(...pairs), Buffer.from("gone")));

  const list = {
    payloadFormatIndicator: true,
    contentType: "text",
    responseTopic: "r",
    correlationData: Buffer.from("id"),
  };
  await (await broker.connect({ will: { topic, payload: "gone", properties: list } })).drop();
  assert.deepEqual((await watcher.expect("publish", { topic })).properties, list);
  await watcher.disconnect();
});

test("5.0 [MQTT-3.3.2-6] counts the Message Expiry Interval of a will from its publishing", async () => {
  const topic = unique("w");
  const kept = { clientId: unique("c"), clean: false, properties: { sessionExpiryInterval: 1_000 } };
  const reader = await broker.connect(kept);
  await reader.subscribe(topic, { qos: 1 });
  await reader.disconnect();
  const will = {
    topic,
    payload: "gone",
    qos: 1 as const,
    properties: { willDelayInterval: 5, messageExpiryInterval: 10 },
  };
  await (await broker.connect({ will, properties: { sessionExpiryInterval: 100 } })).drop();
  const other = await broker.connect();
  await other.expectNothing();
  await broker.advance(5_000);
  await broker.advance(4_000);
  const back = await broker.connect(kept);
  assert.deepEqual((await back.expect("publish", { payload: "gone" })).properties, { messageExpiryInterval: 6 });
  await back.disconnect(0, { sessionExpiryInterval: 0 });
  await other.disconnect();
});

for (const topic of ["w/+", "w/#"]) {
  test(`5.0 [MQTT-4.7.0-1], 3.1.1 [MQTT-4.7.1-1] refuses the Will Topic ${topic}`, async () => {
    const five = await broker.open();
    five.sendBytes(connectBytes({ will: { topic, payload: "x" } }));
    await five.expectConnectRefusal(0x90);
    const four = await broker.open(4);
    four.sendBytes(connectBytes({ version: 4, will: { topic, payload: "x" } }));
    await four.expectClose();
  });
}

test("5.0 §3.1.3.2.3 refuses with 0x99 a will payload that is not the UTF-8 it claims to be", async () => {
  const client = await broker.open();
  const will = [properties("01 01"), field("w"), field(Buffer.from("ff", "hex"))];
  client.sendBytes(rawConnect({ flags: "06", payload: [field(unique("c")), ...will] }));
  await client.expectConnackRefusal(0x99);
});
