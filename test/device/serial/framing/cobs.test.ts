import assert from "node:assert/strict";
import { test } from "node:test";
import { cobsDecode, cobsEncode, cobsEncodedMax } from "../../../../device/serial/framing/cobs.ts";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { anyMessage, bytesOf, Heard, hexOf } from "./kit.ts";

const counted = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => (from + index).toString(16).padStart(2, "0")).join("");

/** The pairs that are passed from implementation to implementation, and figure 3 of the paper. */
const VECTORS: readonly [string, string][] = [
  ["00", "0101"],
  ["0000", "010101"],
  ["11220033", "0311220233"],
  ["11223344", "0511223344"],
  ["11000000", "0211010101"],
  [counted(1, 254), `ff${counted(1, 254)}`],
  [`00${counted(1, 254)}`, `01ff${counted(1, 254)}`],
  [counted(1, 255), `ff${counted(1, 254)}02ff`],
  [`${counted(2, 255)}00`, `ff${counted(2, 255)}0101`],
  [`${counted(3, 255)}0001`, `fe${counted(3, 255)}0201`],
  ["4500002c4c79000040064f37", "02450104 2c4c7901 0540064f 37".replaceAll(" ", "")],
];

/** CRC-16/X-25 of 02 16, low octet first, by Python's binascii.crc_hqx on octets with their bits reversed. */
const CRC_OF_PINGREQ = "4049";

test("COBS makes of the known examples what is known, and the examples of that again", () => {
  for (const [plain, encoded] of VECTORS) {
    assert.equal(encode(bytesOf(plain)), encoded);
    assert.equal(decode(bytesOf(encoded)), plain);
  }
});

test("an empty block behind a full one, as some encoders have it, means nothing", () => {
  assert.equal(decode(bytesOf(`ff${counted(1, 254)}01`)), counted(1, 254));
});

test("a block that is longer than what is there is damage", () => {
  for (const bad of ["02", "0511", "ff01", "010311", "00"]) assert.equal(decode(bytesOf(bad)), undefined, bad);
});

test("any octets survive, none becomes zero, and the overhead is one octet in 254 and one", () => {
  const random = new SeededRandom(1999);
  for (let round = 0; round < 500; round++) {
    const plain = random.bytes(random.below(900));
    if (round % 2 === 0) for (let at = 0; at < plain.length; at++) plain[at] = random.below(300) === 0 ? 0 : 1;
    const encoded = bytesOf(encode(plain));
    assert.equal(encoded.includes(0), false);
    assert.equal(encoded.length <= cobsEncodedMax(plain.length), true);
    assert.equal(decode(encoded), hexOf(plain));
  }
});

test("a COBS frame is message and CRC, low octet first, between zeros; the first zero may be missing", () => {
  const wire = framingOf("cobs").encode(bytesOf("0216"), undefined);
  assert.equal(wire[0], 0);
  assert.equal(wire.at(-1), 0);
  assert.equal(decode(wire.slice(1, -1)), `0216${CRC_OF_PINGREQ}`);
  const random = new SeededRandom(254);
  for (let round = 0; round < 100; round++) {
    const message = anyMessage(random);
    const frame = framingOf("cobs").encode(message, undefined);
    assert.deepEqual(new Heard("cobs").push(frame.subarray(1)).hex, [hexOf(message)]);
    assert.equal(frame.subarray(1, -1).includes(0), false);
  }
});

function encode(plain: Uint8Array): string {
  const to = new Uint8Array(cobsEncodedMax(plain.length) + 1).fill(0xee);
  return hexOf(to.subarray(1, cobsEncode(plain, plain.length, to, 1)));
}

function decode(encoded: Uint8Array): string | undefined {
  const bytes = encoded.slice();
  const length = cobsDecode(bytes, bytes.length);
  return length === -1 ? undefined : hexOf(bytes.subarray(0, length));
}
