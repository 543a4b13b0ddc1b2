import assert from "node:assert/strict";
import { test } from "node:test";
import { SlipDecoder, SlipEncoder } from "@serialport/parser-slip-encoder";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { anyMessage, bytesOf, CONNECT, concat, Heard, hexOf, PINGREQ, publish } from "./kit.ts";

/** A PUBLISH of C0, DB, C0, DB. */
const SPECIAL = bytesOf("0B 0C 20 0001 1234 C0DBC0DB");

test("RFC 1055: END before and behind the message, C0 is DB DC and DB is DB DD within", () => {
  assert.equal(hexOf(framingOf("slip").encode(SPECIAL, undefined)), "c00b0c2000011234dbdcdbdddbdcdbddc0");
  assert.deepEqual(new Heard("slip").push(bytesOf("0B0C2000011234DBDCDBDDDBDCDBDDC0")).hex, [hexOf(SPECIAL)]);
});

test("SLIP is what serialport's own SLIP encoder and decoder make of it, both ways", async () => {
  const random = new SeededRandom(1055);
  for (let round = 0; round < 60; round++) {
    const message = anyMessage(random);
    const theirs = new SlipEncoder();
    theirs.end(message);
    assert.deepEqual(new Heard("slip").push(concat(...(await theirs.toArray()))).hex, [hexOf(message)]);
    const back = new SlipDecoder();
    // Without the leading END, of which theirs makes an empty packet.
    back.end(framingOf("slip").encode(message, undefined).subarray(1));
    assert.equal(hexOf(concat(...(await back.toArray()))), hexOf(message));
  }
});

test("plain SLIP knows a damaged message by its Length alone, counts it and gives the next one", () => {
  const heard = new Heard("slip").push(bytesOf("C0 02 16 99 C0 02 16 C0 05 16 C0 C0 02 03 C0"));
  assert.deepEqual(heard.hex, ["0216"]);
  assert.deepEqual(heard.counters, { frames: 1, bytes: 15, checksumErrors: 3, resyncs: 0, discardedBytes: 7 });
});

test("an escape that stands for nothing loses its frame alone", () => {
  for (const name of ["slip", "slip-crc"] as const) {
    const heard = new Heard(name)
      .push(bytesOf("C0 02 DB 16 16 C0"))
      .push(framingOf(name).encode(CONNECT, undefined))
      .push(bytesOf("C0 02 16 DB C0"))
      .push(framingOf(name).encode(PINGREQ, undefined));
    assert.deepEqual(heard.hex, [hexOf(CONNECT), "0216"]);
    assert.equal(heard.counters.resyncs + heard.counters.checksumErrors, 2);
    assert.equal(heard.counters.discardedBytes, 7);
  }
});

test("an escape that stands for nothing is damage even where a message would come of it", () => {
  const heard = new Heard("slip").push(bytesOf("C0 02 DB 16 C0 02 17 C0"));
  assert.deepEqual(heard.hex, ["0217"]);
  assert.deepEqual(heard.counters, { frames: 1, bytes: 8, checksumErrors: 0, resyncs: 1, discardedBytes: 3 });
});

test("SLIP with CRC: CRC-16/X-25 behind the message, low octet first, escaped like the rest", () => {
  assert.equal(hexOf(framingOf("slip-crc").encode(PINGREQ, undefined)), `c00216${crcHex(PINGREQ)}c0`);
  const message = withCrcOctet(0xc0);
  const wire = framingOf("slip-crc").encode(message, undefined);
  assert.equal(wire.filter((octet) => octet === 0xc0).length, 2);
  assert.deepEqual(new Heard("slip-crc").push(wire).hex, [hexOf(message)]);
  assert.deepEqual(new Heard("slip-crc").push(framingOf("slip").encode(message, undefined)).hex, []);
});

test("RFC 1662: flags, 7D and the octet with bit 6 flipped, FCS low octet first; XON and XOFF are escaped too", () => {
  const message = bytesOf("0B 0C 20 0001 1234 7E7D1113");
  const content = concat(message, bytesOf(crcHex(message)));
  const escaped = hexOf(content).replaceAll(/(..)/g, (pair) => {
    return ["7e", "7d", "11", "13"].includes(pair) ? `7d${hexOf(Uint8Array.of(Number.parseInt(pair, 16) ^ 32))}` : pair;
  });
  assert.equal(hexOf(framingOf("hdlc").encode(message, undefined)), `7e${escaped}7e`);
  assert.deepEqual(new Heard("hdlc").push(bytesOf(`7E${escaped}7E`)).hex, [hexOf(message)]);
});

test("HDLC is read with address and control octets and without, with any octet escaped, and with one flag between frames", () => {
  const plain = `${hexOf(PINGREQ)}${crcHex(PINGREQ)}`;
  const prefixed = `ff030216${crcHex(bytesOf("FF030216"))}`;
  const allEscaped = plain.replaceAll(/(..)/g, (pair) => `7d${hexOf(Uint8Array.of(Number.parseInt(pair, 16) ^ 32))}`);
  const heard = new Heard("hdlc").push(bytesOf(`7E${plain}7E${prefixed}7E${allEscaped}7E7E7E`));
  assert.deepEqual(heard.hex, ["0216", "0216", "0216"]);
  assert.deepEqual(heard.counters.checksumErrors, 0);
});

