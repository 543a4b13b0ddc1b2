import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Batch, BatchReader } from "../../src/core/batch.ts";
import { Table } from "../../src/core/store.ts";
import { BatchWriter } from "../../src/store/sqlite/batch-writer.ts";
import { PageReader } from "../../src/store/sqlite/page-reader.ts";
import { createFile } from "../../src/store/sqlite/schema.ts";
import { placeTest } from "./place.ts";
import { commit, put, recordsOf } from "./recorder.ts";

const KEPT = { 1: "one=1", 9: "nine=9" };

for (const [what, change, loss] of [
  ["another value", "UPDATE retained SET value = x'ff' WHERE key = 5", { key: 5, name: "five" }],
  ["a longer value", "UPDATE retained SET value = value || x'00' WHERE key = 5", { key: 5, name: "five" }],
  ["another name", "UPDATE retained SET name = CAST('fifty' AS BLOB) WHERE key = 5", { key: 5, name: "fifty" }],
  [
    "a name that is too long",
    "UPDATE retained SET name = zeroblob(70000) WHERE key = 5",
    { key: 5, name: "\0".repeat(1_024) },
  ],
  ["another key", "UPDATE retained SET key = 6 WHERE key = 5", { key: 6, name: "five" }],
  ["another checksum", "UPDATE retained SET crc = crc + 1 WHERE key = 5", { key: 5, name: "five" }],
  [
    "a checksum beyond all numbers",
    "UPDATE retained SET crc = 9223372036854775807 WHERE key = 5",
    { key: 5, name: "five" },
  ],
  ["a checksum that is no number", "UPDATE retained SET crc = 'abc' WHERE key = 5", { key: 5, name: "five" }],
  ["a number for a value", "UPDATE retained SET value = 123456 WHERE key = 5", { key: 5, name: "five" }],
  [
    "the record of another table",
    "INSERT INTO retained SELECT * FROM message; DELETE FROM retained WHERE key = 5; DELETE FROM message",
    { key: 7, name: "seven" },
  ],
] as const) {
  placeTest(`a record with ${what} is told by its key and name, once, and left out`, async (place) => {
    const first = await place.open();
    commit(first.store, (batch) => {
      put(batch, Table.Retained, 1, "one", "1");
      put(batch, Table.Retained, 5, "five", "5");
      put(batch, Table.Retained, 9, "nine", "9");
      put(batch, Table.Message, 7, "seven", "7");
    });
    await first.store.close();
    const database = new DatabaseSync(place.file);
    database.exec(change);
    database.close();
    const expected = [{ table: "retained", ...loss, reason: "Checksum does not match" }];
    const second = await place.open();
    assert.deepEqual(await recordsOf(second.store, Table.Retained), KEPT);
    assert.deepEqual(second.recorder.losses, expected);
    assert.deepEqual(await recordsOf(second.store, Table.Retained), KEPT);
    assert.deepEqual(second.recorder.losses, expected);
    await second.store.close();
    const third = await place.open();
    assert.deepEqual(await recordsOf(third.store, Table.Retained), KEPT);
    assert.deepEqual(third.recorder.losses, []);
    assert.deepEqual(second.recorder.notes, []);
  });
}

placeTest("a damaged record that is replaced before it is read is nothing that was lost", async (place) => {
  const first = await place.open();
  commit(first.store, (batch) => put(batch, Table.Retained, 5, "five", "5"));
  await first.store.close();
  const database = new DatabaseSync(place.file);
  database.exec("UPDATE retained SET value = x'ff'");
  database.close();
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Retained, 5, "five", "again"));
  assert.deepEqual(await recordsOf(store, Table.Retained), { 5: "five=again" });
  assert.deepEqual(recorder.losses, []);
});

placeTest("of a damaged record that is read between two batches only what it was is lost", async (place) => {
  const first = await place.open();
  commit(first.store, (batch) => put(batch, Table.Retained, 5, "five", "5"));
  await first.store.close();
  const database = new DatabaseSync(place.file);
  database.exec("UPDATE retained SET value = x'ff'");
  database.close();
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Retained, 6, "six", "6"));
  const before = recordsOf(store, Table.Retained);
  commit(store, (batch) => put(batch, Table.Retained, 5, "five", "again"));
  assert.deepEqual(await before, { 6: "six=6" });
  assert.deepEqual(await recordsOf(store, Table.Retained), { 5: "five=again", 6: "six=6" });
  assert.equal(recorder.losses.length, 1);
});

placeTest("a row that has another length each time it is looked at harms no other", async (place) => {
  createFile(place.file);
  const database = new DatabaseSync(place.file);
  const writer = new BatchWriter(database);
  const batch = new Batch();
  for (let key = 1; key <= 9; key++) put(batch, Table.Retained, key, "name", `value ${key}`);
  writer.apply(batch.bytes.subarray(0, batch.length));
  database.exec(`ALTER TABLE retained RENAME TO kept;
    CREATE VIEW retained AS SELECT key, name, crc,
      CASE key WHEN 5 THEN randomblob(10 + abs(random()) % 1000) ELSE value END value FROM kept`);
  const losses: number[] = [];
  const reader = new PageReader(database, ({ key }) => losses.push(key));
  const keys = [];
  const page = new BatchReader(reader.read(Table.Retained, 0, 100, 10_000));
  while (page.next()) keys.push(page.key);
  assert.deepEqual(keys, [1, 2, 3, 4, 6, 7, 8, 9]);
  assert.deepEqual(losses, [5]);
  assert.deepEqual(reader.damaged, [5]);
  database.close();
});
