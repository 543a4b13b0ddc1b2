import assert from "node:assert/strict";
import { test } from "node:test";
import { AutoFraming } from "../../../../device/serial/framing/auto.ts";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import {
  anyMessage,
  bytesOf,
  CONNECT,
  concat,
  counters,
  expected,
  fromModule,
  hexOf,
  incoming,
  LINE,
  NAMES,
  PINGREQ,
  pieces,
  publish,
  textOf,
} from "./kit.ts";

/** What `AutoFraming` does, in order: decisions as "= name", frames as text. */
class Trial {
  readonly counters = counters();
  readonly events: string[] = [];
  nowMs = 1000;
  readonly auto = new AutoFraming(
    (frame) => this.events.push(textOf(frame)),
    this.counters,
    LINE,
    (name) => this.events.push(`= ${name}`),
  );

  push(bytes: Uint8Array, ms = 0): this {
    this.nowMs += ms;
    this.auto.push(bytes, this.nowMs);
    return this;
  }

  wait(ms: number): this {
    const end = this.nowMs + ms;
    for (let due = this.auto.dueMs; due !== undefined && due <= end; due = this.auto.dueMs) {
      assert.equal(
        due >= this.nowMs || this.nowMs === end,
        true,
        "a time that is past would be waited for without end",
      );
      this.nowMs = Math.max(due, this.nowMs);
      this.auto.tick(this.nowMs);
    }
    this.nowMs = end;
    return this;
  }
}

for (const name of NAMES) {
  test(`auto: ${name} is known at its second frame, whose predecessor is not lost, and goes on`, () => {
    const trial = new Trial().push(incoming(name, CONNECT));
    assert.deepEqual(trial.events, []);
    assert.equal(trial.auto.encoding, undefined);
    trial.push(incoming(name, PINGREQ), 900);
    const wanted = [`= ${name}`, expected(name, CONNECT), expected(name, PINGREQ)];
    assert.deepEqual(trial.events, wanted);
    assert.equal(trial.auto.encoding, framingOf(name));
    trial.push(incoming(name, PINGREQ), 5000);
    assert.deepEqual(trial.events, [...wanted, wanted[2]]);
    assert.deepEqual([trial.counters.frames, trial.counters.checksumErrors], [3, 0]);
  });

  test(`auto: ${name} is known when all messages are the same`, () => {
    for (const message of [PINGREQ, CONNECT]) {
      const trial = new Trial();
      for (let round = 0; round < 4; round++) trial.push(incoming(name, message), 30);
      assert.deepEqual(trial.events, [`= ${name}`, ...Array(4).fill(expected(name, message))]);
    }
  });

  test(`auto: a client that sends one CONNECT by ${name} and waits for the answer is understood after a second`, () => {
    const trial = new Trial().push(incoming(name, CONNECT)).wait(999);
    assert.deepEqual(trial.events, []);
    trial.wait(1);
    assert.deepEqual(trial.events, [`= ${name}`, expected(name, CONNECT)]);
    assert.equal(trial.auto.dueMs, undefined);
  });

  test(`auto: ${name} is known from the middle of a frame on, with any messages, and cut into any reads`, () => {
    const random = new SeededRandom(88);
    for (let round = 0; round < 40; round++) {
      const messages = Array.from({ length: 12 }, () => anyMessage(random));
      const frames = messages.map((message) => incoming(name, message));
      const first = frames[0]!;
      const rest = first.subarray(1 + random.below(first.length - 1));
      const whole = new Trial()
        .push(rest)
        .wait(300)
        .push(concat(...frames.slice(1)));
      const single = new Trial().push(rest).wait(300);
      for (const piece of pieces(concat(...frames.slice(1)), random, 4)) single.push(piece);
      const wanted = messages.map((message) => expected(name, message));
      assert.deepEqual(
        whole.events.filter((text) => text.startsWith("=")),
        [`= ${name}`],
        `round ${round}`,
      );
      // The rest of the first may be a message itself, without its delimiter for example.
      assert.deepEqual(whole.events.slice(-11), wanted.slice(1), `round ${round}`);
      assert.deepEqual(single.events, whole.events);
      assert.deepEqual(single.counters, whole.counters);
      assert.equal(whole.counters.bytes, rest.length + concat(...frames.slice(1)).length);
    }
  });
}

