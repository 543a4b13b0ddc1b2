import { closeSync, fstatSync, lstatSync, openSync, readSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { STORE_TABLES } from "../../core/store.ts";
import { codeOf, failureOf, messageOf, Refusal } from "./failure.ts";
import { APPLICATION_ID, FORMAT_VERSION, schemaFault } from "./schema.ts";
import { walState } from "./wal-pages.ts";

export type FileState =
  | { kind: "absent" }
  | { kind: "good" }
  | { kind: "newer"; version: number }
  | { kind: "damaged"; reason: string };

const HEAD_BYTES = 100;
const SQLITE_ERROR = 1;
const MAGIC = "SQLite format 3\0";
const USER_VERSION_AT = 60;
const APPLICATION_ID_AT = 68;
const LOG_HEAD_BYTES = 32;
const LOG_SUM_AT = 24;
/** A larger file is not checked as a whole at the start: what is wrong with it comes out when it is read. */
const CHECK_BYTES_MAX = 512 * 1024 * 1024;
/** Somebody may be copying it. */
const BUSY_MS = 5_000;

/**
 * Whether a file can be worked with. Its whole structure is looked through, at some 1 GB a second: a bent pointer may
 * lead to pages that were given up, whose records are whole and long deleted. The file is not changed.
 * Throws Refusal when it may not be read, and what SQLite throws when it cannot be opened for other reasons.
 */
export function checkFile(path: string): FileState {
  const state = checkHead(path);
  if (state.kind === "newer" && hasOurTables(path)) {
    return {
      kind: "damaged",
      reason: `its version is ${state.version}, though all else is of version ${FORMAT_VERSION}`,
    };
  }
  if (state.kind !== "good") return state;
  const fault = logFault(path);
  return fault === undefined ? checkStructure(path) : { kind: "damaged", reason: fault };
}

/**
 * What is wrong with the write-ahead log, to be asked before SQLite opens the file: it takes a damaged one for one that
 * ends there, and says nothing. What followed is lost then; and where some of it had been copied into the file already,
 * older pages would be laid over newer ones.
 */
function logFault(path: string): string | undefined {
  const size = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const state = walState(path);
  if (state !== undefined && state.frames < state.committedFrames) {
    return `of ${state.committedFrames} pages in its log ${state.frames} can be read`;
  }
  // The head is on disk before anything follows it.
  if (state === undefined && size > LOG_HEAD_BYTES && !isLogHead(path)) return "its log does not begin as one";
  return undefined;
}

/** A bit that flipped in the version must not cost everything: another format has other tables. */
function hasOurTables(path: string): boolean {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
    const { count } = database.prepare("SELECT count(*) AS count FROM sqlite_schema WHERE type = 'table'").get()!;
    return count === STORE_TABLES.length && schemaFault(database) === undefined;
  } catch {
    return false;
  } finally {
    database?.close();
  }
}

/** Its checksum is right: see "The Write-Ahead Log" in SQLite's file format. */
function isLogHead(path: string): boolean {
  const descriptor = openSync(`${path}-wal`, "r");
  try {
    const head = Buffer.from(new ArrayBuffer(LOG_HEAD_BYTES));
    readSync(descriptor, head, 0, LOG_HEAD_BYTES, 0);
    let first = 0;
    let second = 0;
    for (let at = 0; at < LOG_SUM_AT; at += 8) {
      first = (first + head.readInt32LE(at) + second) | 0;
      second = (second + head.readInt32LE(at + 4) + first) | 0;
    }
    return first === head.readInt32BE(LOG_SUM_AT) && second === head.readInt32BE(LOG_SUM_AT + 4);
  } finally {
    closeSync(descriptor);
  }
}

function checkHead(path: string): FileState {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { kind: "absent" };
  if (found.isDirectory()) return { kind: "damaged", reason: "it is a folder" };
  const head = readHead(path);
  if (head.length === 0) return { kind: "damaged", reason: "it is empty" };
  if (head.length < HEAD_BYTES || head.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    return { kind: "damaged", reason: "it does not begin as an SQLite file" };
  }
  if (head.readUInt32BE(APPLICATION_ID_AT) !== APPLICATION_ID) {
    return { kind: "damaged", reason: "it was not made by mqtt-broker" };
  }
  const version = head.readUInt32BE(USER_VERSION_AT);
  if (version > FORMAT_VERSION) return { kind: "newer", version };
  return version === FORMAT_VERSION ? { kind: "good" } : { kind: "damaged", reason: `it has the version ${version}` };
}

function readHead(path: string): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    if (!fstatSync(descriptor).isFile()) throw new Error("it is no file");
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(descriptor, head, 0, HEAD_BYTES, 0));
  } catch (error) {
    // An unreadable first block is damage, like any other.
    if (error instanceof Error && "code" in error && error.code === "EIO") return Buffer.alloc(HEAD_BYTES);
    throw new Refusal(`Cannot read ${path}: ${messageOf(error)}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Read-only, so that the write-ahead log stays as it is beside a file that is put aside. */
function checkStructure(path: string): FileState {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
    database.exec("PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF");
    const fault = schemaFault(database) ?? structureFault(database, path);
    return fault === undefined ? { kind: "good" } : { kind: "damaged", reason: fault };
  } catch (error) {
    const failure = failureOf(error, path);
    // What is asked here is right: a plain error is of what the file says of itself, such as the format of its schema.
    if (failure === "damaged" || failure === "unreadable" || codeOf(error) === SQLITE_ERROR) {
      return { kind: "damaged", reason: messageOf(error) };
    }
    throw error;
  } finally {
    database?.close();
  }
}

function structureFault(database: DatabaseSync, path: string): string | undefined {
  const size = lstatSync(path).size;
  if (size > CHECK_BYTES_MAX) return undefined;
  const found = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
  return found === "ok" ? undefined : String(found);
}
