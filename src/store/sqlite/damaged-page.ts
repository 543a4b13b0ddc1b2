import { PAGE_BYTES } from "./schema.ts";

/**
 * Pages of a table's b-tree as SQLite's file format has them ("B-tree Pages"), read with the mistrust that a damaged
 * file deserves: no byte is believed before it was checked, and nothing here throws, whatever the bytes are.
 */
export const LEAF_PAGE = 0x0d;
export const INTERIOR_PAGE = 0x05;

const LEAF_HEAD_BYTES = 8;
const INTERIOR_HEAD_BYTES = 12;
/** Page 1 begins with the head of the file. */
export const FILE_HEAD_BYTES = 100;

/** Of a payload, what a leaf keeps at most, and at least when the rest is on overflow pages. */
const LOCAL_BYTES_MAX = PAGE_BYTES - 35;
const LOCAL_BYTES_MIN = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23;
const OVERFLOW_BYTES = PAGE_BYTES - 4;

/** A variable-length integer. Of nine bytes are only those that no key or length of ours has: they read as NaN. */
export class Varint {
  value = 0;
  end = 0;

  read(bytes: Uint8Array, start: number): number {
    let value = 0;
    for (let at = start; at < start + 8; at++) {
      const byte = bytes[at];
      if (byte === undefined) break;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) {
        this.end = at + 1;
        this.value = value;
        return value;
      }
    }
    this.end = start;
    this.value = Number.NaN;
    return Number.NaN;
  }
}

/** What all kinds of pages begin with, and where their cells may be. */
class PageFrame {
  /** Places of the cells, in the order of their keys. */
  readonly cells: number[] = [];
  private contentStart = 0;
  /** Start and end of each free block, in turn. */
  private readonly freeBlocks: number[] = [];
  private freeBytes = 0;
  private isSound = false;

  load(bytes: Buffer, head: number, headBytes: number): void {
    const { cells, freeBlocks } = this;
    cells.length = 0;
    freeBlocks.length = 0;
    const count = bytes.readUInt16BE(head + 3);
    this.contentStart = bytes.readUInt16BE(head + 5) || 65536;
    const pointersEnd = head + headBytes + 2 * count;
    this.isSound = pointersEnd <= this.contentStart && this.contentStart <= PAGE_BYTES;
    for (let at = head + headBytes; at < pointersEnd && at + 2 <= PAGE_BYTES; at += 2)
      cells.push(bytes.readUInt16BE(at));
    this.freeBytes = bytes[head + 7]!;
    let least = this.contentStart;
    for (let block = bytes.readUInt16BE(head + 1); block !== 0; block = bytes.readUInt16BE(block)) {
      const size = block + 4 <= PAGE_BYTES ? bytes.readUInt16BE(block + 2) : 0;
      if (block < least || size < 4 || block + size > PAGE_BYTES) {
        this.isSound = false;
        return;
      }
      freeBlocks.push(block, block + size);
      this.freeBytes += size;
      least = block + size;
    }
  }

  /** Whether a cell may be there. What lies in free space may still look like a record: it is one that was deleted. */
  holds(start: number, end: number): boolean {
    if (start < this.contentStart || end > PAGE_BYTES) return false;
    for (let at = 0; at < this.freeBlocks.length; at += 2) {
      if (start < this.freeBlocks[at + 1]! && end > this.freeBlocks[at]!) return false;
    }
    return true;
  }

  /** Cells and free space fill a page exactly; `cellBytes` in all cells. */
  isWhole(cellBytes: number): boolean {
    return this.isSound && this.contentStart + cellBytes + this.freeBytes === PAGE_BYTES;
  }
}

/** Children of an interior page, in the order of their keys. */
export interface Interior {
  children: readonly number[];
  /** Of each child but the last: no key below it is larger. */
  keys: readonly number[];
  /** Nothing in it contradicts itself, so that it can be believed that these are all. */
  isWhole: boolean;
}

