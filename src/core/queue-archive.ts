import { copyBytes } from "../codec/bytes.ts";
import { type Archive, UNASKED_DELAY_MS } from "./archive.ts";
import { BATCH_HEAD_BYTES, type Batch } from "./batch.ts";
import type { Broker } from "./broker.ts";
import { Place } from "./keep-last.ts";
import type { Message } from "./message.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { topicBytesOf } from "./publish-writer.ts";
import { RecentMessages, readQueue } from "./queue-reader.ts";
import { encodeQueueExtras, QUEUE_HEAD_BYTES, QueueForm, SLOTS_PER_BLOCK, writeQueueHead } from "./queue-record.ts";
import { messageBytes, propertiesBytes, putMessage, writeMessage } from "./record-writer.ts";
import type { Session } from "./session.ts";
import { Table } from "./store.ts";
import type { Tail } from "./tail.ts";

const NO_BYTES = new Uint8Array(0);
const READ_BYTES = 256 * 1024;

/**
 * Messages on their way to stored sessions, as records: in the queue of each session, within its record when it is the
 * only one, else as a message of its own that all refer to.
 */
export class QueueArchive {
  /** Numbers that are given next. */
  nextBlock = 1;
  nextMessage = 1;
  /** How many queue records refer to a message of its own record. */
  readonly references = new Map<number, number>();
  readonly recent = new RecentMessages();
  /** Bytes in memory of queues that were read from disk, of all sessions together. */
  readBytes = 0;
  private readonly broker: Broker;
  private readonly archive: Archive;
  /** What gathers for `settle`: one message, for which sessions, and as what for each. */
  private message: Message | undefined;
  private readonly sessions: Session[] = [];
  private readonly kept: Outgoing[] = [];
  private readonly places: Place[] = [];

  constructor(broker: Broker, archive: Archive) {
    this.broker = broker;
    this.archive = archive;
  }

  /**
   * `outgoing` is to be found again after a restart: in the queue of `session`, whose packet identifiers and keys it
   * takes the next of. What is written of it is decided by `settle`, which must come before the message's bytes are
   * gone.
   */
  keep(session: Session, outgoing: Outgoing): void {
    const { message } = outgoing;
    if (message !== this.message) {
      this.settle();
      this.message = message;
    }
    outgoing.key = this.nextKey(session);
    if (outgoing.qos !== 0) outgoing.packetIdentifier = session.delivery.nextIdentifier();
    outgoing.batch = this.archive.journal.sequence;
    this.sessions.push(session);
    this.kept.push(outgoing);
  }

  /** Writes what `keep` has gathered: a message for one session within its record, one for several once for all. */
  settle(): void {
    const { message, kept, sessions, archive } = this;
    if (message === undefined) return;
    this.message = undefined;
    // Its last reference may have gone through another copy of it, read from disk.
    if (message.recordKey !== 0 && !this.references.has(message.recordKey)) message.recordKey = 0;
    if (kept.length === 1 && message.recordKey === 0) this.putWhole(sessions[0]!, kept[0]!, message);
    else this.putReferences(message);
    const { journal } = archive;
    const delayMs = archive.durability.delayMs(message.topicName);
    for (let index = 0; index < kept.length; index++) {
      const { qos } = kept[index]!;
      // QoS 0 is kept as a favour; what a client waits for with QoS 2 cannot be sent before it is on disk.
      if (qos === 0) continue;
      if (qos === 2 && sessions[index]!.live) journal.press();
      else journal.want(delayMs);
      if (delayMs === 0) archive.promised = true;
    }
    kept.length = 0;
    sessions.length = 0;
    if (this.places.length === 0) return;
    for (const place of this.places) place.settle();
    this.places.length = 0;
  }

  /** Stands for one that was handed to `keep` just now, and is to be on disk only. */
  placeOf(outgoing: Outgoing): Place {
    const place = new Place(outgoing.key, outgoing.message.countedBytes, 0, outgoing);
    this.places.push(place);
    return place;
  }

