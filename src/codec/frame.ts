import { PACKET_NAMES, PacketType, type ProtocolVersion } from "./constants.ts";
import { byteAt, malformed } from "./reader.ts";
import { ProtocolError, ReasonCode, statement } from "./reason.ts";

/** Takes whole packets, one at a time. */
export interface FrameSink {
  /**
   * One whole packet: its fixed header begins at `start`, its Remaining Length ends before `bodyStart`, and `end` is
   * exclusive. Valid only during the call.
   */
  onFrame(bytes: Uint8Array, start: number, bodyStart: number, end: number): void;
}

const NO_BYTES = new Uint8Array(0);
/** The smallest buffer for a partial packet; most of those that a read cuts in two are shorter. */
const GATHERED_BYTES_MIN = 256;

/**
 * Splits a stream of bytes into packets. Whole packets are passed on without a copy; only the partial packet at the
 * end of a chunk is gathered, in a buffer at most twice as large as what has really arrived.
 * After it has thrown, or has passed on what the sink threw, it ignores everything, as after `stop()`.
 */
export class FrameSplitter {
  /** Bytes of a whole packet, fixed header included; may be set at any time. */
  packetBytesMax: number;
  /** What the fixed header is checked against; 0 before the CONNECT. */
  version: ProtocolVersion | 0 = 0;

  private readonly sink: FrameSink;
  /** What has arrived and not been passed on is `gathered[from, to)`. Unless paused, it is part of one packet. */
  private gathered = NO_BYTES;
  private from = 0;
  private to = 0;
  private paused = false;
  private stopped = false;
  private delivering = false;
  /** Set by `measure`, to spare an object for each packet. */
  private bodyStart = 0;
  private packetBytes = 0;

  constructor(sink: FrameSink, packetBytesMax: number) {
    this.sink = sink;
    this.packetBytesMax = packetBytesMax;
  }

  /** Bytes held back: part of a packet, or what arrived during a pause. */
  get bufferedBytes(): number {
    return this.to - this.from;
  }

  /**
   * Takes `bytes[start, end)` and passes on every packet that is whole now. Not to be called from within `onFrame`.
   * Throws ProtocolError 0x81 for an impossible fixed header and 0x95 for a packet over `packetBytesMax`, both as soon
   * as the bytes that say so are here.
   */
  push(bytes: Uint8Array, start: number, end: number): void {
    if (this.stopped) {
      return;
    }
    if (this.delivering) {
      throw new Error("FrameSplitter.push was called from within onFrame");
    }
    if (this.paused) {
      this.gather(bytes, start, end, Number.POSITIVE_INFINITY);
      return;
    }
    this.delivering = true;
    try {
      const at = this.to > this.from ? this.completePartial(bytes, start, end) : start;
      const rest = this.deliver(bytes, at, end);
      if (rest < end) {
        const known = !this.paused && !this.stopped && this.measure(bytes, rest, end);
        this.gather(bytes, rest, end, known ? this.packetBytes : Number.POSITIVE_INFINITY);
      }
    } catch (error) {
      this.stop();
      throw error;
    } finally {
      this.delivering = false;
    }
  }

  /** Holds back everything from the next packet on, from inside `onFrame` too. Idempotent. */
  pause(): void {
    this.paused = true;
  }

  /** Passes on what was held back, then goes on as before; throws as `push` does. Idempotent. */
  resume(): void {
    this.paused = false;
    if (this.stopped || this.delivering || this.from === this.to) {
      return;
    }
    this.delivering = true;
    try {
      const rest = this.deliver(this.gathered, this.from, this.to);
      if (!this.stopped) {
        this.from = rest;
        this.keepOnlyRest();
      }
    } catch (error) {
      this.stop();
      throw error;
    } finally {
      this.delivering = false;
    }
  }

  /** Ignores everything from now on and frees its memory. Idempotent. */
  stop(): void {
    this.stopped = true;
    this.release();
  }

