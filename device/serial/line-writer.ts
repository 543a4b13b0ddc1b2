import type { Tty } from "./tty.ts";

export interface WriterEvents {
  /** Everything has been written after `refuse`. */
  onDrain(): void;
  /** The device takes nothing any more. `error`: what the system said, if it did. */
  onStuck(reason: string, error?: unknown): void;
}

/** Of a line's totals what the writer counts. */
export interface WrittenTotals {
  writes: number;
  bytesSent: number;
}

/**
 * More is not taken, and one message more than that may wait: what is here is in its last order. At 115,200 bit/s it is
 * 0.2 s of sending, beside what the driver has.
 */
const PENDING_BYTES_MAX = 2048;
/** What drivers keep, and empty before they say that there is room. */
const DRIVER_BYTES = 8192;
const TIMEOUT_MS = 5000;
const CHARACTER_BITS = 10;

/** What waits for a serial line to take it: bounded, in order, and given up when nothing moves. */
export class LineWriter {
  private readonly totals: WrittenTotals;
  private readonly timeoutMs: number;
  private readonly queue: Uint8Array[] = [];
  /** Bytes of the first one that have gone already. */
  private offset = 0;
  private pending = 0;
  private tty: Tty | undefined;
  private events: WriterEvents | undefined;
  private hasRefused = false;
  private timeout: NodeJS.Timeout | undefined;

  /** `timeoutMs`: how long the system may take nothing; undefined: 5 s and as long as a full driver needs. */
  constructor(baudRate: number, totals: WrittenTotals, timeoutMs?: number) {
    this.totals = totals;
    this.timeoutMs = timeoutMs ?? TIMEOUT_MS + (DRIVER_BYTES * CHARACTER_BITS * 1000) / baudRate;
  }

  get pendingBytes(): number {
    return this.pending;
  }

  get isFull(): boolean {
    return this.pending >= PENDING_BYTES_MAX;
  }

  begin(tty: Tty, events: WriterEvents): void {
    this.tty = tty;
    this.events = events;
  }

  /** Drops what waits. */
  end(): void {
    clearTimeout(this.timeout);
    this.tty = undefined;
    this.queue.length = 0;
    this.offset = 0;
    this.pending = 0;
    this.hasRefused = false;
    this.timeout = undefined;
  }

  /** Remembers that somebody waits for `onDrain`. Returns false. */
  refuse(): false {
    this.hasRefused = true;
    return false;
  }

  add(bytes: Uint8Array): void {
    this.queue.push(bytes);
    this.pending += bytes.length;
    if (this.timeout === undefined) this.write();
  }

  readonly onWritable = (): void => {
    this.write();
    if (this.pending > 0 || !this.hasRefused) return;
    this.hasRefused = false;
    this.events!.onDrain();
  };

  /** Writes as much as goes. While the timeout runs, the system has no room. */
  private write(): void {
    const { tty } = this;
    if (tty === undefined) return;
    let taken = 0;
    for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
      let count: number;
      try {
        count = tty.write(this.offset === 0 ? first : first.subarray(this.offset));
      } catch (error) {
        this.events!.onStuck("it cannot be written", error);
        return;
      }
      taken += count;
      this.offset += count;
      this.pending -= count;
      this.totals.bytesSent += count;
      if (this.offset < first.length) break;
      this.queue.shift();
      this.offset = 0;
      this.totals.writes++;
    }
    if (this.pending > 0 && this.timeout !== undefined && taken === 0) return;
    clearTimeout(this.timeout);
    this.timeout = this.pending === 0 ? undefined : setTimeout(this.onTimeout, this.timeoutMs);
  }

  private readonly onTimeout = (): void => {
    const seconds = (this.timeoutMs / 1000).toFixed(1);
    this.events!.onStuck(
      `it took none of ${this.pending} bytes for ${seconds} s: is the other end alive, and does it want the flow control that is set here?`,
    );
  };
}
