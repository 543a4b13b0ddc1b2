// npm run bench: our broker beside Mosquitto and Aedes, alternately in one go. See README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { AUTH_SCENARIOS, USERS, writeRules } from "./auth.ts";
import { type Broker, type BrokerName, type BrokerPlan, mosquittoVersion, startBroker } from "./brokers.ts";
import { makeIdentities, type Way } from "./doors.ts";
import { measureDurable } from "./durable/bench.ts";
import { DURABLE_SCENARIOS } from "./durable/scenarios.ts";
import { compileGenerator, runGenerator } from "./generator.ts";
import { canPin, hasEnded, stop } from "./processes.ts";
import { printReport, progress, type Report } from "./report.ts";
import { type Sample, SCENARIOS, type Scenario, type Subject, towards } from "./scenarios.ts";
import {
  authSettingsOf,
  durableSettingsOf,
  readArguments,
  type Settings,
  settingsOf,
  USAGE,
  UsageError,
  type Values,
  waySettingsOf,
} from "./settings.ts";
import { type Column, ceilingNotes, DISTURBED_FROM, rowsOf, type Samples } from "./table.ts";
import { WAY_SCENARIOS } from "./ways.ts";

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
        ? await startBroker(name, this.plan, scenario.collects, scenario.way)
        : await this.lastingBroker(name, scenario.way);
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

  private async lastingBroker(name: BrokerName, way: Way | undefined): Promise<Broker> {
    const known = this.lasting.get(name);
    if (known !== undefined && known.door?.way === way) return known;
    // With another way in it begins anew: code that has seen one kind of connection only is faster at it.
    if (known !== undefined) await stop(known);
    this.lasting.delete(name);
    const broker = await startBroker(name, this.plan, false, way);
    this.lasting.set(name, broker);
    // A broker on a compiling runtime is slow for its first second, which is not what is asked about here.
    const warmUp = ["pubsub", ...towards(broker), "--qos", "1", "--warmup", "0", "--duration", "700"];
    const asUsers = this.plan.authFile === undefined ? [] : ["--users", String(USERS)];
    await runGenerator(this.plan.generator, [...warmUp, ...asUsers], 30);
    return broker;
  }

  private record(scenario: Scenario, name: BrokerName, sample: Sample): void {
    const ofScenario = this.samples.get(scenario.name) ?? new Map<Column, Sample[]>();
    this.samples.set(scenario.name, ofScenario);
    ofScenario.set(name, [...(ofScenario.get(name) ?? []), sample]);
    const faults = Object.entries(sample.faults).map(([fault, count]) => `${count} ${fault}`);
    if (faults.length > 0) this.failures.push(`${scenario.title}, ${name}: ${faults.join(", ")}`);
  }
}

/** Share of the samples in which something else on the machine took part. */
function disturbance(samples: Samples): string | undefined {
  const all = [...samples.values()].flatMap((byBroker) => [...byBroker.values()].flat());
  const disturbed = all.filter(({ waited }) => waited > DISTURBED_FROM).length;
  if (disturbed === 0) return undefined;
  return `In ${disturbed} of ${all.length} samples broker or generator waited for its core: the machine was not idle`;
}

async function measure(settings: Settings, machine: string, startedMs: number): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const rules = settings.brokers.includes("allow-all") ? { authFile: writeRules(folder) } : {};
  const { ours, workers } = settings;
  const bench = new Bench(settings, {
    folder,
    generator: compileGenerator(folder),
    ours: workers === 0 ? ours : [...ours, "--worker-threads", String(workers)],
    threads: workers > 0,
    ...rules,
    ...(settings.scenarios.some(({ way }) => way !== undefined) && { identities: makeIdentities(folder) }),
  });
  for (let number = 0; number < settings.rounds; number++) await bench.round(number);
  const rows = rowsOf(settings.scenarios, bench.samples);
  const notes = [...ceilingNotes(rows, bench.samples, settings.scenarios), disturbance(bench.samples)];
  if (workers > 0) notes.push(`Ours had --worker-threads ${workers}, and both cores: also that of the generator`);
  if (!canPin) notes.push("Nothing was pinned to a core: brokers and generator took time from each other");
  return {
    startedMs,
    machine: `${machine}, ${mosquittoVersion()}`,
    legend: `ratio: ours to ${settings.brokers.includes("allow-all") ? "ours without rules" : "Mosquitto"}`,
    rounds: settings.rounds,
    rows,
    columns: settings.brokers,
    notes: notes.filter((note) => note !== undefined),
    samples: bench.samples,
    failures: bench.failures,
  };
}

function scenariosOf(values: Values): readonly Subject[] {
  if (values.durable) return DURABLE_SCENARIOS;
  if (values.tls) return WAY_SCENARIOS;
  return values.auth ? AUTH_SCENARIOS : SCENARIOS;
}

function settingsFor(values: Values): Settings {
  if (values.tls) return waySettingsOf(values);
  return values.auth ? authSettingsOf(values) : settingsOf(values);
}

/** Returns the exit code: 0, or 1 when a message was lost or a scenario failed. A missed target is not a failure. */
async function main(): Promise<number> {
  const values = readArguments(process.argv.slice(2));
  const scenarios = scenariosOf(values);
  if (values.help) console.log(USAGE);
  if (values.list) console.log(scenarios.map(({ name, title }) => `${name.padEnd(16)} ${title}`).join("\n"));
  if (values.help || values.list) return 0;
  const startedMs = Date.now();
  const machine = `${cpus()[0]?.model ?? "unknown processor"}, Node.js ${process.version}`;
  const report = values.durable
    ? await measureDurable(durableSettingsOf(values), machine, startedMs)
    : await measure(settingsFor(values), machine, startedMs);
  printReport(report, values.json);
  return report.failures.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  process.exit(isUsage ? 2 : 1);
}
