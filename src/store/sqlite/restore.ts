import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { BATCH_HEAD_BYTES, Batch } from "../../core/batch.ts";
import { STORE_TABLES, type Table } from "../../core/store.ts";
import { BatchWriter } from "./batch-writer.ts";
import { syncFolder } from "./folder-lock.ts";
import { withoutBroker } from "./offline.ts";
import { createFile, openFile, STORE_FILE } from "./schema.ts";

const IMPORT_FOLDER = "mqtt-broker.import";

/** What is gathered before it goes into the file. */
const BATCH_BYTES = 1024 * 1024;

/** Takes one record more. Those of a table have a key each. */
export type Put = (record: { table: Table; key: number; name: Uint8Array; value: Uint8Array }) => void;

/**
 * Makes the store of a folder, which is made too, from the records that `fill` puts: wholly, or not at all when `fill`
 * rejects or the power fails, since the file is built aside and gets its place at the end.
 * Rejects with a message for people when a broker runs there, or the folder has a store already.
 */
export async function restoreStore(folder: string, fill: (put: Put) => Promise<void>): Promise<void> {
  await withoutBroker(folder, async (path) => {
    if (existsSync(path) || existsSync(`${path}-wal`)) {
      throw new Error(`${folder} has a store already: import into another folder, or move its files away`);
    }
    const aside = join(folder, IMPORT_FOLDER);
    // What an import left that was ended by force.
    rmSync(aside, { recursive: true, force: true });
    mkdirSync(aside);
    try {
      const built = join(aside, STORE_FILE);
      createFile(built);
      await fillFile(built, fill);
      syncFile(built);
      renameSync(built, path);
      syncFolder(folder);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  });
}

async function fillFile(path: string, fill: (put: Put) => Promise<void>): Promise<void> {
  const database = openFile(path);
  try {
    database.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; BEGIN");
    await fillTables(database, fill);
    database.exec("COMMIT");
  } finally {
    database.close();
  }
}

async function fillTables(database: DatabaseSync, fill: (put: Put) => Promise<void>): Promise<void> {
  const writer = new BatchWriter(database);
  const counts = new Map<Table, number>();
  let batch = new Batch();
  const flush = (): void => {
    writer.apply(batch.bytes.subarray(0, batch.length));
    batch = new Batch();
  };
  await fill(({ table, key, name, value }) => {
    const at = batch.put(table, key, name.length, value.length);
    batch.bytes.set(name, at + BATCH_HEAD_BYTES);
    batch.bytes.set(value, at + BATCH_HEAD_BYTES + name.length);
    counts.set(table, (counts.get(table) ?? 0) + 1);
    if (at > BATCH_BYTES) flush();
  });
  flush();
  for (const [table, count] of counts) {
    const name = STORE_TABLES[table];
    const { kept } = database.prepare(`SELECT count(*) AS kept FROM ${name}`).get()!;
    if (kept !== count) throw new Error(`${count - Number(kept)} records of ${name} have a key that another one has`);
  }
}

function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
