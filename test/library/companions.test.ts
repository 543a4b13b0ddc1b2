import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultLimits } from "../../src/core/limits.ts";
import { defaultOptions } from "../../src/core/options.ts";
import { allowAll } from "../../src/library.ts";
import { HostClock } from "../../src/os/clock.ts";
import { type Companion, RunningBroker } from "../../src/running-broker.ts";

const SILENT = { enabled: () => false, error() {}, warn() {}, info() {}, debug() {}, trace() {} };

test("a listener that is taken away closes when its companions have said goodbye to it, and is not listed any more by then", async () => {
  const calls: string[] = [];
  const companion: Companion = {
    start: async () => {},
    stop: async () => {},
    leaving: async () => {
      calls.push(`goodbye, without ${broker.listeners.map(({ name }) => name)}`);
      await sleep(20);
      calls.push("said");
    },
  };
  const broker: RunningBroker = new RunningBroker({
    options: defaultOptions(),
    limits: defaultLimits(),
    access: allowAll(),
    hooks: [],
    log: SILENT,
    clock: new HostClock(),
    ticks: true,
    companions: [companion],
  });
  const close = async (): Promise<void> => void calls.push("close");
  await broker.addListener({ name: "a", url: "fake:a", listen: async () => {}, close });
  await broker.addListener({ name: "b", url: "fake:b", listen: async () => {}, close: async () => {} });
  await broker.start();
  await broker.removeListener("a");
  await broker.removeListener("b", true);
  await broker.stop();
  assert.deepEqual(calls, ["goodbye, without b", "said", "close"]);
});
