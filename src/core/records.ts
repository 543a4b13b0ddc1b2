import { ownBytes } from "../codec/bytes.ts";
import type { ProtocolVersion, Qos } from "../codec/constants.ts";
import type { RetainHandling, Will } from "../codec/packet.ts";
import { encodeProperties, readProperties } from "../codec/properties.ts";
import { WILL } from "../codec/property-table.ts";
import { Reader } from "../codec/reader.ts";
import { encodeUtf8 } from "../codec/text.ts";
import { Writer } from "../codec/writer.ts";
import { demandLength, readTime, readUint32, textOf, timeFrom, writeTime, writeUint32 } from "./record-fields.ts";

/**
 * What the bytes in a store mean, in format version 1: the records of clock, sessions and subscriptions. Those of messages are
 * in message-record.ts, those of queues in queue-record.ts. Decoders throw an Error for bytes that they cannot understand: the
 * record is then lost.
 */

/** Keys of incoming QoS 2 identifiers are `session * IDENTIFIERS_PER_SESSION + packet identifier`; they have no value. */
export const IDENTIFIERS_PER_SESSION = 65_536;

/** Table `clock`, key 0: where the broker's age and the wall clock stood. */
export interface ClockRecord {
  ageMs: number;
  wallMs: number;
  trusted: boolean;
}

/** Table `session`, key: its number. Named by the client identifier. */
export interface SessionRecord {
  clientId: string;
  userName: string | undefined;
  protocolVersion: ProtocolVersion;
  /** False: it only stands for the will of a connection whose session ends with it. */
  stored: boolean;
  /** When this was written; a broker that finds it true was cut off. */
  connected: boolean;
  /** Seconds it outlives its connection. */
  expiryIntervalSeconds: number;
  /** Age at which it ends; Infinity while connected, or when it never does. */
  expiresAtMs: number;
  responseTopic: string | undefined;
  /**
   * Not connected: key of the last queue record that was sent, 0 for none. Connected: how many may be under way, which
   * are then the oldest.
   */
  sentKey: number;
  will: Will | undefined;
  /** Age at which the will is due when it is not connected. */
  willDueAtMs: number;
}

/** Table `subscription`, any key. Named by the Topic Filter as subscribed. */
export interface SubscriptionRecord {
  session: number;
  topicFilter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: RetainHandling;
  subscriptionIdentifier: number | undefined;
}

export function encodeClock({ ageMs, wallMs, trusted }: ClockRecord): Uint8Array {
  const bytes = new Uint8Array(17);
  writeTime(bytes, 0, ageMs);
  writeTime(bytes, 8, wallMs);
  bytes[16] = trusted ? 1 : 0;
  return bytes;
}

export function decodeClock(value: Uint8Array): ClockRecord {
  demandLength(value, 17);
  return { ageMs: readTime(value, 0), wallMs: readTime(value, 8), trusted: value[16] === 1 };
}

export function encodeSession(session: SessionRecord): Uint8Array {
  const writer = new Writer();
  const { userName, responseTopic, will } = session;
  const flags =
    (session.stored ? 1 : 0) |
    (session.connected ? 2 : 0) |
    (userName === undefined ? 0 : 4) |
    (responseTopic === undefined ? 0 : 8) |
    (will === undefined ? 0 : 16);
  writer.uint8(flags);
  writer.uint8(session.protocolVersion);
  writer.uint32(session.expiryIntervalSeconds);
  writer.raw(timeBytes(session.expiresAtMs));
  writer.raw(timeBytes(session.sentKey));
  if (userName !== undefined) writer.utf8String(userName);
  if (responseTopic !== undefined) writer.utf8String(responseTopic);
  if (will !== undefined) {
    writer.raw(timeBytes(session.willDueAtMs));
    writer.uint8(will.qos | (will.retain ? 4 : 0));
    writer.utf8String(will.topicName);
    const properties = encodeProperties(WILL, will.properties);
    writer.variableByteInteger(properties.length);
    writer.raw(properties);
    writer.raw(will.payload);
  }
  return writer.body();
}

export function decodeSession(name: Uint8Array, value: Uint8Array): SessionRecord {
  const reader = new Reader(value, 0, value.length, 5);
  const flags = reader.uint8();
  const protocolVersion = reader.uint8() as ProtocolVersion;
  const expiryIntervalSeconds = reader.uint32();
  const expiresAtMs = timeOf(reader);
  const sentKey = timeOf(reader);
  const userName = (flags & 4) === 0 ? undefined : reader.utf8String();
  const responseTopic = (flags & 8) === 0 ? undefined : reader.utf8String();
  let will: Will | undefined;
  let willDueAtMs = Number.POSITIVE_INFINITY;
  if ((flags & 16) !== 0) {
    willDueAtMs = timeOf(reader);
    const bits = reader.uint8();
    const topicName = reader.utf8String();
    const properties = readProperties(reader, WILL);
    const payload = ownBytes(value, reader.position, value.length);
    will = { topicName, payload, qos: (bits & 3) as Qos, retain: (bits & 4) !== 0, properties };
  }
  return {
    clientId: textOf(name),
    userName,
    protocolVersion,
    stored: (flags & 1) !== 0,
    connected: (flags & 2) !== 0,
    expiryIntervalSeconds,
    expiresAtMs,
    responseTopic,
    sentKey,
    will,
    willDueAtMs,
  };
}

export function encodeSubscription(subscription: SubscriptionRecord): Uint8Array {
  const { qos, noLocal, retainAsPublished, retainHandling } = subscription;
  const bytes = new Uint8Array(9);
  writeUint32(bytes, 0, subscription.session);
  bytes[4] = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
  writeUint32(bytes, 5, subscription.subscriptionIdentifier ?? 0);
  return bytes;
}

export function decodeSubscription(name: Uint8Array, value: Uint8Array): SubscriptionRecord {
  demandLength(value, 9);
  const bits = value[4]!;
  const identifier = readUint32(value, 5);
  return {
    session: readUint32(value, 0),
    topicFilter: textOf(name),
    qos: (bits & 3) as Qos,
    noLocal: (bits & 4) !== 0,
    retainAsPublished: (bits & 8) !== 0,
    retainHandling: ((bits >> 4) & 3) as RetainHandling,
    subscriptionIdentifier: identifier === 0 ? undefined : identifier,
  };
}

export function nameBytes(text: string): Uint8Array {
  return encodeUtf8(text);
}

function timeBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeTime(bytes, 0, value);
  return bytes;
}

function timeOf(reader: Reader): number {
  const high = reader.uint32();
  const low = reader.uint32();
  return timeFrom(high, low);
}
