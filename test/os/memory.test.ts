import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryReturn, thisMachine } from "../../src/os/memory.ts";

const MIB = 1024 * 1024;

/** A process of so many bytes whose collections leave `left` and take `pauseMs`. */
function stage(bytes: number, left: number, utilization = 0, pauseMs = 0) {
  const process = { bytes, utilization, nowMs: 0, collections: 0 };
  const memory = new MemoryReturn({
    collect: () => {
      process.collections++;
      process.bytes = left;
      process.nowMs += pauseMs;
    },
    residentBytes: () => process.bytes,
    utilization: () => process.utilization,
    nowMs: () => process.nowMs,
  });
  return { process, memory };
}

test("MemoryReturn collects when the process has grown and the loop is quiet", () => {
  const { process, memory } = stage(70 * MIB, 75 * MIB);
  process.bytes = 240 * MIB;
  memory.look();
  assert.equal(process.collections, 1);
  assert.equal(process.bytes, 75 * MIB);
});

test("MemoryReturn leaves a busy loop alone, and collects when it has become quiet", () => {
  const { process, memory } = stage(70 * MIB, 75 * MIB, 0.9);
  process.bytes = 240 * MIB;
  memory.look();
  assert.equal(process.collections, 0);
  process.utilization = 0.1;
  memory.look();
  assert.equal(process.collections, 1);
});

test("MemoryReturn does not collect again what a collection has left, until it has grown by a part of that", () => {
  const { process, memory } = stage(70 * MIB, 200 * MIB);
  process.bytes = 240 * MIB;
  memory.look();
  memory.look();
  assert.equal(process.collections, 1);
  process.bytes = 229 * MIB;
  memory.look();
  assert.equal(process.collections, 1);
  process.bytes = 231 * MIB;
  memory.look();
  assert.equal(process.collections, 2);
});

test("MemoryReturn rests 500 times as long as a collection took", () => {
  const { process, memory } = stage(70 * MIB, 75 * MIB, 0, 20);
  process.bytes = 240 * MIB;
  memory.look();
  process.bytes = 240 * MIB;
  process.nowMs = 20 + 9_999;
  memory.look();
  assert.equal(process.collections, 1);
  process.nowMs = 20 + 10_000;
  memory.look();
  assert.equal(process.collections, 2);
});

test("MemoryReturn waits while the system does not say how large the process is", () => {
  let bytes: number | undefined;
  let collections = 0;
  const memory = new MemoryReturn({
    collect: () => {
      collections++;
      bytes = undefined;
    },
    residentBytes: () => bytes,
    utilization: () => 0,
    nowMs: () => 0,
  });
  memory.look();
  assert.equal(collections, 0);
  bytes = 240 * MIB;
  memory.look();
  assert.equal(collections, 1);
  bytes = 250 * MIB;
  memory.look();
  assert.equal(collections, 1);
});

test("without /proc, or when no file can be opened, the process has no size, and goes on", (context) => {
  context.mock.method(process.memoryUsage, "rss", () => {
    throw Object.assign(new Error("EMFILE: too many open files, uv_resident_set_memory"), { code: "EMFILE" });
  });
  assert.equal(thisMachine().residentBytes(), undefined);
});

test("MemoryReturn gives what has become garbage back to the system", () => {
  const memory = new MemoryReturn({ ...thisMachine(), utilization: () => 0 });
  let garbage: unknown[] | undefined = Array.from({ length: 1_000_000 }, (_, index) => ({ index, text: `${index}` }));
  assert.equal(garbage.length, 1_000_000);
  garbage = undefined;
  const grown = process.memoryUsage.rss();
  memory.look();
  assert.ok(process.memoryUsage.rss() < grown - 16 * MIB, `${grown} bytes, then ${process.memoryUsage.rss()}`);
});
