import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { codeOf, FolderInUse, failureOf, isBusy, messageOf, Refusal } from "./failure.ts";

const LOCK_FILE = "mqtt-broker.lock";
const PID_FILE = "mqtt-broker.pid";
const SQLITE_NOTADB = 26;
/** A process that was killed may take a moment until the system has freed what it held. */
const WAIT_MS = 250;

/**
 * One broker a folder. The lock is SQLite's, on a file of its own: the system frees it when the process ends, however it ends,
 * and within one process SQLite refuses a second one. The number beside it is only for people. The lock's file is never
 * opened by other means here: closing it once would free the lock.
 */
export class FolderLock {
  private readonly database: DatabaseSync;
  private readonly pidFile: string;

  /** Makes the folder when it is missing. Throws Refusal. */
  constructor(folder: string) {
    makeFolder(folder);
    this.pidFile = join(folder, PID_FILE);
    this.database = lock(folder, this.pidFile);
    try {
      writeFileSync(this.pidFile, `${process.pid}\n`);
    } catch {
      // On a full disk: the lock holds without it.
    }
  }

  release(): void {
    try {
      rmSync(this.pidFile, { force: true });
    } catch {
      // On a file system that has become read-only.
    }
    this.database.close();
  }
}

function lock(folder: string, pidFile: string): DatabaseSync {
  const path = join(folder, LOCK_FILE);
  for (let attempt = 0; ; attempt++) {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { timeout: WAIT_MS });
      database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
      // A file that holds something is locked without a write: that works on a full disk too.
      if (isEmpty(database)) database.exec("PRAGMA user_version = 1; COMMIT; BEGIN EXCLUSIVE");
      return database;
    } catch (error) {
      database?.close();
      if (isBusy(error)) throw new FolderInUse(`${folder} is in use by ${holder(pidFile)}`);
      if (codeOf(error) !== SQLITE_NOTADB || attempt > 0) {
        const isFull = failureOf(error, folder) === "full";
        const advice = isFull ? "make room there" : `see whether this user may write in ${folder}`;
        throw new Refusal(`Cannot write ${path}: ${messageOf(error)}; ${advice}`);
      }
      // Somebody wrote into it, and nobody holds it, or we had not got so far.
      truncateSync(path, 0);
    }
  }
}

function isEmpty(database: DatabaseSync): boolean {
  return database.prepare("PRAGMA user_version").get()?.user_version === 0;
}

function holder(pidFile: string): string {
  let pid = 0;
  try {
    pid = Number.parseInt(readFileSync(pidFile, "utf8"), 10);
  } catch {
    // Not written yet, or no longer.
  }
  if (pid === process.pid) return `another broker of this process (${pid})`;
  return pid > 0 ? `another mqtt-broker, process ${pid}` : "another mqtt-broker";
}

/** Not by mkdir's own recursion, which never returns below some places (/proc). */
function makeFolder(folder: string): void {
  const missing: string[] = [];
  try {
    let path = resolve(folder);
    while (!exists(path)) {
      missing.push(path);
      path = dirname(path);
    }
    for (const name of missing.reverse()) {
      mkdirSync(name, { mode: 0o750 });
      syncFolder(dirname(name));
    }
    if (!statSync(folder).isDirectory()) throw new Error("that is not a folder");
  } catch (error) {
    throw new Refusal(`Cannot make the folder ${folder}: ${messageOf(error)}`);
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Makes the names in a folder durable. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
