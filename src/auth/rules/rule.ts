import type { Grant, Verdict } from "../../core/access.ts";
import type { Peer } from "../../core/ports.ts";
import type { Place, ReadRule, ReadSide } from "../reading/read-auth.ts";
import { hasPlaceholder, isReserved, levelsOf } from "./filter.ts";
import { ClientIdPatterns, FromConditions } from "./from.ts";

export const EVERYBODY = "@any";

/** How far something holds that may depend on what is not known of a client. */
export const Certainty = { No: 0, Maybe: 1, Sure: 2 } as const;
export type Certainty = (typeof Certainty)[keyof typeof Certainty];

/** Whom a rule is asked about. */
export interface Subject {
  /** As rules name it; undefined when it can only be one of @any. */
  readonly name: string | undefined;
  readonly groups: readonly string[];
  /** It may be in any other group too. */
  readonly mayHaveGroups: boolean;
  readonly clientId: string;
  /** Undefined: where it connects from is not known. */
  readonly peer: Peer | undefined;
}

/** One rule, made ready for use. */
export class Rule {
  /** Position in the file, from 1. */
  readonly number: number;
  readonly topicFilter: string;
  /** With placeholders as they are. */
  readonly levels: readonly string[];
  /** Its filter names a first level that begins with "$": a placeholder does not, since clients choose their names. */
  readonly namesReserved: boolean;
  readonly sub: Side | undefined;
  readonly pub: Side | undefined;
  readonly from: FromConditions | undefined;
  readonly clientIds: ClientIdPatterns | undefined;
  /** Milliseconds since 1970; Infinity: never. */
  readonly expiresMs: number;
  readonly place: Place;
  /** As in the file, for people. */
  readonly conditions: { readonly from: readonly string[]; readonly clientIds: readonly string[] };

  constructor(read: ReadRule) {
    const { number, topicFilter, sub, pub, maximumQos, retain, from, clientIds } = read;
    this.number = number;
    this.topicFilter = topicFilter;
    this.levels = levelsOf(topicFilter);
    const first = this.levels[0]!;
    this.namesReserved = isReserved(first) && !hasPlaceholder(first);
    // Retain is a matter of publishing: for receivers a grant that says nothing else would only be in the way.
    this.sub = sub && new Side(sub, grantOf(maximumQos, true));
    this.pub = pub && new Side(pub, grantOf(maximumQos, retain));
    this.from = from.length === 0 ? undefined : new FromConditions(from);
    this.clientIds = clientIds.length === 0 ? undefined : new ClientIdPatterns(clientIds);
    this.expiresMs = read.expiresMs;
    this.place = read.place;
    this.conditions = { from, clientIds };
  }

  side(write: boolean): Side | undefined {
    return write ? this.pub : this.sub;
  }

  /** Answers may differ between two clients of one user. */
  get isPersonal(): boolean {
    return !this.isUnconditional || this.topicFilter.includes("%c");
  }

  /** It holds wherever and as whatever client one connects. */
  get isUnconditional(): boolean {
    return this.from === undefined && this.clientIds === undefined;
  }

  /** It holds always. */
  get isAlways(): boolean {
    return this.isUnconditional && this.expiresMs === Number.POSITIVE_INFINITY;
  }

  /** Do its conditions hold for the subject? That it has not ended is its set's concern. */
  holds({ clientId, peer }: Subject): Certainty {
    if (this.clientIds?.matches(clientId) === false) return Certainty.No;
    if (this.from === undefined) return Certainty.Sure;
    if (peer === undefined) return Certainty.Maybe;
    return this.from.matches(peer) ? Certainty.Sure : Certainty.No;
  }

  /**
   * Does it count for the subject's question? Where that is not sure, the answer leans: to receiving, because it is asked again
   * when the client is there, and away from publishing, because that cannot be taken back.
   */
  counts(subject: Subject, write: boolean): boolean {
    const side = this.side(write);
    if (side === undefined) return false;
    const certainty = Math.min(side.concerns(subject), this.holds(subject));
    return certainty === Certainty.Sure || (certainty === Certainty.Maybe && side.allow !== write);
  }
}

/** What a rule says of one direction, and of whom. */
export class Side {
  readonly allow: boolean;
  /** What it comes to where it decides. */
  readonly verdict: Verdict;
  readonly names: ReadonlySet<string>;
  private readonly everybody: boolean;
  private readonly hasGroups: boolean;

  constructor(read: ReadSide, granted: Verdict) {
    this.allow = read.allow;
    this.verdict = read.allow && granted;
    this.names = new Set(read.names);
    this.everybody = this.names.has(EVERYBODY);
    this.hasGroups = read.names.some((name) => name.startsWith("@"));
  }

  concerns({ name, groups, mayHaveGroups }: Subject): Certainty {
    if (this.everybody || (name !== undefined && this.names.has(name))) return Certainty.Sure;
    if (!this.hasGroups) return Certainty.No;
    for (const group of groups) if (this.names.has(group)) return Certainty.Sure;
    return mayHaveGroups ? Certainty.Maybe : Certainty.No;
  }

  /** The narrowest name by which the rule concerns the subject, for people. */
  nameFor({ name, groups }: Subject): string {
    if (name !== undefined && this.names.has(name)) return name;
    const group = groups.find((candidate) => this.names.has(candidate));
    return group ?? (this.everybody ? EVERYBODY : [...this.names].find((candidate) => candidate.startsWith("@"))!);
  }
}

const GRANTS: readonly Grant[] = ([0, 1, 2] as const).flatMap((maximumQos) =>
  [false, true].map((retain) => ({ maximumQos, retain })),
);

/** true when there are no bounds; else one object for all who have the same bounds. */
export function grantOf(maximumQos: Grant["maximumQos"], retain: boolean): Verdict {
  return (maximumQos === 2 && retain) || GRANTS[maximumQos * 2 + (retain ? 1 : 0)]!;
}
