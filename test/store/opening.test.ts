import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Table } from "../../src/core/store.ts";
import type { SqliteStore } from "../../src/store/sqlite/store.ts";
import { type Place, placeTest } from "./place.ts";
import { commit, keysOf, put, type Recorder, recordsOf } from "./recorder.ts";

const TOPICS = { 1: "a/topic=on", 2: "another/topic=off" };
const IN_LOG = { 3: "in the log=on", 4: "in the log=on" };

async function fill(place: Place): Promise<void> {
  const { store } = await place.open();
  commit(store, (batch) => {
    put(batch, Table.Retained, 1, "a/topic", "on");
    put(batch, Table.Retained, 2, "another/topic", "off");
  });
  await store.close();
}

/** Names of what is beside the usual files, with times and the like as N. */
function others(place: Place): string[] {
  const usual = /^mqtt-broker\.(?:db(?:-wal|-shm)?|lock|pid|ballast)$/;
  return readdirSync(place.folder).filter((name) => !usual.test(name));
}

async function opened(place: Place): Promise<{ store: SqliteStore; recorder: Recorder }> {
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Queue, 9, "", "new"));
  await recorder.until("a new batch", () => recorder.durable === 1);
  assert.deepEqual(await recordsOf(store, Table.Queue), { 9: "=new" });
  return { store, recorder };
}

placeTest("a file of a newer version is kept as it is, and a new one begun", async (place) => {
  await fill(place);
  const database = new DatabaseSync(place.file);
  database.exec("PRAGMA user_version = 7; CREATE TABLE more (key)");
  database.close();
  const bytes = readFileSync(place.file);
  for (const name of ["mqtt-broker.db.version-7", "mqtt-broker.db.version-7-2"]) {
    const { store, recorder } = await opened(place);
    assert.deepEqual(await recordsOf(store, Table.Retained), {});
    assert.equal(readFileSync(join(place.folder, name)).equals(bytes), true);
    const what = `${place.file} has the format version 7, which a newer mqtt-broker wrote.`;
    assert.deepEqual(recorder.notes, [`${what} It is kept as ${name}, and a new one is begun`]);
    assert.deepEqual(recorder.losses, []);
    await store.close();
    writeFileSync(place.file, bytes);
  }
});

placeTest("a version that all the rest speaks against is damage, and costs nothing", async (place) => {
  await fill(place);
  const database = new DatabaseSync(place.file);
  database.exec("PRAGMA user_version = 65");
  database.close();
  const { store, recorder } = await place.open();
  assert.deepEqual(await recordsOf(store, Table.Retained), TOPICS);
  assert.match(recorder.notes[0]!, /is damaged: its version is 65, though all else is of version 1\./);
  assert.deepEqual(recorder.losses, []);
});

for (const ending of ["-wal", "-shm"]) {
  placeTest(`a folder in the place of ${ending} is put aside, and everything is there`, async (place) => {
    await fill(place);
    mkdirSync(place.file + ending);
    const { store, recorder } = await place.open();
    assert.deepEqual(await recordsOf(store, Table.Retained), TOPICS);
    assert.match(
      recorder.notes[0]!,
      new RegExp(`${ending} is no file; it is kept as mqtt-broker.db.damaged-.*${ending}$`),
    );
  });
}

placeTest("a file that is gone from a folder that was in use is missed", async (place) => {
  await fill(place);
  rmSync(place.file);
  const { recorder } = await opened(place);
  assert.deepEqual(recorder.notes, [`${place.file} is missing, though this folder was in use: everything begins anew`]);
});

for (const [what, reason, make] of [
  ["an empty file", "it is empty", (path: string) => writeFileSync(path, "")],
  ["a text", "it does not begin as an SQLite file", (path: string) => writeFileSync(path, "no database".repeat(1_000))],
  ["a folder", "it is a folder", (path: string) => mkdirSync(path)],
  ["a database of another program", "it was not made by mqtt-broker", makeForeign],
] as const) {
  placeTest(`${what} in the place of the file is kept, and a new one begun`, async (place) => {
    make(place.file);
    const { recorder } = await opened(place);
    assert.match(others(place).join(), /^mqtt-broker\.db\.damaged-\d{8}T\d{6}Z$/);
    assert.match(
      recorder.notes[0]!,
      new RegExp(`^${place.file} is damaged: ${reason}. It is kept as mqtt-broker.db.dam`),
    );
  });
}

