import type { Broker } from "./broker.ts";
import type { Timed } from "./deadlines.ts";
import type { Journal } from "./journal.ts";

const DAY_MS = 86_400_000;
const LOOK_INTERVAL_MS = 10_000;
const RATE_MS_MIN = 60_000;
/** The first pause between two batches when the budget is used up, and the longest. */
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 10_000;

/**
 * What goes to the disk, and the budget for it. Flash wears out by what is written: each commit rewrites whole pages,
 * so fewer and larger ones write less. When a day's budget is used up, the pause between two batches grows until what is
 * written is what a day allows; acknowledgements then wait longer, and none is given earlier for it.
 */
export class FlashUse implements Timed {
  heapIndex = -1;
  dueMs = 0;
  private readonly broker: Broker;
  private readonly journal: Journal;
  /** What may be written at once: a whole day's budget at first, and it fills up again in a day. */
  private balanceBytes: number;
  private lastMs = 0;
  private lastBytes = 0;
  private readonly startedMs: number;
  private readonly startedBytes: number;

  constructor(broker: Broker, journal: Journal) {
    this.broker = broker;
    this.journal = journal;
    this.balanceBytes = broker.options.dailyBudgetBytes ?? 0;
    this.startedMs = broker.nowMs;
    this.lastMs = broker.nowMs;
    this.startedBytes = this.processBytes();
  }

  start(): void {
    this.lastBytes = this.writtenBytes;
    if (this.broker.options.dailyBudgetBytes !== undefined) {
      this.broker.deadlines.set(this, this.broker.nowMs + LOOK_INTERVAL_MS);
    }
  }

  /**
   * Bytes that were handed to the block devices since the start, by the system's count of this process; where that is
   * not to be had, the bytes of the records. An estimate: the file system's own bytes are not in it.
   */
  get writtenBytes(): number {
    return this.processBytes() - this.startedBytes;
  }

  /** At the rate since the start; 0 in the first minute, which says nothing. */
  get bytesPerDay(): number {
    const elapsedMs = this.broker.nowMs - this.startedMs;
    return elapsedMs < RATE_MS_MIN ? 0 : Math.round((this.writtenBytes * DAY_MS) / elapsedMs);
  }

  /** Bytes written for each byte of names and values that was put; 0 before the first. */
  get amplification(): number {
    const { bytes } = this.journal.figures();
    return bytes === 0 ? 0 : this.writtenBytes / bytes;
  }

  onDue(nowMs: number): void {
    const budget = this.broker.options.dailyBudgetBytes!;
    const written = this.writtenBytes;
    const earned = (budget * (nowMs - this.lastMs)) / DAY_MS;
    this.balanceBytes = Math.min(budget, this.balanceBytes + earned) - (written - this.lastBytes);
    this.lastMs = nowMs;
    this.lastBytes = written;
    this.stretch(budget);
    this.broker.deadlines.set(this, nowMs + LOOK_INTERVAL_MS);
  }

  private stretch(budget: number): void {
    const { journal, broker } = this;
    const before = journal.pauseMs;
    if (this.balanceBytes < 0) {
      journal.pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, before * 2));
      // What is overdrawn is not paid back for days.
      this.balanceBytes = Math.max(this.balanceBytes, -budget / 24);
    } else if (before > 0) journal.pauseMs = before / 2 < PAUSE_MS_MIN ? 0 : before / 2;
    if (before === 0 && journal.pauseMs > 0) {
      broker.log.warn(
        "The day's budget of writing is used up: messages are written in larger batches, and wait for it",
        {
          budgetBytes: budget,
          bytesPerDay: this.bytesPerDay,
        },
      );
    } else if (before > 0 && journal.pauseMs === 0) broker.log.info("Writing is within the day's budget again");
  }

  private processBytes(): number {
    return this.broker.world.bytesWritten?.() ?? this.journal.figures().bytes;
  }
}
