/** How many are remembered at least, once there were so many, and at most twice that. */
const REMEMBERED = 64;
/** Fewer say nothing. */
const EVIDENCE = 16;
/** What is older is left out as soon as there is enough that is newer. */
const AGE_MS = 3_600_000;

/**
 * How much of the last 64 to 128 events was good. Those of more than two hours ago do not count where the newer ones
 * are evidence enough; else they do, so that something is known of a line that is used once in an hour.
 */
export class RecentShare {
  private goodNow = 0;
  private badNow = 0;
  private goodBefore = 0;
  private badBefore = 0;
  private sinceMs = Number.NEGATIVE_INFINITY;

  /** What has happened, in ms of a clock that never goes back. */
  add(good: number, bad: number, nowMs: number): void {
    const count = this.goodNow + this.badNow;
    if (count >= REMEMBERED || (count >= EVIDENCE && nowMs - this.sinceMs >= AGE_MS)) {
      this.goodBefore = this.goodNow;
      this.badBefore = this.badNow;
      this.goodNow = 0;
      this.badNow = 0;
    }
    if (this.goodNow + this.badNow === 0) this.sinceMs = nowMs;
    this.goodNow += good;
    this.badNow += bad;
  }

  /** Those that are remembered and were bad. */
  get bad(): number {
    return this.badNow + this.badBefore;
  }

  /** All that are remembered. */
  get count(): number {
    return this.goodNow + this.goodBefore + this.bad;
  }

  /** 0 to 1; undefined: fewer than 16 are remembered. */
  get value(): number | undefined {
    const { count } = this;
    return count < EVIDENCE ? undefined : 1 - this.bad / count;
  }
}
