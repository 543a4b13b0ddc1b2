import { covers, isReserved, levelsOf } from "../rules/filter.ts";
import type { Complaints } from "./complaints.ts";
import { EVERYBODY } from "./names.ts";
import type { ReadAuth, ReadRule } from "./read-auth.ts";

/** Of rules with rules, and of members: a file that needs more is not looked at to its end, which is no matter of safety. */
const COMPARISONS_MAX = 200_000;

/** What rules that are all right mean for each other, where that may not be what somebody wanted or was used to. */
export function reviewRules({ rules, groups }: Pick<ReadAuth, "rules" | "groups">, complaints: Complaints): void {
  const review = new Review(rules, groups);
  for (const { rule, by } of review.overridden) {
    const message = `rule ${rule.number} has no effect: ${shown(by)} comes later and decides all that it would`;
    const hint = `Of the rules that match, the last one counts: move it behind rule ${by.number}, or remove it`;
    complaints.say("warning", rule.place, message, hint);
  }
  const [first] = review.holes;
  if (first !== undefined) {
    const others = review.holes.length === 1 ? "" : ` (and ${review.holes.length - 1} more like it)`;
    const { deny, allow } = first;
    const message = `rule ${deny.number} denies ${deny.topicFilter} within ${allow.topicFilter}, which ${shown(allow)} allows${others}`;
    const hint = `Subscriptions to ${allow.topicFilter} are accepted, and what is denied is left out at delivery; mqtt-broker-tokio refuses them`;
    complaints.say("note", deny.place, message, hint);
  }
  const wide = rules.find((rule) => isWide(rule) && [rule.sub, rule.pub].some((side) => side?.allow === true));
  if (wide !== undefined && !rules.some(({ topicFilter }) => isReserved(topicFilter))) {
    const message = `rule ${wide.number} allows ${wide.topicFilter}, which does not include topics that begin with "$"`;
    const hint = 'Older brokers included them; for the broker\'s own figures add a rule with the topic "$SYS/#"';
    complaints.say("note", wide.place, message, hint);
  }
}

interface Prepared {
  readonly rule: ReadRule;
  readonly levels: readonly string[];
  readonly sub: Side | undefined;
  readonly pub: Side | undefined;
}

interface Side {
  readonly allow: boolean;
  readonly names: ReadonlySet<string>;
}

class Review {
  readonly overridden: { rule: ReadRule; by: ReadRule }[] = [];
  /** Denials within what an earlier rule allows. */
  readonly holes: { deny: ReadRule; allow: ReadRule }[] = [];
  private readonly rules: readonly Prepared[];
  private readonly members: ReadonlyMap<string, readonly string[]>;
  private readonly groupsOf = new Map<string, string[]>();
  private comparisons = COMPARISONS_MAX;

  constructor(rules: readonly ReadRule[], groups: ReadAuth["groups"]) {
    this.members = new Map(groups.map(({ name, members }) => [name, members]));
    for (const { name, members } of groups) {
      for (const member of members) {
        const its = this.groupsOf.get(member);
        if (its === undefined) this.groupsOf.set(member, [name]);
        else its.push(name);
      }
    }
    this.rules = rules.map((rule) => ({
      rule,
      levels: levelsOf(rule.topicFilter),
      sub: rule.sub && { allow: rule.sub.allow, names: new Set(rule.sub.names) },
      pub: rule.pub && { allow: rule.pub.allow, names: new Set(rule.pub.names) },
    }));
    for (const [index, { rule }] of this.rules.entries()) {
      const by = this.findOverriding(index);
      if (by !== undefined) this.overridden.push({ rule, by });
      const allow = this.findHoled(index);
      if (allow !== undefined) this.holes.push({ deny: rule, allow });
    }
  }

  private findOverriding(index: number): ReadRule | undefined {
    const rule = this.rules[index]!;
    if (rule.sub === undefined && rule.pub === undefined) return undefined;
    for (let at = this.rules.length - 1; at > index && this.comparisons-- > 0; at--) {
      const later = this.rules[at]!;
      if (!isUnconditional(later.rule)) continue;
      if (this.overrides(later, rule, "sub") && this.overrides(later, rule, "pub")) return later.rule;
    }
    return undefined;
  }

  /** Does the later rule leave nothing for the earlier one to decide? */
  private overrides(laterRule: Prepared, earlierRule: Prepared, direction: "sub" | "pub"): boolean {
    const later = laterRule[direction];
    const earlier = earlierRule[direction];
    if (earlier === undefined) return true;
    if (later === undefined) return false;
    // What allows by a wildcard does not reach topics that begin with "$", and what denies does.
    if (later.allow && !earlier.allow && isWide(earlierRule.rule)) return false;
    if (!covers(laterRule.levels, earlierRule.levels, !later.allow)) return false;
    for (const name of earlier.names) if (!this.concerns(later, name)) return false;
    return true;
  }

  private findHoled(index: number): ReadRule | undefined {
    const deny = this.rules[index]!;
    if (deny.sub?.allow !== false) return undefined;
    for (let at = index - 1; at >= 0 && this.comparisons-- > 0; at--) {
      const allow = this.rules[at]!;
      if (allow.sub?.allow !== true || !covers(allow.levels, deny.levels, false)) continue;
      if (!covers(deny.levels, allow.levels, true) && this.haveCommon(deny.sub, allow.sub)) return allow.rule;
    }
    return undefined;
  }

  private haveCommon(one: Side, other: Side): boolean {
    if (one.names.has(EVERYBODY)) return true;
    for (const name of one.names) {
      if (this.concerns(other, name)) return true;
      for (const member of this.members.get(name) ?? []) {
        if (this.comparisons-- <= 0) return false;
        if (this.concerns(other, member)) return true;
      }
    }
    return false;
  }

  private concerns({ names }: Side, name: string): boolean {
    if (names.has(EVERYBODY) || names.has(name)) return true;
    return this.groupsOf.get(name)?.some((group) => names.has(group)) === true;
  }
}

function isUnconditional({ from, clientIds, expiresMs }: ReadRule): boolean {
  return from.length === 0 && clientIds.length === 0 && expiresMs === Number.POSITIVE_INFINITY;
}

/** With its line, which is another one than the problem's. */
function shown({ number, place: { line } }: ReadRule): string {
  return line === 0 ? `rule ${number}` : `rule ${number} (line ${line})`;
}

function isWide({ topicFilter }: ReadRule): boolean {
  return /^[#+]/.test(topicFilter);
}
