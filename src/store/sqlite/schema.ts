import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { STORE_TABLES, type StoreTable } from "../../core/store.ts";

/**
 * The format of the file, version 1. Another version must have other tables, or other columns in one of them: a version
 * that stands alone against them is taken for damage. Readable with `sqlite3` at any time, also while the broker runs:
 *
 *     CREATE TABLE queue (key INTEGER PRIMARY KEY, name BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL)
 *
 * and so for each of STORE_TABLES. `crc` is the CRC-32 of the put as it stood in its batch (batch.ts): head, name and
 * value, so that a record that strayed to another key or table is found out too.
 */
export const FORMAT_VERSION = 1;
/** "MQTB". */
export const APPLICATION_ID = 0x4d515442;
export const PAGE_BYTES = 4096;

export const STORE_FILE = "mqtt-broker.db";
/** What SQLite puts beside a file. */
export const SIDE_FILES = ["-wal", "-shm", "-journal"] as const;

/** Dirty pages beyond this go to the write-ahead log before their commit, so that a huge deletion needs no memory. */
const CACHE_KIB = 4 * 1024;
/** The write-ahead log is cut to this when it starts over, after a reader or a burst had made it grow. */
export const LOG_BYTES_MAX = 16 * 1024 * 1024;

/** How long a commit waits for somebody else's, who should not write but can. */
export const BUSY_MS = 1_000;

/** Of files that hold messages; those that SQLite puts beside take it over. */
const FILE_MODE = 0o640;

export function tableStatement(table: StoreTable): string {
  return `CREATE TABLE ${table} (key INTEGER PRIMARY KEY, name BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL)`;
}

/** Makes a new file with empty tables, durable when it returns. Throws when there is one, and what SQLite throws. */
export function createFile(path: string): void {
  closeSync(openSync(path, "wx", FILE_MODE));
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = EXTRA`);
    const tables = STORE_TABLES.map((table) => `${tableStatement(table)};`).join("\n");
    database.exec(
      `BEGIN; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT_VERSION}; ${tables} COMMIT`,
    );
  } finally {
    database.close();
  }
}

/** Opens a file of ours for reading and writing, as the running store does. */
export function openFile(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  try {
    database.exec(`PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = ${LOG_BYTES_MAX};
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA cell_size_check = ON;
      PRAGMA trusted_schema = OFF`);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** What differs from a file that `createFile` made, or undefined. Reads only the schema. */
export function schemaFault(database: DatabaseSync): string | undefined {
  const find = database.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?");
  for (const table of STORE_TABLES) {
    const found = find.get(table)?.sql;
    if (found === undefined) return `the table ${table} is missing`;
    if (found !== tableStatement(table)) return `the table ${table} has other columns`;
  }
  return undefined;
}
