import type { Log } from "../core/ports.ts";
import type { DatedCertificate } from "./tls-read.ts";

const DAY_MS = 86_400_000;
/** Days that are left when the log says so, and says so again. */
const WARN_DAYS = [30, 7, 1];
/** Often enough to be in time for the last day, and for a clock that is set after the start. */
const LOOK_MS = 3_600_000;

/** Warns in the log 30, 7 and 1 days before a certificate ends, and when it has ended. */
export class ExpiryWatch {
  private readonly log: Log;
  private readonly nowMs: () => number;
  private certificates: readonly DatedCertificate[] = [];
  /** By file, name and end: the days of which the last warning spoke; 0 when it had ended. */
  private told = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  /** `nowMs`: milliseconds since 1970. */
  constructor(log: Log, nowMs: () => number) {
    this.log = log;
    this.nowMs = nowMs;
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

  private look(): void {
    const nowMs = this.nowMs();
    for (const certificate of this.certificates) {
      const leftMs = certificate.validToMs - nowMs;
      const stage = leftMs <= 0 ? 0 : WARN_DAYS.findLast((days) => leftMs <= days * DAY_MS);
      const key = keyOf(certificate);
      if (stage === undefined || stage >= (this.told.get(key) ?? Number.POSITIVE_INFINITY)) continue;
      this.told.set(key, stage);
      this.say(certificate, leftMs);
    }
  }

  private say({ file, name, validToMs }: DatedCertificate, leftMs: number): void {
    const fields = { file, certificate: name, validTo: new Date(validToMs).toISOString() };
    if (leftMs <= 0) this.log.error("A certificate has expired: replace its file, which is noticed at once", fields);
    else {
      const days = Math.ceil(leftMs / DAY_MS);
      const time = days === 1 ? "within a day" : `in ${days} days`;
      this.log.warn(`A certificate expires ${time}: replace its file, which is noticed at once`, fields);
    }
  }
}

function keyOf({ file, name, validToMs }: DatedCertificate): string {
  return `${file}\n${name}\n${validToMs}`;
}
