import type { ProtocolVersion } from "./constants.ts";
import { ProtocolError, ReasonCode, statement } from "./reason.ts";

/**
 * Longer names are decoded each time: they are rare, and each slot has room for so many bytes.
 * Comparing with these bytes takes a third of the time of comparing with the characters of the string.
 */
const CACHED_BYTES_MAX = 256;

/** 5.0 [MQTT-1.5.4-3]: U+FEFF at the start is text like any other, so the decoder must not take it for a mark. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Decodes UTF-8 that repeats, as topic names do, and allocates nothing for what it has met before.
 * Each hash has one slot, and the newest text takes it, so memory is bounded: 256 bytes and a text for each of `slots`,
 * which is rounded up to a power of two. The operating system gives the bytes only as slots are filled.
 */
export class TextCache {
  private readonly mask: number;
  private readonly texts: (string | undefined)[];
  private readonly encoded: Uint8Array;
  private readonly lengths: Uint16Array;
  /** 1 where the text contains "+" or "#". */
  private readonly wildcards: Uint8Array;

  constructor(slots = 16384) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(slots, 1)));
    this.mask = size - 1;
    this.texts = new Array<string | undefined>(size).fill(undefined);
    this.encoded = new Uint8Array(size * CACHED_BYTES_MAX);
    this.lengths = new Uint16Array(size);
    this.wildcards = new Uint8Array(size);
  }

  /** The text of `bytes[start, end)`; throws what `decodeUtf8` throws. */
  read(bytes: Uint8Array, start: number, end: number, version: ProtocolVersion = 5): string {
    if (end - start > CACHED_BYTES_MAX) {
      return decodeUtf8(bytes, start, end, version);
    }
    return this.texts[this.slotOf(bytes, start, end, version)]!;
  }

  /** As `read`, and throws ProtocolError (0x82) when the text holds a wildcard character, 5.0 [MQTT-3.3.2-2]. */
  readTopicName(bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): string {
    if (end - start > CACHED_BYTES_MAX) {
      const text = decodeUtf8(bytes, start, end, version);
      return hasWildcard(text) ? refuseWildcard(version) : text;
    }
    const slot = this.slotOf(bytes, start, end, version);
    return this.wildcards[slot] === 1 ? refuseWildcard(version) : this.texts[slot]!;
  }

  private slotOf(bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): number {
    const slot = hashOf(bytes, start, end) & this.mask;
    if (!this.holds(slot, bytes, start, end)) {
      this.fill(slot, bytes, start, end, version);
    }
    return slot;
  }

  private holds(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.lengths[slot] !== end - start || this.texts[slot] === undefined) {
      return false;
    }
    const { encoded } = this;
    for (let at = start, key = slot * CACHED_BYTES_MAX; at < end; at++, key++) {
      if (encoded[key] !== bytes[at]) {
        return false;
      }
    }
    return true;
  }

  private fill(slot: number, bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): void {
    const text = decodeUtf8(bytes, start, end, version);
    this.texts[slot] = text;
    this.encoded.set(bytes.subarray(start, end), slot * CACHED_BYTES_MAX);
    this.lengths[slot] = end - start;
    this.wildcards[slot] = hasWildcard(text) ? 1 : 0;
  }
}

/**
 * Decodes one UTF-8 Encoded String without its length. `version` only chooses whose statement is cited.
 * Throws ProtocolError (0x81) for ill-formed UTF-8, surrogates among it, and for U+0000.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number, version: ProtocolVersion = 5): string {
  let text: string;
  try {
    text = decoder.decode(bytes.subarray(start, end));
  } catch {
    throw new ProtocolError(
      ReasonCode.MalformedPacket,
      statement(version, "1.5.4-1", "1.5.3-1"),
      `The ${end - start} bytes at ${start} are not well-formed UTF-8`,
    );
  }
  if (text.includes("\0")) {
    throw new ProtocolError(
      ReasonCode.MalformedPacket,
      statement(version, "1.5.4-2", "1.5.3-2"),
      `The string at ${start} contains U+0000`,
    );
  }
  return text;
}

/** Up to here a loop over ASCII is faster than a call into the runtime. */
const ASCII_LOOP_MAX = 64;

/** Lone surrogates, which have no encoding, become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const { length } = text;
  if (length > ASCII_LOOP_MAX) return encoder.encode(text);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) return encoder.encode(text);
    bytes[at] = unit;
  }
  return bytes;
}

/** Bytes that `encodeUtf8(text)` has. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0x7f) {
      length += unit > 0x7ff ? 2 : 1;
      if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(at + 1))) {
        // Two units make one code point of four bytes: two of them counted, two added.
        at++;
      }
    }
  }
  return length;
}

/** Whether `bytes[start, end)` is well-formed UTF-8, as Payload Format Indicator 1 promises; U+0000 is allowed there. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at]! > 0x7f) {
      return isDecodable(bytes, at, end);
    }
  }
  return true;
}

/** Whether a name contains "+" or "#", which only a Topic Filter may. */
export function hasWildcard(text: string): boolean {
  return text.includes("+") || text.includes("#");
}

function isDecodable(bytes: Uint8Array, start: number, end: number): boolean {
  try {
    decoder.decode(bytes.subarray(start, end));
    return true;
  } catch {
    return false;
  }
}

function refuseWildcard(version: ProtocolVersion): never {
  throw new ProtocolError(
    ReasonCode.ProtocolError,
    statement(version, "3.3.2-2"),
    "The Topic Name contains a wildcard character",
  );
}

/** Four bytes a step, since each step waits for the multiplication of the one before. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at++) {
    hash = Math.imul(hash ^ bytes[at]!, 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  // A last round, or names that differ in one digit would share a few slots: only the low bits choose.
  hash = Math.imul(hash, 0x85ebca6b);
  return hash ^ (hash >>> 16);
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
