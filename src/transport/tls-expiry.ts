import type { Log } from "../core/ports.ts";
import type { KnownTime } from "./tls-clients.ts";
import type { DatedCertificate } from "./tls-read.ts";

const DAY_MS = 86_400_000;
/** Days that are left when the log says so, and says so again. */
const WARN_DAYS = [30, 7, 1];
/** Often enough to be in time for the last day, and for a clock that is set after the start. */
const LOOK_MS = 3_600_000;

/** How near the end of a certificate or list is. */
export interface DatedState extends DatedCertificate {
  /** Begun days until its end; 0 or less when it has ended, Infinity when it never does. */
  readonly days: number;
  /** Days of the last warning that is due: 30, 7 or 1; 0 when it has ended, undefined when there is none yet. */
  readonly stage: number | undefined;
}

/** Warns in the log 30, 7 and 1 days before a certificate or a list of revoked ones ends, and when it has ended. */
export class ExpiryWatch {
  private readonly log: Log;
  private readonly time: KnownTime;
  private certificates: readonly DatedCertificate[] = [];
  /** By file, name and end: the days of which the last warning spoke; 0 when it had ended. */
  private told = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(log: Log, time: KnownTime) {
    this.log = log;
    this.time = time;
  }

  /** Looks at these from now on, once an hour, and at once. */
  follow(certificates: readonly DatedCertificate[]): void {
    this.certificates = certificates;
    const keys = new Set(certificates.map(keyOf));
    this.told = new Map([...this.told].filter(([key]) => keys.has(key)));
    this.timer ??= setInterval(() => this.look(), LOOK_MS).unref();
    this.look();
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** How things stand now, in the order of the files. */
  states(): DatedState[] {
    const nowMs = this.time.nowMs();
    return this.certificates.map((certificate) => {
      const leftMs = certificate.validToMs - nowMs;
      const stage = leftMs <= 0 ? 0 : stagesOf(certificate).findLast((days) => leftMs <= days * DAY_MS);
      return { ...certificate, days: Math.ceil(leftMs / DAY_MS), stage };
    });
  }

  private look(): void {
    for (const state of this.states()) {
      const key = keyOf(state);
      if (state.stage === undefined || state.stage >= (this.told.get(key) ?? Number.POSITIVE_INFINITY)) continue;
      this.told.set(key, state.stage);
      this.say(state);
    }
  }

  private say({ file, kind, name, validToMs, days, stage }: DatedState): void {
    const fields = { file, certificate: name, validTo: new Date(validToMs).toISOString() };
    // What is known of the time is the least that it can be, unless the clock is ahead.
    const advice = `replace its file, which is noticed at once${this.time.isTrusted() ? "" : "; or set this machine's clock if it is wrong"}`;
    const time = days === 1 ? "within a day" : `in ${days} days`;
    if (kind === "revoked") {
      const then = "no client of its authority gets in with a certificate";
      if (stage === 0) this.log.error(`A list of revoked certificates has run out, so ${then}: ${advice}`, fields);
      else this.log.warn(`A list of revoked certificates runs out ${time}, and then ${then}: ${advice}`, fields);
    } else if (stage === 0) this.log.error(`A certificate has expired: ${advice}`, fields);
    else this.log.warn(`A certificate expires ${time}: ${advice}`, fields);
  }
}

/** A list that is made anew every week is not warned of from its first day on. */
function stagesOf({ kind, validFromMs, validToMs }: DatedCertificate): readonly number[] {
  if (kind !== "revoked") return WARN_DAYS;
  return WARN_DAYS.filter((days) => days * DAY_MS < validToMs - validFromMs);
}

function keyOf({ file, name, validToMs }: DatedCertificate): string {
  return `${file}\n${name}\n${validToMs}`;
}
