/**
 * How long a client may stay silent that has promised to be heard of every `seconds`: a tenth more above a minute, half as
 * much again below, 1.2 §7.2. Infinity for 0, with which nothing is promised.
 */
export function toleratedMs(seconds: number): number {
  if (seconds === 0) return Number.POSITIVE_INFINITY;
  return seconds > 60 ? seconds * 1100 : seconds * 1500;
}
