import { ownBytes } from "../codec/bytes.ts";
import { BATCH_HEAD_BYTES, Batch, BatchOp, BatchReader } from "../core/batch.ts";
import { STORE_TABLES, type StoreLoss, type Table } from "../core/store.ts";

/** What operations answer with: at once or later. */
export type Later<T> = T | PromiseLike<T>;

/** Says records in the words of operations, and the other way. */
export interface Keeper {
  /** All that was kept, as one batch. Rejects when it cannot be read. */
  load(lose: (loss: StoreLoss) => void): Promise<Uint8Array>;
  /**
   * The calls that keep a batch, in their order: each is made, and has succeeded, before the next one is asked for.
   * `undefined` among them: the batch is durable from here on.
   */
  calls(batch: Uint8Array): Generator<(() => unknown) | undefined>;
  close(): Promise<void>;
}

/** What a batch leaves of one table: the put of each key that it names, undefined for what is deleted. */
export type Outcome = Map<number, Uint8Array | undefined>;

/** What each table has when the whole batch was applied. `stored`: the keys that a table may have had before. */
export function outcomesOf(batch: Uint8Array, stored: (table: Table) => Iterable<number>): Outcome[] {
  const outcomes: Outcome[] = STORE_TABLES.map(() => new Map());
  for (const reader = new BatchReader(batch); reader.next(); ) {
    const { table, key, op, lastKey } = reader;
    const outcome = outcomes[table]!;
    if (op === BatchOp.Put) outcome.set(key, ownBytes(batch, reader.nameStart - BATCH_HEAD_BYTES, reader.valueEnd));
    else if (op === BatchOp.Delete || key === lastKey) outcome.set(key, undefined);
    else {
      const keys = [...stored(table), ...outcome.keys()];
      for (const one of keys) if (one >= key && one <= lastKey) outcome.set(one, undefined);
    }
  }
  return outcomes;
}

/** One put. */
export function putOf(table: Table, key: number, name: Uint8Array, value: Uint8Array): Uint8Array {
  const batch = new Batch(BATCH_HEAD_BYTES + name.length + value.length);
  const at = batch.put(table, key, name.length, value.length) + BATCH_HEAD_BYTES;
  batch.bytes.set(name, at);
  batch.bytes.set(value, at + name.length);
  return ownBytes(batch.bytes, 0, batch.length);
}

/** The first put of these bytes. Throws RangeError for anything else. */
export function firstPut(bytes: Uint8Array): BatchReader {
  const reader = new BatchReader(bytes);
  if (bytes.length < BATCH_HEAD_BYTES || !reader.next() || reader.op !== BatchOp.Put) {
    throw new RangeError("it holds no record");
  }
  if (STORE_TABLES[reader.table] === undefined) throw new RangeError(`there is no table ${reader.table}`);
  return reader;
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const bytes = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
