import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readlink, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { extname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { hasErrors, type Problem } from "../text/problem.ts";
import type { Reading, TextToRead } from "./reading/read-text.ts";

/** Texts up to this are read at once, which takes some milliseconds; longer ones in a thread, while the broker goes on. */
const AT_ONCE_BYTES_MAX = 32 * 1024;
/** A reading that needs more ends with its thread, and the broker goes on with the rules that it has. */
const THREAD_MB_MAX = 256;

/** A file that is written while it is read is read again, so often and after so long. */
const TRIES_MAX = 10;
const REST_MS = 50;

/** What has come of a file of rules. */
export interface LoadedAuth extends Reading {
  /** There is nothing at the path. */
  readonly missing: boolean;
  /** Equal for two readings of the same text and the same key files. */
  readonly state: string;
}

export interface LoadOptions {
  /** The file's name in messages. */
  name: string;
  /** A listener asks for certificates and verifies them. */
  certificatesVerified?: boolean | undefined;
  /** A listener has a file of keys (TLS-PSK). Not known when it is left out. */
  keysChecked?: boolean | undefined;
  /** What came of the last reading: it is given back when nothing has changed since. */
  before?: LoadedAuth | undefined;
}

/**
 * Reads a file of rules, and the key files that it names. Never rejects: whatever is wrong with it is a problem, and `auth`
 * is undefined then. Pipes and devices are not opened.
 */
export async function loadAuth(path: string, options: LoadOptions): Promise<LoadedAuth> {
  const { name, before } = options;
  const bytes = await readBytes(path);
  if (bytes === undefined) return { auth: undefined, problems: [], files: [], missing: true, state: "missing" };
  const text = typeof bytes === "string" ? new Unreadable(bytes) : textOf(bytes);
  if (text instanceof Unreadable) {
    const { message, hint } = text;
    if (before?.state === message) return before;
    const problem: Problem = { severity: "error", file: name, line: 0, column: 0, message, ...(hint && { hint }) };
    return { auth: undefined, problems: [problem], files: [], missing: false, state: message };
  }
  // The readers are loaded when there is something to read: many brokers run without a file.
  const { readText, stateOfFiles } = await import("./reading/read-text.ts");
  const digest = createHash("sha256").update(text).digest("hex");
  if (before !== undefined && before.state === digest + stateOfFiles(before.files)) return before;
  const { certificatesVerified = false, keysChecked } = options;
  const toRead = { text, path, name, certificatesVerified, keysChecked };
  const read = text.length > AT_ONCE_BYTES_MAX ? await readInThread(toRead) : readText(toRead);
  return {
    ...read,
    auth: hasErrors(read.problems) ? undefined : read.auth,
    missing: false,
    state: digest + stateOfFiles(read.files),
  };
}

/** Why a file is not read at all. */
class Unreadable {
  readonly message: string;
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    this.message = message;
    this.hint = hint;
  }
}

/** The file's bytes, undefined when there is none, or a sentence that says why it cannot be read. */
async function readBytes(path: string): Promise<Uint8Array | string | undefined> {
  try {
    // Before it is opened: that alone makes some devices do something, and waits at the end of a pipe.
    const kind = await stat(path);
    const { AUTH_BYTES_MAX: bytesMax } = await import("./reading/auth-document.ts");
    const objection = objectionTo(kind, bytesMax);
    if (objection !== undefined) return objection;
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return objectionTo(await file.stat(), bytesMax) ?? (await readWhole(file, bytesMax));
    } finally {
      await file.close();
    }
  } catch (error) {
    return await whyUnreadable(path, error as NodeJS.ErrnoException);
  }
}

function objectionTo(kind: Stats, bytesMax: number): string | undefined {
  if (kind.isDirectory()) return "Is a folder: a file of users and rules is expected here";
  if (!kind.isFile()) return "Is a pipe, socket or device: a file of users and rules is expected here";
  return kind.size > bytesMax ? tooLarge(kind.size, bytesMax) : undefined;
}

/** Once more when it was written meanwhile: the beginning of one text and the end of another make a third. */
async function readWhole(file: FileHandle, bytesMax: number): Promise<Uint8Array | string> {
  for (let tries = 1; ; tries++) {
    const before = await file.stat();
    const bytes = new Uint8Array(Math.min(before.size, bytesMax) + 1);
    let length = 0;
    for (let count = -1; count !== 0 && length < bytes.length; length += count) {
      count = (await file.read(bytes, length, bytes.length - length, length)).bytesRead;
    }
    const after = await file.stat();
    if (after.size === length && after.mtimeMs === before.mtimeMs) return bytes.subarray(0, length);
    if (after.size > bytesMax) return tooLarge(after.size, bytesMax);
    if (tries === TRIES_MAX) return "Is being written all the time: it is read when it rests";
    await sleep(REST_MS);
  }
}

function tooLarge(bytes: number, bytesMax: number): string {
  const mebibytes = (count: number): string => (count / 1024 / 1024).toFixed(1);
  return `Is too large: ${mebibytes(bytes)} MiB, and at most ${mebibytes(bytesMax)} MiB are read; use groups, %u and %c in place of single rules`;
}

async function whyUnreadable(path: string, error: NodeJS.ErrnoException): Promise<string | undefined> {
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return await brokenLink(path);
    case "ELOOP":
      return "Is a link that leads back to itself";
    case "EACCES":
    case "EPERM": {
      const { uid, username } = userInfo();
      return `Cannot be read by the user ${username} (${uid}) as whom this program runs: give the file, and the folders above it, rights for it`;
    }
    default:
      return `Cannot be read: ${error.message}`;
  }
}

/** A link that leads nowhere is no missing file: somebody wanted rules. */
async function brokenLink(path: string): Promise<string | undefined> {
  try {
    if (!(await lstat(path)).isSymbolicLink()) return undefined;
    return `Is a link to ${await readlink(path)}, which is not there`;
  } catch {
    return undefined;
  }
}

function textOf(bytes: Uint8Array): string | Unreadable {
  const empty = new Unreadable("Is empty", "Half written, or emptied by mistake? To run without rules remove the file");
  if (bytes.length === 0) return empty;
  if (bytes.includes(0)) return new Unreadable("Has zero bytes: it is damaged, or saved as UTF-16", "Save it as UTF-8");
  try {
    // A byte order mark at the start is taken away by the decoder.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.trim() === "" ? empty : text;
  } catch {
    return new Unreadable("Is not a text in UTF-8", "Save it as UTF-8");
  }
}

/** The thread has a memory of its own with a bound, so that a text made to burst a reader takes nothing along. */
function readInThread(toRead: TextToRead): Promise<Reading> {
  const ending = extname(import.meta.filename);
  return new Promise((resolve) => {
    const fail = (reason: string): void => {
      const message = `Cannot be read: ${reason}`;
      const problem: Problem = { severity: "error", file: toRead.name, line: 0, column: 0, message };
      resolve({ auth: undefined, problems: [problem], files: [] });
    };
    try {
      const worker = new Worker(join(import.meta.dirname, "reading", `read-worker${ending}`), {
        workerData: toRead,
        name: "auth",
        resourceLimits: { maxOldGenerationSizeMb: THREAD_MB_MAX },
      });
      worker.on("message", resolve);
      worker.on("error", (error) => {
        const { code, message } = error as NodeJS.ErrnoException;
        fail(code === "ERR_WORKER_OUT_OF_MEMORY" ? "it is too large for the memory that may be used for it" : message);
      });
      worker.on("exit", () => fail("its reader has ended"));
    } catch (error) {
      fail((error as Error).message);
    }
  });
}
