import { NO_PROPERTIES } from "../codec/packet.ts";
import { decodeUtf8 } from "../codec/text.ts";
import { BatchReader } from "./batch.ts";
import type { Broker } from "./broker.ts";
import { Message } from "./message.ts";
import {
  decodeMessage,
  type MessageRecord,
  messageExpiresAtMs,
  messagePayloadAt,
  messageProperties,
  messageQos,
  messageRetain,
} from "./message-record.ts";
import { Outgoing, OutgoingState } from "./outgoing.ts";
import { decodeQueueExtras, decodeQueueHead, QueueForm, queueExtrasEnd, SLOTS_PER_BLOCK } from "./queue-record.ts";
import { STORE_TABLES, type StoreTable, Table } from "./store.ts";
import type { Tail } from "./tail.ts";

/** Messages that several sessions wait for are often read by one after the other: so many bytes of them are at hand. */
const RECENT_BYTES_MAX = 1024 * 1024;
/** What a message takes beside topic and payload. */
const MESSAGE_BYTES = 500;
const NO_BYTES = new Uint8Array(0);
const NO_MESSAGES: ReadonlyMap<number, Message> = new Map();

export interface QueuePage {
  /** In order. Each has its key, its packet identifier and its message. */
  messages: Outgoing[];
  /** Everything up to this key has been dealt with. 0: nothing was there to be read at present. */
  lastKey: number;
}

/** Reads the oldest of what waits on disk for one session. Nothing is changed in the store, nor in `tail`. */
export async function readQueue(broker: Broker, tail: Tail, bytesMax: number): Promise<QueuePage> {
  const { journal, queues } = broker.archive!;
  // What a store shows need not be on disk yet, and QoS 2 waits for that.
  const { lastBatch } = tail;
  const firstKey = tail.firstKey!;
  const blockEnd = (Math.floor(firstKey / SLOTS_PER_BLOCK) + 1) * SLOTS_PER_BLOCK - 1;
  const askedKey = tail.lastKeyUpTo(blockEnd);
  const page = await journal.read(lastBatch, Table.Queue, firstKey, askedKey, bytesMax);
  const references: number[] = [];
  let lastKey = 0;
  for (const reader = new BatchReader(page); reader.next(); ) {
    lastKey = reader.key;
    const { bytes, valueStart, valueEnd } = reader;
    if (bytes[valueStart] !== QueueForm.Reference) continue;
    const head = understood(broker, "queue", reader, () => decodeQueueHead(bytes, valueStart, valueEnd));
    if (head !== undefined) references.push(head.message);
  }
  // While nothing can be written what was put last is not in the store yet: it is not lost, it is to come.
  if (lastKey === 0 && journal.writable) lastKey = askedKey;
  const found = references.length === 0 ? NO_MESSAGES : await queues.recent.get(broker, references);
  const messages: Outgoing[] = [];
  for (const reader = new BatchReader(page); reader.next(); ) {
    // Taken out while it was read.
    if (!tail.has(reader.key)) continue;
    try {
      const outgoing = outgoingOf(broker, reader, found);
      outgoing.batch = lastBatch;
      messages.push(outgoing);
    } catch (error) {
      lose(broker, "queue", reader, error as Error);
    }
  }
  return { messages, lastKey };
}

/** Messages of their own record that were read lately, by key. */
export class RecentMessages {
  private readonly messages = new Map<number, Message>();
  private bytes = 0;

  /** Those of `keys` that there are. */
  async get(broker: Broker, keys: readonly number[]): Promise<ReadonlyMap<number, Message>> {
    const found = new Map<number, Message>();
    const missing: number[] = [];
    for (const key of keys) {
      const message = this.messages.get(key);
      // One that everybody had is gone from the store, and its key with it.
      if (message !== undefined && message.recordKey === key) found.set(key, message);
      else missing.push(key);
    }
    if (missing.length === 0) return found;
    const page = await broker.archive!.journal.readKeys(Table.Message, missing);
    for (const reader = new BatchReader(page); reader.next(); ) {
      const record = understood(broker, "message", reader, () =>
        decodeMessage(reader.name, reader.bytes, reader.valueStart, reader.valueEnd),
      );
      if (record === undefined) continue;
      const message = messageOfRecord(broker, record);
      message.recordKey = reader.key;
      found.set(reader.key, message);
      this.remember(message);
    }
    return found;
  }

