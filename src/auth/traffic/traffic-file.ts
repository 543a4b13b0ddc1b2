import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../core/ports.ts";
import { parseTraffic, type Traffic } from "./traffic.ts";
import type { TrafficRecord } from "./traffic-record.ts";

/** The record's file in the data folder. */
export const TRAFFIC_FILE = "traffic.jsonl";

/** Flash wears out: a record that changes all the time is written once in an hour, and at an orderly stop. */
const SAVE_MS = 3_600_000;
/** A record within its bounds takes a third of this. */
const FILE_BYTES_MAX = 32 * 1024 * 1024;
/** Lines that are put together at a time. */
const LINES_AT_ONCE = 500;

/** Keeps a record of traffic on disk. */
export class TrafficFile {
  private readonly record: TrafficRecord;
  private readonly folder: string;
  private readonly log: Log;
  private readonly everyMs: number;
  private timer: NodeJS.Timeout | undefined;
  private savedRevision = 0;
  private saving: Promise<void> | undefined;

  /** `folder` must exist when it is saved. */
  constructor(record: TrafficRecord, folder: string, log: Log, everyMs: number = SAVE_MS) {
    this.record = record;
    this.folder = folder;
    this.log = log;
    this.everyMs = everyMs;
  }

  /** Takes over what is on disk, and saves from now on. A damaged file is ignored, with a warning. Never rejects. */
  async start(): Promise<void> {
    const path = join(this.folder, TRAFFIC_FILE);
    try {
      const traffic = readTrafficFile(path);
      if (traffic !== undefined) this.record.restore(traffic);
    } catch (error) {
      const advice = "a new record begins; the file is replaced when that is saved";
      this.log.warn(`Cannot use the record of traffic: ${advice}`, { file: path, reason: messageOf(error) });
    }
    this.savedRevision = this.record.revision;
    this.timer = setInterval(() => void this.save(), this.everyMs);
    this.timer.unref();
  }

  /** Saves what is not saved yet. Idempotent. Resolves when it is on disk or cannot be, which is logged. */
  async stop(): Promise<void> {
    // What was never read must not be written over.
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
    await this.saving;
    await this.save();
  }

  /** Whole or not at all: written beside the file, then renamed. Only its owner can read it. */
  private save(): Promise<void> {
    if (this.record.revision === this.savedRevision) return Promise.resolve();
    this.saving ??= this.write().finally(() => {
      this.saving = undefined;
    });
    return this.saving;
  }

  private async write(): Promise<void> {
    const path = join(this.folder, TRAFFIC_FILE);
    const temporary = `${path}.${randomBytes(6).toString("hex")}`;
    const { revision } = this.record;
    try {
      const handle = await open(temporary, "wx", 0o600);
      try {
        for (const text of pages(this.record)) await handle.write(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
      this.savedRevision = revision;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      this.log.warn("Cannot save the record of traffic", { file: path, reason: messageOf(error) });
    }
  }
}

/** A record from disk; undefined when there is none. Throws with a message for people when it cannot be used. */
export function readTrafficFile(path: string): Traffic | undefined {
  let stats: ReturnType<typeof statSync>;
  try {
    stats = statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  // A pipe would keep us waiting.
  if (!stats.isFile()) throw new Error("Not a file");
  if (stats.size > FILE_BYTES_MAX) throw new Error(`${stats.size} bytes, which no record of traffic has`);
  return parseTraffic(readFileSync(path, "utf8"));
}

/** A large record in pieces, so that the broker goes on between them. */
function* pages(record: TrafficRecord): Generator<string> {
  let lines: string[] = [];
  for (const line of record.lines()) {
    lines.push(`${JSON.stringify(line)}\n`);
    if (lines.length < LINES_AT_ONCE) continue;
    yield lines.join("");
    lines = [];
  }
  yield lines.join("");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
