import { covers, namedLevels } from "./filter.ts";
import { boundsText, conditionsText, placeText } from "./reasons.ts";
import type { Rights } from "./rights.ts";
import { Certainty, type Rule } from "./rule.ts";
import type { RuleSet } from "./rule-set.ts";

/** What one rule says about a user, in one direction. */
export interface RightsLine {
  readonly operation: "publish" | "subscribe";
  /** With the names put in. */
  readonly filter: string;
  readonly allowed: boolean;
  /** Position of the rule in the file, from 1. */
  readonly rule: number;
  /** "auth.json5:12:5"; "" for rules made by a program. */
  readonly place: string;
  readonly text: string;
  /** "only up to QoS 1"; "" when there are none. */
  readonly bounds: string;
  /** "from local": holds only then; "" when always. */
  readonly conditions: string;
  /** The last of the later rules that takes all of it back or grants all of it anew; undefined: it counts. */
  readonly overriddenBy: number | undefined;
}

/** What the rules say about one user, in the order of the file; rules that cannot concern it are left out. */
export function listRights(rules: RuleSet, rights: Rights): RightsLine[] {
  const lines: RightsLine[] = [];
  for (const write of [true, false]) {
    const concerned = rules.rules.filter((rule) => mayConcern(rule, rights, write));
    for (const [index, rule] of concerned.entries()) {
      lines.push(lineOf(rule, concerned.slice(index + 1), rights, write));
    }
  }
  return lines.sort((a, b) => a.rule - b.rule);
}

function mayConcern(rule: Rule, { subject, names }: Rights, write: boolean): boolean {
  const side = rule.side(write);
  if (side === undefined || side.concerns(subject) === Certainty.No) return false;
  return rule.holds(subject) !== Certainty.No && namedLevels(rule.levels, names) !== undefined;
}

function lineOf(rule: Rule, later: readonly Rule[], { subject, names }: Rights, write: boolean): RightsLine {
  const side = rule.side(write)!;
  const levels = namedLevels(rule.levels, names)!;
  const overriding = later.findLast((other) => {
    const { allow } = other.side(write)!;
    if (!other.isAlways || other.side(write)!.concerns(subject) !== Certainty.Sure) return false;
    // A wildcard that denies reaches topics with "$", and one that allows leaves them as they were.
    if (allow && !side.allow && levels[0] === "+") return false;
    return covers(namedLevels(other.levels, names)!, levels, !allow);
  });
  return {
    operation: write ? "publish" : "subscribe",
    filter: namedFilter(rule, levels),
    allowed: side.allow,
    rule: rule.number,
    place: placeText(rule.place),
    text: rule.place.text,
    bounds: boundsText(side.verdict),
    conditions: conditionsText(rule),
    overriddenBy: overriding?.number,
  };
}

/** `levels` are those that `levelsOf` makes, which are not always those of the text. */
function namedFilter({ topicFilter }: Rule, levels: readonly string[]): string {
  return topicFilter === "#" || topicFilter === "/#" ? topicFilter : levels.join("/");
}
