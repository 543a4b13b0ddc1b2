import { closeSync, openSync, readSync, statSync } from "node:fs";
import { PAGE_BYTES } from "./schema.ts";
import { readWal, type WalPages } from "./wal-pages.ts";

const CUT_FACTOR_MAX = 16;
const CUT_PAGES_MAX = 1024;

/**
 * A database file as numbered pages, with the committed pages of the WAL beside it laid over. Reads only, by plain
 * file reads, since SQLite itself would refuse some damages, and would write beside the file for others.
 */
export class DamagedFile {
  /** Pages are numbered from 1. Some may not be readable. */
  readonly pageCount: number;
  private readonly descriptor: number;
  private readonly wal: WalPages | undefined;

  /** Throws the system's error when there is no file to be read, or a folder in its place. */
  constructor(path: string) {
    // Asked before it is opened: opening a pipe waits for somebody to write.
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error(`${path} is not a file`);
    this.descriptor = openSync(path, "r");
    try {
      this.wal = readWal(path);
      this.pageCount = this.wal?.pageCount ?? this.count(Math.floor(stat.size / PAGE_BYTES));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Reads a page to the start of `into`; false, with `into` undefined, when it is not there or the disk fails. */
  read(page: number, into: Uint8Array): boolean {
    if (!(page >= 1 && page <= this.pageCount)) return false;
    // Where the log's page cannot be read, the file's is an old one.
    return this.wal?.has(page) ? this.wal.read(page, into) : this.readFile(page, into);
  }

  private readFile(page: number, into: Uint8Array): boolean {
    try {
      return readSync(this.descriptor, into, 0, PAGE_BYTES, (page - 1) * PAGE_BYTES) === PAGE_BYTES;
    } catch {
      // A bad block of the medium: the other pages are still worth the trouble.
      return false;
    }
  }

  /**
   * The header's count is larger than the file when its end was cut off: pages that are left name pages that are not.
   * A flipped bit there must not cost memory for pages that never were.
   */
  private count(pagesInFile: number): number {
    const head = Buffer.alloc(PAGE_BYTES);
    const stated = this.readFile(1, head) && isHead(head) ? head.readUInt32BE(28) : 0;
    return stated <= CUT_FACTOR_MAX * pagesInFile + CUT_PAGES_MAX ? Math.max(stated, pagesInFile) : pagesInFile;
  }

  close(): void {
    this.wal?.close();
    closeSync(this.descriptor);
  }
}

/** Whether page 1 begins as that of any SQLite file. */
export function isHead(bytes: Buffer): boolean {
  return bytes.toString("latin1", 0, 16) === "SQLite format 3\0";
}
