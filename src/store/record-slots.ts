import { BatchOp } from "../core/batch.ts";
import { STORE_TABLES, type Table } from "../core/store.ts";

/** What stands in a slot that is free: empty would end the row. */
const FREE = Uint8Array.of(BatchOp.Void);
const NO_BYTES = new Uint8Array(0);

/**
 * Records in slots 0, 1, 2 … without a gap: where names cannot be enumerated, the first slot that is not there tells
 * that there are no more. Slots are used again, and given back from the end.
 */
export class RecordSlots {
  private readonly slots = STORE_TABLES.map(() => new Map<number, number>());
  private readonly free = new Set<number>();
  private readonly changed = new Map<number, Uint8Array>();
  private count = 0;
  private readonly write: (slot: number, record: Uint8Array) => unknown;

  /** `write`: keeps a record in a slot; nothing at all ends the row there. */
  constructor(write: (slot: number, record: Uint8Array) => unknown) {
    this.write = write;
  }

  keys(table: Table): Iterable<number> {
    return this.slots[table]!.keys();
  }

  put(table: Table, key: number, record: Uint8Array): void {
    const slots = this.slots[table]!;
    const slot = slots.get(key) ?? this.takeFree();
    slots.set(key, slot);
    this.changed.set(slot, record);
  }

  delete(table: Table, key: number): void {
    const slots = this.slots[table]!;
    const slot = slots.get(key);
    if (slot === undefined) return;
    slots.delete(key);
    this.free.add(slot);
    this.changed.set(slot, FREE);
  }

  /** The next slot as it was read: of which record, or of none. */
  restore(of: { table: Table; key: number } | undefined): void {
    const slot = this.count++;
    if (of === undefined) {
      this.free.add(slot);
      return;
    }
    this.delete(of.table, of.key);
    this.slots[of.table]!.set(of.key, slot);
  }

  /** Writes what has changed, so that there is no gap at any time: up to the end, then back from it. */
  *calls(): Generator<() => unknown> {
    const { changed, free, write } = this;
    const end = this.count;
    while (this.count > 0 && free.has(this.count - 1)) free.delete(--this.count);
    const numbers = [...changed.keys()].sort((a, b) => a - b);
    for (const slot of numbers) {
      const record = changed.get(slot)!;
      if (slot < this.count) yield () => write(slot, record);
    }
    changed.clear();
    for (let slot = end - 1; slot >= this.count; slot--) yield () => write(slot, NO_BYTES);
  }

  private takeFree(): number {
    for (const slot of this.free) {
      this.free.delete(slot);
      return slot;
    }
    return this.count++;
  }
}