function makeForeign(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(
    "CREATE TABLE retained (key INTEGER PRIMARY KEY, name, value, crc); INSERT INTO retained VALUES (1, 2, 3, 4)",
  );
  database.close();
}

placeTest("a log whose file is missing is kept, and not taken for that of the new file", async (place) => {
  const { store, recorder } = await place.open();
  commit(store, (batch) => put(batch, Table.Retained, 1, "old", "value"));
  await recorder.until("a batch", () => recorder.durable === 1);
  const log = join(place.folder, "copy");
  copyFileSync(`${place.file}-wal`, log);
  await store.close();
  rmSync(place.file);
  renameSync(log, `${place.file}-wal`);
  const bytes = readFileSync(`${place.file}-wal`);
  const again = await opened(place);
  assert.deepEqual(await recordsOf(again.store, Table.Retained), {});
  const [aside] = others(place);
  assert.match(aside!, /^mqtt-broker\.db\.damaged-\d{8}T\d{6}Z-wal$/);
  assert.equal(readFileSync(join(place.folder, aside!)).equals(bytes), true);
});

/** What a loss of power leaves at each step of putting a damaged file aside. The text says which of the files is where. */
const DAMAGED = "mqtt-broker.db.damaged-20260101T000000Z";
for (const [step, leave] of [
  ["before it is moved", () => undefined],
  ["when only its log is moved", (place: Place) => move(place, "-wal", "-shm")],
  ["when it is moved", (place: Place) => move(place, "-wal", "-shm", "")],
  [
    "while the new one is written",
    (place: Place) => {
      move(place, "-wal", "-shm", "");
      copyFileSync(join(place.folder, DAMAGED), `${place.file}.new`);
      writeFileSync(`${place.file}.new-journal`, "torn");
    },
  ],
] as const) {
  placeTest(`saving goes on after a loss of power ${step}`, async (place) => {
    await damageInLog(place);
    writeFileSync(join(place.folder, "mqtt-broker.salvage"), `${DAMAGED}\n`);
    leave(place);
    const { store, recorder } = await opened(place);
    assert.deepEqual(await recordsOf(store, Table.Retained), { ...TOPICS, ...IN_LOG });
    assert.deepEqual(others(place), [DAMAGED, `${DAMAGED}-shm`, `${DAMAGED}-wal`]);
    assert.deepEqual(recorder.losses, []);
  });
}

placeTest(
  "saving is over when the new file has its name, though a loss of power kept that from being noted",
  async (place) => {
    await fill(place);
    writeFileSync(join(place.folder, "mqtt-broker.salvage"), `${DAMAGED}\n`);
    writeFileSync(join(place.folder, DAMAGED), "damaged");
    const { store, recorder } = await opened(place);
    assert.deepEqual(await recordsOf(store, Table.Retained), TOPICS);
    assert.deepEqual(others(place), [DAMAGED]);
    assert.deepEqual(recorder.notes, []);
  },
);

placeTest("a file stays in its place as long as its log cannot be moved with it", async (place) => {
  await damageInLog(place);
  writeFileSync(join(place.folder, "mqtt-broker.salvage"), `${DAMAGED}\n`);
  mkdirSync(join(place.folder, `${DAMAGED}-wal`, "in the way"), { recursive: true });
  await assert.rejects(place.open(), { message: new RegExp(`^Cannot open ${place.file}: E`) });
  rmSync(join(place.folder, `${DAMAGED}-wal`), { recursive: true });
  const { store } = await opened(place);
  assert.deepEqual(await recordsOf(store, Table.Retained), { ...TOPICS, ...IN_LOG });
});

function move(place: Place, ...endings: string[]): void {
  for (const ending of endings) renameSync(place.file + ending, join(place.folder, DAMAGED + ending));
}

