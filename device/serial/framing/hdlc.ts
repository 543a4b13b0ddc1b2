import { CRC_OCTETS, endsWithCrc16, withCrc16 } from "./crc16.ts";
import { type DelimitedFormat, DelimitedReader, delimit } from "./delimited.ts";
import type { Framing } from "./framing.ts";
import { isWholeMessage } from "./message-shape.ts";

/** RFC 1662 §3.1 and §4.2. */
const FLAG = 0x7e;
const ESCAPE = 0x7d;
const FLIP = 0x20;
const ADDRESS = 0xff;
const CONTROL = 0x03;
const PREFIX_OCTETS = 2;
/** Of software flow control; escaped so that no driver takes them out. */
const XON = 0x11;
const XOFF = 0x13;

const FORMAT: DelimitedFormat = {
  delimiter: FLAG,
  escape: ESCAPE,
  hasChecksum: true,
  unescape: (octet) => octet ^ FLIP,
  contentMax: (maxMessage) => PREFIX_OCTETS + maxMessage + CRC_OCTETS,
  unwrap(bytes, length) {
    if (!endsWithCrc16(bytes, length)) return undefined;
    const end = length - CRC_OCTETS;
    // No message begins with FF 03: 1.2 has no type 3.
    const start = bytes[0] === ADDRESS && bytes[1] === CONTROL ? PREFIX_OCTETS : 0;
    return isWholeMessage(bytes, start, end) ? bytes.slice(start, end) : undefined;
  },
};

/**
 * As PPP in HDLC-like framing, RFC 1662: flag 7E, escape 7D, FCS-16 low octet first. The address and control octets FF 03
 * are not written, which §3.2 of RFC 1661 calls compression, but read when they are there. A frame that ends in 7D 7E was
 * aborted, §4.3.
 */
export const HDLC: Framing = {
  name: "hdlc",
  hasChecksum: true,
  reader: (onFrame, counters, line) => new DelimitedReader(FORMAT, onFrame, counters, line),
  encode: (message) => delimit(withCrc16(message), FORMAT, escapeOf),
};

function escapeOf(octet: number): number {
  return octet === FLAG || octet === ESCAPE || octet === XON || octet === XOFF ? octet ^ FLIP : -1;
}
