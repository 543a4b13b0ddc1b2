import { crc32 } from "node:zlib";

/**
 * The store's file: one frame for each transaction.
 *
 *     0  u32  "MQLG"
 *     4  u32  a random number of the process that wrote it
 *     8  u32  length of the batch
 *    12  u32  crc32 of what stands before, then of the batch, going on from that of the frame before
 *    16       the batch
 *
 * Since each checksum goes on from the one before, a frame that an earlier process left behind the end is not taken for
 * the successor of a new one.
 */
const MAGIC = 0x474c514d;
const HEAD_BYTES = 16;
const CHECKED_HEAD_BYTES = 12;

export interface Frame {
  bytes: Uint8Array;
  crc: number;
}

export function encodeFrame(salt: number, previousCrc: number, batches: readonly Uint8Array[]): Frame {
  const length = batches.reduce((sum, batch) => sum + batch.length, 0);
  const bytes = new Uint8Array(HEAD_BYTES + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, salt, true);
  view.setUint32(8, length, true);
  let at = HEAD_BYTES;
  for (const batch of batches) {
    bytes.set(batch, at);
    at += batch.length;
  }
  const crc = crcOf(bytes, 0, length, previousCrc);
  view.setUint32(CHECKED_HEAD_BYTES, crc, true);
  return { bytes, crc };
}

export interface LogContents {
  batches: Uint8Array[];
  /** Where the next frame goes: whatever stands there is the rest of one that was never whole. */
  end: number;
  crc: number;
}

/** The frames from the start up to the first that is not whole. */
export function readLog(file: Uint8Array): LogContents {
  const contents: LogContents = { batches: [], end: 0, crc: 0 };
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  while (contents.end + HEAD_BYTES <= file.length) {
    const at = contents.end;
    const length = view.getUint32(at + 8, true);
    const next = at + HEAD_BYTES + length;
    if (view.getUint32(at, true) !== MAGIC || next > file.length) break;
    const crc = view.getUint32(at + CHECKED_HEAD_BYTES, true);
    if (crcOf(file, at, length, contents.crc) !== crc) break;
    contents.batches.push(file.slice(at + HEAD_BYTES, next));
    contents.end = next;
    contents.crc = crc;
  }
  return contents;
}

function crcOf(bytes: Uint8Array, at: number, length: number, previous: number): number {
  const head = crc32(bytes.subarray(at, at + CHECKED_HEAD_BYTES), previous);
  return crc32(bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length), head);
}
