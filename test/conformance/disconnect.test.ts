import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { packet, properties } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.14.4-2]" },
  { version: 4, ids: "3.1.1 [MQTT-3.14.4-1]" },
  { version: 3, ids: "3.1 §3.14" },
] as const) {
  test(`${ids} closes after the client's DISCONNECT, and sends nothing`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes("e0 00");
    await client.expectClose();
  });
}

test("5.0 [MQTT-3.14.2-1] takes every code that a client may send", async () => {
  for (const code of ["00", "04", "80", "81", "82", "83", "90", "93", "94", "95", "96", "97", "98", "99"]) {
    const client = await broker.connect();
    client.sendBytes(packet("e0", code, "00"));
    await client.expectClose();
  }
});

for (const code of ["01", "05", "18", "7f", "ff"]) {
  test(`5.0 [MQTT-3.14.2-1] refuses DISCONNECT with the code 0x${code}, which does not exist`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("e0", code, "00"));
    await client.expectDisconnect(0x81, 0x82);
  });
}

for (const { name, list } of [
  { name: "Session Expiry Interval twice", list: "11 00000000 11 00000000" },
  { name: "a property that DISCONNECT does not have", list: "21 0001" },
  { name: "a property that breaks off", list: "11 0000" },
]) {
  test(`5.0 [MQTT-4.13.1-1] refuses DISCONNECT with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("e0", "00", properties(list)));
    await client.expectDisconnect(0x81, 0x82);
  });
}

test("3.1.1 [MQTT-4.8.0-1] closes on DISCONNECT with a body, which 3.1.1 does not have", async () => {
  const topic = unique("w");
  const watcher = await broker.connect();
  await watcher.subscribe(topic);
  const client = await broker.connect({ version: 4, will: { topic, payload: "gone" } });
  client.sendBytes("e0 02 00 00");
  await client.expectClose();
  // It was no DISCONNECT, so the will stands.
  await watcher.expect("publish", { topic });
  await watcher.disconnect();
});

test("5.0 [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-4.13.2-1] says 0x8B to everybody when it stops, and closes", async () => {
  const stopping = await startBroker();
  const five = await stopping.connect({ properties: { sessionExpiryInterval: 100 } });
  const four = await stopping.connect({ version: 4 });
  const stopped = stopping.halt();
  const { properties: list } = await five.expectDisconnect(0x8b);
  assert.equal(list.sessionExpiryInterval, undefined);
  await four.expectClose();
  await stopped;
  await stopping.stop();
});

test("5.0 [MQTT-3.14.0-1] sends no DISCONNECT to who was not accepted yet", async () => {
  const client = await broker.open();
  client.sendBytes("10 ff ff ff ff 01");
  await client.expectClose();
});

test("5.0 [MQTT-3.14.4-1] [MQTT-3.14.2-2] sends nothing after its own DISCONNECT, whatever was on its way", async () => {
  const topic = unique("t");
  const client = await broker.connect();
  await client.subscribe(topic);
  const message = client.encode({ cmd: "publish", topic, payload: "x", qos: 0, dup: false, retain: false });
  client.sendBytes(message, "c1 00", message, "c000");
  await client.expect("publish", { topic });
  const { properties: list } = await client.expectDisconnect(0x81);
  assert.equal(list.sessionExpiryInterval, undefined);
});

test("5.0 [MQTT-3.14.2-3] [MQTT-3.14.2-4] leaves what would be too large out of DISCONNECT", async () => {
  const long = "x".repeat(200);
  const wordy = await startBroker({
    hooks: [
      {
        name: "wordy",
        onPacketEncode: (_client, sent) =>
          sent.type === 14 ? { ...sent, properties: { reasonString: long, userProperties: [["k", long]] } } : undefined,
      },
    ],
  });
  try {
    for (const { maximumPacketSize, expected } of [
      { maximumPacketSize: 1_000, expected: { reasonString: long, userProperties: { k: long } } },
      { maximumPacketSize: 300, expected: { reasonString: long } },
      { maximumPacketSize: 100, expected: {} },
    ]) {
      const client = await wordy.connect({ properties: { maximumPacketSize } });
      client.sendBytes("c1 00");
      assert.deepEqual((await client.expectDisconnect(0x81)).properties, expected);
    }
  } finally {
    await wordy.stop();
  }
});

test("5.0 [MQTT-3.14.2-3] leaves its own Reason String out where it would be too large", async () => {
  const client = await broker.connect({ properties: { maximumPacketSize: 20 } });
  client.sendBytes("c1 00");
  const { bytes, properties: list } = await client.expectDisconnect(0x81);
  assert.deepEqual(list, {});
  assert.ok(bytes.length <= 20);
});

for (const { version, ids, code } of [
  { version: 5, ids: "5.0 [MQTT-3.1.2-22]", code: 0x8d },
  { version: 4, ids: "3.1.1 [MQTT-3.1.2-24]", code: 0 },
  { version: 3, ids: "3.1 §3.1", code: 0 },
] as const) {
  test(`${ids} closes after one and a half times the Keep Alive of silence`, async () => {
    const client = await broker.connect({ version, keepalive: 2 });
    await broker.advance(2_900);
    await client.expectNothing();
    await broker.advance(2_900);
    await client.expectNothing();
    await broker.advance(3_100);
    await client.expectRefusal(code);
  });

  test(`${ids} counts every packet of the client as a sign of life`, async () => {
    const client = await broker.connect({ version, keepalive: 2 });
    const none = version === 5 ? "00" : "";
    for (const bytes of [
      packet("30", "0001 74", none),
      packet("82", "0001", none, "0001 74 00"),
      Buffer.from("40020009", "hex"),
    ]) {
      await broker.advance(2_900);
      client.sendBytes(bytes);
      // Not by a ping, which would be a sign of life itself.
      await broker.connect().then((other) => other.disconnect());
    }
    await broker.advance(2_900);
    assert.equal(client.closed, false);
    client.socket.destroy();
  });

  test(`${ids} does not count what it sends to the client`, async () => {
    const topic = unique("t");
    const client = await broker.connect({ version, keepalive: 2 });
    await client.subscribe(topic);
    const other = await broker.connect();
    await broker.advance(2_000);
    await other.publish(topic, "x");
    await client.expect("publish", { topic });
    await broker.advance(1_100);
    await client.expectRefusal(code);
    await other.disconnect();
  });

  test(`${ids} never closes for silence at Keep Alive 0`, async () => {
    const client = await broker.connect({ version, keepalive: 0 });
    await broker.advance(10_000_000);
    await client.expectNothing();
    await client.disconnect();
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 §4.13.2" },
  { version: 4, ids: "3.1.1 [MQTT-4.8.0-2]" },
] as const) {
  const broken = (): never => {
    throw new Error("a passing error");
  };

  test(`${ids} closes on a packet whose reading fails for a reason of the server's own`, async () => {
    const failing = await startBroker({
      hooks: [{ name: "failing", onPacketRead: (_client, received) => (received.type === 8 ? broken() : undefined) }],
    });
    try {
      const client = await failing.connect({ version });
      client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "t", qos: 0 }] });
      await client.expectRefusal(0x80, 0x83);
    } finally {
      await failing.stop();
    }
  });

  test(`${ids} acknowledges no PUBLISH whose processing fails for a reason of the server's own`, async () => {
    const failing = await startBroker({ hooks: [{ name: "failing", onPublish: broken }] });
    try {
      for (const qos of [1, 2] as const) {
        const client = await failing.connect({ version });
        client.sendPublish("t", "x", { qos, messageId: 1 });
        // 5.0 has a code that says so; 3.1.1 has none, and a PUBACK would be taken for success.
        if (version === 4) await client.expectClose();
        else await client.expect(qos === 1 ? "puback" : "pubrec", { messageId: 1, reasonCode: 0x83 });
      }
    } finally {
      await failing.stop();
    }
  });
}
