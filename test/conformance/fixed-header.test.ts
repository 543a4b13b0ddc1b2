import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { connectBytes, type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, variableByteInteger } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

const PUBREL = {
  five: "5.0 [MQTT-2.1.3-1] [MQTT-3.6.1-1]",
  three: "3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1]",
};
const DISCONNECT = { five: "5.0 [MQTT-3.14.1-1]", three: "3.1.1 [MQTT-2.2.2-2] [MQTT-3.14.1-1]" };
const OTHER = { five: "5.0 [MQTT-2.1.3-1]", three: "3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2]" };

/** Packets whose fixed header flags are wrong and which are well formed otherwise. */
const WRONG_FLAGS = [
  { name: "PUBACK with flags 0001", bytes: "41 02 0001", ids: OTHER },
  { name: "PUBREC with flags 0001", bytes: "51 02 0001", ids: OTHER },
  { name: "PUBREL with flags 0000", bytes: "60 02 0001", ids: PUBREL },
  { name: "PUBREL with flags 0011", bytes: "63 02 0001", ids: PUBREL },
  { name: "PUBREL with flags 1010", bytes: "6a 02 0001", ids: PUBREL },
  { name: "PUBCOMP with flags 1000", bytes: "78 02 0001", ids: OTHER },
  { name: "PINGREQ with flags 0001", bytes: "c1 00", ids: OTHER },
  { name: "DISCONNECT with flags 0001", bytes: "e1 00", ids: DISCONNECT },
  { name: "DISCONNECT with flags 1000", bytes: "e8 00", ids: DISCONNECT },
];

