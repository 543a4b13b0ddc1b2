/** One file, so that nothing else of this suite runs while something is measured. */
import assert from "node:assert/strict";
import { connect as open, type Socket } from "node:net";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RECORD_BOUNDS } from "../../src/auth/traffic/traffic-record.ts";
import { startBroker } from "../smoke/program.ts";
import { connect, connectBytes, dial, RawClient } from "../support/raw-client.ts";
import { describeStorm, descriptorsOf, runStorm, settledMemory, startMeasured } from "./storm.ts";
import { quantile } from "./well-behaved.ts";

const STORM_SECONDS = 6;
const MEGABYTE = 2 ** 20;

async function openSilently(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => open({ port, host: "127.0.0.1" }).on("error", () => {}));
  await Promise.all(
    sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve).once("close", resolve))),
  );
  return sockets;
}

/** A conversation that shows that a client is served. */
async function isServed(client: RawClient): Promise<void> {
  await client.subscribe("served", { qos: 1 });
  await client.publish("served", "yes");
  await client.expect("publish", { topic: "served", payload: "yes" });
  await client.unsubscribe("served");
}

suite("the storm", () => {
  test("eight attackers at full rate harm none of twenty clients, and leave nothing behind", async (context) => {
    const seed = Number(process.env.STORM_SEED ?? Date.now() % 2 ** 31);
    const figures = await runStorm(context, STORM_SECONDS, seed);
    const { service, p99Ms, before, after, descriptorsBefore, descriptorsAfter } = figures;
    const described = `STORM_SEED=${seed}\n${describeStorm(figures)}`;
    context.diagnostic(described);
    assert.ok(service.sent > 1000, described);
    assert.equal(service.lost, 0, described);
    assert.equal(service.disordered, 0, described);
    // Alone on two cores it is about 30 ms, and 50 the aim. Here a third process shares them, and so may other suites.
    assert.ok(p99Ms < 500, described);
    assert.ok(after.residentBytes - before.residentBytes < 20 * MEGABYTE, described);
    // The record of who used which topic may grow to its bound, and keeps what it has.
    assert.ok(after.heldBytes - before.heldBytes < 2 * MEGABYTE + RECORD_BOUNDS.bytesMax, described);
    // Fewer when the broker was still reading a file of its own at the beginning.
    assert.ok(descriptorsAfter <= descriptorsBefore, described);
    assert.deepEqual(figures.internalErrors, [], described);
    assert.equal(figures.exitCode, 0, described);
    assert.ok(Object.keys(figures.attacks).length >= 15, described);
  });
});

suite("a subscriber that never reads, among a hundred that do", () => {
  /** Latencies of a hundred subscribers, ascending, while 13 MB/s go to whoever wants `filler`. */
  async function measure(
    subscribers: readonly RawClient[],
    publisher: RawClient,
    filler: RawClient,
  ): Promise<number[]> {
    const latenciesMs: number[] = [];
    const rounds = 60;
    const large = "x".repeat(64 * 1024);
    const receiving = subscribers.map(async (subscriber) => {
      for (let round = 0; round < rounds; round++) {
        const { payload } = await subscriber.expect("publish", { topic: "work" });
        latenciesMs.push(performance.now() - Number(payload));
      }
    });
    for (let round = 0; round < rounds; round++) {
      for (let part = 0; part < 4; part++) filler.sendPublish("filler", large);
      publisher.sendPublish("work", String(performance.now()));
      await sleep(20);
    }
    await Promise.all(receiving);
    return latenciesMs.sort((a, b) => a - b);
  }

  test("it costs its write budget alone, is counted in $SYS, and the others hardly notice", async (context) => {
    const words = ["--sys-interval", "200ms", "--limit", "linkPendingBytes=1MiB"];
    const { program, port } = await startMeasured(context, words);
    const subscribers: RawClient[] = [];
    for (let index = 0; index < 100; index++) {
      const subscriber = await connect(port, { version: 4 });
      await subscriber.subscribe("work");
      subscribers.push(subscriber);
    }
    const publisher = await connect(port);
    const filler = await connect(port);
    const without: number[] = [];
    const withIt: number[] = [];
    // Once with one who does read, so that memory is compared with a broker that has handed out as much before.
    const reader = await connect(port);
    await reader.subscribe("filler");
    await measure(subscribers, publisher, filler);
    await reader.drop();
    const before = await settledMemory(program);
    let held = 0;
    let resident = 0;
    // In alternation, so that whatever else the machine does falls on both.
    for (let round = 0; round < 3; round++) {
      without.push(...(await measure(subscribers, publisher, filler)));
      const never = await connect(port, { clientId: `never reads ${round}` });
      await never.subscribe([{ topic: "work" }, { topic: "filler" }]);
      never.socket.pause();
      withIt.push(...(await measure(subscribers, publisher, filler)));
      const now = await settledMemory(program);
      held = Math.max(held, now.heldBytes - before.heldBytes);
      resident = Math.max(resident, now.residentBytes - before.residentBytes);
      await never.drop();
    }
    const watcher = await connect(port);
    await sleep(300);
    await watcher.subscribe("$SYS/broker/publish/dropped/slowReader");
    const dropped = Number((await watcher.expect("publish")).payload);
    const [p99Without, p99With] = [without, withIt].map((all) =>
      quantile(
        all.sort((a, b) => a - b),
        0.99,
      ),
    ) as [number, number];
    const figures =
      `p99 ${p99Without.toFixed(1)} ms without, ${p99With.toFixed(1)} ms with it; ` +
      `${(held / MEGABYTE).toFixed(1)} MB held more, ${(resident / MEGABYTE).toFixed(1)} MB resident; ${dropped} messages dropped`;
    context.diagnostic(figures);
    assert.ok(dropped > 100, figures);
    const line = await program.line("Dropping messages for a client", ({ client }) => client === "never reads 0");
    assert.equal(line.reason, "slowReader");
    // The budget of 1 MiB, and a message of 64 KiB that began below it.
    assert.ok(held < 2 * MEGABYTE, figures);
    assert.ok(resident < 16 * MEGABYTE, figures);
    // The aim is 10 %: on a machine with other work the two differ by more than that without any cause.
    assert.ok(p99With < 2 * p99Without + 20, figures);
  });
});

