import assert from "node:assert/strict";
import { test } from "node:test";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { anyMessage, CHECKED, concat, expected, Heard, hexOf, incoming, NAMES, pieces, publish } from "./kit.ts";

for (const name of NAMES) {
  test(`${name}: any message comes back, however the octets are cut into reads`, () => {
    const random = new SeededRandom(7);
    const messages = Array.from({ length: 300 }, () => anyMessage(random));
    const wire = concat(...messages.map((message) => incoming(name, message)));
    const wanted = messages.map((message) => expected(name, message));
    const whole = new Heard(name).push(wire);
    assert.deepEqual(whole.hex, wanted);
    assert.deepEqual(whole.counters, {
      ...{ frames: 300, bytes: wire.length },
      ...{ checksumErrors: 0, resyncs: 0, discardedBytes: 0 },
    });
    for (const most of [1, 7, 300, 5000]) {
      const heard = new Heard(name);
      for (const piece of pieces(wire, random, most)) heard.push(piece);
      assert.deepEqual(heard.hex, wanted);
      assert.deepEqual(heard.counters, whole.counters);
    }
  });

  test(`${name}: noise gives the same frames and counts in single octets and at once, and what is kept stays bounded`, () => {
    for (let seed = 0; seed < 30; seed++) {
      const random = new SeededRandom(seed);
      const parts = Array.from({ length: 40 }, () =>
        random.below(3) === 0 ? random.bytes(random.below(200)) : damaged(incoming(name, anyMessage(random)), random),
      );
      const wire = concat(...parts);
      const whole = new Heard(name).push(wire).wait(5000);
      const single = new Heard(name);
      for (const piece of pieces(wire, random, 1)) single.push(piece);
      single.wait(5000);
      assert.deepEqual(single.hex, whole.hex);
      assert.deepEqual(single.counters, whole.counters);
      assert.equal(whole.reader.dueMs, undefined);
      assert.equal(whole.counters.bytes, wire.length);
    }
  });
}

for (const name of CHECKED) {
  test(`${name}: of a line with flipped, lost, doubled and invented octets nothing damaged is delivered, nothing twice, and a damaged frame takes few others with it`, () => {
    let wrong = 0;
    let spoiltInAll = 0;
    for (let seed = 100; seed < 140; seed++) {
      const random = new SeededRandom(seed);
      const heard = new Heard(name);
      const whole: string[] = [];
      const spoilt = new Set<string>();
      for (let round = 0; round < 100; round++) {
        const message = publish(concat(Uint8Array.of(seed, round), random.bytes(random.below(40))));
        const wire = incoming(name, message);
        const isSpoilt = random.below(3) === 0;
        if (isSpoilt) spoilt.add(expected(name, message));
        else whole.push(expected(name, message));
        for (const piece of pieces(isSpoilt ? damaged(wire, random) : wire, random, 20)) heard.push(piece);
      }
      heard.wait(1000);
      const got = heard.hex;
      const right = got.filter((text) => whole.includes(text) || spoilt.has(text));
      wrong += got.length - right.length;
      spoiltInAll += spoilt.size;
      // Damage that reaches a delimiter takes one neighbour with it at most.
      const missing = whole.filter((text) => !got.includes(text));
      assert.equal(missing.length <= spoilt.size / 2, true, `seed ${seed}: ${missing.length} lost by ${spoilt.size}`);
      assert.deepEqual([...new Set(right)], right, "nothing comes twice");
    }
    // By its 8 bits an XBee's checksum cannot tell one in 256; the other framings have 16.
    assert.equal(wrong <= (name.startsWith("xbee") ? spoiltInAll / 128 : 0), true, `${wrong} of ${spoiltInAll}`);
  });

  test(`${name}: after noise of any kind the second frame comes through, and every one after it`, () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new SeededRandom(seed);
      const heard = new Heard(name).push(random.bytes(random.below(3000)));
      const before = heard.frames.length;
      const messages = Array.from({ length: 6 }, (_, index) => publish(Uint8Array.of(index, seed, seed >> 8)));
      for (const message of messages) heard.push(incoming(name, message), 1);
      heard.wait(200);
      const wanted = messages.map((message) => expected(name, message));
      const got = heard.hex.slice(before).filter((text) => wanted.includes(text));
      assert.equal(got.length >= 5, true, `seed ${seed}: ${got.length} of 6`);
      assert.deepEqual(got, wanted.slice(-got.length));
    }
  });
}

for (const name of ["raw", "slip"] as const) {
  test(`${name}: after noise and a gap of 20 ms the next message comes through, and the noise is counted`, () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new SeededRandom(seed);
      const heard = new Heard(name).push(random.bytes(1 + random.below(3000)));
      const before = heard.frames.length;
      const messages = Array.from({ length: 3 }, () => anyMessage(random));
      // With END in front plain SLIP would not need the gap.
      const [first, ...others] = messages.map((message) => framingOf(name).encode(message, undefined));
      heard.wait(20).push(name === "slip" ? first!.subarray(1) : first!);
      for (const wire of others) heard.push(wire, 3);
      assert.deepEqual(heard.hex.slice(before), messages.map(hexOf), `seed ${seed}`);
      const { bytes, discardedBytes, checksumErrors, resyncs } = heard.counters;
      assert.equal(discardedBytes <= bytes && checksumErrors + resyncs > 0, true);
    }
  });
}

/** A frame to which one thing has happened. */
function damaged(frame: Uint8Array, random: SeededRandom): Uint8Array {
  const at = random.below(frame.length);
  const before = frame.subarray(0, at);
  const behind = frame.subarray(at + 1);
  switch (random.below(5)) {
    case 0:
      return concat(before, behind);
    case 1:
      return concat(before, Uint8Array.of(frame[at]! ^ (1 << random.below(8))), behind);
    case 2:
      return concat(before, frame.subarray(at, at + 1), frame.subarray(at));
    case 3:
      return concat(before, random.bytes(1 + random.below(30)), frame.subarray(at));
    default:
      return before;
  }
}
