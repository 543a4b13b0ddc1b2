/** What full-disk.test.ts runs on a small file system of its own, which is full before the store is opened. */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { commit, put, Recorder, recordsOf } from "./recorder.ts";

const mount = process.argv[2]!;
const folder = join(mount, "data");
const filler = join(mount, "filler");
let fillers = 0;
const fill = () => {
  const { bavail, bsize } = statfsSync(mount);
  writeFileSync(filler + fillers++, new Uint8Array(bavail * bsize));
};
const tell = (facts: object) => console.log(JSON.stringify(facts));

const recorder = new Recorder();
const first = new SqliteStore({ folder });
await first.open(recorder);
commit(first, (batch) => put(batch, Table.Retained, 1, "kept", "value"));
await first.close();
fill();

const second = new SqliteStore({ folder });
await second.open(recorder);
tell({ step: "started full", records: await recordsOf(second, Table.Retained), troubles: recorder.troubles });
recorder.durable = 0;
commit(second, (batch) => {
  put(batch, Table.Retained, 1, "kept", "other");
  put(batch, Table.Retained, 2, "small", "change");
});
await recorder.until("a small change", () => recorder.durable === 1);
fill();
const records = await recordsOf(second, Table.Retained);
await second.close();
tell({ step: "changed", durable: recorder.durable, records, hasEnded: recorder.failure === undefined });

const third = new SqliteStore({ folder });
await third.open(recorder);
tell({ step: "opened again", records: await recordsOf(third, Table.Retained) });
await third.close();

mkdirSync(join(mount, "new"));
fill();
const fourth = new SqliteStore({ folder: join(mount, "new") });
const message = await fourth.open(recorder).then(
  () => "opened",
  (error: Error) => error.message,
);
tell({ step: "nothing there yet, refused", message });

for (let count = 0; count < fillers; count++) rmSync(filler + count);
const fifth = new SqliteStore({ folder: join(mount, "new") });
await fifth.open(recorder);
tell({ step: "with room", records: await recordsOf(fifth, Table.Retained) });
await fifth.close();
