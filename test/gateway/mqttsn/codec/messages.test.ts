/** Octets written down by hand from the tables of MQTT-SN 1.2, §5.2 to §5.4: each is read, and written the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSn } from "../../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../../src/gateway/mqttsn/codec/encode.ts";
import type { SnPacket } from "../../../../src/gateway/mqttsn/codec/packet.ts";
import { SnType } from "../../../../src/gateway/mqttsn/codec/types.ts";
import { bytesOf, hexOf } from "../../../codec/kit.ts";

const NO_DATA = Uint8Array.of();
const DATA = Uint8Array.of(0xde, 0xad);

/** What it is, its octets, its value. The types are numbers here, as Table 3 has them. */
const BOTH: readonly [name: string, line: string, packet: SnPacket][] = [
  ["ADVERTISE", "05 00 07 0384", { type: 0x00, gatewayId: 7, durationSeconds: 900 }],
  ["SEARCHGW", "03 01 02", { type: 0x01, radius: 2 }],
  ["GWINFO of a gateway", "03 02 07", { type: 0x02, gatewayId: 7, address: undefined }],
  [
    "GWINFO of a client, with the address",
    "07 02 07 0a00002a",
    { type: 0x02, gatewayId: 7, address: Uint8Array.of(10, 0, 0, 42) },
  ],
  [
    "CONNECT with a clean session",
    "0a 04 04 01 003c 'node'",
    { type: 0x04, will: false, cleanSession: true, durationSeconds: 60, clientId: "node" },
  ],
  [
    "CONNECT with a will, and the longest time",
    "07 04 08 01 ffff 'n'",
    { type: 0x04, will: true, cleanSession: false, durationSeconds: 65_535, clientId: "n" },
  ],
  [
    "CONNECT without a client id",
    "06 04 0c 01 0000",
    { type: 0x04, will: true, cleanSession: true, durationSeconds: 0, clientId: "" },
  ],
  [
    "CONNECT with a client id of more than 23 characters",
    "1e 04 00 01 000a 'abcdefghijklmnopqrstuvwx'",
    { type: 0x04, will: false, cleanSession: false, durationSeconds: 10, clientId: "abcdefghijklmnopqrstuvwx" },
  ],
  ["CONNACK: accepted", "03 05 00", { type: 0x05, returnCode: 0 }],
  ["CONNACK: congestion", "03 05 01", { type: 0x05, returnCode: 1 }],
  ["CONNACK: not supported", "03 05 03", { type: 0x05, returnCode: 3 }],
  ["WILLTOPICREQ", "02 06", { type: 0x06 }],
  ["WILLTOPIC", "07 07 50 'a/ä'", { type: 0x07, will: { qos: 2, retain: true, topic: "a/ä" } }],
  ["WILLTOPIC that is empty", "02 07", { type: 0x07, will: undefined }],
  ["WILLTOPIC with Flags and no topic", "03 07 20", { type: 0x07, will: { qos: 1, retain: false, topic: "" } }],
  ["WILLMSGREQ", "02 08", { type: 0x08 }],
  ["WILLMSG", "04 09 dead", { type: 0x09, message: DATA }],
  ["WILLMSG without a message", "02 09", { type: 0x09, message: NO_DATA }],
  ["REGISTER of a client", "09 0a 0000 0102 't/1'", { type: 0x0a, topicId: 0, messageId: 0x102, topicName: "t/1" }],
  ["REGISTER of a gateway", "07 0a 1234 fffe 't'", { type: 0x0a, topicId: 0x1234, messageId: 0xfffe, topicName: "t" }],
  ["REGACK", "07 0b 1234 0102 00", { type: 0x0b, topicId: 0x1234, messageId: 0x102, returnCode: 0 }],
  ["REGACK: invalid topic id", "07 0b 0000 0102 02", { type: 0x0b, topicId: 0, messageId: 0x102, returnCode: 2 }],
  [
    "PUBLISH, QoS 0, normal topic id",
    "09 0c 00 1234 0000 dead",
    publish({ qos: 0, topicIdType: 0, topicId: 0x1234, messageId: 0, data: DATA }),
  ],
  [
    "PUBLISH, QoS 1, again, retained, predefined topic id",
    "09 0c b1 0007 0102 dead",
    publish({ dup: true, qos: 1, retain: true, topicIdType: 1, topicId: 7, messageId: 0x102, data: DATA }),
  ],
  [
    "PUBLISH, QoS 2, short name",
    "07 0c 42 'ab' 0102",
    publish({ qos: 2, topicIdType: 2, topicId: 0x6162, messageId: 0x102, data: NO_DATA }),
  ],
  [
    "PUBLISH, QoS -1, predefined topic id",
    "09 0c 61 0007 0000 dead",
    publish({ qos: -1, topicIdType: 1, topicId: 7, messageId: 0, data: DATA }),
  ],
  [
    "PUBLISH, QoS -1, short name, retained",
    "08 0c 72 'T1' 0000 2a",
    publish({ qos: -1, retain: true, topicIdType: 2, topicId: 0x5431, messageId: 0, data: Uint8Array.of(42) }),
  ],
  ["PUBACK: invalid topic id", "07 0d 1234 0102 02", { type: 0x0d, topicId: 0x1234, messageId: 0x102, returnCode: 2 }],
  ["PUBACK with a reserved ReturnCode", "07 0d 0001 0002 05", { type: 0x0d, topicId: 1, messageId: 2, returnCode: 5 }],
  ["PUBCOMP", "04 0e 0102", { type: 0x0e, messageId: 0x102 }],
  ["PUBREC", "04 0f 0102", { type: 0x0f, messageId: 0x102 }],
  ["PUBREL", "04 10 0102", { type: 0x10, messageId: 0x102 }],
  [
    "SUBSCRIBE to a name, QoS 2, again",
    "08 12 c0 0102 'a/#'",
    { type: 0x12, dup: true, qos: 2, messageId: 0x102, topic: { topicIdType: 0, name: "a/#" } },
  ],
  [
    "SUBSCRIBE to a predefined topic id, QoS 1",
    "07 12 21 0102 0007",
    { type: 0x12, dup: false, qos: 1, messageId: 0x102, topic: { topicIdType: 1, topicId: 7 } },
  ],
  [
    "SUBSCRIBE to a short name",
    "07 12 02 0102 'ab'",
    { type: 0x12, dup: false, qos: 0, messageId: 0x102, topic: { topicIdType: 2, topicId: 0x6162 } },
  ],
  [
    "SUBSCRIBE to a name of two characters that is not marked as short",
    "07 12 00 0102 'ab'",
    { type: 0x12, dup: false, qos: 0, messageId: 0x102, topic: { topicIdType: 0, name: "ab" } },
  ],
  ["SUBACK", "08 13 40 1234 0102 00", { type: 0x13, qos: 2, topicId: 0x1234, messageId: 0x102, returnCode: 0 }],
  [
    "UNSUBSCRIBE from a name",
    "06 14 00 0102 'a'",
    { type: 0x14, messageId: 0x102, topic: { topicIdType: 0, name: "a" } },
  ],
  [
    "UNSUBSCRIBE from a predefined topic id",
    "07 14 01 0102 0007",
    { type: 0x14, messageId: 0x102, topic: { topicIdType: 1, topicId: 7 } },
  ],
  [
    "UNSUBSCRIBE from a short name",
    "07 14 02 0102 'ab'",
    { type: 0x14, messageId: 0x102, topic: { topicIdType: 2, topicId: 0x6162 } },
  ],
  ["UNSUBACK", "04 15 0102", { type: 0x15, messageId: 0x102 }],
  ["PINGREQ", "02 16", { type: 0x16, clientId: undefined }],
  ["PINGREQ of a client that wakes", "06 16 'node'", { type: 0x16, clientId: "node" }],
  ["PINGRESP", "02 17", { type: 0x17 }],
  ["DISCONNECT", "02 18", { type: 0x18, durationSeconds: undefined }],
  ["DISCONNECT to sleep", "04 18 0e10", { type: 0x18, durationSeconds: 3600 }],
  ["DISCONNECT to sleep for 0 s", "04 18 0000", { type: 0x18, durationSeconds: 0 }],
  ["WILLTOPICUPD", "05 1a 30 'wt'", { type: 0x1a, will: { qos: 1, retain: true, topic: "wt" } }],
  ["WILLTOPICUPD that is empty", "02 1a", { type: 0x1a, will: undefined }],
  ["WILLTOPICRESP", "03 1b 00", { type: 0x1b, returnCode: 0 }],
  ["WILLMSGUPD", "04 1c dead", { type: 0x1c, message: DATA }],
  ["WILLMSGRESP", "03 1d 03", { type: 0x1d, returnCode: 3 }],
];

