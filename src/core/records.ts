import { copyBytes, ownBytes } from "../codec/bytes.ts";
import { PacketType, type ProtocolVersion, type Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, type PublishProperties, type RetainHandling, type Will } from "../codec/packet.ts";
import { encodeProperties, readProperties } from "../codec/properties.ts";
import { WILL } from "../codec/property-table.ts";
import { Reader } from "../codec/reader.ts";
import { decodeUtf8, encodeUtf8 } from "../codec/text.ts";
import { Writer } from "../codec/writer.ts";

/**
 * What the bytes in a store mean, in format version 1. Integers are big-endian, as in MQTT; a time is milliseconds of
 * the broker's age (see Archive) in eight bytes, all ones for never. Decoders throw an Error for bytes that they cannot
 * understand: the record is then lost.
 */

/** Keys of a queue are `block * SLOTS_PER_BLOCK + slot`: a block belongs to one session for ever. */
export const SLOTS_PER_BLOCK = 2 ** 20;
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

/** How a queue record has its message: in itself, in table `message`, or not any more, since PUBREC came. */
export const QueueForm = { Whole: 0, Reference: 1, Released: 2 } as const;
export type QueueForm = (typeof QueueForm)[keyof typeof QueueForm];

/** The first bytes of a queue record, which are enough to know what waits for whom. */
export interface QueueHead {
  form: QueueForm;
  qos: Qos;
  retain: boolean;
  /** 0 for QoS 0. */
  packetIdentifier: number;
  /** What it counts as in its queue. */
  countedBytes: number;
  session: number;
  queuedAtMs: number;
  /** Key in table `message`, of a reference; else 0. */
  message: number;
}

/** What a queue record has behind its head, mostly nothing. */
export interface QueueExtras {
  subscriptionIdentifiers: readonly number[] | undefined;
  share: { name: string; topicFilter: string } | undefined;
}

/** Table `queue`. */
export interface QueueRecord extends QueueHead, QueueExtras {
  /** Of a whole record. */
  whole: MessageRecord | undefined;
}

export const QUEUE_HEAD_BYTES = 32;
export const MESSAGE_HEAD_BYTES = 13;

const NEVER_HALF = 0xffff_ffff;
const HALF = 2 ** 32;
const NO_BYTES = new Uint8Array(0);
const NO_EXTRAS: QueueExtras = { subscriptionIdentifiers: undefined, share: undefined };

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

/** Writes the QUEUE_HEAD_BYTES. `extrasBytes`: of what `encodeQueueExtras` gave. */
export function writeQueueHead(
  bytes: Uint8Array,
  at: number,
  form: QueueForm,
  qos: Qos,
  retain: boolean,
  packetIdentifier: number,
  countedBytes: number,
  session: number,
  queuedAtMs: number,
  message: number,
  extrasBytes: number,
): void {
  bytes[at] = form;
  bytes[at + 1] = qos | (retain ? 4 : 0);
  bytes[at + 2] = packetIdentifier >>> 8;
  bytes[at + 3] = packetIdentifier;
  writeUint32(bytes, at + 4, countedBytes);
  writeUint32(bytes, at + 8, session);
  writeTime(bytes, at + 12, queuedAtMs);
  writeTime(bytes, at + 20, message);
  writeUint32(bytes, at + 28, extrasBytes);
}

/** Nearly always nothing. */
export function encodeQueueExtras(
  subscriptionIdentifiers: readonly number[] | undefined,
  share: { name: string; topicFilter: string } | undefined,
): Uint8Array {
  if (subscriptionIdentifiers === undefined && share === undefined) return NO_BYTES;
  const writer = new Writer();
  writer.variableByteInteger(subscriptionIdentifiers?.length ?? 0);
  for (const identifier of subscriptionIdentifiers ?? []) writer.variableByteInteger(identifier);
  if (share !== undefined) {
    writer.utf8String(share.name);
    writer.utf8String(share.topicFilter);
  }
  return writer.body();
}

export function encodeQueued(record: QueueRecord): Uint8Array {
  const extras = encodeQueueExtras(record.subscriptionIdentifiers, record.share);
  const whole = record.whole === undefined ? NO_BYTES : encodeMessage(record.whole);
  const bytes = new Uint8Array(QUEUE_HEAD_BYTES + extras.length + whole.length);
  const { form, qos, retain, packetIdentifier, countedBytes, session, queuedAtMs, message } = record;
  writeQueueHead(
    bytes,
    0,
    form,
    qos,
    retain,
    packetIdentifier,
    countedBytes,
    session,
    queuedAtMs,
    message,
    extras.length,
  );
  copyBytes(bytes, QUEUE_HEAD_BYTES, extras, 0, extras.length);
  copyBytes(bytes, QUEUE_HEAD_BYTES + extras.length, whole, 0, whole.length);
  return bytes;
}

