import { CRC_OCTETS, endsWithCrc16, withCrc16 } from "./crc16.ts";
import { type DelimitedFormat, DelimitedReader } from "./delimited.ts";
import type { Framing } from "./framing.ts";
import { isWholeMessage } from "./message-shape.ts";

const DELIMITER = 0x00;
/** The code of a block of 254 octets that no zero follows. */
const FULL_BLOCK = 0xff;

/** Octets that `length` octets need at most, without delimiters. */
export function cobsEncodedMax(length: number): number {
  return length + 1 + Math.floor(length / (FULL_BLOCK - 1));
}

/**
 * Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999) of `from[0, length)` into `to` from `start` on; answers
 * where it ends. Afterwards no octet there is zero.
 */
export function cobsEncode(from: Uint8Array, length: number, to: Uint8Array, start: number): number {
  let codeAt = start;
  let at = start + 1;
  for (let read = 0; read < length; read++) {
    const octet = from[read]!;
    if (octet !== 0) to[at++] = octet;
    const isFull = at - codeAt === FULL_BLOCK;
    if (octet !== 0 && !(isFull && read + 1 < length)) continue;
    to[codeAt] = at - codeAt;
    codeAt = at++;
  }
  to[codeAt] = at - codeAt;
  return at;
}

/** The inverse, in place; answers the length, or -1 when a block is longer than what is there. */
export function cobsDecode(bytes: Uint8Array, length: number): number {
  let to = 0;
  for (let at = 0; at < length; ) {
    const code = bytes[at++]!;
    if (code === 0 || at + code - 1 > length) return -1;
    bytes.copyWithin(to, at, at + code - 1);
    to += code - 1;
    at += code - 1;
    if (code !== FULL_BLOCK && at < length) bytes[to++] = 0;
  }
  return to;
}

const FORMAT: DelimitedFormat = {
  delimiter: DELIMITER,
  escape: -1,
  hasChecksum: true,
  unescape: (octet) => octet,
  // Some encoders put an empty block behind a full one that is the last.
  contentMax: (maxMessage) => cobsEncodedMax(maxMessage + CRC_OCTETS) + 1,
  unwrap(bytes, encodedLength) {
    const length = cobsDecode(bytes, encodedLength);
    const end = length - CRC_OCTETS;
    return endsWithCrc16(bytes, length) && isWholeMessage(bytes, 0, end) ? bytes.slice(0, end) : undefined;
  },
};

/**
 * COBS of the message and its CRC-16/X-25, low octet first, between zeros. The zero before it ends what noise may have
 * left on the line; readers need only the one behind.
 */
export const COBS: Framing = {
  name: "cobs",
  hasChecksum: true,
  reader: (onFrame, counters, line) => new DelimitedReader(FORMAT, onFrame, counters, line),
  encode(message) {
    const checked = withCrc16(message);
    const bytes = new Uint8Array(2 + cobsEncodedMax(checked.length));
    const end = cobsEncode(checked, checked.length, bytes, 1);
    return bytes.subarray(0, end + 1);
  },
};
