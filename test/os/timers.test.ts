import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostClock } from "../../src/os/clock.ts";
import { HostRandom } from "../../src/os/random.ts";
import { HostTimer } from "../../src/os/timers.ts";

interface Mocked {
  mock: { timers: { enable(options: { apis: ["setTimeout"] }): void; tick(ms: number): void } };
}

/** A timer under a clock that moves with the mocked `setTimeout`, and when it ticked. */
function setUp(t: Mocked) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 500;
  const ticks: number[] = [];
  const clock = { nowMs: () => nowMs, wallMs: () => 0, trusted: () => true };
  const timer = new HostTimer(clock, () => ticks.push(nowMs));
  const pass = (ms: number): void => {
    for (let step = 0; step < ms; step++) {
      nowMs++;
      t.mock.timers.tick(1);
    }
  };
  return { timer, ticks, pass, skip: (ms: number) => (nowMs += ms) };
}

describe("HostTimer", () => {
  it("ticks once, at the deadline", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(600);
    pass(99);
    assert.deepEqual(ticks, []);
    pass(1000);
    assert.deepEqual(ticks, [600]);
  });

  it("ticks earlier when an earlier deadline comes", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(900);
    timer.schedule(510);
    pass(1000);
    assert.deepEqual(ticks, [510]);
  });

  it("ticks only at the later time when the deadline was put off", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(510);
    timer.schedule(700);
    pass(1000);
    assert.deepEqual(ticks, [700]);
  });

  it("arms nothing anew while the deadline moves away", (t) => {
    const armed = t.mock.method(globalThis, "setTimeout");
    const timer = new HostTimer({ nowMs: () => 0, wallMs: () => 0, trusted: () => true }, () => {});
    for (let atMs = 1000; atMs < 2000; atMs++) timer.schedule(atMs);
    assert.equal(armed.mock.callCount(), 1);
    timer.schedule(500);
    assert.equal(armed.mock.callCount(), 2);
    timer.close();
  });

  it("ticks never when there is no deadline any more", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(510);
    timer.schedule(undefined);
    pass(1000);
    timer.schedule(Number.POSITIVE_INFINITY);
    pass(1000);
    assert.deepEqual(ticks, []);
  });

  it("takes a deadline that is past as due at once, but not inside schedule()", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(100);
    assert.deepEqual(ticks, []);
    pass(1);
    assert.deepEqual(ticks, [501]);
  });

  it("can be scheduled again inside its tick", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    let nowMs = 0;
    const ticks: number[] = [];
    const timer: HostTimer = new HostTimer({ nowMs: () => nowMs, wallMs: () => 0, trusted: () => true }, () => {
      ticks.push(nowMs);
      timer.schedule(nowMs + 10);
    });
    timer.schedule(10);
    for (nowMs = 1; nowMs <= 35; nowMs++) t.mock.timers.tick(1);
    assert.deepEqual(ticks, [10, 20, 30]);
  });

  it("does not tick before the deadline when setTimeout fires early", (t) => {
    const { timer, ticks, pass, skip } = setUp(t);
    timer.schedule(510);
    skip(-5);
    pass(12);
    assert.deepEqual(ticks, []);
    pass(3);
    assert.deepEqual(ticks, [510]);
  });

  it("waits for deadlines further off than setTimeout can count", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    let nowMs = 0;
    let ticks = 0;
    const timer = new HostTimer({ nowMs: () => nowMs, wallMs: () => 0, trusted: () => true }, () => ticks++);
    timer.schedule(2 ** 32);
    for (nowMs = 2 ** 31 - 1; nowMs < 2 ** 32; nowMs += 2 ** 31 - 1) {
      t.mock.timers.tick(2 ** 31 - 1);
      assert.equal(ticks, 0);
    }
    nowMs = 2 ** 32;
    t.mock.timers.tick(2);
    assert.equal(ticks, 1);
  });

  it("close() forgets the deadline, and another may come", (t) => {
    const { timer, ticks, pass } = setUp(t);
    timer.schedule(510);
    timer.close();
    pass(100);
    assert.deepEqual(ticks, []);
    timer.schedule(700);
    pass(1000);
    assert.deepEqual(ticks, [700]);
  });
});

describe("HostClock", () => {
  it("runs forward, and knows the year", () => {
    const clock = new HostClock();
    const start = clock.nowMs();
    assert.ok(clock.nowMs() >= start);
    assert.ok(Math.abs(clock.wallMs() - Date.now()) < 1000);
  });
});

describe("HostRandom", () => {
  it("gives 32 hexadecimal digits, different each time", () => {
    const random = new HostRandom();
    const given = Array.from({ length: 100 }, () => random.hex128());
    for (const hex of given) assert.match(hex, /^[0-9a-f]{32}$/);
    assert.equal(new Set(given).size, 100);
  });
});
