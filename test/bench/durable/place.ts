import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { runGenerator, type Stage } from "../generator.ts";
import { judged, type Sample, type Subject } from "../scenarios.ts";
import {
  type DurableBroker,
  type DurableName,
  type DurablePlan,
  type DurableStart,
  startDurable,
  stopDurable,
} from "./brokers.ts";

/** Where one run of one scenario against one broker happens. */
export interface Place {
  generator: string;
  name: DurableName;
  plan: DurablePlan;
  /** On the disk that is to be measured; empty, and removed afterwards. */
  folder: string;
  /** Where the broker keeps its data: in `folder`. */
  data: string;
  /** The same on a disk that counts what it writes, where there is one. */
  countedData: string | undefined;
}

export interface DurableScenario extends Subject {
  /** Those that it says something about, as far as they can be run. */
  brokers: readonly DurableName[];
  /** It takes so long that other brokers than ours are measured in the first round only, and not with `--quick`. */
  long?: true;
  run(place: Place): Promise<Sample>;
}

/** What all messages are that brokers have to keep. */
export const MESSAGE: readonly string[] = ["--qos", "1", "--payload", "200"];

const TIMEOUT_SECONDS = 60;

/** Runs the generator on whatever core is free: see the README. */
export function generate(
  place: Place,
  args: readonly string[],
  timeoutSeconds = TIMEOUT_SECONDS,
  onStage?: (stage: string) => Promise<void>,
): Promise<Map<string, Stage>> {
  return runGenerator(place.generator, args, timeoutSeconds, onStage, "any");
}

/** Starts the broker, and ends it in good order whatever becomes of `work`. Rejects when nothing is in its folder then. */
export async function withBroker<T>(
  place: Place,
  how: DurableStart,
  work: (broker: DurableBroker) => Promise<T>,
): Promise<T> {
  const broker = await startDurable(place.name, place.plan, how);
  const result = await work(broker).finally(() => stopDurable(broker));
  // Otherwise a broker that ignores where it shall keep things would win everything.
  if (place.name !== "ours-memory" && isEmpty(how.data)) throw new Error("it kept nothing on disk");
  return result;
}

/** The faults of several runs of the generator together. */
export function faultsOf(...runs: readonly ReadonlyMap<string, Stage>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const run of runs) {
    for (const [fault, count] of Object.entries(judged(run).faults)) sum[fault] = (sum[fault] ?? 0) + count;
  }
  return sum;
}

function isEmpty(folder: string): boolean {
  return readdirSync(folder).every((name) => statSync(join(folder, name)).size === 0);
}
