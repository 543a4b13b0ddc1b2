import { copyBytes } from "./bytes.ts";
import { VARIABLE_BYTE_INTEGER_MAX } from "./constants.ts";
import { encodeUtf8 } from "./text.ts";

/** A writer that is used again keeps no more memory than this. */
const KEPT_BYTES_MAX = 4096;
/** Room before the body for the fixed header, which is written last, when the Remaining Length is known. */
const FIXED_HEADER_BYTES_MAX = 5;

/**
 * Gathers the body of one packet, all but PUBLISH and the short acknowledgements, which are written in place.
 * Throws RangeError for a value that its field cannot hold: our mistake, never the peer's.
 */
export class Writer {
  private bytes = new Uint8Array(128);
  private position = FIXED_HEADER_BYTES_MAX;

  /** Bytes of the body so far. */
  get length(): number {
    return this.position - FIXED_HEADER_BYTES_MAX;
  }

  /** Starts again with an empty body. */
  clear(): void {
    this.position = FIXED_HEADER_BYTES_MAX;
    if (this.bytes.length > KEPT_BYTES_MAX) {
      this.bytes = new Uint8Array(128);
    }
  }

  uint8(value: number): void {
    const at = this.reserve(1);
    this.bytes[at] = value;
  }

  uint16(value: number): void {
    if (value < 0 || value > 0xffff) {
      throw new RangeError(`${value} does not fit a Two Byte Integer`);
    }
    const at = this.reserve(2);
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
  }

  uint32(value: number): void {
    if (value < 0 || value > 0xffffffff) {
      throw new RangeError(`${value} does not fit a Four Byte Integer`);
    }
    const at = this.reserve(4);
    this.bytes[at] = value >>> 24;
    this.bytes[at + 1] = value >>> 16;
    this.bytes[at + 2] = value >>> 8;
    this.bytes[at + 3] = value;
  }

  variableByteInteger(value: number): void {
    const at = this.reserve(variableByteIntegerSize(value));
    writeVariableByteInteger(this.bytes, at, value);
  }

  utf8String(text: string): void {
    this.binaryData(encodeUtf8(text));
  }

  binaryData(data: Uint8Array): void {
    this.uint16(data.length);
    this.raw(data);
  }

  /** Bytes without a length before them. */
  raw(data: Uint8Array): void {
    const at = this.reserve(data.length);
    copyBytes(this.bytes, at, data, 0, data.length);
  }

  /** The body alone, as a copy. */
  body(): Uint8Array {
    return this.bytes.slice(FIXED_HEADER_BYTES_MAX, this.position);
  }

  /** The whole packet: fixed header with `firstByte`, Remaining Length, body. */
  packet(firstByte: number): Uint8Array {
    const start = FIXED_HEADER_BYTES_MAX - variableByteIntegerSize(this.length) - 1;
    this.bytes[start] = firstByte;
    writeVariableByteInteger(this.bytes, start + 1, this.length);
    return this.bytes.slice(start, this.position);
  }

  /** Makes room for `count` bytes and returns where they go. It may replace `bytes`: look at that afterwards. */
  private reserve(count: number): number {
    const at = this.position;
    this.position = at + count;
    if (this.position > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.position));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    return at;
  }
}

/** Bytes that a Variable Byte Integer takes, 1 to 4, 5.0 §1.5.5. Throws RangeError above 268,435,455. */
export function variableByteIntegerSize(value: number): number {
  if (value < 0x80) {
    return 1;
  }
  if (value < 0x4000) {
    return 2;
  }
  if (value < 0x200000) {
    return 3;
  }
  if (value <= VARIABLE_BYTE_INTEGER_MAX) {
    return 4;
  }
  throw new RangeError(`${value} does not fit a Variable Byte Integer`);
}

/** Writes `value`, 0 to 268,435,455, and returns the end. */
export function writeVariableByteInteger(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest > 0x7f) {
    target[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[position++] = rest;
  return position;
}
