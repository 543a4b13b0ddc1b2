import type { Framing } from "./framing.ts";
import { CHECKSUM_OCTETS, ESCAPE, FLIP, START, XbeeReader, XOFF, XON } from "./xbee-reader.ts";

const TRANSMIT_REQUEST = 0x10;
const TRANSMIT_REQUEST_16 = 0x01;
/** To all modules of the network. */
const BROADCAST = Uint8Array.of(0, 0, 0, 0, 0, 0, 0xff, 0xff);
/** The module shall find out the 16-bit address itself. */
const UNKNOWN_16 = [0xff, 0xfe] as const;

/**
 * API frames of Digi's XBee modules, mode 1: `7E`, length of two octets, data, checksum. No octet is escaped, so a frame
 * that turns out wrong is searched for the beginnings of others.
 */
export const XBEE1: Framing = xbee("xbee1", false);

/** Mode 2: in everything behind the first octet 7E, 7D, 11 and 13 are escaped, so 7E always begins a frame. */
export const XBEE2: Framing = xbee("xbee2", true);

function xbee(name: "xbee1" | "xbee2", isEscaped: boolean): Framing {
  return {
    name,
    hasChecksum: true,
    reader: (onFrame, counters, line) => new XbeeReader(isEscaped, onFrame, counters, line),
    encode: (message, nodeId) => encode(message, nodeId ?? BROADCAST, isEscaped),
  };
}

/**
 * A transmit request: 0x10 to a 64-bit address, 0x01 to one of 16 bits. Frame id 0: the module shall not report a status,
 * since MQTT-SN has its own retries; a status that comes all the same is read and counted.
 */
function encode(message: Uint8Array, nodeId: Uint8Array, isEscaped: boolean): Uint8Array {
  let head: number[];
  if (nodeId.length === 8) head = [TRANSMIT_REQUEST, 0, ...nodeId, ...UNKNOWN_16, 0, 0];
  else if (nodeId.length === 2) head = [TRANSMIT_REQUEST_16, 0, ...nodeId, 0];
  else throw new RangeError(`The address of an XBee module has 8 octets, or 2, not ${nodeId.length}`);
  const length = head.length + message.length;
  if (length > 0xffff)
    throw new RangeError(`A message of ${message.length} octets does not fit an API frame of an XBee`);

  const bytes = new Uint8Array(1 + 2 * (2 + length + CHECKSUM_OCTETS));
  bytes[0] = START;
  let to = 1;
  let sum = 0;
  const put = (octet: number) => {
    if (isEscaped && (octet === START || octet === ESCAPE || octet === XON || octet === XOFF)) {
      bytes[to++] = ESCAPE;
      bytes[to++] = octet ^ FLIP;
    } else {
      bytes[to++] = octet;
    }
  };
  put(length >>> 8);
  put(length & 0xff);
  for (const octet of head) {
    sum += octet;
    put(octet);
  }
  for (let at = 0; at < message.length; at++) {
    sum += message[at]!;
    put(message[at]!);
  }
  put(0xff - (sum & 0xff));
  return bytes.subarray(0, to);
}
