import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { LinkHealth } from "../../../device/serial/link-health.ts";
import { LinkReport, type LinkState } from "../../../device/serial/link-report.ts";
import { NotedLog } from "./pty.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** A line of which a test says what it counts. */
const COUNTERS = {
  ...{ frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0, opens: 0, writes: 0 },
  ...{ writeErrors: 0, tooLong: 0, bytesSent: 0, unsent: 0, refused: 0 },
};

let counters: typeof COUNTERS;
let log: NotedLog;
let health: LinkHealth;
let report: LinkReport;

beforeEach(() => {
  counters = { ...COUNTERS };
  log = new NotedLog();
  health = new LinkHealth(counters, () => 0);
  report = new LinkReport(health, log, 0);
});

function look(nowMs: number): void {
  const { retries, quality, roundTripMs, longestRoundTripMs } = health;
  const state: LinkState = {
    ...counters,
    ...{ name: "meter", path: "/dev/ttyUSB0", device: "/dev/ttyUSB0", isUp: true, reason: "", framing: "cobs" },
    ...{ baudRate: 9600, pendingBytes: 0, retries },
    ...(roundTripMs !== undefined && { roundTripMs }),
    ...(longestRoundTripMs !== undefined && { roundTripMaxMs: longestRoundTripMs }),
    ...(quality !== undefined && { linkQuality: quality }),
  };
  report.look(state, nowMs);
}

test("once an hour it is told what has changed since, with round trips and quality, and nothing of an hour without", () => {
  counters.opens = 1;
  look(HOUR_MS - 1);
  assert.deepEqual(log.lines, []);
  look(HOUR_MS);
  const title = "info What a serial line did in the last hour line=meter up=true";
  assert.deepEqual(log.lines.splice(0), [`${title} opens=1`]);
  counters.frames = 20;
  counters.bytes = 300;
  health.answered(12);
  health.answered(20);
  health.retried(true);
  look(HOUR_MS + 1);
  look(2 * HOUR_MS);
  assert.deepEqual(log.lines.splice(0), [
    `${title} frames=20 bytes=300 retries=1 roundTripMs=13 roundTripMaxMs=20 linkQuality=1`,
  ]);
  for (let minute = 0; minute < 180; minute++) look(2 * HOUR_MS + minute * MINUTE_MS);
  assert.deepEqual(log.lines, []);
  counters.frames = 21;
  look(5 * HOUR_MS);
  // Of the round trips the longest was that of an hour that has been told.
  assert.deepEqual(log.lines, [`${title} frames=1 roundTripMs=13 linkQuality=1`]);
});

test("a line that damages what comes is told of once, with figures and what to look at, and once when it is good again", () => {
  counters.frames = 60;
  counters.checksumErrors = 15;
  look(0);
  assert.deepEqual(log.lines, []);
  counters.resyncs = 5;
  for (let nowMs = 0; nowMs < 30 * MINUTE_MS; nowMs += 10_000) look(nowMs);
  assert.deepEqual(log.lines.splice(0), [
    "warn A serial line loses messages line=meter linkQuality=0.75 damaged=20 of 80 sentAgain=0 of 0 reason=what comes is damaged: look at the cable, its length and its ground, at the power of the other end, and whether both ends have 9600 bit/s and framing cobs",
  ]);
  // Better, but not good.
  counters.frames += 45;
  look(31 * MINUTE_MS);
  assert.deepEqual(log.lines, []);
  counters.frames += 75;
  look(32 * MINUTE_MS);
  assert.deepEqual(log.lines, [
    "info A serial line is good again line=meter linkQuality=0.9 damaged=20 of 200 sentAgain=0 of 0",
  ]);
});

test("a line whose answers do not come is told of with other advice, and how long answers take", () => {
  counters.frames = 100;
  for (let count = 0; count < 10; count++) {
    health.answered(40);
    health.retried(true);
  }
  look(0);
  assert.deepEqual(log.lines, [
    "warn A serial line loses messages line=meter linkQuality=0.5 damaged=0 of 100 sentAgain=10 of 20 reason=answers do not come, or too late: look whether the devices are on and hear this end, and whether --mqtt-sn-retry-interval leaves time for an answer, which takes 40 ms when it comes at once",
  ]);
});

test("a line that is bad and good by turns is told of every ten minutes at most", () => {
  for (let second = 0; second < 3599; second++) {
    const isBad = Math.floor(second / 30) % 2 === 0;
    if (isBad) counters.checksumErrors += 64;
    else counters.frames += 64;
    look(second * 1000);
  }
  const told = log.lines.map((line) => line.split(" line=")[0]);
  const [bad, good] = ["warn A serial line loses messages", "info A serial line is good again"];
  assert.equal(told.length <= 6 && told.length >= 4, true, `${told.length}: ${told}`);
  assert.deepEqual(
    told,
    Array.from(told, (_, index) => (index % 2 === 0 ? bad : good)),
  );
});
