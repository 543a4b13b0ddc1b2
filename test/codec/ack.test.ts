import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK_BYTES_MAX, type Ack, ackIdentifier, ackSize, writeAck } from "../../src/codec/ack.ts";
import { PACKET_NAMES, PacketType } from "../../src/codec/constants.ts";
import { ProtocolError, ReasonCode } from "../../src/codec/reason.ts";
import { both, bytesOf, hexOf, reads, refuses } from "./kit.ts";

const { MalformedPacket } = ReasonCode;

for (const [type, first, failure] of [
  [PacketType.PUBACK, "40", ReasonCode.NotAuthorized],
  [PacketType.PUBREC, "50", ReasonCode.PacketIdentifierInUse],
  [PacketType.PUBREL, "62", ReasonCode.PacketIdentifierNotFound],
  [PacketType.PUBCOMP, "70", ReasonCode.PacketIdentifierNotFound],
] as const) {
  const name = PACKET_NAMES[type];
  const success = { type, packetIdentifier: 0x0102, reasonCode: 0, properties: {} } as Ack;
  const failed = { ...success, reasonCode: failure } as Ack;
  const code = failure.toString(16);
  const explained = { ...failed, properties: { reasonString: "no", userProperties: [["a", "b"]] } } as Ack;
  both(name, 3, `${first} 02 0102`, success);
  both(name, 4, `${first} 02 0102`, success);
  both(name, 5, `${first} 02 0102`, success);
  both(`${name} with a reason code`, 5, `${first} 03 0102 ${code}`, failed);
  both(`${name} with an explanation`, 5, `${first} * 0102 ${code} 0c 1f 0002 'no' 26 0001 'a' 0001 'b'`, explained);
  both(`${name} with properties and success`, 5, `${first} * 0102 00 05 1f 0002 'no'`, {
    ...success,
    properties: { reasonString: "no" },
  });
  reads(`${name} with Success written out`, 5, `${first} 03 0102 00`, success);
  reads(`${name} with an empty property list`, 5, `${first} 04 0102 ${code} 00`, failed);

  refuses("5.0 [MQTT-2.2.1-5]", `Packet Identifier 0 in ${name}`, 5, `${first} 02 0000`, MalformedPacket);
  refuses("3.1.1 [MQTT-2.3.1-6]", `Packet Identifier 0 in ${name}`, 4, `${first} 02 0000`, MalformedPacket);
  refuses("5.0 [MQTT-2.2.1-5]", `half a Packet Identifier in ${name}`, 5, `${first} 01 00`, MalformedPacket);
  refuses("3.1.1 [MQTT-2.3.1-6]", `an empty ${name}`, 4, `${first} 00`, MalformedPacket);
  refuses("3.1.1 [MQTT-4.8.0-1]", `${name} with a reason code`, 4, `${first} 03 0102 00`, MalformedPacket);
  refuses("5.0 [MQTT-4.13.1-1]", `trailing bytes in ${name}`, 5, `${first} 05 0102 00 00 00`, MalformedPacket);
  refuses(`5.0 [MQTT-3.${type}.2-1]`, `a foreign reason code in ${name}`, 5, `${first} 03 0102 01`, 0x82);
  refuses("5.0 §2.2.2.2", `a foreign property in ${name}`, 5, `${first} * 0102 00 05 11 00000001`, MalformedPacket);

  test(`writeAck writes ${name} in four bytes, or five with a reason code in 5.0`, () => {
    const target = new Uint8Array(9).fill(0xee);
    assert.equal(writeAck(target, 2, type, 0xfffe, 0, 5), 6);
    assert.equal(hexOf(target), `ee ee ${first} 02 ff fe ee ee ee`);
    assert.equal(writeAck(target, 1, type, 1, failure, 5), 6);
    assert.equal(hexOf(target), `ee ${first} 03 00 01 ${code} ee ee ee`);
    target.fill(0xee);
    assert.equal(writeAck(target, 0, type, 7, failure, 4), 4);
    assert.equal(hexOf(target.subarray(0, 5)), `${first} 02 00 07 ee`);
    assert.equal(ackSize(failure, 5), ACK_BYTES_MAX);
    assert.equal(ackSize(failure, 4), 4);
    assert.equal(ackSize(0, 5), 4);
  });
}
refuses("5.0 [MQTT-3.4.2-1]", "a PUBREL code in PUBACK", 5, "40 03 0001 92", ReasonCode.ProtocolError);
refuses("5.0 [MQTT-3.6.2-1]", "a PUBACK code in PUBREL", 5, "62 03 0001 87", ReasonCode.ProtocolError);
refuses("5.0 [MQTT-3.6.1-1]", "PUBREL without its flag", 5, "60 02 0001", MalformedPacket);
refuses("3.1.1 [MQTT-3.6.1-1]", "PUBREL without its flag", 4, "60 02 0001", MalformedPacket);
refuses("3.1.1 [MQTT-3.6.1-1]", "PUBREL with DUP", 4, "6a 02 0001", MalformedPacket);
refuses("5.0 [MQTT-2.1.3-1]", "PUBACK with a flag", 5, "42 02 0001", MalformedPacket);
reads("PUBREL sent again with DUP", 3, "6a 02 0001", {
  type: PacketType.PUBREL,
  packetIdentifier: 1,
  reasonCode: 0,
  properties: {},
});

test("ackIdentifier tells the identifier of the plain form, and -1 for every other", () => {
  const identifierOf = (line: string) => {
    const bytes = bytesOf(line);
    return ackIdentifier(bytes, 2, bytes.length, 5);
  };
  assert.equal(identifierOf("40 02 0001"), 1);
  assert.equal(identifierOf("40 02 ffff"), 65_535);
  assert.equal(identifierOf("40 03 0001 00"), -1);
  assert.equal(identifierOf("40 01 00"), -1);
  assert.equal(identifierOf("40 00"), -1);
  assert.throws(
    () => identifierOf("40 02 0000"),
    (error) => error instanceof ProtocolError && error.statement === "5.0 [MQTT-2.2.1-5]",
  );
  assert.throws(() => ackIdentifier(Uint8Array.of(0, 0), 0, 2, 4), { statement: "3.1.1 [MQTT-2.3.1-6]" });
});
