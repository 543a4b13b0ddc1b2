import type { SeededRandom } from "../hostile/random.ts";
import type { Timeline } from "./timeline.ts";

/** What is kept or lost together when the power goes. */
const SECTOR_BYTES = 512;

export type DiskError = "ENOSPC" | "EIO";
export type Done = (error: DiskError | undefined) => void;

/** `power`: what was not synced is lost, kept, torn or reordered. `kill`: only the process died. */
export type CrashKind = "power" | "kill";

/** How the disk is doing at present; a run changes it as it goes on. */
export interface DiskWeather {
  /** Writes and syncs take up to so many milliseconds. */
  writeMs: number;
  syncMs: number;
  /** Bytes that all files together may have. */
  capacity: number;
  /** Each sync fails with EIO; what it was to sync is then on the disk or not. */
  syncFails: boolean;
}

export function fairWeather(): DiskWeather {
  return { writeMs: 1, syncMs: 8, capacity: Number.POSITIVE_INFINITY, syncFails: false };
}

/** Where a crash may happen: before each call is made and before each completion is told. */
export interface CrashPoints {
  /** True when the process is dead, from before or as of now. */
  pass(point: string): boolean;
}

interface Write {
  at: number;
  bytes: Uint8Array;
}

/** One file: what everybody sees, what would survive, and the writes between the two. */
class VirtualFile {
  /** Page cache: what reads give. */
  seen = new Uint8Array(0);
  seenLength = 0;
  /** The medium. */
  kept = new Uint8Array(0);
  keptLength = 0;
  unsynced: Write[] = [];
}

/**
 * A disk in memory. Calls return at once and complete in virtual time, in the order of calling for each file. What a
 * process that crashed had asked for completes nowhere.
 */
export class VirtualDisk {
  weather = fairWeather();
  /** All that was written since the start. */
  writtenBytes = 0;
  syncs = 0;
  private files = new Map<string, VirtualFile>();
  private keptNames = new Map<string, VirtualFile>();
  private readonly timeline: Timeline;
  private readonly random: SeededRandom;
  private readonly crashPoints: CrashPoints;
  private busyUntilMs = 0;
  /** Completions of earlier processes are not told. */
  private process = 0;

  constructor(timeline: Timeline, random: SeededRandom, crashPoints: CrashPoints) {
    this.timeline = timeline;
    this.random = random;
    this.crashPoints = crashPoints;
  }

  /** All bytes of a file; undefined when there is none. */
  read(name: string): Uint8Array | undefined {
    const file = this.files.get(name);
    return file?.seen.subarray(0, file.seenLength);
  }

  /** Makes the file when there is none. */
  write(name: string, at: number, bytes: Uint8Array, done: Done): void {
    if (this.crashPoints.pass("disk.write")) return;
    const file = this.fileOf(name);
    const grows = Math.max(0, at + bytes.length - file.seenLength);
    if (grows > 0 && this.usedBytes() + grows > this.weather.capacity) {
      this.complete("disk.written", 0, () => done("ENOSPC"));
      return;
    }
    file.seen = grown(file.seen, at + bytes.length);
    file.seen.set(bytes, at);
    file.seenLength = Math.max(file.seenLength, at + bytes.length);
    file.unsynced.push({ at, bytes: bytes.slice() });
    this.writtenBytes += bytes.length;
    this.complete("disk.written", this.random.below(this.weather.writeMs + 1), () => done(undefined));
  }

  /** Everything that was written to the file before this call is on the medium when `done` is told so. */
  sync(name: string, done: Done): void {
    if (this.crashPoints.pass("disk.sync")) return;
    const file = this.fileOf(name);
    const covered = file.unsynced.length;
    this.syncs++;
    this.complete("disk.synced", this.random.below(this.weather.syncMs + 1), () => {
      if (this.weather.syncFails) {
        // As on Linux: the pages count as clean now, whether they arrived or not.
        this.settle(file, file.unsynced.splice(0, covered));
        done("EIO");
        return;
      }
      for (const write of file.unsynced.splice(0, covered)) put(file, write.at, write.bytes);
      done(undefined);
    });
  }

  /** Survives from the next `syncFolder` on; before it, a crash shows the old names or the new ones. */
  rename(from: string, to: string): void {
    if (this.crashPoints.pass("disk.rename")) return;
    const file = this.fileOf(from);
    this.files.delete(from);
    this.files.set(to, file);
  }

  syncFolder(done: Done): void {
    if (this.crashPoints.pass("disk.syncFolder")) return;
    const names = new Map(this.files);
    this.complete("disk.folderSynced", this.random.below(this.weather.syncMs + 1), () => {
      this.keptNames = names;
      done(undefined);
    });
  }

  /** The process is gone, and with `power` the page cache too. */
  crash(kind: CrashKind): void {
    this.process++;
    this.busyUntilMs = 0;
    if (kind === "kill") return;
    if (this.random.below(2) === 0) this.files = new Map(this.keptNames);
    else this.keptNames = new Map(this.files);
    for (const file of this.files.values()) {
      this.settle(file, file.unsynced.splice(0));
      file.seen = file.kept.slice(0, file.keptLength);
      file.seenLength = file.keptLength;
    }
  }

  private usedBytes(): number {
    let used = 0;
    for (const file of this.files.values()) used += file.seenLength;
    return used;
  }

  private fileOf(name: string): VirtualFile {
    let file = this.files.get(name);
    if (file === undefined) {
      file = new VirtualFile();
      this.files.set(name, file);
    }
    return file;
  }

  private complete(point: string, delayMs: number, then: () => void): void {
    const { process } = this;
    this.busyUntilMs = Math.max(this.busyUntilMs, this.timeline.nowMs) + delayMs;
    this.timeline.at(this.busyUntilMs, () => {
      if (process !== this.process || this.crashPoints.pass(point)) return;
      then();
    });
  }

  /** Writes that nobody waited for: each whole, gone, or in part; in any order; the length may come without the bytes. */
  private settle(file: VirtualFile, writes: readonly Write[]): void {
    const order = [...writes];
    for (let index = order.length - 1; index > 0; index--) {
      const other = this.random.below(index + 1);
      [order[index], order[other]] = [order[other]!, order[index]!];
    }
    for (const { at, bytes } of order) {
      const fate = this.random.below(4);
      if (fate === 0) put(file, at, bytes);
      else if (fate === 1) put(file, at + bytes.length, new Uint8Array(0));
      else if (fate === 2) this.tear(file, at, bytes);
    }
  }

  private tear(file: VirtualFile, at: number, bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; ) {
      const end = Math.min(bytes.length, start + SECTOR_BYTES - ((at + start) % SECTOR_BYTES));
      if (this.random.below(2) === 0) put(file, at + start, bytes.subarray(start, end));
      start = end;
    }
  }
}

function put(file: VirtualFile, at: number, bytes: Uint8Array): void {
  file.kept = grown(file.kept, at + bytes.length);
  file.kept.set(bytes, at);
  file.keptLength = Math.max(file.keptLength, at + bytes.length);
}

function grown(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (size <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(size, 2 * bytes.length));
  larger.set(bytes);
  return larger;
}
