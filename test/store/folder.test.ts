import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { UNPRIVILEGED } from "../support/unprivileged.ts";
import { placeTest } from "./place.ts";
import { commit, put, Recorder, recordsOf } from "./recorder.ts";

const HOLDER = join(import.meta.dirname, "hold-folder-run.ts");

function refusal(folder: string): Promise<string> {
  return new SqliteStore({ folder }).open(new Recorder()).then(
    () => "opened",
    (error: Error) => error.message,
  );
}

/** Another process that holds the folder until it is killed. */
async function holder(folder: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [HOLDER, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout!, "data");
  assert.equal(String(line), "open\n");
  return child;
}

placeTest("a folder is made with all above it, for its user and group only", async (place) => {
  const folder = join(place.folder, "a", "b");
  const { store, recorder } = await place.open(new Recorder(), folder);
  commit(store, (batch) => put(batch, Table.Queue, 1, "", "x"));
  await recorder.until("a batch", () => recorder.durable === 1);
  assert.equal(statSync(folder).mode & 0o777, 0o750);
  for (const name of ["mqtt-broker.db", "mqtt-broker.db-wal", "mqtt-broker.ballast"]) {
    assert.equal(statSync(join(folder, name)).mode & 0o777, 0o640, name);
  }
});

placeTest("after closing only the file, the lock and the ballast are left", async (place) => {
  const { store } = await place.open();
  commit(store, (batch) => put(batch, Table.Queue, 1, "", "x"));
  await store.close();
  assert.deepEqual(readdirSync(place.folder).sort(), ["mqtt-broker.ballast", "mqtt-broker.db", "mqtt-broker.lock"]);
});

placeTest("a second store of the same process is refused, and the first goes on", async (place) => {
  const { store, recorder } = await place.open();
  const expected = `${place.folder} is in use by another broker of this process (${process.pid})`;
  assert.equal(await refusal(place.folder), expected);
  assert.equal(await refusal(place.folder), expected);
  commit(store, (batch) => put(batch, Table.Queue, 1, "", "x"));
  await recorder.until("a batch of the first", () => recorder.durable === 1);
  await store.close();
  const second = await place.open();
  assert.deepEqual(await recordsOf(second.store, Table.Queue), { 1: "=x" });
  assert.equal(await refusal(place.folder), expected);
});

placeTest("another process is refused with the number of the first, until that is killed", async (place) => {
  const child = await holder(place.folder);
  assert.equal(readFileSync(join(place.folder, "mqtt-broker.pid"), "utf8"), `${child.pid}\n`);
  assert.equal(await refusal(place.folder), `${place.folder} is in use by another mqtt-broker, process ${child.pid}`);
  child.kill("SIGKILL");
  await once(child, "exit");
  // The number of a process that is gone, or of one that has got it since, holds nothing.
  writeFileSync(join(place.folder, "mqtt-broker.pid"), "1\n");
  const { store } = await place.open();
  assert.deepEqual(await recordsOf(store, Table.Session), { 1: "holder=durable" });
});

placeTest("a lock that was written over is made anew", async (place) => {
  writeFileSync(
    join(place.folder, "mqtt-broker.lock"),
    "something else that is long enough to be looked at".repeat(20),
  );
  await place.open();
  assert.match(await refusal(place.folder), /is in use/);
});

placeTest("a place that is no folder is refused", async (place) => {
  const path = join(place.folder, "file");
  writeFileSync(path, "");
  assert.equal(await refusal(path), `Cannot make the folder ${path}: that is not a folder`);
  const below = await refusal(join(path, "below"));
  assert.match(below, /^Cannot make the folder .*\/file\/below: ENOTDIR/);
});

placeTest("a folder below /proc is refused, rather than waited for", async () => {
  assert.match(await refusal("/proc/mqtt-broker/a"), /^Cannot make the folder \/proc\/mqtt-broker\/a: ENOENT/);
});

placeTest("a folder in which this user may not write is refused", async (place) => {
  const folder = join(place.folder, "others");
  mkdirSync(folder);
  chmodSync(folder, 0o555);
  assert.equal(
    refusalUnprivileged(folder),
    `Cannot write ${folder}/mqtt-broker.lock: unable to open database file; see whether this user may write in ${folder}`,
  );
  assert.deepEqual(readdirSync(folder), []);
});

placeTest("a file that this user may not read is refused, not taken for a damaged one", async (place) => {
  const { store } = await place.open();
  await store.close();
  chmodSync(place.file, 0);
  for (const name of ["mqtt-broker.lock", "mqtt-broker.ballast"]) chmodSync(join(place.folder, name), 0o666);
  chmodSync(place.folder, 0o777);
  assert.equal(
    refusalUnprivileged(place.folder),
    `Cannot read ${place.file}: EACCES: permission denied, open '${place.file}'`,
  );
  assert.deepEqual(readdirSync(place.folder).sort(), ["mqtt-broker.ballast", "mqtt-broker.db", "mqtt-broker.lock"]);
  chmodSync(place.file, 0o600);
});

function refusalUnprivileged(folder: string): string {
  const [command = process.execPath, ...words] = [...UNPRIVILEGED, process.execPath, HOLDER, folder];
  const { stdout, stderr, error } = spawnSync(command, words, { encoding: "utf8", timeout: 10_000 });
  if (error !== undefined) throw error;
  assert.equal(existsSync(join(folder, "mqtt-broker.pid")), false);
  return stdout.trim() || stderr;
}
