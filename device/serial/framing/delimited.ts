import type { Frame, LineCounters, LineFacts } from "./framing.ts";
import { GapReader } from "./gap-reader.ts";
import { OctetBuffer } from "./octet-buffer.ts";

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
export class DelimitedReader extends GapReader {
  private readonly format: DelimitedFormat;
  private readonly content: OctetBuffer;
  /** The last octet was `escape`. */
  private escaped = false;
  /** Octets of the frame as they came, escapes included. */
  private octets = 0;
  /** The frame is lost already; its rest is passed over. */
  private skipping = false;

  constructor(format: DelimitedFormat, onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts) {
    super(onFrame, counters, line, format.hasChecksum);
    this.format = format;
    this.content = new OctetBuffer(format.contentMax(line.maxMessage));
  }

  protected get isWaiting(): boolean {
    return this.octets > 0 || this.skipping;
  }

  protected take(bytes: Uint8Array): void {
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

  protected giveUp(): void {
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

/**
 * `content` between two delimiters. `escapeOf` answers what stands for an octet behind the format's escape, or -1 where it
 * stands for itself.
 */
export function delimit(
  content: Uint8Array,
  format: Pick<DelimitedFormat, "delimiter" | "escape">,
  escapeOf: (octet: number) => number,
): Uint8Array {
  const bytes = new Uint8Array(2 + 2 * content.length);
  bytes[0] = format.delimiter;
  let to = 1;
  for (let at = 0; at < content.length; at++) {
    const octet = content[at]!;
    const escaped = escapeOf(octet);
    if (escaped >= 0) bytes[to++] = format.escape;
    bytes[to++] = escaped >= 0 ? escaped : octet;
  }
  bytes[to++] = format.delimiter;
  return bytes.subarray(0, to);
}