/** Undefined when this is no interior page, or nothing of one. */
export function readInterior(bytes: Buffer): Interior | undefined {
  if (bytes[0] !== INTERIOR_PAGE) return undefined;
  const frame = new PageFrame();
  frame.load(bytes, 0, INTERIOR_HEAD_BYTES);
  const children: number[] = [];
  const keys: number[] = [];
  const varint = new Varint();
  let isOrdered = true;
  let cellBytes = 0;
  let previous = -1;
  for (const start of frame.cells) {
    const key = varint.read(bytes, start + 4);
    if (Number.isNaN(key) || !frame.holds(start, varint.end)) {
      isOrdered = false;
      continue;
    }
    children.push(bytes.readUInt32BE(start));
    keys.push(key);
    cellBytes += varint.end - start;
    isOrdered &&= key > previous;
    previous = key;
  }
  children.push(bytes.readUInt32BE(8));
  const isEachOnce = new Set(children).size === children.length;
  return { children, keys, isWhole: isOrdered && isEachOnce && frame.isWhole(cellBytes) };
}

/** The cells of a leaf, one at a time. */
export class LeafPage {
  readonly bytes: Buffer = Buffer.alloc(PAGE_BYTES);
  /** Nothing in it contradicts itself; each record still has to prove itself. */
  isWhole = false;

  /** Of the cell that `cell` found. */
  key = 0;
  payloadBytes = 0;
  payloadStart = 0;
  /** Of the payload, how much is in this page. */
  localBytes = 0;
  /** Where the rest is; 0 when there is none. */
  overflowPage = 0;
  private cellEnd = 0;

  private readonly frame = new PageFrame();
  private readonly varint = new Varint();

  /** Takes what is in `bytes`; `head` is FILE_HEAD_BYTES on page 1, else 0. False when it is no leaf. */
  load(head = 0): boolean {
    if (this.bytes[head] !== LEAF_PAGE) return false;
    this.frame.load(this.bytes, head, LEAF_HEAD_BYTES);
    let cellBytes = 0;
    let previous = Number.NEGATIVE_INFINITY;
    let isOrdered = true;
    for (let index = 0; index < this.cellCount; index++) {
      isOrdered = this.cell(index) && this.key > previous && isOrdered;
      previous = this.key;
      cellBytes += this.cellEnd - this.frame.cells[index]!;
    }
    this.isWhole = isOrdered && this.frame.isWhole(cellBytes);
    return true;
  }

  get cellCount(): number {
    return this.frame.cells.length;
  }

  /** Goes to a cell, 0 to cellCount - 1. False when there cannot be one: its fields are then worth nothing. */
  cell(index: number): boolean {
    const { bytes, varint } = this;
    const start = this.frame.cells[index]!;
    this.payloadBytes = varint.read(bytes, start);
    this.key = varint.read(bytes, varint.end);
    this.payloadStart = varint.end;
    if (Number.isNaN(this.payloadBytes) || !Number.isSafeInteger(this.key)) return false;
    this.localBytes = localBytesOf(this.payloadBytes);
    const localEnd = this.payloadStart + this.localBytes;
    const hasOverflow = this.localBytes < this.payloadBytes;
    this.cellEnd = Math.max(hasOverflow ? localEnd + 4 : localEnd, start + 4);
    if (!this.frame.holds(start, this.cellEnd)) return false;
    this.overflowPage = hasOverflow ? bytes.readUInt32BE(localEnd) : 0;
    return true;
  }
}

/** "Cell Payload Overflow Pages": what stays in the leaf is chosen so that the last overflow page is full. */
function localBytesOf(payloadBytes: number): number {
  if (payloadBytes <= LOCAL_BYTES_MAX) return payloadBytes;
  const filling = LOCAL_BYTES_MIN + ((payloadBytes - LOCAL_BYTES_MIN) % OVERFLOW_BYTES);
  return filling <= LOCAL_BYTES_MAX ? filling : LOCAL_BYTES_MIN;
}
