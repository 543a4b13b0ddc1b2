import { firstOf, joined } from "./enumeration.ts";
import { shownName } from "./login/user-name.ts";
import type { ReadRule, ReadSide } from "./reading/read-auth.ts";
import { boundsText, conditionsText } from "./rules/reasons.ts";
import { Rule } from "./rules/rule.ts";

/** Rules before times rules after, of those that differ: beyond it they are only counted. */
const COMPARISONS_MAX = 1_000_000;

/** What is other in the rules, each in a clause. Those that are there as before are not told, whatever their number is now. */
export function ruleChanges(before: readonly ReadRule[], after: readonly ReadRule[]): string[] {
  const [old, now] = withoutCommonEnds(before.map(meaning), after.map(meaning));
  if (old.length * now.length > COMPARISONS_MAX) {
    return [`rules ${now.start + 1} to ${now.start + now.length} are others than the ${old.length} before`];
  }
  const gaps: Gap[] = [{ gone: [], come: [] }];
  for (const step of steps(old.texts, now.texts)) {
    if (step === "kept") gaps.push({ gone: [], come: [] });
    else if (step.from === "old") gaps.at(-1)!.gone.push(before[old.start + step.index]!);
    else gaps.at(-1)!.come.push(after[now.start + step.index]!);
  }
  const moved = movedIn(gaps);
  return gaps.flatMap((gap) => gapTexts(gap, moved));
}

/** Between two rules that are there as before. */
interface Gap {
  readonly gone: ReadRule[];
  readonly come: ReadRule[];
}

/** Rules that stand elsewhere now, with what they were, and takes them out of the gaps that they have left. */
function movedIn(gaps: readonly Gap[]): ReadonlyMap<ReadRule, ReadRule> {
  const left = Map.groupBy(
    gaps.flatMap(({ gone }) => gone),
    meaning,
  );
  const moved = new Map<ReadRule, ReadRule>();
  for (const rule of gaps.flatMap(({ come }) => come)) {
    const was = left.get(meaning(rule))?.shift();
    if (was === undefined) continue;
    moved.set(rule, was);
    for (const { gone } of gaps) if (gone.includes(was)) gone.splice(gone.indexOf(was), 1);
  }
  return moved;
}

/** A rule that takes the place of another one "now" does what it does, first of one about the same topic; others are new or gone. */
function gapTexts({ gone, come }: Gap, moved: ReadonlyMap<ReadRule, ReadRule>): string[] {
  const replaced = new Map<ReadRule, ReadRule>();
  const free = [...gone];
  for (const isWanted of [(old: ReadRule, rule: ReadRule) => old.topicFilter === rule.topicFilter, () => true]) {
    for (const rule of come) {
      if (moved.has(rule) || replaced.has(rule)) continue;
      const index = free.findIndex((old) => isWanted(old, rule));
      if (index >= 0) replaced.set(rule, ...(free.splice(index, 1) as [ReadRule]));
    }
  }
  return [
    ...come.map((rule) => comeText(rule, replaced.get(rule), moved.get(rule))),
    ...free.map((rule) => `rule ${rule.number} is gone: it ${past(withTerms(rule))}`),
  ];
}

function comeText(rule: ReadRule, old: ReadRule | undefined, was: ReadRule | undefined): string {
  const { number } = rule;
  if (was !== undefined) return `rule ${number} was rule ${was.number} before: it ${withTerms(rule)}`;
  if (old === undefined) return `rule ${number} is new: it ${withTerms(rule)}`;
  const [deed, terms, before] = [deedText(rule), termsText(rule), termsText(old)];
  if (deed !== deedText(old)) return `rule ${number} now ${withTerms(rule)}`;
  if (terms !== before) return `rule ${number} now ${deed} ${terms || NO_TERMS} (before: ${before || NO_TERMS})`;
  return `rule ${number} now ${withTerms(rule)}: ${nameChanges(old, rule)}`;
}

