import { mkdtempSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { mosquittoVersion } from "../brokers.ts";
import { compileGenerator } from "../generator.ts";
import { progress, type Report } from "../report.ts";
import type { Sample } from "../scenarios.ts";
import { type Column, rowsOf, type Samples } from "../table.ts";
import { canRun, DURABLE_BROKERS, type DurableName, type DurablePlan, isOurs } from "./brokers.ts";
import { type CountedDisk, openCountedDisk } from "./disk.ts";
import type { DurableScenario } from "./place.ts";

export interface DurableSettings {
  scenarios: readonly DurableScenario[];
  rounds: number;
  quick: boolean;
  plan: DurablePlan;
  /** A folder of the disk that is to be measured. */
  disk: string;
}

const IDLE_LOAD_MAX = 0.5;

/** Measures all scenarios with all brokers that can be run, one after the other, and returns what came out. */
export async function measureDurable(settings: DurableSettings, machine: string, startedMs: number): Promise<Report> {
  const loadBefore = loadavg()[0] ?? 0;
  const folder = mkdtempSync(join(settings.disk, "mqtt-bench-durable-"));
  const counted = openCountedDisk(folder);
  process.on("exit", () => {
    counted?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const bench = new DurableBench(settings, folder, counted);
  for (let number = 0; number < settings.rounds; number++) await bench.round(number);
  return {
    startedMs,
    machine: `${machine}, ${mosquittoVersion(settings.plan.mosquitto21?.binary)}`,
    legend: "ratio: ours to Mosquitto 2.1 unless the target names another",
    rounds: settings.rounds,
    rows: rowsOf(settings.scenarios, bench.samples),
    columns: bench.columns,
    notes: [...notesOf(settings, counted), ...disturbance(loadBefore)],
    samples: bench.samples,
    failures: bench.failures,
  };
}

class DurableBench {
  readonly columns: readonly DurableName[];
  readonly samples: Samples = new Map();
  readonly failures: string[] = [];
  private readonly settings: DurableSettings;
  private readonly folder: string;
  private readonly counted: CountedDisk | undefined;
  private readonly generator: string;

  constructor(settings: DurableSettings, folder: string, counted: CountedDisk | undefined) {
    this.settings = settings;
    this.folder = folder;
    this.counted = counted;
    this.columns = columnsOf(settings.plan);
    this.generator = compileGenerator(folder);
  }

  async round(number: number): Promise<void> {
    for (const scenario of this.settings.scenarios) {
      const names = this.columns.filter((name) => scenario.brokers.includes(name));
      // Another order each round, as a disk may be slow for a while after much was written to it.
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(turn + number) % names.length]!;
        if (scenario.long && !isOurs(name) && (this.settings.quick || number > 0)) continue;
        progress(`round ${number + 1}: ${scenario.title}, ${name}`);
        await this.measure(scenario, name);
      }
    }
  }

  private async measure(scenario: DurableScenario, name: DurableName): Promise<void> {
    const place = { name, plan: this.settings.plan, generator: this.generator };
    const folders = [this.folder, ...(this.counted === undefined ? [] : [this.counted.folder])].map((parent) =>
      mkdtempSync(join(parent, "run-")),
    );
    const [data = "", countedData] = folders.map((folder) => join(folder, "data"));
    try {
      this.record(scenario, name, await scenario.run({ ...place, folder: folders[0]!, data, countedData }));
    } catch (error) {
      this.failures.push(`${scenario.title}, ${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      for (const each of folders) rmSync(each, { recursive: true, force: true });
    }
  }

  private record(scenario: DurableScenario, name: DurableName, sample: Sample): void {
    const ofScenario = this.samples.get(scenario.name) ?? new Map<Column, Sample[]>();
    this.samples.set(scenario.name, ofScenario);
    ofScenario.set(name, [...(ofScenario.get(name) ?? []), sample]);
    const faults = Object.entries(sample.faults).map(([fault, count]) => `${count} ${fault}`);
    if (faults.length > 0) this.failures.push(`${scenario.title}, ${name}: ${faults.join(", ")}`);
  }
}

/** Mosquitto 2.0 stands in where there is no 2.1, without being compared: it promises less. */
function columnsOf(plan: DurablePlan): DurableName[] {
  return DURABLE_BROKERS.filter(
    (name) => canRun(name, plan) && !(name === "mosquitto-2.0" && plan.mosquitto21 !== undefined),
  );
}

/** Threads that have more to do than there are cores wait for each other here, so that only what was before tells. */
function disturbance(loadBefore: number): string[] {
  if (loadBefore < IDLE_LOAD_MAX) return [];
  return [`The machine was not idle: its load was ${loadBefore.toFixed(1)} in the minute before`];
}

function notesOf({ plan, disk }: DurableSettings, counted: CountedDisk | undefined): string[] {
  const notes = [
    "Nothing is pinned to a core: our store has a thread of its own, so every broker and the generator may use all",
    `All files are in ${disk}, and every broker begins each scenario with an empty folder`,
  ];
  if (counted?.alone === true) notes.push("Device bytes: what an ext4 of its own gave its loop device to write");
  if (counted?.alone === false) {
    notes.push("Device bytes are those of the whole disk, whoever wrote them: as root an ext4 of its own is counted");
  }
  if (plan.mosquitto21 !== undefined) {
    notes.push("Mosquitto 2.1: persist-sqlite, sync full, a commit on every turn, which follows its acknowledgements");
  } else {
    notes.push(
      "Mosquitto 2.0 saves everything after each thousand changes and acknowledges before: it is not compared",
      "For the ratios build Mosquitto 2.1 with its persist-sqlite plugin, as its documentation says, and name both:",
      "  npm run bench -- --durable --mosquitto21 BINARY --persist-sqlite PLUGIN.so",
    );
  }
  return notes;
}
