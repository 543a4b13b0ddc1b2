import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type CrashOptions, crash } from "./harness.ts";

/**
 * `node test/crash/main.ts --rounds 200 --seed 7`: many rounds by hand. Words after `--` are the program's.
 * Exit code 1 when a promise was broken.
 */
const { values, positionals } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: `${Date.now() % 1_000_000}` },
    quiet: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

const ends: (() => void | Promise<void>)[] = [];
const options: CrashOptions = { seed: Number(values.seed), rounds: Number(values.rounds), words: positionals };
if (!values.quiet) options.report = (line) => console.log(line);
console.log(`Seed ${options.seed}, ${options.rounds} rounds`);
const { verdict, kills, startMsMax } = await crash({ after: (end) => void ends.push(end) }, options);
for (const end of ends.reverse()) await end();
console.log(`${kills} kills, the slowest start took ${Math.round(startMsMax)} ms`);
console.log(verdict.violations.length === 0 ? "Every promise was kept" : verdict.describe());
if (verdict.evidence !== undefined) {
  const file = join(tmpdir(), `mqtt-broker-crash-${options.seed}.txt`);
  writeFileSync(file, verdict.evidence);
  console.log(`The packets of the client that saw it first are in ${file}`);
}
process.exitCode = verdict.violations.length === 0 ? 0 : 1;
