/** One that lasted so long was a connection, and not a part of a row of failures. */
const STABLE_MS = 30_000;

/** When to try again: later each time, up to a minute, and not all at once where many were cut off together. */
export class Backoff {
  private readonly firstMs: number;
  private readonly mostMs: number;
  private readonly random: () => number;
  private failures = 0;

  constructor(firstMs = 1_000, mostMs = 60_000, random: () => number = Math.random) {
    this.firstMs = firstMs;
    this.mostMs = mostMs;
    this.random = random;
  }

  /** Milliseconds to wait after a connection of `lastedMs`, 0 for none. */
  next(lastedMs: number): number {
    if (lastedMs >= STABLE_MS) this.failures = 0;
    const mostMs = Math.min(this.mostMs, this.firstMs * 2 ** Math.min(this.failures, 30));
    this.failures++;
    return mostMs * (0.5 + this.random() / 2);
  }
}
