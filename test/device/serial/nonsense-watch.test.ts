import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLine } from "../../../device/serial/line-spec.ts";
import { NonsenseWatch } from "../../../device/serial/nonsense-watch.ts";

test("bytes that make no sense for three seconds are told once, until a frame comes", () => {
  const watch = new NonsenseWatch(parseLine("/dev/ttyUSB0:9600,framing=slip,parity=even", [])!);
  const told = (frames: number, bytes: number, nowMs: number) => watch.complaint({ frames }, bytes, nowMs);
  watch.begin();
  assert.equal(told(0, 500, 1000), undefined);
  assert.equal(told(0, 500, 3999), undefined);
  assert.equal(
    told(0, 24, 4000),
    "1024 bytes came on /dev/ttyUSB0 in 3 s and none of them made sense as framing slip: is the baud rate really 9600, and the parity even?",
  );
  assert.equal(told(0, 5000, 9000), undefined);
  assert.equal(told(1, 10, 10_000), undefined);
  assert.equal(told(1, 500, 12_999), undefined);
  assert.equal(told(1, 1, 13_000)?.startsWith("511 bytes came on /dev/ttyUSB0 in 3 s"), true);
});

test("a few bytes are no reason to complain, and neither is a line that was opened a moment ago", () => {
  const watch = new NonsenseWatch(parseLine("/dev/ttyUSB0", [])!);
  watch.begin();
  assert.equal(watch.complaint({ frames: 0 }, 10, 0), undefined);
  assert.equal(watch.complaint({ frames: 0 }, 53, 60_000), undefined);
  watch.begin();
  assert.equal(watch.complaint({ frames: 0 }, 64, 120_000), undefined);
  assert.equal(
    watch.complaint({ frames: 0 }, 1, 123_000),
    "65 bytes came on /dev/ttyUSB0 in 3 s and none of them made sense as any framing that is known: is the baud rate really 115200, and the parity none?",
  );
});
