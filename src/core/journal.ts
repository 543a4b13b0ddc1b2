import { Batch } from "./batch.ts";
import type { Broker } from "./broker.ts";
import type { Timed } from "./deadlines.ts";
import type { Store, StoreEvents, StoreFigures, StoreLoss, StoreTrouble, Table } from "./store.ts";

/** A batch of this size goes to the store even while another one is under way, and whatever the policy. */
const BATCH_BYTES_MAX = 1024 * 1024;
/** A fresh batch has room for what the last one held, within these bounds. */
const BATCH_BYTES_START = 4 * 1024;

/** Somebody who has something to do as soon as batches are durable. */
export interface DurableWaiter {
  /** True while it stands in the journal's list. Only the journal writes it. */
  awaitsStore: boolean;
  /** Batches up to `durable` are on disk. What still waits asks again. */
  onDurable(durable: number): void;
}

/**
 * The order in which changes go to the store: a batch gathers while the one before it is written, so that one
 * transaction takes everything that came in meanwhile, and whoever promised something waits for the number of the batch
 * that holds it.
 */
export class Journal implements StoreEvents, Timed {
  heapIndex = -1;
  dueMs = 0;
  /** The batch that gathers changes. Its number: what is put now is on disk when `durable` has reached it. */
  batch = new Batch(BATCH_BYTES_START);
  sequence = 1;
  durable = 0;
  /** Why the store cannot write at present. */
  trouble: StoreTrouble | undefined = undefined;
  /** At least so long between two batches, unless one is pressing: see FlashUse. */
  pauseMs = 0;
  private readonly broker: Broker;
  private readonly store: Store;
  /** Called before a batch goes: whoever gathers beside it adds what it has. */
  private readonly settle: () => void;
  /** When the present batch is to go, in the broker's milliseconds. */
  private wantedAtMs = Number.POSITIVE_INFINITY;
  private endOfTurnAsked = false;
  /** Bytes of each batch that is under way, oldest first, and of all together. */
  private readonly underWay: number[] = [];
  private underWayBytes = 0;
  private waiters: DurableWaiter[] = [];
  /** Reads of what is in the present batch. */
  private reads: (() => void)[] = [];
  private congestedWaiters: (() => void)[] = [];
  /** The budget forbids the next batch before this time, unless it is pressing. */
  private notBeforeMs = 0;
  private pressing = false;

  constructor(broker: Broker, store: Store, settle: () => void) {
    this.broker = broker;
    this.store = store;
    this.settle = settle;
  }

  get writable(): boolean {
    return this.trouble === undefined;
  }

  /** More has gathered than the store can take: publishers are not read from for a while. */
  get congested(): boolean {
    return this.underWayBytes + this.batch.length > this.broker.limits.journalBytes;
  }

  /** The batch that has what was put last. */
  get lastSequence(): number {
    return this.batch.length > 0 ? this.sequence : this.sequence - 1;
  }

  /** Bytes that are not on disk yet. */
  get pendingBytes(): number {
    return this.underWayBytes + this.batch.length;
  }

  figures(): StoreFigures {
    return this.store.figures();
  }

  /** The present batch is to go within `delayMs`; Infinity asks for nothing. */
  want(delayMs: number): void {
    const atMs = this.broker.nowMs + delayMs;
    if (atMs >= this.wantedAtMs) return;
    this.wantedAtMs = atMs;
    if (delayMs === 0) this.askEndOfTurn();
    else this.broker.deadlines.set(this, atMs);
  }

  /** As `want(0)`, and no budget may hold it back. */
  press(): void {
    this.pressing = true;
    this.want(0);
    this.askEndOfTurn();
  }

  /** Has `waiter` called when more is durable. */
  await(waiter: DurableWaiter): void {
    if (waiter.awaitsStore) return;
    waiter.awaitsStore = true;
    this.waiters.push(waiter);
  }

  /** Resolves when all that was put is on disk, and asks for that at once. */
  async settled(): Promise<void> {
    this.settle();
    const sequence = this.lastSequence;
    if (sequence <= this.durable) return;
    this.press();
    await new Promise<void>((resolve) => {
      const waiter: DurableWaiter = {
        awaitsStore: false,
        onDurable: (durable) => {
          if (durable >= sequence) resolve();
          else this.await(waiter);
        },
      };
      this.await(waiter);
    });
  }

  /** `resume` is called when there is room again. */
  awaitRoom(resume: () => void): void {
    this.congestedWaiters.push(resume);
  }

