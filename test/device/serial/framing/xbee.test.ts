import assert from "node:assert/strict";
import { test } from "node:test";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import { apiFrame, bytesOf, CONNECT, concat, fromModule, Heard, hexOf, MODULE, PINGREQ, publish } from "./kit.ts";

const MODES = ["xbee1", "xbee2"] as const;
const NEIGHBOUR = bytesOf("0013A200 40522BAA");

test("frames of the module itself, as the manuals print them, are read and counted, and are no messages", () => {
  const manual = [
    "7E 00 07 8B 01 7D 84 00 00 01 71", // transmit status
    "7E 00 03 89 01 00 75", // transmit status, 802.15.4
    "7E 00 02 8A 06 6F", // modem status: coordinator started
    "7E 00 05 88 01 42 44 00 F0", // answer to the AT command BD
  ];
  for (const text of manual) {
    const heard = new Heard("xbee1").push(bytesOf(text));
    const bytes = bytesOf(text).length;
    assert.deepEqual(heard.counters, { frames: 1, bytes, checksumErrors: 0, resyncs: 0, discardedBytes: 0 }, text);
    assert.deepEqual(heard.frames, [], text);
  }
  const escaped = new Heard("xbee2").push(bytesOf("7E 00 07 8B 01 7D 5D 84 00 00 01 71"));
  assert.deepEqual([escaped.counters.frames, escaped.counters.discardedBytes], [1, 0]);
});

test("a received packet, as the manual prints one, is read; that its text is no message is an error", () => {
  const heard = new Heard("xbee1").push(bytesOf("7E 00 12 90 00 13 A2 00 40 52 2B AA 7D 84 01 52 78 44 61 74 61 0D"));
  assert.deepEqual(heard.counters, { frames: 0, bytes: 22, checksumErrors: 1, resyncs: 0, discardedBytes: 22 });
});

test("0x90 and 0x80 tell the sender's 64-bit address, 0x81 its 16-bit one", () => {
  for (const name of MODES) {
    const isEscaped = name === "xbee2";
    const heard = new Heard(name)
      .push(fromModule(0x90, MODULE, CONNECT, isEscaped))
      .push(fromModule(0x80, MODULE, PINGREQ, isEscaped))
      .push(fromModule(0x81, bytesOf("7E13"), PINGREQ, isEscaped));
    assert.deepEqual(heard.hex, [`${hexOf(MODULE)}>${hexOf(CONNECT)}`, `${hexOf(MODULE)}>0216`, "7e13>0216"]);
    assert.equal(heard.counters.discardedBytes, 0);
  }
});

test("a transmit request is that of the manual, but asks for no status: frame id 0", () => {
  // The manual's has frame id 1, and so the checksum 0x13.
  const manual = "7E 00 16 10 00 00 13 A2 00 40 0A 01 27 FF FE 00 00 54 78 44 61 74 61 30 41 14";
  const text = bytesOf("5478446174613041");
  const node = bytesOf("0013A200400A0127");
  assert.equal(hexOf(framingOf("xbee1").encode(text, node)), hexOf(bytesOf(manual)));
  assert.equal(hexOf(framingOf("xbee2").encode(text, node)), hexOf(bytesOf(manual.replace(" 13 ", " 7D 33 "))));
});

test("all but the first octet is escaped in mode 2: length, addresses, message and checksum", () => {
  const message = bytesOf("0F 0C 20 0001 1234 7E7D1113 7E7D1113");
  const [plain, escaped] = MODES.map((name) => framingOf(name).encode(message, MODULE));
  const taken = hexOf(escaped!).replaceAll(/(?<=^(?:..)+)7d(..)/g, (_, pair) =>
    hexOf(Uint8Array.of(Number.parseInt(pair, 16) ^ 32)),
  );
  assert.equal(taken, hexOf(plain!));
  assert.equal(escaped!.lastIndexOf(0x7e), 0);
  assert.equal(escaped!.includes(0x11) || escaped!.includes(0x13), false);
  // 14 octets and the message's 3 are 0x11, which is escaped in the length too.
  assert.equal(hexOf(framingOf("xbee2").encode(bytesOf("03 05 00"), MODULE).subarray(0, 4)), "7e007d31");
});

test("without an address a message goes to all, with one of 16 bits by the request that has such; others are refused", () => {
  assert.equal(hexOf(framingOf("xbee1").encode(PINGREQ, undefined)), "7e00101000000000000000fffffffe00000216dc");
  assert.equal(hexOf(framingOf("xbee1").encode(PINGREQ, bytesOf("1234"))), "7e000701001234000216a0");
  assert.throws(() => framingOf("xbee1").encode(PINGREQ, bytesOf("123456")), {
    name: "RangeError",
    message: "The address of an XBee module has 8 octets, or 2, not 3",
  });
  assert.throws(() => framingOf("xbee1").encode(new Uint8Array(65_522), MODULE), RangeError);
});

