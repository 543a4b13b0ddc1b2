import type {
  Frame,
  FrameReader,
  FramingName,
  LineCounters,
  LineFacts,
} from "../../../../device/serial/framing/framing.ts";
import { framingOf } from "../../../../device/serial/framing/framing.ts";
import type { SeededRandom } from "../../../hostile/random.ts";

export const NAMES: readonly FramingName[] = ["slip-crc", "hdlc", "cobs", "xbee2", "xbee1", "slip", "raw"];
export const CHECKED = NAMES.slice(0, 5);
export const LINE: LineFacts = { baudRate: 115_200, maxMessage: 1024 };
/** Octets 7E, 7D, 11 and 13 are in it, as the maker's prefix has 13. */
export const MODULE = bytesOf("0013A200 407E7D11");

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A PUBLISH of QoS 1; each `data` makes another. */
export function publish(data: Uint8Array): Uint8Array {
  const head = data.length + 7 <= 255 ? [data.length + 7] : [1, (data.length + 9) >>> 8, (data.length + 9) & 0xff];
  return Uint8Array.of(...head, 0x0c, 0x20, 0x00, 0x01, 0x12, 0x34, ...data);
}

export const CONNECT = bytesOf("0A 04 04 01 003C 6E6F6465");
export const PINGREQ = bytesOf("02 16");

export function counters(): LineCounters {
  return { frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 };
}

/** A reader and all that came of it, each frame as `hex` or `hex of the module>hex`. */
export class Heard {
  readonly counters = counters();
  readonly frames: Frame[] = [];
  readonly reader: FrameReader;
  nowMs = 1000;

  constructor(name: FramingName, line: LineFacts = LINE) {
    this.reader = framingOf(name).reader((frame) => this.frames.push(frame), this.counters, line);
  }

  /** Bytes, after `ms` of silence. */
  push(bytes: Uint8Array, ms = 0): this {
    this.nowMs += ms;
    this.reader.push(bytes, this.nowMs);
    return this;
  }

  /** Lets `ms` pass, as somebody with a timer would. */
  wait(ms: number): this {
    const end = this.nowMs + ms;
    for (let due = this.reader.dueMs; due !== undefined && due <= end; due = this.reader.dueMs) {
      this.nowMs = due;
      this.reader.tick(due);
    }
    this.nowMs = end;
    return this;
  }

  get hex(): string[] {
    return this.frames.map(textOf);
  }
}

export function textOf({ message, nodeId }: Frame): string {
  return nodeId === undefined ? hexOf(message) : `${hexOf(nodeId)}>${hexOf(message)}`;
}

/** What a module writes on its serial line, by the manual and not by the code under test. `type` is 0x90, 0x80 or 0x81. */
export function fromModule(type: number, node: Uint8Array, message: Uint8Array, isEscaped: boolean): Uint8Array {
  const facts = type === 0x90 ? [0x7d, 0x84, 0x01] : [0x28, 0x00];
  return apiFrame([type, ...node, ...facts, ...message], isEscaped);
}

export function apiFrame(data: readonly number[], isEscaped: boolean): Uint8Array {
  const sum = data.reduce((total, octet) => total + octet, 0);
  const rest = [data.length >> 8, data.length & 255, ...data, 255 - (sum & 255)];
  const escaped = rest.flatMap((octet) => ([0x7e, 0x7d, 0x11, 0x13].includes(octet) ? [0x7d, octet ^ 0x20] : [octet]));
  return Uint8Array.from([0x7e, ...(isEscaped ? escaped : rest)]);
}

/** What comes in when the other end sends `message`: modules write other frames than are written to them. */
export function incoming(name: FramingName, message: Uint8Array): Uint8Array {
  if (name === "xbee1" || name === "xbee2") return fromModule(0x90, MODULE, message, name === "xbee2");
  return framingOf(name).encode(message, undefined);
}

/** How `Heard` writes that message down. */
export function expected(name: FramingName, message: Uint8Array): string {
  return name === "xbee1" || name === "xbee2" ? `${hexOf(MODULE)}>${hexOf(message)}` : hexOf(message);
}

/** Messages of many types and lengths; half of them full of the octets that framings use themselves. */
export function anyMessage(random: SeededRandom): Uint8Array {
  const kind = random.below(12);
  if (kind === 0) return CONNECT;
  if (kind === 1) return PINGREQ;
  if (kind === 2) return Uint8Array.of(7, 0x0d, 0, 1, random.below(256), random.below(256), 0);
  const length = kind === 3 ? 240 + random.below(40) : random.below(60);
  const data = random.bytes(length);
  if (random.below(2) === 0) {
    for (let at = 0; at < length; at++)
      data[at] = random.pick([0xc0, 0xdb, 0xdc, 0xdd, 0x7e, 0x7d, 0x11, 0x13, 0, 0xff]);
  }
  const message = publish(data);
  if (kind > 4) return message;
  const node = random.bytes(1 + random.below(8));
  return Uint8Array.of(3 + node.length, 0xfe, 0x01, ...node, ...message);
}

/** `bytes` in pieces of 1 to `most` octets. */
export function* pieces(bytes: Uint8Array, random: SeededRandom, most: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(most));
    yield bytes.subarray(at, end);
    at = end;
  }
}
