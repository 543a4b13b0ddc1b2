import { basename, dirname } from "node:path";
import type { CertificateFacts } from "./facts.ts";
import type { CertificateFolder } from "./folder.ts";
import type { Place } from "./machine.ts";
import { missingNames, namesOfMachine, type ServerName } from "./names.ts";
import { DAY_MS, dateOf, isClockSet, type Validity, validityOf } from "./validity.ts";
import type { KeptAuthority } from "./x509.ts";

/** Files of a server's certificate, by absolute path. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface ReissueTools {
  log: { info(message: string): void; warn(message: string): void };
  /** The best known time in milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds by a clock that nobody sets. */
  monotonicMs(): number;
  /** By what clients may reach this machine just now. */
  place(): Place;
  /** Calls `changed` after something happened to one of the paths. */
  watch(paths: readonly string[], changed: () => void): { close(): void };
}

/** A new address is in the certificate after two or three of these; asking the system for all takes some 0.1 ms. */
const POLL_MS = 2_000;
/** How often the files are looked at though nothing has changed: time passes. */
const LOOK_MS = 60_000;
/** With less left a certificate is made anew; one that lasts less than three times as long, in its last third. */
const LEFT_MS_MIN = 30 * DAY_MS;
/** Flash wears: what can wait is not written more often. */
const WRITE_PAUSE_MS = 600_000;
/** So long before now a certificate begins. */
const EARLIER_MS = 3_600_000;

const RIGHTS = "; give the user of the broker the right, or have mqtt-broker certs renew --if-needed 30 in a timer";

/**
 * Makes the server certificates that `mqtt-broker certs` has made anew while the broker runs: when the machine has a name or
 * address that is not in them, and before they end. The key stays, so the one file that changes fits at any moment. The
 * names that were in stay in, so addresses that come and go are written once. Certificates of others are left alone.
 */
export class Reissue {
  private readonly tools: ReissueTools;
  private certificates: readonly CertificateFiles[] = [];
  private isRunning = false;
  private timer: NodeJS.Timeout | undefined;
  private watch: { close(): void } | undefined;
  private looking: Promise<void> = Promise.resolve();
  private lookedMs = 0;
  /** The machine's names at the last poll, and whether that was the first time. */
  private seen = "";
  private isNews = false;
  /** By certificate: when it was written last, by the monotonic clock. */
  private readonly writtenMs = new Map<string, number>();
  /** By certificate: the last complaint, so that it is made once. */
  private readonly told = new Map<string, string>();

  constructor(tools: ReissueTools) {
    this.tools = tools;
  }

  /** These from now on. Resolves when they have been looked at, if it was started; never rejects. */
  follow(certificates: readonly CertificateFiles[]): Promise<void> {
    this.certificates = certificates;
    return this.isRunning ? this.begin() : Promise.resolve();
  }

  /** Looks at once, so that listeners begin with what is right. Never rejects. */
  start(): Promise<void> {
    this.isRunning = true;
    return this.begin();
  }

  /** Resolves when nothing is being written any more. */
  stop(): Promise<void> {
    this.isRunning = false;
    this.end();
    return this.looking;
  }

  /** Looks at all certificates, one look after the other, and makes anew what has to be. Never rejects. */
  look(): Promise<void> {
    this.lookedMs = this.tools.monotonicMs();
    this.isNews = false;
    this.looking = this.looking.then(async () => {
      for (const files of this.certificates) await this.lookAt(files);
    });
    return this.looking;
  }

  private begin(): Promise<void> {
    this.end();
    if (this.certificates.length === 0) return this.looking;
    const paths = this.certificates.flatMap(({ cert }) => [cert, `${dirname(cert)}/ca.crt`, `${dirname(cert)}/ca.key`]);
    this.watch = this.tools.watch([...new Set(paths)], () => void this.look());
    this.timer = setInterval(() => this.poll(), POLL_MS).unref();
    this.seen = this.names();
    return this.look();
  }

  private end(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.watch?.close();
    this.watch = undefined;
  }

  /** What is new is looked at when it is still there at the next poll: the addresses of an interface come one by one. */
  private poll(): void {
    const names = this.names();
    if (names !== this.seen) {
      this.seen = names;
      this.isNews = true;
    } else if (this.isNews || this.tools.monotonicMs() - this.lookedMs >= LOOK_MS) void this.look();
  }

