import { mkdirSync, writeFileSync } from "node:fs";
import { freePort } from "../../support/free-port.ts";
import { COLLECTING, mosquitto, OUR_ENVIRONMENT } from "../brokers.ts";
import { type Started, start, stop, untilListening } from "../processes.ts";

/**
 * Ours with its file store; ours in memory, which shows what the store costs; Mosquitto 2.1 with its persist-sqlite
 * plugin, which commits on every turn of its loop; Mosquitto 2.0, which saves everything after each thousand changes.
 */
export const DURABLE_BROKERS = ["ours", "ours-memory", "mosquitto-2.1", "mosquitto-2.0"] as const;
export type DurableName = (typeof DURABLE_BROKERS)[number];

export interface DurablePlan {
  /** Words of the command that starts our broker. `{port}` and `{data}` are replaced, or the options appended. */
  ours: readonly string[];
  /** Where Mosquitto 2.1 and its plugin are. */
  mosquitto21: { binary: string; plugin: string } | undefined;
}

export interface DurableBroker extends Started {
  name: DurableName;
  port: number;
  /** When its process was started, by `performance.now()`. */
  startedMs: number;
}

export interface DurableStart {
  /** Its folder, kept from one start to the next. Beside it there may be a file of the same name that ends with ".conf". */
  data: string;
  env?: Record<string, string>;
  /** A Node.js broker collects its garbage on SIGUSR2. */
  collects?: boolean;
  /** Called with the port once the process runs: what it returns is awaited instead of the first connection. */
  until?: (port: number) => Promise<void>;
}

/** Nothing may be dropped because of a setting: Mosquitto's limits are lifted too. */
export const DURABLE_LIMITS = ["queuedMessages=2000000", "queuedBytes=1GiB", "inflight=1000"].flatMap((limit) => [
  "--limit",
  limit,
]);

const STOP_PATIENCE_MS = 60_000;

export function isOurs(name: DurableName): boolean {
  return name === "ours" || name === "ours-memory";
}

export function canRun(name: DurableName, plan: DurablePlan): boolean {
  if (name === "mosquitto-2.1") return plan.mosquitto21 !== undefined;
  return isOurs(name) || mosquitto !== undefined;
}

/** Starts a broker on a free port and on whatever its folder holds. It may use all cores: see the README. */
export async function startDurable(name: DurableName, plan: DurablePlan, how: DurableStart): Promise<DurableBroker> {
  const port = await freePort();
  mkdirSync(how.data, { recursive: true });
  const env = { ...(isOurs(name) ? OUR_ENVIRONMENT : {}), ...how.env };
  if (how.collects && isOurs(name)) env.NODE_OPTIONS = COLLECTING;
  const command = commandFor(name, plan, port, how.data);
  const startedMs = performance.now();
  const started = start(command, "any", { cwd: how.data, env, readsStdout: false });
  try {
    await (how.until?.(port) ?? untilListening(started, port));
  } catch (error) {
    await stop(started);
    throw new Error(`${error instanceof Error ? error.message : error} ${started.complaint()}`.trim());
  }
  return { ...started, name, port, startedMs };
}

/** An orderly end, however long the last writing takes. */
export async function stopDurable(broker: DurableBroker): Promise<void> {
  await stop(broker, STOP_PATIENCE_MS);
}

function commandFor(name: DurableName, plan: DurablePlan, port: number, data: string): string[] {
  switch (name) {
    case "ours":
      return ourCommand(plan.ours, port, data, []);
    case "ours-memory":
      return ourCommand(plan.ours, port, data, ["--store", "memory"]);
    case "mosquitto-2.1":
      return [
        plan.mosquitto21?.binary ?? "",
        "-c",
        writeConfig(port, data, pluginLines(plan.mosquitto21?.plugin ?? "")),
      ];
    case "mosquitto-2.0":
      return [mosquitto ?? "", "-c", writeConfig(port, data, AUTOSAVE_LINES)];
  }
}

function ourCommand(ours: readonly string[], port: number, data: string, more: readonly string[]): string[] {
  const words = ours.map((word) => word.replaceAll("{port}", String(port)).replaceAll("{data}", data));
  const has = (place: string): boolean => ours.some((word) => word.includes(place));
  if (!has("{port}")) words.push("--tcp-port", String(port));
  if (!has("{data}")) words.push("--data-dir", data);
  return [...words, ...more];
}

/** A period of 0 seconds ends the transaction at the beginning of the next turn of Mosquitto's loop. */
function pluginLines(plugin: string): string[] {
  return [`plugin ${plugin}`, "plugin_opt_sync full", "plugin_opt_flush_period 0"];
}

const AUTOSAVE_LINES = ["persistence true", "autosave_on_changes true", "autosave_interval 1000"];

function writeConfig(port: number, data: string, store: readonly string[]): string {
  const path = `${data}.conf`;
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "max_queued_messages 0",
    "max_inflight_messages 1000",
    "set_tcp_nodelay true",
    `persistence_location ${data}/`,
    "log_type error",
    ...store,
  ];
  // Started as root it would become a user who may not write here.
  if (process.getuid?.() === 0) lines.push("user root");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}
