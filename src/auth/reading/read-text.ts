import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problem } from "../../text/problem.ts";
import { readAuthFile } from "./auth-document.ts";
import type { ReadAuth } from "./read-auth.ts";
import type { AuthReading } from "./read-users.ts";

/** Keys and key sets take some kilobytes. */
const KEY_FILE_BYTES_MAX = 1024 * 1024;

/** A text of rules, on its way to a reader that may be in another thread. */
export interface TextToRead {
  readonly text: string;
  /** Where it is from: files that it names lie beside it. */
  readonly path: string;
  /** The file's name in messages. */
  readonly name: string;
  readonly certificatesVerified: boolean;
  readonly keysChecked?: boolean | undefined;
}

export interface Reading {
  /** undefined: it cannot be used, and `problems` says why. */
  readonly auth: ReadAuth | undefined;
  readonly problems: readonly Problem[];
  /** Absolute paths of the files that it names: when they change, it has changed. */
  readonly files: readonly string[];
}

/** Reads a text of rules with the files that it names. Never throws. */
export function readText({ text, path, name, certificatesVerified, keysChecked }: TextToRead): Reading {
  const files = new Set<string>();
  const reading = readingOf(dirname(path), Date.now(), certificatesVerified, (file) => files.add(file));
  const { auth, problems } = readAuthFile(text, name, { ...reading, keysChecked });
  return { auth, problems, files: [...files] };
}

/** How files that rules name are read: relative to `folder`. `named` hears the path of each. */
export function readingOf(
  folder: string,
  nowMs: number,
  certificatesVerified: boolean,
  named: (path: string) => void = () => {},
): AuthReading {
  const readFile = (file: string): string | undefined => {
    const path = resolve(folder, file);
    named(path);
    return readKeyFile(path);
  };
  return { readFile, nowMs, certificatesVerified };
}

/** What the files hold, as one word that differs when one of them does. */
export function stateOfFiles(files: readonly string[]): string {
  return files.map((file) => ` ${digestOf(file)}`).join("");
}

function digestOf(file: string): string {
  try {
    return createHash("sha256")
      .update(readKeyFile(file) ?? "")
      .digest("hex");
  } catch (error) {
    return (error as Error).message;
  }
}

/** Undefined when there is none; throws when it is none that can be read. */
function readKeyFile(file: string): string | undefined {
  const kind = statSync(file, { throwIfNoEntry: false });
  if (kind === undefined) return undefined;
  if (!kind.isFile()) throw new Error("it is not a regular file");
  if (kind.size > KEY_FILE_BYTES_MAX) throw new Error("it has more than 1 MiB");
  return readFileSync(file, "utf8");
}