test("auto: frames in a row count only without an error of that framing between them", () => {
  const good = incoming("slip-crc", PINGREQ);
  const bad = good.slice();
  bad[2]! ^= 1;
  const trial = new Trial();
  for (let round = 0; round < 5; round++) trial.push(good).push(bad, 10);
  assert.deepEqual(trial.events, []);
  trial.push(good, 10).push(good, 10);
  assert.deepEqual(trial.events, ["= slip-crc", "0216", "0216"]);
});

test("auto: payloads that look like another framing do not mislead it", () => {
  const slipInRaw = publish(concat(incoming("slip", PINGREQ), incoming("slip", PINGREQ)));
  const hdlcInRaw = publish(concat(incoming("hdlc", PINGREQ), new Uint8Array(9), bytesOf("7E7EC0C0")));
  const raw = new Trial().push(PINGREQ).push(concat(CONNECT, hdlcInRaw, slipInRaw), 30);
  assert.deepEqual(raw.events, ["= raw", "0216", hexOf(CONNECT), hexOf(hdlcInRaw), hexOf(slipInRaw)]);
  const rawInSlip = publish(concat(PINGREQ, PINGREQ, CONNECT, CONNECT));
  const slip = new Trial().push(incoming("slip-crc", rawInSlip)).push(incoming("slip-crc", rawInSlip));
  assert.deepEqual(slip.events, ["= slip-crc", hexOf(rawInSlip), hexOf(rawInSlip)]);
});

test("auto: a framing without checksum waits for a second while one with checksum has had a valid frame", () => {
  const checked = incoming("hdlc", CONNECT);
  // What raw takes for two messages; to HDLC it is noise.
  const misleading = () => new Trial().push(checked).wait(30).push(concat(PINGREQ, PINGREQ));
  assert.deepEqual(misleading().push(checked, 300).push(checked).events, ["= hdlc", hexOf(CONNECT), hexOf(CONNECT)]);
  const alone = misleading().wait(969);
  assert.deepEqual(alone.events, []);
  assert.deepEqual(alone.wait(1).events, ["= raw", "0216", "0216"]);
  const many = misleading();
  for (let round = 2; round < 7; round++) many.push(PINGREQ);
  assert.deepEqual(many.events, []);
  assert.deepEqual(many.push(PINGREQ).events, ["= raw", ...Array(8).fill("0216")]);
});

test("auto: what a radio module says of itself decides nothing, since both modes may say it alike", () => {
  const status = bytesOf("7E 00 02 8A 06 6F");
  const trial = new Trial().push(status).push(status).wait(3000);
  assert.deepEqual(trial.events, []);
  trial.push(incoming("xbee1", PINGREQ)).push(incoming("xbee1", PINGREQ));
  assert.equal(trial.events[0], "= xbee1");
});

test("auto: where the modes of a radio module cannot be told apart it is mode 2, until 20 errors in a row say no", () => {
  const node = bytesOf("0102");
  const same = fromModule(0x81, node, PINGREQ, false);
  const trial = new Trial().push(same).push(same);
  assert.equal(trial.events[0], "= xbee2");
  const plain = fromModule(0x90, bytesOf("0013A20001020304"), PINGREQ, false);
  for (let round = 0; round < 19; round++) trial.push(plain, 10);
  assert.equal(trial.auto.encoding?.name, "xbee2");
  trial.push(same, 10);
  for (let round = 0; round < 19; round++) trial.push(plain, 10);
  assert.equal(trial.auto.encoding?.name, "xbee2");
  assert.equal(trial.events.length, 4);
  trial.push(plain, 10);
  assert.equal(trial.auto.encoding, undefined);
  trial.push(plain, 10).push(plain, 10);
  const text = "0013a20001020304>0216";
  assert.deepEqual(trial.events.slice(4), ["= xbee1", text, text]);
});

