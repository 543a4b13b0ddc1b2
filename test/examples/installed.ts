import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

export interface Installed {
  /** An empty folder but for node_modules and a copy of the examples. */
  folder: string;
  /** What the tarball holds, by path. */
  files: string[];
  /** The program's file. */
  main: string;
  remove(): void;
}

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
}

/**
 * Builds the package, packs it, and installs the tarball in a folder of its own.
 *
 * `npm install` would want the registry for the dependencies, so the tarball is unpacked by hand, and only what
 * `dependencies` names is linked from the repository: what needs a devDependency fails.
 */
export function install(): Installed {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-installed-"));
  execFileSync(process.execPath, [join(ROOT, "packaging/prepack.ts")], { stdio: "inherit" });
  const words = ["pack", "--ignore-scripts", "--offline", "--json", "--pack-destination", folder];
  const packed = JSON.parse(execFileSync("npm", words, { cwd: ROOT, encoding: "utf8" })) as {
    filename: string;
    files: { path: string }[];
  }[];
  const [{ filename, files }] = packed as [(typeof packed)[0]];
  const modules = join(folder, "node_modules");
  const home = join(modules, "mqtt-broker");
  mkdirSync(home, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, filename), "-C", home, "--strip-components=1"]);
  rmSync(join(folder, filename));
  for (const name of Object.keys(manifest().dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  cpSync(join(ROOT, "examples"), folder, { recursive: true });
  return {
    folder,
    files: files.map(({ path }) => path).sort(),
    main: join(home, "dist/src/main.js"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The names of the examples, as they are in the repository. */
export function assertExamples(actual: readonly string[], expected: readonly string[]): void {
  assert.deepEqual([...actual].sort(), [...expected].sort(), "Each example needs a test: add it here");
}
