import { BATCH_HEAD_BYTES, BatchOp, BatchReader } from "../core/batch.ts";
import { STORE_TABLES, type Store, type StoreEvents, type StoreFigures, type Table } from "../core/store.ts";

/** What a memory store keeps. Handed to another one, it stands for a disk that outlives the broker. */
export class MemoryTables {
  readonly tables: readonly MemoryTable[] = STORE_TABLES.map(() => new MemoryTable());
}

/** Keeps everything in memory: for brokers that shall forget, and for tests. Durable at the next turn of the event loop. */
export class MemoryStore implements Store {
  readonly kind = "memory";
  private readonly tables: readonly MemoryTable[];
  private readonly totals: StoreFigures = { commits: 0, records: 0, bytes: 0, diskBytes: 0 };
  private events: StoreEvents | undefined;
  private handedOver = 0;
  private isTurnComing = false;

  constructor(memory: MemoryTables = new MemoryTables()) {
    this.tables = memory.tables;
  }

  async open(events: StoreEvents): Promise<void> {
    this.events = events;
  }

  commit(batch: Uint8Array): void {
    const reader = new BatchReader(batch);
    while (reader.next()) {
      const table = this.tables[reader.table]!;
      const { key } = reader;
      if (reader.op === BatchOp.Put) {
        table.put(key, batch.slice(reader.nameStart - BATCH_HEAD_BYTES, reader.valueEnd));
        this.totals.bytes += reader.valueEnd - reader.nameStart;
      } else table.deleteRange(key, reader.op === BatchOp.Delete ? key : reader.lastKey);
      this.totals.records++;
    }
    this.handedOver++;
    if (this.isTurnComing) return;
    this.isTurnComing = true;
    setImmediate(() => this.turn());
  }

  async read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return join(this.tables[table]!.range(first, last), bytesMax, valueBytesMax);
  }

  async readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    const records = [...new Set(keys)].sort((a, b) => a - b).map((key) => this.tables[table]!.get(key));
    return join(
      records.filter((record) => record !== undefined),
      Number.POSITIVE_INFINITY,
    );
  }

  figures(): StoreFigures {
    return { ...this.totals };
  }

  async close(): Promise<void> {
    while (this.isTurnComing) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  private turn(): void {
    this.isTurnComing = false;
    this.totals.commits++;
    this.events?.onDurable(this.handedOver);
  }
}

/** Records, each as the put that brought it, and their keys in order as far as somebody has asked for it. */
class MemoryTable {
  private readonly records = new Map<number, Uint8Array>();
  /** Holds every key of `records`, perhaps twice, and keys that are gone. */
  private keys: number[] = [];
  private isOrdered = true;

  get(key: number): Uint8Array | undefined {
    return this.records.get(key);
  }

  put(key: number, record: Uint8Array): void {
    if (!this.records.has(key)) {
      if (key <= (this.keys.at(-1) ?? -1)) this.isOrdered = false;
      this.keys.push(key);
    }
    this.records.set(key, record);
  }

  deleteRange(first: number, last: number): void {
    if (first === last) this.records.delete(first);
    else for (const key of this.keysOf(first, last)) this.records.delete(key);
    if (this.keys.length > 2 * this.records.size + 1_000) this.order();
  }

  *range(first: number, last: number): Generator<Uint8Array> {
    for (const key of this.keysOf(first, last)) {
      const record = this.records.get(key);
      if (record !== undefined) yield record;
    }
  }

  private *keysOf(first: number, last: number): Generator<number> {
    if (!this.isOrdered) this.order();
    const { keys } = this;
    for (let at = this.placeOf(first); at < keys.length && keys[at]! <= last; at++) yield keys[at]!;
  }

  /** Of the first key that is not below. */
  private placeOf(first: number): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle]! < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private order(): void {
    this.keys = [...this.records.keys()].sort((a, b) => a - b);
    this.isOrdered = true;
  }
}

/** Puts one behind the other, as many as fit `bytesMax`, at least one. */
function join(records: Iterable<Uint8Array>, bytesMax: number, valueBytesMax = Number.POSITIVE_INFINITY): Uint8Array {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (const record of records) {
    const piece = cut(record, valueBytesMax);
    if (size > 0 && size + piece.length > bytesMax) break;
    pieces.push(piece);
    size += piece.length;
  }
  const page = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    page.set(piece, at);
    at += piece.length;
  }
  return page;
}

function cut(record: Uint8Array, valueBytesMax: number): Uint8Array {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const valueStart = BATCH_HEAD_BYTES + view.getUint16(2, true);
  if (record.length - valueStart <= valueBytesMax) return record;
  const shorter = record.slice(0, valueStart + valueBytesMax);
  new DataView(shorter.buffer).setUint32(4, valueBytesMax, true);
  return shorter;
}
