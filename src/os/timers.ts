import type { Clock } from "../core/ports.ts";

/** The longest delay that `setTimeout` can count; later deadlines are waited for in steps. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/**
 * One `setTimeout` for the broker's next deadline, however many deadlines there are.
 *
 * Deadlines mostly move away (each packet postpones a keep-alive), so a later one only changes a number: the timer
 * that is armed fires in vain once and arms itself again.
 */
export class HostTimer {
  private readonly clock: Clock;
  private readonly tick: () => void;
  private deadlineMs = Number.POSITIVE_INFINITY;
  private armedMs = Number.POSITIVE_INFINITY;
  private timeout: NodeJS.Timeout | undefined;

  /** `tick` is called once, at or after each scheduled deadline, and from then on nothing is scheduled. */
  constructor(clock: Clock, tick: () => void) {
    this.clock = clock;
    this.tick = tick;
  }

  /** Replaces the deadline. `atMs`: milliseconds of the clock's monotonic time; Infinity or undefined for none. */
  schedule(atMs: number | undefined): void {
    this.deadlineMs = atMs ?? Number.POSITIVE_INFINITY;
    if (this.deadlineMs < this.armedMs) this.arm();
  }

  /** Forgets the deadline; a timer left armed would keep the process alive. */
  close(): void {
    clearTimeout(this.timeout);
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.armedMs = Number.POSITIVE_INFINITY;
  }

  private arm(): void {
    clearTimeout(this.timeout);
    this.armedMs = this.deadlineMs;
    // Rounded up, or the timer would fire within the last millisecond and once more.
    const delayMs = Math.max(1, Math.ceil(this.deadlineMs - this.clock.nowMs()));
    this.timeout = setTimeout(this.onTimeout, Math.min(delayMs, DELAY_MS_MAX));
  }

  private readonly onTimeout = (): void => {
    this.armedMs = Number.POSITIVE_INFINITY;
    if (this.deadlineMs === Number.POSITIVE_INFINITY) return;
    if (this.deadlineMs > this.clock.nowMs()) {
      this.arm();
      return;
    }
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.tick();
  };
}
