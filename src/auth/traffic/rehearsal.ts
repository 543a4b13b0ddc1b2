import type { Verdict } from "../../core/access.ts";
import type { Client } from "../../core/client.ts";
import type { Login } from "../login.ts";
import { anonymousLogin, type Candidate, otherProof, recordedClient, recordedLogin } from "./recorded-login.ts";
import type { Traffic, TrafficClient, TrafficRefusal, TrafficUse } from "./traffic.ts";

/** What would be otherwise if other rules had held. */
export interface Rehearsal {
  /** Uses and clients that were tried. */
  readonly uses: number;
  readonly clients: number;
  /** Clients that got in, and would not. What they used is not listed too. */
  readonly lockedOut: readonly { client: TrafficClient; reason: string }[];
  readonly newlyDenied: readonly ChangedUse[];
  /** Allowed as before, but with a lower QoS or without RETAIN. */
  readonly newlyBound: readonly ChangedUse[];
  readonly newlyAllowed: readonly ChangedUse[];
  /** Refused for want of credentials, and anonymous clients would get in from there. */
  readonly letIn: readonly TrafficRefusal[];
  /** Clients that would have to prove otherwise who they are: whether they can is not known. */
  readonly otherProofs: readonly { client: TrafficClient; proof: string }[];
}

export interface ChangedUse {
  readonly use: TrafficUse;
  /** "rule 7 denies kitchen/# to @guests". */
  readonly reason: string;
  /** "auth.json5:12:5", and the entry's text; "" when no rule decided. */
  readonly place: string;
  readonly text: string;
}

/** True when somebody would lose something. */
export function hasLosses({ lockedOut, newlyDenied, newlyBound }: Rehearsal): boolean {
  return lockedOut.length + newlyDenied.length + newlyBound.length > 0;
}

/**
 * Replays what was recorded against other rules. Of what was folded into a pattern the last sample is tried. Uses of clients that
 * the record does not know are left out.
 */
export function rehearse(traffic: Traffic, candidate: Candidate): Rehearsal {
  const lockedOut: { client: TrafficClient; reason: string }[] = [];
  const otherProofs: { client: TrafficClient; proof: string }[] = [];
  const changed = { newlyDenied: [] as ChangedUse[], newlyBound: [] as ChangedUse[], newlyAllowed: [] as ChangedUse[] };
  const usesOf = Map.groupBy(latestOf(traffic.uses), keyOf);
  let uses = 0;
  for (const recorded of traffic.clients) {
    const own = recordedClient(recorded, recorded.sampleClientId ?? recorded.clientId);
    const login = recordedLogin(candidate, recorded, own);
    if (typeof login === "string") {
      lockedOut.push({ client: recorded, reason: login });
      continue;
    }
    const proof = otherProof(recorded, login);
    if (proof !== undefined) otherProofs.push({ client: recorded, proof });
    for (const use of usesOf.get(keyOf(recorded)) ?? []) {
      uses++;
      const sample = use.sampleClientId ?? own.clientId;
      const isOwn = sample === own.clientId;
      const client = isOwn ? own : recordedClient(recorded, sample);
      // What a book has found out about a login belongs to one client.
      const asked = isOwn ? login : recordedLogin(candidate, recorded, client);
      if (typeof asked !== "string") compare(candidate, asked, client, use, changed);
    }
  }
  const letIn = traffic.refusals.filter((refusal) => wouldGetIn(candidate, refusal));
  return { uses, clients: traffic.clients.length, lockedOut, ...changed, letIn, otherProofs };
}

type Changed = Record<"newlyDenied" | "newlyBound" | "newlyAllowed", ChangedUse[]>;

function compare({ book }: Candidate, login: Login, client: Client, use: TrafficUse, changed: Changed): void {
  const topic = use.sampleTopic ?? use.topic;
  const write = use.operation === "publish";
  const verdict = book.check(login, client, topic, write);
  const list = listFor(use, verdict);
  if (list === undefined) return;
  const { reason, place, text } = book.explain(login, client, topic, write);
  changed[list].push({ use, reason, place, text });
}

function listFor(use: TrafficUse, verdict: Verdict): keyof Changed | undefined {
  const isAllowed = verdict !== false;
  if (isAllowed !== use.allowed) return isAllowed ? "newlyAllowed" : "newlyDenied";
  if (typeof verdict !== "object") return undefined;
  const lowersQos = verdict.maximumQos < (use.maximumQos ?? 2);
  const forbidsRetain = use.operation === "publish" && !verdict.retain && use.retain !== false;
  return lowersQos || forbidsRetain ? "newlyBound" : undefined;
}

function wouldGetIn(candidate: Candidate, refusal: TrafficRefusal): boolean {
  if (refusal.userName !== undefined) return false;
  if (candidate.users === undefined) return false;
  return typeof anonymousLogin(candidate, recordedClient(refusal, refusal.clientId)) !== "string";
}

/** What was denied once and allowed later, or the other way round, counts as it was the last time. */
function latestOf(uses: readonly TrafficUse[]): Iterable<TrafficUse> {
  const latest = new Map<string, TrafficUse>();
  for (const use of uses) {
    const key = `${keyOf(use)}\u0000${use.operation}\u0000${use.topic}`;
    const other = latest.get(key);
    if (other === undefined || use.lastSeconds >= other.lastSeconds) latest.set(key, use);
  }
  return latest.values();
}

function keyOf({ name, clientId }: TrafficClient | TrafficUse): string {
  return `${name}\u0000${clientId}`;
}
