import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Tail } from "../../src/core/tail.ts";

test("keys in a row are one run; what is taken leaves in order", () => {
  const tail = new Tail();
  for (let key = 100; key < 1_000_100; key++) tail.push(key, 2, 7);
  assert.deepEqual([tail.count, tail.bytes, tail.firstKey, tail.lastBatch], [1_000_000, 2_000_000, 100, 7]);
  assert.equal(tail.lastKeyUpTo(5000), 5000);
  assert.equal(tail.takeUpTo(5000), 4901);
  assert.deepEqual([tail.count, tail.firstKey], [995_099, 5001]);
  assert.equal(tail.takeUpTo(2_000_000), 995_099);
  assert.equal(tail.firstKey, undefined);
});

test("any keys that grow come out as a list of them would", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(500)), fc.array(fc.nat(500), { maxLength: 20 }), (pushed, cuts) => {
      const tail = new Tail();
      let model = pushed.toSorted((a, b) => a - b);
      for (const key of model) tail.push(key, 1, 1);
      for (const cut of cuts) {
        const before = model.length;
        const last = model.filter((key) => key <= cut).at(-1);
        if (last !== undefined) assert.equal(tail.lastKeyUpTo(cut), last);
        model = model.filter((key) => key > cut);
        assert.equal(tail.takeUpTo(cut), before - model.length);
        assert.equal(tail.count, model.length);
        assert.equal(tail.firstKey, model[0]);
      }
    }),
  );
});

test("pushing goes on after everything was taken", () => {
  const tail = new Tail();
  tail.push(5, 1, 1);
  tail.takeUpTo(5);
  tail.push(6, 1, 2);
  assert.deepEqual([tail.count, tail.firstKey], [1, 6]);
});
