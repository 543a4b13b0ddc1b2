import { octet, SnError } from "./error.ts";
import { SnType } from "./types.ts";

/** MsgType of a message in the envelope of a forwarder, §5.5. */
export const ENCAPSULATED = 0xfe;
/** Of a message, §5.2.1. */
export const MESSAGE_OCTETS_MAX = 65_535;
/** Length, MsgType, Ctrl and a node id of one octet, §5.5. */
export const ENVELOPE_OCTETS_MIN = 4;
/** First octet of a Length of three. */
const LONG_FORM = 0x01;

/** Octets of the Length field and MsgType: 2, or 4 when the Length has three octets, §5.2. */
export function headerLength(bytes: Uint8Array, start: number): 2 | 4 {
  return bytes[start] === LONG_FORM ? 4 : 2;
}

/**
 * How many octets the message has that begins at `start`, its Length field included, as its head says; `end` is where the
 * octets end that have arrived. undefined: too few of them to tell. 0: no message begins like this.
 * A message in the envelope of a forwarder, whose Length ends with the node id, is counted whole: envelope and message.
 * Only the Length is looked at, and whether MsgType is the envelope's: see `isKnownType`.
 */
export function messageLength(bytes: Uint8Array, start: number, end: number): number | undefined {
  const length = statedLength(bytes, start, end);
  if (length === undefined || length === 0 || typeAt(bytes, start) !== ENCAPSULATED) return length;
  // The Length of an envelope has one octet, and an envelope holds no other.
  if (headerLength(bytes, start) !== 2 || length < ENVELOPE_OCTETS_MIN) return 0;
  const inner = start + length;
  const innerLength = statedLength(bytes, inner, end);
  if (innerLength === undefined || innerLength === 0) return innerLength;
  return typeAt(bytes, inner) === ENCAPSULATED ? 0 : length + innerLength;
}

/** Throws SnError unless the Length is that of `bytes`. */
export function checkLength(bytes: Uint8Array): void {
  const length = messageLength(bytes, 0, bytes.length);
  if (length === undefined) throw new SnError("truncated", `${bytes.length} octets do not hold a whole header`);
  if (length === 0) {
    const head = Array.from(bytes.subarray(0, 4), octet).join(" ");
    throw new SnError("length", `No message of MQTT-SN begins with these octets: ${head}`);
  }
  if (length > bytes.length) {
    throw new SnError("truncated", `Length says ${length} octets, but only ${bytes.length} are here`);
  }
  if (length < bytes.length) {
    throw new SnError("overlong", `${bytes.length - length} octets follow the ${length} that Length says`);
  }
}

/** Whether 1.2 has this MsgType, §5.2.2; a forwarder's 0xFE among them. */
export function isKnownType(type: number): boolean {
  return type === ENCAPSULATED || TYPES.has(type);
}

const TYPES: ReadonlySet<number> = new Set(Object.values(SnType));

/** MsgType of the message at `start`, whose header has arrived. */
export function typeAt(bytes: Uint8Array, start: number): number {
  return bytes[start + headerLength(bytes, start) - 1]!;
}

/** The value of the Length field at `start`; 0 if it cannot be one; undefined until the MsgType behind it is here too. */
function statedLength(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (start >= end) return undefined;
  const first = bytes[start]!;
  if (first === 0) return 0;
  if (start + headerLength(bytes, start) > end) return undefined;
  if (first !== LONG_FORM) return first;
  // Short messages may have the long form too: §5.2.1 says that they may have the short one, not that they must.
  const length = (bytes[start + 1]! << 8) | bytes[start + 2]!;
  return length < 4 ? 0 : length;
}
