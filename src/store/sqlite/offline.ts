import { chownSync, existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StoreLoss } from "../../core/store.ts";
import { Refusal } from "./failure.ts";
import { checkFile } from "./file-check.ts";
import { FolderLock } from "./folder-lock.ts";
import { salvage } from "./salvage.ts";
import { STORE_FILE } from "./schema.ts";
import { StoreFile } from "./store-file.ts";

/** Work on a folder's store that no broker may use meanwhile: `action` holds the lock that brokers hold. */
export async function withoutBroker<T>(folder: string, action: (path: string) => T | Promise<T>): Promise<T> {
  const lock = new FolderLock(folder);
  try {
    return await action(join(folder, STORE_FILE));
  } finally {
    giveToOwner(folder);
    lock.release();
  }
}

/** Throws for people when the folder has no store. */
export function demandStore(folder: string): void {
  const path = join(folder, STORE_FILE);
  if (!existsSync(path)) throw new Refusal(`There is no store: ${path} does not exist`);
}

/**
 * Saves what can be read of the folder's store into a new file, whether damage is known or not. The old one is kept at
 * `movedTo`. Rejects with a message for people when a broker runs there, or there is nothing that we understand.
 */
export async function repairStore(
  folder: string,
  onLost: (loss: StoreLoss) => void,
): Promise<{ records: number; movedTo: string }> {
  demandStore(folder);
  return await withoutBroker(folder, (path) => {
    const state = checkFile(path);
    if (state.kind === "newer") {
      throw new Refusal(`${path} has format version ${state.version}, which a newer mqtt-broker has to repair`);
    }
    const result = { records: 0, movedTo: "" };
    const saving: typeof salvage = (from, target, tell) => {
      const report = salvage(from, target, tell);
      Object.assign(result, { records: report.records, movedTo: from });
      return report;
    };
    new StoreFile(folder, saving, { onLost, onNote: () => {} }).replace("a repair was asked for");
    return result;
  });
}

/** Where an administrator has worked, the broker that owns the folder must be able to write. */
function giveToOwner(folder: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(folder);
  for (const name of readdirSync(folder)) if (name.startsWith("mqtt-broker.")) chownSync(join(folder, name), uid, gid);
}
