import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentShare } from "../../../device/serial/recent-share.ts";

const HOUR_MS = 3_600_000;

/** One by one, at the same time unless told otherwise: `events("....x")`, a dot for each good one. */
function add(share: RecentShare, events: string, nowMs = 0): RecentShare {
  for (const event of events) share.add(event === "." ? 1 : 0, event === "." ? 0 : 1, nowMs);
  return share;
}

test("nothing is known before 16 events", () => {
  const share = add(new RecentShare(), ".".repeat(14));
  assert.equal(share.value, undefined);
  assert.equal(add(share, "x").value, undefined);
  assert.equal(add(share, ".").value, 15 / 16);
  assert.deepEqual([share.bad, share.count], [1, 16]);
});

test("what was more than 128 events ago is forgotten, what was less than 64 ago is not", () => {
  const share = add(new RecentShare(), "x".repeat(64) + ".".repeat(64));
  assert.equal(share.value, 0.5);
  assert.equal(add(share, ".").value, 1);
  assert.deepEqual([share.bad, share.count], [0, 65]);
  assert.equal(add(share, `x${".".repeat(62)}`).value, 127 / 128);
  assert.equal(add(share, ".".repeat(64)).value, 127 / 128);
  assert.equal(add(share, ".").value, 1);
});

test("what was two hours ago is forgotten when there is evidence since, and kept when there is not", () => {
  const busy = add(new RecentShare(), "x".repeat(16));
  add(busy, ".".repeat(16), HOUR_MS);
  assert.equal(busy.value, 0.5);
  add(busy, ".", 2 * HOUR_MS);
  assert.deepEqual([busy.value, busy.count], [1, 17]);
  const slow = add(new RecentShare(), "x".repeat(8));
  add(slow, ".".repeat(8), 10 * HOUR_MS);
  assert.equal(slow.value, 0.5);
  assert.equal(add(slow, ".", 11 * HOUR_MS).value, 9 / 17);
});

test("many at once count each", () => {
  const share = new RecentShare();
  share.add(300, 100, 0);
  assert.deepEqual([share.value, share.bad, share.count], [0.75, 100, 400]);
});
