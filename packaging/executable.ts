import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, hostArchitecture } from "./architecture.ts";
import { gatherNative } from "./native.ts";
import { NODE_VERSION, nodeFolder, strippedNode } from "./node-binary.ts";
import { runTool } from "./run-tool.ts";

const ROOT = join(import.meta.dirname, "..");

/**
 * Makes one file that runs by itself of Node.js, the bundled files, and the add-ons of that architecture. `bundled`: their
 * folder, which is added to. `version`: of the broker. Throws with what the tool wrote when it fails.
 */
export function makeExecutable(
  architecture: Architecture,
  { bundled, files, version, to }: { bundled: string; files: readonly string[]; version: string; to: string },
): void {
  const native = `native/linux-${architecture}`;
  cpSync(gatherNative(architecture), join(bundled, native), { recursive: true });
  const configuration = join(bundled, `pkg-${architecture}.json`);
  const assets = [...files, `${native}/*.node`];
  const pkg = { assets, sea: true, signature: false };
  writeFileSync(configuration, JSON.stringify({ name: "mqtt-broker", version, bin: "main.cjs", pkg }));
  // Its home is where it would keep what it downloads: there it finds all that it asks for.
  const home = join(bundled, "home");
  for (const one of new Set([architecture, hostArchitecture()])) seed(home, one);
  const made = `${to}.${process.pid}`;
  const words = ["--sea", "-c", configuration, "-t", `node${NODE_VERSION}-linux-${architecture}`, "-o", made];
  const env = { ...process.env, HOME: home };
  const node = join(nodeFolder(hostArchitecture()), "bin/node");
  try {
    const said = runTool(node, [join(ROOT, "packaging/pkg.ts"), ...words, join(bundled, "main.cjs")], { env });
    if (!existsSync(made)) throw new Error(`pkg made nothing:\n${said}`);
    // Whatever the umask: it is for whoever it is copied to, such as the container's user.
    chmodSync(made, 0o755);
    renameSync(made, to);
  } finally {
    rmSync(made, { force: true });
  }
}

/** As pkg leaves it behind when it has downloaded that Node.js: with empty files for archive and marks. */
function seed(home: string, architecture: Architecture): void {
  const name = `node-v${NODE_VERSION}-linux-${architecture}`;
  const cache = join(home, ".pkg-cache/sea");
  const folder = join(cache, name, "bin");
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true });
  copyFileSync(strippedNode(architecture), join(folder, "node"));
  for (const mark of [join(folder, "node.ok"), join(cache, `${name}.tar.gz`), join(cache, `${name}.tar.gz.ok`)]) {
    writeFileSync(mark, "");
  }
}
