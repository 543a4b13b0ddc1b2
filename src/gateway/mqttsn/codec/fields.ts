import { ProtocolError } from "../../../codec/reason.ts";
import { decodeUtf8 } from "../../../codec/text.ts";
import { SnError } from "./error.ts";
import { headerLength, MESSAGE_OCTETS_MAX } from "./length.ts";

/**
 * A cursor over the variable part of one message. `name` is for the errors: "CONNECT".
 * Throws SnError when a field is missing, or follows where none may.
 */
export class FieldReader {
  private readonly bytes: Uint8Array;
  private readonly name: string;
  private position: number;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = name;
    this.position = headerLength(bytes, 0);
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  uint8(field: string): number {
    return this.bytes[this.take(1, field)]!;
  }

  uint16(field: string): number {
    const at = this.take(2, field);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  /** All that is left, as UTF-8. */
  text(field: string): string {
    const start = this.take(this.remaining, field);
    try {
      return decodeUtf8(this.bytes, start, this.position);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new SnError("text", `${field} of ${this.name}: ${error.message}`);
    }
  }

  /** All that is left, as a view. */
  octets(field: string): Uint8Array {
    const start = this.take(this.remaining, field);
    return view(this.bytes, start, this.position);
  }

  /** Throws unless everything has been read. */
  finish(): void {
    if (this.remaining > 0) {
      throw new SnError("overlong", `${this.remaining} octets follow the last field of ${this.name}`);
    }
  }

  private take(count: number, field: string): number {
    const start = this.position;
    if (count > this.remaining) throw new SnError("truncated", `${this.name} ends before its ${field} does`);
    this.position = start + count;
    return start;
  }
}

/**
 * Writes one message, whose variable part has `octets` octets: all of them must be written.
 * Throws RangeError when the message is longer than 65,535 octets, or a number does not fit its field.
 */
export class FieldWriter {
  readonly bytes: Uint8Array;
  private position: number;

  constructor(type: number, octets: number) {
    const total = octets + 2 <= 0xff ? octets + 2 : octets + 4;
    if (total > MESSAGE_OCTETS_MAX) {
      throw new RangeError(
        `A message of ${total} octets is longer than the ${MESSAGE_OCTETS_MAX} that MQTT-SN can write`,
      );
    }
    this.bytes = new Uint8Array(total);
    this.position = 0;
    if (total > 0xff) {
      this.uint8(0x01);
      this.uint16(total);
    } else {
      this.uint8(total);
    }
    this.uint8(type);
  }

  uint8(value: number): this {
    this.bytes[this.position++] = whole(value, 0xff);
    return this;
  }

  uint16(value: number): this {
    whole(value, 0xffff);
    this.bytes[this.position++] = value >>> 8;
    this.bytes[this.position++] = value;
    return this;
  }

  octets(data: Uint8Array): this {
    this.bytes.set(data, this.position);
    this.position += data.length;
    return this;
  }
}

/** `bytes[start, end)` without a copy. Not `subarray`: that of a Buffer is a Buffer, whose `slice` copies nothing. */
export function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

function whole(value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(`${value} is no whole number from 0 to ${max}, which is all that its field can hold`);
}