suite("connections that lead to nothing", () => {
  for (const [title, bytesPerStep] of [
    ["sends a CONNECT a byte at a time", 1],
    ["says nothing", 0],
  ] as const) {
    test(`who ${title} is cut off after connectTimeout, and others are served meanwhile`, async (context) => {
      const { program, port } = await startBroker(context, ["--tcp-port", "0", "--limit", "connectTimeout=500ms"]);
      const bytes = connectBytes({ clientId: "slow loris, whose CONNECT is long enough" });
      const other = await connect(port);
      const slow = await RawClient.open(port);
      const startedMs = performance.now();
      for (let at = 0; !slow.closed && at < bytes.length; at++) {
        if (bytesPerStep > 0) slow.sendBytes(bytes.subarray(at, at + bytesPerStep));
        await isServed(other);
        await sleep(20);
      }
      await slow.expectClose();
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs >= 450 && tookMs < 2000, `${tookMs} ms`);
      const line = await program.line("Connection refused");
      assert.equal(line.reason, "no complete CONNECT in time");
      assert.match(String(line.address), /^127\.0\.0\.1:\d+$/);
      await isServed(other);
    });
  }

  test("beyond `clients` each is refused by 0x89 or 3, those who are in stay, and a place that gets free is given", async (context) => {
    const { port } = await startBroker(context, ["--tcp-port", "0", "--limit", "clients=5"]);
    const clients = await Promise.all([0, 1, 2, 3, 4].map((index) => connect(port, { clientId: `in${index}` })));
    const refuse = async (version: 3 | 4 | 5, code: number): Promise<void> => {
      for (let round = 0; round < 5; round++) {
        const flood = await Promise.all(Array.from({ length: 20 }, () => dial(port, { version })));
        for (const client of flood) await client.expectConnackRefusal(code);
      }
    };
    await Promise.all([refuse(3, 3), refuse(4, 3), refuse(5, 0x89)]);
    for (const client of clients) await isServed(client);
    // Its own place is never refused to a client whose connection broke unnoticed.
    const again = await connect(port, { clientId: "in0" });
    await clients[0]!.expectDisconnect(0x8e);
    await clients[1]!.disconnect();
    const next = await connect(port, { clientId: "next" });
    for (const client of [again, next, ...clients.slice(2)]) await isServed(client);
  });

  test("a flood of silent connections leaves those who are in alone, and its descriptors come back", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--limit", "connectTimeout=1s"]);
    const client = await connect(port);
    const before = descriptorsOf(program.pid);
    const sockets = await openSilently(port, 1500);
    await isServed(client);
    await sleep(1200);
    await isServed(client);
    for (const socket of sockets) socket.destroy();
    await program.until(() => descriptorsOf(program.pid) <= before, `${before} descriptors`);
    await isServed(client);
  });

  test("with too few open files it says so, refuses what is too much, serves who is in, and recovers", async (context) => {
    const { program, port } = await startFewFiles(context);
    const warning = await program.line(/^At most \d+ clients: the system allows 80 open files/);
    assert.equal(warning.level, "warn");
    const client = await connect(port);
    const sockets = await openSilently(port, 200);
    await isServed(client);
    const refused = await program.line("Connection refused", ({ reason }) => reason === "too many connections");
    assert.match(String(refused.address), /^127\.0\.0\.1:\d+$/);
    for (const socket of sockets) socket.destroy();
    await sleep(100);
    const next = await connect(port);
    await isServed(next);
    await isServed(client);
    assert.equal((await program.stop()).code, 0);
  });
});

