import { matches, type SimMessage, shareOf } from "./message.ts";
import type { SimLink } from "./network.ts";

/** What a client knows of one of its subscriptions. */
export interface FilterModel {
  readonly filter: string;
  readonly group: string | undefined;
  /** The lowest it can be at present. */
  qos: 0 | 1 | 2;
  /** Since when it has been there for sure; Infinity when that is not sure. */
  sureSinceMs: number;
  /** When SUBSCRIBE was sent. */
  readonly askedMs: number[];
  /** Grows with each SUBSCRIBE and UNSUBSCRIBE: only the answer to the last one tells how things stand. */
  requests: number;
  /** When it may have been there. */
  maybe: { fromMs: number; toMs: number }[];
}

export type Presence = "present" | "absent" | "either";

interface Attempt {
  link: SimLink;
  clean: boolean;
  sentMs: number;
  expected: Presence;
}

/** How long the broker may take to make durable what it owes no answer for. */
export const SETTLE_MS = 4_000;
/** What clocks and deadlines may be late. */
const EXPIRY_SLACK_MS = 2_000;

/** Crashes and restarts so far. */
export interface History {
  readonly crashes: readonly number[];
  readonly restarts: readonly number[];
  /** When the disk took nothing, each until the store had tried again. */
  readonly storms: readonly { fromMs: number; toMs: number }[];
  /** The wall clock can be trusted in every life. */
  readonly trusted: boolean;
}

export function crashedWithin(history: History, fromMs: number, toMs: number): boolean {
  return history.crashes.some((ms) => ms >= fromMs && ms <= toMs);
}

/** The disk takes nothing, so the broker lets in who has a session without being able to promise anything by it. */
export function isStorm(history: History, ms: number): boolean {
  return history.storms.some(({ fromMs, toMs }) => fromMs <= ms && toMs >= ms);
}

/** The broker may have crashed before what happened at `ms` became durable, though nobody waited for that. */
export function mayBeForgotten(history: History, ms: number): boolean {
  let settledMs = ms + SETTLE_MS;
  for (const { fromMs, toMs } of history.storms) {
    if (fromMs <= settledMs && toMs >= ms) settledMs = Math.max(settledMs, toMs + SETTLE_MS);
  }
  return crashedWithin(history, ms, settledMs);
}

/** The session of one client, as far as somebody can know it who sees everything but the inside of the broker. */
export class SessionModel {
  readonly clientId: string;
  readonly history: History;
  /** Outlives its connection. */
  stored = false;
  expiryMs = 0;
  readonly filters = new Map<string, FilterModel>();
  /** Acknowledged messages that must reach it. */
  readonly owed = new Map<string, SimMessage>();
  /** Messages that were declared lost for it. */
  readonly excused = new Set<string>();
  /** What the application got: the highest QoS, by message. For ever, since a new session gets nothing old. */
  readonly seen = new Map<string, 0 | 1 | 2>();
  /** Of those, what came while the session would end with its connection: the broker remembers nothing of it. */
  readonly seenUnstored = new Set<string>();
  /** When the broker was handed the PUBACKs for a message. */
  private readonly answeredMs = new Map<string, number[]>();
  /** The last number by publisher, topic and both QoS. */
  readonly lastNumbers = new Map<string, number>();
  /** The session that was found may be another one than the client thinks. */
  isAmbiguous = false;
  private there: "sure" | "maybe" | "no" = "no";
  /** When the client last got a CONNACK. */
  private acceptedMs = 0;
  private attempt: Attempt | undefined;
  /** The last that was accepted as far as the client knows, and those after it. */
  private links: SimLink[] = [];

  constructor(clientId: string, history: History) {
    this.clientId = clientId;
    this.history = history;
  }

  /** Whether anything is sure about it: only then is anything owed. */
  get sure(): boolean {
    return this.there === "sure" && this.stored;
  }

  connectSent(link: SimLink, clean: boolean, expiryMs: number, nowMs: number): void {
    // One that is not stored ends with its connection, at the latest when the new one takes over; the stored one before
    // it ended for good, unless that could not be written.
    if (this.there === "sure" && !this.stored) {
      const { history, acceptedMs } = this;
      this.there = isStorm(history, acceptedMs) && mayBeForgotten(history, acceptedMs) ? "maybe" : "no";
    }
    const expected = clean ? "absent" : this.there === "no" ? "absent" : this.there === "maybe" ? "either" : "present";
    this.attempt = { link, clean, sentMs: nowMs, expected };
    this.links.push(link);
    this.stored = expiryMs > 0;
    if (clean) this.mayHaveEnded();
    if (this.there === "no") this.there = "maybe";
    this.expiryMs = expiryMs;
  }

