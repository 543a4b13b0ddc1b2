import type { ReadAuth, ReadGroup, ReadRule, ReadSide, ReadUser } from "./read-auth.ts";

/** Clauses of one line; what is more is counted. */
const CLAUSES_MAX = 12;
/** Names in one list. */
const NAMES_MAX = 5;
/** Rules before times rules after, of those that differ: beyond it they are only counted. */
const COMPARISONS_MAX = 1_000_000;

/**
 * What is other in `after` than it was in `before`, in words: "+1 user (kim), rule 7 now denies kitchen/# to @guests".
 * Undefined when they say the same. No secret is in it, only that one has changed.
 */
export function describeChanges(before: ReadAuth, after: ReadAuth): string | undefined {
  const clauses = [
    ...users(before.users, after.users),
    ...groups(before.groups, after.groups),
    ...rules(before.rules, after.rules),
    ...(same(before.ledger, after.ledger) ? [] : ["the ledger has changed"]),
    ...(before.explainToClients === after.explainToClients ? [] : [`explainToClients is ${after.explainToClients}`]),
    ...(before.whenRevoked === after.whenRevoked ? [] : [`whenRevoked is "${after.whenRevoked}"`]),
  ];
  if (clauses.length === 0) return undefined;
  const more = clauses.length - CLAUSES_MAX;
  return more <= 0 ? clauses.join(", ") : `${clauses.slice(0, CLAUSES_MAX).join(", ")} and ${more} more changes`;
}

/** A rule in words: "denies kitchen/# to @guests", "allows home/# to kim (subscribe) and @staff (publish)". */
export function ruleInWords({ topicFilter, sub, pub }: ReadRule): string {
  if (sub !== undefined && pub !== undefined && same(sub, pub)) {
    return `${verb(sub)} ${topicFilter} to ${list(sub.names)}`;
  }
  const sides = [
    ...(sub === undefined ? [] : [`${verb(sub)} subscribing to ${topicFilter} to ${list(sub.names)}`]),
    ...(pub === undefined ? [] : [`${verb(pub)} publishing to ${topicFilter} to ${list(pub.names)}`]),
  ];
  return sides.length === 0 ? `says nothing of ${topicFilter}` : sides.join(" and ");
}

function verb({ allow }: ReadSide): string {
  return allow ? "allows" : "denies";
}

function users(before: readonly ReadUser[], after: readonly ReadUser[]): string[] {
  // "*" may stand there several times, once for each method.
  const key = ({ name, method }: ReadUser): string => (name === "*" ? `* (${method})` : name);
  const { added, removed, kept } = compare(before, after, key);
  return [
    ...count("+", added, "user"),
    ...count("-", removed, "user"),
    ...kept.flatMap(([old, now]) => {
      const what = userChanges(old, now);
      return what.length === 0 ? [] : [`${now.name} has ${list(what)}`];
    }),
  ];
}

function userChanges(old: ReadUser, now: ReadUser): string[] {
  const changes = old.method === now.method ? [] : [`the method ${now.method}`];
  if (!same(old.secret, now.secret) && old.method === now.method) changes.push("a new password");
  if (!same(old.jwt, now.jwt) && old.method === now.method) changes.push("other terms for tokens");
  if (old.expiresMs !== now.expiresMs) changes.push(`another end (${dateOf(now.expiresMs)})`);
  if (old.admin !== now.admin) changes.push(`admin ${now.admin}`);
  const rest = ({ from, clientIds, verifyField, port, nodeId }: ReadUser) => [
    from,
    clientIds,
    verifyField,
    port,
    nodeId,
  ];
  if (!same(rest(old), rest(now))) changes.push("other conditions");
  if (!same(old.limits, now.limits)) changes.push("other limits");
  return changes;
}

function groups(before: readonly ReadGroup[], after: readonly ReadGroup[]): string[] {
  const { added, removed, kept } = compare(before, after, ({ name }) => name);
  return [
    ...count("+", added, "group"),
    ...count("-", removed, "group"),
    ...kept.flatMap(([old, now]) => {
      const joined = now.members.filter((member) => !old.members.includes(member)).map((member) => `+${member}`);
      const left = old.members.filter((member) => !now.members.includes(member)).map((member) => `-${member}`);
      return joined.length + left.length === 0 ? [] : [`${now.name}: ${list([...joined, ...left], " ")}`];
    }),
  ];
}

/** A rule that takes the place of another one "now" does what it does; others are new or gone. */
function rules(before: readonly ReadRule[], after: readonly ReadRule[]): string[] {
  const [old, now] = withoutCommonEnds(before.map(meaning), after.map(meaning));
  if (old.length * now.length > COMPARISONS_MAX) {
    return [`rules ${now.start + 1} to ${now.start + now.length} are others than the ${old.length} before`];
  }
  const clauses: string[] = [];
  let gone: ReadRule[] = [];
  let come: ReadRule[] = [];
  const tell = (): void => {
    for (const [index, rule] of come.entries()) {
      const word = index < gone.length ? "now " : "is new: it ";
      clauses.push(`rule ${rule.number} ${word}${ruleInWords(rule)}${terms(gone[index], rule)}`);
    }
    for (const rule of gone.slice(come.length)) clauses.push(`rule ${rule.number} is gone: it ${past(rule)}`);
    gone = [];
    come = [];
  };
  for (const step of steps(old.texts, now.texts)) {
    if (step === "kept") tell();
    else if (step.from === "old") gone.push(before[old.start + step.index]!);
    else come.push(after[now.start + step.index]!);
  }
  tell();
  return clauses;
}

function past(rule: ReadRule): string {
  return ruleInWords(rule).replaceAll(/\b(allows|denies)\b/g, (word) => (word === "allows" ? "allowed" : "denied"));
}

/** What the words for a rule leave out, when it is that which has changed. */
function terms(old: ReadRule | undefined, now: ReadRule): string {
  if (old === undefined || ruleInWords(old) !== ruleInWords(now)) return "";
  return ", on other terms (from, clientId, expires, maxQos or retain)";
}

/** Everything but where it stands. */
function meaning(rule: ReadRule): string {
  const { number: _, place: __, expiresMs, ...rest } = rule;
  return JSON.stringify([rest, expiresMs === Number.POSITIVE_INFINITY ? "never" : expiresMs]);
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

function compare<T>(before: readonly T[], after: readonly T[], key: (one: T) => string) {
  const old = new Map(before.map((one) => [key(one), one]));
  const now = new Map(after.map((one) => [key(one), one]));
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
    kept: [...now].flatMap(([name, one]): [T, T][] => (old.has(name) ? [[old.get(name)!, one]] : [])),
  };
}

function count(sign: "+" | "-", names: readonly string[], noun: string): string[] {
  return names.length === 0 ? [] : [`${sign}${names.length} ${noun}${names.length === 1 ? "" : "s"} (${list(names)})`];
}

function list(names: readonly string[], separator = ", "): string {
  if (names.length === 0) return "nobody";
  const more = names.length - NAMES_MAX;
  return more <= 0 ? names.join(separator) : `${names.slice(0, NAMES_MAX).join(separator)} and ${more} more`;
}

function dateOf(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? "never" : new Date(ms).toISOString();
}

function same(a: unknown, b: unknown): boolean {
  return textOf(a) === textOf(b);
}

/** As JSON, with maps as lists of their entries. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (one instanceof Map ? [...one] : one)) ?? "";
}
