import { copyBytes } from "./bytes.ts";
import { PacketType, type ProtocolVersion, type Qos } from "./constants.ts";
import { NO_PROPERTIES, Publish, type PublishProperties } from "./packet.ts";
import { encodeProperties, readProperties } from "./properties.ts";
import { byteAt, malformed, Reader, uint16At, violation } from "./reader.ts";
import { type ProtocolError, statement } from "./reason.ts";
import type { TextCache } from "./text.ts";
import { variableByteIntegerSize, writeVariableByteInteger } from "./writer.ts";

const FIRST_BYTE = PacketType.PUBLISH << 4;

/**
 * Reads one PUBLISH, §3.3: its payload is a range of `bytes`, and without properties it costs one object.
 * Throws ProtocolError. Whether a client may send Subscription Identifiers, or an alias so high, is not decided here.
 */
export function decodePublish(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
  names: TextCache,
): Publish {
  const first = byteAt(bytes, start);
  const qos = (first >> 1) & 3;
  const dup = (first & 0x08) !== 0;
  if (qos === 3) {
    throw malformed(statement(version, "3.3.1-4"), "PUBLISH has both QoS bits set");
  }
  // 3.1 gives DUP no meaning without QoS and forbids nothing.
  if (dup && qos === 0 && version !== 3) {
    throw violation(statement(version, "3.3.1-2"), "PUBLISH with QoS 0 has DUP set");
  }
  const topicStart = bodyStart + 2;
  const topicEnd = topicStart <= end ? topicStart + uint16At(bytes, bodyStart) : topicStart;
  if (topicEnd > end) {
    throw malformed(statement(version, "3.3.2-1"), "PUBLISH ends before its Topic Name does");
  }
  const topicName = topicEnd === topicStart ? "" : names.readTopicName(bytes, topicStart, topicEnd, version);
  let at = topicEnd;
  let packetIdentifier = 0;
  if (qos > 0) {
    at += 2;
    packetIdentifier = at <= end ? uint16At(bytes, topicEnd) : 0;
    if (packetIdentifier === 0) {
      throw noIdentifier(version);
    }
  }
  let properties: PublishProperties = NO_PROPERTIES;
  if (version === 5) {
    if (at < end && byteAt(bytes, at) === 0) {
      at++;
    } else {
      const reader = new Reader(bytes, at, end, version);
      properties = readProperties(reader, PacketType.PUBLISH);
      at = reader.position;
    }
  }
  if (topicName === "" && properties.topicAlias === undefined) {
    throw noTopic(version);
  }
  return new Publish(topicName, qos as Qos, (first & 1) !== 0, dup, packetIdentifier, properties, bytes, at, end);
}

/**
 * Bytes of a whole PUBLISH on the wire. `propertiesBytes` is without the Property Length and counts in 5.0 only.
 * Throws RangeError when no packet can be so large.
 */
export function publishSize(
  version: ProtocolVersion,
  topicBytes: number,
  qos: Qos,
  propertiesBytes: number,
  payloadBytes: number,
): number {
  const body = bodySize(version, topicBytes, qos > 0, propertiesBytes, payloadBytes);
  return 1 + variableByteIntegerSize(body) + body;
}

/**
 * Writes a PUBLISH of exactly `publishSize` bytes at `at` and returns its end. `flags` is the low nibble of the first
 * byte: DUP, QoS, RETAIN. `packetIdentifier` counts only if the QoS is not 0, `properties` (an encoded list without its
 * length) only in 5.0.
 */
export function writePublish(
  target: Uint8Array,
  at: number,
  version: ProtocolVersion,
  flags: number,
  topic: Uint8Array,
  packetIdentifier: number,
  properties: Uint8Array,
  source: Uint8Array,
  payloadStart: number,
  payloadEnd: number,
): number {
  const identified = (flags & 0x06) !== 0;
  const topicBytes = topic.length;
  const body = bodySize(version, topicBytes, identified, properties.length, payloadEnd - payloadStart);
  target[at] = FIRST_BYTE | flags;
  let position = writeVariableByteInteger(target, at + 1, body);
  target[position] = topicBytes >>> 8;
  target[position + 1] = topicBytes;
  position += 2;
  copyBytes(target, position, topic, 0, topicBytes);
  position += topicBytes;
  if (identified) {
    target[position] = packetIdentifier >>> 8;
    target[position + 1] = packetIdentifier;
    position += 2;
  }
  if (version === 5) {
    position = writeVariableByteInteger(target, position, properties.length);
    copyBytes(target, position, properties, 0, properties.length);
    position += properties.length;
  }
  copyBytes(target, position, source, payloadStart, payloadEnd);
  return position + payloadEnd - payloadStart;
}

/** Where the two bytes of the Packet Identifier stand in the PUBLISH, with QoS 1 or 2, written at `at`. */
export function publishIdentifierAt(target: Uint8Array, at: number): number {
  let position = at + 1;
  while (byteAt(target, position) > 0x7f) {
    position++;
  }
  const topicAt = position + 1;
  return topicAt + 2 + uint16At(target, topicAt);
}

/** The properties of a PUBLISH as `writePublish` takes them: without their length, empty for none. */
export function encodePublishProperties(properties: PublishProperties): Uint8Array {
  return encodeProperties(PacketType.PUBLISH, properties);
}

function bodySize(
  version: ProtocolVersion,
  topicBytes: number,
  identified: boolean,
  propertiesBytes: number,
  payloadBytes: number,
): number {
  const size = 2 + topicBytes + (identified ? 2 : 0) + payloadBytes;
  return version === 5 ? size + variableByteIntegerSize(propertiesBytes) + propertiesBytes : size;
}

function noIdentifier(version: ProtocolVersion): ProtocolError {
  return malformed(statement(version, "2.2.1-3", "2.3.1-1"), "PUBLISH with QoS 1 or 2 has no Packet Identifier, or 0");
}

function noTopic(version: ProtocolVersion): ProtocolError {
  const what = version === 5 ? "neither a Topic Name nor a Topic Alias" : "an empty Topic Name";
  return violation(version === 5 ? "5.0 §3.3.2.1" : statement(version, "4.7.3-1"), `PUBLISH has ${what}`);
}
