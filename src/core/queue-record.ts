import { copyBytes } from "../codec/bytes.ts";
import type { Qos } from "../codec/constants.ts";
import { Reader } from "../codec/reader.ts";
import { Writer } from "../codec/writer.ts";
import { decodeMessage, encodeMessage, type MessageRecord } from "./message-record.ts";
import { demandRange, readTime, readUint32, writeTime, writeUint32 } from "./record-fields.ts";

/** Keys of a queue are `block * SLOTS_PER_BLOCK + slot`: a block belongs to one session for ever. */
export const SLOTS_PER_BLOCK = 2 ** 20;

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

const NO_BYTES = new Uint8Array(0);
const NO_EXTRAS: QueueExtras = { subscriptionIdentifiers: undefined, share: undefined };

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
