import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Batch } from "../../src/core/batch.ts";
import { Table } from "../../src/core/store.ts";
import { placeTest } from "./place.ts";
import { commit, keysOf, put, recordsOf } from "./recorder.ts";

placeTest("while somebody else writes, batches wait in order, reads see them, and all follows", async (place) => {
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Queue, 1, "", "first"));
  await recorder.until("the first batch", () => recorder.durable === 1);
  const other = new DatabaseSync(place.file);
  other.exec("BEGIN IMMEDIATE");
  for (let key = 2; key <= 5; key++) commit(store, (batch) => put(batch, Table.Queue, key, "", "waits"));
  await recorder.until("trouble", () => recorder.troubles.length > 0);
  commit(store, (batch) => batch.delete(Table.Queue, 1));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(recorder.troubles, ["unwritable"]);
  assert.equal(recorder.durable, 1);
  assert.equal(
    recorder.reasons[0],
    `Cannot write ${place.file}: database is locked; another program holds it, such as a sqlite3 shell with an open transaction`,
  );
  other.exec("ROLLBACK");
  other.close();
  assert.deepEqual(await keysOf(store, Table.Queue), [2, 3, 4, 5]);
  await recorder.until("all", () => recorder.durable === 6);
  assert.deepEqual(recorder.troubles, ["unwritable", "recovered"]);
  await store.close();
  assert.deepEqual(await keysOf((await place.open()).store, Table.Queue), [2, 3, 4, 5]);
});

placeTest("closing gives up after a moment what cannot be written, and says so", async (place) => {
  const { store, recorder } = await place.open();
  const other = new DatabaseSync(place.file);
  other.exec("BEGIN IMMEDIATE");
  commit(store, (batch) => put(batch, Table.Queue, 1, "", ""));
  const startMs = performance.now();
  await store.close();
  assert.ok(performance.now() - startMs < 6_000, "closing took too long");
  assert.equal(recorder.durable, 0);
  assert.deepEqual(recorder.notes, [`1 batches could not be written to ${place.file}`]);
  assert.equal(recorder.failure, undefined);
  other.exec("ROLLBACK");
  other.close();
  assert.deepEqual(await keysOf((await place.open()).store, Table.Queue), []);
});

placeTest("a mistake of ours ends the store with its promises: nothing is durable after it", async (place) => {
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Queue, 1, "", "before"));
  await recorder.until("the first batch", () => recorder.durable === 1);
  const batch = new Batch();
  put(batch, Table.Queue, 2, "", "in the same batch");
  batch.bytes[batch.delete(Table.Queue, 3)] = 9;
  store.commit(batch.bytes.subarray(0, batch.length));
  const reading = store.read(Table.Queue, 0, 10, 1_000);
  await assert.rejects(reading, { message: "Not a batch: there is no change of the kind 9" });
  await recorder.until("the end", () => recorder.failure !== undefined);
  assert.equal(recorder.failure!.message, "Not a batch: there is no change of the kind 9");
  assert.equal(recorder.durable, 1);
  await assert.rejects(store.readKeys(Table.Queue, [1]), { message: "The store has ended" });
  await store.close();
  assert.deepEqual(await recordsOf((await place.open()).store, Table.Queue), { 1: "=before" });
});

placeTest("another process, such as a sqlite3 shell, reads while the store has the file open", async (place) => {
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Retained, 1, "a/topic", "21.5"));
  await recorder.until("a batch", () => recorder.durable === 1);
  const program = `
    const database = new (require("node:sqlite").DatabaseSync)(process.argv[1], { readOnly: true });
    const query = "SELECT key, CAST(name AS TEXT) name, CAST(value AS TEXT) value FROM retained";
    console.log(JSON.stringify(database.prepare(query).all()));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program, place.file], { encoding: "utf8" });
  assert.equal(`${stdout}${stderr}`, '[{"key":1,"name":"a/topic","value":"21.5"}]\n');
});

placeTest(
  "a snapshot that somebody holds open stops nothing; what it makes grow is told, and shrinks again",
  async (place) => {
    const { store, recorder } = await place.open();
    const value = new Uint8Array(1024 * 1024);
    const replace = async (times: number) => {
      for (const end = recorder.durable + times; recorder.durable < end; ) {
        const next = recorder.durable + 1;
        commit(store, (batch) => put(batch, Table.Queue, 1, "", value));
        await recorder.until("1 MiB", () => recorder.durable === next);
      }
    };
    await replace(1);
    const other = new DatabaseSync(place.file, { readOnly: true });
    other.exec("BEGIN");
    assert.equal(other.prepare("SELECT count(*) count FROM queue").get()!.count, 1);
    await replace(80);
    await recorder.until("a line about it", () => recorder.notes.length > 0);
    const note = `${place.file}-wal has grown to N MiB, because another program keeps reading ${place.file}`;
    assert.deepEqual(
      recorder.notes.map((text) => text.replace(/\d+ MiB/, "N MiB")),
      [note],
    );
    assert.ok(statSync(`${place.file}-wal`).size > 60_000_000, "the log has not grown");
    other.exec("COMMIT");
    other.close();
    await replace(2);
    await recorder.until("the log's end", () => store.figures().diskBytes < 25_000_000);
    assert.deepEqual({ notes: recorder.notes.length, troubles: recorder.troubles }, { notes: 1, troubles: [] });
  },
);

placeTest("the log stays small, and what a long queue took is given back in pauses", async (place) => {
  const { store, recorder } = await place.open();
  const value = new Uint8Array(256 * 1024);
  let logBytesMax = 0;
  for (let key = 0; key < 400; ) {
    for (const end = key + 8; key < end; key++) commit(store, (batch) => put(batch, Table.Queue, key, "", value));
    await recorder.until("2 MiB more", () => recorder.durable === key);
    logBytesMax = Math.max(logBytesMax, statSync(`${place.file}-wal`).size);
  }
  assert.ok(logBytesMax < 20_000_000, `the log had ${logBytesMax} bytes`);
  const diskBytes = () => store.figures().diskBytes;
  await recorder.until("a log that was cut", () => diskBytes() > 100_000_000 && diskBytes() < 125_000_000);
  commit(store, (batch) => batch.deleteRange(Table.Queue, 0, 390));
  const liveBytes = 9 * value.length;
  await recorder.until("room", () => diskBytes() < 2 * liveBytes + 64 * 1024 * 1024);
  assert.deepEqual(await keysOf(store, Table.Queue), [391, 392, 393, 394, 395, 396, 397, 398, 399]);
});
