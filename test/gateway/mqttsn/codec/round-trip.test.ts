import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeSn } from "../../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../../src/gateway/mqttsn/codec/encode.ts";
import {
  decodeEncapsulated,
  encodeEncapsulated,
  isEncapsulated,
} from "../../../../src/gateway/mqttsn/codec/forwarder.ts";
import { messageLength } from "../../../../src/gateway/mqttsn/codec/length.ts";
import { nameOf } from "../../../../src/gateway/mqttsn/codec/names.ts";
import { SnType } from "../../../../src/gateway/mqttsn/codec/types.ts";
import { concat, hexOf } from "../../../codec/kit.ts";
import { anyPacket, PACKETS } from "./arbitrary.ts";

const RUNS = { numRuns: 150 };

for (const [name, packets] of Object.entries(PACKETS)) {
  test(`any ${nameOf(SnType[name as keyof typeof SnType])} reads as it was written, and is written again the same`, () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const bytes = encodeSn(packet);
        const read = decodeSn(bytes);
        assert.deepEqual(read, packet);
        assert.equal(hexOf(encodeSn(read)), hexOf(bytes));
        assert.equal(bytes[0] === 1 ? bytes.length > 255 : bytes.length === bytes[0], true);
      }),
      RUNS,
    );
  });
}

test("the length of any message is known as soon as its MsgType is here, and not before", () => {
  fc.assert(
    fc.property(anyPacket, (packet) => {
      const bytes = concat([encodeSn(packet), Uint8Array.of(2, 0x17)]);
      const message = bytes.length - 2;
      const header = bytes[0] === 1 ? 4 : 2;
      for (let end = 0; end <= bytes.length; end++) {
        assert.equal(messageLength(bytes, 0, end), end < header ? undefined : message);
      }
    }),
    RUNS,
  );
});

test("any message comes out of its envelope as it went in, and the whole length is known from the head", () => {
  const nodeId = fc.uint8Array({ minLength: 1, maxLength: 252 });
  fc.assert(
    fc.property(fc.nat(3), nodeId, anyPacket, (radius, node, packet) => {
      const message = encodeSn(packet);
      const bytes = encodeEncapsulated(radius, node, message);
      assert.equal(isEncapsulated(bytes), true);
      assert.equal(isEncapsulated(message), false);
      assert.deepEqual(decodeEncapsulated(bytes), { radius, nodeId: node, message });
      const header = 3 + node.length + (message[0] === 1 ? 4 : 2);
      assert.equal(messageLength(bytes, 0, header - 1), undefined);
      assert.equal(messageLength(bytes, 0, header), bytes.length);
    }),
    RUNS,
  );
});
