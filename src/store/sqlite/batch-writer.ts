import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { BATCH_HEAD_BYTES, BatchOp, BatchReader } from "../../core/batch.ts";
import { STORE_TABLES } from "../../core/store.ts";

interface TableStatements {
  put: StatementSync;
  delete: StatementSync;
  deleteRange: StatementSync;
}

/** Writes batches into the tables. Whoever calls it holds the transaction. */
export class BatchWriter {
  /** What was applied since they were last set to 0: puts and deletes, and the bytes of names and values. */
  records = 0;
  bytes = 0;
  private readonly tables: readonly TableStatements[];

  constructor(database: DatabaseSync) {
    this.tables = STORE_TABLES.map((table) => ({
      put: database.prepare(`INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?, ?)`),
      delete: database.prepare(`DELETE FROM ${table} WHERE key = ?`),
      deleteRange: database.prepare(`DELETE FROM ${table} WHERE key BETWEEN ? AND ?`),
    }));
  }

  /** Throws RangeError for bytes that are no batch, and what SQLite throws. */
  apply(batch: Uint8Array): void {
    const reader = new BatchReader(batch);
    while (reader.next()) {
      const statements = this.tables[reader.table];
      if (statements === undefined) throw new RangeError(`Not a batch: there is no table ${reader.table}`);
      if (reader.op === BatchOp.Put) {
        const checksum = crc32(batch.subarray(reader.nameStart - BATCH_HEAD_BYTES, reader.valueEnd));
        statements.put.run(reader.key, reader.name, reader.value, checksum);
        this.bytes += reader.valueEnd - reader.nameStart;
      } else if (reader.op === BatchOp.Delete) statements.delete.run(reader.key);
      else if (reader.op === BatchOp.DeleteRange) statements.deleteRange.run(reader.key, reader.lastKey);
      else throw new RangeError(`Not a batch: there is no change of the kind ${reader.op}`);
      this.records++;
    }
  }

  delete(table: number, key: number): void {
    this.tables[table]!.delete.run(key);
  }
}
