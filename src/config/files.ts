import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { cwd } from "node:process";

/** The files as loading sees them: handed in, so that tests need no disk. */
export interface Files {
  /** Absolute; relative paths start here. */
  readonly workingDirectory: string;
  /** The text of a file; undefined when there is none. Throws when it cannot be read. */
  read(path: string): string | undefined;
  /** Whether there is anything of that name, be it a link that leads nowhere. Throws when that cannot be told. */
  exists(path: string): boolean;
  /** The names in a directory, in any order; undefined when there is none. Throws when it cannot be read. */
  list(directory: string): string[] | undefined;
}

/** The files of this machine. */
export function hostFiles(): Files {
  return {
    workingDirectory: cwd(),
    read: (path) => unlessMissing(() => readFileSync(path, "utf8")),
    exists: (path) => unlessMissing(() => lstatSync(path)) !== undefined,
    list: (directory) => unlessMissing(() => readdirSync(directory)),
  };
}

function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
