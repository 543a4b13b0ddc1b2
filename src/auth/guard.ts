import { type Refusal, refuse } from "../core/hooks.ts";
import type { Limits } from "../core/limits.ts";
import { type Log, networkOf, type Peer } from "../core/ports.ts";

/** Failed logins count for so long. */
const WINDOW_MS = 600_000;
/** The answer to a failed login is delayed by at most so many times the first delay. */
const DELAY_FACTOR_MAX = 16;
/** Answers that wait at once, each an open connection; beyond, they are sent without delay. */
const WAITING_MAX = 256;
/** An address that was banned is banned for twice as long the next time, unless it was quiet for so long. */
const RECORD_MS = 24 * 3_600_000;
/** Addresses that are remembered; beyond, those that failed longest ago and are not banned are forgotten. */
const SUSPECTS_MAX = 10_000;
/** Of one address: not fewer than `loginFailures` may be. */
const FAILURES_MAX = 100;
const USER_NAME_MAX = 64;
const BANNED = 0x8a;

type GuardLimits = Pick<Limits, "loginFailures" | "loginDelayMs" | "loginBanMs" | "loginBanMaxMs">;

export interface GuardOptions {
  /** Monotonic, as the broker's. */
  nowMs: () => number;
  /** Of the wall clock, for people. Default: the machine's. */
  wallMs?: () => number;
  log: Log;
  limits: GuardLimits;
}

export interface Ban {
  /** "192.168.1.7", or "2001:db8:1:2::/64". */
  address: string;
  /** Milliseconds since 1970. */
  untilMs: number;
  /** Failed logins that led to it. */
  failures: number;
  /** User name of the last one, cut to 64 characters; "" when it gave none. */
  lastUser: string;
}

interface Failure {
  atMs: number;
  userName: string;
}

interface Suspect {
  /** Within the window, oldest first. */
  failures: Failure[];
  /** How often it was banned, and until when it is; 0: it is not. */
  bans: number;
  bannedUntilMs: number;
  /** Of the present ban. */
  cause: Failure[];
  lastMs: number;
}

/**
 * Makes guessing passwords slow: failed logins are counted by address, their answers wait longer and longer, and after
 * `loginFailures` of them the address is banned for a while, longer each time. A whole /64 is one address in IPv6.
 *
 * Programs on this machine are slowed and never banned: one wrong password of one of them would lock out all the others.
 */
export class Guard {
  private readonly nowMs: () => number;
  private readonly wallMs: () => number;
  private readonly log: Log;
  private readonly limits: GuardLimits;
  /** By address, the one that failed last at the end. */
  private readonly suspects = new Map<string, Suspect>();
  private banned = 0;
  /** No ban ends before this. */
  private nextEndMs = Number.POSITIVE_INFINITY;
  /** When each answer that waits is sent. */
  private readonly waitingUntilMs = new Float64Array(WAITING_MAX).fill(Number.NEGATIVE_INFINITY);

  constructor({ nowMs, wallMs = Date.now, log, limits }: GuardOptions) {
    this.nowMs = nowMs;
    this.wallMs = wallMs;
    this.log = log;
    this.limits = limits;
  }

  /** Addresses that are banned now. */
  get count(): number {
    this.endBans();
    return this.banned;
  }

  /**
   * A Refusal with Banned (0x8A) for a peer that is banned. To be asked when it connects, and again before its password is
   * hashed: it may have been banned since.
   */
  admits(peer: Peer): Refusal | undefined {
    this.endBans();
    if (this.banned === 0) return undefined;
    const suspect = this.suspects.get(networkOf(peer.address));
    if (suspect === undefined || suspect.bannedUntilMs === 0) return undefined;
    const seconds = Math.ceil((suspect.bannedUntilMs - this.nowMs()) / 1000);
    return refuse(BANNED, `too many failed logins from this address: try again in ${seconds} s`);
  }

  /**
   * A login failed: `userName` is what the client called itself. Returns by how many milliseconds the answer to it is
   * to be delayed. `mayBan`: false where the rules let in whoever failed as somebody else, and want it here.
   */
  failed(peer: Peer, userName: string | undefined, mayBan = true): number {
    this.endBans();
    const nowMs = this.nowMs();
    const address = networkOf(peer.address);
    const suspect = this.suspectAt(address, nowMs);
    suspect.lastMs = nowMs;
    suspect.failures.push({ atMs: nowMs, userName: (userName ?? "").slice(0, USER_NAME_MAX) });
    const count = suspect.failures.length;
    const { loginFailures, loginDelayMs } = this.limits;
    const delayMs = loginDelayMs * Math.min(2 ** (count - 1), DELAY_FACTOR_MAX);
    if (mayBan && loginFailures > 0 && count >= loginFailures && !peer.local && suspect.bannedUntilMs === 0) {
      this.ban(address, suspect);
    } else if (count > FAILURES_MAX) suspect.failures.shift();
    return this.mayWait(nowMs, delayMs) ? delayMs : 0;
  }

