import { statfsSync } from "node:fs";
import type { StoreTrouble } from "../../core/store.ts";

/** The folder cannot be used at all; the message is for people. */
export class Refusal extends Error {}

/** Another broker has the folder; the message names it. */
export class FolderInUse extends Refusal {}

/**
 * What to do about an error. `damaged`: put the file aside and save what can be read. `full`, `unwritable`: wait, and try
 * again. `unreadable`: the same, but when it lasts it is damage. `mistake`: ours; nothing can be promised any more.
 */
export type Failure = StoreTrouble["kind"] | "damaged" | "unreadable" | "mistake";

const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_PROTOCOL = 15;
const SQLITE_NOTADB = 26;
const SQLITE_IOERR_READ = SQLITE_IOERR | (1 << 8);
const SQLITE_IOERR_SHORT_READ = SQLITE_IOERR | (2 << 8);
const SQLITE_IOERR_CORRUPTFS = SQLITE_IOERR | (33 << 8);

/** Less than this is full for SQLite's own small files, though their errors do not say so. */
const ROOM_BYTES_MIN = 256 * 1024;

/** `folder`: where the file lies, to see whether there is room. */
export function failureOf(error: unknown, folder: string): Failure {
  if (error instanceof Refusal) return "unwritable";
  const code = codeOf(error);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "damaged";
    case SQLITE_FULL:
      return "full";
    case SQLITE_IOERR:
      if (code === SQLITE_IOERR_READ || code === SQLITE_IOERR_SHORT_READ || code === SQLITE_IOERR_CORRUPTFS)
        return "unreadable";
      return roomBytes(folder) < ROOM_BYTES_MIN ? "full" : "unwritable";
    case SQLITE_CANTOPEN:
      return roomBytes(folder) < ROOM_BYTES_MIN ? "full" : "unwritable";
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
      return "unwritable";
    default:
      return systemFailureOf(error);
  }
}

/** Of a call to the system; not all of its errors carry a code that we know. */
function systemFailureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return "mistake";
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return "full";
  return syscall === undefined ? "mistake" : "unwritable";
}

/** SQLite's extended result code, or 0. */
export function codeOf(error: unknown): number {
  return error instanceof Error && "errcode" in error ? Number(error.errcode) : 0;
}

export function isBusy(error: unknown): boolean {
  return (codeOf(error) & 0xff) === SQLITE_BUSY;
}

/** What we and others may still write there; infinite when that cannot be known. */
export function roomBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For people: what failed, where, and what to do. */
export function troubleOf(kind: StoreTrouble["kind"], error: unknown, path: string): StoreTrouble {
  const what = `Cannot write ${path}: ${messageOf(error)}`;
  if (kind === "full") return { kind, reason: `${what}; make room there` };
  const advice = isBusy(error)
    ? "another program holds it, such as a sqlite3 shell with an open transaction"
    : "see whether the file system is mounted for writing, and whom the file belongs to";
  return { kind, reason: `${what}; ${advice}` };
}
