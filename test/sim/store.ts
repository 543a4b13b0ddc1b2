import { BatchOp, BatchReader } from "../../src/core/batch.ts";
import type { Store, StoreEvents, StoreFigures, Table } from "../../src/core/store.ts";
import type { SeededRandom } from "../hostile/random.ts";
import type { CrashPoints, DiskError, VirtualDisk } from "./disk.ts";
import { encodeFrame, readLog } from "./log-file.ts";
import { Records } from "./records.ts";
import type { Timeline } from "./timeline.ts";

const LOG = "store.log";
const NEW_LOG = "store.new";
/** The log is rewritten when it has grown to so many bytes, and to so many times what it was when last rewritten. */
const REWRITE_BYTES = 32 * 1024;
const REWRITE_FACTOR = 4;
const RETRY_MS = 500;
/** How long `close` waits while nothing can be written. */
const CLOSE_MS = 3_000;

export interface SimStoreOptions {
  disk: VirtualDisk;
  timeline: Timeline;
  random: SeededRandom;
  crashPoints: CrashPoints;
  /** Reads and opening take up to so many milliseconds. */
  readMs: number;
  /** Records that turn out to be damaged when it opens. */
  damages: number;
  /** A promise was resolved, perhaps by who was told an event: what waits for it wants to run before time goes on. */
  onResolved: () => void;
}

/**
 * A store on a virtual disk that keeps its contract and no more: a batch is durable when its frame was written and
 * synced, all that came meanwhile goes into the next frame, and after a crash the frames that are whole are what is left.
 */
export class SimStore implements Store {
  readonly kind = "simulation";
  private readonly options: SimStoreOptions;
  private readonly salt: number;
  private events!: StoreEvents;
  private readonly records = new Records();
  private readonly waiting: Uint8Array[] = [];
  private end = 0;
  private crc = 0;
  private sizeRewritten = 0;
  private durable = 0;
  private readonly totals = { commits: 0, records: 0, bytes: 0 };
  private working = false;
  private troubled = false;
  private closing: (() => void) | undefined;
  /** When the last of the answers that are under way is given. */
  private answeredMs = 0;

  constructor(options: SimStoreOptions) {
    this.options = options;
    this.salt = options.random.below(2 ** 31);
  }

  /** Batches that were handed over and may not survive. */
  get pending(): number {
    return this.waiting.length;
  }

  async open(events: StoreEvents): Promise<void> {
    this.events = events;
    await this.later("store.opened", () => {
      const log = readLog(this.options.disk.read(LOG) ?? new Uint8Array(0));
      for (const batch of log.batches) this.records.apply(batch);
      this.end = log.end;
      this.crc = log.crc;
      this.sizeRewritten = log.end;
      for (let left = this.options.damages; left > 0; left--) {
        const loss = this.records.lose(this.options.random);
        if (loss !== undefined) this.events.onLost(loss);
      }
    });
    // What an earlier process wrote may be in the page cache only, and what is read is acted upon.
    await new Promise<void>((resolve) =>
      this.rewrite(() => {
        resolve();
        this.options.onResolved();
      }),
    );
  }

  commit(batch: Uint8Array): void {
    if (this.options.crashPoints.pass("store.commit")) return;
    this.records.apply(batch);
    this.waiting.push(batch);
    this.options.timeline.after(0, () => this.work());
  }

  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax = 2 ** 32): Promise<Uint8Array> {
    const found = this.records.read(table, first, last, bytesMax, valueBytesMax);
    return this.later("store.read", () => found);
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    const found = this.records.readKeys(table, keys);
    return this.later("store.read", () => found);
  }

  figures(): StoreFigures {
    return { ...this.totals, diskBytes: this.end };
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.closing = () => {
        this.closing = undefined;
        resolve();
        this.options.onResolved();
      };
      this.options.timeline.after(0, () => this.work());
      this.options.timeline.after(CLOSE_MS, () => {
        if (this.troubled) this.closing?.();
      });
    });
  }

  /** Answers are given in the order of asking, since the delay of each is added to that of those before. */
  private later<T>(point: string, answer: () => T): Promise<T> {
    const { timeline, random, readMs, crashPoints, onResolved } = this.options;
    return new Promise((resolve) => {
      if (crashPoints.pass(`${point}.asked`)) return;
      this.answeredMs = Math.max(this.answeredMs, timeline.nowMs) + random.below(readMs + 1);
      timeline.at(this.answeredMs, () => {
        if (crashPoints.pass(`${point}.answered`)) return;
        resolve(answer());
        onResolved();
      });
    });
  }

  private work(): void {
    if (this.working || this.options.crashPoints.pass("store.work")) return;
    if (this.waiting.length === 0) {
      this.closing?.();
      return;
    }
    this.working = true;
    const batches = [...this.waiting];
    const frame = encodeFrame(this.salt, this.crc, batches);
    const { disk } = this.options;
    disk.write(LOG, this.end, frame.bytes, (writeError) => {
      if (writeError !== undefined) this.retry(writeError);
      else
        disk.sync(LOG, (syncError) => {
          if (syncError !== undefined) {
            this.retry(syncError);
            return;
          }
          this.end += frame.bytes.length;
          this.crc = frame.crc;
          this.written(batches.length);
        });
    });
  }

  private written(count: number): void {
    this.totals.commits++;
    for (const batch of this.waiting.splice(0, count)) this.count(batch);
    this.durable += count;
    if (this.troubled) {
      this.troubled = false;
      this.events.onRecovered();
    }
    this.events.onDurable(this.durable);
    this.options.onResolved();
    if (this.options.crashPoints.pass("store.durable")) return;
    const goOn = () => {
      this.working = false;
      this.work();
    };
    if (this.end > REWRITE_BYTES && this.end > REWRITE_FACTOR * this.sizeRewritten) this.rewrite(goOn);
    else goOn();
  }

  private count(batch: Uint8Array): void {
    for (const reader = new BatchReader(batch); reader.next(); ) {
      this.totals.records++;
      if (reader.op === BatchOp.Put) this.totals.bytes += reader.valueEnd - reader.nameStart;
    }
  }

  /** A new file with what there is takes the place of the old one. Batches that wait are in it, and come again: that is nothing new. */
  private rewrite(then: () => void): void {
    const { disk, timeline, crashPoints } = this.options;
    if (crashPoints.pass("store.rewrite")) return;
    const again = () => timeline.after(RETRY_MS, () => this.rewrite(then));
    const frame = encodeFrame(this.salt, 0, [this.records.all()]);
    disk.write(NEW_LOG, 0, frame.bytes, (writeError) => {
      if (writeError !== undefined) {
        // The old one is as good once it is on the medium.
        disk.sync(LOG, (oldError) => {
          if (oldError === undefined) disk.syncFolder(then);
          else again();
        });
        return;
      }
      disk.sync(NEW_LOG, (syncError) => {
        if (syncError !== undefined) {
          again();
          return;
        }
        disk.rename(NEW_LOG, LOG);
        disk.syncFolder(() => {
          this.end = frame.bytes.length;
          this.crc = frame.crc;
          this.sizeRewritten = this.end;
          then();
        });
      });
    });
  }

  private retry(error: DiskError): void {
    if (!this.troubled) {
      this.troubled = true;
      const kind = error === "ENOSPC" ? "full" : "unwritable";
      this.events.onTrouble({ kind, reason: `${LOG}: ${error}` });
    }
    this.options.timeline.after(RETRY_MS, () => {
      this.working = false;
      this.work();
    });
  }
}
