// npm run bench: our broker beside Mosquitto and Aedes, alternately in one go. See README.md.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  BROKERS,
  type Broker,
  type BrokerName,
  type BrokerPlan,
  isInstalled,
  mosquittoVersion,
  OURS,
  startBroker,
} from "./brokers.ts";
import { compileGenerator, runGenerator } from "./generator.ts";
import { canPin, hasEnded, stop } from "./processes.ts";
import { type Sample, SCENARIOS, type Scenario, type Timing } from "./scenarios.ts";
import { ceilingNotes, DISTURBED_FROM, renderTable, rowsOf, type Samples } from "./table.ts";

const USAGE = `Usage: npm run bench -- [options]
  --quick           one short round of the scenarios that have a target
  --rounds N        how often everything is repeated (default 3, with --quick 1)
  --only TEXT       only scenarios whose name contains TEXT; may be repeated
  --brokers A,B     of ${BROKERS.join(", ")} (default: all that are installed, with --quick not aedes)
  --ours "COMMAND"  start our broker like this; {port} is replaced, or --tcp-port PORT appended
  --json FILE       write all samples and the table there too
  --list            name the scenarios`;

interface Settings {
  scenarios: readonly Scenario[];
  brokers: readonly BrokerName[];
  rounds: number;
  timing: Timing;
  ours: readonly string[];
  jsonFile: string | undefined;
}

class UsageError extends Error {}

function settingsOf(args: string[]): Settings | undefined {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      brokers: { type: "string" },
      ours: { type: "string" },
      json: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) console.log(USAGE);
  if (values.list) console.log(SCENARIOS.map(({ name, title }) => `${name.padEnd(16)} ${title}`).join("\n"));
  if (values.help || values.list) return undefined;
  const scenarios = SCENARIOS.filter(({ name, quick }) =>
    values.only.length > 0 ? values.only.some((text) => name.includes(text)) : quick || !values.quick,
  );
  if (scenarios.length === 0) throw new UsageError(`No scenario's name contains ${values.only.join(" or ")}`);
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new UsageError("--rounds takes 1 to 100");
  return {
    scenarios,
    brokers: chosenBrokers(values.brokers, values.quick),
    rounds,
    timing: values.quick ? { warmupMs: 150, durationMs: 500 } : { warmupMs: 300, durationMs: 800 },
    ours: values.ours?.split(/\s+/).filter((word) => word !== "") ?? OURS,
    jsonFile: values.json,
  };
}

function chosenBrokers(list: string | undefined, quick: boolean): BrokerName[] {
  if (list === undefined) return BROKERS.filter((name) => isInstalled(name) && !(quick && name === "aedes"));
  return list.split(",").map((word) => {
    const name = BROKERS.find((known) => known === word);
    if (name === undefined) throw new UsageError(`There is no broker "${word}": ${BROKERS.join(", ")}`);
    if (!isInstalled(name)) throw new UsageError("Mosquitto is not installed: apt-get install -y mosquitto");
    return name;
  });
}

class Bench {
  readonly settings: Settings;
  readonly plan: BrokerPlan;
  readonly samples: Samples = new Map();
  readonly failures: string[] = [];
  /** Brokers that serve one traffic scenario after the other, for one round. */
  private readonly lasting = new Map<BrokerName, Broker>();

  constructor(settings: Settings, plan: BrokerPlan) {
    this.settings = settings;
    this.plan = plan;
  }

  async round(number: number): Promise<void> {
    const { scenarios, brokers } = this.settings;
    for (const scenario of scenarios) {
      // Another order each round: whoever follows the sink or a fan-out would otherwise always be the same.
      for (let turn = 0; turn < brokers.length; turn++) {
        const name = brokers[(turn + number) % brokers.length]!;
        // The sink shows a ceiling, which is no subject of comparison: once is enough.
        if (name === "sink" && (!scenario.sink || number > 0)) continue;
        if (name === "aedes" && scenario.version5) continue;
        await this.measure(scenario, name, number);
      }
    }
    for (const broker of this.lasting.values()) await stop(broker);
    this.lasting.clear();
  }

