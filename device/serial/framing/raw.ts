import type { Frame, Framing, LineCounters, LineFacts } from "./framing.ts";
import { GapReader } from "./gap-reader.ts";
import { plausibleLength } from "./message-shape.ts";
import { OctetBuffer } from "./octet-buffer.ts";

/** How many plausible heads in a row show, without a gap, where messages begin again. One alone is in any payload. */
const CHAIN_HEADS = 3;

/**
 * Messages back to back with nothing between them, as the serial bridge of mqtt-sn-tools has them: the Length, of one
 * octet or three, is all there is. An envelope and its message are one.
 */
export const RAW: Framing = {
  name: "raw",
  hasChecksum: false,
  reader: (onFrame, counters, line) => new RawReader(onFrame, counters, line),
  encode: (message) => message.slice(),
};

/**
 * Once a head is implausible nobody can say where the next message begins, so all is passed over until the line pauses
 * or, since a busy line never does, until three plausible messages stand in a row.
 */
class RawReader extends GapReader {
  /** Begins where a message does, or, when lost, where one might. */
  private readonly waiting: OctetBuffer;
  private isLost = false;

  constructor(onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts) {
    super(onFrame, counters, line, false);
    // The last of the heads may be one of three octets in an envelope, whose node id is at most 252 long.
    this.waiting = new OctetBuffer(CHAIN_HEADS * Math.max(line.maxMessage, 260));
  }

  protected get isWaiting(): boolean {
    return this.waiting.length > 0 || this.isLost;
  }

  protected take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      at += this.waiting.append(bytes, at, bytes.length);
      this.waiting.drop(this.takeMessages());
    }
  }

  /** Passes on what is whole; answers how many octets are done with. */
  private takeMessages(): number {
    const { bytes, length: end } = this.waiting;
    let at = 0;
    while (at < end) {
      if (this.isLost) {
        const isFound = this.isChainAt(at);
        if (isFound === undefined) break;
        this.isLost = !isFound;
        if (isFound) continue;
        at++;
        this.counters.discardedBytes++;
        continue;
      }
      const length = plausibleLength(bytes, at, end, this.maxMessage);
      if (length === 0) {
        this.isLost = true;
        this.counters.resyncs++;
        continue;
      }
      if (length === undefined || at + length > end) break;
      this.counters.frames++;
      this.onFrame({ message: bytes.slice(at, at + length), nodeId: undefined });
      at += length;
    }
    return at;
  }

  /** Whether plausible messages follow one another from `start`; undefined: too few octets to tell. */
  private isChainAt(start: number): boolean | undefined {
    const { bytes, length: end } = this.waiting;
    let at = start;
    for (let heads = 0; heads < CHAIN_HEADS; heads++) {
      const length = plausibleLength(bytes, at, end, this.maxMessage);
      if (length === undefined || length === 0) return length === 0 ? false : undefined;
      at += length;
    }
    return true;
  }

  protected giveUp(): void {
    if (!this.isLost) this.counters.resyncs++;
    this.counters.discardedBytes += this.waiting.length;
    this.waiting.length = 0;
    this.isLost = false;
  }
}
