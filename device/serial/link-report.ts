import type { Log } from "../../src/core/ports.ts";
import type { LinkHealth } from "./link-health.ts";
import type { RecentShare } from "./recent-share.ts";
import type { LineState } from "./serial-line.ts";

const PERIOD_MS = 3_600_000;
/** Below it a line is worth somebody's visit; it is good again from the other one on. */
const BAD_QUALITY = 0.8;
const GOOD_QUALITY = 0.9;
/** A line that is now bad and now good is told of so often at most. */
const PAUSE_MS = 600_000;

/** What a line has done, for $SYS and people: of the device, and of the messages on it. Counts since it was made. */
export interface LinkState extends LineState {
  /** Messages that found no room. */
  readonly unsent: number;
  /** Messages that the line's `forwarder` does not allow. */
  readonly refused: number;
  /** Messages that were sent again. */
  readonly retries: number;
  /** Smoothed, and the longest in this hour; absent while there is none. */
  readonly roundTripMs?: number;
  readonly roundTripMaxMs?: number;
  /** 0 to 1 in steps of 0.05; absent until there is evidence. */
  readonly linkQuality?: number;
}

const HOURLY = [
  ...["frames", "bytes", "checksumErrors", "resyncs", "discardedBytes", "opens"],
  ...["writes", "bytesSent", "writeErrors", "tooLong", "unsent", "refused", "retries"],
] as const satisfies readonly (keyof LinkState)[];

/** Tells the log how a line does: once an hour, when anything has happened, and when it gets bad or good again. */
export class LinkReport {
  private readonly health: LinkHealth;
  private readonly log: Log;
  private told: LinkState | undefined;
  private toldMs: number;
  private isBad = false;
  private quietUntilMs = Number.NEGATIVE_INFINITY;

  /** The first hour begins at `nowMs`. */
  constructor(health: LinkHealth, log: Log, nowMs: number) {
    this.health = health;
    this.log = log;
    this.toldMs = nowMs;
  }

  /** To be called every few seconds, in milliseconds of a clock that never goes back. */
  look(state: LinkState, nowMs: number): void {
    this.judge(state, nowMs);
    if (nowMs - this.toldMs >= PERIOD_MS) this.tellHour(state, nowMs);
  }

  private tellHour(state: LinkState, nowMs: number): void {
    const counts = HOURLY.map((key) => [key, state[key] - (this.told?.[key] ?? 0)] as const).filter(([, n]) => n > 0);
    if (counts.length > 0) {
      const { name, isUp, roundTripMs, roundTripMaxMs, linkQuality } = state;
      this.log.info("What a serial line did in the last hour", {
        ...{ line: name, up: isUp },
        ...Object.fromEntries(counts),
        ...(roundTripMs !== undefined && { roundTripMs }),
        ...(roundTripMaxMs !== undefined && { roundTripMaxMs }),
        ...(linkQuality !== undefined && { linkQuality }),
      });
    }
    this.told = state;
    this.toldMs = nowMs;
    this.health.forgetLongest();
  }

  private judge(state: LinkState, nowMs: number): void {
    const { linkQuality } = state;
    if (linkQuality === undefined || nowMs < this.quietUntilMs) return;
    const isBad = linkQuality < (this.isBad ? GOOD_QUALITY : BAD_QUALITY);
    if (isBad === this.isBad) return;
    this.isBad = isBad;
    this.quietUntilMs = nowMs + PAUSE_MS;
    const { incoming, outgoing } = this.health.shares;
    const facts = { line: state.name, linkQuality, damaged: ofAll(incoming), sentAgain: ofAll(outgoing) };
    if (isBad)
      this.log.warn("A serial line loses messages", { ...facts, reason: adviceFor(state, incoming, outgoing) });
    else this.log.info("A serial line is good again", facts);
  }
}

function ofAll({ bad, count }: RecentShare): string {
  return `${bad} of ${count}`;
}

function adviceFor(state: LinkState, incoming: RecentShare, outgoing: RecentShare): string {
  const { baudRate, framing, roundTripMs } = state;
  if ((incoming.value ?? 1) <= (outgoing.value ?? 1)) {
    return `what comes is damaged: look at the cable, its length and its ground, at the power of the other end, and whether both ends have ${baudRate} bit/s and framing ${framing}`;
  }
  const usual = roundTripMs === undefined ? "" : `, which takes ${roundTripMs} ms when it comes at once`;
  return `answers do not come, or too late: look whether the devices are on and hear this end, and whether --mqtt-sn-retry-interval leaves time for an answer${usual}`;
}
