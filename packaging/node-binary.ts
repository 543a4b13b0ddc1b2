import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, hostArchitecture, toolFor } from "./architecture.ts";
import { runDebianTool, runTool } from "./run-tool.ts";

const ROOT = join(import.meta.dirname, "..");
const CACHE = join(ROOT, "build/cache");

interface Locked {
  version: string;
  integrity: string;
}

/** The Node.js that the lockfile pins: that of this machine runs the build, since only it can make parts of itself. */
export const NODE_VERSION = lockedNode(hostArchitecture()).version;

/**
 * The folder of the pinned Node.js for that architecture: `bin/node`, `include/node`, `LICENSE`. This machine's is in
 * node_modules; the other one's is taken from the npm registry once, and used when it is what the lockfile says.
 */
export function nodeFolder(architecture: Architecture): string {
  const installed = join(ROOT, `node_modules/node-linux-${architecture}`);
  if (existsSync(join(installed, "bin/node"))) return installed;
  const { version, integrity } = lockedNode(architecture);
  const name = `node-linux-${architecture}`;
  const folder = join(CACHE, `${name}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const made = mkdtempSync(join(CACHE, "unpacking-"));
  try {
    runTool("npm", ["pack", "--silent", `${name}@${version}`], { cwd: made });
    const archive = join(made, `${name}-${version}.tgz`);
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity) {
      throw new Error(`${name}@${version} is not what package-lock.json has: ${found} in place of ${integrity}`);
    }
    runTool("tar", ["-xzf", archive], { cwd: made });
    replaceFolder(join(made, "package"), folder);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return folder;
}

/**
 * The same without its symbols, which are a tenth of it. They are taken away before anything is injected: a finished
 * executable that is stripped does not start any more.
 */
export function strippedNode(architecture: Architecture): string {
  const file = join(CACHE, `node-${NODE_VERSION}-linux-${architecture}-stripped`);
  if (existsSync(file)) return file;
  mkdirSync(CACHE, { recursive: true });
  const made = `${file}.${process.pid}`;
  runDebianTool(toolFor(architecture, "strip"), ["-o", made, join(nodeFolder(architecture), "bin/node")]);
  renameSync(made, file);
  return file;
}

function lockedNode(architecture: Architecture): Locked {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, Locked | undefined>;
  };
  const name = `node-linux-${architecture}`;
  const locked = lock.packages[`node_modules/${name}`];
  if (locked === undefined) throw new Error(`package-lock.json has no ${name}`);
  return locked;
}

/** Another build may have made it meanwhile: then that one is as good. */
function replaceFolder(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}
