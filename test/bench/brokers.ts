import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/free-port.ts";
import { type Door, type Identities, mosquittoLines, ourWords, sinkWords, type Way } from "./doors.ts";
import {
  BROKER_CORE,
  handlesUserSignal,
  residentBytes,
  type Started,
  start,
  stop,
  untilListening,
} from "./processes.ts";

export const BROKERS = ["ours", "mosquitto", "aedes", "sink"] as const;
/** "allow-all" is ours without rules: what ours with rules is compared with. */
export type BrokerName = (typeof BROKERS)[number] | "allow-all";

export interface Broker extends Started {
  name: BrokerName;
  port: number;
  /** Where clients go instead of plain TCP. */
  door?: Door;
}

export interface BrokerPlan {
  /** A folder for configurations and data, removed by the caller. */
  folder: string;
  /** The generator's executable, which is also the sink. */
  generator: string;
  /** Words of the command that starts our broker; `{port}` is replaced, or `--tcp-port PORT` appended. */
  ours: readonly string[];
  /** Ours may use all cores: it has threads for its connections. */
  threads?: boolean;
  /** Words for the sink, of faults that it is to make. */
  sinkFaults?: readonly string[];
  /** Certificates, for ways that need one. */
  identities?: Identities;
  /** The rules of ours; undefined: none. */
  authFile?: string;
}

/** Nothing may be dropped because of a setting: Mosquitto's limits are lifted too. */
const OUR_LIMITS = [
  "queuedMessages=200000",
  "queuedBytes=1073741824",
  "linkPendingBytes=1073741824",
  "linkPendingPackets=1000000",
  "inflight=1000",
].flatMap((limit) => ["--limit", limit]);

const here = import.meta.dirname;

/** NODE_OPTIONS with which a broker collects its garbage on SIGUSR2. */
export const COLLECTING = `--expose-gc --import ${join(here, "collect-on-signal.ts")}`;

const root = resolve(here, "../..");

/** As `npm start` runs it: "NAME=value … packaging/node FLAGS src/main.ts". */
const startWords = (
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: { start: string } }
).scripts.start.split(" ");
const nodeAt = startWords.indexOf("packaging/node");

/** The environment that `npm start` gives it, with paths from the root of the repository. */
export const OUR_ENVIRONMENT = Object.fromEntries(
  startWords.slice(0, nodeAt).map((word) => {
    const [name = "", value = ""] = word.split("=");
    return [name, value.includes("/") ? resolve(root, value) : value];
  }),
);

/** As `npm start` starts it, and quiet. */
export const OUR_COMMAND: readonly string[] = [
  process.execPath,
  ...startWords.slice(nodeAt + 1).map((word) => (word.startsWith("-") ? word : resolve(root, word))),
  "--log-level",
  "warn",
];

/** In memory, as the others are: what durability costs is measured by itself. */
export const OURS: readonly string[] = [...OUR_COMMAND, "--store", "memory", ...OUR_LIMITS];

/** Debian installs daemons where a plain user's PATH does not look. */
export const mosquitto = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"].find((path) =>
  existsSync(path),
);

export function isInstalled(name: BrokerName): boolean {
  return name !== "mosquitto" || mosquitto !== undefined;
}

/** "mosquitto version 2.0.11", of the installed one or of the binary at `path`. */
export function mosquittoVersion(path: string | undefined = mosquitto): string {
  if (path === undefined) return "Mosquitto is not installed";
  const { stdout } = spawnSync(path, ["-h"], { encoding: "utf8" });
  return stdout?.split("\n")[0] || `${path} does not tell its version`;
}

/**
 * Starts a broker on a free port and resolves when it accepts connections.
 * `collects`: a Node.js broker collects its garbage on SIGUSR2, for measurements of memory.
 * `way`: it listens there, instead of by plain TCP.
 */
export async function startBroker(name: BrokerName, plan: BrokerPlan, collects: boolean, way?: Way): Promise<Broker> {
  const port = await freePort();
  // Each broker in a folder of its own: no configuration of the caller's is found, and its data goes away with it.
  const cwd = join(plan.folder, `${name}-${port}`);
  mkdirSync(cwd, { recursive: true });
  const env: Record<string, string> = name === "ours" || name === "allow-all" ? { ...OUR_ENVIRONMENT } : {};
  if (collects && isNode(name)) env.NODE_OPTIONS = COLLECTING;
  const door = way === undefined ? undefined : doorOf(way, plan, port, cwd);
  const core = name === "ours" && plan.threads === true ? "any" : BROKER_CORE;
  const started = start(commandFor(name, plan, port, cwd, door), core, { cwd, env, readsStdout: false });
  try {
    await untilListening(started, way?.over === "unix" ? door!.path : port);
  } catch (error) {
    await stop(started);
    throw error;
  }
  return { ...started, name, port, ...(door !== undefined && { door }) };
}

export function isNode(name: BrokerName): boolean {
  return name !== "mosquitto" && name !== "sink";
}

function doorOf(way: Way, { identities }: BrokerPlan, port: number, cwd: string): Door {
  if (identities === undefined) throw new Error("There are no certificates");
  return { way, port, path: join(cwd, "socket"), identity: identities[way.key] };
}

function commandFor(name: BrokerName, plan: BrokerPlan, port: number, cwd: string, door: Door | undefined): string[] {
  switch (name) {
    case "ours":
      if (door !== undefined) return [...plan.ours, ...ourWords(door)];
      return [...ourCommand(plan, port), ...(plan.authFile === undefined ? [] : ["--auth-file", plan.authFile])];
    case "allow-all":
      return [...ourCommand(plan, port), "--allow-anonymous"];
    case "mosquitto":
      return [mosquitto ?? "mosquitto", "-c", writeMosquittoConfig(cwd, port, door)];
    case "aedes":
      return [process.execPath, join(here, "aedes-server.ts"), String(port)];
    case "sink":
      return [
        plan.generator,
        "sink",
        ...(door === undefined ? ["--port", String(port)] : sinkWords(door)),
        ...(plan.sinkFaults ?? []),
      ];
  }
}

function ourCommand({ ours }: BrokerPlan, port: number): string[] {
  const words = ours.map((word) => word.replaceAll("{port}", String(port)));
  return ours.some((word) => word.includes("{port}")) ? words : [...words, "--tcp-port", String(port)];
}

function writeMosquittoConfig(cwd: string, port: number, door: Door | undefined): string {
  const path = join(cwd, "mosquitto.conf");
  const lines = [
    ...(door === undefined ? [`listener ${port} 127.0.0.1`] : mosquittoLines(door)),
    "allow_anonymous true",
    "max_queued_messages 0",
    "max_inflight_messages 1000",
    "set_tcp_nodelay true",
    "persistence false",
    "log_type error",
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

/** Resident memory in bytes once the broker is quiet, for Node.js after forced collections (see `collects`). */
export async function settledBytes(broker: Started, onNode: boolean): Promise<number> {
  // The second collection frees what finalizers of the first let go.
  for (let pass = 0; pass < 2; pass++) {
    await sleep(300);
    if (onNode && handlesUserSignal(broker.pid)) broker.child.kill("SIGUSR2");
  }
  await sleep(400);
  return residentBytes(broker.pid);
}
