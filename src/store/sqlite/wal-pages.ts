import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { PAGE_BYTES } from "./schema.ts";

/** Little endian checksums, which every machine writes that Node.js runs on here. */
const WAL_MAGIC = 0x377f0682;
const WAL_VERSION = 3007000;
const WAL_HEAD_BYTES = 32;
const FRAME_HEAD_BYTES = 24;
const FRAME_BYTES = FRAME_HEAD_BYTES + PAGE_BYTES;

/** The wal-index, -shm: two copies of a header, then how much was copied back into the database. */
const INDEX_HEAD_BYTES = 48;
const INDEX_BYTES = 2 * INDEX_HEAD_BYTES + 4;

/** What the write-ahead log beside a database says. */
export interface WalState {
  /** Frames up to the last whole transaction: what SQLite applies when it opens the database. */
  frames: number;
  /** Frames that were committed, as the -shm file remembers; as `frames` when it knows nothing. Larger: the log was cut. */
  committedFrames: number;
  /** Frames that had been copied into the database. Above `frames`, what is left of the log is older than the database. */
  copiedFrames: number;
}

/** The newest committed version of each page in the log. */
export class WalPages {
  /** Of the database, in pages, after the last transaction. */
  readonly pageCount: number;
  private readonly descriptor: number;
  private readonly places: ReadonlyMap<number, number>;

  constructor(descriptor: number, places: ReadonlyMap<number, number>, pageCount: number) {
    this.descriptor = descriptor;
    this.places = places;
    this.pageCount = pageCount;
  }

  has(page: number): boolean {
    return this.places.has(page);
  }

  read(page: number, into: Uint8Array): boolean {
    try {
      return readSync(this.descriptor, into, 0, PAGE_BYTES, this.places.get(page)!) === PAGE_BYTES;
    } catch {
      return false;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/**
 * The pages of `path`-wal up to its last whole transaction, by the rules of SQLite's recovery: salts as in the head,
 * checksums that continue each other. A torn end was never acknowledged and is not used. Nor is the whole log when
 * the database is known to be newer than what is left of it: laying old pages over new ones would bring back the dead.
 * Undefined when there is nothing to be used.
 */
export function readWal(path: string): WalPages | undefined {
  const scan = scanWal(path);
  if (scan === undefined) return undefined;
  const { frames, places, pageCount, descriptor } = scan;
  if (frames > 0 && copiedFrames(path, scan) <= frames) return new WalPages(descriptor, places, pageCount);
  closeSync(descriptor);
  return undefined;
}

/** Undefined when there is no log. To be asked before SQLite opens the database, which makes a new -shm file. */
export function walState(path: string): WalState | undefined {
  const scan = scanWal(path);
  if (scan === undefined) return undefined;
  closeSync(scan.descriptor);
  const index = readIndex(path, scan.salts);
  return {
    frames: scan.frames,
    committedFrames: Math.max(index?.committedFrames ?? 0, scan.frames),
    copiedFrames: index?.copiedFrames ?? 0,
  };
}

interface WalScan {
  descriptor: number;
  salts: Uint8Array;
  frames: number;
  pageCount: number;
  places: Map<number, number>;
}

function scanWal(path: string): WalScan | undefined {
  const walPath = `${path}-wal`;
  let descriptor: number;
  try {
    // Opening a pipe would wait.
    if (!statSync(walPath).isFile()) return undefined;
    descriptor = openSync(walPath, "r");
  } catch {
    return undefined;
  }
  const scan = { descriptor, salts: new Uint8Array(8), frames: 0, pageCount: 0, places: new Map<number, number>() };
  try {
    scanFrames(scan);
  } catch {
    // A bad block: what was found before it stands.
  }
  if (scan.frames > 0) return scan;
  closeSync(descriptor);
  return undefined;
}

function scanFrames(scan: WalScan): void {
  const { descriptor, salts } = scan;
  const head = Buffer.alloc(WAL_HEAD_BYTES);
  if (readSync(descriptor, head, 0, WAL_HEAD_BYTES, 0) < WAL_HEAD_BYTES) return;
  const sum = new WalChecksum();
  sum.add(new Uint32Array(head.buffer, head.byteOffset, 6), 0, 6);
  const isOurs =
    head.readUInt32BE(0) === WAL_MAGIC && head.readUInt32BE(4) === WAL_VERSION && head.readUInt32BE(8) === PAGE_BYTES;
  if (!isOurs || !sum.is(head, 24)) return;
  salts.set(head.subarray(16, 24));

  const frame = Buffer.from(new ArrayBuffer(FRAME_BYTES));
  const words = new Uint32Array(frame.buffer);
  /** Of the transaction that has not ended yet. */
  const open = new Map<number, number>();
  for (let index = 0; ; index++) {
    const place = WAL_HEAD_BYTES + index * FRAME_BYTES;
    if (readSync(descriptor, frame, 0, FRAME_BYTES, place) < FRAME_BYTES) return;
    if (Buffer.compare(frame.subarray(8, 16), salts) !== 0) return;
    sum.add(words, 0, 2);
    sum.add(words, FRAME_HEAD_BYTES / 4, FRAME_BYTES / 4);
    if (!sum.is(frame, 16)) return;
    open.set(frame.readUInt32BE(0), place + FRAME_HEAD_BYTES);
    const pageCountAfter = frame.readUInt32BE(4);
    if (pageCountAfter === 0) continue;
    for (const [page, at] of open) scan.places.set(page, at);
    open.clear();
    scan.frames = index + 1;
    scan.pageCount = pageCountAfter;
  }
}

/** The running checksum of a log, see "Checksum Algorithm" in SQLite's file format. */
class WalChecksum {
  private first = 0;
  private second = 0;

  /** Words `start` to `end`, an even number of them. */
  add(words: Uint32Array, start: number, end: number): void {
    let { first, second } = this;
    for (let at = start; at < end; at += 2) {
      first = (first + words[at]! + second) | 0;
      second = (second + words[at + 1]! + first) | 0;
    }
    this.first = first;
    this.second = second;
  }

  is(bytes: Buffer, at: number): boolean {
    return bytes.readInt32BE(at) === this.first && bytes.readInt32BE(at + 4) === this.second;
  }
}

interface WalIndex {
  committedFrames: number;
  copiedFrames: number;
}

function copiedFrames(path: string, scan: WalScan): number {
  return readIndex(path, scan.salts)?.copiedFrames ?? 0;
}

/**
 * What -shm remembers of this very log. The system writes that file back when it likes, so it may be behind after the
 * loss of power, but it is never ahead: SQLite changes it after the log is on disk. So it proves what it says.
 */
function readIndex(path: string, salts: Uint8Array): WalIndex | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(`${path}-shm`).subarray(0, INDEX_BYTES);
  } catch {
    return undefined;
  }
  if (bytes.length < INDEX_BYTES) return undefined;
  const head = bytes.subarray(0, INDEX_HEAD_BYTES);
  if (Buffer.compare(head, bytes.subarray(INDEX_HEAD_BYTES, 2 * INDEX_HEAD_BYTES)) !== 0) return undefined;
  if (Buffer.compare(head.subarray(32, 40), salts) !== 0) return undefined;
  const sum = new WalChecksum();
  sum.add(new Uint32Array(new Uint8Array(head).buffer), 0, 10);
  // Unlike the log, this file has them in the machine's own order.
  if (!sum.is(Buffer.from(head.subarray(40, 48)).swap32(), 0)) return undefined;
  return { committedFrames: head.readUInt32LE(16), copiedFrames: bytes.readUInt32LE(2 * INDEX_HEAD_BYTES) };
}
