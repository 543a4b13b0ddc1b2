import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { stallingDisk } from "../bench/durable/stall.ts";
import { emptyFolder, startBroker, startProgram } from "../smoke/program.ts";
import { connect, type RawClient } from "../support/raw-client.ts";

/** As stalling-disk.c has it. */
const STALL_MS = 500;
const MEASURED_MS = 2_500;
const INTERVAL_MS = 4;

/** Far below a stall, far above what a shared processor costs. */
const P99_MS_MAX = 100;

interface Measured {
  /** Milliseconds from sending to receiving, of other clients' QoS 0 messages. */
  p99Ms: number;
  messages: number;
  /** Of the QoS 1 messages that are kept meanwhile, from sending to PUBACK. */
  slowestAcknowledgementMs: number;
}

test("a disk that stalls for half a second delays acknowledgements of what is kept, and nobody else's messages", async (context) => {
  const stalls = join(emptyFolder(context), "stalls");
  const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--data-dir", emptyFolder(context)];
  const env = { LD_PRELOAD: compile(context), STALL_WHILE: stalls };
  const { program, port } = await startBroker(context, words, { env });
  const sleeper = await connect(port, { clean: false, properties: { sessionExpiryInterval: 3_600 } });
  await sleeper.subscribe("kept", { qos: 1 });
  await sleeper.disconnect();
  const quick = await measure(port);
  writeFileSync(stalls, "");
  const slow = await measure(port);
  await program.stop("SIGKILL");
  context.diagnostic(
    `slow disk: p99 of QoS 0 ${quick.p99Ms.toFixed(1)} ms, with stalls of ${STALL_MS} ms ${slow.p99Ms.toFixed(1)} ms`,
  );
  assert.ok(
    quick.slowestAcknowledgementMs < STALL_MS,
    `the disk is slow by itself: ${quick.slowestAcknowledgementMs} ms`,
  );
  assert.ok(slow.slowestAcknowledgementMs >= STALL_MS, `the disk was not slow: ${slow.slowestAcknowledgementMs} ms`);
  assert.ok(quick.messages > 200 && slow.messages > 200, `${quick.messages} and ${slow.messages} messages`);
  assert.ok(slow.p99Ms < Math.max(P99_MS_MAX, 3 * quick.p99Ms), `p99 ${slow.p99Ms} ms, without stalls ${quick.p99Ms}`);
});

test("a stop that the disk does not let end in time ends all the same, and says what that may cost", async (context) => {
  const disk = stallingDisk(emptyFolder(context), 8_000, 0);
  const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--data-dir", emptyFolder(context)];
  const { program, port } = await startBroker(context, words, { env: disk.env });
  const client = await connect(port);
  disk.begin();
  client.sendPublish("kept", "m", { qos: 1, retain: true });
  await sleep(500);
  assert.ok(disk.end() > 0, "the disk was not slow");
  const { code } = await program.stop("SIGTERM");
  assert.equal(code, 0);
  assert.match(program.stdout, /Stopped after 4\.5 seconds though the disk has not taken everything yet/);
});

test("a stop that comes while the store is being opened is one in order", async (context) => {
  const disk = stallingDisk(emptyFolder(context), 6_000, 60_000);
  disk.begin();
  const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--data-dir", emptyFolder(context)];
  const program = startProgram(context, words, { env: disk.env });
  await program.until(() => statSync(disk.env.BENCH_STALL_FLAG!).size > 0, "a disk that is slow");
  const { code } = await program.stop("SIGTERM");
  assert.equal(code, 0, program.stdout);
  assert.deepEqual(
    program.lines.filter(({ level }) => level === "error"),
    [],
  );
  assert.equal(program.lines.at(-1)?.message, "Stopping on SIGTERM");
});

async function measure(port: number): Promise<Measured> {
  const end = performance.now() + MEASURED_MS;
  const [latencies, acknowledgements] = await Promise.all([passThrough(port, end), keep(port, end)]);
  return {
    p99Ms: latencies[Math.floor(latencies.length * 0.99)]!,
    messages: latencies.length,
    slowestAcknowledgementMs: Math.max(...acknowledgements),
  };
}

/** QoS 0 from one client to another; latencies in ascending order. */
async function passThrough(port: number, endMs: number): Promise<number[]> {
  const subscriber = await connect(port);
  await subscriber.subscribe("passing");
  const publisher = await connect(port);
  const latencies: number[] = [];
  const receiving = receive(subscriber, latencies);
  while (performance.now() < endMs) {
    publisher.sendPublish("passing", `${performance.now()}`);
    await sleep(INTERVAL_MS);
  }
  publisher.sendPublish("passing", "end");
  await receiving;
  return latencies.sort((a, b) => a - b);
}

async function receive(subscriber: RawClient, latencies: number[]): Promise<void> {
  for (;;) {
    const { payload } = await subscriber.expect("publish");
    if (payload === "end") return;
    latencies.push(performance.now() - Number(payload));
  }
}

/** QoS 1 to a stored session, twenty at a time; how long each acknowledgement took. */
async function keep(port: number, endMs: number): Promise<number[]> {
  const publisher = await connect(port);
  const took: number[] = [];
  while (performance.now() < endMs) {
    const startedMs = performance.now();
    const ids = Array.from({ length: 20 }, () => publisher.sendPublish("kept", "x".repeat(200), { qos: 1 }));
    for (const id of ids) {
      await publisher.take("puback", id);
      took.push(performance.now() - startedMs);
    }
  }
  return took;
}

function compile(context: TestContext): string {
  const library = join(emptyFolder(context), "stalling-disk.so");
  const source = join(import.meta.dirname, "stalling-disk.c");
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source]);
  return library;
}