  /** The message is acknowledged or given up: its record goes. When it was not handed over yet it never is. */
  forget(session: Session, outgoing: Outgoing | Place): void {
    const { key } = outgoing;
    if (key === 0) return;
    if (outgoing.message !== undefined && outgoing.message === this.message) this.settle();
    const { journal } = this.archive;
    const { batch, sequence } = journal;
    outgoing.key = 0;
    if (outgoing.batch === sequence) {
      batch.void(outgoing.batchAt);
      this.unrefer(outgoing);
      return;
    }
    if (session.trimBatch === sequence && session.trimKey === key - 1) {
      session.trimKey = key;
      batch.extendRange(session.trimAt, key);
    } else {
      session.trimAt = batch.deleteRange(Table.Queue, key, key);
      session.trimBatch = sequence;
      session.trimKey = key;
    }
    this.unrefer(outgoing);
    journal.want(UNASKED_DELAY_MS);
  }

  /**
   * PUBREC came: the message itself is not needed any more, only that PUBREL is to be sent. Returns the batch which
   * must be on disk before that, 5.0 §4.4: else the message could be sent once more after its receiver forgot it.
   */
  released(session: Session, outgoing: Outgoing): number {
    if (outgoing.message === this.message) this.settle();
    const { batch, sequence } = this.archive.journal;
    const at = batch.put(Table.Queue, outgoing.key, 0, QUEUE_HEAD_BYTES);
    this.writeHead(batch, at + BATCH_HEAD_BYTES, QueueForm.Released, session, outgoing, 0, NO_BYTES);
    // It replaces what the disk has, so it must not be voided when it goes; and a range before it must not grow over it.
    outgoing.batch = 0;
    session.trimBatch = 0;
    this.unrefer(outgoing);
    this.archive.journal.press();
    return sequence;
  }

  /** As `forget`, for one whose record goes with all of its session. */
  disown(outgoing: Outgoing): void {
    if (outgoing.key === 0) return;
    if (outgoing.message === this.message) this.settle();
    outgoing.key = 0;
    this.unrefer(outgoing);
  }

  /**
   * The session has ended with messages that are on disk only. They are read once more: those of a share belong to its
   * other members, and those that other sessions wait for too are referred to by one less. Then all of them go; when
   * the broker is cut off before, they are found without a session at the next start.
   */
  endTail(session: Session, tail: Tail, handOver: (outgoing: Outgoing) => void): void {
    const { blocks } = session;
    session.blocks = [];
    this.readOut(tail, handOver).then(
      () => this.deleteBlocks(blocks),
      (error: Error) =>
        this.broker.log.error("Cannot read what waited for an ended session", { reason: error.message }),
    );
  }

  private async readOut(tail: Tail, handOver: (outgoing: Outgoing) => void): Promise<void> {
    const { broker } = this;
    while (tail.count > 0) {
      const { messages, lastKey } = await readQueue(broker, tail, READ_BYTES);
      if (lastKey === 0) return;
      tail.takeUpTo(lastKey);
      broker.turn();
      for (const outgoing of messages) {
        if (outgoing.state !== OutgoingState.AwaitPubcomp) handOver(outgoing);
        this.disown(outgoing);
      }
      broker.reschedule();
    }
  }

  deleteBlocks(blocks: readonly number[]): void {
    for (const block of blocks) {
      const firstKey = block * SLOTS_PER_BLOCK;
      this.archive.journal.batch.deleteRange(Table.Queue, firstKey, firstKey + SLOTS_PER_BLOCK - 1);
    }
    this.archive.journal.want(UNASKED_DELAY_MS);
  }

  /** A record of the queue is gone that referred to the message of this key. */
  unreferKey(recordKey: number): boolean {
    const left = (this.references.get(recordKey) ?? 1) - 1;
    if (left > 0) {
      this.references.set(recordKey, left);
      return false;
    }
    this.references.delete(recordKey);
    this.recent.forget(recordKey);
    return true;
  }

