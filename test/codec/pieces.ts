import assert from "node:assert/strict";
import { decodePacket } from "../../src/codec/codec.ts";
import type { ProtocolVersion } from "../../src/codec/constants.ts";
import { FrameSplitter } from "../../src/codec/frame.ts";
import { TextCache } from "../../src/codec/text.ts";
import { plain } from "./kit.ts";

/**
 * Reads a stream in pieces of these sizes, over and over, each in a buffer that is overwritten afterwards. With
 * `pausing` the splitter is paused after every packet and resumed after every piece until nothing more comes.
 */
export function readInPieces(
  stream: Uint8Array,
  version: ProtocolVersion,
  sizes: readonly number[],
  pausing: boolean,
): object[] {
  const packets: object[] = [];
  const names = new TextCache(4);
  const splitter = new FrameSplitter(
    {
      onFrame(bytes, start, bodyStart, end) {
        packets.push(plain(decodePacket(bytes, start, bodyStart, end, version, names)));
        if (pausing) {
          splitter.pause();
        }
      },
    },
    268_435_460,
  );
  splitter.version = version;
  let piece = 0;
  for (let at = 0; at < stream.length; ) {
    const size = Math.min(sizes[piece++ % sizes.length] ?? 1, stream.length - at);
    const chunk = Buffer.alloc(size + 4, 0xff);
    chunk.set(stream.subarray(at, at + size), 2);
    splitter.push(chunk, 2, 2 + size);
    chunk.fill(0xee);
    at += size;
    for (let known = -1; pausing && piece % 3 === 0 && known !== packets.length; ) {
      known = packets.length;
      splitter.resume();
    }
  }
  for (let known = -1; known !== packets.length; ) {
    known = packets.length;
    splitter.resume();
  }
  assert.equal(splitter.bufferedBytes, 0);
  return packets;
}