for (const { name, bytes, ids } of WRONG_FLAGS) {
  test(`${ids.five} refuses ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(bytes);
    await client.expectDisconnect(0x81);
  });

  test(`${ids.three} closes on ${name}`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(bytes);
    await client.expectClose();
  });
}

for (const flags of ["0", "1", "3", "6", "a"]) {
  const binary = Number.parseInt(flags, 16).toString(2).padStart(4, "0");

  test(`5.0 [MQTT-3.8.1-1] refuses SUBSCRIBE with flags ${binary}`, async () => {
    const client = await broker.connect();
    client.sendBytes(`8${flags} 07 0001 00 0001 61 00`);
    await client.expectDisconnect(0x81);
  });

  test(`3.1.1 [MQTT-3.8.1-1] closes on SUBSCRIBE with flags ${binary}`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(`8${flags} 06 0001 0001 61 00`);
    await client.expectClose();
  });

  test(`5.0 [MQTT-3.10.1-1] refuses UNSUBSCRIBE with flags ${binary}`, async () => {
    const client = await broker.connect();
    client.sendBytes(`a${flags} 06 0001 00 0001 61`);
    await client.expectDisconnect(0x81);
  });

  test(`3.1.1 [MQTT-3.10.1-1] closes on UNSUBSCRIBE with flags ${binary}`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(`a${flags} 05 0001 0001 61`);
    await client.expectClose();
  });
}

test("5.0 [MQTT-3.15.1-1] refuses AUTH with flags 0001", async () => {
  const client = await broker.connect();
  client.sendBytes("f1 00");
  await client.expectDisconnect(0x81);
});

test("5.0 [MQTT-2.1.3-1] refuses packet type 0", async () => {
  const client = await broker.connect();
  client.sendBytes("00 00");
  await client.expectDisconnect(0x81);
});

for (const [type, bytes] of [
  ["0", "00 00"],
  ["15", "f0 00"],
]) {
  test(`3.1.1 [MQTT-4.8.0-1] closes on packet type ${type}, which 3.1.1 does not have`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(bytes!);
    await client.expectClose();
  });
}

/** Well formed, but only a server sends them. */
const SERVERS_OWN = [
  { name: "CONNACK", five: "20 03 00 00 00", three: "20 02 00 00" },
  { name: "SUBACK", five: "90 04 0001 00 00", three: "90 03 0001 00" },
  { name: "UNSUBACK", five: "b0 04 0001 00 00", three: "b0 02 0001" },
  { name: "PINGRESP", five: "d0 00", three: "d0 00" },
];

for (const { name, five, three } of SERVERS_OWN) {
  test(`5.0 [MQTT-4.13.1-1] takes ${name} from a client for a Protocol Error`, async () => {
    const client = await broker.connect();
    client.sendBytes(five);
    await client.expectDisconnect(0x82);
  });

  test(`3.1.1 [MQTT-4.8.0-1] closes on ${name} from a client`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(three);
    await client.expectClose();
  });
}

/** Packets whose Remaining Length or contents do not fit together. */
const MALFORMED = [
  { name: "a Remaining Length of five bytes", five: "30 ffffffff01", three: "30 ffffffff01" },
  { name: "PINGREQ with a body", five: "c0 01 00", three: "c0 01 00" },
  { name: "PUBACK of one byte", five: "40 01 00", three: "40 01 00" },
  { name: "PUBLISH whose topic passes its end", five: "30 04 0009 6162", three: "30 04 0009 6162" },
  { name: "PUBLISH without anything", five: "30 00", three: "30 00" },
  { name: "QoS 1 PUBLISH without an identifier", five: "32 03 0001 61", three: "32 03 0001 61" },
  { name: "SUBSCRIBE with half a filter", five: "82 06 0001 00 0005 61", three: "82 05 0001 0005 61" },
  { name: "UNSUBSCRIBE with half a filter", five: "a2 06 0001 00 0005 61", three: "a2 05 0001 0005 61" },
  { name: "PUBREL of one byte", five: "62 01 00", three: "62 01 00" },
];

for (const { name, five, three } of MALFORMED) {
  test(`5.0 [MQTT-4.13.1-1] [MQTT-4.13.2-1] refuses ${name} as malformed`, async () => {
    const client = await broker.connect();
    client.sendBytes(five);
    await client.expectDisconnect(0x81);
  });

  test(`3.1.1 [MQTT-4.8.0-1] closes on ${name}`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(three);
    await client.expectClose();
  });
}

test("5.0 [MQTT-1.5.5-1] refuses a Remaining Length in more bytes than it needs", async () => {
  const client = await broker.connect();
  client.sendBytes("c0 8000");
  await client.expectDisconnect(0x81);
});

test("5.0 [MQTT-1.5.5-1] refuses a Property Length in more bytes than it needs", async () => {
  const client = await broker.connect();
  client.sendBytes("30 05 0001 61 8000");
  await client.expectDisconnect(0x81);
});

for (const version of [5, 4] as const) {
  const id = version === 5 ? "5.0 [MQTT-1.5.5-1] [MQTT-2.2.2-1]" : "3.1.1 [MQTT-3.3.2-1]";

  for (const remaining of [127, 128, 16_383, 16_384, 70_000]) {
    test(`${id} writes a Remaining Length of ${remaining} in as few bytes as hold it`, async () => {
      const [publisher, subscriber] = await pair(version);
      const topic = unique("t");
      await subscriber.subscribe(topic);
      const overhead = 2 + topic.length + (version === 5 ? 1 : 0);
      const payload = "x".repeat(remaining - overhead);
      await publisher.publish(topic, payload);
      const properties = version === 5 ? "00" : "";
      await subscriber.expectBytes(
        "30",
        variableByteInteger(remaining),
        field(topic),
        properties,
        Buffer.from(payload),
      );
      await finish(publisher, subscriber);
    });
  }
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-4.2.0-1]" },
  { version: 4, ids: "3.1.1 [MQTT-7.1.1-1]" },
] as const) {
  test(`${ids} understands packets that arrive byte by byte`, async () => {
    const client = await broker.open(version);
    await client.sendPieces(connectBytes({ version }), 1);
    await client.expect("connack", { reasonCode: 0, returnCode: 0 });
    const publish = { cmd: "publish", topic: unique("t"), payload: "p", qos: 1, dup: false, retain: false } as const;
    await client.sendPieces(client.encode({ ...publish, messageId: 7 }), 1);
    await client.expect("puback", { messageId: 7 });
    await client.disconnect();
  });

  test(`${ids} understands many packets that arrive in one piece`, async () => {
    const client = await broker.connect({ version });
    const publish = { cmd: "publish", topic: unique("t"), payload: "p", qos: 1, dup: false, retain: false } as const;
    const ids = Array.from({ length: 50 }, (_, index) => index + 1);
    client.sendBytes(...ids.map((messageId) => client.encode({ ...publish, messageId })), "c000");
    for (const messageId of ids) await client.expect("puback", { messageId });
    await client.expect("pingresp");
    await client.disconnect();
  });

  test(`${ids} understands CONNECT, SUBSCRIBE and PUBLISH in one piece, before CONNACK`, async () => {
    const client = await broker.open(version);
    const topic = unique("t");
    const subscribe = client.encode({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] });
    const publish = client.encode({ cmd: "publish", topic, payload: "p", qos: 0, dup: false, retain: false });
    client.sendBytes(connectBytes({ version }), subscribe, publish);
    await client.expect("connack", { reasonCode: 0, returnCode: 0 });
    await client.expect("suback", { messageId: 1, granted: [0] });
    await client.expect("publish", { topic, payload: "p" });
    await client.disconnect();
  });
}

test("3.1.1 [MQTT-7.0.0-2] serves a client that knows nothing but the bytes of the specification", async () => {
  const client = await broker.open(4);
  const clientId = field(unique("c"));
  const topic = field(unique("t"));
  client.sendBytes(packet("10", field("MQTT"), "04 02 003c", clientId));
  await client.expectBytes("20 02 00 00");
  client.sendBytes(packet("82", "0001", topic, "01"));
  await client.expectBytes("90 03 0001 01");
  client.sendBytes(packet("32", topic, "0002", "6869"));
  // The own message and its acknowledgement may come in either order.
  await client.take("puback", 2);
  const { messageId } = await client.expect("publish", { payload: "hi", qos: 1 });
  client.sendBytes("40 02", Buffer.from([messageId >> 8, messageId & 0xff]));
  client.sendBytes(packet("a2", "0003", topic));
  await client.expectBytes("b0 02 0003");
  client.sendBytes("c0 00");
  await client.expectBytes("d0 00");
  client.sendBytes("e0 00");
  await client.expectClose();
});

test("a claim of 256 MB that never comes leaves the broker able to answer others", async () => {
  const claimant = await broker.connect({ version: 4 });
  claimant.sendBytes("30 ffffff7f");
  const other = await broker.connect();
  await other.expectNothing();
  await claimant.expectClose();
  await other.disconnect();
  assert.ok(claimant.closed, "larger than the maximum packet size, so closed at once");
});

async function pair(version: 4 | 5): Promise<[RawClient, RawClient]> {
  return [await broker.connect({ version }), await broker.connect({ version })];
}

async function finish(...clients: RawClient[]): Promise<void> {
  for (const client of clients) await client.disconnect();
}
