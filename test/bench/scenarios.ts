import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, isNode, settledBytes } from "./brokers.ts";
import { clientWords, type Door, type Way } from "./doors.ts";
import { runGenerator, type Stage } from "./generator.ts";
import { residentBytes } from "./processes.ts";
import type { Column } from "./table.ts";

/** What a figure has to reach: a ratio to another column's median of the same run, or a value of its own. */
export type Target =
  | { kind: "ratio at least"; value: number }
  | { kind: "ratio at most"; value: number }
  | { kind: "at least"; value: number }
  | { kind: "at most"; value: number };

export type Unit = "per second" | "us" | "ms" | "bytes" | "MB" | "%" | "x";

export interface Figure {
  name: string;
  unit: Unit;
  target?: Target;
  /** Whom the ratio compares us with, where that is not the broker of the whole scenario. */
  against?: Column;
}

/** What the table has to know of a scenario. */
export interface Subject {
  name: string;
  title: string;
  figures: readonly Figure[];
  /** Whom the ratios compare us with; without it Mosquitto. */
  against?: Column;
}

export interface Timing {
  warmupMs: number;
  durationMs: number;
}

export interface Scenario extends Subject {
  /** Part of `--quick`: those that the targets speak of. */
  quick: boolean;
  /** Aedes speaks 3.1.1 only. */
  version5: boolean;
  /** The sink can play the broker, and shows the generator's ceiling. */
  sink: boolean;
  /** Wants a broker that has done nothing yet. */
  fresh: boolean;
  /** Wants a broker that can be told to collect its garbage (see collect-on-signal.ts). */
  collects: boolean;
  /** How clients come in; without it by plain TCP. */
  way?: Way;
  run(generator: string, broker: Broker, timing: Timing): Promise<Sample>;
}

/** One run of one scenario against one broker. */
export interface Sample {
  values: Record<string, number>;
  /** Lost, duplicated, reordered, misrouted, refused, unacknowledged: only those that are not 0. */
  faults: Record<string, number>;
  /** The greatest share of an interval in which the broker or the generator had to wait for its core. */
  waited: number;
}

export const PER_CPU = "per CPU-second";
export const TIMEOUT_SECONDS = 40;
// Whoever writes to a sleeping reader pays for waking it. Asleep, the generator would bill its rest to the brokers that
// write often.
const SPIN = ["--spin", "1"];
const FAULTS = ["lost", "duplicated", "reordered", "misrouted", "refused", "unacknowledged", "stalls"];

export const atLeastRatio = (value: number): Target => ({ kind: "ratio at least", value });
export const atMost = (value: number): Target => ({ kind: "at most", value });

export const SCENARIOS: readonly Scenario[] = [
  startUp(),
  traffic("q0-1-1", "QoS 0, 1 -> 1", "--publishers 1 --subscribers 1"),
  traffic("q0-10-10", "QoS 0, 10 -> 10", "", atLeastRatio(6)),
  traffic("q0-100-100", "QoS 0, 100 -> 100", "--publishers 100 --subscribers 100"),
  traffic("q0-10-10-1k", "QoS 0, 10 -> 10, 1 KiB", "--payload 1024"),
  traffic("q0-10-10-v5", "QoS 0, 10 -> 10, MQTT 5", "--version 5"),
  traffic("q1-1-1", "QoS 1, 1 -> 1", "--qos 1 --publishers 1 --subscribers 1"),
  traffic("q1-10-10", "QoS 1, 10 -> 10", "--qos 1", atLeastRatio(5)),
  traffic("q1-100-100", "QoS 1, 100 -> 100", "--qos 1 --publishers 100 --subscribers 100 --window 40"),
  traffic("q1-10-10-1k", "QoS 1, 10 -> 10, 1 KiB", "--qos 1 --payload 1024"),
  traffic("q2-1-1", "QoS 2, 1 -> 1", "--qos 2 --publishers 1 --subscribers 1"),
  traffic("q2-10-10", "QoS 2, 10 -> 10", "--qos 2", atLeastRatio(5)),
  traffic("q2-100-100", "QoS 2, 100 -> 100", "--qos 2 --publishers 100 --subscribers 100 --window 40"),
  traffic("q2-10-10-1k", "QoS 2, 10 -> 10, 1 KiB", "--qos 2 --payload 1024"),
  traffic("fan-out-100", "fan-out, 1 -> 100", "--publishers 1 --subscribers 100", atLeastRatio(8)),
  traffic("fan-out-1000", "fan-out, 1 -> 1000", "--publishers 1 --subscribers 1000", atLeastRatio(8)),
  traffic("fan-out-100-q1", "fan-out, 1 -> 100, QoS 1", "--qos 1 --publishers 1 --subscribers 100"),
  traffic("fan-out-100-1k", "fan-out, 1 -> 100, 1 KiB", "--payload 1024 --publishers 1 --subscribers 100"),
  traffic("fan-in", "fan-in, 100 -> 1", "--publishers 100 --subscribers 1 --window 4000", atLeastRatio(3)),
  traffic("fan-in-q1", "fan-in, 100 -> 1, QoS 1", "--qos 1 --publishers 100 --subscribers 1 --window 4000"),
  latency("latency-q0", "5,000 msg/s, QoS 0", "0"),
  latency("latency-q1", "5,000 msg/s, QoS 1", "1"),
  idle(),
  subscriptions(),
  stored("retained-q0", "50,000 retained, QoS 0", "retained", "0", "send"),
  stored("retained-q1", "50,000 retained, QoS 1", "retained", "1", "send"),
  stored("offline", "50,000 offline, QoS 1", "offline", "1", "drain"),
];

