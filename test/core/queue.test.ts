import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_PROPERTIES } from "../../src/codec/packet.ts";
import { Message } from "../../src/core/message.ts";
import { Outgoing } from "../../src/core/outgoing.ts";
import { Queue } from "../../src/core/queue.ts";

function waiting(payloadBytes: number): Outgoing {
  const bytes = new Uint8Array(payloadBytes);
  const message = new Message("topic", 1, false, NO_PROPERTIES, Number.POSITIVE_INFINITY, bytes, 0, payloadBytes);
  return new Outgoing(message, 1, false, undefined, undefined, 0);
}

const sizes = (all: readonly Outgoing[]): number[] => all.map((one) => one.message.payloadEnd);

test("a queue gives back what came first, and counts payload and topic bytes", () => {
  const queue = new Queue();
  for (const size of [1, 2, 3]) queue.push(waiting(size));
  assert.deepEqual([queue.length, queue.bytes], [3, 6 + 3 * 5]);
  assert.equal(queue.peek()?.message.payloadEnd, 1);
  assert.equal(queue.shift()?.message.payloadEnd, 1);
  assert.deepEqual([queue.length, queue.bytes], [2, 5 + 2 * 5]);
});

test("an empty queue has nothing to give", () => {
  const queue = new Queue();
  assert.deepEqual([queue.peek(), queue.shift(), queue.length, queue.bytes], [undefined, undefined, 0, 0]);
  assert.deepEqual(
    queue.extract(() => true),
    [],
  );
});

test("extract takes out in order and leaves the rest in order", () => {
  const queue = new Queue();
  for (let size = 0; size < 20; size++) queue.push(waiting(size));
  for (let count = 0; count < 5; count++) queue.shift();
  for (let size = 20; size < 25; size++) queue.push(waiting(size));
  assert.deepEqual(sizes(queue.extract((one) => one.message.payloadEnd % 5 === 0)), [5, 10, 15, 20]);
  assert.equal(queue.length, 16);
  assert.deepEqual(sizes(queue.extract(() => true)), [6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 21, 22, 23, 24]);
  assert.deepEqual([queue.length, queue.bytes], [0, 0]);
});

test("a queue that was long and is empty again works as a new one", () => {
  const queue = new Queue();
  for (let round = 0; round < 2; round++) {
    for (let size = 0; size < 3000; size++) queue.push(waiting(size % 7));
    for (let size = 0; size < 3000; size++) assert.equal(queue.shift()?.message.payloadEnd, size % 7);
    assert.deepEqual([queue.length, queue.bytes], [0, 0]);
  }
});

test("one that is removed from the midst leaves the others in order, and the queue no longer than it has to be", () => {
  const queue = new Queue();
  const kept = waiting(1);
  queue.push(kept);
  let last = waiting(2);
  queue.push(last);
  for (let count = 0; count < 10_000; count++) {
    const next = waiting(3);
    queue.remove(last);
    queue.push(next);
    last = next;
  }
  assert.deepEqual([queue.length, queue.bytes], [2, 4 + 2 * 5]);
  assert.equal((queue as unknown as { slots: unknown[] }).slots.length, 8);
  assert.deepEqual([...queue.waiting()], [kept, last]);
  assert.deepEqual([queue.shift(), queue.shift(), queue.shift()], [kept, last, undefined]);
});

test("any pushing, removing, shifting and extracting agrees with an array", () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("push" as const), value: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("shift" as const), value: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), value: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("extract" as const), value: fc.nat(9) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const queue = new Queue();
      let model: number[] = [];
      for (const { kind, value } of operations) {
        if (kind === "push") {
          queue.push(waiting(value));
          model.push(value);
        } else if (kind === "shift") assert.equal(queue.shift()?.message.payloadEnd, model.shift());
        else if (kind === "remove") {
          if (model.length === 0) continue;
          const at = value % model.length;
          queue.remove([...queue.waiting()][at]!);
          model.splice(at, 1);
        } else {
          const taken = queue.extract((one) => one.message.payloadEnd === value);
          assert.deepEqual(
            sizes(taken),
            model.filter((size) => size === value),
          );
          model = model.filter((size) => size !== value);
        }
        assert.equal(queue.length, model.length);
        assert.equal(
          queue.bytes,
          model.reduce((sum, size) => sum + size + 5, 0),
        );
        assert.equal(queue.peek()?.message.payloadEnd, model[0]);
      }
    }),
    { numRuns: 300, seed: 13 },
  );
});