  /** Reads what is in the store, with all that was put up to the batch `sequence`. */
  read(
    sequence: number,
    table: Table,
    first: number,
    last: number,
    bytesMax: number,
    valueBytesMax?: number,
  ): Promise<Uint8Array> {
    if (sequence < this.sequence) return this.store.read(table, first, last, bytesMax, valueBytesMax);
    // What is being handled now may put more that belongs together: the batch goes at the end of the turn.
    return new Promise((resolve, reject) => {
      this.reads.push(() => this.store.read(table, first, last, bytesMax, valueBytesMax).then(resolve, reject));
      this.askEndOfTurn();
    });
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.store.readKeys(table, keys);
  }

  /** Hands over what is left and resolves when all of it is on disk. */
  close(): Promise<void> {
    this.handOver();
    return this.store.close();
  }

  onDue(): void {
    this.flush();
  }

  onDurable(count: number): void {
    const { broker, underWay } = this;
    broker.turn();
    while (this.durable < count) {
      this.durable++;
      this.underWayBytes -= underWay.shift() ?? 0;
    }
    // The store has nothing to do now, so what has gathered goes first.
    this.flush();
    const { waiters } = this;
    if (waiters.length > 0) {
      this.waiters = [];
      for (const waiter of waiters) {
        waiter.awaitsStore = false;
        waiter.onDurable(count);
      }
    }
    if (this.congestedWaiters.length > 0 && this.pendingBytes * 2 < broker.limits.journalBytes) this.resumeAll();
    broker.reschedule();
  }

  onTrouble(trouble: StoreTrouble): void {
    this.broker.turn();
    this.trouble = trouble;
    this.broker.log.error(
      trouble.kind === "full"
        ? "The disk is full: messages that would have to be kept are refused until there is room"
        : "The store cannot be written: messages that would have to be kept are refused",
      { reason: trouble.reason },
    );
    // Nobody may wait for what may never come: what they send from now on is refused.
    this.resumeAll();
    this.broker.reschedule();
  }

  onRecovered(): void {
    this.trouble = undefined;
    this.broker.turn();
    this.broker.log.info("The store can be written again");
    // Those who could not read on in what was to be written.
    for (const session of this.broker.sessions.values()) session.delivery.pump();
    this.broker.reschedule();
  }

  onLost(loss: StoreLoss): void {
    const { table, key, lastKey, name, reason } = loss;
    this.broker.counters.storeRecordsLost += lastKey === undefined ? 1 : lastKey - key + 1;
    this.broker.log.error("Lost from the store", { table, key, lastKey, name: name === "" ? undefined : name, reason });
  }

  onFailed(error: Error): void {
    this.broker.world.onStoreFailed?.(error);
  }

  private readonly onEndOfTurn = (): void => {
    this.endOfTurnAsked = false;
    this.broker.turn();
    const { reads } = this;
    if (reads.length === 0) this.flush();
    else {
      this.reads = [];
      this.handOver();
      for (const read of reads) read();
    }
    this.broker.reschedule();
  };

  private askEndOfTurn(): void {
    if (this.endOfTurnAsked) return;
    this.endOfTurnAsked = true;
    this.broker.world.atEndOfTurn(this.onEndOfTurn);
  }

  /** Hands the batch over when it is due and nothing is under way, or when it has become too large. */
  private flush(): void {
    const { nowMs, deadlines } = this.broker;
    if (this.batch.length < BATCH_BYTES_MAX) {
      if (this.underWay.length > 0 || this.wantedAtMs === Number.POSITIVE_INFINITY) return;
      const dueMs = this.pressing ? this.wantedAtMs : Math.max(this.wantedAtMs, this.notBeforeMs);
      if (dueMs > nowMs) {
        deadlines.set(this, dueMs);
        return;
      }
    }
    this.handOver();
  }

  private handOver(): void {
    this.settle();
    const { batch, broker } = this;
    this.wantedAtMs = Number.POSITIVE_INFINITY;
    this.pressing = false;
    broker.deadlines.cancel(this);
    if (batch.length === 0) return;
    this.underWay.push(batch.length);
    this.underWayBytes += batch.length;
    this.batch = new Batch(Math.min(BATCH_BYTES_MAX, Math.max(BATCH_BYTES_START, batch.length)));
    this.sequence++;
    this.notBeforeMs = broker.nowMs + this.pauseMs;
    this.store.commit(batch.bytes.subarray(0, batch.length));
  }

  private resumeAll(): void {
    const waiters = this.congestedWaiters;
    this.congestedWaiters = [];
    for (const resume of waiters) resume();
  }
}
