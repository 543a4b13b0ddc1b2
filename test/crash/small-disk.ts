import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { emptyFolder, type Lifetime, type Running, startCommand } from "../smoke/program.ts";

export type DiskKind = "tmpfs" | "ext4";

const IS_ROOT = process.getuid?.() === 0;

/** What can be made here: a loop device is root's only, and not every machine has one to give. */
const HAS_LOOP = IS_ROOT && spawnSync("losetup", ["--find"]).status === 0;
export const DISK_KINDS: readonly DiskKind[] = HAS_LOOP ? ["tmpfs", "ext4"] : ["tmpfs"];

/** Anybody becomes root of a namespace of their own; root needs none. */
const UNSHARE = IS_ROOT ? ["--mount"] : ["--map-root-user", "--mount"];
const ENTER = IS_ROOT ? ["--mount"] : ["--user", "--mount", "--preserve-credentials"];

/**
 * A real file system of a few megabytes. It is mounted in a namespace of its own, which lives as long as the test: no
 * other process sees it, and nothing is left of it.
 */
export class SmallDisk {
  /** An empty folder on it, for programs that are started with `before`. */
  readonly folder: string;
  /** Words before a command that is to see the disk. */
  readonly before: readonly string[];
  private readonly outside: string;
  private readonly mountPoint: string;

  /** Throws with the reason when the system does not let us. */
  static async make(context: Lifetime, kind: DiskKind, megabytes: number): Promise<SmallDisk> {
    const place = emptyFolder(context);
    const mountPoint = join(place, "disk");
    mkdirSync(mountPoint);
    const image = join(place, "image");
    const mount =
      kind === "tmpfs"
        ? `mount -t tmpfs -o size=${megabytes}m tmpfs "$1"`
        : `truncate -s ${megabytes}M "$2" && mkfs.ext4 -q -F -m 0 "$2" && mount -o loop,errors=remount-ro "$2" "$1"`;
    const script = `${mount} && mkdir "$1/data" && echo mounted && exec cat`;
    const holder = startCommand(context, "unshare", [...UNSHARE, "sh", "-c", script, "sh", mountPoint, image]);
    try {
      await holder.saw("mounted");
    } catch (error) {
      throw new Error(`This test needs a ${kind} in a mount namespace (unshare ${UNSHARE.join(" ")}): ${error}`);
    }
    return new SmallDisk(holder, mountPoint);
  }

  private constructor(holder: Running, mountPoint: string) {
    this.mountPoint = mountPoint;
    this.folder = join(mountPoint, "data");
    this.before = ["nsenter", "--target", `${holder.pid}`, ...ENTER];
    this.outside = `/proc/${holder.pid}/root${mountPoint}`;
  }

  /** Leaves not a byte. */
  fill(): void {
    const file = openSync(join(this.outside, "filler"), "a");
    try {
      for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 4)) {
        const bytes = Buffer.alloc(size, "x");
        while (tryWrite(file, bytes));
      }
    } finally {
      closeSync(file);
    }
  }

  /** Gives back what `fill` took. */
  free(): void {
    rmSync(join(this.outside, "filler"));
  }

  /** While no file on it is open for writing: the system lets nobody do it then. */
  makeReadOnly(): void {
    this.run("mount", "-o", "remount,ro", this.mountPoint);
  }

  /** An ext4 that has found an error in itself lets nobody write any more, whoever has files open. */
  fail(): void {
    const device = basename(this.run("findmnt", "-no", "SOURCE", this.mountPoint).trim());
    writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, "1");
  }

  private run(...words: string[]): string {
    const { status, stdout, stderr } = spawnSync(this.before[0]!, [...this.before.slice(1), ...words], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`${words.join(" ")} failed: ${stderr}`);
    return stdout;
  }
}

/** False when the disk is full. */
function tryWrite(file: number, bytes: Uint8Array): boolean {
  try {
    return writeSync(file, bytes) === bytes.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") return false;
    throw error;
  }
}