/** "+kim -lee", where a list is too long to be shown. */
function nameChanges(old: ReadRule, now: ReadRule): string {
  const namesOf = ({ sub, pub }: ReadRule): Set<string> => new Set([...(sub?.names ?? []), ...(pub?.names ?? [])]);
  const [was, is] = [namesOf(old), namesOf(now)];
  const came = [...is].filter((name) => !was.has(name)).map((name) => `+${shownName(name)}`);
  const went = [...was].filter((name) => !is.has(name)).map((name) => `-${shownName(name)}`);
  return firstOf([...came, ...went], " ");
}

const NO_TERMS = "without conditions";

function withTerms(rule: ReadRule): string {
  return `${deedText(rule)} ${termsText(rule)}`.trimEnd();
}

function past(deed: string): string {
  return deed.replaceAll(/^(?:allows|denies)|(?<=\) and )(?:allows|denies)/g, (word) =>
    word === "allows" ? "allowed" : "denied",
  );
}

/** Everything but where it stands, and in which order it names whom. */
function meaning(rule: ReadRule): string {
  const { number: _, place: __, sub, pub, expiresMs, ...rest } = rule;
  const sides = [sub, pub].map((side) => side && [side.allow, [...new Set(side.names)].sort()]);
  return JSON.stringify([rest, sides, expiresMs === Number.POSITIVE_INFINITY ? "never" : expiresMs]);
}

interface Part {
  texts: readonly string[];
  start: number;
  length: number;
}

function withoutCommonEnds(old: readonly string[], now: readonly string[]): [old: Part, now: Part] {
  const shorter = Math.min(old.length, now.length);
  let start = 0;
  while (start < shorter && old[start] === now[start]) start++;
  let end = 0;
  while (end < shorter - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  const part = (texts: readonly string[]): Part => {
    const middle = texts.slice(start, texts.length - end);
    return { texts: middle, start, length: middle.length };
  };
  return [part(old), part(now)];
}

type Step = "kept" | { from: "old" | "now"; index: number };

/** The fewest removals and additions that lead from one list to the other, in order: by longest common subsequence. */
function steps(old: readonly string[], now: readonly string[]): Step[] {
  const width = now.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const at = i * width + j;
      longest[at] = old[i] === now[j] ? longest[at + width + 1]! + 1 : Math.max(longest[at + width]!, longest[at + 1]!);
    }
  }
  const found: Step[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      found.push("kept");
      i++;
      j++;
    } else if (j === now.length || (i < old.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) {
      found.push({ from: "old", index: i++ });
    } else found.push({ from: "now", index: j++ });
  }
  return found;
}

/** "denies kitchen/# to @guests", "allows home/# to kim (subscribe) and to @staff (publish)". */
function deedText({ topicFilter, sub, pub }: ReadRule): string {
  const sides = [
    ["subscribe", sub],
    ["publish", pub],
  ] as const;
  const [first, second] = sides.flatMap(([operation, side]) => (side === undefined ? [] : [{ operation, ...side }]));
  if (first === undefined) return `says nothing of ${topicFilter}`;
  const deed = `${verb(first)} ${topicFilter} to ${listed(first)}`;
  if (second === undefined) return `${deed} (${first.operation})`;
  if (first.allow === second.allow && first.names.join("\n") === second.names.join("\n")) return deed;
  const other = first.allow === second.allow ? "to" : `${verb(second)} it to`;
  return `${deed} (${first.operation}) and ${other} ${listed(second)} (${second.operation})`;
}

/** "only up to QoS 1, from local": what a rule asks for and holds back beside that; "" when nothing. */
function termsText(read: ReadRule): string {
  const rule = new Rule(read);
  const bounds = [rule.pub, rule.sub].map((side) => (side?.allow === true ? boundsText(side.verdict) : ""));
  return [bounds.find((text) => text !== "") ?? "", conditionsText(rule)].filter((text) => text !== "").join(", ");
}

/** With "and" at the end: a comma goes on with the next change. */
function listed({ names }: ReadSide): string {
  return joined(names.map(shownName));
}

function verb({ allow }: ReadSide): string {
  return allow ? "allows" : "denies";
}
