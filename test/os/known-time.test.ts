import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KnownTime, programTimeMs } from "../../src/os/known-time.ts";

const PROGRAM_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

/** A machine that was started a second ago. */
class Machine {
  wall = 1000;
  elapsed = 1000;
  isRight = false;
  kept = 0;
  readonly time = new KnownTime(
    { nowMs: () => this.elapsed, wallMs: () => this.wall, trusted: () => this.isRight },
    () => this.kept,
    PROGRAM_MS,
  );

  pass(ms: number): void {
    this.wall += ms;
    this.elapsed += ms;
  }
}

test("a clock that begins in 1970 is behind, and what is known goes on from when the program was made", () => {
  const machine = new Machine();
  assert.deepEqual([machine.time.isBehind(), machine.time.nowMs()], [true, PROGRAM_MS]);
  machine.pass(DAY_MS);
  assert.deepEqual([machine.time.isBehind(), machine.time.nowMs()], [true, PROGRAM_MS + DAY_MS]);
});

test("what the store has kept and what is learned count when they are later, each", () => {
  const machine = new Machine();
  machine.kept = PROGRAM_MS - DAY_MS;
  assert.equal(machine.time.nowMs(), PROGRAM_MS);
  machine.kept = PROGRAM_MS + DAY_MS;
  assert.equal(machine.time.nowMs(), PROGRAM_MS + DAY_MS);
  machine.time.learn(PROGRAM_MS - DAY_MS);
  assert.equal(machine.time.nowMs(), PROGRAM_MS + DAY_MS);
  machine.time.learn(PROGRAM_MS + 2 * DAY_MS);
  assert.equal(machine.time.nowMs(), PROGRAM_MS + 2 * DAY_MS);
});

test("a clock that is later than all that counts, though nobody vouches for it", () => {
  const machine = new Machine();
  machine.wall = PROGRAM_MS + DAY_MS;
  assert.deepEqual([machine.time.isBehind(), machine.time.nowMs()], [false, PROGRAM_MS + DAY_MS]);
});

test("a clock that was put back a little is not behind, and time does not go back with it", () => {
  const machine = new Machine();
  machine.wall = PROGRAM_MS - 60_000;
  assert.deepEqual([machine.time.isBehind(), machine.time.nowMs()], [false, PROGRAM_MS]);
  machine.wall--;
  assert.equal(machine.time.isBehind(), true);
});

test("a clock that somebody vouches for counts, whatever else is known", () => {
  const machine = new Machine();
  machine.isRight = true;
  assert.deepEqual(
    [machine.time.isBehind(), machine.time.isTrusted(), machine.time.nowMs()],
    [false, true, machine.wall],
  );
});

test("the program is as old as the newest of its files; those that are not there say nothing", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-known-time-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const files = ["old", "new", "none"].map((name) => join(folder, name));
  for (const [index, year] of [2020, 2024].entries()) {
    writeFileSync(files[index]!, "");
    utimesSync(files[index]!, new Date(Date.UTC(year)), new Date(Date.UTC(year)));
  }
  assert.equal(programTimeMs(files), Date.UTC(2024));
  assert.equal(programTimeMs([files[2]!]), 0);
  assert.ok(programTimeMs() > Date.UTC(2020));
});
