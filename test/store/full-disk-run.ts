/**
 * What full-disk.test.ts runs in a mount namespace of its own, where a small file system is mounted at the folder given:
 * the disk is filled by somebody else, and freed. Prints what was seen at each step as JSON.
 */
import { existsSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { commit, keysOf, put, Recorder } from "./recorder.ts";

const mount = process.argv[2]!;
const folder = join(mount, "data");
const filler = join(mount, "filler");
const ballast = join(folder, "mqtt-broker.ballast");
const value = new Uint8Array(1_000).fill(7);
const PUTS = 500;

const recorder = new Recorder();
const store = new SqliteStore({ folder, log: recorder.log });
await store.open(recorder);
let handedOver = 0;
const commitPuts = (first: number) => {
  commit(store, (batch) => {
    for (let key = first; key < first + PUTS; key++) put(batch, Table.Queue, key, "", value);
  });
  handedOver++;
};
const tell = async (step: string) => {
  const keys = await keysOf(store, Table.Queue);
  const { durable, troubles } = recorder;
  console.log(JSON.stringify({ step, durable, keys: keys.length, troubles, ballast: existsSync(ballast) }));
};

commitPuts(0);
await recorder.until("the first batch", () => recorder.durable === 1);
await tell("with room");

const { bavail, bsize } = statfsSync(mount);
writeFileSync(filler, new Uint8Array(bavail * bsize));
commitPuts(1_000);
commit(store, (batch) => batch.deleteRange(Table.Queue, 0, 99));
handedOver++;
await recorder.until("what the ballast has room for", () => recorder.durable === handedOver);
await tell("full, on the ballast's room");

for (let first = 10_000; first < 20_000; first += 1_000) commitPuts(first);
await new Promise((resolve) => setTimeout(resolve, 1_500));
await tell("full, more than the ballast's room");

rmSync(filler);
await recorder.until("all", () => recorder.durable === handedOver && recorder.troubles.at(-1) === "recovered");
await tell("with room again");
await store.close();

const again = new SqliteStore({ folder, log: recorder.log });
await again.open(recorder);
console.log(JSON.stringify({ step: "opened again", keys: (await keysOf(again, Table.Queue)).length }));
await again.close();
const { reasons, notes, losses, failure } = recorder;
console.log(JSON.stringify({ step: "end", reasons, notes, losses, failure: failure?.message ?? "" }));
