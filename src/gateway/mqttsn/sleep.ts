import type { CoreLink } from "../../core/core-link.ts";
import type { Downstream } from "./downstream.ts";
import type { OwedAnswers } from "./owed-answers.ts";
import { toleratedMs } from "./tolerance.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** A will may wait for a client that promises nothing, should the broker be cut off meanwhile. */
const WILL_DELAY_SECONDS_MAX = 86_400;

export interface SleepParts {
  readonly link: CoreLink;
  readonly downstream: Downstream;
  readonly owed: OwedAnswers;
  /** T_retry, in milliseconds: an open window in which nothing passes is closed after this. */
  readonly retryMs: number;
  /** Sends PINGRESP: the client is asleep, or it asked whether we are there. */
  pong(): void;
}

/**
 * A client's sleep, 1.2 §6.14: when it is to be heard of, when it wakes, and the window in which it has what was kept.
 * Times are in milliseconds of the gateway's clock.
 */
export class Sleep {
  phase: "active" | "asleep" | "awake" = "active";
  /** Seconds: of its keep-alive, or of its sleep. */
  durationSeconds: number;
  /** When it is to wake, as it said; Infinity: it is not asleep, or has missed that already. */
  nextWakeMs = NEVER;
  /** Times in a row that it did not wake as it had said, though within what is tolerated. */
  missedWakes = 0;
  private readonly parts: SleepParts;
  private lostMs = NEVER;
  /** Messages that were kept when it woke: when it has had so many, its window closes. */
  private windowLeft = 0;
  /** When its window closes though something is kept, since the broker does not hand it over. */
  private windowMs = NEVER;

  constructor(durationSeconds: number, parts: SleepParts) {
    this.durationSeconds = durationSeconds;
    this.parts = parts;
  }

  /** When `tick` is wanted. */
  get deadlineMs(): number {
    return Math.min(this.lostMs, this.nextWakeMs, this.windowMs);
  }

  /** Seconds for which it may stay away, as a will's delay: 0 to 86,400. */
  get graceSeconds(): number {
    return Math.min(WILL_DELAY_SECONDS_MAX, Math.ceil(toleratedMs(this.durationSeconds) / 1000));
  }

  /** Whatever it says, it lives; in its window something else watches over it. */
  heard(nowMs: number): void {
    if (this.phase !== "awake") this.lostMs = nowMs + toleratedMs(this.durationSeconds);
  }

  /** It says that it sleeps: its keep-alive does not hold until it connects again, whichever is longer. */
  begin(durationSeconds: number, nowMs: number): void {
    this.durationSeconds = durationSeconds;
    this.fall(nowMs);
  }

  /** It is gone: no window is closed for it. */
  end(): void {
    this.phase = "active";
  }

  /**
   * A client that sleeps asks for what was kept. 1.2 §6.14 has it send its identifier; Paho's clients send none, and listen
   * all the same.
   */
  onPingreq(nowMs: number): void {
    // It has slept through what was sent. The answer comes at the end of its window.
    if (this.phase === "awake") this.parts.downstream.release(nowMs);
    else if (this.phase === "asleep") this.wake(nowMs);
    else this.parts.pong();
  }

  /** The broker hands over a message: its window goes on. */
  prolong(nowMs: number): void {
    if (this.phase === "awake") this.windowMs = nowMs + this.parts.retryMs;
  }

  /** Of what was kept when it woke, it has had one more; with the last, the broker keeps the rest for the next time. */
  passed(nowMs: number): void {
    this.prolong(nowMs);
    if (this.phase !== "awake" || this.windowLeft === 0) return;
    this.windowLeft--;
    if (this.windowLeft === 0) this.parts.link.sleep(this.graceSeconds);
  }

  /** It does not answer: in its window it has fallen asleep again. */
  fall(nowMs: number): void {
    const { link, downstream } = this.parts;
    this.phase = "asleep";
    this.windowMs = NEVER;
    downstream.hold();
    link.sleep(this.graceSeconds);
    this.nextWakeMs = nowMs + this.durationSeconds * 1000;
    this.lostMs = nowMs + toleratedMs(this.durationSeconds);
  }

  /**
   * Closes its window when it has had what was kept, and the answers to what it asked itself: it sleeps at once and hears
   * no more.
   */
  closeAtEnd(nowMs: number): void {
    const { link, downstream, owed } = this.parts;
    if (this.phase !== "awake" || !downstream.isIdle || owed.any) return;
    if (this.windowLeft === 0 || link.backlog === 0) this.close(nowMs);
  }

  /** Time has passed. True when the client is lost. */
  tick(nowMs: number): boolean {
    if (this.phase === "awake" && nowMs >= this.windowMs) this.close(nowMs);
    if (this.phase === "asleep" && nowMs >= this.nextWakeMs) {
      this.nextWakeMs = NEVER;
      this.missedWakes++;
    }
    return nowMs >= this.lostMs;
  }

  private wake(nowMs: number): void {
    const { link, downstream, retryMs } = this.parts;
    this.phase = "awake";
    if (nowMs < this.nextWakeMs && this.nextWakeMs !== NEVER) this.missedWakes = 0;
    this.nextWakeMs = NEVER;
    this.lostMs = NEVER;
    this.windowMs = nowMs + retryMs;
    this.windowLeft = link.backlog + downstream.waitingQos0;
    downstream.release(nowMs);
    link.wake();
  }

  private close(nowMs: number): void {
    // An answer is still due; T_retry decides.
    if (!this.parts.downstream.isIdle) {
      this.windowMs = NEVER;
      return;
    }
    this.fall(nowMs);
    this.parts.pong();
  }
}
