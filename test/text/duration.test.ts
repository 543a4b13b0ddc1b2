import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "../../src/text/duration.ts";

const GOOD: readonly [text: string, ms: number][] = [
  ["10s", 10_000],
  ["1h30m", 5_400_000],
  ["250ms", 250],
  ["30d", 2_592_000_000],
  ["2w", 1_209_600_000],
  ["1.5h", 5_400_000],
  ["0", 0],
  ["0s", 0],
  ["60", 60_000],
  ["0.25", 250],
  [" 5m ", 300_000],
  ["1d2h3m4s5ms", 93_784_005],
];
for (const [text, ms] of GOOD) {
  test(`the duration ${JSON.stringify(text)} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
}

for (const text of [
  "",
  " ",
  "s",
  "10 s",
  "-1s",
  "1h30",
  "10x",
  "1e3",
  "1,5h",
  "5M",
  "99999999999d",
  "∞",
  "10ss",
  "1h h",
]) {
  test(`${JSON.stringify(text)} is no duration`, () => assert.equal(parseDuration(text), undefined));
}

const FORMATTED: readonly [ms: number, text: string][] = [
  [0, "0s"],
  [250, "250ms"],
  [10_000, "10s"],
  [5_400_000, "1h30m"],
  [2_592_000_000, "30d"],
  [61_001, "1m1s1ms"],
];
for (const [ms, text] of FORMATTED) {
  test(`${ms} ms is written ${text}, which is read back the same`, () => {
    assert.equal(formatDuration(ms), text);
    assert.equal(parseDuration(text), ms);
  });
}
