import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Broker, type BrokerName, type BrokerPlan, OURS, startBroker } from "./brokers.ts";
import { makeIdentities, mosquittoLines, type Way } from "./doors.ts";
import { compileGenerator, runGenerator, type Stage } from "./generator.ts";
import { stop } from "./processes.ts";
import { towards } from "./scenarios.ts";
import { readArguments, waySettingsOf } from "./settings.ts";
import { WAY_SCENARIOS } from "./ways.ts";

const NOTHING = { lost: 0, duplicated: 0, reordered: 0, misrouted: 0, refused: 0, unacknowledged: 0 };
const ways = new Map(WAY_SCENARIOS.map(({ way }) => [way!.name, way!]));

describe("the load generator by other ways than TCP", { concurrency: 2 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-bench-ways-"));
  let plan: BrokerPlan;

  before(() => {
    const identities = makeIdentities(folder);
    plan = { folder, generator: compileGenerator(folder), ours: OURS, identities };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function withBroker(name: BrokerName, way: Way, use: (broker: Broker) => Promise<void>, extra: string[] = []) {
    const broker = await startBroker(name, { ...plan, ours: [...plan.ours, ...extra] }, false, way);
    try {
      await use(broker);
    } finally {
      await stop(broker);
    }
  }

  async function load(broker: Broker, ...words: string[]): Promise<Stage> {
    const short = ["--warmup", "0", "--duration", "50", "--silence", "1000"];
    return (await runGenerator(plan.generator, ["pubsub", ...towards(broker), ...short, ...words], 20)).get("result")!;
  }

  function faultsOf(stage: Stage): Record<string, number | undefined> {
    return Object.fromEntries(Object.keys(NOTHING).map((name) => [name, stage[name]]));
  }

  for (const name of ["tls", "tls12", "ws-each", "wss", "unix"]) {
    it(`loses nothing with our broker by "${name}", and connects again and again`, async () => {
      await withBroker("ours", ways.get(name)!, async (broker) => {
        // The large messages take several TLS records and the long form of a WebSocket frame's length.
        for (const words of [
          ["--qos", "1"],
          ["--publishers", "1", "--subscribers", "20", "--payload", "20000"],
        ]) {
          const result = await load(broker, "--window", "20", ...words);
          assert.deepEqual(faultsOf(result), NOTHING);
          assert.ok(result.sent! > 0);
          assert.equal(result.delivered, result.sent! * (words.includes("--subscribers") ? 20 : 1));
        }
        const connects = [
          "connects",
          ...towards(broker),
          "--in-progress",
          "4",
          "--warmup",
          "0",
          "--count",
          "5",
          "--duration",
          "100",
        ];
        const result = (await runGenerator(plan.generator, connects, 20)).get("result")!;
        // More than there are clients, so that the same came again.
        assert.ok(result.connected! > 4);
      });
    });
  }

  for (const [name, client] of [
    ["wss", ["--web", "1", "--tls", "13", "--each", "1"]],
    ["wss", ["--web", "1", "--tls", "13"]],
    ["tls", ["--tls", "12", "--each", "1"]],
    ["unix", []],
  ] as const) {
    it(`counts exactly what the sink drops, duplicates and swaps by "${name}" with ${client.join(" ") || "nothing more"}`, async () => {
      const faults = ["--drop-every", "101", "--duplicate-every", "97", "--swap-every", "53"];
      const broker = await startBroker("sink", { ...plan, sinkFaults: faults }, false, { ...ways.get(name)!, client });
      try {
        // A batch of these is a long frame, which TLS cuts where a mask does not begin anew.
        const result = await load(broker, "--qos", "1", "--payload", "1001");
        await stop(broker);
        const truth = JSON.parse(broker.complaint().split("\n").at(-1)!) as Stage;
        assert.ok(truth.dropped! > 0 && truth.duplicated! > 0 && truth.swapped! > 0);
        assert.equal(result.lost, truth.dropped);
        assert.equal(result.duplicated, truth.duplicated);
        assert.equal(result.reordered, truth.swapped);
      } finally {
        await stop(broker);
      }
    });
  }

  it("speaks the version of TLS that it was asked for, and no other", async () => {
    const only13 = ["--tls-min-version", "TLSv1.3"];
    await withBroker(
      "ours",
      ways.get("tls")!,
      async (broker) => {
        const at = [
          "connects",
          "--port",
          String(broker.port),
          "--warmup",
          "0",
          "--duration",
          "50",
          "--count",
          "2",
          "--in-progress",
          "1",
        ];
        await assert.rejects(runGenerator(plan.generator, [...at, "--tls", "12"], 10), {
          message: "Client bench-guest-0: Protocol error",
        });
        await assert.rejects(runGenerator(plan.generator, [...at, "--tls", "13", "--web", "1"], 10), {
          message: /^Client bench-guest-0: /,
        });
        const { connected } = (await runGenerator(plan.generator, [...at, "--tls", "13"], 10)).get("result")!;
        assert.ok(connected! > 1);
      },
      only13,
    );
  });

  it("names a refused WebSocket, a certificate that is missing and one that is none", async () => {
    await withBroker("ours", ways.get("ws")!, async (broker) => {
      const plain = ["connects", "--port", String(broker.port), "--duration", "50", "--in-progress", "1"];
      await assert.rejects(runGenerator(plan.generator, plain, 10), { message: /^Client bench-guest-0: / });
    });
    const sink = ["sink", "--tls", "13", "--port", "0", "--certificate"];
    await assert.rejects(runGenerator(plan.generator, [...sink, "/nowhere.crt"], 5), {
      message: /^Cannot use the certificate \/nowhere\.crt: /,
    });
    await assert.rejects(runGenerator(plan.generator, [...sink, plan.identities!.ecdsa.certificate], 5), {
      message: /^Cannot use the key that --key did not name: /,
    });
  });

  it("gives Mosquitto a listener beside the one for WebSocket, without which it would not start", () => {
    const door = { way: ways.get("wss")!, port: 8084, path: "/run/m.sock", identity: plan.identities!.rsa };
    assert.deepEqual(mosquittoLines(door), [
      "user root",
      "listener 0 /run/m.sock",
      "listener 8084 127.0.0.1",
      "protocol websockets",
      `certfile ${join(folder, "rsa.crt")}`,
      `keyfile ${join(folder, "rsa.key")}`,
    ]);
  });
});

describe("the options of the bench for ways in", () => {
  const settings = (...words: string[]) => waySettingsOf(readArguments(["--tls", ...words]));

  it("choose from the ways, and have no workers unless they are asked for", () => {
    const { scenarios, brokers, workers } = settings("--only", "ws-each", "--brokers", "ours,sink");
    assert.deepEqual(
      scenarios.map(({ name, way }) => [name, way?.name]),
      ["q0-10-10", "q1-10-10", "fan-out-100"].map((load) => [`ws-each-${load}`, "ws-each"]),
    );
    assert.deepEqual([brokers, workers], [["ours", "sink"], 0]);
    assert.equal(settings("--brokers", "ours", "--workers", "2").workers, 2);
  });

  it("refuse what says nothing about ways", () => {
    const usual = ["--brokers", "ours"];
    assert.throws(() => settings("--brokers", "aedes"), { message: /^Aedes has no ways in of its own/ });
    assert.throws(() => settings(...usual, "--ours", "broker -p {port}"), { message: /so leave \{port\} out$/ });
    assert.throws(() => settings(...usual, "--workers=65"), { message: "--workers takes 0 to 64" });
    assert.throws(() => settings(...usual, "--workers", ""), { message: "--workers takes 0 to 64" });
  });
});
