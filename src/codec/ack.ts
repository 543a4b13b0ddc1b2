import { PACKET_NAMES, PacketType, type ProtocolVersion } from "./constants.ts";
import type { AcknowledgementProperties, Puback, Pubcomp, Pubrec, Pubrel } from "./packet.ts";
import { isEmpty, readProperties, writeProperties } from "./properties.ts";
import { byteAt, malformed, Reader, uint16At, violation } from "./reader.ts";
import {
  isPubackReasonCode,
  isPubrelReasonCode,
  type PubackReasonCode,
  type PubrelReasonCode,
  ReasonCode,
  statement,
} from "./reason.ts";
import { Writer } from "./writer.ts";

export type Ack = Puback | Pubrec | Pubrel | Pubcomp;
export type AckType = Ack["type"];

/**
 * The Packet Identifier of a PUBACK, PUBREC, PUBREL or PUBCOMP that holds nothing else, as nearly all do; -1 for one
 * that holds more or less, which is `decodeAck`'s. Throws ProtocolError (0x81) for identifier 0.
 */
export function ackIdentifier(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): number {
  if (end - bodyStart !== 2) {
    return -1;
  }
  const identifier = uint16At(bytes, bodyStart);
  if (identifier === 0) {
    throw malformed(identifierRule(version), "Packet Identifier is 0");
  }
  return identifier;
}

/** Reads a PUBACK, PUBREC, PUBREL or PUBCOMP, §3.4 to §3.7. Throws ProtocolError. */
export function decodeAck(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
): Ack {
  const type = (byteAt(bytes, start) >> 4) as AckType;
  const reader = new Reader(bytes, bodyStart, end, version);
  reader.rule = identifierRule(version);
  const packetIdentifier = reader.packetIdentifier();
  let reasonCode = 0;
  let properties: AcknowledgementProperties = {};
  if (version === 5 && reader.remaining > 0) {
    reasonCode = reader.uint8();
    // With a Remaining Length below 4 the Property Length is left out, §3.4.2.2.1.
    if (reader.remaining > 0) {
      properties = readProperties(reader, type);
    }
  }
  reader.finish();
  switch (type) {
    case PacketType.PUBACK:
    case PacketType.PUBREC:
      if (!isPubackReasonCode(reasonCode)) {
        throw foreignReason(type, reasonCode);
      }
      return { type, packetIdentifier, reasonCode, properties };
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      if (!isPubrelReasonCode(reasonCode)) {
        throw foreignReason(type, reasonCode);
      }
      return { type, packetIdentifier, reasonCode, properties };
  }
}

/** The whole packet in its shortest form; 3.x has neither reason code nor properties. */
export function encodeAck(ack: Ack, version: ProtocolVersion): Uint8Array {
  if (version !== 5 || isEmpty(ack.properties)) {
    const bytes = new Uint8Array(ACK_BYTES_MAX);
    return bytes.slice(0, writeAck(bytes, 0, ack.type, ack.packetIdentifier, ack.reasonCode, version));
  }
  const writer = new Writer();
  writer.uint16(ack.packetIdentifier);
  writer.uint8(ack.reasonCode);
  writeProperties(writer, ack.type, ack.properties, version);
  return writer.packet(firstByte(ack.type));
}

/** The most that `writeAck` writes. */
export const ACK_BYTES_MAX = 5;

/** Bytes that `writeAck` writes: 4, or 5 with a reason code. */
export function ackSize(reasonCode: number, version: ProtocolVersion): number {
  return version === 5 && reasonCode !== ReasonCode.Success ? 5 : 4;
}

/** Writes an acknowledgement without properties, `ackSize` bytes, at `at` and returns its end. */
export function writeAck(
  target: Uint8Array,
  at: number,
  type: AckType,
  packetIdentifier: number,
  reasonCode: PubackReasonCode | PubrelReasonCode,
  version: ProtocolVersion,
): number {
  const size = ackSize(reasonCode, version);
  target[at] = firstByte(type);
  target[at + 1] = size - 2;
  target[at + 2] = packetIdentifier >>> 8;
  target[at + 3] = packetIdentifier;
  if (size === 5) {
    target[at + 4] = reasonCode;
  }
  return at + size;
}

/** Of the four only PUBREL has a flag set, 5.0 [MQTT-3.6.1-1]. */
function firstByte(type: AckType): number {
  return (type << 4) | (type === PacketType.PUBREL ? 0x02 : 0);
}

function identifierRule(version: ProtocolVersion): string {
  return statement(version, "2.2.1-5", "2.3.1-6");
}

function foreignReason(type: AckType, reasonCode: number): Error {
  const rule = `5.0 [MQTT-3.${type}.2-1]`;
  return violation(rule, `${PACKET_NAMES[type]} cannot carry the reason code ${reasonCode}`);
}
