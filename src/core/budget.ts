import type { Limits } from "./limits.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Whom rates are counted by: each has limits of its own, and a connection stands under all four. */
export const SCOPES = ["client", "user", "address", "listener"] as const;
export type Scope = (typeof SCOPES)[number];

/** Refused connections are logged once in so long for each address. */
const LOG_INTERVAL_MS = 60_000;
/** Refused connections from one address that are told why, each second; further ones are cut off without a word. */
const TOLD_PER_SECOND = 10;
/** A table is searched for entries that could as well be new when it has so many, or has doubled since. */
const SWEEP_MIN = 1024;
/** Entries of a table that belong to no open connection; beyond, the oldest are forgotten and begin anew. */
const UNHELD_MAX = 65_536;
const KEY_MAX = 256;

/**
 * A client identifier may have 65,535 bytes, and a table thousands of them. Whoever makes long ones that differ in the
 * middle only is counted as one.
 */
export function shortKey(name: string): string {
  const { length } = name;
  return length <= KEY_MAX ? name : `${name.slice(0, KEY_MAX / 2)}${length}${name.slice(-KEY_MAX / 2)}`;
}

/** What one client, user, address or listener may use in a second. */
export class Budget {
  /** Open connections that stand under it. */
  connections = 0;
  /** Connections that it is not known yet whose they are. */
  waiting = 0;
  readonly connects = new TokenBucket("connections");
  readonly messages = new TokenBucket("messages");
  readonly bytes = new TokenBucket("bytes");
  readonly told = new TokenBucket("refusals");
  private refusals = 0;
  private loggedMs = Number.NEGATIVE_INFINITY;

  /** Counts a refusal. Returns how many there were since the last one that was logged, if it is time to; else 0. */
  noteRefusal(nowMs: number): number {
    this.refusals++;
    if (nowMs - this.loggedMs < LOG_INTERVAL_MS) return 0;
    const { refusals } = this;
    this.refusals = 0;
    this.loggedMs = nowMs;
    return refusals;
  }

  get isHeld(): boolean {
    return this.connections > 0 || this.waiting > 0;
  }

  /** Nothing is known of it that a new one would not say too. */
  isIdle(nowMs: number): boolean {
    const { connects, messages, bytes, told } = this;
    return (
      !this.isHeld &&
      connects.isFull(nowMs) &&
      messages.isFull(nowMs) &&
      bytes.isFull(nowMs) &&
      told.isFull(nowMs) &&
      nowMs - this.loggedMs >= LOG_INTERVAL_MS
    );
  }
}

/** What a listener bounds by itself. */
export interface Own {
  readonly listener: string;
  readonly limits: Partial<Limits>;
}

/** The budgets of one scope, by client, user, address or listener. Idle ones are forgotten. */
export class Budgets {
  private readonly scope: Scope;
  private readonly limits: Limits;
  private readonly byKey = new Map<string, Budget>();
  private sweepAt = SWEEP_MIN;

  constructor(scope: Scope, limits: Limits) {
    this.scope = scope;
    this.limits = limits;
  }

  get size(): number {
    return this.byKey.size;
  }

  of(name: string, nowMs: number): Budget {
    const key = shortKey(name);
    const found = this.byKey.get(key);
    if (found !== undefined) return found;
    if (this.byKey.size >= this.sweepAt) this.sweep(nowMs);
    const budget = new Budget();
    this.bound(budget, undefined);
    budget.told.bound(TOLD_PER_SECOND, "built in");
    this.byKey.set(key, budget);
    return budget;
  }

  /** The rates that hold for a budget: of what holds everywhere and what a listener has of its own, the lower ones. */
  bound(budget: Budget, own: Own | undefined): void {
    const { scope, limits } = this;
    const connects = `${scope}ConnectionsPerSecond` as const;
    const messages = `${scope}MessagesPerSecond` as const;
    const bytes = `${scope}BytesPerSecond` as const;
    for (const [bucket, name] of [
      [budget.connects, connects],
      [budget.messages, messages],
      [budget.bytes, bytes],
    ] as const) {
      const rate: number = own?.limits[name] ?? 0;
      const general = limits[name];
      if (rate > 0 && (general === 0 || rate < general))
        bucket.bound(rate, `limit ${name} of listener ${own!.listener}`);
      else bucket.bound(general, `limit ${name}`);
    }
  }

  private sweep(nowMs: number): void {
    const { byKey } = this;
    let unheld = 0;
    for (const [key, budget] of byKey) {
      if (budget.isIdle(nowMs)) byKey.delete(key);
      else if (!budget.isHeld) unheld++;
    }
    if (unheld > UNHELD_MAX) {
      for (const [key, budget] of byKey) {
        if (unheld <= UNHELD_MAX / 2) break;
        if (budget.isHeld) continue;
        byKey.delete(key);
        unheld--;
      }
    }
    this.sweepAt = Math.max(SWEEP_MIN, 2 * byKey.size);
  }
}
