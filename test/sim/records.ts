import { BATCH_HEAD_BYTES, BatchOp, BatchReader } from "../../src/core/batch.ts";
import { STORE_TABLES, type StoreLoss, type Table } from "../../src/core/store.ts";
import type { SeededRandom } from "../hostile/random.ts";

/** What the batches come to: each record as the put that made it, by table and key. */
export class Records {
  private readonly tables = STORE_TABLES.map(() => new TableRecords());

  /** Throws RangeError for bytes that are no batch, before anything is changed. */
  apply(batch: Uint8Array): void {
    for (const reader = new BatchReader(batch); reader.next(); );
    for (const reader = new BatchReader(batch); reader.next(); ) {
      const table = this.tables[reader.table]!;
      if (reader.op === BatchOp.Put) {
        table.put(reader.key, batch.subarray(reader.nameStart - BATCH_HEAD_BYTES, reader.valueEnd));
      } else if (reader.op === BatchOp.Delete) table.deleteRange(reader.key, reader.key);
      else table.deleteRange(reader.key, reader.lastKey);
    }
  }

  /** As the port's `read`, at once. */
  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax: number): Uint8Array {
    const found: Uint8Array[] = [];
    let length = 0;
    for (const put of this.tables[table]!.between(first, last)) {
      const cut = cutValue(put, valueBytesMax);
      if (found.length > 0 && length + cut.length > bytesMax) break;
      found.push(cut);
      length += cut.length;
    }
    return concat(found, length);
  }

  readKeys(table: Table, keys: readonly number[]): Uint8Array {
    const found = [...new Set(keys)].sort((a, b) => a - b).flatMap((key) => [...this.tables[table]!.between(key, key)]);
    return concat(
      found,
      found.reduce((length, put) => length + put.length, 0),
    );
  }

  /** All there is, as one batch. */
  all(): Uint8Array {
    const found = this.tables.flatMap((table) => [...table.between(0, Number.MAX_SAFE_INTEGER)]);
    return concat(
      found,
      found.reduce((length, put) => length + put.length, 0),
    );
  }

  /** A record is damaged on the medium: it cannot be given back any more. undefined when there is none. */
  lose(random: SeededRandom): StoreLoss | undefined {
    const number = random.below(this.tables.length);
    const table = this.tables[number]!;
    const puts = [...table.between(0, Number.MAX_SAFE_INTEGER)];
    if (puts.length === 0) return undefined;
    const reader = new BatchReader(random.pick(puts));
    reader.next();
    table.deleteRange(reader.key, reader.key);
    const name = Buffer.from(reader.name).toString();
    return { table: STORE_TABLES[number]!, key: reader.key, name, reason: "checksum does not match" };
  }
}

/** One table: keys mostly grow, so they are sorted only when one did not. */
class TableRecords {
  private readonly puts = new Map<number, Uint8Array>();
  /** Those of `puts`, and some that were deleted. */
  private keys: number[] = [];
  private sorted = true;

  put(key: number, bytes: Uint8Array): void {
    if (!this.puts.has(key)) {
      if (this.keys.length > 0 && key <= this.keys.at(-1)!) this.sorted = false;
      this.keys.push(key);
    }
    this.puts.set(key, bytes);
  }

  deleteRange(first: number, last: number): void {
    if (first === last) this.puts.delete(first);
    else {
      this.sort();
      for (let at = this.indexOf(first); at < this.keys.length && this.keys[at]! <= last; at++) {
        this.puts.delete(this.keys[at]!);
      }
    }
    if (this.keys.length > 2 * this.puts.size + 64) this.sorted = false;
  }

  *between(first: number, last: number): Generator<Uint8Array> {
    this.sort();
    for (let at = this.indexOf(first); at < this.keys.length && this.keys[at]! <= last; at++) {
      const put = this.puts.get(this.keys[at]!);
      if (put !== undefined) yield put;
    }
  }

  private sort(): void {
    if (this.sorted) return;
    this.sorted = true;
    this.keys = [...this.puts.keys()].sort((a, b) => a - b);
  }

  /** Of the first key that is not below `key`. */
  private indexOf(key: number): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The put with so many bytes of its value at most. */
function cutValue(put: Uint8Array, valueBytesMax: number): Uint8Array {
  const reader = new BatchReader(put);
  reader.next();
  if (reader.valueEnd - reader.valueStart <= valueBytesMax) return put;
  const cut = put.slice(0, reader.valueStart + valueBytesMax);
  new DataView(cut.buffer, cut.byteOffset).setUint32(4, valueBytesMax, true);
  return cut;
}

function concat(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
