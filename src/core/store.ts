/**
 * What the broker needs of a store: it keeps bytes under integer keys, and knows no MQTT. What the bytes mean is
 * the business of records.ts, message-record.ts and queue-record.ts, when they are written journal.ts's. Every store passes
 * test/store/suite.ts.
 */

/**
 * The tables of a store, by their number in a batch. Keys are integers from 0 to 2^53 - 1, each table's own.
 * In `queue` and `message` new keys grow and old ones go from the low end, so that a file only appends and trims.
 */
export const STORE_TABLES = [
  "clock",
  "session",
  "subscription",
  "incoming",
  "queue",
  "message",
  "retained",
  "totals",
] as const;

export type StoreTable = (typeof STORE_TABLES)[number];

/** Numbers of the tables, as batches have them. */
export const Table = {
  Clock: 0,
  Session: 1,
  Subscription: 2,
  Incoming: 3,
  Queue: 4,
  Message: 5,
  Retained: 6,
  Totals: 7,
} as const;
export type Table = (typeof Table)[keyof typeof Table];

export const STORE_KEY_MAX = Number.MAX_SAFE_INTEGER;

/** Records that a store had and cannot give back: damaged, unreadable, or cut off. */
export interface StoreLoss {
  table: StoreTable;
  /** The key, or the first of a range when `lastKey` is given. */
  key: number;
  lastKey?: number;
  /** What the record calls itself (a topic, a client identifier), as far as it can be read; else "". */
  name: string;
  /** "checksum does not match", "page 17 cannot be read". */
  reason: string;
}

/** Why nothing can be written at present. `full`: there is no room; `unwritable`: anything else. */
export interface StoreTrouble {
  kind: "full" | "unwritable";
  /** For people: what failed, where, and what to do. */
  reason: string;
}

/** How a store tells the broker what became of its batches. Never called from inside a method of the store. */
export interface StoreEvents {
  /** The first `count` batches since `open` survive the loss of power from now on. Rises only. */
  onDurable(count: number): void;
  /** Batches that were handed over wait, in order, and are tried again by the store itself; none is given up. */
  onTrouble(trouble: StoreTrouble): void;
  /** Writing works again; all that waited follows. */
  onRecovered(): void;
  /** Told while reading, after `open` too. */
  onLost(loss: StoreLoss): void;
  /** The store has ended for a mistake of its own, and with it every promise. Nothing follows. */
  onFailed(error: Error): void;
}

/** Another broker uses the store. Two on one would each destroy what the other promised, so this one must not start. */
export class StoreInUse extends Error {}

/** Totals since `open`, but for the sizes. */
export interface StoreFigures {
  /** Transactions that were made durable. */
  commits: number;
  /** Puts and deletes in them. */
  records: number;
  /** Bytes of names and values that were put. */
  bytes: number;
  /** Bytes on disk at present; 0 where that means nothing. */
  diskBytes: number;
}

/**
 * A store. All methods take effect in the order of their calls: a read sees every batch that was committed before it.
 * After `close` none may be called.
 */
export interface Store {
  /** "sqlite", "memory": for the log. */
  readonly kind: string;
  /**
   * Makes what an earlier run left ready to be read. A damaged store opens with what is left of it, and tells each loss.
   * Rejects when nothing can be kept here at all, with a message that names the place and the reason: StoreInUse when
   * another broker is there.
   */
  open(events: StoreEvents): Promise<void>;
  /**
   * Applies a batch, see batch.ts, wholly or not at all, after those before it. Takes the memory of `batch` over:
   * the caller must not touch it again. Several batches may be made durable as one.
   */
  commit(batch: Uint8Array): void;
  /**
   * Records of one table with first <= key <= last, ascending, as puts of a batch: as many as fit `bytesMax`, at least
   * one, empty when there is none. With `valueBytesMax` values are cut off there; only whole values are verified.
   */
  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array>;
  /** The records of these keys, ascending, as puts of a batch; those that are not there are left out. */
  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array>;
  figures(): StoreFigures;
  /** Resolves when all batches are durable and the place is free for another broker. While nothing can be written, it gives up after a moment. */
  close(): Promise<void>;
}
