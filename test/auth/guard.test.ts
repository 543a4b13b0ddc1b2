import assert from "node:assert/strict";
import { test } from "node:test";
import { Guard } from "../../src/auth/guard.ts";
import { defaultLimits, type Limits } from "../../src/core/limits.ts";
import type { Peer } from "../../src/core/ports.ts";
import { Stage, TestLog } from "../core/stage.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function at(address: string, local = false): Peer {
  return { address, local, listener: "tcp", transport: "tcp" };
}

const THIEF = at("198.51.100.7:1");

class Watch {
  nowMs = 5000;
  readonly log = new TestLog("info");
  readonly guard: Guard;

  constructor(limits: Partial<Limits> = {}) {
    this.guard = new Guard({
      nowMs: () => this.nowMs,
      wallMs: () => this.nowMs + Date.UTC(2026, 0, 1),
      log: this.log,
      limits: { ...defaultLimits(), ...limits },
    });
  }

  /** Fails so often and returns the delays. */
  fail(count: number, peer = THIEF, userName = "kim"): number[] {
    return Array.from({ length: count }, () => this.guard.failed(peer, userName));
  }

  code(peer = THIEF): number | undefined {
    return this.guard.admits(peer)?.reasonCode;
  }
}

test("the answer to a failed login waits: 250 ms, doubling to four seconds", () => {
  assert.deepEqual(new Watch().fail(9), [250, 500, 1000, 2000, 4000, 4000, 4000, 4000, 4000]);
  assert.deepEqual(new Watch({ loginDelayMs: 0 }).fail(3), [0, 0, 0]);
  assert.deepEqual(new Watch({ loginDelayMs: 10 }).fail(7), [10, 20, 40, 80, 160, 160, 160]);
});

test("addresses are counted apart, their ports are not, and a /64 is one address", () => {
  const { guard } = new Watch();
  assert.equal(guard.failed(at("198.51.100.7:1"), "a"), 250);
  assert.equal(guard.failed(at("198.51.100.7:2"), "a"), 500);
  assert.equal(guard.failed(at("198.51.100.8:2"), "a"), 250);
  assert.equal(guard.failed(at("[2001:db8:0:1::1]:2"), "a"), 250);
  assert.equal(guard.failed(at("[2001:db8:0:1:ffff::9]:3"), "a"), 500);
  assert.equal(guard.failed(at("[2001:db8:0:2::1]:2"), "a"), 250);
});

test("the tenth failure within ten minutes bans the address, with one line that says how to lift it", () => {
  const watch = new Watch();
  watch.fail(9);
  assert.equal(watch.code(), undefined);
  watch.guard.failed(THIEF, "root");
  assert.equal(watch.code(), 0x8a);
  assert.equal(watch.code(at("198.51.100.7:999")), 0x8a);
  assert.equal(watch.code(at("198.51.100.8:1")), undefined);
  assert.equal(watch.guard.admits(THIEF)?.reasonString, "too many failed logins from this address: try again in 60 s");
  assert.deepEqual(watch.log.lines, [
    {
      level: "warn",
      message: "Address banned: too many failed logins",
      fields: {
        address: "198.51.100.7",
        failures: 10,
        lastUser: "root",
        until: "2026-01-01T00:01:05.000Z",
        lift: "mqtt-broker banned lift 198.51.100.7",
      },
    },
  ]);
});

test("failures further apart than ten minutes do not add up", () => {
  const watch = new Watch();
  for (let count = 0; count < 30; count++) {
    watch.guard.failed(THIEF, "kim");
    watch.nowMs += 67 * SECOND;
  }
  assert.equal(watch.code(), undefined);
  assert.equal(watch.fail(1)[0], 4000);
  watch.nowMs += 10 * MINUTE;
  assert.equal(watch.fail(1)[0], 250);
});

