import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePacket } from "../../src/codec/codec.ts";
import { PacketType } from "../../src/codec/constants.ts";
import { packetsOf } from "./arbitrary.ts";
import { bytesOf, concat, decodeAll, decodeOne, plain, refusalOf } from "./kit.ts";
import { expectedOf, theyKnow, theyRead, theyWrite, withoutOrder } from "./oracle.ts";
import { readInPieces } from "./pieces.ts";

/** The same packets in every run; `test/fuzz/codec.ts` looks for new ones. */
const RUNS = { seed: 20_240_611, numRuns: 150 };

for (const version of [3, 4, 5] as const) {
  const label = { 3: "3.1", 4: "3.1.1", 5: "5.0" }[version];
  const packets = packetsOf(version);
  for (const [name, packet] of Object.entries(packets)) {
    const known = packet.filter(theyKnow);
    test(`${label} reads every ${name} as it was written`, () => {
      fc.assert(
        fc.property(packet, (each) => {
          assert.deepEqual(plain(decodeOne(encodePacket(each, version), version)), plain(each));
        }),
        RUNS,
      );
    });
    test(`${label} writes ${name} so that mqtt-packet reads the same`, () => {
      fc.assert(
        fc.property(known, (each) => {
          assert.deepEqual(theyRead(encodePacket(each, version), version), [expectedOf(each, version)]);
        }),
        RUNS,
      );
    });
    test(`${label} reads the same in ${name} as mqtt-packet wrote`, () => {
      fc.assert(
        fc.property(known, (each) => {
          const read = decodeOne(theyWrite(each, version), version);
          assert.deepEqual(withoutOrder(read, version), expectedOf(each, version));
        }),
        RUNS,
      );
    });
  }

  test(`${label} reads the same packets from a stream whole, byte by byte and in random pieces`, () => {
    const any = fc.array(fc.oneof(...Object.values(packets)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(any, fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }), (each, sizes) => {
        const stream = concat(each.map((packet) => encodePacket(packet, version)));
        const expected = each.map(plain);
        assert.deepEqual(decodeAll(stream, version).map(plain), expected);
        assert.deepEqual(readInPieces(stream, version, [1], false), expected);
        assert.deepEqual(readInPieces(stream, version, sizes, false), expected);
        assert.deepEqual(readInPieces(stream, version, sizes, true), expected);
      }),
      { ...RUNS, numRuns: 60 },
    );
  });
}

/** Where mqtt-packet is laxer than the specification, and we are not: each is noted so that a change shows. */
for (const [rule, name, version, line] of [
  ["5.0 [MQTT-2.2.1-3]", "Packet Identifier 0", 5, "82 * 0000 00 0001 'a' 00"],
  ["5.0 [MQTT-3.3.2-2]", "a wildcard in a Topic Name", 5, "30 * 0001 '#' 00"],
  ["5.0 [MQTT-3.3.1-2]", "DUP with QoS 0", 5, "38 * 0001 'a' 00"],
  ["5.0 [MQTT-1.5.4-1]", "ill-formed UTF-8", 5, "30 * 0001 ff 00"],
  ["5.0 [MQTT-1.5.4-2]", "U+0000", 5, "30 * 0001 00 00"],
  ["5.0 §2.2.2.2", "a property that the packet may not carry", 5, "40 * 0001 00 03 13 0001"],
  ["5.0 §2.2.2.2", "a property twice", 5, "20 * 00 00 06 13 0001 13 0002"],
  ["5.0 §3.1.2.11.3", "Receive Maximum 0", 5, "10 * 0004 'MQTT' 05 02 0000 03 21 0000 0000"],
  ["5.0 §3.1.2.11.7", "a byte property of 2", 5, "10 * 0004 'MQTT' 05 02 0000 02 17 02 0000"],
  ["5.0 §3.1.2.11.10", "Authentication Data without a method", 5, "10 * 0004 'MQTT' 05 02 0000 03 16 0000 0000"],
  ["5.0 [MQTT-3.8.3-2]", "SUBSCRIBE without a Topic Filter", 5, "82 * 0001 00"],
  ["5.0 [MQTT-3.10.3-2]", "UNSUBSCRIBE without a Topic Filter", 5, "a2 * 0001 00"],
  ["5.0 [MQTT-3.2.2-8]", "a foreign reason code in CONNACK", 5, "20 * 00 01 00"],
  ["3.1.1 [MQTT-3.1.2-22]", "a password without user name", 4, "10 * 0004 'MQTT' 04 42 0000 0001 'a' 0000"],
  ["3.1.1 [MQTT-3.1.2-14]", "Will QoS 3", 4, "10 * 0004 'MQTT' 04 1e 0000 0001 'a' 0001 'w' 0000"],
  ["3.1.1 [MQTT-4.8.0-1]", "trailing bytes in PUBACK", 4, "40 * 0001 00"],
  ["3.1.1 [MQTT-4.7.3-1]", "an empty Topic Name", 4, "30 * 0000"],
] as const) {
  test(`${rule} refuses ${name}, which mqtt-packet lets pass`, () => {
    const bytes = bytesOf(line);
    assert.equal(theyRead(bytes, version).length, 1);
    assert.equal(refusalOf(bytes, version).statement, rule);
  });
}

test("5.0 §3.15.2.1 takes an empty AUTH for Success, which mqtt-packet refuses", () => {
  assert.throws(() => theyRead(bytesOf("f0 00"), 5), /Invalid auth reason code/);
  assert.deepEqual(decodeOne(bytesOf("f0 00"), 5), { type: PacketType.AUTH, reasonCode: 0, properties: {} });
});
