import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A folder whose device counts the bytes that reach it. */
export interface CountedDisk {
  folder: string;
  /** Nothing but what is in the folder is counted. Otherwise everything that the machine writes to that disk is. */
  alone: boolean;
  close(): void;
}

const IMAGE_BYTES = 4 * 2 ** 30;
const SECTOR_BYTES = 512;
/** f_type of file systems that keep everything in memory, where making something durable costs nothing. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);

/** Whether data in the folder survives the loss of power at all. */
export function isOnDisk(folder: string): boolean {
  return !IN_MEMORY.has(statfsSync(folder).type);
}

/**
 * As root: an ext4 of its own in a sparse file in `parent`, mounted by a loop device. Otherwise, or where that cannot be
 * mounted, `parent` itself; undefined when its device is no block device that counts.
 */
export function openCountedDisk(parent: string): CountedDisk | undefined {
  const mounted = process.getuid?.() === 0 ? mountImage(parent) : undefined;
  if (mounted !== undefined) return mounted;
  const folder = join(parent, "counted");
  mkdirSync(folder, { recursive: true });
  try {
    deviceBytesWritten(folder);
  } catch {
    return undefined;
  }
  return { folder, alone: false, close: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Bytes that the device below the folder has been given to write since it exists; what is still in memory is written first. */
export function deviceBytesWritten(folder: string): number {
  succeed("sync", "-f", folder);
  const { dev } = statSync(folder, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return sectorsWritten(readFileSync(`/sys/dev/block/${major}:${minor}/stat`, "utf8")) * SECTOR_BYTES;
}

/** The seventh number of a block device's `stat`. */
export function sectorsWritten(stat: string): number {
  const sectors = Number(stat.trim().split(/\s+/)[6]);
  if (!Number.isInteger(sectors)) throw new Error(`A block device's stat has no sectors written: ${stat}`);
  return sectors;
}

function mountImage(parent: string): CountedDisk | undefined {
  const image = join(parent, "disk.img");
  const folder = join(parent, "disk");
  const undo: (() => void)[] = [() => rmSync(image, { force: true })];
  const close = (): void => {
    for (const step of undo.splice(0).reverse()) step();
  };
  try {
    writeFileSync(image, "");
    truncateSync(image, IMAGE_BYTES);
    // What mkfs leaves for later would be written, and counted, while we measure.
    succeed("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
    const device = succeed("losetup", "--find", "--show", image);
    undo.push(() => run("losetup", "--detach", device));
    mkdirSync(folder);
    succeed("mount", "-o", "noatime", device, folder);
    undo.push(() => run("umount", "--lazy", folder));
    return { folder, alone: true, close };
  } catch {
    close();
    return undefined;
  }
}

function succeed(command: string, ...args: string[]): string {
  const { status, stdout, error } = run(command, ...args);
  if (error !== undefined || status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
  return stdout.trim();
}

function run(command: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: "utf8" });
}
