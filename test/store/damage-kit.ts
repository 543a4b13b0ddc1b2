import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import { BATCH_HEAD_BYTES, Batch, BatchReader } from "../../src/core/batch.ts";
import { STORE_TABLES, type StoreLoss, type StoreTable, type Table } from "../../src/core/store.ts";
import { BatchWriter } from "../../src/store/sqlite/batch-writer.ts";
import { type SalvageReport, salvage } from "../../src/store/sqlite/salvage.ts";
import { createFile, openFile, PAGE_BYTES, STORE_FILE } from "../../src/store/sqlite/schema.ts";

/** What a file holds: "table key" to the text of a record's name and value. */
export type Contents = ReadonlyMap<string, string>;

/** A database file with the files beside it, as bytes. */
export interface Image {
  main: Buffer;
  wal?: Buffer;
  shm?: Buffer;
}

/** Numbers that are the same for the same seed, 0 <= n < 1. */
export function randomOf(seed: number): () => number {
  let state = seed * 2654435761;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A folder that is gone after the test. */
export function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-damage-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a file as the store does, and knows what is in it. */
export class Model {
  readonly path: string;
  readonly contents = new Map<string, string>();
  private readonly database: DatabaseSync;
  private readonly writer: BatchWriter;
  private batch = new Batch();

  constructor(folder: string) {
    this.path = join(folder, STORE_FILE);
    createFile(this.path);
    this.database = openFile(this.path);
    this.writer = new BatchWriter(this.database);
  }

  put(table: Table, key: number, name: string, value: Uint8Array): void {
    const nameBytes = Buffer.from(name);
    const at = this.batch.put(table, key, nameBytes.length, value.length) + BATCH_HEAD_BYTES;
    this.batch.bytes.set(nameBytes, at);
    this.batch.bytes.set(value, at + nameBytes.length);
    this.contents.set(`${STORE_TABLES[table]} ${key}`, textOf(nameBytes, value));
  }

  delete(table: Table, key: number): void {
    this.batch.delete(table, key);
    this.contents.delete(`${STORE_TABLES[table]} ${key}`);
  }

  commit(): void {
    this.database.exec("BEGIN");
    this.writer.apply(this.batch.bytes.subarray(0, this.batch.length));
    this.database.exec("COMMIT");
    this.batch = new Batch();
  }

  checkpoint(kind: "PASSIVE" | "TRUNCATE"): void {
    this.database.exec(`PRAGMA wal_checkpoint(${kind})`);
  }

  /** Gives free pages back to the system, as the store does while it is idle. */
  vacuum(): void {
    this.database.exec("PRAGMA incremental_vacuum");
  }

  /** The files as they lie there; a crash leaves them so. */
  image(): Image {
    return {
      main: readFileSync(this.path),
      wal: readFileSync(`${this.path}-wal`),
      shm: readFileSync(`${this.path}-shm`),
    };
  }

  close(): void {
    this.database.close();
  }
}

/**
 * A file of some thousand records in all tables that has lived: queues that were trimmed, retained messages that were
 * replaced and deleted, values on overflow pages, pages that were freed and hold old records still. All of it is in
 * the main file.
 */
export function livedFile(folder: string, seed: number, records = 3_000): { image: Image; contents: Contents } {
  const model = new Model(folder);
  const random = randomOf(seed);
  const value = (bytes: number, mark: string): Buffer => Buffer.alloc(bytes, `${mark} ${random()} `);
  const live = (mark: string, from: number, to: number): void => {
    for (let n = from; n < to; n++) {
      const block = (n % 4) * 2 ** 20 + Math.floor(n / 4);
      model.put(4, block, "", value(120 + Math.floor(random() * 160), `queue ${mark}`));
      if (n % 2 === 0)
        model.put(6, Math.floor(random() * records), `topic/${n}`, value(40 + (n % 200), `retained ${mark}`));
      if (n % 10 === 0) model.put(1, n, `client-${n}`, value(60, mark));
      if (n % 5 === 0) model.put(2, n, `client-${n}/filter`, value(30, mark));
      if (n % 9 === 0) model.put(3, n, "", value(4, mark));
      if (n % 40 === 0) model.put(5, n, "", value(200 + Math.floor(random() * 20_000), `message ${mark}`));
      if (n % 100 === 99) model.commit();
    }
    model.put(0, 0, "", value(24, mark));
    model.put(7, 0, "", value(80, mark));
    model.commit();
  };
  live("first", 0, records);
  model.checkpoint("TRUNCATE");
  // Most of it goes: queues from their low ends, retained messages by the hundred and anywhere.
  for (const at of [...model.contents.keys()]) {
    const [table, key] = at.split(" ") as [StoreTable, string];
    const isOld = table === "queue" && Number(key) % 2 ** 20 < records / 6;
    const isForgotten = table === "retained" && Number(key) < records / 2;
    if (isOld || isForgotten || random() < 0.3) model.delete(STORE_TABLES.indexOf(table) as Table, Number(key));
  }
  model.commit();
  live("second", records, records + records / 8);
  model.checkpoint("TRUNCATE");
  const image = model.image();
  model.close();
  return { image: { main: image.main }, contents: new Map(model.contents) };
}

export interface Salvaged {
  report: SalvageReport;
  contents: Contents;
  losses: StoreLoss[];
}

/** Salvages an image into a new file, and checks that the damaged one stays as it is. */
export function salvageImage(folder: string, image: Image): Salvaged {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "damaged.db");
  const sides = ["", "-wal", "-shm"].map((side) => `${path}${side}`);
  for (const side of sides) rmSync(side, { recursive: true, force: true });
  const parts = [image.main, image.wal, image.shm];
  parts.forEach((bytes, at) => {
    if (bytes !== undefined) writeFileSync(sides[at]!, bytes);
  });
  const salvaged = salvagePath(path);
  parts.forEach((bytes, at) => {
    if (bytes !== undefined && !readFileSync(sides[at]!).equals(bytes)) throw new Error(`${sides[at]} was changed`);
  });
  return salvaged;
}

