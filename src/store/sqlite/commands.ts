import type { StoreLoss } from "../../core/store.ts";
import { repairStore } from "./offline.ts";
import { restoreStore } from "./restore.ts";
import { Snapshot } from "./snapshot.ts";
import { compactStore, figuresOf, verifyStore } from "./tools.ts";

/** What `mqtt-broker store` does with the file of a folder. */
export const storeTools = {
  openSnapshot: (path: string, onLost: (loss: StoreLoss) => void): Snapshot => new Snapshot(path, onLost),
  figuresOf,
  verify: verifyStore,
  repair: repairStore,
  compact: compactStore,
  restore: restoreStore,
};
