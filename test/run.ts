import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
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
  /** Its tests mostly wait, for time to pass or for other programs: half as many more run at a time. */
  waits?: true;
}

const SUITES: readonly Suite[] = [
  { name: "tidy", budgetSeconds: 10 },
  { name: "codec", budgetSeconds: 60, covers: ["codec"] },
  { name: "topic", budgetSeconds: 30, covers: ["topic"] },
  { name: "core", budgetSeconds: 60, covers: ["core"] },
  { name: "text", budgetSeconds: 20 },
  { name: "config", budgetSeconds: 20 },
  { name: "os", budgetSeconds: 20 },
  { name: "transport", budgetSeconds: 60, waits: true },
  { name: "gateway", budgetSeconds: 30, covers: ["gateway/mqttsn"] },
  { name: "device", budgetSeconds: 90, waits: true },
  { name: "store", budgetSeconds: 90, waits: true },
  { name: "auth", budgetSeconds: 30 },
  { name: "admin", budgetSeconds: 20 },
  { name: "certs", budgetSeconds: 20 },
  { name: "rules", budgetSeconds: 40 },
  { name: "plugin", budgetSeconds: 20 },
  { name: "library", budgetSeconds: 30 },
  { name: "cli", budgetSeconds: 90 },
  { name: "conformance", budgetSeconds: 120 },
  { name: "sim", budgetSeconds: 60 },
  { name: "crash", budgetSeconds: 120, waits: true },
  { name: "smoke", budgetSeconds: 150, waits: true },
  { name: "hostile", budgetSeconds: 90, waits: true },
  { name: "examples", budgetSeconds: 90 },
  { name: "bench", budgetSeconds: 30 },
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
for (const suite of SUITES) {
  if (chosen.length === 0 || chosen.includes(suite.name)) add(await runSuite(suite));
}
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

async function runSuite({ name, budgetSeconds, covers = [], waits }: Suite): Promise<Outcome> {
  const files = globSync([`test/${name}.test.ts`, `test/${name}/**/*.test.ts`]).sort();
  if (files.length === 0) throw new Error(`The suite ${name} has no tests`);
  const outcome: Outcome = { passed: 0, failed: 0 };
  const coverage: string[] = [];
  const figures: string[] = [];
  const started = Date.now();
  const events = run({
    files,
    concurrency: Math.ceil(availableParallelism() * (waits ? 1.5 : 1)),
    timeout: Math.max(60, 2 * budgetSeconds) * 1000,
    ...(covers.length > 0 && { coverage: true, coverageIncludeGlobs: covers.map((folder) => `src/${folder}/**`) }),
  });
  for await (const { type, data } of events) {
    // A suite is counted by its tests, not by itself.
    const isTest = (data as { details?: { type?: string } } | undefined)?.details?.type !== "suite";
    if (type === "test:pass" && isTest && data.skip === undefined) outcome.passed++;
    else if (type === "test:pass" && data.skip !== undefined) fail(outcome, data.name, "was skipped");
    else if (type === "test:fail" && isTest) fail(outcome, `${data.file ?? name}: ${data.name}`, data.details.error);
    else if (type === "test:diagnostic" && !TALLY.test(data.message)) figures.push(data.message);
    else if (type === "test:coverage") coverage.push(...coverageOf(data.summary.files, covers, outcome));
  }
  report(name, budgetSeconds, (Date.now() - started) / 1000, `${outcome.passed} passed, ${outcome.failed} failed`);
  for (const line of [...coverage, ...figures.map((figure) => `  ${figure}`)]) console.log(line);
  return outcome;
}

function fail(outcome: Outcome, name: string, reason: unknown): void {
  outcome.failed++;
  console.log(`FAILED ${name}`);
  const cause = (reason as { cause?: unknown } | undefined)?.cause ?? reason;
  console.log(cause instanceof Error ? (cause.stack ?? cause.message) : cause);
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