test("an HDLC frame that ends in 7D 7E was aborted, whatever its FCS says", () => {
  const heard = new Heard("hdlc")
    .push(bytesOf(`7E0216${crcHex(PINGREQ)}7D7E`))
    .push(bytesOf(`0216${crcHex(PINGREQ)}7E`));
  assert.deepEqual(heard.hex, ["0216"]);
  assert.equal(heard.counters.checksumErrors, 1);
});

test("a right checksum does not make a message of what is none", () => {
  for (const text of ["0316", "0203", "", "05FE0141", "05FE01410217AA"]) {
    const content = bytesOf(text);
    for (const [name, delimiter] of [
      ["slip-crc", "C0"],
      ["hdlc", "7E"],
    ] as const) {
      const heard = new Heard(name).push(bytesOf(`${delimiter}${text}${crcHex(content)}${delimiter}`));
      assert.deepEqual(heard.hex, [], `${name} ${text}`);
      assert.equal(heard.counters.checksumErrors, 1, `${name} ${text}`);
    }
    const wire = framingOf("cobs").encode(content, undefined);
    assert.deepEqual(
      [new Heard("cobs").push(wire).frames, new Heard("cobs").push(wire).counters.checksumErrors],
      [[], 1],
    );
  }
});

test("a message in a forwarder's envelope is one frame, whose Length ends with the node id", () => {
  const message = bytesOf("07 FE 01 41424344 0A 04 04 01 003C 6E6F6465");
  for (const name of ["slip", "slip-crc", "hdlc", "cobs", "raw"] as const) {
    assert.deepEqual(new Heard(name).push(framingOf(name).encode(message, undefined)).hex, [hexOf(message)], name);
  }
});

test("what is longer than the longest message is passed over up to its end, and counted once", () => {
  for (const name of ["slip", "slip-crc", "hdlc", "cobs"] as const) {
    const fits = publish(new Uint8Array(60 - 7).fill(1));
    const heard = new Heard(name, { baudRate: 9600, maxMessage: 60 })
      .push(framingOf(name).encode(fits, undefined))
      .push(framingOf(name).encode(publish(new Uint8Array(5000).fill(1)), undefined))
      .push(framingOf(name).encode(publish(new Uint8Array(61 - 7).fill(1)), undefined))
      .push(framingOf(name).encode(PINGREQ, undefined));
    assert.deepEqual(heard.hex, [hexOf(fits), "0216"], name);
    assert.equal(heard.counters.resyncs + heard.counters.checksumErrors, 2, name);
  }
});

test("plain SLIP gives an unfinished message up after a gap; with a checksum a pause within a frame does no harm", () => {
  const wire = framingOf("slip").encode(CONNECT, undefined);
  const plain = new Heard("slip").push(wire.subarray(0, 6));
  assert.equal(plain.reader.dueMs, 1020);
  plain.wait(19).push(wire.subarray(6));
  assert.deepEqual(plain.hex, [hexOf(CONNECT)]);
  plain.push(wire.subarray(1, 6)).wait(20);
  assert.equal(plain.reader.dueMs, undefined);
  assert.deepEqual([plain.counters.resyncs, plain.counters.discardedBytes], [1, 5]);
  plain.push(wire.subarray(1));
  assert.equal(plain.frames.length, 2);

  // As well when nobody looked at the clock meanwhile; and what was being passed over anyway is not counted twice.
  const late = new Heard("slip").push(wire.subarray(0, 6)).push(wire.subarray(1), 20);
  assert.deepEqual([late.hex, late.counters.resyncs], [[hexOf(CONNECT)], 1]);
  const passedOver = new Heard("slip").push(bytesOf("C0 02 DB 00 00")).wait(20).push(wire.subarray(1));
  assert.deepEqual([passedOver.hex, passedOver.counters.resyncs], [[hexOf(CONNECT)], 1]);

  for (const name of ["slip-crc", "hdlc", "cobs"] as const) {
    const frame = framingOf(name).encode(CONNECT, undefined);
    const heard = new Heard(name).push(frame.subarray(0, 6)).wait(199).push(frame.subarray(6));
    assert.deepEqual(heard.hex, [hexOf(CONNECT)], name);
    // Without the delimiter in front, which would end it too.
    heard.push(frame.subarray(0, 6)).wait(200).push(frame.subarray(1));
    assert.equal(heard.frames.length, 2, name);
    assert.equal(heard.counters.resyncs, 1, name);
  }
});

/** The CRC by another way: bit by bit, low octet first, in hex. */
function crcHex(bytes: Uint8Array): string {
  let rest = 0xffff;
  for (const octet of bytes) {
    rest ^= octet;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >> 1) ^ 0x8408 : rest >> 1;
  }
  rest ^= 0xffff;
  return hexOf(Uint8Array.of(rest & 255, rest >> 8));
}

/** A PUBLISH whose CRC's low octet is `octet`. */
function withCrcOctet(octet: number): Uint8Array {
  for (let data = 0; ; data++) {
    const message = publish(Uint8Array.of(data >> 8, data & 0x3f));
    if (Number.parseInt(crcHex(message).slice(0, 2), 16) === octet) return message;
  }
}
