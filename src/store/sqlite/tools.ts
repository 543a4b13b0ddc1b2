import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { STORE_TABLES, type StoreTable } from "../../core/store.ts";
import { messageOf, Refusal } from "./failure.ts";
import { syncFolder } from "./folder-lock.ts";
import { demandStore, withoutBroker } from "./offline.ts";
import { PutHead } from "./put-head.ts";
import { APPLICATION_ID, FORMAT_VERSION, openFile, schemaFault } from "./schema.ts";
import { walState } from "./wal-pages.ts";

/** How long a question waits for the moment in which a broker begins or ends. */
const BUSY_MS = 5_000;
/** Records that are read at a time, so that no read stops the log from starting over for long. */
const ROWS_PER_READ = 2_000;
const FAULTS_OF_STRUCTURE_MAX = 100;

export interface FileFigures {
  formatVersion: number;
  fileBytes: number;
  /** Of the write-ahead log beside the file. */
  logBytes: number;
  /** Of the file: pages that wait to be used again, or given back. */
  freeBytes: number;
  /** `bytes`: of names and values. */
  tables: { table: StoreTable; records: number; bytes: number }[];
}

/** What is in the store `path`, also while a broker runs. Throws for people when it cannot be read. */
export function figuresOf(path: string): FileFigures {
  return reading(path, (database) => ({
    formatVersion: numberOf(database, "PRAGMA user_version"),
    fileBytes: numberOf(database, "PRAGMA page_count") * numberOf(database, "PRAGMA page_size"),
    logBytes: statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    freeBytes: numberOf(database, "PRAGMA freelist_count") * numberOf(database, "PRAGMA page_size"),
    tables: STORE_TABLES.map((table) => ({
      table,
      records: numberOf(database, `SELECT count(*) FROM ${table}`),
      bytes: numberOf(database, `SELECT coalesce(sum(length(name) + length(value)), 0) FROM ${table}`),
    })),
  }));
}

/**
 * Looks at every page and every checksum of the store `path`, also while a broker runs, without changing anything.
 * `onFault` gets each damage in words; `onProgress` the share that is done, 0 to 1. Returns how many records are whole.
 * Throws for people when there is no store, or one that we do not understand.
 */
export function verifyStore(
  path: string,
  onFault: (fault: string) => void,
  onProgress: (share: number) => void = () => {},
): { records: number } {
  // SQLite forgets it when it opens the file.
  const log = walState(path);
  if (log !== undefined && log.frames < log.committedFrames) {
    onFault(`${path}-wal is cut off: of ${log.committedFrames} pages in it ${log.frames} can be read`);
  }
  return reading(path, (database) => {
    verifyStructure(database, onFault);
    const steps = STORE_TABLES.length + 1;
    let records = 0;
    STORE_TABLES.forEach((table, number) => {
      onProgress((number + 1) / steps);
      records += verifyTable(database, table, number, onFault);
    });
    onProgress(1);
    return { records };
  });
}

function verifyStructure(database: DatabaseSync, onFault: (fault: string) => void): void {
  try {
    const rows = database.prepare(`PRAGMA integrity_check(${FAULTS_OF_STRUCTURE_MAX})`).all();
    for (const [fault] of rows.map((row) => Object.values(row).map(String))) if (fault !== "ok") onFault(fault!);
  } catch (error) {
    onFault(`its structure cannot be read: ${messageOf(error)}`);
  }
}

interface Row {
  key: number;
  name: Uint8Array;
  value: Uint8Array;
  crc: number;
}

function verifyTable(
  database: DatabaseSync,
  table: StoreTable,
  number: number,
  onFault: (fault: string) => void,
): number {
  const head = new PutHead();
  let records = 0;
  let last = -1;
  try {
    const query = database.prepare(`SELECT * FROM ${table} WHERE key > ? ORDER BY key LIMIT ${ROWS_PER_READ}`);
    for (let found = ROWS_PER_READ; found === ROWS_PER_READ; ) {
      found = 0;
      for (const row of query.iterate(last)) {
        const { key, name, value, crc } = row as unknown as Row;
        const start = head.checksum(number, key, name.length, value.length);
        if (crc32(value, crc32(name, start)) === crc) records++;
        else onFault(`${table} ${key} ${JSON.stringify(new TextDecoder().decode(name))}: its checksum does not match`);
        last = key;
        found++;
      }
    }
  } catch (error) {
    onFault(`${table}: what follows the key ${last} cannot be read: ${messageOf(error)}`);
  }
  return records;
}

/**
 * Writes the folder's store anew without free space. The old file is replaced when the new one is whole and on disk.
 * Rejects with a message for people when a broker runs there, the store is damaged, or there is no room.
 */
export async function compactStore(folder: string): Promise<{ bytesBefore: number; bytesAfter: number }> {
  demandStore(folder);
  return await withoutBroker(folder, (path) => {
    const made = `${path}.compact`;
    rmSync(made, { force: true });
    try {
      const bytesBefore = sizeOf(path) + sizeOf(`${path}-wal`);
      const faults: string[] = [];
      verifyStore(path, (fault) => faults.push(fault));
      if (faults.length > 0) {
        throw new Refusal(`it is damaged: ${faults[0]}; mqtt-broker store repair saves what can be read`);
      }
      writeInto(path, made);
      chmodSync(made, statSync(path).mode);
      sync(made);
      // A log that stayed would be taken for the new file's.
      if (existsSync(`${path}-wal`)) throw new Refusal("another program has it open");
      renameSync(made, path);
      syncFolder(folder);
      return { bytesBefore, bytesAfter: sizeOf(path) };
    } catch (error) {
      rmSync(made, { force: true });
      throw new Refusal(`Cannot compact ${path}: ${messageOf(error)}`);
    }
  });
}

/** The last to close a database moves the log into it and removes it. */
function writeInto(path: string, made: string): void {
  const database = openFile(path);
  try {
    database.prepare("VACUUM INTO ?").run(made);
  } finally {
    database.close();
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Opens the store for reading, when it is one of ours. */
function reading<T>(path: string, read: (database: DatabaseSync) => T): T {
  if (!existsSync(path)) throw new Refusal(`There is no store: ${path} does not exist`);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
    database.exec("PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF");
    if (numberOf(database, "PRAGMA application_id") !== APPLICATION_ID)
      throw new Refusal("it was not made by mqtt-broker");
    const version = numberOf(database, "PRAGMA user_version");
    if (version !== FORMAT_VERSION)
      throw new Refusal(`it has format version ${version}, and this is ${FORMAT_VERSION}`);
    const fault = schemaFault(database);
    if (fault !== undefined) throw new Refusal(fault);
    return read(database);
  } catch (error) {
    throw new Refusal(`Cannot read ${path}: ${messageOf(error)}`);
  } finally {
    database?.close();
  }
}

function numberOf(database: DatabaseSync, question: string): number {
  return Number(Object.values(database.prepare(question).get()!)[0]);
}
