import { COBS } from "./cobs.ts";
import { HDLC } from "./hdlc.ts";
import { RAW } from "./raw.ts";
import { SLIP, SLIP_CRC } from "./slip.ts";
import { XBEE1, XBEE2 } from "./xbee.ts";

export type FramingName = "raw" | "slip" | "slip-crc" | "hdlc" | "cobs" | "xbee1" | "xbee2";

/** What a line is to the framing on it. */
export interface LineFacts {
  /** Bits a second. It tells how long a character takes, of 10 bits: 8N1. */
  baudRate: number;
  /** The longest message that is taken, a forwarder's envelope included: 2 to 65,535 octets, 1,024 by custom. */
  maxMessage: number;
  /** Silence that ends a message of a framing without checksum; without it 20 ms or 10 characters, the longer one. */
  gapMs?: number | undefined;
}

/**
 * What a line has carried since it was opened; a reader only adds. What is wrong counts either in `checksumErrors` or in
 * `resyncs`, never in both, so that their sum is how often something was lost.
 */
export interface LineCounters {
  /** Whole and right: messages, and what a radio module says of itself. */
  frames: number;
  /** All octets that came. */
  bytes: number;
  /** Frames that ended where one ends, but whose checksum, escapes, or message's own Length were wrong. */
  checksumErrors: number;
  /** Times that the reader had to look for the next beginning: unfinished, too long, or nothing that begins a frame. */
  resyncs: number;
  /** Octets that were part of no right frame. */
  discardedBytes: number;
}

export interface Frame {
  /** One whole message of MQTT-SN, or one in a forwarder's envelope. A copy: it is the receiver's to keep. */
  message: Uint8Array;
  /**
   * Of the radio module that sent it: 8 octets, its 64-bit address, or 2 if it has only told its 16-bit one; undefined
   * on a line without modules. Not the node id of a forwarder's envelope.
   */
  nodeId: Uint8Array | undefined;
}

/** Finds the frames in what a line carries. Memory is bounded by the longest message, and nothing is ever thrown. */
export interface FrameReader {
  /**
   * Octets as they came, at `nowMs` of a clock that never goes back. Calls `onFrame` for each frame that is whole and
   * right now, in order. The bytes may be reused afterwards. Not to be called from within `onFrame`.
   */
  push(bytes: Uint8Array, nowMs: number): void;
  /** When, by the same clock, what has been waiting for its rest is given up; undefined: nothing waits. */
  readonly dueMs: number | undefined;
  /**
   * Gives up what has waited until `dueMs`, and does nothing before. After a stall of the program the octets that
   * came meanwhile should be read and pushed first: a timer should let the loop poll once before it calls this.
   */
  tick(nowMs: number): void;
}

/** How messages are told apart on a line that carries only octets. */
export interface Framing {
  readonly name: FramingName;
  /** Whether a damaged frame is known by its checksum: 16 bits, and 8 with `xbee1` and `xbee2`. */
  readonly hasChecksum: boolean;
  /** A reader for one opening of a line. `counters` are only added to. */
  reader(onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts): FrameReader;
  /**
   * The octets to write for one message. `nodeId` is that of a frame, and tells a radio module whom to send to;
   * without one it sends to all. Other framings ignore it. Throws RangeError when the message does not fit.
   */
  encode(message: Uint8Array, nodeId: Uint8Array | undefined): Uint8Array;
}

/** Those with a checksum first: `AutoFraming` prefers them in this order when several fit. */
export const FRAMINGS: readonly Framing[] = [SLIP_CRC, HDLC, COBS, XBEE2, XBEE1, SLIP, RAW];

export function framingOf(name: FramingName): Framing {
  return FRAMINGS.find((framing) => framing.name === name)!;
}
