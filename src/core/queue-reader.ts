import { NO_PROPERTIES } from "../codec/packet.ts";
import { decodeUtf8 } from "../codec/text.ts";
import { BatchReader } from "./batch.ts";
import type { Broker } from "./broker.ts";
import { Message } from "./message.ts";
import { Outgoing, OutgoingState } from "./outgoing.ts";
import {
  decodeMessage,
  decodeQueued,
  type MessageRecord,
  QueueForm,
  type QueueRecord,
  SLOTS_PER_BLOCK,
} from "./records.ts";
import { STORE_TABLES, type StoreTable, Table } from "./store.ts";
import type { Tail } from "./tail.ts";

/** Messages that several sessions wait for are often read by one after the other: so many payload bytes are at hand. */
const RECENT_BYTES_MAX = 1024 * 1024;

export interface QueuePage {
  /** In order. Each has its key, its packet identifier and its message. */
  messages: Outgoing[];
  /** Everything up to this key has been dealt with. 0: nothing was there to be read at present. */
  lastKey: number;
}

/** Reads the oldest of what waits on disk for one session. Nothing is changed in the store, nor in `tail`. */
export async function readQueue(broker: Broker, tail: Tail, bytesMax: number): Promise<QueuePage> {
  const { journal } = broker.archive!;
  // What a store shows need not be on disk yet, and QoS 2 waits for that.
  const { lastBatch } = tail;
  const firstKey = tail.firstKey!;
  const blockEnd = (Math.floor(firstKey / SLOTS_PER_BLOCK) + 1) * SLOTS_PER_BLOCK - 1;
  const askedKey = tail.lastKeyUpTo(blockEnd);
  const page = await journal.read(tail.lastBatch, Table.Queue, firstKey, askedKey, bytesMax);
  const records: { key: number; record: QueueRecord }[] = [];
  let lastKey = 0;
  for (const reader = new BatchReader(page); reader.next(); ) {
    const { key } = reader;
    lastKey = key;
    const record = understood(broker, "queue", reader, () =>
      decodeQueued(reader.name, reader.bytes, reader.valueStart, reader.valueEnd),
    );
    if (record !== undefined) records.push({ key, record });
  }
  // While nothing can be written what was put last is not in the store yet: it is not lost, it is to come.
  if (lastKey === 0 && journal.writable) lastKey = askedKey;
  const messages = await broker.archive!.queues.recent.get(
    broker,
    records.flatMap(({ record }) => (record.form === QueueForm.Reference ? [record.message] : [])),
  );
  return {
    messages: records.flatMap(({ key, record }) => outgoingOf(broker, key, record, messages, lastBatch)),
    lastKey,
  };
}

/** Messages of their own record that were read lately, by key. */
export class RecentMessages {
  private readonly messages = new Map<number, Message>();
  private bytes = 0;

  /** Those of `keys` that there are. */
  async get(broker: Broker, keys: readonly number[]): Promise<ReadonlyMap<number, Message>> {
    const found = new Map<number, Message>();
    if (keys.length === 0) return found;
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

  private remember(message: Message): void {
    this.messages.set(message.recordKey, message);
    this.bytes += message.countedBytes;
    for (const [key, oldest] of this.messages) {
      if (this.bytes <= RECENT_BYTES_MAX) return;
      this.messages.delete(key);
      this.bytes -= oldest.countedBytes;
    }
  }
}

export function messageOfRecord(broker: Broker, record: MessageRecord): Message {
  const { topicName, qos, retain, properties, payload } = record;
  const expiresAtMs = broker.archive!.fromAge(record.expiresAtMs);
  return Message.owned(topicName, qos, retain, properties, expiresAtMs, payload);
}

/** Undefined for a record whose bytes are whole but make no sense, which is lost as a damaged one is. */
export function understood<T>(broker: Broker, table: StoreTable, reader: BatchReader, decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    const { journal } = broker.archive!;
    const { key, name } = reader;
    journal.onLost({ table, key, name: readable(name), reason: (error as Error).message });
    journal.batch.delete(STORE_TABLES.indexOf(table) as Table, key);
    return undefined;
  }
}

function readable(name: Uint8Array): string {
  try {
    return decodeUtf8(name, 0, name.length);
  } catch {
    return "";
  }
}

function outgoingOf(
  broker: Broker,
  key: number,
  record: QueueRecord,
  messages: ReadonlyMap<number, Message>,
  batch: number,
): Outgoing[] {
  const { archive } = broker;
  const { form, qos, retain, packetIdentifier, subscriptionIdentifiers, share, whole } = record;
  const message =
    form === QueueForm.Released
      ? Message.owned("", qos, false, NO_PROPERTIES, Number.POSITIVE_INFINITY, new Uint8Array(0))
      : whole === undefined
        ? messages.get(record.message)
        : messageOfRecord(broker, whole);
  if (message === undefined) {
    const reason = `its message, ${record.message}, is not there`;
    archive!.journal.onLost({ table: "queue", key, name: "", reason });
    archive!.journal.batch.delete(Table.Queue, key);
    archive!.queues.unreferKey(record.message);
    return [];
  }
  const group = share === undefined ? undefined : broker.router.group(share.name, share.topicFilter);
  const queuedAtMs = archive!.fromAge(record.queuedAtMs);
  const outgoing = new Outgoing(message, qos, retain, subscriptionIdentifiers, group, queuedAtMs);
  outgoing.key = key;
  outgoing.batch = batch;
  outgoing.packetIdentifier = packetIdentifier;
  outgoing.recordKey = form === QueueForm.Reference ? record.message : 0;
  if (form === QueueForm.Released) outgoing.state = OutgoingState.AwaitPubcomp;
  return [outgoing];
}
