import assert from "node:assert/strict";
import { test } from "node:test";
import { BATCH_HEAD_BYTES, Batch, BatchOp, BatchReader } from "../../src/core/batch.ts";
import { STORE_KEY_MAX, STORE_TABLES, Table } from "../../src/core/store.ts";

function put(batch: Batch, table: Table, key: number, name: string, value: string): number {
  const at = batch.put(table, key, name.length, value.length);
  batch.bytes.set(Buffer.from(name + value), at + BATCH_HEAD_BYTES);
  return at;
}

function read(batch: Batch): unknown[] {
  const found: unknown[] = [];
  for (const reader = new BatchReader(batch.bytes.subarray(0, batch.length)); reader.next(); ) {
    const { op, table, key } = reader;
    if (op === BatchOp.Put) found.push(["put", table, key, String(Buffer.from(reader.name)), reader.value.length]);
    else if (op === BatchOp.Delete) found.push(["delete", table, key]);
    else found.push(["range", table, key, reader.lastKey]);
  }
  return found;
}

test("a batch is read as it was written, in order, whatever its size", () => {
  const batch = new Batch();
  put(batch, Table.Retained, STORE_KEY_MAX, "topic", "value");
  batch.delete(Table.Queue, 0);
  const range = batch.deleteRange(Table.Queue, 5, 5);
  put(batch, Table.Message, 2 ** 40, "", "x".repeat(100_000));
  batch.extendRange(range, 9);
  assert.deepEqual(read(batch), [
    ["put", Table.Retained, STORE_KEY_MAX, "topic", 5],
    ["delete", Table.Queue, 0],
    ["range", Table.Queue, 5, 9],
    ["put", Table.Message, 2 ** 40, "", 100_000],
  ]);
});

test("what is voided is passed over", () => {
  const batch = new Batch();
  const first = put(batch, Table.Queue, 1, "a", "1");
  put(batch, Table.Queue, 2, "b", "22");
  const last = put(batch, Table.Queue, 3, "c", "");
  batch.void(first);
  batch.void(last);
  assert.deepEqual(read(batch), [["put", Table.Queue, 2, "b", 2]]);
});

test("bytes that end within a change are no batch", () => {
  const batch = new Batch();
  put(batch, Table.Queue, 1, "a", "12345");
  const reader = new BatchReader(batch.bytes.subarray(0, batch.length - 1));
  assert.throws(() => reader.next(), /^RangeError: Not a batch: it ends within the change at 0$/);
});

test("the numbers of the tables are their places in the list", () => {
  const byNumber = Object.entries(Table).map(([name, number]) => [number, name.toLowerCase()]);
  assert.deepEqual(
    byNumber,
    STORE_TABLES.map((name, number) => [number, name]),
  );
});