  /** Returns what is wrong with Session Present; undefined when nothing is. */
  connackReceived(present: boolean, nowMs: number): string | undefined {
    const attempt = this.attempt!;
    const expected = this.expectedBy(attempt, nowMs);
    const wrong = expected !== "either" && present !== (expected === "present");
    this.links = [attempt.link];
    // It may have ended, and a new one begun with a CONNACK that was lost: nobody can tell them apart.
    this.isAmbiguous = present && expected === "either";
    if (this.isAmbiguous) this.mayHaveEnded();
    this.acceptedMs = nowMs;
    if (!present && isStorm(this.history, nowMs)) this.mayHaveEnded();
    else if (!present) this.begin();
    this.there = "sure";
    if (!wrong) return undefined;
    return `${this.clientId} was told Session Present ${Number(present)}, but its session is ${expected}`;
  }

  /** From now on it cannot be known whether the session is still there. */
  mayHaveEnded(): void {
    if (this.there === "sure") this.there = "maybe";
    this.owed.clear();
    for (const filter of this.filters.values()) filter.sureSinceMs = Number.POSITIVE_INFINITY;
  }

  /** Returns the number of the request, for the answer to it. */
  subscribeSent(topicFilter: string, qos: 0 | 1 | 2, nowMs: number): number {
    let filter = this.filters.get(topicFilter);
    if (filter === undefined) {
      const share = shareOf(topicFilter);
      const sureSinceMs = Number.POSITIVE_INFINITY;
      filter = {
        filter: share?.filter ?? topicFilter,
        group: share?.group,
        qos,
        sureSinceMs,
        askedMs: [],
        requests: 0,
        maybe: [],
      };
      this.filters.set(topicFilter, filter);
    }
    filter.askedMs.push(nowMs);
    if (qos < filter.qos) filter.qos = qos;
    if (filter.maybe.at(-1)?.toMs !== Number.POSITIVE_INFINITY) {
      filter.maybe.push({ fromMs: nowMs, toMs: Number.POSITIVE_INFINITY });
    }
    return ++filter.requests;
  }

  subackReceived(topicFilter: string, qos: 0 | 1 | 2, request: number, nowMs: number): void {
    const filter = this.filters.get(topicFilter)!;
    if (filter.requests !== request) return;
    // What came while the lower QoS held may have been sent with it, and be lost.
    if (qos > filter.qos || filter.sureSinceMs === Number.POSITIVE_INFINITY) filter.sureSinceMs = nowMs;
    filter.qos = qos;
  }

  unsubscribeSent(topicFilter: string): number {
    const filter = this.filters.get(topicFilter);
    if (filter === undefined) return 0;
    filter.sureSinceMs = Number.POSITIVE_INFINITY;
    return ++filter.requests;
  }

  unsubackReceived(topicFilter: string, request: number, nowMs: number): void {
    const filter = this.filters.get(topicFilter);
    const last = filter?.requests === request ? filter.maybe.at(-1) : undefined;
    if (last !== undefined && last.toMs > nowMs) last.toMs = nowMs;
  }

  /** The broker was handed the PUBACK for a copy of the message. */
  answered(key: string, nowMs: number): void {
    const times = this.answeredMs.get(key);
    if (times === undefined) this.answeredMs.set(key, [nowMs]);
    else times.push(nowMs);
  }

  /** Every copy that was ever sent to the broker was delivered and acknowledged, and that is on disk. */
  isDoneWith(message: SimMessage): boolean {
    const times = this.answeredMs.get(message.key);
    if (times === undefined || times.length < message.sendings) return false;
    return times.filter((ms) => !mayBeForgotten(this.history, ms)).length >= message.sendings;
  }

  /** It had this subscription for sure all the time since the message was first sent. */
  surelyWanted(message: SimMessage): FilterModel | undefined {
    for (const filter of this.filters.values()) {
      if (filter.qos > 0 && filter.sureSinceMs <= message.firstSentMs && matches(filter.filter, message.topic))
        return filter;
    }
    return undefined;
  }

  /** A subscription of it may have matched the message when the broker handled it. */
  maybeWanted(message: SimMessage): boolean {
    for (const filter of this.filters.values()) {
      if (!matches(filter.filter, message.topic)) continue;
      if (filter.maybe.some(({ toMs }) => toMs >= message.firstSentMs)) return true;
    }
    return false;
  }

  private begin(): void {
    const { owed, filters, lastNumbers } = this;
    owed.clear();
    filters.clear();
    lastNumbers.clear();
  }

  private expectedBy(attempt: Attempt, nowMs: number): Presence {
    if (attempt.expected !== "present") return attempt.expected;
    const before = this.links.filter((link) => link !== attempt.link);
    const earliestMs = before[0]?.brokerClosedMs ?? Number.POSITIVE_INFINITY;
    if (nowMs - earliestMs < this.expiryMs) return "present";
    const { history } = this;
    let latestMs = Math.max(...before.map((link) => link.brokerClosedMs));
    if (mayBeForgotten(history, latestMs)) {
      latestMs = Math.max(latestMs, history.restarts.at(-1) ?? 0);
    }
    if (history.trusted && attempt.sentMs - latestMs > this.expiryMs + EXPIRY_SLACK_MS) return "absent";
    return "either";
  }
}
