import { BATCH_HEAD_BYTES, Batch, BatchOp, BatchReader } from "../../src/core/batch.ts";
import type { Store, StoreEvents, StoreFigures, StoreTrouble, Table } from "../../src/core/store.ts";

interface Entry {
  name: Uint8Array;
  value: Uint8Array;
}

/** What is on a disk: records by table and key. */
export type Disk = Map<Table, Map<number, Entry>>;

/** A store whose disk writes when the test says so: `sync`. What was not written then is lost with the broker. */
export class HeldStore implements Store {
  readonly kind = "held";
  readonly disk: Disk;
  /** Batches that were handed over and are not on disk. */
  readonly pending: Uint8Array[] = [];
  events!: StoreEvents;
  closed = false;
  private durable = 0;

  constructor(disk: Disk = new Map()) {
    this.disk = disk;
  }

  async open(events: StoreEvents): Promise<void> {
    this.events = events;
  }

  commit(batch: Uint8Array): void {
    this.pending.push(batch);
  }

  /** The disk writes `count` batches, oldest first; without a count all, and what is handed over because of them. */
  sync(count?: number): void {
    do {
      const batches = this.pending.splice(0, count ?? this.pending.length);
      for (const batch of batches) apply(this.disk, batch);
      this.durable += batches.length;
      if (batches.length > 0) this.events.onDurable(this.durable);
    } while (count === undefined && this.pending.length > 0);
  }

  trouble(trouble: StoreTrouble): void {
    this.events.onTrouble(trouble);
  }

  /** Everything that waits is seen, as the port demands, though it is not on disk for good. */
  async read(
    table: Table,
    first: number,
    last: number,
    bytesMax: number,
    valueBytesMax = Number.POSITIVE_INFINITY,
  ): Promise<Uint8Array> {
    const rows = [...this.seen(table)].filter(([key]) => key >= first && key <= last).sort(([a], [b]) => a - b);
    const batch = new Batch();
    for (const [key, { name, value }] of rows) {
      const cut = value.subarray(0, valueBytesMax);
      if (batch.length > 0 && batch.length + BATCH_HEAD_BYTES + name.length + cut.length > bytesMax) break;
      const at = batch.put(table, key, name.length, cut.length) + BATCH_HEAD_BYTES;
      batch.bytes.set(name, at);
      batch.bytes.set(cut, at + name.length);
    }
    return batch.bytes.slice(0, batch.length);
  }

  async readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    const pages = await Promise.all(keys.map((key) => this.read(table, key, key, 1)));
    return Buffer.concat(pages);
  }

  figures(): StoreFigures {
    return { commits: this.durable, records: 0, bytes: 0, diskBytes: 0 };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.sync();
  }

  private seen(table: Table): Map<number, Entry> {
    const all: Disk = new Map([...this.disk].map(([name, rows]) => [name, new Map(rows)]));
    for (const batch of this.pending) apply(all, batch);
    return all.get(table) ?? new Map();
  }
}

function apply(disk: Disk, batch: Uint8Array): void {
  for (const reader = new BatchReader(batch); reader.next(); ) {
    const { table, key, lastKey } = reader;
    const rows = disk.get(table) ?? new Map<number, Entry>();
    disk.set(table, rows);
    if (reader.op === BatchOp.Put) rows.set(key, { name: reader.name.slice(), value: reader.value.slice() });
    else if (reader.op === BatchOp.Delete) rows.delete(key);
    else for (const each of rows.keys()) if (each >= key && each <= lastKey) rows.delete(each);
  }
}
