import { copyBytes } from "../codec/bytes.ts";
import type { PublishProperties } from "../codec/packet.ts";
import { NO_PROPERTIES } from "../codec/packet.ts";
import { encodePublishProperties } from "../codec/publish.ts";
import { BATCH_HEAD_BYTES, type Batch } from "./batch.ts";
import type { Broker } from "./broker.ts";
import type { Timed } from "./deadlines.ts";
import { Durability } from "./durability.ts";
import { FlashUse } from "./flash-use.ts";
import { Journal } from "./journal.ts";
import type { Message } from "./message.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { topicBytesOf } from "./publish-writer.ts";
import { RecentMessages, readQueue } from "./queue-reader.ts";
import {
  encodeClock,
  encodeQueueExtras,
  encodeSession,
  encodeSubscription,
  IDENTIFIERS_PER_SESSION,
  MESSAGE_HEAD_BYTES,
  nameBytes,
  QUEUE_HEAD_BYTES,
  QueueForm,
  SLOTS_PER_BLOCK,
  writeMessageHead,
  writeQueueHead,
} from "./records.ts";
import type { Session } from "./session.ts";
import { type Store, Table } from "./store.ts";
import type { Subscription } from "./subscription.ts";
import type { Tail } from "./tail.ts";

const NO_BYTES = new Uint8Array(0);

/** A retained QoS 0 message has no acknowledgement to wait for: those of a second are written together. */
const QOS0_DELAY_MS = 1000;
/** So often at most the clock goes along with what is written anyway. */
const CLOCK_INTERVAL_MS = 60_000;
const CLOCK_INTERVAL_MAX_MS = 3_600_000;
const READ_BYTES = 256 * 1024;

/** What is to be kept of one message, until it is known for how many sessions: then it is written in one go. */
interface Kept {
  session: Session;
  outgoing: Outgoing;
}

/**
 * What the broker keeps over a restart: turns what happens to sessions, subscriptions, queues and retained messages into
 * records of the store. Memory is the truth while the broker runs, and the store its shadow; but for long queues, whose
 * younger part is on disk only.
 */
