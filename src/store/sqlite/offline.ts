import { existsSync, lchownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { StoreLoss } from "../../core/store.ts";
import { Refusal } from "./failure.ts";
import { checkFile } from "./file-check.ts";
import { FolderLock } from "./folder-lock.ts";
import { salvage } from "./salvage.ts";
import { STORE_FILE } from "./schema.ts";
import { StoreFile } from "./store-file.ts";

/** Work on a folder's store that no broker may use meanwhile: `action` holds the lock that brokers hold. */
export function withoutBroker<T>(folder: string, action: (path: string) => T | Promise<T>): Promise<T> {
  return asOwner(folder, async () => {
    const lock = new FolderLock(folder);
    try {
      return await action(join(folder, STORE_FILE));
    } finally {
      lock.release();
    }
  });
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

/**
 * Root works as the folder's owner: what it makes there the broker can use afterwards, and no link that the owner may have put
 * there makes root write to, or give away, a file somewhere else.
 */
async function asOwner<T>(folder: string, action: () => Promise<T>): Promise<T> {
  const owner = statSync(folder, { throwIfNoEntry: false });
  if (process.getuid?.() !== 0 || owner === undefined || owner.uid === 0) return action();
  const { uid, gid } = owner;
  giveToOwner(folder, uid, gid);
  const groups = process.getgroups!();
  process.setgroups!([gid]);
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    demandReachable(folder, uid);
    return await action();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
    process.setgroups!(groups);
  }
}

/** What root has made there before, or put back from a backup. */
function giveToOwner(folder: string, uid: number, gid: number): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.startsWith("mqtt-broker.") && lstatSync(path).uid === 0) lchownSync(path, uid, gid);
  }
}

function demandReachable(folder: string, uid: number): void {
  try {
    statSync(folder);
  } catch {
    throw new Refusal(
      `${folder} belongs to the user ${uid}, who cannot get there: if it is a copy, make it root's by chown -R root ${folder}`,
    );
  }
}
