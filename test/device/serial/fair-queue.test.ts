import assert from "node:assert/strict";
import { test } from "node:test";
import { FairQueue, type Queued } from "../../../device/serial/fair-queue.ts";

interface Item extends Queued {
  readonly name: string;
}

const OCTETS = 10;

/** An answer, which is not expendable. */
function answer(name: string): Item {
  return { name, message: new Uint8Array(OCTETS), isExpendable: false };
}

function news(name: string): Item {
  return { ...answer(name), isExpendable: true };
}

/** Takes out as many as there are, at most `most`. */
function taken(queue: FairQueue<Item>, most = Number.POSITIVE_INFINITY): string[] {
  const names: string[] = [];
  queue.drain(({ name }) => {
    if (names.length >= most) return false;
    names.push(name);
    return true;
  });
  return names;
}

test("each client in turn gets one through, in its own order, wherever the line was full", () => {
  const queue = new FairQueue<Item>(1000);
  for (const name of ["a1", "a2", "a3", "b1", "c1", "c2"]) queue.add(name[0]!, news(name));
  assert.deepEqual(taken(queue, 2), ["a1", "b1"]);
  assert.deepEqual(taken(queue, 0), []);
  queue.add("b", news("b2"));
  assert.deepEqual(taken(queue), ["c1", "a2", "b2", "c2", "a3"]);
  assert.equal(queue.dropped, 0);
});

test("whoever is sent most loses the oldest of what is expendable, and nobody else anything", () => {
  const queue = new FairQueue<Item>(8 * OCTETS);
  queue.add("a", answer("a first"));
  for (let number = 0; number < 20; number++) queue.add("a", news(`a${number}`));
  queue.add("a", answer("a last"));
  for (const name of ["b1", "b2"]) queue.add("b", news(name));
  assert.deepEqual(taken(queue), ["a first", "b1", "a16", "b2", "a17", "a18", "a19", "a last"]);
  assert.equal(queue.dropped, 16);
});

test("one client alone may have all the room", () => {
  const queue = new FairQueue<Item>(100 * OCTETS);
  for (let number = 0; number < 100; number++) queue.add("a", news(`a${number}`));
  assert.equal(queue.dropped, 0);
  assert.equal(taken(queue).length, 100);
});

test("answers find room when all of it is taken, but not without end", () => {
  const queue = new FairQueue<Item>(4 * OCTETS);
  for (let number = 0; number < 40; number++) queue.add("a", answer(`a${number}`));
  queue.add("b", news("b"));
  assert.equal(queue.dropped, 8);
  const names = taken(queue);
  assert.deepEqual(names.slice(0, 3), ["a8", "b", "a9"]);
  assert.equal(names.length, 33);
});

test("clearing counts what is lost, and all room is free again", () => {
  const queue = new FairQueue<Item>(3 * OCTETS);
  for (const name of ["a1", "a2", "b1"]) queue.add(name[0]!, news(name));
  queue.clear();
  assert.deepEqual([queue.dropped, taken(queue)], [3, []]);
  for (const name of ["a3", "a4", "b2"]) queue.add(name[0]!, news(name));
  assert.deepEqual([queue.dropped, taken(queue)], [3, ["a3", "b2", "a4"]]);
});