  /** Passes on the whole packets of `bytes[start, end)`; returns where the first byte that is left over stands. */
  private deliver(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && !this.paused && !this.stopped && this.measure(bytes, at, end)) {
      const next = at + this.packetBytes;
      if (next > end) {
        break;
      }
      this.sink.onFrame(bytes, at, this.bodyStart, next);
      at = next;
    }
    return at;
  }

  /**
   * Takes the bytes that the gathered packet lacks, passes it on if it is whole, and returns where the rest begins.
   * Byte by byte until the length is known: so nothing of the following packet is copied.
   */
  private completePartial(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const known = this.measure(this.gathered, this.from, this.to);
      const missing = known ? this.packetBytes - this.bufferedBytes : 1;
      const taken = Math.min(missing, end - at);
      this.gather(bytes, at, at + taken, known ? this.packetBytes : GATHERED_BYTES_MIN);
      at += taken;
      if (this.measure(this.gathered, this.from, this.to) && this.packetBytes === this.bufferedBytes) {
        const { gathered, from, to, bodyStart } = this;
        this.release();
        this.sink.onFrame(gathered, from, bodyStart, to);
        return at;
      }
    }
    return at;
  }

  /** Reads the fixed header at `at`; false if its end has not arrived. Sets `bodyStart` and `packetBytes`. */
  private measure(bytes: Uint8Array, at: number, end: number): boolean {
    checkFixedHeader(byteAt(bytes, at), this.version);
    let remainingLength = 0;
    let position = at + 1;
    for (let shift = 0; ; shift += 7) {
      if (position >= end) {
        return false;
      }
      const byte = byteAt(bytes, position++);
      remainingLength |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0 && this.version === 5) {
          throw malformed("5.0 [MQTT-1.5.5-1]", "Remaining Length has more bytes than it needs");
        }
        break;
      }
      if (shift === 21) {
        throw malformed(this.version === 3 || this.version === 4 ? "3.1.1 §2.2.3" : "5.0 §2.1.4", TOO_LONG);
      }
    }
    this.bodyStart = position;
    this.packetBytes = position - at + remainingLength;
    if (this.packetBytes > this.packetBytesMax) {
      throw this.tooLarge();
    }
    return true;
  }

  private tooLarge(): ProtocolError {
    const rule = this.version === 5 ? "5.0 [MQTT-3.2.2-15]" : "";
    const message = `Packet of ${this.packetBytes} bytes is over the limit of ${this.packetBytesMax}`;
    return new ProtocolError(ReasonCode.PacketTooLarge, rule, message);
  }

  /** Keeps a copy of `bytes[start, end)`, in a buffer with room for no more than `bytesMax` if that is enough. */
  private gather(bytes: Uint8Array, start: number, end: number, bytesMax: number): void {
    if (this.stopped) {
      return;
    }
    const count = end - start;
    if (this.to + count > this.gathered.length) {
      const needed = this.bufferedBytes + count;
      this.grow(Math.max(needed, Math.min(bytesMax, Math.max(GATHERED_BYTES_MIN, needed * 2))));
    }
    this.gathered.set(bytes.subarray(start, end), this.to);
    this.to += count;
  }

  /** Moves what is gathered to the start of a buffer of `capacity` bytes. */
  private grow(capacity: number): void {
    const grown = new Uint8Array(capacity);
    grown.set(this.gathered.subarray(this.from, this.to));
    this.gathered = grown;
    this.to -= this.from;
    this.from = 0;
  }

  private keepOnlyRest(): void {
    if (this.from === this.to) {
      this.release();
    } else if (this.from > 0 && !this.paused) {
      this.gathered = this.gathered.slice(this.from, this.to);
      this.to -= this.from;
      this.from = 0;
    }
  }

  private release(): void {
    this.gathered = NO_BYTES;
    this.from = 0;
    this.to = 0;
  }
}

/**
 * Throws ProtocolError (0x81) for a packet type or flags that no packet has. The flags of PUBLISH are its decoder's.
 * MQTT 3.1 alone lets PUBREL, SUBSCRIBE and UNSUBSCRIBE be sent again with DUP, its §2.1.
 */
export function checkFixedHeader(firstByte: number, version: ProtocolVersion | 0): void {
  const type = firstByte >> 4;
  const flags = firstByte & 0x0f;
  if (type === PacketType.PUBLISH) {
    return;
  }
  if (type === 0 || (type === PacketType.AUTH && version !== 5 && version !== 0)) {
    throw malformed(version === 5 || version === 0 ? "5.0 §2.1.2" : "3.1.1 §2.2.1", `Packet type ${type} is reserved`);
  }
  const expected = FLAGS[type];
  if (flags === expected || (version === 3 && expected === 0x02 && flags === 0x0a)) {
    return;
  }
  if (firstByte === TLS_HANDSHAKE && version === 0) throw malformed("5.0 [MQTT-2.1.3-1]", TLS_HERE);
  throw malformed(flagsRule(type, version), `${PACKET_NAMES[type]} has the reserved flags ${flags}`);
}

const TOO_LONG = "Remaining Length is longer than four bytes";

/** The type of a TLS record with a ClientHello, which is what clients send first that take this for another port. */
const TLS_HANDSHAKE = 0x16;
const TLS_HERE = "A TLS handshake, but MQTT is spoken here without TLS: give the client the port for TLS";

/** The flags that §2.1.3 of 5.0 and §2.2.2 of 3.1.1 prescribe, by packet type. */
const FLAGS = [0, 0, 0, 0, 0, 0, 0x02, 0, 0x02, 0, 0x02, 0, 0, 0, 0, 0];

function flagsRule(type: number, version: ProtocolVersion | 0): string {
  switch (type) {
    case PacketType.PUBREL:
      return statement(version, "3.6.1-1");
    case PacketType.SUBSCRIBE:
      return statement(version, "3.8.1-1");
    case PacketType.UNSUBSCRIBE:
      return statement(version, "3.10.1-1");
    case PacketType.DISCONNECT:
      return statement(version, "3.14.1-1");
    case PacketType.AUTH:
      return "5.0 [MQTT-3.15.1-1]";
    default:
      return statement(version, "2.1.3-1", "2.2.2-1");
  }
}
