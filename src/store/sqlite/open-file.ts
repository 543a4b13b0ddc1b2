import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BatchWriter } from "./batch-writer.ts";
import type { ReadKeysRequest, ReadRequest, Request } from "./messages.ts";
import { PageReader } from "./page-reader.ts";
import type { Witness } from "./store-file.ts";
import { Upkeep } from "./upkeep.ts";

/** What one transaction made durable. */
export interface Written {
  batches: number;
  /** Puts and deletes. */
  records: number;
  /** Of names and values that were put. */
  bytes: number;
}

/** The open file with all that works on it: each transaction does a run of requests, in their order. */
export class OpenFile {
  readonly upkeep: Upkeep;
  private readonly database: DatabaseSync;
  private readonly writer: BatchWriter;
  private readonly reader: PageReader;
  private readonly beginWriting: StatementSync;
  private readonly beginReading: StatementSync;
  private readonly commit: StatementSync;
  private isSpilling = true;

  constructor(database: DatabaseSync, path: string, witness: Witness) {
    this.database = database;
    this.writer = new BatchWriter(database);
    this.reader = new PageReader(database, witness.onLost);
    this.upkeep = new Upkeep(database, path, (message) => witness.onNote("warn", message));
    this.beginWriting = database.prepare("BEGIN IMMEDIATE");
    this.beginReading = database.prepare("BEGIN");
    this.commit = database.prepare("COMMIT");
  }

  /**
   * Writes and answers the first `count` of `requests`. What is answered becomes undefined there at once: should the
   * transaction fail, the answer stands, since the batches before it are still to come. Throws what SQLite throws, and
   * RangeError for bytes that are no batch; then `rollBack` is due.
   */
  transact(
    requests: (Request | undefined)[],
    count: number,
    answer: (id: number, page: Uint8Array<ArrayBuffer>) => void,
  ): Written {
    const { writer, reader } = this;
    let batches = 0;
    for (let at = 0; at < count; at++) if (requests[at] instanceof Uint8Array) batches++;
    writer.records = 0;
    writer.bytes = 0;
    (batches > 0 ? this.beginWriting : this.beginReading).run();
    const damaged: [table: number, key: number][] = [];
    for (let at = 0; at < count; at++) {
      const request = requests[at];
      if (request === undefined) continue;
      if (request instanceof Uint8Array) writer.apply(request);
      else {
        const page = this.read(request);
        for (const key of reader.damaged) {
          // Here and now, or a put that follows would be deleted. Where nothing follows it needs a transaction of its own.
          if (batches > 0) writer.delete(request.table, key);
          else damaged.push([request.table, key]);
        }
        requests[at] = undefined;
        answer(request.id, page);
      }
    }
    this.commit.run();
    for (const [table, key] of damaged) writer.delete(table, key);
    return { batches, records: writer.records, bytes: writer.bytes };
  }

  /** Throws what SQLite throws: then the file is to be closed, which rolls back too. */
  rollBack(): void {
    if (this.database.isTransaction) this.database.exec("ROLLBACK");
  }

  /**
   * Whether pages of a large transaction may go to the log before their commit. When nothing can be written they have to
   * stay in memory, so that reads can see the batches that wait before them.
   */
  setSpilling(isSpilling: boolean): void {
    if (this.isSpilling === isSpilling) return;
    this.database.exec(`PRAGMA cache_spill = ${isSpilling ? "ON" : "OFF"}`);
    this.isSpilling = isSpilling;
  }

  close(): void {
    this.database.close();
  }

  private read(request: ReadRequest | ReadKeysRequest): Uint8Array<ArrayBuffer> {
    if (request.kind === "readKeys") return this.reader.readKeys(request.table, request.keys);
    const { table, first, last, bytesMax, valueBytesMax } = request;
    return this.reader.read(table, first, last, bytesMax, valueBytesMax);
  }
}
