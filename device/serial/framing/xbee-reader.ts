import type { Frame, LineCounters, LineFacts } from "./framing.ts";
import { GapReader } from "./gap-reader.ts";
import { isWholeMessage } from "./message-shape.ts";
import { OctetBuffer } from "./octet-buffer.ts";

export const START = 0x7e;
export const ESCAPE = 0x7d;
export const XON = 0x11;
export const XOFF = 0x13;
export const FLIP = 0x20;
/** Start and two octets of length. */
const HEADER_OCTETS = 3;
export const CHECKSUM_OCTETS = 1;

const RECEIVED = 0x90;
const RECEIVED_64 = 0x80;
const RECEIVED_16 = 0x81;
/** What a module sends has this bit; what is sent to one has not. */
const FROM_MODULE = 0x80;
/** What a module says of itself, a status 0x8B or 0x8A for example, is no longer, however long messages may be. */
const STATUS_OCTETS_MAX = 128;

/** What a receive frame has from its type on: the sender's address from 1 to `addressEnd`, and the message from `message`. */
const RECEIVE: { readonly [type: number]: { addressEnd: number; message: number } } = {
  // 802.15.4, sender with a 64-bit address: RSSI, options.
  [RECEIVED_64]: { addressEnd: 9, message: 11 },
  // 802.15.4, sender with a 16-bit address: RSSI, options.
  [RECEIVED_16]: { addressEnd: 3, message: 5 },
  // ZigBee, DigiMesh and newer 802.15.4: the 16-bit address too, options.
  [RECEIVED]: { addressEnd: 9, message: 12 },
};
const RECEIVE_OVERHEAD_MAX = 12;
/** No module carries more than some 2,000 octets over the air. It bounds what a wrong length can hold up. */
const DATA_OCTETS_MAX = 2_112;

/** Finds the frames of a module; see `XBEE1` and `XBEE2`. */
export class XbeeReader extends GapReader {
  private readonly isEscaped: boolean;
  private readonly dataMax: number;
  /** Empty, or begins with `START`; escapes are taken out. */
  private readonly frame: OctetBuffer;
  private escaped = false;
  /** Octets are being passed over until the next `START`; counted once. */
  private isLost = false;

  constructor(isEscaped: boolean, onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts) {
    super(onFrame, counters, line, true);
    this.isEscaped = isEscaped;
    const wanted = Math.max(line.maxMessage + RECEIVE_OVERHEAD_MAX, STATUS_OCTETS_MAX);
    this.dataMax = Math.min(wanted, DATA_OCTETS_MAX);
    this.frame = new OctetBuffer(HEADER_OCTETS + this.dataMax + CHECKSUM_OCTETS);
  }

  protected get isWaiting(): boolean {
    return this.frame.length > 0;
  }

  protected take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) this.takeOne(bytes[at]!);
  }

  private takeOne(octet: number): void {
    const { frame } = this;
    let value = octet;
    if (this.isEscaped && frame.length > 0) {
      if (octet === START) {
        this.lose(frame.length);
      } else if (this.escaped) {
        this.escaped = false;
        value = octet ^ FLIP;
      } else if (octet === ESCAPE) {
        this.escaped = true;
        return;
      } else if (octet === XON || octet === XOFF) {
        this.lose(frame.length);
      }
    }
    if (frame.length === 0) {
      if (octet !== START) {
        this.passOver(1);
        return;
      }
      this.isLost = false;
    }
    frame.reserve();
    frame.bytes[frame.length++] = value;
    this.judge();
  }

  /** Takes out what is whole at the beginning of the buffer, and what can be none. */
  private judge(): void {
    const { frame } = this;
    while (frame.length >= HEADER_OCTETS) {
      const { bytes } = frame;
      const data = (bytes[1]! << 8) | bytes[2]!;
      if (
        data === 0 ||
        data > this.dataMax ||
        (frame.length > HEADER_OCTETS && !mayBegin(bytes[HEADER_OCTETS]!, data))
      ) {
        this.passOver(this.skipFirst());
        continue;
      }
      const end = HEADER_OCTETS + data;
      if (frame.length < end + CHECKSUM_OCTETS) return;
      const isRight = this.isRight(end);
      const isTaken = isRight && this.deliver(end);
      if (!isTaken) {
        this.counters.checksumErrors++;
        // What is no message may hold the image of a frame with somebody else's address: if the checksum is right it is
        // passed over as a whole.
        this.counters.discardedBytes += isRight ? end + CHECKSUM_OCTETS : this.skipFirst();
      }
      if (isRight) {
        frame.drop(end + CHECKSUM_OCTETS);
        this.isLost = false;
        this.passOver(this.dropToStart(0));
      } else {
        // This loss is counted; what lies before the next beginning belongs to it.
        this.isLost = true;
      }
    }
  }

  /** Whether the data and the checksum together are 0xFF. */
  private isRight(end: number): boolean {
    const { bytes } = this.frame;
    let sum = 0;
    for (let at = HEADER_OCTETS; at <= end; at++) sum += bytes[at]!;
    return (sum & 0xff) === 0xff;
  }

  /** Passes on the message of a received frame; false if there is none in it. What a module says of itself is counted. */
  private deliver(end: number): boolean {
    const { bytes } = this.frame;
    const fields = RECEIVE[bytes[HEADER_OCTETS]!];
    if (fields === undefined) {
      this.counters.frames++;
      return true;
    }
    const from = HEADER_OCTETS + fields.message;
    if (end - from > this.maxMessage || !isWholeMessage(bytes, from, end)) return false;
    this.counters.frames++;
    const nodeId = bytes.slice(HEADER_OCTETS + 1, HEADER_OCTETS + fields.addressEnd);
    this.onFrame({ message: bytes.slice(from, end), nodeId });
    return true;
  }

  /** What began the buffer began no frame: looks for another in it. Answers how many octets went. */
  private skipFirst(): number {
    this.escaped = false;
    // In mode 2 an octet 7E in the buffer was escaped, and begins nothing.
    return this.dropToStart(this.isEscaped ? this.frame.length : 1);
  }

  private dropToStart(from: number): number {
    const { bytes, length } = this.frame;
    let at = from;
    while (at < length && bytes[at] !== START) at++;
    this.frame.drop(at);
    return at;
  }

  protected giveUp(): void {
    while (this.isWaiting) {
      this.lose(this.skipFirst());
      this.judge();
    }
  }

  /** An unfinished frame of `octets`, which is not looked at again. */
  private lose(octets: number): void {
    this.isLost = false;
    this.passOver(octets);
    if (this.isEscaped) this.frame.length = 0;
    this.escaped = false;
  }

  private passOver(octets: number): void {
    if (octets === 0) return;
    this.counters.discardedBytes += octets;
    if (!this.isLost) this.counters.resyncs++;
    this.isLost = true;
  }
}

/** Whether a module sends frames of this type that are so long. */
function mayBegin(type: number, data: number): boolean {
  return (type & FROM_MODULE) !== 0 && (RECEIVE[type] !== undefined || data <= STATUS_OCTETS_MAX);
}