function startUp(): Scenario {
  return {
    name: "start",
    title: "memory at start",
    figures: [{ name: "RSS", unit: "MB", target: atMost(70) }],
    quick: true,
    version5: false,
    sink: false,
    fresh: true,
    collects: false,
    async run(_generator, broker) {
      await sleep(1000);
      return { values: { RSS: residentBytes(broker.pid) / 1e6 }, faults: {}, waited: 0 };
    },
  };
}

export function traffic(name: string, title: string, args: string, target?: Target): Scenario {
  const figure: Figure = { name: "messages", unit: "per second" };
  return {
    name,
    title,
    figures: [target === undefined ? figure : { ...figure, target }, { name: PER_CPU, unit: "per second" }],
    quick: target !== undefined,
    version5: args.includes("--version 5"),
    sink: true,
    fresh: false,
    collects: false,
    async run(generator, broker, timing) {
      const words = args === "" ? [] : args.split(" ");
      const stages = await runGenerator(
        generator,
        ["pubsub", ...towards(broker), ...timed(timing), ...SPIN, ...words],
        TIMEOUT_SECONDS,
      );
      const result = stageOf(stages, "result");
      return {
        values: {
          messages: figureOf(result, "perSecond"),
          [PER_CPU]: figureOf(result, "perCpuSecond"),
          "generator CPU": figureOf(result, "generatorCpu") * 100,
        },
        ...judged(stages),
      };
    },
  };
}

export function latency(name: string, title: string, qos: string, args = ""): Scenario {
  return {
    name,
    title,
    figures: [
      { name: "p50", unit: "us", target: { kind: "ratio at most", value: 1.3 } },
      { name: "p90", unit: "us" },
      { name: "p99", unit: "us", target: atMost(2000) },
      { name: "max", unit: "us" },
      { name: "CPU", unit: "%", target: { kind: "ratio at most", value: 1.6 } },
    ],
    quick: true,
    version5: false,
    sink: true,
    fresh: false,
    collects: false,
    async run(generator, broker, timing) {
      // A percentile of 99 needs some thousand messages.
      const longer = { warmupMs: timing.warmupMs, durationMs: timing.durationMs * 2 };
      const words = ["latency", ...towards(broker), ...timed(longer), "--rate", "5000", "--qos", qos];
      const stages = await runGenerator(generator, [...words, ...args.split(" ").filter(Boolean)], TIMEOUT_SECONDS);
      const result = stageOf(stages, "result");
      return {
        values: {
          p50: figureOf(result, "p50Us"),
          p90: figureOf(result, "p90Us"),
          p99: figureOf(result, "p99Us"),
          max: figureOf(result, "maxUs"),
          CPU: figureOf(result, "brokerCpu") * 100,
          "generator late p99": figureOf(result, "generatorLateP99Us"),
        },
        ...judged(stages),
      };
    },
  };
}

