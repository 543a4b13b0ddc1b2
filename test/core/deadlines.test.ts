import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Deadlines, type Timed } from "../../src/core/deadlines.ts";

class Alarm implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly heard: number[] = [];
  readonly name: number;
  again: ((nowMs: number) => void) | undefined;

  constructor(name = 0) {
    this.name = name;
  }

  onDue(nowMs: number): void {
    this.heard.push(nowMs);
    this.again?.(nowMs);
  }
}

test("an empty heap is due never", () => {
  const deadlines = new Deadlines();
  deadlines.run(1e15);
  assert.deepEqual([deadlines.nextMs, deadlines.size], [Number.POSITIVE_INFINITY, 0]);
});

test("a deadline is called once, at its time and not before", () => {
  const deadlines = new Deadlines();
  const alarm = new Alarm();
  deadlines.set(alarm, 100);
  deadlines.run(99);
  assert.deepEqual(alarm.heard, []);
  deadlines.run(100);
  deadlines.run(200);
  assert.deepEqual(alarm.heard, [100]);
  assert.equal(alarm.heapIndex, -1);
});

test("a deadline that is set again moves, earlier or later", () => {
  const deadlines = new Deadlines();
  const [one, other] = [new Alarm(), new Alarm()];
  deadlines.set(one, 100);
  deadlines.set(other, 50);
  deadlines.set(one, 10);
  assert.equal(deadlines.nextMs, 10);
  deadlines.set(one, 1000);
  assert.deepEqual([deadlines.nextMs, deadlines.size], [50, 2]);
});

test("a deadline that was cancelled is not called; cancelling again does nothing", () => {
  const deadlines = new Deadlines();
  const alarm = new Alarm();
  deadlines.set(alarm, 1);
  deadlines.cancel(alarm);
  deadlines.cancel(alarm);
  deadlines.run(10);
  assert.deepEqual([alarm.heard, deadlines.size], [[], 0]);
});

test("a deadline set anew for now cannot hold the turn", () => {
  const deadlines = new Deadlines();
  const alarm = new Alarm();
  alarm.again = (nowMs) => deadlines.set(alarm, nowMs);
  deadlines.set(alarm, 5);
  deadlines.run(5);
  assert.deepEqual([alarm.heard, deadlines.nextMs], [[5], 5]);
});

test("what one deadline cancels in the same turn is not called", () => {
  const deadlines = new Deadlines();
  const [one, other] = [new Alarm(), new Alarm()];
  one.again = () => deadlines.cancel(other);
  deadlines.set(one, 1);
  deadlines.set(other, 2);
  deadlines.run(10);
  assert.deepEqual([one.heard, other.heard], [[10], []]);
});

const ALARMS = 30;

test("any setting, moving, cancelling and running agrees with a sorted list", () => {
  const who = fc.nat(ALARMS - 1);
  const dueMs = fc.nat(300);
  const operation = fc.oneof(
    { weight: 9, arbitrary: fc.record({ kind: fc.constant("set" as const), who, dueMs }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("cancel" as const), who, dueMs }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("run" as const), who, dueMs: fc.nat(100) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { minLength: 40, maxLength: 160 }), (operations) => {
      const deadlines = new Deadlines();
      const alarms = Array.from({ length: ALARMS }, (_, name) => new Alarm(name));
      const model = new Map<number, number>();
      for (const { kind, who, dueMs } of operations) {
        const called: number[] = [];
        for (const alarm of alarms) alarm.again = () => called.push(alarm.dueMs);
        if (kind === "set") {
          deadlines.set(alarms[who]!, dueMs);
          model.set(who, dueMs);
        } else if (kind === "cancel") {
          deadlines.cancel(alarms[who]!);
          model.delete(who);
        } else {
          const due = [...model].filter(([, atMs]) => atMs <= dueMs);
          deadlines.run(dueMs);
          assert.deepEqual(
            called,
            due.map(([, atMs]) => atMs).sort((a, b) => a - b),
          );
          for (const [name] of due) model.delete(name);
        }
        assert.equal(deadlines.size, model.size);
        assert.equal(deadlines.nextMs, Math.min(...model.values(), Number.POSITIVE_INFINITY));
        for (const alarm of alarms) assert.equal(alarm.heapIndex !== -1, model.has(alarm.name));
        const places = alarms.map((alarm) => alarm.heapIndex).filter((place) => place !== -1);
        assert.deepEqual(
          places.sort((a, b) => a - b),
          places.map((_, index) => index),
        );
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});
