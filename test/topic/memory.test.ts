/** What a subscription or retained name costs beside its texts and values: a gateway has little memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Matcher } from "../../src/topic/matcher.ts";
import { RetainedIndex } from "../../src/topic/retained.ts";

const COUNT = 50_000;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Texts as a codec makes them: flat, and a view of nothing else. */
function texts(make: (index: number) => string): string[] {
  return Array.from({ length: COUNT }, (_, index) => Buffer.from(make(index)).toString());
}

const KINDS: Record<string, (index: number) => string> = {
  "a filter without wildcards": (index) => `site/${index % 100}/device/${index}/temperature`,
  "a filter with + inside": (index) => `fleet/${index}/+/status`,
  "a filter with # behind the identifier": (index) => `site/${index % 100}/device/${index}/#`,
  "a filter with + before the identifier": (index) => `+/device/serial-number-${index}/#`,
};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind} costs 400 bytes at most, and nothing once it is removed`, (context) => {
    const filters = texts(make);
    const matcher = new Matcher<number>();
    const before = heapBytes();
    for (const [index, filter] of filters.entries()) matcher.add(filter, index);
    const bytesEach = (heapBytes() - before) / COUNT;
    context.diagnostic(`${bytesEach.toFixed(0)} bytes each`);
    assert.equal(bytesEach <= 400, true, `${bytesEach} bytes each`);

    for (const [index, filter] of filters.entries()) matcher.remove(filter, index);
    assert.equal((heapBytes() - before) / COUNT < 20, true);
  });
}

test("a retained name costs 300 bytes at most, and nothing once it is deleted", (context) => {
  const names = texts((index) => `site/${index % 100}/device-${index}/temperature`);
  const retained = new RetainedIndex<number>();
  const before = heapBytes();
  for (const [index, name] of names.entries()) retained.set(name, index);
  const bytesEach = (heapBytes() - before) / COUNT;
  context.diagnostic(`${bytesEach.toFixed(0)} bytes each`);
  assert.equal(bytesEach <= 300, true, `${bytesEach} bytes each`);

  for (const name of names) retained.delete(name);
  assert.equal((heapBytes() - before) / COUNT < 20, true);
});

test("a long name is not kept in memory by a shorter one that shares a level with it", () => {
  const retained = new RetainedIndex<number>();
  const before = heapBytes();
  for (let index = 0; index < 500; index++) {
    const shared = `level-of-many-characters-${index}`;
    const long = Buffer.from(`${shared}/${"x".repeat(10_000)}`).toString();
    retained.set(long, index);
    retained.set(Buffer.from(`${shared}/y`).toString(), index);
    retained.delete(long);
  }
  const bytesEach = (heapBytes() - before) / 500;
  assert.equal(retained.size, 500);
  assert.equal(bytesEach < 2000, true, `${bytesEach} bytes each`);
});