/** Of `bytes[start, …)`, which may be cut off behind the head. */
export function decodeQueueHead(bytes: Uint8Array, start: number, end: number): QueueHead {
  demandRange(start + QUEUE_HEAD_BYTES, end);
  const form = bytes[start]!;
  if (form > QueueForm.Released) throw new RangeError(`Unknown form ${form} of a queue record`);
  const bits = bytes[start + 1]!;
  return {
    form: form as QueueForm,
    qos: (bits & 3) as Qos,
    retain: (bits & 4) !== 0,
    packetIdentifier: (bytes[start + 2]! << 8) | bytes[start + 3]!,
    countedBytes: readUint32(bytes, start + 4),
    session: readUint32(bytes, start + 8),
    queuedAtMs: readTime(bytes, start + 12),
    message: readTime(bytes, start + 20),
  };
}

export function decodeQueued(name: Uint8Array, bytes: Uint8Array, start: number, end: number): QueueRecord {
  const head = decodeQueueHead(bytes, start, end);
  const wholeAt = queueExtrasEnd(bytes, start, end);
  const whole = head.form === QueueForm.Whole ? decodeMessage(name, bytes, wholeAt, end) : undefined;
  return { ...head, ...decodeQueueExtras(bytes, start, wholeAt), whole };
}

/** Whether a queue record has extras; its head is enough to say so. */
export function hasQueueExtras(bytes: Uint8Array, start: number): boolean {
  return readUint32(bytes, start + 28) !== 0;
}

/** Where the extras of a queue record end, and with a whole one its message begins. */
export function queueExtrasEnd(bytes: Uint8Array, start: number, end: number): number {
  const extrasEnd = start + QUEUE_HEAD_BYTES + readUint32(bytes, start + 28);
  demandRange(extrasEnd, end);
  return extrasEnd;
}

export function decodeQueueExtras(bytes: Uint8Array, start: number, extrasEnd: number): QueueExtras {
  const extrasAt = start + QUEUE_HEAD_BYTES;
  if (extrasEnd === extrasAt) return NO_EXTRAS;
  const reader = new Reader(bytes, extrasAt, extrasEnd, 5);
  let subscriptionIdentifiers: number[] | undefined;
  const count = reader.variableByteInteger();
  if (count > 0) {
    subscriptionIdentifiers = [];
    for (let left = count; left > 0; left--) subscriptionIdentifiers.push(reader.variableByteInteger());
  }
  const share = reader.remaining > 0 ? { name: reader.utf8String(), topicFilter: reader.utf8String() } : undefined;
  return { subscriptionIdentifiers, share };
}

export function nameBytes(text: string): Uint8Array {
  return encodeUtf8(text);
}

function decodeProperties(bytes: Uint8Array, start: number, end: number): PublishProperties {
  // They stand without their length, which is what readProperties begins with.
  const writer = new Writer();
  writer.variableByteInteger(end - start);
  writer.raw(bytes.subarray(start, end));
  const whole = writer.body();
  return readProperties(new Reader(whole, 0, whole.length, 5), PacketType.PUBLISH);
}

function textOf(name: Uint8Array): string {
  return decodeUtf8(name, 0, name.length);
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

/** A non-negative integer below 2^53, or Infinity; fractions of a millisecond are dropped, and never below 0. */
function writeTime(bytes: Uint8Array, at: number, value: number): void {
  if (value === Number.POSITIVE_INFINITY) {
    writeUint32(bytes, at, NEVER_HALF);
    writeUint32(bytes, at + 4, NEVER_HALF);
    return;
  }
  const whole = value < 0 ? 0 : Math.floor(value);
  writeUint32(bytes, at, Math.floor(whole / HALF));
  writeUint32(bytes, at + 4, whole % HALF);
}

function readTime(bytes: Uint8Array, at: number): number {
  return timeFrom(readUint32(bytes, at), readUint32(bytes, at + 4));
}

function timeFrom(high: number, low: number): number {
  return high === NEVER_HALF ? Number.POSITIVE_INFINITY : high * HALF + low;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function demandLength(value: Uint8Array, length: number): void {
  if (value.length < length) throw new RangeError(`A record has ${value.length} bytes, not ${length}`);
}

function demandRange(position: number, end: number): void {
  if (position > end) throw new RangeError(`A record ends ${position - end} bytes too early`);
}
