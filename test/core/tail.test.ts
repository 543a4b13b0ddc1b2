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

test("keys that are removed one by one are gone, and the rest comes out as a list of them would", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), value: fc.nat(2) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove" as const), value: fc.nat(1000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("take" as const), value: fc.nat(1000) }) },
  );
  fc.assert(
    fc.property(fc.nat(300), fc.array(step, { maxLength: 400 }), (begin, steps) => {
      const tail = new Tail();
      let model: number[] = [];
      let last = 0;
      const push = (gap: number): void => {
        last += 1 + gap;
        model.push(last);
        tail.push(last, last % 7, 1);
      };
      for (let count = 0; count < begin; count++) push(count % 50 === 0 ? 1 : 0);
      for (const { kind, value } of steps) {
        if (kind === "push") push(value);
        else if (model.length === 0) continue;
        else if (kind === "remove") {
          const [key] = model.splice(value % model.length, 1);
          assert.equal(tail.has(key!), true);
          tail.remove(key!, key! % 7);
          assert.equal(tail.has(key!), false);
        } else {
          const cut = model[value % model.length]!;
          const upTo = tail.lastKeyUpTo(cut + 1);
          assert.ok(upTo >= cut && upTo <= cut + 1);
          const taken = model.filter((key) => key <= cut);
          model = model.filter((key) => key > cut);
          assert.equal(tail.takeUpTo(cut), taken.length);
          for (const key of taken) tail.bytes -= key % 7;
        }
        assert.deepEqual([tail.count, tail.firstKey], [model.length, model[0]]);
        assert.equal(
          tail.bytes,
          model.reduce((sum, key) => sum + (key % 7), 0),
        );
      }
      for (let key = 0; key <= last + 1; key++) assert.equal(tail.has(key), model.includes(key));
    }),
    { seed: 5, numRuns: 100 },
  );
});

test("that one key after the other takes the place of one before costs no room", () => {
  const tail = new Tail();
  tail.push(1, 1, 1);
  for (let key = 2; key <= 100_000; key++) {
    tail.push(key, 1, 1);
    if (key > 3) tail.remove(key - 1, 1);
  }
  assert.deepEqual([tail.count, tail.bytes, tail.firstKey], [3, 3, 1]);
  const { gone, runs } = tail as unknown as { gone: Set<number>; runs: number[] };
  assert.ok(gone.size + runs.length < 200, `${gone.size} gone, ${runs.length} ends of runs`);
});

test("pushing goes on after everything was taken", () => {
  const tail = new Tail();
  tail.push(5, 1, 1);
  tail.takeUpTo(5);
  tail.push(6, 1, 2);
  assert.deepEqual([tail.count, tail.firstKey], [1, 6]);
});
