import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { debianMirror } from "../../device/image/base-tree.ts";
import { runDebianTool } from "../../packaging/run-tool.ts";

const CACHE = join(import.meta.dirname, "../../build/trees");

/**
 * A small Debian of this machine's architecture, with these packages beside the essential ones: its folder, to be read only.
 * Made once, which takes half a minute, from where apt has its packages. Root alone can make one.
 */
export function debianTree(release: string, packages: readonly string[]): string {
  const digest = createHash("sha256").update(packages.join(" ")).digest("hex").slice(0, 8);
  const folder = join(CACHE, `${release}-${digest}`);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const made = `${folder}.${process.pid}`;
  try {
    const words = ["--mode=root", "--variant=minbase", "--format=directory", `--include=${packages.join(",")}`];
    runDebianTool({ command: "mmdebstrap", debianPackages: "mmdebstrap" }, [
      "--quiet",
      ...words,
      release,
      made,
      debianMirror(),
    ]);
    renameSync(made, folder);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return folder;
}
