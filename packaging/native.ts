import { copyFileSync, globSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { type Architecture, hostArchitecture, toolFor } from "./architecture.ts";
import { nodeFolder } from "./node-binary.ts";
import { runDebianTool } from "./run-tool.ts";

const ROOT = join(import.meta.dirname, "..");

/** What packages bring for each architecture, by the name that our loader knows it by. */
const BROUGHT: readonly { name: string; file: (architecture: Architecture) => string }[] = [
  {
    name: "serialport",
    file: (architecture) => {
      const build = { x64: "glibc", arm64: "armv8.glibc" }[architecture];
      return `@serialport/bindings-cpp/prebuilds/linux-${architecture}/@serialport+bindings-cpp.${build}.node`;
    },
  },
  { name: "http3", file: (architecture) => `@currentspace/http3/http3.linux-${architecture}-gnu.node` },
];

/** Where the add-ons of that architecture are built, and where a source checkout looks for them. */
export function nativeFolder(architecture: Architecture): string {
  return join(ROOT, `build/native/linux-${architecture}`);
}

/**
 * Compiles `packaging/native/NAME.c`, each of them, to `NAME.node` in the folder that is returned. They speak Node-API,
 * so that they fit any Node.js.
 */
export function compileNative(architecture: Architecture): string {
  const folder = nativeFolder(architecture);
  mkdirSync(folder, { recursive: true });
  const include = join(nodeFolder(hostArchitecture()), "include/node");
  for (const source of globSync(join(ROOT, "packaging/native/*.c")).sort()) {
    replace(join(folder, `${basename(source, ".c")}.node`), (made) => {
      const words = [
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-s",
        `-I${include}`,
        "-o",
        made,
        source,
      ];
      runDebianTool(toolFor(architecture, "gcc"), words);
    });
  }
  return folder;
}

/** All add-ons of that architecture, without symbols, in the folder that is returned. */
export function gatherNative(architecture: Architecture): string {
  const folder = compileNative(architecture);
  for (const { name, file } of BROUGHT) {
    const source = join(ROOT, "node_modules", file(architecture));
    replace(join(folder, `${name}.node`), (made) => {
      copyFileSync(source, made);
      runDebianTool(toolFor(architecture, "strip"), ["--strip-unneeded", made]);
    });
  }
  return folder;
}

/** In one step: somebody may be loading the one that was there. */
function replace(file: string, make: (made: string) => void): void {
  const made = `${file}.${process.pid}`;
  make(made);
  renameSync(made, file);
}
