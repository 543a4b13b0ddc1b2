import type { Verdict } from "../../core/access.ts";
import { hasWildcard } from "../../topic/name.ts";
import type { Explanation } from "../book.ts";
import { covers, intersects, levelsOf, namedLevels } from "./filter.ts";
import type { Decision, Rights } from "./rights.ts";
import { Certainty, type Rule } from "./rule.ts";
import type { RuleSet } from "./rule-set.ts";

/** Why `rights` allow or deny: the rule that decides, and after it the one that would if it were not there. */
export function explainByRules(rules: RuleSet, rights: Rights, topic: string, write: boolean): Explanation {
  const counting = rights.counting(topic, write);
  const decision = rights.decide(topic, counting, write);
  if (decision.rule === undefined) return unplaced(`no rule allows it${nearMiss(rules, rights, topic, write)}`);
  const others = counting.filter((rule) => rule !== decision.rule);
  const next = rights.decide(topic, others, write);
  return explanation(rights, decision, topic, write, next.rule && explanation(rights, next, topic, write, undefined));
}

/** A denial that no entry of a file makes. */
export function unplaced(reason: string): Explanation {
  return { allowed: false, reason, place: "", text: "", runnerUp: undefined };
}

/** "auth.json5:12:5", as editors understand it; "" for rules made by a program. */
export function placeText({ file, line, column }: Rule["place"]): string {
  return file === "" ? "" : `${file}:${line}:${column}`;
}

/** "from 192.168.1.0/24, as client c*, until 2027-03-31T24:00:00Z": when a rule holds; "" when always. */
export function conditionsText({ conditions: { from, clientIds }, expiresMs }: Rule): string {
  const texts: string[] = [];
  if (from.length > 0) texts.push(`from ${from.join(" or ")}`);
  if (clientIds.length > 0) texts.push(`as client ${clientIds.join(" or ")}`);
  if (expiresMs !== Number.POSITIVE_INFINITY) texts.push(`until ${timeText(expiresMs)}`);
  return texts.join(", ");
}

/** "only up to QoS 1 and not with RETAIN": what a rule holds back; "" when nothing. */
export function boundsText(verdict: Verdict): string {
  if (typeof verdict === "boolean") return "";
  const bounds: string[] = [];
  if (verdict.maximumQos < 2)
    bounds.push(`only ${verdict.maximumQos === 0 ? "with" : "up to"} QoS ${verdict.maximumQos}`);
  if (!verdict.retain) bounds.push("not with RETAIN");
  return bounds.join(" and ");
}

function explanation(
  rights: Rights,
  { verdict, rule }: Decision,
  topic: string,
  write: boolean,
  runnerUp: Explanation | undefined,
): Explanation {
  const side = rule!.side(write)!;
  const verb = side.allow ? "allows" : "denies";
  const bounds = side.allow ? boundsText(verdict) : "";
  const part = side.allow && hasWildcard(topic) && !hasAll(rights, rule!, topic) ? `, a part of ${topic}` : "";
  return {
    allowed: verdict !== false,
    reason: `rule ${rule!.number} ${verb} ${rule!.topicFilter} to ${side.nameFor(rights.subject)}${bounds && ` ${bounds}`}${part}`,
    place: placeText(rule!.place),
    text: rule!.place.text,
    runnerUp,
  };
}

function hasAll({ names }: Rights, rule: Rule, topic: string): boolean {
  const levels = namedLevels(rule.levels, names);
  return levels !== undefined && covers(levels, levelsOf(topic), false);
}

/** The last rule that would allow it but for one thing, which is what people look for who wrote it. */
function nearMiss({ rules, ended }: RuleSet, { subject, names }: Rights, topic: string, write: boolean): string {
  const asked = levelsOf(topic);
  const wouldAllow = (rule: Rule): boolean => {
    const side = rule.side(write);
    if (side?.allow !== true || side.concerns(subject) !== Certainty.Sure) return false;
    const levels = namedLevels(rule.levels, names);
    return levels !== undefined && intersects(levels, asked, true);
  };
  const rule = rules.findLast(wouldAllow);
  if (rule?.holds(subject) === Certainty.Sure) {
    // Then only the dollar sign is left as what keeps it away.
    return `: ${asked[0]} has to be named, and ${shown(rule)} allows ${rule.topicFilter}`;
  }
  const missed = rule ?? ended.findLast(wouldAllow);
  if (missed === undefined) return "";
  return `: ${shown(missed)} allows ${missed.topicFilter} only ${conditionsText(missed)}`;
}

/** "rule 3 (auth.json5:12:5)". */
function shown({ number, place }: Rule): string {
  const text = placeText(place);
  return text === "" ? `rule ${number}` : `rule ${number} (${text})`;
}

/** In UTC; shorter than ISO 8601 has it where nothing is lost. */
export function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "the end of time" : date.toISOString().replace(".000Z", "Z");
}
