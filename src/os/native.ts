import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dlopen } from "node:process";

/** In the executable the add-ons are among its files; a source checkout has those that the build makes. */
const IN_EXECUTABLE = import.meta.filename.endsWith(".cjs");
const FOLDER = IN_EXECUTABLE
  ? join(import.meta.dirname, `native/linux-${process.arch}`)
  : join(import.meta.dirname, `../../build/native/linux-${process.arch}`);

/** How the loader of the C library says that a file lies where nothing may be executed. */
const NOT_THERE = /failed to map segment|Operation not permitted|Permission denied/;

/** In one process an add-on is loaded once. */
const loaded = new Map<string, unknown>();
const offered: string[] = [];

/** A native add-on cannot be loaded, and why, in words that do for a message. */
export class NativeMissing extends Error {
  readonly code = "ERR_NATIVE_MISSING";
}

/** Names one more folder that may be used for a moment, such as the broker's data. */
export function offerFolder(folder: string): void {
  offered.push(folder);
}

/**
 * The add-on `NAME.node` of this architecture. The system loads code from files only, so that in the executable it is
 * written to a private folder, loaded, and removed at once: into the first of several folders that lets us. Throws a
 * NativeMissing that names the folders and what each said.
 */
export function loadNative(name: string): unknown {
  if (!loaded.has(name)) loaded.set(name, IN_EXECUTABLE ? loadCopy(name, foldersToTry()) : loadBuilt(name));
  return loaded.get(name);
}

/**
 * Loads the add-on from a copy in the first of these folders that can be written and that code may be loaded from.
 * Throws a NativeMissing when there is none.
 */
export function loadCopy(name: string, folders: readonly string[], from: string = FOLDER): unknown {
  const bytes = readFileSync(join(from, `${name}.node`));
  const refusals: string[] = [];
  for (const folder of folders) {
    let own: string | undefined;
    try {
      // For its owner alone, as mkdtemp has it.
      own = mkdtempSync(join(folder, "mqtt-broker-"));
      const file = join(own, `${name}.node`);
      writeFileSync(file, bytes, { mode: 0o500 });
      return load(file);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // What does not fit this system fits it nowhere.
      if (code === "ERR_DLOPEN_FAILED" && !NOT_THERE.test(message)) throw misfit(name, message);
      refusals.push(`${folder} (${code === "ERR_DLOPEN_FAILED" ? "mounted noexec" : code})`);
    } finally {
      if (own !== undefined) rmSync(own, { recursive: true, force: true });
    }
  }
  throw new NativeMissing(
    `the add-on ${name} needs, for a moment, a folder that can be written and is not mounted noexec, and found none: ${refusals.join(", ")}; set XDG_RUNTIME_DIR or --data-dir to such a folder`,
  );
}

/** In the order of what suits best: memory before flash, the broker's own before what it shares. */
function foldersToTry(): string[] {
  const { RUNTIME_DIRECTORY, STATE_DIRECTORY, XDG_RUNTIME_DIR } = process.env;
  const own = [RUNTIME_DIRECTORY, XDG_RUNTIME_DIR].map((paths) => paths?.split(":")[0] ?? "");
  const disks = [...offered, STATE_DIRECTORY?.split(":")[0] ?? ""];
  const all = [...own, "/run", "/dev/shm", tmpdir(), ...disks];
  return [...new Set(all)].filter((folder) => folder !== "");
}

function loadBuilt(name: string): unknown {
  const file = join(FOLDER, `${name}.node`);
  try {
    return load(file);
  } catch (error) {
    const { message } = error as Error;
    throw new NativeMissing(`${file} cannot be loaded (${message}): npm run package makes it`, { cause: error });
  }
}

function load(file: string): unknown {
  const module = { exports: {} as unknown };
  dlopen(module, file);
  return module.exports;
}

function misfit(name: string, message: string): NativeMissing {
  return new NativeMissing(`the add-on ${name} does not fit this system (${message}); it is made for Linux with glibc`);
}
