import type { Clock, LogLevel } from "../core/ports.ts";

/** Different messages counted at once. They are constants of our source, so there are never nearly so many. */
const MESSAGES_MAX = 1024;
const WINDOW_MS = 1000;

interface Count {
  level: LogLevel;
  lines: number;
}

/** Keeps one message, repeated by a thousand clients, from filling a flash card. */
export class LogFlood {
  private readonly clock: Clock;
  private readonly linesMax: number;
  private readonly write: (level: LogLevel, message: string) => void;
  private readonly counts = new Map<string, Count>();
  private windowEndMs = 0;
  private timeout: NodeJS.Timeout | undefined;

  /** `linesMax`: lines of one message in a second, 0 for any number. `write` takes the summaries. */
  constructor(clock: Clock, linesMax: number, write: (level: LogLevel, message: string) => void) {
    this.clock = clock;
    this.linesMax = linesMax;
    this.write = write;
  }

  /** Counts a line. False: it is one too many, and stands in the summary at the end of the second. */
  admits(level: LogLevel, message: string): boolean {
    if (this.linesMax === 0) return true;
    if (this.clock.nowMs() >= this.windowEndMs) {
      this.summarise();
      this.windowEndMs = this.clock.nowMs() + WINDOW_MS;
    }
    const count = this.counts.get(message);
    if (count === undefined) {
      if (this.counts.size < MESSAGES_MAX) this.counts.set(message, { level, lines: 1 });
      return true;
    }
    count.lines++;
    if (count.lines <= this.linesMax) return true;
    this.timeout ??= setTimeout(() => this.summarise(), WINDOW_MS).unref();
    return false;
  }

  /** Writes how many lines of each message were left out, and begins to count anew. */
  summarise(): void {
    clearTimeout(this.timeout);
    this.timeout = undefined;
    for (const [message, { level, lines }] of this.counts) {
      if (lines > this.linesMax) this.write(level, `${message} … ${lines - this.linesMax} more of these`);
    }
    this.counts.clear();
  }
}
