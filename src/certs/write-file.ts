import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/** One file to be written. */
export interface NewFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  /** For its owner alone: a key. Else everybody may read it. */
  readonly isSecret: boolean;
}

/**
 * Writes them one after the other, each at once: whoever reads one sees the old file or the new one, also after a power
 * cut. Their folder is made when it is missing. What root makes belongs to whom the folder belongs, such as a service.
 * Throws Error that names the file.
 */
export function writeFiles(files: readonly NewFile[]): void {
  for (const { path, content, isSecret } of files) {
    const folder = dirname(path);
    const part = join(folder, `.${basename(path)}.${process.pid}.part`);
    try {
      makeFolder(folder);
      // Left over by one that was killed: in a container the process id may be the same each time.
      rmSync(part, { force: true });
      const { uid, gid } = statSync(folder);
      const file = openSync(part, "wx", 0o600);
      try {
        if (process.getuid?.() === 0) fchownSync(file, uid, gid);
        fchmodSync(file, isSecret ? 0o600 : 0o644);
        writeFileSync(file, content);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(part, path);
      syncFolder(folder);
    } catch (error) {
      removeRest(part);
      throw new Error(`Cannot write ${path}: ${(error as Error).message}`);
    }
  }
}

function removeRest(part: string): void {
  try {
    rmSync(part, { force: true });
  } catch {
    // What kept the file from being written is told, not what kept this from being removed.
  }
}

function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(folder));
  const handle = openSync(folder, "r");
  try {
    fchownSync(handle, uid, gid);
  } finally {
    closeSync(handle);
  }
}

/** The new name is on the disk too. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
