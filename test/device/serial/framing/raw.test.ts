import assert from "node:assert/strict";
import { test } from "node:test";
import { isWholeMessage, plausibleLength } from "../../../../device/serial/framing/message-shape.ts";
import { bytesOf, CONNECT, concat, Heard, hexOf, PINGREQ, publish } from "./kit.ts";

const PUBLISH = publish(bytesOf("C07E00AA"));

test("messages stand back to back, with a Length of one octet or three, in an envelope or not", () => {
  const long = publish(new Uint8Array(300).fill(0x7e));
  const enveloped = concat(bytesOf("07 FE 01 41424344"), PUBLISH);
  const longEnveloped = concat(bytesOf("04 FE 01 41"), long);
  const all = [CONNECT, long, enveloped, PINGREQ, longEnveloped, PUBLISH];
  const heard = new Heard("raw").push(concat(...all));
  assert.deepEqual(heard.hex, all.map(hexOf));
  assert.equal(heard.counters.frames, 6);
  assert.equal(heard.counters.discardedBytes, 0);
  assert.equal(heard.reader.dueMs, undefined);
});

test("an implausible Length or type passes everything over until the line has been silent for 20 ms", () => {
  for (const head of ["00", "01 0003 16", "0216 02FF", "05 03", "04 16 0000 03 16 41 42 43"]) {
    const heard = new Heard("raw").push(bytesOf(head)).push(CONNECT, 5);
    const before = heard.frames.length;
    assert.equal(heard.counters.resyncs, 1, head);
    heard.push(CONNECT, 19);
    assert.equal(heard.frames.length, before, head);
    heard.push(CONNECT, 20);
    assert.equal(heard.hex.at(-1), hexOf(CONNECT), head);
    assert.equal(heard.frames.length, before + 1, head);
    assert.equal(heard.counters.resyncs, 1, head);
    assert.equal(
      heard.counters.bytes - heard.counters.discardedBytes,
      heard.frames.reduce((sum, { message }) => sum + message.length, 0),
    );
  }
});

test("the gap ends the passing over also when every octet has been judged already", () => {
  for (const isTicked of [true, false]) {
    const heard = new Heard("raw").push(bytesOf("00"));
    if (isTicked) heard.wait(20).push(CONNECT);
    else heard.push(CONNECT, 20);
    assert.deepEqual(heard.hex, [hexOf(CONNECT)]);
    assert.deepEqual([heard.counters.resyncs, heard.counters.discardedBytes], [1, 1]);
  }
});

test("the search for messages that follow one another ends for the longest ones too", () => {
  const line = { baudRate: 115_200, maxMessage: 20 };
  const longest = publish(new Uint8Array(13).fill(3));
  const heard = new Heard("raw", line)
    .push(concat(bytesOf("00"), longest, longest, bytesOf("13 FE 01"), new Uint8Array(16), bytesOf("02 16")))
    .push(concat(longest, longest, longest));
  assert.deepEqual(heard.hex, [PINGREQ, longest, longest, longest].map(hexOf));
});

test("an unfinished message is given up when the gap has passed, by the clock or by the next octets, and counted once", () => {
  for (const isTicked of [true, false]) {
    const heard = new Heard("raw").push(CONNECT.subarray(0, 7));
    assert.equal(heard.reader.dueMs, 1020);
    if (isTicked) heard.wait(20).push(PUBLISH);
    else heard.push(PUBLISH, 20);
    assert.deepEqual(heard.hex, [hexOf(PUBLISH)]);
    const { resyncs, discardedBytes } = heard.counters;
    assert.deepEqual([resyncs, discardedBytes], [1, 7]);
  }
  assert.deepEqual(new Heard("raw").push(CONNECT.subarray(0, 7)).push(CONNECT.subarray(7), 19).hex, [hexOf(CONNECT)]);
});

test("the gap is 10 characters on a slow line, 20 ms on others, and what the settings say", () => {
  // In tenths of a millisecond.
  const due = (baudRate: number, gapMs?: number) =>
    Math.round((new Heard("raw", { baudRate, maxMessage: 255, gapMs }).push(bytesOf("05")).reader.dueMs! - 1000) * 10);
  assert.equal(due(1200), 833);
  assert.equal(due(4800), 208);
  assert.equal(due(9600), 200);
  assert.equal(due(115_200, 55), 550);
});

test("octets that come late because the program was busy, and not because the line was silent, are one message still", () => {
  const long = publish(new Uint8Array(600).fill(5));
  // 40 ms of a line of 115,200 bits a second are 460 octets.
  const heard = new Heard("raw").push(long.subarray(0, 100)).push(long.subarray(100, 560), 40).push(long.subarray(560));
  assert.deepEqual(heard.hex, [hexOf(long)]);
});

test("a line that never pauses is understood again at the third plausible message in a row", () => {
  const heard = new Heard("raw").push(concat(bytesOf("FF FF 00 0C"), PUBLISH, CONNECT));
  assert.deepEqual(heard.hex, []);
  heard.push(PINGREQ);
  assert.deepEqual(heard.hex, [PUBLISH, CONNECT, PINGREQ].map(hexOf));
  assert.deepEqual(heard.counters, { frames: 3, bytes: 27, checksumErrors: 0, resyncs: 1, discardedBytes: 4 });
});

test("what is longer than the longest message is not waited for", () => {
  const line = { baudRate: 9600, maxMessage: 60 };
  for (const head of ["3D 0C", "01 FFFF 0C", "3C FE 01", "07 FE 01 41424344 36 0C"]) {
    const heard = new Heard("raw", line).push(bytesOf(head));
    assert.equal(heard.counters.resyncs, 1, head);
    assert.deepEqual(heard.push(CONNECT, 30).hex, [hexOf(CONNECT)], head);
  }
});

test("plausible is a known type with a length that it can have; wholly there is what both Lengths say", () => {
  const plausible = (text: string) => plausibleLength(bytesOf(text), 0, bytesOf(text).length, 1024);
  assert.equal(plausible("07 0D"), 7);
  assert.equal(plausible("08 0D"), 0);
  assert.equal(plausible("06 0C"), 0);
  assert.equal(plausible("03 17"), 0);
  assert.equal(plausible("05 18"), 0);
  assert.equal(plausible("02 18"), 2);
  assert.equal(plausible("0B 03"), 0);
  assert.equal(plausible("05 FE 01 4142"), undefined);
  assert.equal(plausible("05 FE 01 4142 02 16"), 7);
  assert.equal(plausible("05 FE 01 4142 05 FE 01 4142 02 16"), 0);
  assert.equal(plausible("01 0004 16"), 4);
  assert.equal(plausible("01 00"), undefined);
  assert.equal(plausible(""), undefined);
  const whole = (text: string) => isWholeMessage(bytesOf(text), 0, bytesOf(text).length);
  assert.equal(whole("05 FE 01 4142 02 16"), true);
  assert.equal(whole("05 FE 01 4142 02 16 00"), false);
  assert.equal(whole("05 FE 01 4142"), false);
  assert.equal(whole("05 FE 01 4142 02 03"), false);
  assert.equal(whole("02 16"), true);
  assert.equal(whole("03 16"), false);
});
