import type { Store, StoreEvents, StoreFigures, Table } from "../core/store.ts";
import type { SqliteStore, SqliteStoreOptions } from "./sqlite/store.ts";

const NO_FIGURES: StoreFigures = { commits: 0, records: 0, bytes: 0, diskBytes: 0 };

/**
 * The embedded store: an SQLite file in a folder, as the program uses it. It is loaded when it is opened, so that
 * programs which keep nothing also run where Node.js has no SQLite.
 */
export function sqliteStore(options: SqliteStoreOptions): Store {
  return new EmbeddedStore(options);
}

class EmbeddedStore implements Store {
  readonly kind = "sqlite";
  private readonly options: SqliteStoreOptions;
  private store: SqliteStore | undefined;

  constructor(options: SqliteStoreOptions) {
    this.options = options;
  }

  async open(events: StoreEvents): Promise<void> {
    const { SqliteStore } = await import("./sqlite/store.ts");
    this.store = new SqliteStore(this.options);
    await this.store.open(events);
  }

  commit(batch: Uint8Array): void {
    this.opened.commit(batch);
  }

  async read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return this.opened.read(table, first, last, bytesMax, valueBytesMax);
  }

  async readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.opened.readKeys(table, keys);
  }

  figures(): StoreFigures {
    return this.store?.figures() ?? NO_FIGURES;
  }

  async close(): Promise<void> {
    await this.store?.close();
  }

  private get opened(): SqliteStore {
    if (this.store === undefined) throw new Error("The store is not open");
    return this.store;
  }
}