  /**
   * A login by password, certificate or token succeeded; not for anonymous clients. What failed under this user name is
   * forgiven, what others tried at its address is not, or somebody with an account of his own could guess for ever.
   */
  succeeded(peer: Peer, userName: string | undefined): void {
    const address = networkOf(peer.address);
    const suspect = this.suspects.get(address);
    if (suspect === undefined) return;
    const forgiven = (userName ?? "").slice(0, USER_NAME_MAX);
    suspect.failures = suspect.failures.filter((failure) => failure.userName !== forgiven);
    if (suspect.failures.length === 0 && suspect.bans === 0) this.suspects.delete(address);
  }

  /** All bans, the oldest failures first. */
  list(): Ban[] {
    this.endBans();
    const aheadMs = this.wallMs() - this.nowMs();
    return [...this.suspects]
      .filter(([, { bannedUntilMs }]) => bannedUntilMs !== 0)
      .map(([address, { bannedUntilMs, cause }]) => ({
        address,
        untilMs: Math.round(bannedUntilMs + aheadMs),
        failures: cause.length,
        lastUser: cause.at(-1)!.userName,
      }));
  }

  /** Ends the ban of an address, given as `list` shows it or as any address within. False: there is none. */
  lift(address: string): boolean {
    this.endBans();
    const known = [address, networkOf(address)].find((key) => (this.suspects.get(key)?.bannedUntilMs ?? 0) !== 0);
    if (known === undefined) return false;
    this.suspects.delete(known);
    this.banned--;
    this.log.info("Ban lifted", { address: known });
    return true;
  }

  private ban(address: string, suspect: Suspect): void {
    const { loginBanMs, loginBanMaxMs } = this.limits;
    const banMs = Math.min(loginBanMs * 2 ** suspect.bans, Math.max(loginBanMs, loginBanMaxMs));
    suspect.bans++;
    suspect.bannedUntilMs = this.nowMs() + banMs;
    suspect.cause = suspect.failures;
    suspect.failures = [];
    this.banned++;
    this.nextEndMs = Math.min(this.nextEndMs, suspect.bannedUntilMs);
    this.log.warn("Address banned: too many failed logins", {
      address,
      failures: suspect.cause.length,
      lastUser: suspect.cause.at(-1)!.userName,
      until: new Date(this.wallMs() + banMs).toISOString(),
      lift: `mqtt-broker banned lift ${address}`,
    });
  }

  /** What is kept of an address, with all that is too old gone. */
  private suspectAt(address: string, nowMs: number): Suspect {
    const { suspects } = this;
    const suspect = suspects.get(address) ?? { failures: [], bans: 0, bannedUntilMs: 0, cause: [], lastMs: nowMs };
    if (!suspects.delete(address) && suspects.size >= SUSPECTS_MAX) this.forgetOne();
    suspects.set(address, suspect);
    suspect.failures = suspect.failures.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    if (suspect.bannedUntilMs === 0 && nowMs - suspect.lastMs >= RECORD_MS) suspect.bans = 0;
    return suspect;
  }

  private forgetOne(): void {
    const { suspects } = this;
    for (const [address, { bannedUntilMs }] of suspects) {
      if (bannedUntilMs !== 0) continue;
      suspects.delete(address);
      return;
    }
    // All are banned: the one that failed longest ago is let go.
    suspects.delete(suspects.keys().next().value!);
    this.banned--;
  }

  private endBans(): void {
    const nowMs = this.nowMs();
    if (nowMs < this.nextEndMs) return;
    this.nextEndMs = Number.POSITIVE_INFINITY;
    for (const [address, suspect] of this.suspects) {
      if (suspect.bannedUntilMs === 0) continue;
      if (suspect.bannedUntilMs > nowMs) {
        this.nextEndMs = Math.min(this.nextEndMs, suspect.bannedUntilMs);
        continue;
      }
      suspect.bannedUntilMs = 0;
      suspect.cause = [];
      this.banned--;
      this.log.info("Ban ended", { address });
    }
  }

  /** False when too many wait already. */
  private mayWait(nowMs: number, delayMs: number): boolean {
    const { waitingUntilMs } = this;
    const free = waitingUntilMs.findIndex((untilMs) => untilMs <= nowMs);
    if (free === -1) return false;
    waitingUntilMs[free] = nowMs + delayMs;
    return true;
  }
}