export class Archive implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly journal: Journal;
  readonly durability: Durability;
  readonly flash: FlashUse;
  /** Something was put since this was last set to false for which an acknowledgement waits. */
  promised = false;
  /** Age of the broker, counted over all its runs, less the monotonic clock of this one. See `age`. */
  ageOffsetMs = 0;
  /** Numbers that are given next. */
  nextSession = 1;
  nextSubscription = 1;
  nextBlock = 1;
  nextMessage = 1;
  nextRetained = 1;
  /** How many queue records refer to a message of its own record. */
  readonly references = new Map<number, number>();
  readonly recent = new RecentMessages();
  private readonly broker: Broker;
  private clockWrittenMs = Number.NEGATIVE_INFINITY;
  /** What gathers for `settle`: one message, and who keeps it. */
  private message: Message | undefined;
  private readonly kept: Kept[] = [];

  constructor(broker: Broker, store: Store) {
    this.broker = broker;
    this.journal = new Journal(broker, store, () => this.beforeBatchGoes());
    this.flash = new FlashUse(broker, this.journal);
    this.durability = new Durability(broker.options.durability);
  }

  /** A time of the broker's as an age: what is comparable over restarts. */
  age(ms: number): number {
    return ms + this.ageOffsetMs;
  }

  /** An age as a time of this run. */
  fromAge(ageMs: number): number {
    return ageMs - this.ageOffsetMs;
  }

  /** The clock is written once an hour when nothing else is, so that what was lived through a crash counts. */
  onDue(): void {
    this.putClock();
    this.journal.want(0);
    this.broker.deadlines.set(this, this.broker.nowMs + CLOCK_INTERVAL_MAX_MS);
  }

  /** The store was read: from now on it is written. */
  begin(): void {
    this.flash.start();
    this.onDue();
  }

  // Sessions

  /**
   * The session is about to go on over a connection: from now on it must not end, nor its delayed will be published,
   * because of what an earlier record says. Resolves when that is on disk.
   */
  sessionConnects(session: Session): Promise<void> {
    this.putSession(session, true);
    return this.journal.settled();
  }

  /** A connection whose session ends with it has a will: should the broker be cut off, the will is published later. */
  willGiven(session: Session): void {
    this.putSession(session, true);
    this.journal.want(QOS0_DELAY_MS);
  }

  sessionDetached(session: Session): void {
    this.putSession(session, false);
    this.journal.want(0);
  }

  /** All of it goes. What it holds in memory is forgotten by the caller first, that references are counted. */
  sessionEnded(session: Session): void {
    this.settle();
    const { batch } = this.journal;
    const { number } = session;
    batch.delete(Table.Session, number);
    if (session.stored) {
      batch.deleteRange(
        Table.Incoming,
        number * IDENTIFIERS_PER_SESSION,
        number * IDENTIFIERS_PER_SESSION + IDENTIFIERS_PER_SESSION - 1,
      );
      this.deleteBlocks(session.blocks);
    }
    // A will that is not to be published is no promise to anybody.
    this.journal.want(session.stored ? 0 : QOS0_DELAY_MS);
    session.number = 0;
    session.stored = false;
    session.blocks = [];
  }

  /** Gives the session a number, under which its records stand. */
  numberSession(session: Session, stored: boolean): void {
    session.number = this.nextSession++;
    session.stored = stored;
  }

  subscriptionAdded(topicFilter: string, subscription: Subscription, before: Subscription | undefined): void {
    const { session } = subscription;
    subscription.key = before?.key ?? 0;
    if (subscription.key === 0) subscription.key = this.nextSubscription++;
    const value = encodeSubscription({
      session: session.number,
      topicFilter,
      qos: subscription.qos,
      noLocal: subscription.noLocal,
      retainAsPublished: subscription.retainAsPublished,
      retainHandling: subscription.retainHandling,
      subscriptionIdentifier: subscription.subscriptionIdentifiers?.[0],
    });
    putWhole(this.journal.batch, Table.Subscription, subscription.key, nameBytes(topicFilter), value);
    this.journal.want(0);
  }

  subscriptionRemoved(subscription: Subscription): void {
    if (subscription.key === 0) return;
    this.journal.batch.delete(Table.Subscription, subscription.key);
    subscription.key = 0;
    this.journal.want(0);
  }

  /** 5.0 [MQTT-4.3.3-10] over a restart; whatever the policy, since without it a message would come twice. */
  incomingAdded(session: Session, packetIdentifier: number): void {
    const key = session.number * IDENTIFIERS_PER_SESSION + packetIdentifier;
    this.journal.batch.put(Table.Incoming, key, 0, 0);
    this.journal.press();
    this.promised = true;
  }

  incomingRemoved(session: Session, packetIdentifier: number): void {
    this.journal.batch.delete(Table.Incoming, session.number * IDENTIFIERS_PER_SESSION + packetIdentifier);
    this.journal.press();
  }

  // Queues

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
    outgoing.batch = this.journal.sequence;
    this.kept.push({ session, outgoing });
  }

  /** Writes what `keep` has gathered: a message for one session within its record, one for several once for all. */
  settle(): void {
    const { message, kept } = this;
    if (message === undefined) return;
    this.message = undefined;
    const delayMs = this.durability.delayMs(message.topicName);
    const { batch, sequence } = this.journal;
    const topic = topicBytesOf(message);
    const properties = propertiesBytes(message.properties);
    // Its last reference may have gone through another copy of it, read from disk.
    if (message.recordKey !== 0 && !this.references.has(message.recordKey)) message.recordKey = 0;
    if (kept.length === 1 && message.recordKey === 0) {
      const { session, outgoing } = kept[0]!;
      const extras = extrasOf(outgoing);
      const valueBytes = QUEUE_HEAD_BYTES + extras.length + this.messageBytes(message, properties);
      const at = batch.put(Table.Queue, outgoing.key, topic.length, valueBytes);
      const valueAt = at + BATCH_HEAD_BYTES + topic.length;
      copyBytes(batch.bytes, at + BATCH_HEAD_BYTES, topic, 0, topic.length);
      this.writeHead(batch, valueAt, QueueForm.Whole, session, outgoing, 0, extras);
      this.writeMessage(batch, valueAt + QUEUE_HEAD_BYTES + extras.length, message, properties);
      outgoing.batchAt = at;
    } else {
      if (message.recordKey === 0) {
        message.recordKey = this.nextMessage++;
        message.recordBatch = sequence;
        message.recordAt = batch.put(
          Table.Message,
          message.recordKey,
          topic.length,
          this.messageBytes(message, properties),
        );
        const nameAt = message.recordAt + BATCH_HEAD_BYTES;
        copyBytes(batch.bytes, nameAt, topic, 0, topic.length);
        this.writeMessage(batch, nameAt + topic.length, message, properties);
      }
      const { recordKey } = message;
      this.references.set(recordKey, (this.references.get(recordKey) ?? 0) + kept.length);
      for (const { session, outgoing } of kept) {
        outgoing.recordKey = recordKey;
        const extras = extrasOf(outgoing);
        const at = batch.put(Table.Queue, outgoing.key, 0, QUEUE_HEAD_BYTES + extras.length);
        this.writeHead(batch, at + BATCH_HEAD_BYTES, QueueForm.Reference, session, outgoing, recordKey, extras);
        outgoing.batchAt = at;
      }
    }
    for (const { session, outgoing } of kept) {
      // QoS 0 is kept as a favour; what a client waits for with QoS 2 cannot be sent before it is on disk.
      if (outgoing.qos === 0) continue;
      if (outgoing.qos === 2 && session.live) this.journal.press();
      else this.journal.want(delayMs);
      if (delayMs === 0) this.promised = true;
    }
    kept.length = 0;
  }

  /** The message is acknowledged or given up: its record goes. When it was not handed over yet it never is. */
  forget(session: Session, outgoing: Outgoing): void {
    const { key } = outgoing;
    if (key === 0) return;
    if (outgoing.message === this.message) this.settle();
    const { journal } = this;
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
    journal.want(QOS0_DELAY_MS);
  }

  /**
   * PUBREC came: the message itself is not needed any more, only that PUBREL is to be sent. Returns the batch which
   * must be on disk before that, 5.0 §4.4: else the message could be sent once more after its receiver forgot it.
   */
  released(session: Session, outgoing: Outgoing): number {
    if (outgoing.message === this.message) this.settle();
    const { batch, sequence } = this.journal;
    outgoing.batch = sequence;
    outgoing.batchAt = batch.put(Table.Queue, outgoing.key, 0, QUEUE_HEAD_BYTES);
    this.writeHead(batch, outgoing.batchAt + BATCH_HEAD_BYTES, QueueForm.Released, session, outgoing, 0, NO_BYTES);
    // It replaces what the disk has, so it must not be voided when it goes; and a range before it must not grow over it.
    outgoing.batch = 0;
    session.trimBatch = 0;
    this.unrefer(outgoing);
    this.journal.press();
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

  private deleteBlocks(blocks: readonly number[]): void {
    for (const block of blocks) {
      const firstKey = block * SLOTS_PER_BLOCK;
      this.journal.batch.deleteRange(Table.Queue, firstKey, firstKey + SLOTS_PER_BLOCK - 1);
    }
    this.journal.want(QOS0_DELAY_MS);
  }

  /** A record of the queue is gone that referred to the message of this key. */
  unreferKey(recordKey: number): boolean {
    const left = (this.references.get(recordKey) ?? 1) - 1;
    if (left > 0) {
      this.references.set(recordKey, left);
      return false;
    }
    this.references.delete(recordKey);
    return true;
  }

  // Retained messages

  retainedStored(message: Message, before: Message | undefined): void {
    const { journal } = this;
    const record = before?.retainedRecord ?? { key: this.nextRetained++, batch: 0, batchAt: 0 };
    message.retainedRecord = record;
    const { batch, sequence } = journal;
    if (record.batch === sequence) batch.void(record.batchAt);
    const topic = topicBytesOf(message);
    const properties = propertiesBytes(message.properties);
    const at = batch.put(Table.Retained, record.key, topic.length, this.messageBytes(message, properties));
    const nameAt = at + BATCH_HEAD_BYTES;
    copyBytes(batch.bytes, nameAt, topic, 0, topic.length);
    this.writeMessage(batch, nameAt + topic.length, message, properties);
    record.batch = sequence;
    record.batchAt = at;
    this.wantRetained(message);
  }

  /** `message`: the one that was retained; `because`: the empty one that took it away, when there was one. */
  retainedRemoved(message: Message, because: Message | undefined): void {
    const record = message.retainedRecord;
    if (record === undefined) return;
    message.retainedRecord = undefined;
    const { batch, sequence } = this.journal;
    if (record.batch === sequence) batch.void(record.batchAt);
    batch.delete(Table.Retained, record.key);
    if (because === undefined) this.journal.want(QOS0_DELAY_MS);
    else this.wantRetained(because);
  }

  /**
   * The clock, and the totals of `$SYS` when they are to go on: along with other changes once in a while, and with the
   * last ones of an orderly stop.
   */
  putClock(): void {
    const { clock } = this.broker.world;
    const { nowMs } = this.broker;
    this.clockWrittenMs = nowMs;
    const value = encodeClock({ ageMs: this.age(nowMs), wallMs: clock.wallMs(), trusted: clock.trusted() });
    putWhole(this.journal.batch, Table.Clock, 0, NO_BYTES, value);
    if (!this.broker.options.sys.restore) return;
    const totals = nameBytes(JSON.stringify(this.broker.sys.info()));
    putWhole(this.journal.batch, Table.Totals, 0, NO_BYTES, totals);
  }

  private beforeBatchGoes(): void {
    this.settle();
    const due = this.broker.nowMs - this.clockWrittenMs >= CLOCK_INTERVAL_MS;
    if (due && this.journal.batch.length > 0) this.putClock();
  }

  private wantRetained(message: Message): void {
    const delayMs = this.durability.delayMs(message.topicName);
    this.journal.want(message.qos === 0 ? Math.max(delayMs, QOS0_DELAY_MS) : delayMs);
    if (message.qos !== 0 && delayMs === 0) this.promised = true;
  }

  private putSession(session: Session, connected: boolean): void {
    const { client, connection, opening } = session;
    const will = connected ? (opening ?? connection)?.will : session.delayedWill?.will;
    const value = encodeSession({
      clientId: client.clientId,
      userName: client.userName,
      protocolVersion: client.protocolVersion,
      stored: session.stored,
      connected,
      expiryIntervalSeconds: session.expiryIntervalSeconds,
      expiresAtMs: connected ? Number.POSITIVE_INFINITY : this.age(session.expiresAtMs),
      responseTopic: session.responseTopic,
      sentKey: session.delivery.sentKey,
      will,
      willDueAtMs: connected
        ? Number.POSITIVE_INFINITY
        : this.age(session.delayedWill?.dueMs ?? Number.POSITIVE_INFINITY),
    });
    putWhole(this.journal.batch, Table.Session, session.number, nameBytes(client.clientId), value);
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

  private unrefer(outgoing: Outgoing): void {
    const { message, recordKey } = outgoing;
    if (recordKey === 0) return;
    outgoing.recordKey = 0;
    if (!this.unreferKey(recordKey)) return;
    const { batch, sequence } = this.journal;
    if (message.recordKey === recordKey && message.recordBatch === sequence) batch.void(message.recordAt);
    else batch.delete(Table.Message, recordKey);
    message.recordKey = 0;
  }

  private messageBytes(message: Message, properties: Uint8Array): number {
    return MESSAGE_HEAD_BYTES + properties.length + message.payloadEnd - message.payloadStart;
  }

  private writeMessage(batch: Batch, at: number, message: Message, properties: Uint8Array): void {
    const { bytes } = batch;
    writeMessageHead(bytes, at, message.qos, message.retain, properties.length, this.age(message.expiresAtMs));
    copyBytes(bytes, at + MESSAGE_HEAD_BYTES, properties, 0, properties.length);
    const payloadAt = at + MESSAGE_HEAD_BYTES + properties.length;
    copyBytes(bytes, payloadAt, message.bytes, message.payloadStart, message.payloadEnd);
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
      this.age(outgoing.queuedAtMs),
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

function propertiesBytes(properties: PublishProperties): Uint8Array {
  return properties === NO_PROPERTIES ? NO_BYTES : encodePublishProperties(properties);
}

function putWhole(batch: Batch, table: Table, key: number, name: Uint8Array, value: Uint8Array): void {
  const at = batch.put(table, key, name.length, value.length) + BATCH_HEAD_BYTES;
  copyBytes(batch.bytes, at, name, 0, name.length);
  copyBytes(batch.bytes, at + name.length, value, 0, value.length);
}
