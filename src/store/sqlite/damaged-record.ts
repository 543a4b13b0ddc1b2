import { crc32 } from "node:zlib";
import { STORE_TABLES, type StoreTable } from "../../core/store.ts";
import type { DamagedFile } from "./damaged-file.ts";
import { type LeafPage, Varint } from "./damaged-page.ts";
import { PutHead } from "./put-head.ts";
import { PAGE_BYTES } from "./schema.ts";

/** The fixed sizes of SQLite's integers, by serial type. */
const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8, 0, 0, 0] as const;

/** Reads one record after the other out of leaf pages, and proves it by its checksum. */
export class DamagedRecord {
  name: Uint8Array = new Uint8Array();
  value: Uint8Array = new Uint8Array();
  crc = 0;
  private key = 0;
  private nameAndValue: Uint8Array = this.name;
  private readonly file: DamagedFile;
  private readonly varint = new Varint();
  private readonly overflow = Buffer.alloc(PAGE_BYTES);
  private readonly head = new PutHead();

  constructor(file: DamagedFile) {
    this.file = file;
  }

  /**
   * Takes the record of the leaf's present cell apart. Its fields are views, until the next one is read. False when it
   * has not the columns of ours: then `name` is empty.
   */
  read(leaf: LeafPage): boolean {
    const { bytes, payloadStart, payloadBytes } = leaf;
    const { varint } = this;
    this.name = this.value = this.nameAndValue = bytes.subarray(0, 0);
    this.key = leaf.key;
    const headBytes = varint.read(bytes, payloadStart);
    const keyType = varint.read(bytes, varint.end);
    const nameBytes = blobBytes(varint.read(bytes, varint.end));
    const valueBytes = blobBytes(varint.read(bytes, varint.end));
    const crcType = varint.read(bytes, varint.end);
    const crcBytes = INTEGER_BYTES[crcType] ?? Number.NaN;
    // The key stands in the cell; its column is NULL.
    if (keyType !== 0 || varint.end !== payloadStart + headBytes || nameBytes > 0xffff) return false;
    if (headBytes + nameBytes + valueBytes + crcBytes !== payloadBytes) return false;
    const payload = this.payloadOf(leaf);
    if (payload === undefined) return false;
    const valueStart = headBytes + nameBytes;
    const valueEnd = valueStart + valueBytes;
    this.name = payload.subarray(headBytes, valueStart);
    this.value = payload.subarray(valueStart, valueEnd);
    this.nameAndValue = payload.subarray(headBytes, valueEnd);
    if (crcType === 8 || crcType === 9) this.crc = crcType - 8;
    else this.crc = crcBytes >= 1 && crcBytes <= 6 ? payload.readIntBE(valueEnd, crcBytes) : -1;
    return true;
  }

  /** Whether the record that was read is one of this table, whole. */
  isOf(table: number): boolean {
    const head = this.head.checksum(table, this.key, this.name.length, this.value.length);
    return crc32(this.nameAndValue, head) === this.crc;
  }

  /** The table that it is proved to be of, `guess` first; -1 when it is of none. */
  tableOf(guess: number): number {
    if (guess >= 0 && this.isOf(guess)) return guess;
    return STORE_TABLES.findIndex((_, table) => table !== guess && this.isOf(table));
  }

  /** What is in the page, together with what is on overflow pages. Undefined when one of these cannot be read. */
  private payloadOf(leaf: LeafPage): Buffer | undefined {
    const { bytes, payloadStart, payloadBytes, localBytes } = leaf;
    const local = bytes.subarray(payloadStart, payloadStart + localBytes);
    if (localBytes === payloadBytes) return local;
    if (payloadBytes > this.file.pageCount * PAGE_BYTES) return undefined;
    const payload = Buffer.alloc(payloadBytes);
    payload.set(local);
    let page = leaf.overflowPage;
    for (let at = localBytes; at < payloadBytes; ) {
      if (!this.file.read(page, this.overflow)) return undefined;
      const part = this.overflow.subarray(4, 4 + Math.min(PAGE_BYTES - 4, payloadBytes - at));
      payload.set(part, at);
      at += part.length;
      page = this.overflow.readUInt32BE(0);
    }
    return payload;
  }
}

/** NaN when it is no blob. */
function blobBytes(serialType: number): number {
  return serialType >= 12 && serialType % 2 === 0 ? (serialType - 12) / 2 : Number.NaN;
}

/**
 * The root pages of our tables as the schema on page 1 has them; none when it cannot be read. It has no checksum:
 * whoever uses it asks for other evidence too.
 */
export function schemaRoots(leaf: LeafPage): Map<StoreTable, number> {
  const roots = new Map<StoreTable, number>();
  const varint = new Varint();
  for (let index = 0; index < leaf.cellCount; index++) {
    if (!leaf.cell(index)) continue;
    const { bytes, payloadStart } = leaf;
    const headEnd = payloadStart + varint.read(bytes, payloadStart);
    const types: number[] = [];
    while (varint.end < headEnd && types.length < 5) types.push(varint.read(bytes, varint.end));
    const [type, name, ownTable, root] = types;
    if (root === undefined) continue;
    const nameStart = headEnd + textBytes(type!);
    const rootStart = nameStart + textBytes(name!) + textBytes(ownTable!);
    const rootBytes = INTEGER_BYTES[root] ?? 0;
    if (!(rootBytes >= 1 && rootBytes <= 4 && rootStart + rootBytes <= PAGE_BYTES)) continue;
    const table = bytes.toString("latin1", nameStart, nameStart + textBytes(name!)) as StoreTable;
    if (STORE_TABLES.includes(table)) roots.set(table, bytes.readIntBE(rootStart, rootBytes));
  }
  return roots;
}

function textBytes(serialType: number): number {
  return serialType >= 13 && serialType % 2 === 1 ? (serialType - 13) / 2 : Number.NaN;
}
