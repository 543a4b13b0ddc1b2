import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startBroker } from "../support/broker-under-test.ts";
import { freePort } from "../support/free-port.ts";
import { compileGenerator, runGenerator, type Stage } from "./generator.ts";
import { type Started, start, stop, untilListening } from "./processes.ts";

const NO_FAULTS = { lost: 0, duplicated: 0, reordered: 0, misrouted: 0, refused: 0, unacknowledged: 0, stalls: 0 };

describe("the load generator's accounts", () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-bench-test-"));
  let generator = "";

  before(() => {
    generator = compileGenerator(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs a short `pubsub` against a sink with these faults; returns the generator's account and the sink's. */
  async function exchange(faults: readonly string[], load: readonly string[]): Promise<[Stage, Stage]> {
    const port = await freePort();
    const command = [generator, "sink", "--port", String(port), ...faults];
    const sink: Started = start(command, 0, { cwd: folder, env: {}, readsStdout: false });
    try {
      await untilListening(sink, port);
      const short = ["--warmup", "0", "--duration", "50", "--silence", "500", "--port", String(port)];
      const stages = await runGenerator(generator, ["pubsub", ...short, ...load], 20);
      await stop(sink);
      return [stages.get("result")!, JSON.parse(sink.complaint().split("\n").at(-1)!) as Stage];
    } finally {
      await stop(sink);
    }
  }

  function faultsOf(stage: Stage): Record<string, number | undefined> {
    return Object.fromEntries(Object.keys(NO_FAULTS).map((name) => [name, stage[name]]));
  }

  for (const qos of [0, 1, 2]) {
    for (const version of [4, 5]) {
      it(`finds no fault where there is none, at QoS ${qos} with protocol version ${version}`, async () => {
        const [result] = await exchange([], ["--qos", String(qos), "--version", String(version)]);
        assert.deepEqual(faultsOf(result), NO_FAULTS);
        assert.ok(result.sent! > 0);
        assert.equal(result.expected, result.sent);
        assert.equal(result.delivered, result.sent);
      });
    }

    it(`counts exactly what the sink drops, duplicates and swaps at QoS ${qos}`, async () => {
      const faults = ["--drop-every", "101", "--duplicate-every", "97", "--swap-every", "53"];
      const [result, truth] = await exchange(faults, ["--qos", String(qos)]);
      assert.ok(truth.dropped! > 0 && truth.duplicated! > 0 && truth.swapped! > 0);
      assert.equal(result.lost, truth.dropped);
      assert.equal(result.duplicated, truth.duplicated);
      assert.equal(result.reordered, truth.swapped);
      assert.equal(result.delivered, result.expected! - truth.dropped! + truth.duplicated!);
    });
  }

  it("expects a message of a fan-out once from every subscriber", async () => {
    const [result] = await exchange([], ["--publishers", "1", "--subscribers", "30"]);
    assert.equal(result.expected, result.sent! * 30);
    assert.equal(result.delivered, result.expected);
    assert.deepEqual(faultsOf(result), NO_FAULTS);
  });

  it("tells the publishers of one topic apart", async () => {
    const [result] = await exchange(["--drop-every", "7"], ["--publishers", "20", "--subscribers", "1"]);
    assert.equal(result.delivered! + result.lost!, result.sent);
    assert.equal(result.misrouted, 0);
    assert.equal(result.reordered, 0);
  });

  it("takes from a sleeper's queue what each publisher stored there, in order", async () => {
    const broker = await startBroker();
    try {
      const port = ["--port", String(broker.port)];
      const load = ["--qos", "1", "--publishers", "3", "--count", "300", "--window", "10"];
      const stages = await runGenerator(generator, ["offline", ...port, ...load], 20);
      assert.equal(stages.get("stored")!.messages, 300);
      const { expected, messages, lost, duplicated, reordered, misrouted } = stages.get("result")!;
      assert.deepEqual([expected, messages], [300, 300]);
      assert.deepEqual([lost, duplicated, reordered, misrouted], [0, 0, 0, 0]);
    } finally {
      await broker.stop();
    }
  });

  it("misses what was stocked and is not there any more", async () => {
    const load = ["--qos", "1", "--sessions", "20", "--count", "200", "--window", "10", "--silence", "100"];
    const broker = await startBroker();
    const other = await startBroker();
    try {
      await runGenerator(generator, ["stock", ...load, "--port", String(broker.port)], 20);
      const take = async (port: number): Promise<Record<string, number | undefined>> => {
        const { lost, misrouted, messages } = (
          await runGenerator(generator, ["take", ...load, "--port", String(port)], 20)
        ).get("result")!;
        return { lost, misrouted, messages };
      };
      assert.deepEqual(await take(broker.port), { lost: 0, misrouted: 0, messages: 400 });
      // What was taken from the sessions is gone, the retained messages stay.
      assert.deepEqual(await take(broker.port), { lost: 200, misrouted: 0, messages: 200 });
      // Each session that the broker does not know counts too.
      assert.deepEqual(await take(other.port), { lost: 400, misrouted: 20, messages: 0 });
    } finally {
      await broker.stop();
      await other.stop();
    }
  });

  it("refuses an option that is not there and a value out of range", async () => {
    await assert.rejects(runGenerator(generator, ["pubsub", "--nothing", "1"], 5), {
      message: "There is no option --nothing",
    });
    await assert.rejects(runGenerator(generator, ["pubsub", "--qos", "3"], 5), {
      message: "--qos takes 0 to 2, not '3'",
    });
  });

  it("names the reason when nothing listens", async () => {
    const port = String(await freePort());
    await assert.rejects(runGenerator(generator, ["pubsub", "--port", port], 5), {
      message: "Client bench-pub-0: Connection refused",
    });
  });
});
