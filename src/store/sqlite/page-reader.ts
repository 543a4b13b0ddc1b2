import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { BATCH_HEAD_BYTES, BatchOp } from "../../core/batch.ts";
import { STORE_KEY_MAX, STORE_TABLES, type StoreLoss, type Table } from "../../core/store.ts";

const ROWS_MIN = 16;
const ROWS_MAX = 1_024;
const NAME_BYTES_MAX = 0xffff;
const NAME_TOLD_BYTES_MAX = 1_024;
/** In the place of a checksum: none would be right, and none is asked for. */
const NO_CHECKSUM = -1;
const UNCHECKED = -2;
const NOTHING = new Uint8Array(0);

type Row = [key: number, nameBytes: number, valueBytes: number, checksum: number | null];

/** Rows, and the names and values of all of them as one piece. */
interface Chunk {
  rows: Row[];
  content: Uint8Array;
}

interface TableStatements {
  /** first, last, most rows */
  rows: StatementSync;
  /** first, last */
  content: StatementSync;
  /** bytes of a value, first, last */
  cutContent: StatementSync;
  /** keys as JSON */
  rowsOfKeys: StatementSync;
  contentOfKeys: StatementSync;
  /** key */
  one: StatementSync;
}

/**
 * Reads records as pages of puts. What costs is the crossing of values from SQLite to JavaScript, not SQLite: so a query
 * fetches the numbers of many rows, and a second one their names and values in one piece.
 * Whoever calls it holds a transaction, or the two might see different rows.
 */
export class PageReader {
  /** Keys of the last page whose checksum does not match: to be deleted, so that each is told once. */
  readonly damaged: number[] = [];
  private readonly tables: readonly TableStatements[];
  private readonly onLost: (loss: StoreLoss) => void;

  constructor(database: DatabaseSync, onLost: (loss: StoreLoss) => void) {
    this.onLost = onLost;
    this.tables = STORE_TABLES.map((table) => prepare(database, table));
  }

  /** As Store.read. Throws what SQLite throws. */
  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax = Number.POSITIVE_INFINITY) {
    const { rows: query, content, cutContent } = this.tables[table]!;
    const isCut = Number.isFinite(valueBytesMax);
    const lastKey = Math.min(last, STORE_KEY_MAX);
    const rowsMax = Math.min(ROWS_MAX, Math.max(ROWS_MIN, Math.ceil(bytesMax / 128)));
    const chunks: Chunk[] = [];
    let size = 0;
    for (let from = Math.max(first, 0); from <= lastKey; ) {
      const rows = rowsOf(query.all(from, lastKey, rowsMax), valueBytesMax);
      const found = rows.length;
      size = fit(rows, size, bytesMax);
      if (rows.length > 0) {
        const range = [rows[0]![0], rows.at(-1)![0]] as const;
        const joined = isCut ? cutContent.get(valueBytesMax, ...range) : content.get(...range);
        chunks.push(this.chunk(table, rows, joined));
      }
      if (rows.length < found || found < rowsMax) break;
      from = rows.at(-1)![0] + 1;
    }
    return this.pack(table, chunks);
  }

  /** As Store.readKeys. */
  readKeys(table: Table, keys: readonly number[]): Uint8Array<ArrayBuffer> {
    const { rowsOfKeys, contentOfKeys } = this.tables[table]!;
    const sorted = Float64Array.from(new Set(keys)).sort();
    const chunks: Chunk[] = [];
    for (let from = 0; from < sorted.length; from += ROWS_MAX) {
      const list = `[${sorted.subarray(from, from + ROWS_MAX).join()}]`;
      const rows = rowsOf(rowsOfKeys.all(list), Number.POSITIVE_INFINITY);
      if (rows.length > 0) chunks.push(this.chunk(table, rows, contentOfKeys.get(list)));
    }
    return this.pack(table, chunks);
  }

  /** Where a damaged row has made the piece longer or shorter than the lengths say, each row is fetched by itself. */
  private chunk(table: Table, rows: Row[], joined: unknown): Chunk {
    const content = (joined as [Uint8Array | null])[0] ?? NOTHING;
    if (content.length === contentBytes(rows)) return { rows, content };
    const pieces: Uint8Array[] = [];
    for (const row of rows) {
      const found = this.tables[table]!.one.get(row[0]) as unknown as [Uint8Array, Uint8Array] | undefined;
      const [name, value] = found ?? [NOTHING, NOTHING];
      pieces.push(name, value.subarray(0, row[2]));
      if (name.length === row[1] && value.length >= row[2]) continue;
      row[1] = name.length;
      row[2] = Math.min(value.length, row[2]);
      row[3] = NO_CHECKSUM;
    }
    return { rows, content: Buffer.concat(pieces) };
  }

  private pack(table: Table, chunks: readonly Chunk[]): Uint8Array<ArrayBuffer> {
    this.damaged.length = 0;
    const size = chunks.reduce((sum, { rows, content }) => sum + rows.length * BATCH_HEAD_BYTES + content.length, 0);
    const page = new Uint8Array(size);
    const view = new DataView(page.buffer);
    let at = 0;
    for (const { rows, content } of chunks) {
      let start = 0;
      for (const [key, nameBytes, valueBytes, checksum] of rows) {
        const end = start + nameBytes + valueBytes;
        const next = at + BATCH_HEAD_BYTES + end - start;
        page[at] = BatchOp.Put;
        page[at + 1] = table;
        view.setUint16(at + 2, nameBytes, true);
        view.setUint32(at + 4, valueBytes, true);
        view.setFloat64(at + 8, key, true);
        page.set(content.subarray(start, end), at + BATCH_HEAD_BYTES);
        const isRight = checksum === UNCHECKED || crc32(page.subarray(at, next)) === checksum;
        if (isRight && nameBytes <= NAME_BYTES_MAX) at = next;
        else this.lose(table, key, content.subarray(start, start + nameBytes));
        start = end;
      }
    }
    return at === size ? page : page.slice(0, at);
  }

  private lose(table: Table, key: number, name: Uint8Array): void {
    this.damaged.push(key);
    const text = new TextDecoder().decode(name.subarray(0, NAME_TOLD_BYTES_MAX));
    this.onLost({ table: STORE_TABLES[table], key, name: text, reason: "Checksum does not match" });
  }
}

