import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { nameProcess } from "../../src/os/process-name.ts";

it("names the process as a whole, and leaves its arguments alone", () => {
  const before = readFileSync("/proc/self/comm", "utf8");
  const words = readFileSync("/proc/self/cmdline", "utf8");
  nameProcess("mqtt-broker");
  const after = readFileSync(`/proc/${process.pid}/comm`, "utf8");
  nameProcess(before.trim());
  assert.equal(after, "mqtt-broker\n");
  assert.equal(readFileSync("/proc/self/cmdline", "utf8"), words);
});
