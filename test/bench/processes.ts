import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** The broker has one core for itself and the generator the other, so that neither takes from the other's figure. */
export const BROKER_CORE = 0;
export const GENERATOR_CORE = 1;

/** False on a machine with one core or without `taskset`: figures then say little. */
export const canPin = availableParallelism() >= 2 && spawnSync("taskset", ["--version"]).status === 0;

const running = new Set<ChildProcess>();
// Whatever ends this process, nothing that it started goes on.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

export interface Started {
  child: ChildProcess;
  pid: number;
  /** The last 4,096 characters that it wrote to stderr, or to stdout when that is not read. */
  complaint: () => string;
  /** Resolves when it has ended and `complaint` has all of it; at once where stdout is read by the caller. */
  heard: Promise<void>;
}

/**
 * Starts a command on one core, or on all, with as many open files as the system allows. `exec` keeps the process id all
 * the way, so that what is measured and stopped is the program itself.
 */
export function start(command: readonly string[], core: number | "any", options: StartOptions): Started {
  const pinned = canPin && core !== "any" ? ["taskset", "-c", String(core), ...command] : command;
  const child = spawn("sh", ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", ...pinned], {
    cwd: options.cwd,
    env: { ...process.env, MQTT_BROKER_MDNS: "off", ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  if (child.pid === undefined) throw new Error(`Cannot start ${command[0]}`);
  running.add(child);
  child.on("exit", () => running.delete(child));
  // A generator that failed no longer reads its orders: its own message says why.
  child.stdin.on("error", () => {});
  let tail = "";
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString()).slice(-4096);
  };
  child.stderr.on("data", keep);
  if (!options.readsStdout) child.stdout.on("data", keep);
  const heard = options.readsStdout
    ? Promise.resolve()
    : new Promise<void>((resolve) => child.once("close", () => resolve()));
  return { child, pid: child.pid, complaint: () => tail.trim(), heard };
}

export interface StartOptions {
  cwd: string;
  env: Record<string, string>;
  /** The caller reads stdout itself. */
  readsStdout: boolean;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Ends the process by SIGTERM, and by SIGKILL when that takes longer than `patienceMs`. */
export async function stop({ child, heard }: Started, patienceMs = 5_000): Promise<void> {
  if (hasEnded(child)) return heard;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const impatience = setTimeout(() => child.kill("SIGKILL"), patienceMs);
  await ended;
  clearTimeout(impatience);
  await heard;
}

/** Ends the process as a power cut would: it can do nothing any more. */
export async function kill({ child }: Started): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Resolves when the port, or the Unix socket of this path, accepts; rejects when the process ends first or ten seconds have passed. */
export async function untilListening(started: Started, port: number | string): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (Date.now() < deadlineMs) {
    if (hasEnded(started.child)) throw new Error(`It ended before it listened: ${started.complaint()}`);
    if (await accepts(port)) return;
    await sleep(20);
  }
  throw new Error(`It does not listen after 10 s: ${started.complaint()}`);
}

function accepts(port: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = typeof port === "number" ? connect(port, "127.0.0.1") : connect(port);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Resident memory in bytes. Throws when there is no such process. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** The most resident memory that the process ever had, in bytes. */
export function residentBytesMax(pid: number): number {
  return statusBytes(pid, "VmHWM");
}

function statusBytes(pid: number, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (found === null) throw new Error(`Process ${pid} has no ${name}`);
  return Number(found[1]) * 1024;
}

/** Whether the process handles SIGUSR2: one that doesn't would end. */
export function handlesUserSignal(pid: number): boolean {
  const found = /^SigCgt:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return found !== null && (BigInt(`0x${found[1]}`) & (1n << 11n)) !== 0n;
}
