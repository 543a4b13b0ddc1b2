/** From when to when, in milliseconds since 1970. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

export const DAY_MS = 86_400_000;
/** Clocks of clients may be behind ours by so much. */
const EARLIER_MS = 3_600_000;
/** This program did not exist before, so a clock that says less is not set. */
export const CLOCK_SET_MS = Date.UTC(2024, 0, 1);

/** Is this the time of a clock that somebody has set? */
export function isClockSet(nowMs: number): boolean {
  return nowMs >= CLOCK_SET_MS;
}

/**
 * From an hour ago until in `days`, but not beyond `endMs`, in whole seconds as certificates have them. `endMs`: when the
 * certificate of the authority ends, in milliseconds since 1970.
 */
export function validityOf(nowMs: number, days: number, endMs = Number.POSITIVE_INFINITY): Validity {
  const second = Math.floor(nowMs / 1000) * 1000;
  return { fromMs: Math.max(0, second - EARLIER_MS), untilMs: Math.min(second + days * DAY_MS, endMs) };
}

/** Whole days from now until then, rounded down; below 0 when it is over. */
export function daysUntil(untilMs: number, nowMs: number): number {
  return Math.floor((untilMs - nowMs) / DAY_MS);
}

/** "2026-11-21". */
export function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