  private async measure(scenario: Scenario, name: BrokerName, round: number): Promise<void> {
    progress(`round ${round + 1}: ${scenario.title}, ${name}`);
    try {
      const broker = scenario.fresh
        ? await startBroker(name, this.plan, scenario.collects)
        : await this.lastingBroker(name);
      try {
        this.record(scenario, name, await scenario.run(this.plan.generator, broker, this.settings.timing));
      } finally {
        if (scenario.fresh) await stop(broker);
      }
    } catch (error) {
      const ended = this.lasting.get(name);
      if (ended !== undefined) await this.giveUp(ended);
      this.failures.push(`${scenario.title}, ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** After a failure the next scenario gets a new broker: this one may still be busy, or have ended. */
  private async giveUp(broker: Broker): Promise<void> {
    this.lasting.delete(broker.name);
    if (hasEnded(broker.child)) this.failures.push(`${broker.name} ended: ${broker.complaint()}`);
    await stop(broker);
  }

  private async lastingBroker(name: BrokerName): Promise<Broker> {
    const known = this.lasting.get(name);
    if (known !== undefined) return known;
    const broker = await startBroker(name, this.plan, false);
    this.lasting.set(name, broker);
    // A broker on a compiling runtime is slow for its first second, which is not what is asked about here.
    const warmUp = ["pubsub", "--port", String(broker.port), "--qos", "1", "--warmup", "0", "--duration", "700"];
    await runGenerator(this.plan.generator, warmUp, 30);
    return broker;
  }

  private record(scenario: Scenario, name: BrokerName, sample: Sample): void {
    const ofScenario = this.samples.get(scenario.name) ?? new Map<BrokerName, Sample[]>();
    this.samples.set(scenario.name, ofScenario);
    ofScenario.set(name, [...(ofScenario.get(name) ?? []), sample]);
    const faults = Object.entries(sample.faults).map(([fault, count]) => `${count} ${fault}`);
    if (faults.length > 0) this.failures.push(`${scenario.title}, ${name}: ${faults.join(", ")}`);
  }
}

/** Overwrites one line for whoever watches; a file or pipe gets the report only. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Share of the samples in which something else on the machine took part. */
function disturbance(samples: Samples): string | undefined {
  const all = [...samples.values()].flatMap((byBroker) => [...byBroker.values()].flat());
  const disturbed = all.filter(({ waited }) => waited > DISTURBED_FROM).length;
  if (disturbed === 0) return undefined;
  return `In ${disturbed} of ${all.length} samples broker or generator waited for its core: the machine was not idle`;
}

function printReport(bench: Bench, startedMs: number): void {
  const { scenarios, brokers, rounds, jsonFile } = bench.settings;
  const rows = rowsOf(scenarios, bench.samples);
  const machine = `${cpus()[0]?.model ?? "unknown processor"}, Node.js ${process.version}, ${mosquittoVersion()}`;
  progress("");
  console.log(`${machine}; medians of ${rounds} (least..greatest), per second unless said; ratio: ours to Mosquitto\n`);
  console.log(renderTable(rows, brokers));
  const notes = [...ceilingNotes(rows, bench.samples, scenarios), disturbance(bench.samples)].filter(
    (note) => note !== undefined,
  );
  if (!canPin) notes.push("Nothing was pinned to a core: brokers and generator took time from each other");
  if (notes.length > 0) console.log(`\n${notes.join("\n")}`);
  if (bench.failures.length > 0) console.log(`\nFaults:\n${bench.failures.join("\n")}`);
  console.log(`\n${Math.round((Date.now() - startedMs) / 1000)} s`);
  if (jsonFile === undefined) return;
  const samples = Object.fromEntries([...bench.samples].map(([name, map]) => [name, Object.fromEntries(map)]));
  const date = new Date(startedMs).toISOString();
  writeFileSync(
    jsonFile,
    `${JSON.stringify({ date, machine, rounds, rows, samples, failures: bench.failures }, null, 2)}\n`,
  );
}

/** Returns the exit code: 0, or 1 when a message was lost or a scenario failed. A missed target is not a failure. */
async function main(): Promise<number> {
  const settings = settingsOf(process.argv.slice(2));
  if (settings === undefined) return 0;
  const startedMs = Date.now();
  const folder = mkdtempSync(join(tmpdir(), "mqtt-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const bench = new Bench(settings, { folder, generator: compileGenerator(folder), ours: settings.ours });
  for (let number = 0; number < settings.rounds; number++) await bench.round(number);
  printReport(bench, startedMs);
  return bench.failures.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  process.exit(isUsage ? 2 : 1);
}