/** A file with its log, as a broker leaves it that is killed. */
async function damageInLog(place: Place, damage: (log: string) => void = () => undefined): Promise<void> {
  await fill(place);
  const { store, recorder } = await place.open();
  for (const key of [3, 4]) {
    commit(store, (batch) => put(batch, Table.Retained, key, "in the log", "on"));
    await recorder.until("a batch", () => recorder.durable === key - 2);
  }
  // By another process: closing a file in this one would free SQLite's locks on it.
  const words = ["-e", "require('node:fs').cpSync(...process.argv.slice(1), { recursive: true })"];
  const copy = `${place.folder}-copy`;
  assert.equal(spawnSync(process.execPath, [...words, place.folder, copy]).status, 0);
  await store.close();
  for (const ending of ["", "-wal", "-shm"])
    renameSync(`${join(copy, "mqtt-broker.db")}${ending}`, place.file + ending);
  rmSync(copy, { recursive: true });
  damage(`${place.file}-wal`);
}

placeTest(
  "pages that break while the store runs are found when they are read: the rest is saved, and batches go on",
  async (place) => {
    const { store, recorder } = await place.open();
    const value = new Uint8Array(1_000).fill(1);
    for (let key = 0; key < 20_000; key += 1_000) {
      commit(store, (batch) => {
        for (let at = key; at < key + 1_000; at++) put(batch, Table.Queue, at, "", value);
      });
    }
    await recorder.until("20 MB in the file", () => recorder.durable === 20 && store.figures().diskBytes > 20_000_000);
    // By another process, for the same reason. Pages far from those that SQLite has in memory.
    const program = `
    const fs = require("node:fs");
    const file = fs.openSync(process.argv[1], "r+");
    fs.writeSync(file, Buffer.alloc(4096 * 10), 0, 4096 * 10, 4096 * 1000);`;
    assert.equal(spawnSync(process.execPath, ["-e", program, place.file]).status, 0);
    const reading = keysOf(store, Table.Queue);
    commit(store, (batch) => put(batch, Table.Queue, 20_000, "", "after"));
    const keys = await reading;
    await recorder.until("the batch after", () => recorder.durable === 21);
    const lost = 20_000 - keys.filter((key) => key < 20_000).length;
    assert.ok(lost > 0 && lost < 100, `${lost} records are lost`);
    const told = new Set<number>();
    for (const { table, key, lastKey = key } of recorder.losses) {
      assert.equal(table, "queue");
      for (let at = key; at <= lastKey; at++) told.add(at);
    }
    const found = new Set(keys);
    const missing = Array.from({ length: 20_000 }, (_, key) => key).filter((key) => !found.has(key));
    assert.deepEqual(
      missing.filter((key) => !told.has(key)),
      [],
    );
    assert.deepEqual((await keysOf(store, Table.Queue)).length, 20_001 - lost);
    assert.deepEqual({ troubles: recorder.troubles, failure: recorder.failure }, { troubles: [], failure: undefined });
  },
);

for (const [what, reason, saved, change] of [
  [
    "whose end is cut off",
    "of 2 pages in its log 1 can be read",
    [3],
    (log: Buffer) => log.subarray(0, log.length - 10),
  ],
  ["with a flipped bit", "of 2 pages in its log 1 can be read", [3], (log: Buffer) => flipped(log, log.length - 100)],
  ["with a flipped bit in its head", "its log does not begin as one", [], (log: Buffer) => flipped(log, 17)],
] as const) {
  placeTest(`a log ${what} is told and kept, though SQLite would take it for one that ends there`, async (place) => {
    await damageInLog(place, (path) => writeFileSync(path, change(readFileSync(path))));
    const { store, recorder } = await opened(place);
    assert.match(
      recorder.notes[0]!,
      new RegExp(`^${place.file} is damaged: ${reason}. It is kept as mqtt-broker.db.dam`),
    );
    const keys = [1, 2, ...saved];
    assert.deepEqual(await keysOf(store, Table.Retained), keys);
    assert.equal(others(place).length, 3);
  });
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes[at]! ^= 1;
  return bytes;
}
