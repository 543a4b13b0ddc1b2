import { firstOf, joined } from "./enumeration.ts";
import { shownName } from "./login/user-name.ts";
import type { ReadAuth, ReadGroup, ReadUser } from "./reading/read-auth.ts";
import { ruleChanges } from "./rule-changes.ts";
import { timeText } from "./rules/reasons.ts";

/** Clauses of one line; what is more is counted. */
const CLAUSES_MAX = 12;

/**
 * What is other in `after` than it was in `before`, in words: "+1 user (kim), rule 7 now denies kitchen/# to @guests".
 * Undefined when they say the same. No secret is in it, only that one has changed.
 */
export function describeChanges(before: ReadAuth, after: ReadAuth): string | undefined {
  const clauses = [
    ...users(before.users, after.users),
    ...groups(before.groups, after.groups),
    ...ruleChanges(before.rules, after.rules),
    ...(same(before.ledger, after.ledger) ? [] : ["the ledger has changed"]),
    ...(before.explainToClients === after.explainToClients
      ? []
      : [`explainToClients is now ${after.explainToClients}`]),
    ...(before.whenRevoked === after.whenRevoked ? [] : [`whenRevoked is now "${after.whenRevoked}"`]),
  ];
  if (clauses.length === 0) return undefined;
  const more = clauses.length - CLAUSES_MAX;
  return more <= 0 ? clauses.join(", ") : `${clauses.slice(0, CLAUSES_MAX).join(", ")} and ${more} more changes`;
}

function users(before: readonly ReadUser[], after: readonly ReadUser[]): string[] {
  // "*" may stand there several times, once for each method.
  const key = ({ name, method }: ReadUser): string => (name === "*" ? `* (${method})` : shownName(name));
  const { added, removed, kept } = compare(before, after, key);
  return [
    ...count("+", added, "user"),
    ...count("-", removed, "user"),
    ...kept.flatMap(([old, now]) => {
      const what = userChanges(old, now);
      return what.length === 0 ? [] : [`${shownName(now.name)} now has ${joined(what)}`];
    }),
  ];
}

function userChanges(old: ReadUser, now: ReadUser): string[] {
  const changes = old.method === now.method ? [] : [`the method ${now.method}`];
  if (!same(old.secret, now.secret) && old.method === now.method) changes.push("a new password");
  if (!same(old.jwt, now.jwt) && old.method === now.method) changes.push("other terms for tokens");
  const [before, after] = [settingsOf(old), settingsOf(now)];
  for (const [key, value] of after) {
    if (before.get(key) !== value) changes.push(value === "" ? `no ${key}` : `${key} ${value}`);
  }
  return changes;
}

/** By the keys of the file; "" where it says nothing. */
function settingsOf({ expiresMs, admin, from, clientIds, verifyField, identity, port, nodeId, limits }: ReadUser) {
  return new Map<string, string>([
    ["expires", expiresMs === Number.POSITIVE_INFINITY ? "" : timeText(expiresMs)],
    ["admin", admin === "none" ? "" : admin],
    ["from", from.join(" or ")],
    ["clientId", clientIds.join(" or ")],
    ["verify_field", verifyField],
    ["identity", identity ?? ""],
    ["port", port],
    ["nodeId", nodeId],
    ...(["maxConnections", "messagesPerSecond", "bytesPerSecond", "queueBytes"] as const).map(
      (key) => [key, String(limits[key] ?? "")] as const,
    ),
  ]);
}

function groups(before: readonly ReadGroup[], after: readonly ReadGroup[]): string[] {
  const { added, removed, kept } = compare(before, after, ({ name }) => shownName(name));
  return [
    ...count("+", added, "group"),
    ...count("-", removed, "group"),
    ...kept.flatMap(([old, now]) => {
      const [was, is] = [new Set(old.members), new Set(now.members)];
      const came = now.members.filter((member) => !was.has(member)).map((member) => `+${shownName(member)}`);
      const went = old.members.filter((member) => !is.has(member)).map((member) => `-${shownName(member)}`);
      return came.length + went.length === 0 ? [] : [`${shownName(now.name)}: ${firstOf([...came, ...went], " ")}`];
    }),
  ];
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
  if (names.length === 0) return [];
  return [`${sign}${names.length} ${noun}${names.length === 1 ? "" : "s"} (${firstOf(names, ", ")})`];
}

function same(a: unknown, b: unknown): boolean {
  return textOf(a) === textOf(b);
}

/** As JSON, with maps as lists of their entries. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (one instanceof Map ? [...one] : one)) ?? "";
}
