import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { LinkHealth } from "../../../device/serial/link-health.ts";

let counters: { frames: number; checksumErrors: number; resyncs: number };
let health: LinkHealth;

beforeEach(() => {
  counters = { frames: 0, checksumErrors: 0, resyncs: 0 };
  health = new LinkHealth(counters, () => 0);
});

function times(count: number, act: () => void): void {
  for (let number = 0; number < count; number++) act();
}

test("the quality is unknown at first, and then the share of what came whole: checksums and resyncs both count against it", () => {
  assert.equal(health.quality, undefined);
  counters.frames = 15;
  assert.equal(health.quality, undefined);
  counters.frames = 16;
  assert.equal(health.quality, 1);
  counters.checksumErrors = 2;
  counters.resyncs = 2;
  assert.equal(health.quality, 0.8);
  const { incoming, outgoing } = health.shares;
  assert.deepEqual([incoming.bad, incoming.count, outgoing.count], [4, 20, 0]);
});

test("what is sent again counts against the other direction, and the worse one tells", () => {
  counters.frames = 100;
  times(15, () => health.answered(10));
  assert.equal(health.quality, 1);
  times(5, () => health.retried(true));
  assert.equal(health.quality, 0.75);
  counters.checksumErrors = 100;
  assert.equal(health.quality, 0.5);
  assert.equal(health.retries, 5);
});

test("answers alone are evidence, without anything that came damaged", () => {
  times(16, () => health.answered(10));
  assert.equal(health.quality, 1);
});

test("what is sent again because the line is unplugged is counted, and is not the line's quality", () => {
  times(20, () => health.answered(10));
  times(20, () => health.retried(false));
  assert.deepEqual([health.retries, health.quality], [20, 1]);
});

test("a line that is opened again begins anew, and its counters go on", () => {
  counters.frames = 10;
  counters.resyncs = 10;
  times(20, () => health.retried(true));
  assert.equal(health.quality, 0);
  counters.checksumErrors = 30;
  health.begin();
  assert.equal(health.quality, undefined);
  counters.frames += 16;
  assert.equal(health.quality, 1);
  assert.equal(health.retries, 20);
});

test("a quality that goes to and fro by less than a step shows one value", () => {
  counters.frames = 976;
  counters.checksumErrors = 24;
  assert.equal(health.quality, 1);
  // 0.965, which for itself is told as 0.95.
  counters.checksumErrors = 35;
  assert.equal(health.quality, 1);
  counters.checksumErrors = 45;
  assert.equal(health.quality, 0.95);
  counters.frames = 1900;
  assert.equal(health.quality, 0.95);
  counters.frames = 4455;
  assert.equal(health.quality, 1);
});

test("round trips are smoothed as RFC 6298 has it, 1/8 for the new one, and the longest is kept until it was told", () => {
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [undefined, undefined]);
  health.answered(80);
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [80, 80]);
  health.answered(160);
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [90, 160]);
  health.answered(10.04);
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [80, 160]);
  health.forgetLongest();
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [80, undefined]);
  health.answered(80);
  assert.deepEqual([health.roundTripMs, health.longestRoundTripMs], [80, 80]);
});
