import type { LineCounters } from "./framing/framing.ts";
import { RecentShare } from "./recent-share.ts";

/** RFC 6298 §2: what a new round trip weighs against all before it. */
const NEW_WEIGHT = 1 / 8;
/** Qualities are told in steps, and a new one only when it is more than a half step off: it is shown for each client. */
const STEPS = 20;
const OFF_BY = 0.75 / STEPS;

/**
 * How well messages pass on a line, as far as this end can tell: what comes is whole or damaged, and what is sent is
 * answered at the first attempt or has to be repeated. An answer that was damaged on its way is a fault of both ways.
 */
export class LinkHealth {
  /** Messages that either end sent again, since the line was made. */
  retries = 0;
  private readonly counters: Readonly<Pick<LineCounters, "frames" | "checksumErrors" | "resyncs">>;
  private readonly nowMs: () => number;
  private ways = { incoming: new RecentShare(), outgoing: new RecentShare() };
  private frames = 0;
  private errors = 0;
  private smoothedMs: number | undefined;
  private longestMs: number | undefined;
  private told: number | undefined;

  /** `counters` are read, whenever something is asked or noted. */
  constructor(counters: Readonly<Pick<LineCounters, "frames" | "checksumErrors" | "resyncs">>, nowMs: () => number) {
    this.counters = counters;
    this.nowMs = nowMs;
  }

  /** The line was opened: perhaps with another cable, or to another device. */
  begin(): void {
    this.note();
    this.ways = { incoming: new RecentShare(), outgoing: new RecentShare() };
    this.told = undefined;
  }

  /** Something may have come. To be called often, since what came between two calls counts as of the second. */
  note(): void {
    const { frames, checksumErrors, resyncs } = this.counters;
    const errors = checksumErrors + resyncs;
    if (frames === this.frames && errors === this.errors) return;
    this.ways.incoming.add(frames - this.frames, errors - this.errors, this.nowMs());
    this.frames = frames;
    this.errors = errors;
  }

  /** A message was answered at its first attempt, after so many milliseconds. */
  answered(roundTripMs: number): void {
    this.ways.outgoing.add(1, 0, this.nowMs());
    this.smoothedMs =
      this.smoothedMs === undefined ? roundTripMs : this.smoothedMs + NEW_WEIGHT * (roundTripMs - this.smoothedMs);
    this.longestMs = Math.max(roundTripMs, this.longestMs ?? 0);
  }

  /** A message was sent again. `isUp`: the line was there; else it is not the line's quality that was to blame. */
  retried(isUp: boolean): void {
    this.retries++;
    if (isUp) this.ways.outgoing.add(0, 1, this.nowMs());
  }

  /** What came and how much of it was damaged; what was sent and how much of it was sent again. */
  get shares(): { readonly incoming: RecentShare; readonly outgoing: RecentShare } {
    this.note();
    return this.ways;
  }

  /** The share that passes whole in the worse direction, 0 to 1 in steps of 0.05; undefined until there is evidence. */
  get quality(): number | undefined {
    const { incoming, outgoing } = this.shares;
    const [first, second] = [incoming.value, outgoing.value];
    const exact = first === undefined ? second : Math.min(first, second ?? 1);
    if (exact === undefined) this.told = undefined;
    else if (this.told === undefined || Math.abs(exact - this.told) > OFF_BY)
      this.told = Math.round(exact * STEPS) / STEPS;
    return this.told;
  }

  /** Smoothed, in milliseconds; undefined: nothing was answered yet. */
  get roundTripMs(): number | undefined {
    return this.smoothedMs === undefined ? undefined : tenths(this.smoothedMs);
  }

  /** The longest one since `forgetLongest`, in milliseconds; undefined: there was none. */
  get longestRoundTripMs(): number | undefined {
    return this.longestMs === undefined ? undefined : tenths(this.longestMs);
  }

  forgetLongest(): void {
    this.longestMs = undefined;
  }
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
