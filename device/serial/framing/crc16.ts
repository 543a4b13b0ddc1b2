/**
 * CRC-16/X-25, also called CRC-16/IBM-SDLC, the FCS of HDLC and PPP (RFC 1662, appendix C.2): width 16, polynomial 0x1021,
 * initial value 0xFFFF, input and output reflected, final xor 0xFFFF. The check value, of "123456789", is 0x906E.
 * All framings here send its low octet first, as RFC 1662 does.
 */
export const CRC_OCTETS = 2;

/** 0x1021 with its bits in reverse. */
const POLYNOMIAL_REFLECTED = 0x8408;
const INITIAL = 0xffff;
/** What the register holds after right octets and their CRC, RFC 1662 appendix C.2. */
const GOOD = 0xf0b8;

const TABLE = Uint16Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ POLYNOMIAL_REFLECTED : value >>> 1;
  }
  return value;
});

/** The message and its CRC. */
export function withCrc16(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(message.length + CRC_OCTETS);
  bytes.set(message);
  const crc = crc16(message, message.length);
  bytes[message.length] = crc & 0xff;
  bytes[message.length + 1] = crc >>> 8;
  return bytes;
}

/** The CRC of `bytes[0, length)`. */
export function crc16(bytes: Uint8Array, length: number): number {
  return register(bytes, length) ^ 0xffff;
}

/** Whether the last two of `bytes[0, length)` are the CRC of those before, low octet first. */
export function endsWithCrc16(bytes: Uint8Array, length: number): boolean {
  return length >= CRC_OCTETS && register(bytes, length) === GOOD;
}

function register(bytes: Uint8Array, length: number): number {
  let value = INITIAL;
  for (let at = 0; at < length; at++) {
    value = (value >>> 8) ^ TABLE[(value ^ bytes[at]!) & 0xff]!;
  }
  return value;
}
