import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative, sep } from "node:path";
import { run } from "node:test";

/**
 * All that `npm test` does: types, format and lint, then each suite with a budget of seconds, printed beside what it took.
 * `node test/run.ts NAME …` runs the suites of these names only.
 */
interface Suite {
  name: string;
  budgetSeconds: number;
  /** Folders under src of which at least 90 % of the lines must be covered by this suite. */
  covers?: readonly string[];
}

/** Those with the longest files before the others, so that none is the last. */
const SUITES: readonly Suite[] = [
  { name: "codec", budgetSeconds: 60, covers: ["codec"] },
  { name: "topic", budgetSeconds: 30, covers: ["topic"] },
  { name: "core", budgetSeconds: 60, covers: ["core"] },
  { name: "gateway", budgetSeconds: 30, covers: ["gateway/mqttsn"] },
  { name: "bridge", budgetSeconds: 30 },
  { name: "tidy", budgetSeconds: 10 },
  { name: "cli", budgetSeconds: 90 },
  { name: "hostile", budgetSeconds: 90 },
  { name: "store", budgetSeconds: 90 },
  { name: "crash", budgetSeconds: 120 },
  { name: "smoke", budgetSeconds: 150 },
  { name: "executable", budgetSeconds: 60 },
  { name: "device", budgetSeconds: 90 },
  { name: "transport", budgetSeconds: 60 },
  { name: "conformance", budgetSeconds: 120 },
  { name: "sim", budgetSeconds: 60 },
  { name: "examples", budgetSeconds: 90 },
  { name: "auth", budgetSeconds: 30 },
  { name: "plugin", budgetSeconds: 20 },
  { name: "rules", budgetSeconds: 40 },
  { name: "bench", budgetSeconds: 30 },
  { name: "text", budgetSeconds: 20 },
  { name: "config", budgetSeconds: 20 },
  { name: "os", budgetSeconds: 20 },
  { name: "admin", budgetSeconds: 20 },
  { name: "certs", budgetSeconds: 20 },
  { name: "library", budgetSeconds: 30 },
  { name: "fuzz", budgetSeconds: 30 },
];

const COVERED_PERCENT_MIN = 90;

/** What the runner itself says at the end of a file; other diagnostics are the figures of tests. */
const TALLY = /^(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /;

interface Outcome {
  passed: number;
  failed: number;
}

// Nothing that a test starts speaks to the network that this machine is on.
process.env.MQTT_BROKER_MDNS = "off";
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => name !== "check" && !SUITES.some((suite) => suite.name === name));
if (unknown.length > 0) throw new Error(`There is no suite called ${unknown.join(", ")}`);

const total: Outcome = { passed: 0, failed: 0 };
if (chosen.length === 0 || chosen.includes("check")) add(check());
const wanted = SUITES.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
for (const suite of wanted) if (suite.covers !== undefined) add(await runSuites([suite], suite.covers));
// Together, so that no processor is idle while another one ends the last file of a suite.
const others = wanted.filter(({ covers }) => covers === undefined);
if (others.length > 0) add(await runSuites(others, []));
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

function add({ passed, failed }: Outcome): void {
  total.passed += passed;
  total.failed += failed;
}

/** Types, format and lint: each counts as one test. */
function check(): Outcome {
  const outcome: Outcome = { passed: 0, failed: 0 };
  for (const [name, ...words] of [
    ["tsc", "-p", "."],
    ["biome", "check"],
  ] as const) {
    const started = Date.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, [`node_modules/.bin/${name}`, ...words], {
      encoding: "utf8",
    });
    if (status === 0) outcome.passed++;
    else {
      outcome.failed++;
      console.log(`${stdout}${stderr}`);
    }
    report(name, 60, (Date.now() - started) / 1000, status === 0 ? "clean" : "NOT CLEAN");
  }
  return outcome;
}

