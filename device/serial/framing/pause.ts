import type { LineFacts } from "./framing.ts";

const GAP_MS_MIN = 20;
const GAP_CHARACTERS = 10;
/** A character of 8N1 has a start and a stop bit. */
const CHARACTER_BITS = 10;
/** By so much a line may be faster than its baud rate says, and the clock coarse. */
const TOLERANCE = 1.25;
/** How much longer than a gap a framing with checksum waits: Bluetooth and USB adapters pause within a frame. */
const PATIENCE_GAPS = 10;

/** Silence that ends a message where nothing else does, in ms. */
export function gapMsOf(line: LineFacts): number {
  return line.gapMs ?? Math.max(GAP_MS_MIN, (GAP_CHARACTERS * CHARACTER_BITS * 1000) / line.baudRate);
}

/** Tells the silence of a line from the absence of its reader. */
export class Pause {
  /** When octets came last. */
  lastMs = 0;
  readonly limitMs: number;
  private readonly characterMs: number;

  /** `isPatient`: the frame's checksum will tell, so a gap is no reason yet to give it up. */
  constructor(line: LineFacts, isPatient: boolean) {
    this.limitMs = gapMsOf(line) * (isPatient ? PATIENCE_GAPS : 1);
    this.characterMs = (CHARACTER_BITS * 1000) / line.baudRate;
  }

  get dueMs(): number {
    return this.lastMs + this.limitMs;
  }

  /**
   * Whether the line was silent until `nowMs`, when `octets` were read at once. If the line needed all that time to
   * carry them, there was no silence: the program was busy, and nobody read.
   */
  isOver(nowMs: number, octets: number): boolean {
    return nowMs >= this.dueMs && !this.wasBusy(nowMs, octets);
  }

  wasBusy(nowMs: number, octets: number): boolean {
    return octets * this.characterMs * TOLERANCE >= nowMs - this.lastMs;
  }
}
