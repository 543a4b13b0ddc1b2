import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, hostArchitecture } from "../../packaging/architecture.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface Built {
  /** The executable. */
  file: string;
  /** In millions of bytes. */
  megabytes: number;
  seconds: number;
}

/** Where `npm run package` puts the executable. */
export function executablePath(architecture: Architecture): string {
  return join(ROOT, `build/mqtt-broker-linux-${architecture}`);
}

/** Builds this machine's executable as users do. Throws with what the build said when it fails. */
export function buildExecutable(): Built {
  const startedMs = performance.now();
  const words = [join(ROOT, "packaging/build.ts"), "--executable-only"];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`npm run package -- --executable-only failed:\n${stdout}${stderr}`);
  const file = executablePath(hostArchitecture());
  return { file, megabytes: statSync(file).size / 1_000_000, seconds: (performance.now() - startedMs) / 1000 };
}
