import { copyBytes, ownBytes } from "../codec/bytes.ts";
import { PacketType, type Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, type PublishProperties } from "../codec/packet.ts";
import { encodeProperties, readProperties } from "../codec/properties.ts";
import { Reader } from "../codec/reader.ts";
import { Writer } from "../codec/writer.ts";
import { demandRange, readTime, readUint32, textOf, writeTime, writeUint32 } from "./record-fields.ts";

/** Tables `retained` and `message`, any key, and the end of a whole queue record. Named by the Topic Name. */
export interface MessageRecord {
  topicName: string;
  qos: Qos;
  retain: boolean;
  properties: PublishProperties;
  /** Age at which it expires; Infinity for never. */
  expiresAtMs: number;
  /** Shares no memory with the record. */
  payload: Uint8Array;
}

export const MESSAGE_HEAD_BYTES = 13;

/** Writes the MESSAGE_HEAD_BYTES before properties and payload. */
export function writeMessageHead(
  bytes: Uint8Array,
  at: number,
  qos: Qos,
  retain: boolean,
  propertiesBytes: number,
  expiresAtMs: number,
): void {
  bytes[at] = qos | (retain ? 4 : 0);
  writeUint32(bytes, at + 1, propertiesBytes);
  writeTime(bytes, at + 5, expiresAtMs);
}

/** For messages that are written one at a time; the journal writes its own in place. */
export function encodeMessage(message: MessageRecord): Uint8Array {
  const properties = encodeProperties(PacketType.PUBLISH, message.properties);
  const bytes = new Uint8Array(MESSAGE_HEAD_BYTES + properties.length + message.payload.length);
  writeMessageHead(bytes, 0, message.qos, message.retain, properties.length, message.expiresAtMs);
  copyBytes(bytes, MESSAGE_HEAD_BYTES, properties, 0, properties.length);
  const payloadAt = MESSAGE_HEAD_BYTES + properties.length;
  copyBytes(bytes, payloadAt, message.payload, 0, message.payload.length);
  return bytes;
}

/** `topicName` is given where it is known already. */
export function decodeMessage(
  name: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
  topicName: string = textOf(name),
): MessageRecord {
  const payloadAt = messagePayloadAt(bytes, start, end);
  return {
    topicName,
    qos: messageQos(bytes, start),
    retain: messageRetain(bytes, start),
    properties: messageProperties(bytes, start, payloadAt),
    expiresAtMs: messageExpiresAtMs(bytes, start),
    payload: ownBytes(bytes, payloadAt, end),
  };
}

// The parts of a message in `bytes[start, …)`, for those who read many and build no record of each.

export function messagePayloadAt(bytes: Uint8Array, start: number, end: number): number {
  demandRange(start + MESSAGE_HEAD_BYTES, end);
  const payloadAt = start + MESSAGE_HEAD_BYTES + readUint32(bytes, start + 1);
  demandRange(payloadAt, end);
  return payloadAt;
}

export function messageQos(bytes: Uint8Array, start: number): Qos {
  return (bytes[start]! & 3) as Qos;
}

export function messageRetain(bytes: Uint8Array, start: number): boolean {
  return (bytes[start]! & 4) !== 0;
}

export function messageProperties(bytes: Uint8Array, start: number, payloadAt: number): PublishProperties {
  const propertiesAt = start + MESSAGE_HEAD_BYTES;
  return propertiesAt === payloadAt ? NO_PROPERTIES : decodeProperties(bytes, propertiesAt, payloadAt);
}

export function messageExpiresAtMs(bytes: Uint8Array, start: number): number {
  return readTime(bytes, start + 5);
}

function decodeProperties(bytes: Uint8Array, start: number, end: number): PublishProperties {
  // They stand without their length, which is what readProperties begins with.
  const writer = new Writer();
  writer.variableByteInteger(end - start);
  writer.raw(bytes.subarray(start, end));
  const whole = writer.body();
  return readProperties(new Reader(whole, 0, whole.length, 5), PacketType.PUBLISH);
}
