import assert from "node:assert/strict";
import { test } from "node:test";
import { crc16, endsWithCrc16 } from "../../../../device/serial/framing/crc16.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { bytesOf } from "./kit.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

test("the CRC of the digits 1 to 9 is the check value that the catalogue gives for CRC-16/X-25", () => {
  assert.equal(crc16(ascii("123456789"), 9), 0x906e);
  assert.equal(crc16(ascii("123456789 and more"), 9), 0x906e);
  assert.equal(crc16(new Uint8Array(0), 0), 0x0000);
});

test("the CRC is that of a division bit by bit", () => {
  const random = new SeededRandom(1662);
  for (let round = 0; round < 200; round++) {
    const bytes = random.bytes(random.below(50));
    assert.equal(crc16(bytes, bytes.length), divided(bytes));
  }
});

test("octets with their CRC behind them, low octet first, are right; in the other order, or with one bit changed, wrong", () => {
  const good = bytesOf("313233343536373839 6E90");
  assert.equal(endsWithCrc16(good, 11), true);
  assert.equal(endsWithCrc16(bytesOf("313233343536373839 906E"), 11), false);
  for (let bit = 0; bit < 88; bit++) {
    const bad = good.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(endsWithCrc16(bad, 11), false, `bit ${bit}`);
  }
  assert.equal(endsWithCrc16(good, 1), false);
  assert.equal(endsWithCrc16(good, 0), false);
});

/** By the definition: reflect each octet, divide by 0x11021, reflect the rest. */
function divided(bytes: Uint8Array): number {
  let rest = 0xffff;
  for (const octet of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const feedback = ((rest >> 15) & 1) ^ ((octet >> bit) & 1);
      rest = ((rest << 1) & 0xffff) ^ (feedback ? 0x1021 : 0);
    }
  }
  let reflected = 0;
  for (let bit = 0; bit < 16; bit++) reflected |= ((rest >> bit) & 1) << (15 - bit);
  return reflected ^ 0xffff;
}
