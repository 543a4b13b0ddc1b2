import assert from "node:assert/strict";
import { test } from "node:test";
import { SnError, type SnErrorReason } from "../../../../src/gateway/mqttsn/codec/error.ts";
import {
  decodeEncapsulated,
  encodeEncapsulated,
  isEncapsulated,
} from "../../../../src/gateway/mqttsn/codec/forwarder.ts";
import { bytesOf, hexOf } from "../../../codec/kit.ts";

/** §5.5, Table 28 and 29. */
const BOTH: readonly [name: string, line: string, radius: number, nodeId: string, message: string][] = [
  ["a node id of one octet", "04 fe 00 2a 02 17", 0, "2a", "02 17"],
  ["a MAC address", "09 fe 02 a0b1c2d3e4f5 06 16 'node'", 2, "a0b1c2d3e4f5", "06 16 'node'"],
  [
    "a message with a Length of three octets",
    `05 fe 03 0102 01 0100 09 ${"55 ".repeat(252)}`,
    3,
    "0102",
    `01 0100 09 ${"55 ".repeat(252)}`,
  ],
  ["the longest node id", `ff fe 01 ${"66 ".repeat(252)} 02 18`, 1, "66 ".repeat(252), "02 18"],
];

for (const [name, line, radius, nodeId, message] of BOTH) {
  test(`an envelope is opened: ${name}`, () => {
    const bytes = bytesOf(line);
    assert.equal(isEncapsulated(bytes), true);
    assert.deepEqual(decodeEncapsulated(bytes), { radius, nodeId: bytesOf(nodeId), message: bytesOf(message) });
  });
  test(`an envelope is made: ${name}`, () => {
    assert.equal(hexOf(encodeEncapsulated(radius, bytesOf(nodeId), bytesOf(message))), hexOf(bytesOf(line)));
  });
}

test("the reserved bits of Ctrl are not looked at", () => {
  assert.equal(decodeEncapsulated(bytesOf("04 fe fd 2a 02 17")).radius, 1);
});

test("a radius of more hops than Ctrl can say is written as 3, so that a SEARCHGW's can be handed on", () => {
  for (const radius of [3, 4, 255]) {
    assert.equal(hexOf(encodeEncapsulated(radius, bytesOf("2a"), bytesOf("02 17"))), "04 fe 03 2a 02 17");
  }
  for (const radius of [-1, 0.5, Number.NaN]) {
    assert.throws(() => encodeEncapsulated(radius, bytesOf("2a"), bytesOf("02 17")), RangeError);
  }
});

test("a node id has 1 to 252 octets", () => {
  for (const octets of [0, 253]) {
    assert.throws(() => encodeEncapsulated(0, new Uint8Array(octets), bytesOf("02 17")), {
      name: "RangeError",
      message: `A node id has 1 to 252 octets, not ${octets}`,
    });
  }
});

test("node id and message are views, even of a Buffer's octets, and no Buffers themselves", () => {
  const bytes = Buffer.from("0004fe002a0217", "hex").subarray(1);
  const { nodeId, message } = decodeEncapsulated(bytes);
  assert.equal(nodeId.constructor, Uint8Array);
  assert.equal(message.constructor, Uint8Array);
  bytes[3] = 0x2b;
  bytes[5] = 0x18;
  assert.equal(`${hexOf(nodeId)}, ${hexOf(message)}`, "2b, 02 18");
});

test("what has no envelope is told by its MsgType alone", () => {
  for (const line of ["", "fe", "04", "01 0006", "02 17", "01 fe00 0c", "06 16 fefefefe", "fe 0c"]) {
    assert.equal(isEncapsulated(bytesOf(line)), false, line);
  }
});

const REFUSED: readonly [name: string, line: string, reason: SnErrorReason][] = [
  ["a message without an envelope", "02 17", "type"],
  ["nothing", "", "type"],
  ["an envelope that ends within its node id", "09 fe 00 a0b1", "truncated"],
  ["an envelope without a message", "04 fe 00 2a", "truncated"],
  ["a message that is cut off", "04 fe 00 2a 06 16 'nod'", "truncated"],
  ["octets behind the message", "04 fe 00 2a 02 17 00", "overlong"],
  ["an envelope without a node id", "03 fe 00 02 17", "length"],
  ["an envelope without a Ctrl", "02 fe 02 17", "length"],
  ["an envelope in an envelope", "04 fe 00 2a 04 fe 00 2b 02 17", "length"],
  ["an envelope with a Length of three octets", "01 0006 fe 00 2a 02 17", "length"],
  ["a message of Length 0", "04 fe 00 2a 00 17", "length"],
];

for (const [name, line, reason] of REFUSED) {
  test(`no envelope: ${name}`, () => {
    assert.throws(
      () => decodeEncapsulated(bytesOf(line)),
      (error) => error instanceof SnError && error.reason === reason,
    );
  });
}
