import { CRC_OCTETS, endsWithCrc16, withCrc16 } from "./crc16.ts";
import { type DelimitedFormat, DelimitedReader, delimit } from "./delimited.ts";
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
  encode: (message) => delimit(message, PLAIN, escapeOf),
};

/** SLIP whose content is the message and its CRC-16/X-25, low octet first; the CRC's octets are escaped like all others. */
export const SLIP_CRC: Framing = {
  name: "slip-crc",
  hasChecksum: true,
  reader: (onFrame, counters, line) => new DelimitedReader(CHECKED, onFrame, counters, line),
  encode: (message) => delimit(withCrc16(message), CHECKED, escapeOf),
};

function escapeOf(octet: number): number {
  return octet === END ? ESC_END : octet === ESC ? ESC_ESC : -1;
}
