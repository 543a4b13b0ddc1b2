import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { VERSION } from "../src/version.ts";
import { ARCHITECTURES, type Architecture, hostArchitecture } from "./architecture.ts";
import { type BuildFacts, bundle } from "./bundle.ts";
import { copyrightFile } from "./deb/copyright.ts";
import { buildDeb } from "./deb.ts";
import { makeExecutable } from "./executable.ts";
import { demandSize, EXECUTABLE_MB_MAX } from "./sizes.ts";

/**
 * `npm run package [-- x64|arm64|all] [--executable-only]`: the executables, and the Debian packages of them, in `build/`,
 * where `copyright` is what has to go along with an executable.
 * Without a word for this machine's architecture.
 */
const ROOT = join(import.meta.dirname, "..");
const BUILD = join(ROOT, "build");
const EXECUTABLE_ONLY = "--executable-only";

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

async function main(words: readonly string[]): Promise<void> {
  const wanted = architecturesOf(words.filter((word) => word !== EXECUTABLE_ONLY));
  const withPackages = !words.includes(EXECUTABLE_ONLY);
  mkdirSync(BUILD, { recursive: true });
  const made = mkdtempSync(join(BUILD, "bundle-"));
  // The last part is in the paths of stack traces, and by them V8's compile cache knows a file again.
  const bundled = join(made, "mqtt-broker");
  try {
    writeFileSync(join(BUILD, "copyright"), copyrightFile(ROOT));
    const files = await bundle(bundled, buildFacts());
    for (const architecture of wanted) {
      const to = join(BUILD, `mqtt-broker-linux-${architecture}`);
      makeExecutable(architecture, { bundled, files, version: VERSION, to });
      tell(to, demandSize(to, EXECUTABLE_MB_MAX[architecture]));
      if (!withPackages) continue;
      const file = buildDeb({ architecture, executable: to, folder: BUILD, version: VERSION });
      tell(file, statSync(file).size / 1_000_000);
    }
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function tell(file: string, megabytes: number): void {
  console.log(`${relative(ROOT, file)}: ${megabytes.toFixed(1)} MB`);
}

function architecturesOf(words: readonly string[]): readonly Architecture[] {
  const [word, ...more] = words;
  if (word === undefined) return [hostArchitecture()];
  if (word === "all" && more.length === 0) return ARCHITECTURES;
  const found = ARCHITECTURES.find((one) => one === word);
  if (found !== undefined && more.length === 0) return [found];
  throw new Error(`Not understood: ${words.join(" ")}. It is npm run package [-- x64|arm64|all] [${EXECUTABLE_ONLY}]`);
}

/** SOURCE_DATE_EPOCH, where it is set, is the time. */
function buildFacts(): BuildFacts {
  const seconds = process.env.SOURCE_DATE_EPOCH;
  const time = seconds === undefined ? new Date() : new Date(Number(seconds) * 1000);
  return { commit: commit(), time: time.toISOString().replace(/\.\d+Z$/, "Z") };
}

/** With a plus behind it when the sources are not those of the commit. */
function commit(): string {
  const { status, stdout } = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) return "unknown";
  const changes = spawnSync("git", ["status", "--porcelain"], { cwd: ROOT, encoding: "utf8" }).stdout;
  return `${stdout.trim()}${changes.trim() === "" ? "" : "+"}`;
}