/** `covers`: as of the only suite. */
async function runSuites(suites: readonly Suite[], covers: readonly string[]): Promise<Outcome> {
  const all: Outcome = { passed: 0, failed: 0 };
  const parts = new Map(suites.map(({ name }) => [name, { passed: 0, failed: 0, figures: [] as string[] }]));
  const coverage: string[] = [];
  const budgetSeconds = suites.reduce((sum, suite) => sum + suite.budgetSeconds, 0);
  const started = Date.now();
  const events = run({
    files: suites.flatMap(filesOf),
    concurrency: availableParallelism(),
    timeout: Math.max(60, ...suites.map((suite) => 2 * suite.budgetSeconds)) * 1000,
    ...(covers.length > 0 && { coverage: true, coverageIncludeGlobs: covers.map((folder) => `src/${folder}/**`) }),
  });
  for await (const { type, data } of events) {
    if (type === "test:coverage") coverage.push(...coverageOf(data.summary.files, covers, all));
    if (type !== "test:pass" && type !== "test:fail" && type !== "test:diagnostic") continue;
    const part = parts.get(suiteOf(data.file)) ?? [...parts.values()][0]!;
    // A suite is counted by its tests, not by itself.
    const isTest = !("details" in data) || data.details.type !== "suite";
    if (type === "test:diagnostic") {
      if (!TALLY.test(data.message)) part.figures.push(data.message);
    } else if (type === "test:fail") {
      if (isTest) fail(part, `${data.file}: ${data.name}`, data.details.error);
    } else if (data.skip !== undefined) fail(part, data.name, "was skipped");
    else if (isTest) part.passed++;
  }
  const tookSeconds = (Date.now() - started) / 1000;
  for (const [name, { passed, failed, figures }] of parts) {
    all.passed += passed;
    all.failed += failed;
    console.log(`${name.padEnd(12)} ${passed} passed, ${failed} failed`);
    for (const figure of figures) console.log(`  ${figure}`);
  }
  for (const line of coverage) console.log(line);
  const over = tookSeconds > budgetSeconds ? "  OVER THE BUDGET" : "";
  console.log(`${suites.map(({ name }) => name).join(", ")}: ${tookSeconds.toFixed(1)} s of ${budgetSeconds} s${over}`);
  return all;
}

function filesOf({ name }: Suite): string[] {
  const files = globSync([`test/${name}.test.ts`, `test/${name}/**/*.test.ts`]).sort();
  if (files.length === 0) throw new Error(`The suite ${name} has no tests`);
  return files;
}

/** By the folder of the file, "test/smoke/tls.test.ts". */
function suiteOf(file: string | undefined): string {
  return (
    relative("test", file ?? "")
      .split(sep)[0]
      ?.replace(/\.test\.ts$/, "") ?? ""
  );
}

function fail(outcome: Outcome, name: string, reason: unknown): void {
  outcome.failed++;
  console.log(`FAILED ${name}`);
  const {
    cause = reason,
    exitCode,
    signal,
  } = (reason ?? {}) as { cause?: unknown; exitCode?: number; signal?: string };
  console.log(cause instanceof Error ? (cause.stack ?? cause.message) : cause);
  // Of a file whose process has ended in the middle.
  if (exitCode != null || signal != null) console.log(`its process ended with ${signal ?? exitCode}`);
}

function coverageOf(
  files: readonly { path: string; totalLineCount: number; coveredLineCount: number }[],
  covers: readonly string[],
  outcome: Outcome,
): string[] {
  return covers.map((folder) => {
    const own = files.filter(({ path }) => path.includes(`/src/${folder}/`));
    const lines = own.reduce((sum, { totalLineCount }) => sum + totalLineCount, 0);
    const covered = own.reduce((sum, { coveredLineCount }) => sum + coveredLineCount, 0);
    const percent = lines === 0 ? 0 : (100 * covered) / lines;
    if (percent < COVERED_PERCENT_MIN) fail(outcome, `coverage of src/${folder}`, `under ${COVERED_PERCENT_MIN} %`);
    return `  src/${folder}: ${percent.toFixed(1)} % of ${lines} lines covered`;
  });
}

function report(name: string, budgetSeconds: number, seconds: number, result: string): void {
  const over = seconds > budgetSeconds ? "  OVER ITS BUDGET" : "";
  console.log(`${name.padEnd(12)} ${seconds.toFixed(1).padStart(6)} s of ${budgetSeconds} s  ${result}${over}`);
}