test("a wrong checksum loses its frame; an unescaped 7E, 11 or 13 within a frame of mode 2 does so too", () => {
  for (const name of MODES) {
    const isEscaped = name === "xbee2";
    const bad = fromModule(0x90, NEIGHBOUR, CONNECT, isEscaped);
    bad[bad.length - 1]! ^= 1;
    const heard = new Heard(name).push(bad).push(fromModule(0x90, NEIGHBOUR, PINGREQ, isEscaped));
    assert.deepEqual(heard.hex, [`${hexOf(NEIGHBOUR)}>0216`]);
    assert.deepEqual([heard.counters.checksumErrors, heard.counters.resyncs], [1, 0]);
  }
  for (const octet of ["7E", "11", "13"]) {
    const heard = new Heard("xbee2")
      .push(bytesOf(`7E 00 07 8B 01 ${octet} 84 00 00 01 71`))
      .push(fromModule(0x90, NEIGHBOUR, PINGREQ, true));
    assert.equal(heard.frames.length, 1, octet);
    assert.equal(heard.counters.resyncs > 0, true, octet);
  }
});

test("mode 1 finds the frames that a false beginning has swallowed: when its checksum fails, or when the line falls silent", () => {
  const frames = concat(...[CONNECT, PINGREQ].map((message) => fromModule(0x90, NEIGHBOUR, message, false)));
  // Begins a frame of 32 octets, and one of 0x0200.
  const failing = new Heard("xbee1").push(bytesOf("7E 0020 90")).push(frames);
  assert.deepEqual(failing.hex, [`${hexOf(NEIGHBOUR)}>${hexOf(CONNECT)}`, `${hexOf(NEIGHBOUR)}>0216`]);
  assert.deepEqual([failing.counters.checksumErrors, failing.counters.discardedBytes], [1, 4]);
  const waiting = new Heard("xbee1").push(bytesOf("7E 0200 90")).push(frames);
  assert.deepEqual(waiting.hex, []);
  waiting.wait(200);
  assert.deepEqual(waiting.hex, failing.hex);
  assert.deepEqual([waiting.counters.resyncs, waiting.counters.discardedBytes], [1, 4]);
  assert.equal(waiting.reader.dueMs, undefined);
});

test("mode 1 passes over what lies between swallowed frames, and counts each octet and each loss once", () => {
  const frame = fromModule(0x90, NEIGHBOUR, PINGREQ, false);
  const heard = new Heard("xbee1").push(
    concat(bytesOf("7E 002C 90"), frame, bytesOf("AA 00018A75"), frame, bytesOf("00 01"), frame),
  );
  const text = `${hexOf(NEIGHBOUR)}>0216`;
  // The first five between them would be a frame of the module if they began with 7E.
  assert.deepEqual(heard.hex, [text, text, text]);
  assert.equal(heard.counters.frames, 3);
  assert.deepEqual([heard.counters.checksumErrors, heard.counters.resyncs, heard.counters.discardedBytes], [1, 2, 11]);
  const bad = concat(frame.subarray(0, -1), bytesOf("00"));
  const after = new Heard("xbee1").push(concat(bad, bytesOf("00 01"), frame));
  assert.deepEqual([after.counters.checksumErrors, after.counters.resyncs], [1, 0]);
});

test("mode 2 looks for no frame in a damaged one: an octet 7E there was escaped", () => {
  const image = fromModule(0x90, NEIGHBOUR, PINGREQ, false);
  const damaged = fromModule(0x90, MODULE, publish(image), true);
  damaged[damaged.length - 1]! ^= 1;
  const heard = new Heard("xbee2").push(damaged).wait(1000);
  assert.deepEqual(heard.hex, []);
  assert.equal(heard.counters.discardedBytes > 0, true);
});

test("nobody can speak for another module by the image of a frame in what is no message", () => {
  const image = fromModule(0x90, NEIGHBOUR, PINGREQ, false);
  const heard = new Heard("xbee1").push(fromModule(0x90, MODULE, image, false)).wait(1000);
  assert.deepEqual(heard.hex, []);
  assert.equal(heard.counters.checksumErrors, 1);
});

test("a length that no frame can have, or a type that goes to a module, begins no frame", () => {
  for (const text of ["7E 0000 FF", "7E FFFF 90", "7E 0010 10", "7E 0081 8B"]) {
    const heard = new Heard("xbee1").push(bytesOf(text)).push(fromModule(0x90, NEIGHBOUR, PINGREQ, false));
    assert.equal(heard.frames.length, 1, text);
    assert.equal(heard.counters.resyncs, 1, text);
  }
});

test("a length that no module sends is not waited for, however long messages may be", () => {
  const line = { baudRate: 115_200, maxMessage: 65_535 };
  assert.equal(new Heard("xbee1", line).push(bytesOf("7E 0840")).reader.dueMs, 1200);
  assert.equal(new Heard("xbee1", line).push(bytesOf("7E 0841")).reader.dueMs, undefined);
});

test("the longest message counts without what the module adds", () => {
  const line = { baudRate: 38_400, maxMessage: 10 };
  const heard = new Heard("xbee1", line)
    .push(fromModule(0x90, NEIGHBOUR, CONNECT, false))
    .push(fromModule(0x81, bytesOf("0001"), bytesOf("0B 04 04 01 003C 6E6F646531"), false))
    .push(apiFrame([0x8b, 1, 0, 0, 0, 0, 0], false));
  assert.deepEqual(heard.hex, [`${hexOf(NEIGHBOUR)}>${hexOf(CONNECT)}`]);
  assert.deepEqual([heard.counters.frames, heard.counters.checksumErrors], [2, 1]);
});