for (const [name, line, packet] of BOTH) {
  test(`1.2 reads ${name}`, () => {
    assert.deepEqual(decodeSn(bytesOf(line)), packet);
  });
  test(`1.2 writes ${name}`, () => {
    assert.equal(hexOf(encodeSn(packet)), hexOf(bytesOf(line)));
  });
}

test("every type of Table 3 is among these messages", () => {
  assert.deepEqual([...new Set(BOTH.map(([, , { type }]) => type))].sort(), Object.values(SnType).sort());
});

/** What clients may leave in bits that §5.4 calls "not used", and forms that we do not write. */
const READ_ONLY: readonly [name: string, line: string, packet: SnPacket][] = [
  [
    "CONNECT with all bits set that it does not use",
    "07 04 f3 01 003c 'n'",
    { type: 0x04, will: false, cleanSession: false, durationSeconds: 60, clientId: "n" },
  ],
  ["WILLTOPIC with Will, CleanSession, DUP and TopicIdType", "04 07 8f 't'", willTopic("t")],
  [
    "PUBLISH with Will and CleanSession",
    "07 0c 0d 0007 0000",
    publish({ qos: 0, topicIdType: 1, topicId: 7, messageId: 0, data: NO_DATA }),
  ],
  [
    "PUBLISH with QoS 0 and a MsgId",
    "07 0c 01 0007 0009",
    publish({ qos: 0, topicIdType: 1, topicId: 7, messageId: 9, data: NO_DATA }),
  ],
  [
    "SUBSCRIBE with Retain, Will and CleanSession",
    "06 12 1c 0001 'a'",
    { type: 0x12, dup: false, qos: 0, messageId: 1, topic: { topicIdType: 0, name: "a" } },
  ],
  [
    "UNSUBSCRIBE with DUP and QoS",
    "06 14 e0 0001 'a'",
    { type: 0x14, messageId: 1, topic: { topicIdType: 0, name: "a" } },
  ],
  [
    "SUBACK with a TopicIdType",
    "08 13 23 0001 0002 00",
    { type: 0x13, qos: 1, topicId: 1, messageId: 2, returnCode: 0 },
  ],
  ["a short message with a Length of three octets", "01 0004 17", { type: 0x17 }],
  ["an empty WILLTOPICUPD with a Length of three octets", "01 0004 1a", { type: 0x1a, will: undefined }],
  ["PINGREQ without client id, with a Length of three octets", "01 0004 16", { type: 0x16, clientId: undefined }],
];