  /** Nobody waits for the message of this key any more. */
  forget(key: number): void {
    const message = this.messages.get(key);
    if (message === undefined) return;
    this.messages.delete(key);
    this.bytes -= MESSAGE_BYTES + message.countedBytes;
  }

  private remember(message: Message): void {
    this.forget(message.recordKey);
    this.messages.set(message.recordKey, message);
    this.bytes += MESSAGE_BYTES + message.countedBytes;
    for (const key of this.messages.keys()) {
      if (this.bytes <= RECENT_BYTES_MAX) return;
      this.forget(key);
    }
  }
}

export function messageOfRecord(broker: Broker, record: MessageRecord): Message {
  const { topicName, qos, retain, properties, payload } = record;
  const expiresAtMs = broker.archive!.fromAge(record.expiresAtMs);
  return Message.owned(topicName, qos, retain, properties, expiresAtMs, payload, 0, payload.length);
}

/** Undefined for a record whose bytes are whole but make no sense, which is lost as a damaged one is. */
export function understood<T>(broker: Broker, table: StoreTable, reader: BatchReader, decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    lose(broker, table, reader, error as Error);
    return undefined;
  }
}

function lose(broker: Broker, table: StoreTable, reader: BatchReader, error: Error): void {
  const { journal } = broker.archive!;
  const { key, name } = reader;
  journal.onLost({ table, key, name: readable(name), reason: error.message });
  journal.batch.delete(STORE_TABLES.indexOf(table) as Table, key);
}

function readable(name: Uint8Array): string {
  try {
    return decodeUtf8(name, 0, name.length);
  } catch {
    return "";
  }
}

/** Throws Error for what cannot be understood. */
function outgoingOf(broker: Broker, reader: BatchReader, found: ReadonlyMap<number, Message>): Outgoing {
  const { archive, router } = broker;
  const { key, bytes, valueStart, valueEnd } = reader;
  const head = decodeQueueHead(bytes, valueStart, valueEnd);
  const { form, qos } = head;
  const extrasEnd = queueExtrasEnd(bytes, valueStart, valueEnd);
  const { subscriptionIdentifiers, share } = decodeQueueExtras(bytes, valueStart, extrasEnd);
  let message: Message | undefined;
  if (form === QueueForm.Whole) message = wholeMessage(broker, reader, extrasEnd);
  else if (form === QueueForm.Reference) message = found.get(head.message);
  else message = Message.owned("", qos, false, NO_PROPERTIES, Number.POSITIVE_INFINITY, NO_BYTES, 0, 0);
  if (message === undefined) {
    archive!.queues.unreferKey(head.message);
    throw new Error(`its message, ${head.message}, is not there`);
  }
  const group = share === undefined ? undefined : router.group(share.name, share.topicFilter);
  const queuedAtMs = archive!.fromAge(head.queuedAtMs);
  const outgoing = new Outgoing(message, qos, head.retain, subscriptionIdentifiers, group, queuedAtMs);
  outgoing.key = key;
  outgoing.packetIdentifier = head.packetIdentifier;
  outgoing.recordKey = head.message;
  if (form === QueueForm.Released) outgoing.state = OutgoingState.AwaitPubcomp;
  return outgoing;
}

/** Its payload stays where it was read: the page lives as long as a message of it, and they leave one after the other. */
function wholeMessage(broker: Broker, reader: BatchReader, start: number): Message {
  const { bytes, nameStart, valueStart, valueEnd } = reader;
  const payloadAt = messagePayloadAt(bytes, start, valueEnd);
  return Message.owned(
    broker.topicNames.readTopicName(bytes, nameStart, valueStart, 5),
    messageQos(bytes, start),
    messageRetain(bytes, start),
    messageProperties(bytes, start, payloadAt),
    broker.archive!.fromAge(messageExpiresAtMs(bytes, start)),
    bytes,
    payloadAt,
    valueEnd,
  );
}