test("auto: a line whose device is exchanged for one of another framing is understood again", () => {
  for (const [before, after] of [
    ["slip-crc", "cobs"],
    ["hdlc", "slip"],
    ["raw", "slip-crc"],
    ["cobs", "raw"],
  ] as const) {
    const trial = new Trial();
    for (let round = 0; round < 3; round++) trial.push(incoming(before, CONNECT), 30);
    assert.equal(trial.events[0], `= ${before}`);
    const events = trial.events.length;
    // COBS sees an end only where a message has a zero, so it takes a while to be sure.
    for (let round = 0; round < 60; round++) trial.wait(300).push(incoming(after, CONNECT));
    assert.equal(trial.events[events], `= ${after}`, `${before} -> ${after}`);
    assert.equal(
      trial.events.slice(events + 1).every((text) => text === hexOf(CONNECT)),
      true,
    );
    assert.equal(trial.events.length - events - 1 >= 30, true, `${before} -> ${after}`);
  }
});

test("auto: noise decides next to nothing, is counted as octets, and afterwards the line is understood", (context) => {
  let decisions = 0;
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const trial = new Trial();
    for (let burst = 0; burst < 20; burst++) trial.push(random.bytes(random.below(300)), 1 + random.below(40));
    decisions += trial.events.filter((text) => text.startsWith("=")).length;
    assert.equal(trial.counters.bytes > 0, true);
    if (trial.auto.encoding !== undefined) continue;
    trial.wait(300);
    const events = trial.events.length;
    for (let round = 0; round < 3; round++) trial.push(incoming("slip-crc", CONNECT), 10);
    assert.equal(trial.events[events], "= slip-crc");
    assert.deepEqual(
      [trial.counters.frames, trial.counters.checksumErrors > 0],
      [trial.events.length - 1 - events, true],
    );
  }
  context.diagnostic(`${decisions} false decisions by 60 times 20 bursts of noise`);
  assert.equal(decisions <= 2, true, `${decisions} false decisions`);
});

test("auto: without a checksum a right Length is not enough, flags and texts must be right too", () => {
  // Reserved TopicIdType 3, a name that is no UTF-8, another protocol.
  const unreadable = ["07 0C 23 0001 1234", "09 12 20 1234 FF2F41FF", "0A 04 04 09 003C 6E6F6465"].map(bytesOf);
  for (const name of ["raw", "slip"] as const) {
    const trial = new Trial();
    for (const message of unreadable) trial.push(incoming(name, message), 30).push(incoming(name, PINGREQ));
    assert.deepEqual(trial.wait(900).events, [], name);
    trial.push(incoming(name, PINGREQ));
    assert.deepEqual(trial.events, [`= ${name}`, "0216", "0216"]);
    trial.push(incoming(name, unreadable[0]!), 30);
    assert.equal(
      trial.events.at(-1),
      hexOf(unreadable[0]!),
      "once it is known, what it carries is for the codec to judge",
    );
  }
});

test("auto: the second is over also when nobody looked at the clock, whatever comes then", () => {
  const trial = new Trial().push(CONNECT).push(bytesOf("00"), 1500);
  assert.deepEqual(trial.events, ["= raw", hexOf(CONNECT)]);
});

test("auto: octets that a busy program reads late stay together", () => {
  const long = publish(new Uint8Array(600).fill(5));
  const trial = new Trial().push(concat(PINGREQ, long.subarray(0, 100))).push(long.subarray(100, 560), 40);
  trial.push(long.subarray(560), 4);
  assert.deepEqual(trial.events, ["= raw", "0216", hexOf(long)]);
});