for (const [name, line, packet] of READ_ONLY) {
  test(`1.2 reads ${name}`, () => {
    assert.deepEqual(decodeSn(bytesOf(line)), packet);
  });
}

test("U+FEFF at the start of a name is text like any other", () => {
  assert.deepEqual(decodeSn(bytesOf("06 16 efbbbf 'n'")), { type: 0x16, clientId: "\u{feff}n" });
});

test("255 octets have a Length of one octet, 256 one of three", () => {
  const short = encodeSn({ type: SnType.WillMsg, message: new Uint8Array(253).fill(0x55) });
  assert.equal(hexOf(short), `ff 09${" 55".repeat(253)}`);
  const long = encodeSn({ type: SnType.WillMsg, message: new Uint8Array(254).fill(0x55) });
  assert.equal(hexOf(long), `01 01 02 09${" 55".repeat(254)}`);
  for (const bytes of [short, long]) {
    assert.equal(hexOf(encodeSn(decodeSn(bytes))), hexOf(bytes));
  }
});

test("the longest message has 65,535 octets, and no longer one can be written", () => {
  const longest = { type: SnType.WillMsg, message: new Uint8Array(65_531).fill(1) };
  const bytes = encodeSn(longest);
  assert.equal(bytes.length, 65_535);
  assert.equal(hexOf(bytes.subarray(0, 5)), "01 ff ff 09 01");
  assert.deepEqual(decodeSn(bytes), longest);
  assert.throws(() => encodeSn({ type: SnType.WillMsg, message: new Uint8Array(65_532) }), {
    name: "RangeError",
    message: "A message of 65536 octets is longer than the 65535 that MQTT-SN can write",
  });
});

test("a number that its field cannot hold is our mistake, and not cut off", () => {
  for (const messageId of [65_536, -1, 1.5, Number.NaN]) {
    assert.throws(() => encodeSn({ type: SnType.Pubrec, messageId }), RangeError);
  }
  for (const radius of [256, -1, 0.5]) {
    assert.throws(() => encodeSn({ type: SnType.SearchGw, radius }), RangeError);
  }
});

test("data is a view of the octets, even of a Buffer's, and no Buffer itself", () => {
  const bytes = Buffer.from("ff090c0012340000dead", "hex").subarray(1);
  const packet = decodeSn(bytes);
  assert.ok(packet.type === SnType.Publish);
  assert.equal(packet.data.constructor, Uint8Array);
  assert.equal(hexOf(packet.data), "de ad");
  bytes[7] = 0x01;
  assert.equal(hexOf(packet.data), "01 ad");
});

function publish(
  fields: Omit<Extract<SnPacket, { type: 0x0c }>, "type" | "dup" | "retain"> & { dup?: boolean; retain?: boolean },
): SnPacket {
  return { type: 0x0c, dup: false, retain: false, ...fields };
}

function willTopic(topic: string): SnPacket {
  return { type: 0x07, will: { qos: 0, retain: false, topic } };
}
