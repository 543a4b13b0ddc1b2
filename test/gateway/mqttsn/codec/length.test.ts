import assert from "node:assert/strict";
import { test } from "node:test";
import { isKnownType, messageLength } from "../../../../src/gateway/mqttsn/codec/length.ts";
import { bytesOf } from "../../../codec/kit.ts";

const LENGTHS: readonly [name: string, line: string, length: number | undefined][] = [
  ["nothing yet", "", undefined],
  ["a Length, but no MsgType yet", "05", undefined],
  ["a header", "05 16", 5],
  ["the longest Length of one octet", "ff 0c", 255],
  ["the shortest message", "02 17", 2],
  ["what follows is not looked at", "02 17 00 00", 2],
  ["Length 0", "00", 0],
  ["one octet of a long Length", "01", undefined],
  ["a long Length, but no MsgType yet", "01 0100", undefined],
  ["a long header", "01 0100 0c", 256],
  ["the longest message", "01 ffff 0c", 65_535],
  ["a long Length of a short message", "01 0004 17", 4],
  ["a long Length that does not count itself", "01 0003 17", 0],
  ["a long Length of 0", "01 0000 17", 0],
  ["a MsgType that is not known is counted all the same", "05 33", 5],
  ["an envelope, but nothing of its message yet", "05 fe 00 0102", undefined],
  ["part of an envelope", "05 fe 00", undefined],
  ["an envelope and a Length, but no MsgType yet", "05 fe 00 0102 03", undefined],
  ["an envelope and its message", "05 fe 00 0102 03 05", 8],
  ["an envelope and a message with a long Length", "04 fe 00 01 01 0100 0c", 260],
  ["an envelope without a node id", "03 fe 00 02 17", 0],
  ["an envelope around Length 0", "04 fe 00 01 00", 0],
  ["an envelope in an envelope", "04 fe 00 01 04 fe 00 02 02 17", 0],
  ["an envelope with a long Length", "01 0006 fe 00 01 02 17", 0],
];

for (const [name, line, length] of LENGTHS) {
  test(`length of a message: ${name}`, () => {
    const bytes = bytesOf(line);
    assert.equal(messageLength(bytes, 0, bytes.length), length);
    // The same in the middle of other octets, which must not be looked at.
    const among = bytesOf(`01 02 ${line} 00 fe 03 05`);
    assert.equal(messageLength(among, 2, 2 + bytes.length), length);
  });
}

test("the types of Table 3 are known, the reserved ones are not", () => {
  const known = Array.from({ length: 256 }, (_, type) => type).filter(isKnownType);
  const reserved = [0x03, 0x11, 0x19];
  const messages = Array.from({ length: 0x1e }, (_, type) => type).filter((type) => !reserved.includes(type));
  assert.deepEqual(known, [...messages, 0xfe]);
});