  private nextKey(session: Session): number {
    if (session.block === 0 || session.slot === SLOTS_PER_BLOCK) {
      // A client that keeps up has nothing left in the blocks before.
      if (session.delivery.isEmpty) session.blocks = [];
      session.block = this.nextBlock++;
      session.slot = 0;
      session.blocks.push(session.block);
    }
    return session.block * SLOTS_PER_BLOCK + session.slot++;
  }

  private unrefer(outgoing: Outgoing | Place): void {
    const { message, recordKey } = outgoing;
    if (recordKey === 0) return;
    outgoing.recordKey = 0;
    if (!this.unreferKey(recordKey)) return;
    const { batch, sequence } = this.archive.journal;
    if (message?.recordKey === recordKey && message.recordBatch === sequence) batch.void(message.recordAt);
    else batch.delete(Table.Message, recordKey);
    if (message !== undefined) message.recordKey = 0;
  }

  private putWhole(session: Session, outgoing: Outgoing, message: Message): void {
    const { journal, ageOffsetMs } = this.archive;
    const { batch } = journal;
    const topic = topicBytesOf(message);
    const properties = propertiesBytes(message);
    const extras = extrasOf(outgoing);
    const valueBytes = QUEUE_HEAD_BYTES + extras.length + messageBytes(message, properties);
    outgoing.batchAt = batch.put(Table.Queue, outgoing.key, topic.length, valueBytes);
    const nameAt = outgoing.batchAt + BATCH_HEAD_BYTES;
    const valueAt = nameAt + topic.length;
    copyBytes(batch.bytes, nameAt, topic, 0, topic.length);
    this.writeHead(batch, valueAt, QueueForm.Whole, session, outgoing, 0, extras);
    writeMessage(batch.bytes, valueAt + QUEUE_HEAD_BYTES + extras.length, message, properties, ageOffsetMs);
  }

  private putReferences(message: Message): void {
    const { kept, sessions } = this;
    const { journal, ageOffsetMs } = this.archive;
    const { batch, sequence } = journal;
    if (message.recordKey === 0) {
      message.recordKey = this.nextMessage++;
      message.recordBatch = sequence;
      message.recordAt = putMessage(batch, Table.Message, message.recordKey, message, ageOffsetMs);
    }
    const { recordKey } = message;
    this.references.set(recordKey, (this.references.get(recordKey) ?? 0) + kept.length);
    for (let index = 0; index < kept.length; index++) {
      const outgoing = kept[index]!;
      const extras = extrasOf(outgoing);
      outgoing.recordKey = recordKey;
      outgoing.batchAt = batch.put(Table.Queue, outgoing.key, 0, QUEUE_HEAD_BYTES + extras.length);
      const valueAt = outgoing.batchAt + BATCH_HEAD_BYTES;
      this.writeHead(batch, valueAt, QueueForm.Reference, sessions[index]!, outgoing, recordKey, extras);
    }
  }

  private writeHead(
    batch: Batch,
    at: number,
    form: QueueForm,
    session: Session,
    outgoing: Outgoing,
    recordKey: number,
    extras: Uint8Array,
  ): void {
    const { bytes } = batch;
    writeQueueHead(
      bytes,
      at,
      form,
      outgoing.qos,
      outgoing.retain,
      outgoing.packetIdentifier,
      outgoing.message.countedBytes,
      session.number,
      this.archive.age(outgoing.queuedAtMs),
      recordKey,
      extras.length,
    );
    copyBytes(bytes, at + QUEUE_HEAD_BYTES, extras, 0, extras.length);
  }
}

function extrasOf({ subscriptionIdentifiers, group }: Outgoing): Uint8Array {
  if (subscriptionIdentifiers === undefined && group === undefined) return NO_BYTES;
  const share = group === undefined ? undefined : { name: group.shareName, topicFilter: group.topicFilter };
  return encodeQueueExtras(subscriptionIdentifiers, share);
}
