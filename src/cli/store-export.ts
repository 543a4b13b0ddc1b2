import { STORE_TABLES, type StoreLoss, type Table } from "../core/store.ts";
import { LineError } from "./store-line.ts";
import { describeRecord, readRecord, type StoredRecord } from "./store-record.ts";

/** Of the lines; the README describes it. */
const EXPORT_FORMAT = 1;
const HEADER_TYPE = "mqtt-broker-store";

/** Lines are handed on in pieces of about so many characters. */
const PIECE_LENGTH = 64 * 1024;

/** Where records come from: a snapshot of a store. */
export interface RecordSource {
  records(table: Table): Iterable<Omit<StoredRecord, "table">>;
}

/** Writes all records as lines of JSON, a header first. Resolves with their number. */
export async function exportRecords(source: RecordSource, write: (text: string) => Promise<void>): Promise<number> {
  let piece = `${JSON.stringify({ type: HEADER_TYPE, format: EXPORT_FORMAT })}\n`;
  let count = 0;
  for (const [table] of STORE_TABLES.entries()) {
    for (const record of source.records(table as Table)) {
      piece += `${JSON.stringify(describeRecord({ table: table as Table, ...record }))}\n`;
      count++;
      if (piece.length < PIECE_LENGTH) continue;
      await write(piece);
      piece = "";
    }
  }
  await write(piece);
  return count;
}

/**
 * Reads what `exportRecords` wrote, line by line. Resolves with the number of records. Rejects with a LineError that
 * names the line when one cannot be taken; empty lines are passed over.
 */
export async function importRecords(
  lines: AsyncIterable<string>,
  put: (record: StoredRecord) => void,
): Promise<number> {
  let lineNumber = 0;
  let count = -1;
  for await (const line of lines) {
    lineNumber++;
    if (line.trim() === "") continue;
    try {
      if (count === -1) readHeader(parse(line));
      else put(readRecord(parse(line)));
    } catch (error) {
      throw error instanceof LineError ? new LineError(`Line ${lineNumber}: ${error.message}`) : error;
    }
    count++;
  }
  if (count === -1) throw new LineError("It is empty, and an export begins with a header");
  return count;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new LineError(`It is not JSON: ${(error as Error).message}`);
  }
}

function readHeader(header: unknown): void {
  const { type, format } = (header ?? {}) as { type?: unknown; format?: unknown };
  if (type !== HEADER_TYPE) throw new LineError(`An export begins with {"type":"${HEADER_TYPE}","format":1}`);
  if (format === EXPORT_FORMAT) return;
  throw new LineError(
    `Its format is ${JSON.stringify(format)}, and this version of mqtt-broker reads ${EXPORT_FORMAT}`,
  );
}

/** One line for a person: 'retained 17 "a/b": its checksum does not match'. */
export function describeLoss({ table, key, lastKey, name, reason }: StoreLoss): string {
  const keys =
    lastKey === undefined || lastKey === key
      ? `${key}`
      : `from ${key}${lastKey === Number.MAX_SAFE_INTEGER ? " on" : ` to ${lastKey}`}`;
  return `${table} ${keys}${name === "" ? "" : ` ${JSON.stringify(name)}`}: ${reason}`;
}
