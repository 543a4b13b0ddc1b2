import { CRC_OCTETS, crc16, endsWithCrc16 } from "./crc16.ts";
import { type DelimitedFormat, DelimitedReader } from "./delimited.ts";
import type { Framing } from "./framing.ts";
import { isWholeMessage } from "./message-shape.ts";

/** RFC 1055. */
const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

const ESCAPES = {
  delimiter: END,
  escape: ESC,
  // RFC 1055 would let any other octet through as it is; here it is known to be damage.
  unescape: (octet: number) => (octet === ESC_END ? END : octet === ESC_ESC ? ESC : -1),
};

const PLAIN: DelimitedFormat = {
  ...ESCAPES,
  hasChecksum: false,
  contentMax: (maxMessage) => maxMessage,
  unwrap: (bytes, length) => (isWholeMessage(bytes, 0, length) ? bytes.slice(0, length) : undefined),
};

const CHECKED: DelimitedFormat = {
  ...ESCAPES,
  hasChecksum: true,
  contentMax: (maxMessage) => maxMessage + CRC_OCTETS,
  unwrap(bytes, length) {
    const end = length - CRC_OCTETS;
    return endsWithCrc16(bytes, length) && isWholeMessage(bytes, 0, end) ? bytes.slice(0, end) : undefined;
  },
};

/** RFC 1055, with END before the message too, so that noise on an idle line ends there. A wrong Length is its only check. */
export const SLIP: Framing = {
  name: "slip",
  hasChecksum: false,
  reader: (onFrame, counters, line) => new DelimitedReader(PLAIN, onFrame, counters, line),
  encode: (message) => encode(message, false),
};

/** SLIP whose content is the message and its CRC-16/X-25, low octet first; the CRC's octets are escaped like all others. */
export const SLIP_CRC: Framing = {
  name: "slip-crc",
  hasChecksum: true,
  reader: (onFrame, counters, line) => new DelimitedReader(CHECKED, onFrame, counters, line),
  encode: (message) => encode(message, true),
};

function encode(message: Uint8Array, hasCrc: boolean): Uint8Array {
  const bytes = new Uint8Array(2 + 2 * (message.length + CRC_OCTETS));
  bytes[0] = END;
  let to = 1;
  for (let at = 0; at < message.length; at++) to = escapeInto(bytes, to, message[at]!);
  if (hasCrc) {
    const crc = crc16(message, message.length);
    to = escapeInto(bytes, escapeInto(bytes, to, crc & 0xff), crc >>> 8);
  }
  bytes[to++] = END;
  return bytes.subarray(0, to);
}

function escapeInto(bytes: Uint8Array, to: number, octet: number): number {
  if (octet !== END && octet !== ESC) {
    bytes[to] = octet;
    return to + 1;
  }
  bytes[to] = ESC;
  bytes[to + 1] = octet === END ? ESC_END : ESC_ESC;
  return to + 2;
}
