import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Lifetime, type Running, type RunningBroker, type StartOptions, startBroker } from "../smoke/program.ts";
import type { AttackersOrders } from "./attackers.ts";
import { quantile, type Service, WellBehaved } from "./well-behaved.ts";

/** `node test/hostile/storm.ts SECONDS SEED`: eight attackers at full rate, while twenty clients work. */
export interface StormFigures {
  service: Service;
  p99Ms: number;
  maxMs: number;
  before: Memory;
  after: Memory;
  descriptorsBefore: number;
  descriptorsAfter: number;
  internalErrors: string[];
  /** How often each attack was made. */
  attacks: Record<string, number>;
  exitCode: number | null;
}

const ATTACKERS = 8;
const PAIRS = 10;
const INTERVAL_MS = 20;
const WARM_SECONDS = 1.5;
/** After the storm memory and descriptors have so long to return. */
const CALM_MS = 10_000;
/** The last attack of each attacker has so long to end. */
const ATTACKERS_LATE_SECONDS_MAX = 20;
const ATTACKERS_FILE = fileURLToPath(new URL("./attackers.ts", import.meta.url));
const COLLECT = fileURLToPath(new URL("./collect.ts", import.meta.url));

/** How a program is started whose memory can be measured: SIGUSR2 collects its garbage. */
export const MEASURED: StartOptions = {
  nodeWords: ["--expose-gc", "--import", COLLECT],
  // As the collection does for the heap: what malloc has free goes back to the system.
  env: { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536", MALLOC_MMAP_THRESHOLD_: "65536" },
};

export async function startMeasured(lifetime: Lifetime, words: readonly string[] = []): Promise<RunningBroker> {
  return await startBroker(lifetime, ["--tcp-port", "0", ...words], MEASURED);
}

/** Of a broker, after what is garbage has been thrown away. */
export interface Memory {
  /** What the system has given it: some of it lies free in the allocators. */
  residentBytes: number;
  /** What it really holds: the heap's objects and buffers. */
  heldBytes: number;
}

export async function settledMemory(program: Running): Promise<Memory> {
  let last = "";
  // The second and third collect what the first has only let go of.
  for (let round = 0; round < 3; round++) {
    const before = program.stderr.length;
    process.kill(program.pid, "SIGUSR2");
    await program.until(() => program.stderr.endsWith("\n") && program.stderr.length > before, "its memory");
    last = program.stderr.trimEnd().split("\n").at(-1)!;
    await sleep(50);
  }
  return JSON.parse(last) as Memory;
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export async function runStorm(lifetime: Lifetime, seconds: number, seed: number): Promise<StormFigures> {
  // What an attacker may ask to be kept goes within the calm, so that memory tells of what nobody asked for.
  const words = ["--mqtt-session-expiry-max", "2s", "--mqtt-message-expiry-max", "2s"];
  const { program, port } = await startMeasured(lifetime, words);
  const descriptorsBefore = descriptorsOf(program.pid);
  const clients = new WellBehaved();
  await clients.connect(port, PAIRS);
  clients.start(INTERVAL_MS);
  await sleep(500);
  // All code has been compiled once when the start is measured; the compiler's memory is not what a storm may cost.
  await attack({ port, seed: seed + 1, seconds: WARM_SECONDS, attackers: ATTACKERS });
  await clients.stop();
  await sleep(2 * WARM_SECONDS * 1000);
  const before = await settledMemory(program);

  clients.start(INTERVAL_MS);
  const attacks = await attack({ port, seed, seconds, attackers: ATTACKERS });
  const service = await clients.stop();

  const calmUntilMs = performance.now() + CALM_MS;
  await clients.disconnect();
  let after = await settledMemory(program);
  const hasReturned = (): boolean =>
    after.residentBytes - before.residentBytes < 10 * 2 ** 20 &&
    after.heldBytes - before.heldBytes < 2 ** 19 &&
    descriptorsOf(program.pid) <= descriptorsBefore;
  while (performance.now() < calmUntilMs && !hasReturned()) {
    await sleep(500);
    after = await settledMemory(program);
  }
  const descriptorsAfter = descriptorsOf(program.pid);
  const { code: exitCode } = await program.stop();
  return {
    service,
    p99Ms: quantile(service.latenciesMs, 0.99),
    maxMs: quantile(service.latenciesMs, 1),
    before,
    after,
    descriptorsBefore,
    descriptorsAfter,
    internalErrors: program.stdout.split("\n").filter((line) => /internal error/i.test(line)),
    attacks,
    exitCode,
  };
}

/** A process of its own, so that the well-behaved clients are not slowed down by making up attacks. */
async function attack(orders: AttackersOrders): Promise<Record<string, number>> {
  const child = fork(ATTACKERS_FILE, [JSON.stringify(orders)]);
  try {
    const late = AbortSignal.timeout((orders.seconds + ATTACKERS_LATE_SECONDS_MAX) * 1000);
    const [attacks] = await once(child, "message", { signal: late });
    return attacks as Record<string, number>;
  } finally {
    child.kill("SIGKILL");
  }
}

/** The figures on a few lines, for people. */
export function describeStorm(figures: StormFigures): string {
  const { service, p99Ms, maxMs, before, after, descriptorsBefore, descriptorsAfter } = figures;
  const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const p50Ms = quantile(service.latenciesMs, 0.5);
  return [
    `${service.sent} messages, ${service.lost} lost, ${service.disordered} out of order`,
    `latency ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, longest ${maxMs.toFixed(1)} ms`,
    `resident memory ${megabytes(before.residentBytes)} MB before, ${megabytes(after.residentBytes)} MB after`,
    `held memory ${megabytes(before.heldBytes)} MB before, ${megabytes(after.heldBytes)} MB after`,
    `descriptors ${descriptorsBefore} before, ${descriptorsAfter} after`,
    `internal errors ${figures.internalErrors.length}`,
    `attacks ${Object.entries(figures.attacks)
      .map(([name, times]) => `${name} ${times}`)
      .join(", ")}`,
  ].join("\n");
}

/** A process of its own: whatever it started ends with it. */
async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 30);
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  console.log(`${seconds} s, seed ${seed}`);
  const ends: (() => void | Promise<void>)[] = [];
  const figures = await runStorm({ after: (end) => ends.push(end) }, seconds, seed);
  console.log(describeStorm(figures));
  for (const error of figures.internalErrors) console.log(error);
  for (const end of ends.reverse()) await end();
  const { service, exitCode, internalErrors } = figures;
  process.exitCode = service.lost + service.disordered + internalErrors.length === 0 && exitCode === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