suite("clients above a rate", () => {
  test("a 3.1.1 client that floods is read from at its rate: nothing is lost, nothing overtakes", async (context) => {
    const { port } = await startBroker(context, ["--tcp-port", "0", "--limit", "clientMessagesPerSecond=500"]);
    const reader = await connect(port, { version: 4 });
    await reader.subscribe("flood");
    const flooder = await connect(port, { version: 4 });
    const startedMs = performance.now();
    const identifiers = Array.from({ length: 1500 }, (_, index) =>
      flooder.sendPublish("flood", `${index} ${"x".repeat(200)}`, { qos: 1 }),
    );
    for (let index = 0; index < 1500; index++) {
      const { payload } = await reader.expect("publish");
      assert.equal(Number(String(payload).split(" ")[0]), index);
    }
    for (const messageId of identifiers) await flooder.expect("puback", { messageId });
    const tookMs = performance.now() - startedMs;
    // 500 at once, and the others at 500 a second.
    assert.ok(tookMs > 1900 && tookMs < 5000, `${tookMs} ms`);
  });

  test("a 5.0 client that goes on is told 0x97 for each message, then 0x96, and the others are served", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--limit", "clientMessagesPerSecond=10"]);
    const other = await connect(port);
    const flooder = await connect(port, { clientId: "flooder" });
    for (let index = 0; index < 111; index++) flooder.sendPublish("flood", "x", { qos: 1 });
    const codes: number[] = [];
    for (let index = 0; index < 110; index++) codes.push((await flooder.expect("puback")).reasonCode ?? 0);
    assert.deepEqual(codes.slice(0, 10), new Array(10).fill(0x10));
    // Some of the budget may have come back while they were sent.
    assert.ok(codes.slice(10).filter((code) => code === 0x97).length >= 95);
    for (let index = 0; index < 30; index++) flooder.sendPublish("flood", "x");
    await flooder.expectDisconnect(0x96);
    const line = await program.line("Client disconnected", ({ client }) => client === "flooder");
    assert.match(String(line.reason), /^sends on above its rate: more than 10 messages a second/);
    await other.publish("served", "yes", { qos: 1 });
  });

  test("an address that connects too often is told 0x9F, then cut off, and those who are in stay", async (context) => {
    const words = ["--tcp-port", "0", "--limit", "addressConnectionsPerSecond=5"];
    const { program, port } = await startBroker(context, words);
    const client = await connect(port);
    const answers = await Promise.all(
      Array.from({ length: 60 }, async () => {
        try {
          const newcomer = await dial(port);
          const { reasonCode = 0 } = await newcomer.expect("connack");
          return reasonCode;
        } catch {
          return -1;
        }
      }),
    );
    const count = (code: number): number => answers.filter((answer) => answer === code).length;
    assert.ok(count(0) >= 4 && count(0) < 15, answers.join(" "));
    assert.ok(count(0x9f) >= 10 && count(0x9f) < 30, answers.join(" "));
    assert.equal(count(0) + count(0x9f) + count(-1), 60);
    assert.ok(count(-1) > 10, answers.join(" "));
    await client.publish("served", "yes", { qos: 1 });
    const line = await program.line("Connection refused");
    assert.match(
      String(line.reason),
      /^refused: more than 5 connections a second \(limit addressConnectionsPerSecond\)/,
    );
  });
});

function startFewFiles(context: TestContext): ReturnType<typeof startBroker> {
  return startBroker(context, ["--tcp-port", "0"], { before: ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh"] });
}
