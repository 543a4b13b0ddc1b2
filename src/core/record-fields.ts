import { decodeUtf8 } from "../codec/text.ts";

/**
 * What records are made of. Integers are big-endian, as in MQTT; a time is milliseconds of the broker's age (see Archive) in
 * eight bytes, all ones for never.
 */

const NEVER_HALF = 0xffff_ffff;
const HALF = 2 ** 32;

/** A non-negative integer below 2^53, or Infinity; fractions of a millisecond are dropped, and never below 0. */
export function writeTime(bytes: Uint8Array, at: number, value: number): void {
  if (value === Number.POSITIVE_INFINITY) {
    writeUint32(bytes, at, NEVER_HALF);
    writeUint32(bytes, at + 4, NEVER_HALF);
    return;
  }
  const whole = value < 0 ? 0 : Math.floor(value);
  writeUint32(bytes, at, Math.floor(whole / HALF));
  writeUint32(bytes, at + 4, whole % HALF);
}

export function readTime(bytes: Uint8Array, at: number): number {
  return timeFrom(readUint32(bytes, at), readUint32(bytes, at + 4));
}

/** Of the two halves of a time. */
export function timeFrom(high: number, low: number): number {
  return high === NEVER_HALF ? Number.POSITIVE_INFINITY : high * HALF + low;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Throws RangeError for a record that is shorter. */
export function demandLength(value: Uint8Array, length: number): void {
  if (value.length < length) throw new RangeError(`A record has ${value.length} bytes, not ${length}`);
}

/** Throws RangeError for a record that ends before `position`. */
export function demandRange(position: number, end: number): void {
  if (position > end) throw new RangeError(`A record ends ${position - end} bytes too early`);
}

/** What a record is named by. */
export function textOf(name: Uint8Array): string {
  return decodeUtf8(name, 0, name.length);
}