test("a ban ends after a minute, with a line; the next ones last twice as long each, up to an hour", () => {
  const watch = new Watch();
  const lengths: number[] = [];
  for (let ban = 0; ban < 8; ban++) {
    watch.fail(10);
    const startMs = watch.nowMs;
    while (watch.code() !== undefined) watch.nowMs += SECOND;
    lengths.push((watch.nowMs - startMs) / MINUTE);
  }
  assert.deepEqual(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
  assert.equal(watch.log.of("Ban ended").length, 8);
  assert.deepEqual(watch.log.of("Ban ended")[0], { address: "198.51.100.7" });
  watch.nowMs += 24 * 60 * MINUTE;
  watch.fail(10);
  watch.nowMs += MINUTE;
  assert.equal(watch.code(), undefined);
});

test("bans of several addresses end each in its time", () => {
  const watch = new Watch();
  const other = at("198.51.100.8:1");
  watch.fail(10);
  watch.nowMs += 20 * SECOND;
  watch.fail(10, other);
  watch.nowMs += 40 * SECOND;
  assert.deepEqual([watch.code(), watch.code(other)], [undefined, 0x8a]);
  watch.nowMs += 20 * SECOND;
  assert.deepEqual([watch.code(), watch.code(other)], [undefined, undefined]);
  assert.equal(watch.log.of("Ban ended").length, 2);
});

test("loginFailures, loginBanMs and loginBanMaxMs; 0 failures ban nobody", () => {
  const watch = new Watch({ loginFailures: 2, loginBanMs: 5000, loginBanMaxMs: 7000 });
  watch.fail(2);
  watch.nowMs += 4999;
  assert.equal(watch.code(), 0x8a);
  watch.nowMs += 1;
  assert.equal(watch.code(), undefined);
  watch.fail(2);
  watch.nowMs += 6999;
  assert.equal(watch.code(), 0x8a);
  const never = new Watch({ loginFailures: 0 });
  assert.equal(never.fail(200).at(-1), 4000);
  assert.equal(never.code(), undefined);
});

test("this machine is slowed but never banned", () => {
  const watch = new Watch();
  const local = at("127.0.0.1:5000", true);
  assert.equal(watch.fail(200, local).at(-1), 4000);
  assert.equal(watch.code(local), undefined);
  assert.deepEqual(watch.log.lines, []);
});

test("where the rules let in who fails as somebody else, it waits as long and is not banned", () => {
  const { guard } = new Watch();
  const delays = Array.from({ length: 12 }, () => guard.failed(THIEF, "kim", false));
  assert.deepEqual(delays.slice(0, 6), [250, 500, 1000, 2000, 4000, 4000]);
  assert.equal(guard.admits(THIEF), undefined);
});

test("a success forgives what failed under the same name, and leaves what was tried under others", () => {
  const watch = new Watch();
  watch.fail(5, THIEF, "kim");
  watch.fail(4, THIEF, "admin");
  watch.guard.succeeded(THIEF, "kim");
  assert.equal(watch.fail(1, THIEF, "admin")[0], 4000);
  watch.fail(4, THIEF, "admin");
  assert.equal(watch.code(), undefined);
  watch.fail(1, THIEF, "admin");
  assert.equal(watch.code(), 0x8a);
});

test("somebody with an account of his own cannot guess another's password for ever", () => {
  const watch = new Watch();
  for (let count = 0; count < 10; count++) {
    watch.guard.succeeded(THIEF, "eve");
    watch.guard.failed(THIEF, "admin");
  }
  assert.equal(watch.code(), 0x8a);
});

test("a success without a user name forgives what failed without one", () => {
  const watch = new Watch();
  for (let count = 0; count < 9; count++) watch.guard.failed(THIEF, undefined);
  watch.guard.succeeded(THIEF, undefined);
  assert.deepEqual(watch.fail(1), [250]);
});

test("bans are listed with wall clock times, counted, and lifted by any address within", () => {
  const watch = new Watch();
  watch.fail(10);
  for (let count = 0; count < 10; count++) watch.guard.failed(at("[2001:db8:0:1::1]:2"), undefined);
  watch.nowMs += 10 * SECOND;
  const untilMs = Date.UTC(2026, 0, 1) + 5000 + MINUTE;
  assert.deepEqual(watch.guard.list(), [
    { address: "198.51.100.7", untilMs, failures: 10, lastUser: "kim" },
    { address: "2001:db8:0:1::/64", untilMs, failures: 10, lastUser: "" },
  ]);
  assert.equal(watch.guard.count, 2);
  assert.equal(watch.guard.lift("198.51.100.8"), false);
  assert.equal(watch.guard.lift("2001:db8:0:1::77"), true);
  assert.equal(watch.guard.lift("2001:db8:0:1::77"), false);
  assert.equal(watch.guard.lift("198.51.100.7"), true);
  assert.deepEqual([watch.code(), watch.guard.count, watch.guard.list()], [undefined, 0, []]);
  // It begins anew.
  assert.deepEqual(watch.fail(1), [250]);
  assert.deepEqual(watch.log.of("Ban lifted"), [{ address: "2001:db8:0:1::/64" }, { address: "198.51.100.7" }]);
});

test("logins that were under way when the ban came do not prolong it, and are remembered", () => {
  const watch = new Watch();
  watch.fail(40);
  assert.equal(watch.guard.count, 1);
  assert.equal(watch.log.of("Address banned: too many failed logins").length, 1);
  watch.nowMs += MINUTE;
  assert.equal(watch.code(), undefined);
  watch.fail(1);
  assert.equal(watch.code(), 0x8a);
});

test("a long user name is cut, and an absent one is none", () => {
  const watch = new Watch();
  watch.fail(10, THIEF, "x".repeat(65_535));
  assert.equal(watch.guard.list()[0]?.lastUser, "x".repeat(64));
});

test("not more than so many answers wait at once; the others are sent without delay", () => {
  const watch = new Watch({ loginFailures: 0 });
  const delays = Array.from({ length: 300 }, (_, index) => watch.guard.failed(at(`198.51.100.${index}:1`), "kim"));
  assert.deepEqual([delays.filter((ms) => ms === 250).length, delays.filter((ms) => ms === 0).length], [256, 44]);
  watch.nowMs += 250;
  assert.equal(watch.guard.failed(at("192.0.2.1:1"), "kim"), 250);
});

test("the table is bounded, and those who are banned are the last to be forgotten", () => {
  const watch = new Watch();
  watch.fail(10);
  for (let index = 0; index < 20_000; index++) watch.guard.failed(at(`10.${index >> 8}.${index & 255}.1:1`), "kim");
  assert.equal(watch.code(), 0x8a);
  const suspects = (watch.guard as unknown as { suspects: Map<string, { failures: unknown[] }> }).suspects;
  assert.equal(suspects.size, 10_000);
  watch.fail(1000, at("192.0.2.1:1"));
  assert.equal(suspects.get("192.0.2.1")?.failures.length, 100);
});

test("through the broker: banned clients get 0x8A or return code 5, nobody is asked for them, and $SYS counts them", () => {
  let asked = 0;
  const watch = new Watch({ loginFailures: 1 });
  const { guard } = watch;
  const stage = new Stage({
    mqtt: { sys: { enabled: true, intervalMs: 1000 } },
    access: {
      authenticate: () => ++asked > 0,
      admits: (peer) => guard.admits(peer),
      banned: () => guard.count,
    },
  });
  const watcher = stage.connect("w").subscribed("$SYS/broker/clients/banned");
  guard.failed(THIEF, "kim");
  assert.deepEqual(stage.dial({ from: THIEF }).take(), [
    'CONNACK 8a {"reasonString":"too many failed logins from this address: try again in 60 s"}',
  ]);
  assert.deepEqual(stage.dial({ from: THIEF, version: 4 }).take(), ["CONNACK 05"]);
  assert.deepEqual(stage.dial({ from: THIEF, version: 3 }).take(), ["CONNACK 05"]);
  assert.equal(asked, 1);
  stage.advance(1000);
  assert.deepEqual(watcher.takePayloads(), ["1"]);
  watch.nowMs += MINUTE;
  stage.advance(1000);
  assert.deepEqual(watcher.takePayloads(), ["0"]);
});
