import { pathToFileURL } from "node:url";
import { BATCH_HEAD_BYTES, Batch, BatchOp, BatchReader } from "../core/batch.ts";
import type { Log } from "../core/ports.ts";
import { STORE_TABLES, type Store, StoreInUse, Table } from "../core/store.ts";
import { MemoryStore } from "./memory.ts";
import { storeFromOperations } from "./operations.ts";

/**
 * What a module's function is given. A module that imported the package instead could get another copy than the one
 * that runs, and in the executable none, and its StoreInUse would not be known for what it is.
 */
export interface StoreTools {
  STORE_TABLES: typeof STORE_TABLES;
  Table: typeof Table;
  Batch: typeof Batch;
  BatchReader: typeof BatchReader;
  BatchOp: typeof BatchOp;
  BATCH_HEAD_BYTES: number;
  StoreInUse: typeof StoreInUse;
  MemoryStore: typeof MemoryStore;
  storeFromOperations: typeof storeFromOperations;
  /** The broker's folder for what it keeps, an absolute path. It may not be there yet. */
  dataDir: string;
  log: Log;
}

const METHODS = ["open", "commit", "read", "readKeys", "figures", "close"] as const;

/**
 * Loads a store of the user's own: an ES module on disk whose `store` export, or else its default export, is a Store, or
 * a function that makes one, perhaps later. Rejects with a message that names the file and what is wrong with it.
 */
export async function loadStore(path: string, { dataDir, log }: Pick<StoreTools, "dataDir" | "log">): Promise<Store> {
  let exported: unknown;
  try {
    const module = (await import(pathToFileURL(path).href)) as { store?: unknown; default?: unknown };
    exported = module.store ?? module.default;
    if (typeof exported === "function") exported = await exported({ ...TOOLS, dataDir, log });
  } catch (error) {
    throw new Error(`Cannot load the store ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof exported !== "object" || exported === null || Array.isArray(exported)) {
    const expected = `it must export "store" or a default, an object or a function that returns one`;
    throw new Error(`Cannot use the store ${path}: ${expected}`);
  }
  const store = exported as Record<string, unknown>;
  const missing = METHODS.filter((name) => typeof store[name] !== "function");
  if (missing.length > 0) throw new Error(`Cannot use the store ${path}: ${missing.join(", ")} must be a function`);
  // Set on the object itself: through a wrapper a class could not reach its private fields.
  if (store.kind === undefined && !Reflect.set(store, "kind", path)) {
    throw new Error(`Cannot use the store ${path}: it needs a "kind"`);
  }
  return exported as Store;
}

const TOOLS: Omit<StoreTools, "dataDir" | "log"> = {
  STORE_TABLES,
  Table,
  Batch,
  BatchReader,
  BatchOp,
  BATCH_HEAD_BYTES,
  StoreInUse,
  MemoryStore,
  storeFromOperations,
};
