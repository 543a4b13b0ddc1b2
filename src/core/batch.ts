import type { Table } from "./store.ts";

/**
 * Changes of a store as bytes, so that any number of them crosses to a worker as one buffer.
 *
 * Each is a head of 16 bytes, little endian, and what it announces:
 *
 *     0  u8   what: 0 nothing any more, 1 put, 2 delete, 3 delete a range
 *     1  u8   table
 *     2  u16  length of the name
 *     4  u32  length of the value
 *     8  f64  key; the first key of a range
 *     16      name, then value; for a range: f64, the last key
 *
 * A put replaces what its key had. Deleting what is not there is nothing.
 */
export const BatchOp = { Void: 0, Put: 1, Delete: 2, DeleteRange: 3 } as const;

export const BATCH_HEAD_BYTES = 16;
const SIZE_MIN = 4 * 1024;

/** Gathers changes. `bytes.subarray(0, length)` is the batch. */
export class Batch {
  bytes: Uint8Array;
  length = 0;
  private view: DataView;

  /** `size`: bytes that are expected; it grows by doubling. */
  constructor(size: number = SIZE_MIN) {
    this.bytes = new Uint8Array(Math.max(size, SIZE_MIN));
    this.view = new DataView(this.bytes.buffer);
  }

  /** Reserves a put; the caller writes name and value at once, from the returned place plus BATCH_HEAD_BYTES. */
  put(table: Table, key: number, nameLength: number, valueLength: number): number {
    return this.add(BatchOp.Put, table, key, nameLength, valueLength);
  }

  delete(table: Table, key: number): number {
    return this.add(BatchOp.Delete, table, key, 0, 0);
  }

  /** Returns its place, for `extendRange`. */
  deleteRange(table: Table, firstKey: number, lastKey: number): number {
    const at = this.add(BatchOp.DeleteRange, table, firstKey, 0, 8);
    this.view.setFloat64(at + BATCH_HEAD_BYTES, lastKey, true);
    return at;
  }

  /** Moves the end of a range that stands at `at`. */
  extendRange(at: number, lastKey: number): void {
    this.view.setFloat64(at + BATCH_HEAD_BYTES, lastKey, true);
  }

  /** What stands at `at` shall not be. */
  void(at: number): void {
    this.bytes[at] = BatchOp.Void;
  }

  private add(op: number, table: Table, key: number, nameLength: number, valueLength: number): number {
    const at = this.length;
    const end = at + BATCH_HEAD_BYTES + nameLength + valueLength;
    if (end > this.bytes.length) this.grow(end);
    const { bytes, view } = this;
    bytes[at] = op;
    bytes[at + 1] = table;
    view.setUint16(at + 2, nameLength, true);
    view.setUint32(at + 4, valueLength, true);
    view.setFloat64(at + 8, key, true);
    this.length = end;
    return at;
  }

  private grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** Goes through a batch, change by change; a view of the same bytes as long as the batch is not given away. */
export class BatchReader {
  op = 0;
  table = 0 as Table;
  key = 0;
  /** Of a range. */
  lastKey = 0;
  nameStart = 0;
  valueStart = 0;
  valueEnd = 0;
  readonly bytes: Uint8Array;
  private readonly view: DataView;
  private position = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** False after the last. Changes that were voided are passed over. Throws RangeError for bytes that are no batch. */
  next(): boolean {
    const { bytes, view } = this;
    while (this.position < bytes.length) {
      const at = this.position;
      this.op = view.getUint8(at);
      this.table = view.getUint8(at + 1) as Table;
      this.nameStart = at + BATCH_HEAD_BYTES;
      this.valueStart = this.nameStart + view.getUint16(at + 2, true);
      this.valueEnd = this.valueStart + view.getUint32(at + 4, true);
      this.key = view.getFloat64(at + 8, true);
      if (this.valueEnd > bytes.length) throw new RangeError(`Not a batch: it ends within the change at ${at}`);
      this.position = this.valueEnd;
      if (this.op === BatchOp.Void) continue;
      if (this.op === BatchOp.DeleteRange) this.lastKey = view.getFloat64(this.valueStart, true);
      return true;
    }
    return false;
  }

  get name(): Uint8Array {
    return this.bytes.subarray(this.nameStart, this.valueStart);
  }

  get value(): Uint8Array {
    return this.bytes.subarray(this.valueStart, this.valueEnd);
  }
}
