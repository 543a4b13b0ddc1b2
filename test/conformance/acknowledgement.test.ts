import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { packet } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

test("5.0 [MQTT-3.7.2-1] [MQTT-4.3.3-11] answers a PUBREL it does not know by PUBCOMP 0x92", async () => {
  const client = await broker.connect();
  client.send({ cmd: "pubrel", messageId: 77 });
  await client.expect("pubcomp", { messageId: 77, reasonCode: 0x92 });
  await client.disconnect();
});

test("3.1.1 [MQTT-4.3.3-2] answers a PUBREL it does not know by PUBCOMP", async () => {
  const client = await broker.connect({ version: 4 });
  client.send({ cmd: "pubrel", messageId: 77 });
  await client.expectBytes("70 02 004d");
  await client.disconnect();
});

test("5.0 [MQTT-3.6.2-1] answers a PUBREC it does not know by PUBREL 0x92", async () => {
  const client = await broker.connect();
  client.send({ cmd: "pubrec", messageId: 77 });
  await client.expect("pubrel", { messageId: 77, reasonCode: 0x92 });
  client.send({ cmd: "pubcomp", messageId: 77, reasonCode: 0x92 });
  await client.expectNothing();
  await client.disconnect();
});

for (const version of [5, 4] as const) {
  test(`PUBACK and PUBCOMP of unknown identifiers do no harm, version ${version}`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes("40 02 0009 70 02 0009");
    await client.expectNothing();
    await client.disconnect();
  });
}

const REASON_CODES = [
  { name: "PUBACK", first: "40", bad: ["01", "18", "92", "ff"], id: "5.0 [MQTT-3.4.2-1]" },
  { name: "PUBREC", first: "50", bad: ["01", "18", "92", "ff"], id: "5.0 [MQTT-3.5.2-1]" },
  { name: "PUBREL", first: "62", bad: ["10", "80", "ff"], id: "5.0 [MQTT-3.6.2-1]" },
  { name: "PUBCOMP", first: "70", bad: ["10", "80", "ff"], id: "5.0 [MQTT-3.7.2-1]" },
];

for (const { name, first, bad, id } of REASON_CODES) {
  test(`${id} refuses ${name} with a Reason Code that it does not have`, async () => {
    for (const code of bad) {
      const client = await broker.connect();
      client.sendBytes(packet(first, "0001", code));
      await client.expectDisconnect(0x81, 0x82);
    }
  });

  test(`${id} accepts ${name} with a Reason Code, with an empty Property Length, and with properties`, async () => {
    const client = await broker.connect();
    for (const body of ["00", "00 00", "00 08 1f 0005 68656c6c6f", "00 07 26 0001 61 0001 62"]) {
      client.sendBytes(packet(first, "0001", body));
      await client.settle();
    }
    assert.equal(client.closed, false);
    client.socket.destroy();
  });
}

test("5.0 [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] leaves what would be too large out of PUBREL and PUBCOMP", async () => {
  const long = "x".repeat(200);
  const wordy = await startBroker({
    hooks: [
      {
        name: "wordy",
        onPacketEncode: (_client, encoded) =>
          encoded.type === 6 || encoded.type === 7
            ? { ...encoded, properties: { reasonString: long, userProperties: [["k", long]] as const } }
            : undefined,
      },
    ],
  });
  try {
    const told = { reasonString: long, userProperties: { k: long } };
    for (const { maximumPacketSize, expected } of [
      { maximumPacketSize: 1_000, expected: told },
      { maximumPacketSize: 300, expected: { reasonString: long } },
      { maximumPacketSize: 100, expected: {} },
    ]) {
      const client = await wordy.connect({ properties: { maximumPacketSize } });
      await client.subscribe("t", { qos: 2 });
      client.sendPublish("t", "x", { qos: 2, messageId: 7 });
      await client.take("pubrec", 7);
      client.send({ cmd: "pubrel", messageId: 7 });
      assert.deepEqual((await client.take("pubcomp", 7)).properties, expected);
      const { messageId } = await client.expect("publish");
      client.send({ cmd: "pubrec", messageId });
      assert.deepEqual((await client.expect("pubrel", { messageId })).properties, expected);
      client.socket.destroy();
    }
  } finally {
    await wordy.stop();
  }
});
