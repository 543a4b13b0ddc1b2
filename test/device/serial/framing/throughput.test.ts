import assert from "node:assert/strict";
import { test } from "node:test";
import { AutoFraming } from "../../../../device/serial/framing/auto.ts";
import { type FrameReader, framingOf } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { anyMessage, concat, counters, incoming, LINE, NAMES, pieces } from "./kit.ts";

/** The fastest USB adapters do 12 Mbit/s. */
const BYTES_A_SECOND_MIN = 1_200_000;
const ROUNDS = 4;

test("every framing reads and writes faster than any line, in reads as USB adapters make them", (context) => {
  for (const name of NAMES) {
    const random = new SeededRandom(12);
    const messages = Array.from({ length: 1500 }, () => anyMessage(random));
    const wire = concat(...messages.map((message) => incoming(name, message)));
    const reads = [...pieces(wire, random, 124)];
    const heard = counters();
    const ignore = () => {};
    const reader = framingOf(name).reader(ignore, heard, LINE);
    const read = bestSpeed(() => pushAll(reader, reads));
    assert.equal(heard.frames, ROUNDS * messages.length);
    assert.equal(heard.discardedBytes, 0);

    const heardByAuto = counters();
    const auto = new AutoFraming(ignore, heardByAuto, LINE, ignore);
    const guessed = bestSpeed(() => pushAll(auto, reads));
    assert.equal(heardByAuto.frames, ROUNDS * messages.length);

    const written = bestSpeed(() => {
      let bytes = 0;
      for (const message of messages) bytes += framingOf(name).encode(message, undefined).length;
      return bytes;
    });
    const [readMb, autoMb, writtenMb] = [read, guessed, written].map((speed) => (speed / 1e6).toFixed(0));
    context.diagnostic(`${name}: read ${readMb} MB/s, by auto ${autoMb} MB/s, written ${writtenMb} MB/s`);
    for (const speed of [read, guessed, written]) {
      assert.equal(speed > BYTES_A_SECOND_MIN, true, `${name}: ${speed} octets a second`);
    }
  }
});

function pushAll(reader: FrameReader, reads: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of reads) {
    bytes += part.length;
    reader.push(part, bytes / 1e6);
  }
  return bytes;
}

/** Of the quickest round, in octets a second: others run on this machine too. */
function bestSpeed(round: () => number): number {
  let best = 0;
  for (let count = 0; count < ROUNDS; count++) {
    const start = performance.now();
    const bytes = round();
    best = Math.max(best, (bytes * 1000) / (performance.now() - start));
  }
  return best;
}
