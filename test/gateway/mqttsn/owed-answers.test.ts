import assert from "node:assert/strict";
import { test } from "node:test";
import { OwedAnswers } from "../../../src/gateway/mqttsn/owed-answers.ts";

test("a client waits until all that it asked is answered", () => {
  const owed = new OwedAnswers(10_000);
  owed.add("publish", 1, 0);
  owed.add("subscribe", 1, 500);
  assert.equal(owed.dueMs, 10_000);
  owed.settle("publish", 1);
  assert.deepEqual([owed.any, owed.has("publish", 1), owed.has("subscribe", 1)], [true, false, true]);
  owed.settle("subscribe", 1);
  assert.deepEqual([owed.any, owed.dueMs], [false, Number.POSITIVE_INFINITY]);
});

test("answers are not waited for longer than the limit, counted from the first request, however often it is repeated", () => {
  const owed = new OwedAnswers(10_000);
  owed.add("publish", 1, 0);
  for (const nowMs of [3_000, 6_000, 9_000]) owed.add("publish", 1, nowMs);
  assert.deepEqual([owed.dueMs, owed.tick(9_999), owed.any], [10_000, false, true]);
  assert.deepEqual([owed.tick(10_000), owed.any, owed.dueMs], [true, false, Number.POSITIVE_INFINITY]);
  // It is still to come, so that a repetition is not taken for a message that was lost.
  assert.equal(owed.has("publish", 1), true);
  owed.add("publish", 1, 11_000);
  assert.equal(owed.any, false);
});

test("a request after one that was given up is waited for, and an answer that comes late is settled", () => {
  const owed = new OwedAnswers(10_000);
  owed.add("pubrel", 1, 0);
  owed.tick(10_000);
  owed.add("pubrel", 2, 12_000);
  owed.settle("pubrel", 1);
  assert.deepEqual([owed.any, owed.dueMs, owed.has("pubrel", 1)], [true, 22_000, false]);
});