function prepare(database: DatabaseSync, table: string): TableStatements {
  const query = (text: string) => {
    const statement = database.prepare(text);
    statement.setReturnArrays(true);
    return statement;
  };
  const range = `FROM ${table} WHERE key BETWEEN ? AND ? ORDER BY key`;
  const keys = `FROM ${table} WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key`;
  // A damaged checksum may be beyond what JavaScript's numbers hold, and would throw.
  const numbers = "key, octet_length(name), octet_length(value), crc & 0xffffffff";
  const joined = (source: string) => query(`SELECT CAST(group_concat(record, '') AS BLOB) FROM (SELECT ${source})`);
  return {
    rows: query(`SELECT ${numbers} ${range} LIMIT ?`),
    content: joined(`name || value AS record ${range}`),
    cutContent: joined(`name || ifnull(substr(CAST(value AS BLOB), 1, ?), x'') AS record ${range}`),
    rowsOfKeys: query(`SELECT ${numbers} ${keys}`),
    contentOfKeys: joined(`name || value AS record ${keys}`),
    one: query(`SELECT CAST(ifnull(name, '') AS BLOB), CAST(ifnull(value, '') AS BLOB) FROM ${table} WHERE key = ?`),
  };
}

/** With the lengths as they will be in the page. A damaged row of which something is null joins as nothing. */
function rowsOf(found: unknown, valueBytesMax: number): Row[] {
  const rows = found as [number, number | null, number | null, number | null][];
  for (const row of rows) {
    if (row[1] === null || row[2] === null) {
      row[1] = 0;
      row[2] = 0;
      row[3] = NO_CHECKSUM;
    } else if (row[2] > valueBytesMax) {
      row[2] = valueBytesMax;
      row[3] = UNCHECKED;
    }
  }
  return rows as Row[];
}

function contentBytes(rows: readonly Row[]): number {
  let total = 0;
  for (const row of rows) total += row[1] + row[2];
  return total;
}

/** Drops the rows that do not fit, but for the first of the page; returns the size of the page with the others. */
function fit(rows: Row[], size: number, bytesMax: number): number {
  let total = size;
  for (let at = 0; at < rows.length; at++) {
    const next = total + BATCH_HEAD_BYTES + rows[at]![1] + rows[at]![2];
    if (next > bytesMax && total > 0) {
      rows.length = at;
      break;
    }
    total = next;
  }
  return total;
}
