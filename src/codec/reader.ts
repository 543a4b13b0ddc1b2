import { ownBytes } from "./bytes.ts";
import { type ProtocolVersion, VARIABLE_BYTE_INTEGER_MAX } from "./constants.ts";
import { ProtocolError, ReasonCode, statement } from "./reason.ts";
import { decodeUtf8 } from "./text.ts";

/**
 * A cursor over one whole packet: it refuses to read past `end`, and what it returns shares no memory with `bytes`.
 * Throws ProtocolError (0x81) when the packet is too short or a field cannot be read.
 */
export class Reader {
  readonly bytes: Uint8Array;
  readonly version: ProtocolVersion;
  position: number;
  readonly end: number;
  /** The statement that is broken if the next field is missing; "" when none names that field. */
  rule = "";

  constructor(bytes: Uint8Array, start: number, end: number, version: ProtocolVersion) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.version = version;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  uint8(): number {
    return this.bytes[this.take(1)]!;
  }

  /** Two Byte Integer, §1.5.2. */
  uint16(): number {
    const at = this.take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  /** Four Byte Integer, §1.5.3. The `>>> 0` matters: 0xFFFFFFFF is a valid Session Expiry Interval, not -1. */
  uint32(): number {
    const at = this.take(4);
    const { bytes } = this;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  /** Variable Byte Integer, 0 to 268,435,455, in as few bytes as possible, 5.0 §1.5.5. */
  variableByteInteger(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.uint8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          throw malformed("5.0 [MQTT-1.5.5-1]", "Variable Byte Integer has more bytes than it needs");
        }
        return value;
      }
    }
    throw malformed("5.0 §1.5.5", `Variable Byte Integer is greater than ${VARIABLE_BYTE_INTEGER_MAX}`);
  }

  /** UTF-8 Encoded String, §1.5.4 of 5.0 and §1.5.3 of 3.1.1. */
  utf8String(): string {
    const length = this.uint16();
    const start = this.take(length);
    return decodeUtf8(this.bytes, start, start + length, this.version);
  }

  /** Binary Data, 5.0 §1.5.6, as a copy: passwords, wills and correlation data outlive the receive buffer. */
  binaryData(): Uint8Array {
    const length = this.uint16();
    const start = this.take(length);
    return ownBytes(this.bytes, start, start + length);
  }

  /** A Packet Identifier, which is never 0; `rule` must name the statement for this packet. */
  packetIdentifier(): number {
    const identifier = this.uint16();
    if (identifier === 0) {
      throw malformed(this.rule, "Packet Identifier is 0");
    }
    return identifier;
  }

  /** Throws unless the whole packet has been read. */
  finish(): void {
    if (this.position !== this.end) {
      throw malformed(this.shapeRule(), `${this.remaining} bytes follow the last field of the packet`);
    }
  }

  /** Steps over `count` bytes and returns where they start. */
  take(count: number): number {
    const start = this.position;
    if (start + count > this.end) {
      const rule = this.rule === "" ? this.shapeRule() : this.rule;
      throw malformed(rule, `Cannot read ${count} bytes at ${start}: packet ends at ${this.end}`);
    }
    this.position = start + count;
    return start;
  }

  private shapeRule(): string {
    return statement(this.version, "4.13.1-1", "4.8.0-1");
  }
}

/** The peer's packet cannot be parsed: reason code 0x81. */
export function malformed(rule: string, message: string): ProtocolError {
  return new ProtocolError(ReasonCode.MalformedPacket, rule, message);
}

/** The peer's packet can be parsed, but holds what the protocol does not allow: reason code 0x82, 5.0 §1.2. */
export function violation(rule: string, message: string): ProtocolError {
  return new ProtocolError(ReasonCode.ProtocolError, rule, message);
}

/** For the paths where every packet passes and a cursor would cost an allocation: the caller has proved the index. */
export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at]!;
}

/** As `byteAt`, for a Two Byte Integer. */
export function uint16At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}
