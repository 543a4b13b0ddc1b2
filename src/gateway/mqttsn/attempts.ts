export interface RetryRules {
  /** T_retry, in milliseconds. */
  retryMs: number;
  /** N_retry. */
  retries: number;
}

/** See `Route` for what either of these means. */
export interface AttemptEvents {
  answered(roundTripMs: number): void;
  resent(): void;
}

/** How often something was sent to a client that has not answered, 1.2 §6.13, and how long its answer took. */
export class Attempts {
  /** When the answer is overdue, in milliseconds of the gateway's clock; Infinity when none is due. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly rules: RetryRules;
  private readonly events: AttemptEvents;
  private count = 0;
  /** To send it is no repetition: it never was sent, or its answer was that there is no room. */
  private isFresh = true;
  /** When it was sent, if it was once and no answer has come. */
  private sentMs: number | undefined;

  constructor(rules: RetryRules, events: AttemptEvents) {
    this.rules = rules;
    this.events = events;
  }

  /** N_retry repetitions were in vain. */
  get areOver(): boolean {
    return this.count > this.rules.retries;
  }

  /** Something else is sent, or nothing: what was awaited has come. */
  reset(): void {
    this.pause();
    this.isFresh = true;
    this.sentMs = undefined;
  }

  /** Nothing is awaited for now. What was sent and not answered is a repetition when it is sent again. */
  pause(): void {
    this.count = 0;
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  /** They are counted anew. */
  renew(): void {
    this.count = 0;
  }

  onSend(nowMs: number): void {
    this.count++;
    this.dueMs = nowMs + this.rules.retryMs;
    this.sentMs = this.isFresh ? nowMs : undefined;
    if (!this.isFresh) this.events.resent();
    this.isFresh = false;
  }

  /** The client has answered. Of what was sent more than once nobody knows to which of these. */
  onAnswer(nowMs: number): void {
    if (this.sentMs !== undefined) this.events.answered(nowMs - this.sentMs);
    this.sentMs = undefined;
  }

  /** The client lives, and there is more to come: after T_retry. */
  postpone(nowMs: number): void {
    this.count = 0;
    this.dueMs = nowMs + this.rules.retryMs;
  }

  /** The client has no room: it is asked again, as often as it says so. */
  onCongestion(): void {
    this.isFresh = true;
  }
}