export function salvagePath(path: string): Salvaged {
  const target = emptyTarget();
  const losses: StoreLoss[] = [];
  try {
    const report = salvage(path, target, (loss) => losses.push(loss));
    return { report, contents: contentsOf(target), losses };
  } finally {
    target.close();
  }
}

export function emptyTarget(): DatabaseSync {
  const target = new DatabaseSync(":memory:");
  for (const table of STORE_TABLES) {
    target.exec(
      `CREATE TABLE ${table} (key INTEGER PRIMARY KEY, name BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL)`,
    );
  }
  return target;
}

export function contentsOf(database: DatabaseSync): Contents {
  const contents = new Map<string, string>();
  for (const table of STORE_TABLES) {
    for (const row of database.prepare(`SELECT key, name, value FROM ${table}`).iterate()) {
      contents.set(`${table} ${row.key}`, textOf(row.name as Uint8Array, row.value as Uint8Array));
    }
  }
  return contents;
}

/** The records of a page that a store's `read` gave, as Contents. */
export function addPage(contents: Map<string, string>, page: Uint8Array): void {
  const reader = new BatchReader(page);
  while (reader.next()) contents.set(`${STORE_TABLES[reader.table]} ${reader.key}`, textOf(reader.name, reader.value));
}

function textOf(name: Uint8Array, value: Uint8Array): string {
  return `${Buffer.from(name).toString("latin1")}|${Buffer.from(value).toString("latin1")}`;
}

/** What came back and should not have: records that were not there, or not so. */
export function wrongRecords(found: Contents, truth: Contents): string[] {
  return [...found]
    .filter(([at, record]) => truth.get(at) !== record)
    .map(([at, record]) => `${at} ${record.slice(0, 60)}`);
}

/** Records that are gone though no loss names them. */
export function untold(found: Contents, truth: Contents, losses: readonly StoreLoss[]): string[] {
  return [...truth.keys()].filter((at) => {
    if (found.has(at)) return false;
    const [table, key] = at.split(" ") as [StoreTable, string];
    const covers = (loss: StoreLoss): boolean =>
      loss.table === table && loss.key <= Number(key) && Number(key) <= (loss.lastKey ?? loss.key);
    return !losses.some(covers);
  });
}

export function pagesOf({ main }: Image): number {
  return main.length / PAGE_BYTES;
}

/** The image with page `page` changed in place. */
export function withPage(image: Image, page: number, change: (bytes: Buffer) => void): Image {
  const main = Buffer.from(image.main);
  change(main.subarray((page - 1) * PAGE_BYTES, page * PAGE_BYTES));
  return { ...image, main };
}
