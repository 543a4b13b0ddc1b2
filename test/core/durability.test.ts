import assert from "node:assert/strict";
import { test } from "node:test";
import { Durability } from "../../src/core/durability.ts";

test("the first filter that matches decides, else the policy for all", () => {
  const durability = new Durability({
    delayMs: 0,
    topics: [
      { topicFilter: "a/b", delayMs: 5 },
      { topicFilter: "a/#", delayMs: Number.POSITIVE_INFINITY },
    ],
  });
  const found = ["a/b", "a/c", "a", "b"].map((topic) => durability.delayMs(topic));
  assert.deepEqual(found, [5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0]);
  // Once more from memory.
  assert.equal(durability.delayMs("a/b"), 5);
});

test("what is remembered is bounded", () => {
  const durability = new Durability({ delayMs: 1, topics: [{ topicFilter: "x/#", delayMs: 2 }] });
  for (let number = 0; number < 25_000; number++) assert.equal(durability.delayMs(`t/${number}`), 1);
  assert.equal(durability.delayMs("x/1"), 2);
});
