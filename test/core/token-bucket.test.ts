import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "../../src/core/token-bucket.ts";

function bucket(perSecond: number): TokenBucket {
  const made = new TokenBucket("messages");
  made.bound(perSecond, "limit x");
  return made;
}

/** How many single tokens it gives at once. */
function drain(from: TokenBucket, nowMs: number): number {
  let taken = 0;
  for (; !from.isEmpty(nowMs) && taken < 10_000; taken++) from.take(1, nowMs);
  return taken;
}

test("one second's worth comes at once, whatever the rate", () => {
  for (const rate of [1, 2, 3, 7, 10, 97, 1000]) assert.equal(drain(bucket(rate), 50_000), rate, `${rate}`);
});

test("then a token comes back each 1/rate of a second, and never more than a second's worth are saved", () => {
  const tokens = bucket(4);
  drain(tokens, 0);
  assert.equal(tokens.refilledAtMs(), 250);
  assert.equal(drain(tokens, 249), 0);
  assert.equal(drain(tokens, 250), 1);
  assert.equal(drain(tokens, 750), 2);
  assert.equal(drain(tokens, 1_000_000), 4);
});

test("who finds one token may take more than there are, and the average holds", () => {
  const bytes = bucket(100);
  bytes.take(1000, 0);
  assert.equal(bytes.debtMs(0), 9000);
  assert.equal(bytes.isEmpty(9009), true);
  assert.equal(bytes.isEmpty(9010), false);
  assert.equal(bytes.refilledAtMs(), 9010);
});

test("over a long time no more than the rate gets through", () => {
  const tokens = bucket(7);
  let taken = 0;
  for (let nowMs = 0; nowMs < 100_000; nowMs += 13) taken += drain(tokens, nowMs);
  assert.equal(taken, 7 + Math.floor((Math.floor(99_999 / 13) * 13 * 7) / 1000));
});

test("without a rate it is never empty, and keeps no account", () => {
  const free = bucket(0);
  free.take(1e9, 0);
  assert.deepEqual([free.isEmpty(0), free.isFull(0)], [false, true]);
});

test("another rate does not forgive what was taken", () => {
  const tokens = bucket(10);
  drain(tokens, 0);
  tokens.bound(20, "limit x");
  assert.equal(drain(tokens, 0), 0);
  assert.equal(drain(tokens, 100), 2);
  assert.equal(tokens.excess, "more than 20 messages a second (limit x)");
});
