import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AUTH_SCENARIOS } from "./auth.ts";
import { BROKERS, type BrokerName, isInstalled, OUR_COMMAND, OURS } from "./brokers.ts";
import type { DurableSettings } from "./durable/bench.ts";
import { DURABLE_LIMITS } from "./durable/brokers.ts";
import { isOnDisk } from "./durable/disk.ts";
import { DURABLE_SCENARIOS } from "./durable/scenarios.ts";
import { SCENARIOS, type Scenario, type Subject, type Timing } from "./scenarios.ts";
import { WAY_SCENARIOS } from "./ways.ts";

export const USAGE = `Usage: npm run bench -- [options]
  --quick           one short round of the scenarios that have a target
  --durable         what brokers keep on disk: see below
  --auth            what a file of 1,000 users and 1,000 rules costs, against no rules at all
  --tls             the ways in: TLS, WebSocket, Unix sockets, and connects with a full TLS handshake
  --rounds N        how often everything is repeated (default 3, with --quick 1)
  --only TEXT       only scenarios whose name contains TEXT; may be repeated
  --brokers A,B     of ${BROKERS.join(", ")} (default: all that are installed, with --quick not aedes)
  --ours "COMMAND"  start our broker like this; {port} is replaced, or --tcp-port PORT appended
  --workers N       --worker-threads N for our broker, which is then not pinned to one core (default 0: none)
  --json FILE       write all samples and the table there too
  --list            name the scenarios

With --durable what brokers keep on disk is measured instead, by itself and against Mosquitto 2.1:
  --mosquitto21 FILE     its binary (or $BENCH_MOSQUITTO21), and
  --persist-sqlite FILE  its plugin (or $BENCH_PERSIST_SQLITE); both belong together
  --disk FOLDER          a folder of the disk that is to be measured (default: that of temporary files)
  --ours "COMMAND"       as above; {data} is replaced too, or --data-dir FOLDER appended`;

const ROUNDS_MAX = 100;
/** As many as the broker takes. */
const WORKERS_MAX = 64;

export interface Settings {
  scenarios: readonly Scenario[];
  brokers: readonly BrokerName[];
  rounds: number;
  timing: Timing;
  ours: readonly string[];
  /** Threads that our broker has for its connections. */
  workers: number;
}

export class UsageError extends Error {}

/** What stands on the command line. Throws for an option that is not there. */
export function readArguments(args: string[]) {
  return parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      durable: { type: "boolean", default: false },
      auth: { type: "boolean", default: false },
      tls: { type: "boolean", default: false },
      workers: { type: "string" },
      rounds: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      brokers: { type: "string" },
      ours: { type: "string" },
      mosquitto21: { type: "string" },
      "persist-sqlite": { type: "string" },
      disk: { type: "string" },
      json: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  }).values;
}

export type Values = ReturnType<typeof readArguments>;

export function settingsOf(values: Values, all: readonly Scenario[] = SCENARIOS): Settings {
  return {
    scenarios: chosenScenarios(all, values, ({ quick }) => quick || !values.quick),
    brokers: chosenBrokers(values.brokers, values.quick),
    rounds: roundsOf(values),
    timing: values.quick ? { warmupMs: 150, durationMs: 500 } : { warmupMs: 300, durationMs: 800 },
    ours: wordsOf(values.ours) ?? OURS,
    workers: numberOf("--workers", values.workers ?? "0", 0, WORKERS_MAX),
  };
}

/** Ours beside Mosquitto, by all ways in that both have. */
export function waySettingsOf(values: Values): Settings {
  if (values.ours?.includes("{port}")) throw new UsageError("--tls appends how ours listens, so leave {port} out");
  const brokers = chosenBrokers(values.brokers, true);
  if (brokers.includes("aedes")) throw new UsageError("Aedes has no ways in of its own, so it is not for --tls");
  return { ...settingsOf(values, WAY_SCENARIOS), brokers };
}

/** Ours with rules, and ours without. */
export function authSettingsOf(values: Values): Settings {
  if (values.brokers !== undefined)
    throw new UsageError("--brokers is not for --auth, which compares ours with itself");
  return {
    ...settingsOf(values),
    scenarios: chosenScenarios(AUTH_SCENARIOS, values, () => true),
    brokers: ["ours", "allow-all"],
  };
}

export function durableSettingsOf(values: Values): DurableSettings {
  if (values.brokers !== undefined) throw new UsageError("--brokers is not for --durable, which takes all it can run");
  const disk = resolve(values.disk ?? tmpdir());
  if (!isOnDisk(disk)) throw new UsageError(`${disk} is kept in memory: name a folder on a disk with --disk`);
  const binary = values.mosquitto21 ?? process.env.BENCH_MOSQUITTO21;
  const plugin = values["persist-sqlite"] ?? process.env.BENCH_PERSIST_SQLITE;
  if ((binary === undefined) !== (plugin === undefined)) {
    throw new UsageError("--mosquitto21 and --persist-sqlite belong together");
  }
  for (const path of [binary, plugin]) {
    if (path !== undefined && !existsSync(path)) throw new UsageError(`There is no file ${path}`);
  }
  const ours = wordsOf(values.ours) ?? [...OUR_COMMAND, ...DURABLE_LIMITS];
  const mosquitto21 =
    binary === undefined || plugin === undefined ? undefined : { binary: resolve(binary), plugin: resolve(plugin) };
  return {
    scenarios: chosenScenarios(DURABLE_SCENARIOS, values, () => true),
    rounds: roundsOf(values),
    quick: values.quick,
    plan: { ours, mosquitto21 },
    disk,
  };
}

function chosenScenarios<T extends Subject>(all: readonly T[], { only }: Values, isUsual: (one: T) => boolean): T[] {
  const chosen = all.filter((one) => (only.length > 0 ? only.some((text) => one.name.includes(text)) : isUsual(one)));
  if (chosen.length === 0) throw new UsageError(`No scenario's name contains ${only.join(" or ")}`);
  return chosen;
}

function roundsOf(values: Values): number {
  return numberOf("--rounds", values.rounds ?? (values.quick ? "1" : "3"), 1, ROUNDS_MAX);
}

function numberOf(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < least || value > most) {
    throw new UsageError(`${option} takes ${least} to ${most}`);
  }
  return value;
}

function wordsOf(command: string | undefined): string[] | undefined {
  return command?.split(/\s+/).filter((word) => word !== "");
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
