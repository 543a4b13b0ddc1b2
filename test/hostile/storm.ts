import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type Lifetime, type RunningBroker, startBroker } from "../smoke/program.ts";
import type { AttackersData } from "./attackers.ts";
import { quantile, type Service, WellBehaved } from "./well-behaved.ts";

/** `node test/hostile/storm.ts SECONDS SEED`: eight attackers at full rate, while twenty clients work. */
export interface StormFigures {
  service: Service;
  p99Ms: number;
  maxMs: number;
  residentBefore: number;
  residentAfter: number;
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
/** After the storm memory and descriptors have so long to return. */
const CALM_MS = 10_000;
/** The last attack of each attacker has so long to end. */
const ATTACKERS_LATE_SECONDS_MAX = 20;
const COLLECT = fileURLToPath(new URL("../bench/collect-on-signal.ts", import.meta.url));

/** A broker whose memory can be measured: SIGUSR2 collects its garbage. */
export async function startMeasured(lifetime: Lifetime, words: readonly string[] = []): Promise<RunningBroker> {
  return await startBroker(lifetime, ["--tcp-port", "0", ...words], {
    nodeWords: ["--expose-gc", "--import", COLLECT],
  });
}

/** Resident memory in bytes, after what is garbage has been thrown away. */
export async function settledBytes(pid: number): Promise<number> {
  for (let round = 0; round < 3; round++) {
    process.kill(pid, "SIGUSR2");
    await sleep(100);
  }
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
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
  await sleep(1000);
  await clients.stop();
  const residentBefore = await settledBytes(program.pid);

  clients.start(INTERVAL_MS);
  const workerData: AttackersData = { port, seed, seconds, attackers: ATTACKERS };
  const worker = new Worker(new URL("./attackers.ts", import.meta.url), { workerData });
  const late = AbortSignal.timeout((seconds + ATTACKERS_LATE_SECONDS_MAX) * 1000);
  const [attacks] = (await once(worker, "message", { signal: late })) as [Record<string, number>];
  const service = await clients.stop();
  await worker.terminate();

  const calmUntilMs = performance.now() + CALM_MS;
  await clients.disconnect();
  let residentAfter = await settledBytes(program.pid);
  const hasReturned = (): boolean =>
    residentAfter - residentBefore < 10 * 2 ** 20 && descriptorsOf(program.pid) <= descriptorsBefore;
  while (performance.now() < calmUntilMs && !hasReturned()) {
    await sleep(500);
    residentAfter = await settledBytes(program.pid);
  }
  const descriptorsAfter = descriptorsOf(program.pid);
  const { code: exitCode } = await program.stop();
  return {
    service,
    p99Ms: quantile(service.latenciesMs, 0.99),
    maxMs: quantile(service.latenciesMs, 1),
    residentBefore,
    residentAfter,
    descriptorsBefore,
    descriptorsAfter,
    internalErrors: program.stdout.split("\n").filter((line) => /internal error/i.test(line)),
    attacks,
    exitCode,
  };
}

/** The figures on a few lines, for people. */
export function describeStorm(figures: StormFigures): string {
  const { service, p99Ms, maxMs, residentBefore, residentAfter, descriptorsBefore, descriptorsAfter } = figures;
  const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const p50Ms = quantile(service.latenciesMs, 0.5);
  return [
    `${service.sent} messages, ${service.lost} lost, ${service.disordered} out of order`,
    `latency ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, longest ${maxMs.toFixed(1)} ms`,
    `resident memory ${megabytes(residentBefore)} MB before, ${megabytes(residentAfter)} MB after`,
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
