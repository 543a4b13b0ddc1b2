/** What a client asks for, and the broker answers. */
export type Request = "publish" | "pubrel" | "subscribe" | "unsubscribe";

/**
 * Answers that the broker owes a client: PUBACK or PUBREC, PUBCOMP, SUBACK, UNSUBACK. Small clients wait for them and for
 * nothing else, and take whatever comes for the answer, so messages for a client begin after what it asked was answered.
 *
 * Bounded: an answer that does not come within the time after which the client asks again is waited for no longer.
 */
export class OwedAnswers {
  /** When those that are waited for are given up, in milliseconds of the gateway's clock; Infinity when there are none. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly limitMs: number;
  private readonly awaited = new Set<string>();
  /** They may come, but nothing waits for them. */
  private readonly givenUp = new Set<string>();

  /** `limitMs`: T_retry, in milliseconds. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }

  /** The client waits. */
  get any(): boolean {
    return this.awaited.size > 0;
  }

  /** Of those too that are not waited for any more. */
  has(request: Request, messageId: number): boolean {
    const key = keyOf(request, messageId);
    return this.awaited.has(key) || this.givenUp.has(key);
  }

  /** A request that is repeated is one, and its time runs from the first. */
  add(request: Request, messageId: number, nowMs: number): void {
    if (this.has(request, messageId)) return;
    if (!this.any) this.dueMs = nowMs + this.limitMs;
    this.awaited.add(keyOf(request, messageId));
  }

  settle(request: Request, messageId: number): void {
    const key = keyOf(request, messageId);
    this.awaited.delete(key);
    this.givenUp.delete(key);
    if (!this.any) this.dueMs = Number.POSITIVE_INFINITY;
  }

  /** True when the wait is over without the answers. */
  tick(nowMs: number): boolean {
    if (nowMs < this.dueMs) return false;
    this.dueMs = Number.POSITIVE_INFINITY;
    for (const key of this.awaited) this.givenUp.add(key);
    this.awaited.clear();
    return true;
  }
}

function keyOf(request: Request, messageId: number): string {
  return `${request} ${messageId}`;
}
