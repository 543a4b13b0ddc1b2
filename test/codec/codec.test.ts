import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePacket, encodePacket, encodeWithin } from "../../src/codec/codec.ts";
import { PACKET_NAMES, PacketType } from "../../src/codec/constants.ts";
import type { Packet, UserProperty } from "../../src/codec/packet.ts";
import { TextCache } from "../../src/codec/text.ts";
import { bytesOf, decodeOne, hexOf, plain, publishOf } from "./kit.ts";

const userProperties: UserProperty[] = [["key", "value"]];
const EXPLAINED = { reasonString: "because", userProperties };
const { CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH } = PacketType;
const ANSWERS: [string, Packet][] = [
  ["MQTT-3.2.2-20", { type: CONNACK, sessionPresent: false, reasonCode: 0x87, properties: EXPLAINED }],
  ["MQTT-3.4.2-3", { type: PUBACK, packetIdentifier: 1, reasonCode: 0x87, properties: EXPLAINED }],
  ["MQTT-3.5.2-3", { type: PUBREC, packetIdentifier: 1, reasonCode: 0x87, properties: EXPLAINED }],
  ["MQTT-3.6.2-3", { type: PUBREL, packetIdentifier: 1, reasonCode: 0x92, properties: EXPLAINED }],
  ["MQTT-3.7.2-3", { type: PUBCOMP, packetIdentifier: 1, reasonCode: 0x92, properties: EXPLAINED }],
  ["MQTT-3.9.2-2", { type: SUBACK, packetIdentifier: 1, reasonCodes: [0x87], properties: EXPLAINED }],
  ["MQTT-3.11.2-2", { type: UNSUBACK, packetIdentifier: 1, reasonCodes: [0x87], properties: EXPLAINED }],
  ["MQTT-3.14.2-4", { type: DISCONNECT, reasonCode: 0x87, properties: EXPLAINED }],
  ["MQTT-3.15.2-3", { type: AUTH, reasonCode: 0x18, properties: { ...EXPLAINED, authenticationMethod: "m" } }],
];

for (const [rule, packet] of ANSWERS) {
  test(`5.0 [${rule}] leaves out what only explains when ${PACKET_NAMES[packet.type]} would be too large`, () => {
    const properties = "properties" in packet ? packet.properties : {};
    const { userProperties: _, ...reasoned } = properties as typeof EXPLAINED;
    const { reasonString: __, ...bare } = reasoned;
    const whole = encodePacket(packet, 5);
    const shorter = encodePacket({ ...packet, properties: reasoned } as Packet, 5);
    const shortest = encodePacket({ ...packet, properties: bare } as Packet, 5);
    assert.ok(whole.length > shorter.length && shorter.length > shortest.length);
    for (let limit = 0; limit <= whole.length + 1; limit++) {
      const expected = [whole, shorter, shortest].find((bytes) => bytes.length <= limit);
      assert.deepEqual(encodeWithin(packet, 5, limit), expected, `within ${limit} bytes`);
    }
    assert.deepEqual(decodeOne(whole, 5), packet, "the packet itself is not changed");
  });
}

test("encodeWithin leaves out a Reason String that stands alone", () => {
  const packet: Packet = { type: PUBACK, packetIdentifier: 1, reasonCode: 0x87, properties: { reasonString: "no" } };
  assert.equal(hexOf(encodeWithin(packet, 5, 5) ?? new Uint8Array()), "40 03 00 01 87");
  assert.equal(encodeWithin(packet, 5, 4), undefined);
});

test("5.0 [MQTT-3.3.2-17] does not take the User Properties of a PUBLISH away to make it fit", () => {
  const publish = publishOf("a", "x", { properties: { userProperties } });
  const size = encodePacket(publish, 5).length;
  assert.equal(encodeWithin(publish, 5, size - 1), undefined);
  assert.equal(encodeWithin(publish, 5, size)?.length, size);
});

test("encodeWithin gives up on packets without anything to leave out", () => {
  assert.equal(encodeWithin({ type: PacketType.PINGRESP }, 5, 1), undefined);
  assert.equal(hexOf(encodeWithin({ type: PacketType.PINGRESP }, 5, 2) ?? new Uint8Array()), "d0 00");
});

test("a Packet Identifier or code in the middle of a buffer is read from its own range", () => {
  const bytes = bytesOf("ffff 90 04 000a 01 02 ffff");
  assert.deepEqual(decodePacket(bytes, 2, 4, 8, 4, new TextCache(1)), {
    type: SUBACK,
    packetIdentifier: 10,
    reasonCodes: [1, 2],
    properties: {},
  });
});

test("decodePacket checks the fixed header for those who split packets themselves", () => {
  assert.throws(() => decodePacket(bytesOf("00 00"), 0, 2, 2, 5, new TextCache(1)), { statement: "5.0 §2.1.2" });
  assert.throws(() => decodePacket(bytesOf("c1 00"), 0, 2, 2, 5, new TextCache(1)), { reasonCode: 0x81 });
});

test("a CONNECT brings its own version", () => {
  const bytes = bytesOf("10 * 0004 'MQTT' 05 02 0000 00 0001 'a'");
  for (const version of [3, 4, 5] as const) {
    const connect = decodeOne(bytes, version);
    assert.equal((plain(connect) as { protocolVersion: number }).protocolVersion, 5);
    assert.deepEqual(encodePacket(connect, version), bytes);
  }
});
