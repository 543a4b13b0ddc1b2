import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Clock } from "../../../../src/core/ports.ts";
import { bytesOf, CONNECT, concat, hexOf } from "../framing/kit.ts";
import { Pty, until } from "../pty.ts";
import { pause, Rig } from "./rig.ts";

/** The least silence that ends a message where nothing else does. */
const GAP_MS = 20;
const PINGREQ = bytesOf("02 16");
const PINGRESP = "0217";
/** Half a PUBLISH, with octets in it that are no beginning of anything. */
const TORN = bytesOf("15 0C 20 00 07 00 00 74 6F 72 6E");
/** Nothing in it is a Length that could be. */
const NONSENSE = bytesOf("00 00 FF FF 00 03 99");
/** RFC 1055's END. Nobody has to send it before a frame, and many do not. */
const END = bytesOf("C0");

/** Of how a message is written, and what is counted when one is torn and another one comes too soon behind it. */
const FRAMINGS = [
  { framing: "raw", frame: (message: Uint8Array) => message, answer: PINGRESP },
  { framing: "slip", frame: (message: Uint8Array) => concat(message, END), answer: `c0${PINGRESP}c0` },
] as const;

let rig: Rig;
let pty: Pty;

beforeEach(() => {
  rig = new Rig();
});

afterEach(async () => {
  await rig.close();
  await pty.unplug();
});

/** The broker with one line and one client on it that is connected; nothing was answered to that is not taken away. */
async function connect(framing: "raw" | "slip", frame: (message: Uint8Array) => Uint8Array): Promise<void> {
  pty = await Pty.open(rig.at("meter"));
  await rig.start([`--serial=${rig.at("meter")},framing=${framing}`]);
  await until(() => rig.opened === 1, "the line to open");
  await say(frame(CONNECT));
  await until(() => hexOf(pty.sent).includes("030500"), "CONNACK");
}

/** Writes, and waits until the broker has read it. */
async function say(bytes: Uint8Array): Promise<void> {
  const wanted = rig.counted("meter", "bytes") + bytes.length;
  pty.write(bytes);
  await until(() => rig.counted("meter", "bytes") === wanted, "the broker to read it");
}

function counted(): { frames: number; bad: number; discarded: number } {
  const [frames, checksumErrors, resyncs, discarded] = ["frames", "checksumErrors", "resyncs", "discardedBytes"].map(
    (key) => rig.counted("meter", key),
  );
  return { frames: frames!, bad: checksumErrors! + resyncs!, discarded: discarded! };
}

/** How often PINGREQ was answered. */
function answers(answer: string): number {
  return hexOf(pty.sent).split(answer).length - 1;
}

for (const { framing, frame, answer } of FRAMINGS) {
  test(`${framing}: after exactly 20 ms of silence the next message is one again, and after 19 it is not`, async () => {
    let nowMs = 1_000_000;
    const clock: Clock = { nowMs: () => nowMs, wallMs: () => Date.now(), trusted: () => true };
    rig.clock = clock;
    await connect(framing, frame);
    for (const [round, damage] of [TORN, NONSENSE, TORN].entries()) {
      nowMs += 1000;
      const before = counted();
      await say(damage);
      nowMs += GAP_MS - 1;
      // What comes now still belongs to the damage.
      await say(frame(PINGREQ));
      assert.deepEqual([counted().frames, answers(answer)], [before.frames, round], hexOf(damage));
      // With SLIP its END has ended the damage; so another one.
      if (framing === "slip") await say(damage);
      nowMs += GAP_MS;
      await say(frame(PINGREQ));
      await until(() => answers(answer) === round + 1, `PINGRESP after ${hexOf(damage)}`);
      const { frames, bad, discarded } = counted();
      const lost = framing === "slip" ? 2 : 1;
      const octets = lost * damage.length + PINGREQ.length;
      assert.deepEqual([frames, bad, discarded], [before.frames + 1, before.bad + lost, before.discarded + octets]);
    }
  });

  test(`${framing}: 25 ms of silence as the writer has measured them are enough`, async (t) => {
    await connect(framing, frame);
    const gaps: number[] = [];
    for (let round = 1; round <= 10; round++) {
      const before = counted();
      await say(round % 2 === 0 ? TORN : NONSENSE);
      const sinceMs = performance.now();
      while (performance.now() - sinceMs < 25) await pause(1);
      gaps.push(performance.now() - sinceMs);
      await say(frame(PINGREQ));
      await until(() => answers(answer) === round, `PINGRESP in round ${round}`);
      assert.deepEqual([counted().frames, counted().bad], [before.frames + 1, before.bad + 1]);
    }
    t.diagnostic(`${framing}: after ${Math.min(...gaps).toFixed(1)} to ${Math.max(...gaps).toFixed(1)} ms of silence`);
  });
}
