import type { Broker } from "./broker.ts";
import type { Timed } from "./deadlines.ts";
import { Durability } from "./durability.ts";
import { FlashUse } from "./flash-use.ts";
import { Journal } from "./journal.ts";
import type { Message } from "./message.ts";
import { QueueArchive } from "./queue-archive.ts";
import { putMessage, putRecord } from "./record-writer.ts";
import { encodeClock, encodeSession, encodeSubscription, IDENTIFIERS_PER_SESSION, nameBytes } from "./records.ts";
import type { Session } from "./session.ts";
import { type Store, Table } from "./store.ts";
import type { Subscription } from "./subscription.ts";

const NO_BYTES = new Uint8Array(0);

/** What no acknowledgement waits for, such as a retained QoS 0 message: that of a second is written together. */
export const UNASKED_DELAY_MS = 1000;
/** So often at most the clock goes along with what is written anyway. */
const CLOCK_INTERVAL_MS = 60_000;
/** With a retained message that expires it must not be older, or the message would live longer after a cut. */
const EXPIRING_CLOCK_MS = 1000;
const CLOCK_INTERVAL_MAX_MS = 3_600_000;

/**
 * What the broker keeps over a restart: turns what happens to sessions, subscriptions, retained messages and (in
 * `queues`) to messages on their way into records of the store. Memory is the truth while the broker runs, and the store its shadow; but for long queues, whose
 * younger part is on disk only.
 */
export class Archive implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly journal: Journal;
  readonly durability: Durability;
  readonly flash: FlashUse;
  readonly queues: QueueArchive;
  /** Something was put since this was last set to false for which an acknowledgement waits. */
  promised = false;
  /** Age of the broker, counted over all its runs, less the monotonic clock of this one. See `age`. */
  ageOffsetMs = 0;
  /** Numbers that are given next. */
  nextSession = 1;
  nextSubscription = 1;
  nextRetained = 1;
  private readonly broker: Broker;
  private clockWrittenMs = Number.NEGATIVE_INFINITY;
  /** What an earlier run has kept of the wall clock, less the monotonic clock of this one. */
  private keptWallOffsetMs = Number.NEGATIVE_INFINITY;

  constructor(broker: Broker, store: Store) {
    this.broker = broker;
    this.journal = new Journal(broker, store, () => this.beforeBatchGoes());
    this.flash = new FlashUse(broker, this.journal);
    this.durability = new Durability(broker.options.durability);
    this.queues = new QueueArchive(broker, this);
  }

  /** A time of the broker's as an age: what is comparable over restarts. */
  age(ms: number): number {
    return ms + this.ageOffsetMs;
  }

  /** An age as a time of this run. */
  fromAge(ageMs: number): number {
    return ageMs - this.ageOffsetMs;
  }

  /** The wall clock stood there at the end of an earlier run, in milliseconds since 1970. */
  keepWall(wallMs: number): void {
    this.keptWallOffsetMs = wallMs - this.broker.nowMs;
  }

  /** Milliseconds since 1970 that it is at least, by what an earlier run has kept; 0 when none has. */
  get keptWallMs(): number {
    return Math.max(0, this.keptWallOffsetMs + this.broker.world.clock.nowMs());
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
    this.journal.want(UNASKED_DELAY_MS);
  }

  sessionDetached(session: Session): void {
    this.putSession(session, false);
    this.journal.want(0);
  }

  /** All of it goes. What it holds in memory is forgotten by the caller first, that references are counted. */
  sessionEnded(session: Session): void {
    this.queues.settle();
    const { batch } = this.journal;
    const { number } = session;
    batch.delete(Table.Session, number);
    if (session.stored) {
      batch.deleteRange(
        Table.Incoming,
        number * IDENTIFIERS_PER_SESSION,
        number * IDENTIFIERS_PER_SESSION + IDENTIFIERS_PER_SESSION - 1,
      );
      this.queues.deleteBlocks(session.blocks);
    }
    // A will that is not to be published is no promise to anybody.
    this.journal.want(session.stored ? 0 : UNASKED_DELAY_MS);
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
    putRecord(this.journal.batch, Table.Subscription, subscription.key, nameBytes(topicFilter), value);
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

  retainedStored(message: Message, before: Message | undefined): void {
    const { journal } = this;
    const record = before?.retainedRecord ?? { key: this.nextRetained++, batch: 0, batchAt: 0 };
    message.retainedRecord = record;
    const { batch, sequence } = journal;
    if (record.batch === sequence) batch.void(record.batchAt);
    record.batch = sequence;
    record.batchAt = putMessage(batch, Table.Retained, record.key, message, this.ageOffsetMs);
    if (message.expiresAtMs !== Number.POSITIVE_INFINITY) this.putClockWithin(EXPIRING_CLOCK_MS);
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
    if (because === undefined) this.journal.want(UNASKED_DELAY_MS);
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
    const trusted = clock.trusted();
    // A clock that begins anew at each start does not make forget what time it has been.
    const wallMs = trusted ? clock.wallMs() : Math.max(clock.wallMs(), this.keptWallMs);
    const value = encodeClock({ ageMs: this.age(nowMs), wallMs, trusted });
    putRecord(this.journal.batch, Table.Clock, 0, NO_BYTES, value);
    if (!this.broker.options.sys.restore) return;
    const totals = nameBytes(JSON.stringify(this.broker.sys.info()));
    putRecord(this.journal.batch, Table.Totals, 0, NO_BYTES, totals);
  }

  private beforeBatchGoes(): void {
    this.queues.settle();
    if (this.journal.batch.length > 0) this.putClockWithin(CLOCK_INTERVAL_MS);
  }

  /** The clock on disk shall not be older than so much. */
  private putClockWithin(ms: number): void {
    if (this.broker.nowMs - this.clockWrittenMs >= ms) this.putClock();
  }

  private wantRetained(message: Message): void {
    const delayMs = this.durability.delayMs(message.topicName);
    this.journal.want(message.qos === 0 ? Math.max(delayMs, UNASKED_DELAY_MS) : delayMs);
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
      sentKey: connected ? this.broker.limits.inflight : session.delivery.sentKey,
      will,
      willDueAtMs: connected
        ? Number.POSITIVE_INFINITY
        : this.age(session.delayedWill?.dueMs ?? Number.POSITIVE_INFINITY),
    });
    putRecord(this.journal.batch, Table.Session, session.number, nameBytes(client.clientId), value);
  }
}