function idle(): Scenario {
  const connections = 10_000;
  return {
    name: "idle",
    title: "10,000 idle connections",
    figures: [
      { name: "connects", unit: "per second", target: { kind: "at least", value: 10_000 } },
      { name: "memory each", unit: "bytes", target: atMost(10_000) },
    ],
    quick: true,
    version5: false,
    sink: false,
    fresh: true,
    collects: true,
    async run(generator, broker) {
      const before = await settledBytes(broker, isNode(broker.name));
      let after = before;
      const args = ["idle", ...towards(broker), "--count", String(connections)];
      const stages = await runGenerator(generator, args, TIMEOUT_SECONDS, async () => {
        after = await settledBytes(broker, isNode(broker.name));
      });
      return {
        values: {
          connects: figureOf(stageOf(stages, "connected"), "perSecond"),
          "memory each": (after - before) / connections,
        },
        ...judged(stages),
      };
    },
  };
}

function subscriptions(): Scenario {
  const count = 100_000;
  return {
    name: "subscriptions",
    title: "100,000 subscriptions",
    figures: [
      { name: "subscribes", unit: "per second" },
      { name: "memory each", unit: "bytes", target: atMost(1000) },
      { name: "messages", unit: "per second", target: atLeastRatio(3) },
      { name: PER_CPU, unit: "per second" },
    ],
    quick: true,
    version5: false,
    sink: false,
    fresh: true,
    collects: true,
    async run(generator, broker, timing) {
      const bytes: Record<string, number> = {};
      const args = ["subscriptions", ...towards(broker), ...timed(timing), ...SPIN, "--count", String(count)];
      const stages = await runGenerator(generator, args, TIMEOUT_SECONDS, async (stage) => {
        bytes[stage] = await settledBytes(broker, isNode(broker.name));
      });
      const result = stageOf(stages, "result");
      return {
        values: {
          subscribes: figureOf(stageOf(stages, "subscribed"), "perSecond"),
          "memory each": ((bytes.subscribed ?? 0) - (bytes.connected ?? 0)) / count,
          messages: figureOf(result, "perSecond"),
          [PER_CPU]: figureOf(result, "perCpuSecond"),
        },
        ...judged(stages),
      };
    },
  };
}

/** Messages that the broker keeps (`store`) and hands out later (`handOut` is what that is called). */
function stored(name: string, title: string, mode: string, qos: string, handOut: string): Scenario {
  return {
    name,
    title,
    figures: [
      { name: "store", unit: "per second", target: atLeastRatio(1.5) },
      { name: handOut, unit: "per second", target: atLeastRatio(1.5) },
    ],
    quick: qos === "1",
    version5: false,
    sink: false,
    fresh: true,
    collects: false,
    async run(generator, broker) {
      const args = [mode, ...towards(broker), "--qos", qos, "--count", "50000", "--publishers", "1"];
      const stages = await runGenerator(generator, args, TIMEOUT_SECONDS);
      return {
        values: {
          store: figureOf(stageOf(stages, "stored"), "perSecond"),
          [handOut]: figureOf(stageOf(stages, "result"), "perSecond"),
        },
        ...judged(stages),
      };
    },
  };
}

export function towards(broker: { port: number; pid: number; door?: Door }): string[] {
  const place = broker.door === undefined ? ["--port", String(broker.port)] : clientWords(broker.door);
  return [...place, "--pid", String(broker.pid)];
}

export function timed(timing: Timing): string[] {
  return ["--warmup", String(timing.warmupMs), "--duration", String(timing.durationMs)];
}

export function stageOf(stages: ReadonlyMap<string, Stage>, name: string): Stage {
  const stage = stages.get(name);
  if (stage === undefined) throw new Error(`The generator did not report "${name}"`);
  return stage;
}

export function figureOf(stage: Stage, name: string): number {
  const value = stage[name];
  if (value === undefined) throw new Error(`The generator did not report ${name}`);
  return value;
}

export function judged(stages: ReadonlyMap<string, Stage>): Pick<Sample, "faults" | "waited"> {
  const faults: Record<string, number> = {};
  let waited = 0;
  for (const stage of stages.values()) {
    for (const name of FAULTS) {
      if ((stage[name] ?? 0) !== 0) faults[name] = (faults[name] ?? 0) + (stage[name] ?? 0);
    }
    waited = Math.max(waited, stage.brokerWaited ?? 0, stage.generatorWaited ?? 0);
  }
  return { faults, waited };
}