  /** "" where the system does not tell, which the next look complains of. */
  private names(): string {
    try {
      return JSON.stringify(namesOfMachine(this.tools.place()));
    } catch {
      return "";
    }
  }

  private async lookAt({ cert, key }: CertificateFiles): Promise<void> {
    try {
      await this.reissue(cert, key);
      this.told.delete(cert);
    } catch (error) {
      const reason = (error as Error).message;
      if (this.told.get(cert) === reason) return;
      this.told.set(cert, reason);
      this.tools.log.warn(`${cert} is not made anew by itself: ${reason}${/^Cannot /.test(reason) ? RIGHTS : ""}`);
    }
  }

  private async reissue(cert: string, key: string): Promise<void> {
    // Slow to load, and mostly not needed.
    const [{ CertificateFolder }, { factsOf }, { readRenewable, renewServer }] = await Promise.all([
      import("./folder.ts"),
      import("./facts.ts"),
      import("./renewal.ts"),
    ]);
    const folder = new CertificateFolder(dirname(cert), dirname(cert));
    demandOurs(folder, cert, key);
    const { nowMs, place } = this.momentOf(factsOf(folder.certificate("server.crt")).validity.fromMs);
    const renewable = readRenewable(folder, nowMs);
    const { before, authority } = renewable;
    const names = namesOfMachine(place);
    const added = missingNames(names, before.names);
    const days = daysOf(before.validity);
    if (added.length === 0 && !hasToFollow(before, authority, nowMs)) return;
    if (!added.some(({ kind }) => kind === "ip") && this.hasJustWritten(cert)) return;
    const { untilMs } = await renewServer(folder, renewable, { names, nowMs, days, withNewKey: false });
    this.writtenMs.set(cert, this.tools.monotonicMs());
    this.tools.log.info(`Made ${cert} anew: ${newsOf(added, before.validity)}; it is good until ${dateOf(untilMs)}`);
  }

  /** A certificate was made when it begins, whatever a clock that nobody has set says. */
  private momentOf(fromMs: number): { nowMs: number; place: Place } {
    const nowMs = Math.max(this.tools.nowMs(), fromMs + EARLIER_MS);
    if (isClockSet(nowMs)) return { nowMs, place: this.tools.place() };
    throw new Error("the clock of this machine is not set, and what is made now will have expired when it is");
  }

  private hasJustWritten(cert: string): boolean {
    const writtenMs = this.writtenMs.get(cert);
    return writtenMs !== undefined && this.tools.monotonicMs() - writtenMs < WRITE_PAUSE_MS;
  }
}

/** Throws Error when the files are not those that `certs init` makes, or another authority has signed. */
function demandOurs(folder: CertificateFolder, cert: string, key: string): void {
  const isNamedSo = basename(cert) === "server.crt" && key === folder.file("server.key");
  if (!isNamedSo || !folder.has("ca.crt")) {
    throw new Error("it is none that mqtt-broker certs init has made, with server.key and ca.crt beside it");
  }
  if (!folder.certificate("server.crt").verify(folder.certificate("ca.crt").publicKey)) {
    throw new Error(`another authority than ${folder.shown("ca.crt")} has signed it`);
  }
}

/** It ends soon, and the next one would end later. */
function hasToFollow({ validity }: CertificateFacts, authority: KeptAuthority, nowMs: number): boolean {
  const dueMs = Math.min(LEFT_MS_MIN, (validity.untilMs - validity.fromMs) / 3);
  if (validity.untilMs - nowMs >= dueMs) return false;
  return validityOf(nowMs, daysOf(validity), authority.validity.untilMs).untilMs >= validity.untilMs + DAY_MS;
}

/** For as long as before. */
function daysOf({ fromMs, untilMs }: Validity): number {
  return Math.max(1, Math.round((untilMs - fromMs) / DAY_MS));
}

function newsOf(added: readonly ServerName[], { untilMs }: Validity): string {
  if (added.length === 0) return `it would have ended on ${dateOf(untilMs)}`;
  return added.map(({ value }) => `+${value}`).join(" ");
}
