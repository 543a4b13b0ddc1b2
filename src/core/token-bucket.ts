/** What may come at once after a pause: one second's worth. */
const BURST_MS = 1000;
/** Times are sums of fractions: nobody is refused for their rounding. */
const TOLERANCE_MS = 0.001;

/**
 * A budget that fills up with time: `perSecond` tokens each second, of which at most one second's worth is saved up, and
 * at least one token.
 *
 * It is kept as the time until which everything taken is paid for: so nothing runs while nobody asks, and taking costs
 * an addition. Whoever finds a token left may take more than there are, and the next ones wait for longer: so a message
 * larger than a second's worth passes too, and the average holds.
 */
export class TokenBucket {
  /** What is counted: "messages". */
  readonly unit: string;
  /** Who bounds it, for messages: "limit clientMessagesPerSecond". */
  private source = "";
  /** 0: there is no bound. */
  private rate = 0;
  private msPerToken = 0;
  private paidUntilMs = Number.NEGATIVE_INFINITY;

  constructor(unit: string) {
    this.unit = unit;
  }

  get perSecond(): number {
    return this.rate;
  }

  /** What was taken stays taken. `perSecond` 0 sets no bound. */
  bound(perSecond: number, source: string): void {
    if (perSecond === this.rate && source === this.source) return;
    this.rate = perSecond;
    this.source = source;
    this.msPerToken = perSecond === 0 ? 0 : 1000 / perSecond;
  }

  /** Less than a token is left. */
  isEmpty(nowMs: number): boolean {
    return this.rate !== 0 && this.paidUntilMs - nowMs > this.savedMs + TOLERANCE_MS;
  }

  take(tokens: number, nowMs: number): void {
    if (this.rate === 0) return;
    this.paidUntilMs = Math.max(this.paidUntilMs, nowMs) + tokens * this.msPerToken;
  }

  /** When there is a token again, if nobody takes more. */
  refilledAtMs(): number {
    return this.paidUntilMs - this.savedMs;
  }

  /** How many milliseconds of the budget were taken beyond what there was; not above 0: none. */
  debtMs(nowMs: number): number {
    return this.paidUntilMs - nowMs - BURST_MS;
  }

  /** All is there that is ever saved up: it could as well be a new one. */
  isFull(nowMs: number): boolean {
    return this.paidUntilMs <= nowMs;
  }

  /** "more than 10 messages a second (limit clientMessagesPerSecond)" */
  get excess(): string {
    return `more than ${this.rate} ${this.unit} a second (${this.source})`;
  }

  private get savedMs(): number {
    return Math.max(0, BURST_MS - this.msPerToken);
  }
}
