import type { Frame, FrameReader, LineCounters, LineFacts } from "./framing.ts";
import { Pause } from "./pause.ts";

/** What all readers do alike: octets are counted, and what waits for its rest is given up when the line falls silent. */
export abstract class GapReader implements FrameReader {
  protected readonly onFrame: (frame: Frame) => void;
  protected readonly counters: LineCounters;
  protected readonly maxMessage: number;
  private readonly pause: Pause;

  /** `hasChecksum`: a gap alone is no reason yet to give a frame up. */
  constructor(onFrame: (frame: Frame) => void, counters: LineCounters, line: LineFacts, hasChecksum: boolean) {
    this.onFrame = onFrame;
    this.counters = counters;
    this.maxMessage = line.maxMessage;
    this.pause = new Pause(line, hasChecksum);
  }

  get dueMs(): number | undefined {
    return this.isWaiting ? this.pause.dueMs : undefined;
  }

  tick(nowMs: number): void {
    const due = this.dueMs;
    if (due !== undefined && nowMs >= due) this.giveUp();
  }

  push(bytes: Uint8Array, nowMs: number): void {
    if (bytes.length === 0) return;
    if (this.isWaiting && this.pause.isOver(nowMs, bytes.length)) this.giveUp();
    this.pause.lastMs = nowMs;
    this.counters.bytes += bytes.length;
    this.take(bytes);
  }

  /** Something is unfinished, or octets are being passed over until the next beginning. */
  protected abstract get isWaiting(): boolean;
  protected abstract take(bytes: Uint8Array): void;
  /** Afterwards nothing waits. */
  protected abstract giveUp(): void;
}
