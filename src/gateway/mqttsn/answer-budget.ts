/** Answers to somebody in a row, and then so many a second; and for all who are not known together. */
const BURST = 20;
const PER_SECOND = 5;
const ORIGINS_MAX = 4096;

/**
 * How often those are answered who are not clients: their address may be somebody else's, who is not to be flooded in our
 * name.
 */
export class AnswerBudget {
  private readonly nowMs: () => number;
  private readonly origins = new Map<string, { left: number; atMs: number }>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** True when one more answer may go to `origin`. */
  take(origin: string): boolean {
    const nowMs = this.nowMs();
    const before = this.origins.get(origin);
    const left = Math.min(BURST, (before?.left ?? BURST) + ((nowMs - (before?.atMs ?? nowMs)) / 1000) * PER_SECOND);
    // The longest unused goes first: whoever floods from many addresses is slowed by what each may have.
    this.origins.delete(origin);
    if (this.origins.size >= ORIGINS_MAX) this.origins.delete(this.origins.keys().next().value!);
    this.origins.set(origin, { left: Math.max(0, left - 1), atMs: nowMs });
    return left >= 1;
  }
}
