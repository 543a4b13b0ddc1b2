import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { placeTest } from "./place.ts";
import { commit, put, Recorder } from "./recorder.ts";

placeTest(
  "a thread that was started before touches nothing until the store is opened, and serves it then",
  async (place) => {
    const folder = join(place.folder, "later");
    const recorder = new Recorder();
    const store = new SqliteStore({ folder });
    store.prepare();
    store.prepare();
    await sleep(200);
    assert.equal(existsSync(folder), false);
    await store.open(recorder);
    commit(store, (batch) => put(batch, Table.Session, 1, "a", "b"));
    await recorder.until("the record", () => recorder.durable === 1);
    await store.close();
  },
);

placeTest("a process that never opens the store it prepared ends by itself", async (place) => {
  const run = join(import.meta.dirname, "prepare-run.ts");
  const folder = join(place.folder, "never");
  const { status, signal, stdout } = spawnSync(process.execPath, [run, folder], { encoding: "utf8", timeout: 10_000 });
  assert.deepEqual([status, signal, stdout], [0, null, "prepared\n"]);
  assert.equal(existsSync(folder), false);
});
