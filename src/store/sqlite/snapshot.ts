import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { STORE_TABLES, type StoreLoss, type Table } from "../../core/store.ts";
import { PutHead } from "./put-head.ts";
import { APPLICATION_ID, FORMAT_VERSION, schemaFault } from "./schema.ts";

/** How long a read waits for the moment in which a broker begins or ends. */
const BUSY_MS = 5_000;

export interface SnapshotRecord {
  key: number;
  name: Uint8Array;
  value: Uint8Array;
}

/**
 * All that a store holds at one moment, read while a broker may go on writing: one read transaction, which stops
 * nobody. Close it soon, since the write-ahead log cannot start over before.
 */
export class Snapshot {
  private readonly database: DatabaseSync;
  private readonly onLost: (loss: StoreLoss) => void;
  private readonly head = new PutHead();

  /** `onLost` gets each record that cannot be read. Throws for people when there is no store that we understand. */
  constructor(path: string, onLost: (loss: StoreLoss) => void) {
    if (!existsSync(path)) throw new Error(`There is no store: ${path} does not exist`);
    this.onLost = onLost;
    this.database = open(path);
  }

  /** In the order of their keys. Each is checked; those that fail are told, and left out. */
  *records(table: Table): Generator<SnapshotRecord> {
    const name = STORE_TABLES[table];
    let key = -1;
    try {
      const rows = this.database.prepare(`SELECT key, name, value, crc FROM ${name} ORDER BY key`).iterate();
      for (const row of rows) {
        const record = row as unknown as SnapshotRecord & { crc: number };
        key = record.key;
        const start = this.head.checksum(table, key, record.name.length, record.value.length);
        if (crc32(record.value, crc32(record.name, start)) === record.crc) yield record;
        else this.onLost({ table: name, key, name: textOf(record.name), reason: "its checksum does not match" });
      }
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      const reason = `the rest cannot be read: ${error.message}`;
      this.onLost({ table: name, key: key + 1, lastKey: Number.MAX_SAFE_INTEGER, name: "", reason });
    }
  }

  close(): void {
    this.database.close();
  }
}

function open(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
    database.exec("PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; BEGIN");
    if (numberOf(database, "application_id") !== APPLICATION_ID) throw new Error("it was not made by mqtt-broker");
    const version = numberOf(database, "user_version");
    if (version !== FORMAT_VERSION) throw new Error(`it has format version ${version}, and this is ${FORMAT_VERSION}`);
    const fault = schemaFault(database);
    if (fault !== undefined) throw new Error(fault);
    return database;
  } catch (error) {
    database?.close();
    throw new Error(`Cannot read ${path}: ${(error as Error).message}`);
  }
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get()!)[0]);
}

function textOf(name: Uint8Array): string {
  return new TextDecoder().decode(name);
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}
