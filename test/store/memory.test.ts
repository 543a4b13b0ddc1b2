import assert from "node:assert/strict";
import { test } from "node:test";
import { Batch } from "../../src/core/batch.ts";
import { Table } from "../../src/core/store.ts";
import { MemoryStore, MemoryTables } from "../../src/store/memory.ts";
import { storeSuite } from "./suite.ts";

storeSuite("memory", async () => {
  const memory = new MemoryTables();
  return { create: () => new MemoryStore(memory), remove: async () => undefined };
});

test("memory: a turn makes durable what came in it, once", async () => {
  const counts: number[] = [];
  const store = new MemoryStore();
  const nothing = () => undefined;
  await store.open({
    onDurable: (count) => counts.push(count),
    onTrouble: nothing,
    onRecovered: nothing,
    onLost: nothing,
    onFailed: nothing,
  });
  for (let at = 0; at < 3; at++) {
    const batch = new Batch();
    batch.put(Table.Queue, at, 0, 0);
    store.commit(batch.bytes.subarray(0, batch.length));
  }
  assert.deepEqual(counts, []);
  await store.close();
  assert.deepEqual(counts, [3]);
  assert.equal(store.figures().commits, 1);
});
