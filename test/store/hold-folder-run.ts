/** Opens the store of the folder given, writes a record, says "open" and stays, or says why it was refused. */
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { commit, put, Recorder } from "./recorder.ts";

const recorder = new Recorder();
const store = new SqliteStore({ folder: process.argv[2]! });
try {
  await store.open(recorder);
  commit(store, (batch) => put(batch, Table.Session, 1, "holder", "durable"));
  await recorder.until("the record", () => recorder.durable === 1);
  console.log("open");
} catch (error) {
  console.log((error as Error).message);
}
