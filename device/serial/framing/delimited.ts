import type { Frame, FrameReader, LineCounters, LineFacts } from "./framing.ts";
import { OctetBuffer } from "./octet-buffer.ts";
import { Pause } from "./pause.ts";

/** A framing where one octet appears only between frames. */
export interface DelimitedFormat {
  readonly delimiter: number;
  /** Announces that the next octet stands for another; -1 where there is none. */
  readonly escape: number;
  readonly hasChecksum: boolean;
  /** The octet that one behind `escape` stands for; -1: none. */
  unescape(octet: number): number;
  /** The most octets between two delimiters, escapes counted once, for a message of `maxMessage` octets. */
  contentMax(maxMessage: number): number;
  /** The message, a copy, in `bytes[0, length)`, which may be written to; undefined when it is damaged. */
  unwrap(bytes: Uint8Array, length: number): Uint8Array | undefined;
}

/** What stood before a delimiter is one frame, right or wrong: so nothing but what is damaged is ever lost. */
export class DelimitedReader implements FrameReader {
  private readonly format: DelimitedFormat;
  private readonly onFrame: (frame: Frame) => void;
  private readonly counters: LineCounters;
  private readonly content: OctetBuffer;
  private readonly pause: Pause;
  private readonly maxMessage: number;
  /** The last octet was `escape`. */
  private escaped = false;
  /** Octets of the frame as they came, escapes included. */
  private octets = 0;
  /** The frame is lost already; its rest is passed over. */
  private skipping = false;

  constructor(format: DelimitedFormat, onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts) {
    this.format = format;
    this.onFrame = onFrame;
    this.counters = counters;
    this.maxMessage = line.maxMessage;
    this.content = new OctetBuffer(format.contentMax(line.maxMessage));
    this.pause = new Pause(line, format.hasChecksum);
  }

  get dueMs(): number | undefined {
    return this.octets > 0 || this.skipping ? this.pause.dueMs : undefined;
  }

  tick(nowMs: number): void {
    const due = this.dueMs;
    if (due !== undefined && nowMs >= due) this.giveUp();
  }

  push(bytes: Uint8Array, nowMs: number): void {
    if (bytes.length === 0) return;
    if (this.dueMs !== undefined && this.pause.isOver(nowMs, bytes.length)) this.giveUp();
    this.pause.lastMs = nowMs;
    this.counters.bytes += bytes.length;
    const { format, content } = this;
    const delimiter = format.delimiter;
    const escapeOctet = format.escape;
    for (let at = 0; at < bytes.length; at++) {
      let octet = bytes[at]!;
      if (octet === delimiter) {
        this.finish();
        continue;
      }
      if (this.skipping) {
        this.counters.discardedBytes++;
        continue;
      }
      this.octets++;
      if (this.escaped) {
        this.escaped = false;
        octet = format.unescape(octet);
      } else if (octet === escapeOctet) {
        this.escaped = true;
        continue;
      }
      if (octet >= 0 && content.reserve()) content.bytes[content.length++] = octet;
      else this.skip();
    }
  }

  private finish(): void {
    const { content, counters, octets } = this;
    const wasSkipping = this.skipping;
    const length = content.length;
    const wasWhole = !this.escaped;
    this.reset();
    if (wasSkipping || octets === 0) return;
    const message = wasWhole ? this.format.unwrap(content.bytes, length) : undefined;
    if (message === undefined || message.length > this.maxMessage) {
      counters.checksumErrors++;
      counters.discardedBytes += octets;
      return;
    }
    counters.frames++;
    this.onFrame({ message, nodeId: undefined });
  }

  /** Too long, or an escape that stands for nothing: there is no message in it, but its end is still to be found. */
  private skip(): void {
    this.giveUp();
    this.skipping = true;
  }

  private giveUp(): void {
    if (!this.skipping) this.counters.resyncs++;
    this.counters.discardedBytes += this.octets;
    this.reset();
  }

  private reset(): void {
    this.content.length = 0;
    this.escaped = false;
    this.octets = 0;
    this.skipping = false;
  }
}
