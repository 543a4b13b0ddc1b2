import type { Qos } from "../../codec/constants.ts";
import { isShared, isTopicFilter, parseShared } from "../../topic/name.ts";
import { type Fields, quote } from "./fields.ts";
import { EVERYBODY, type Names } from "./names.ts";
import type { ReadGroup, ReadRule, ReadSide } from "./read-auth.ts";
import { CONDITION_KEYS, readConditions } from "./read-conditions.ts";

const DIRECTIONS = ["sub", "pub"] as const;
type Direction = (typeof DIRECTIONS)[number];

/** Reads one entry of `group`. `number`: its position, from 1. */
export function readGroup(entry: Fields, number: number, names: Names): ReadGroup | undefined {
  const name = entry.text("name");
  entry.label = name === undefined ? `group ${number}` : `group ${quote(name)}`;
  entry.checkKeys(["name", "members", "note"]);
  entry.text("note", true);
  if (!entry.has("name")) entry.error("", `${entry.label} has no name`, 'Add name: "@…", as rules name it');
  if (name === EVERYBODY) {
    entry.error(
      "name",
      `${entry.label} is there without being written: it has everybody in it`,
      "Give yours another name",
    );
  } else if (name?.startsWith("@") === false) {
    entry.error("name", `${entry.label}: the name of a group begins with "@"`, `Write ${quote(`@${name}`)}`);
  } else if (name === "@") entry.error("name", `${entry.label} has no name behind the "@"`, 'Write one: "@family"');
  const members = entry.texts("members", false) ?? [];
  for (const [index, member] of members.entries())
    names.checkMember(entry.label, member, [...entry.path, "members", index]);
  return name === undefined ? undefined : { name, members, place: entry.place() };
}

/** Reads one entry of `authorization`. */
export function readRule(entry: Fields, number: number, names: Names, nowMs: number): ReadRule | undefined {
  const errorsBefore = entry.complaints.errorCount;
  entry.checkKeys(["topic", "allow", "deny", "maxQos", "retain", ...CONDITION_KEYS]);
  const topicFilter = readTopic(entry);
  const allow = readNames(entry, "allow", names);
  const deny = readNames(entry, "deny", names);
  for (const direction of DIRECTIONS) {
    if (allow[direction] === undefined || deny[direction] === undefined) continue;
    const message = `${entry.label} allows and denies ${direction} at once, and it would be a guess which of them counts`;
    const hint =
      "Make two rules of it: of those that match, the last one counts. Older brokers denied it to all it names";
    entry.error("deny", message, hint);
  }
  const rule = {
    number,
    sub: side(allow.sub, deny.sub),
    pub: side(allow.pub, deny.pub),
    maximumQos: readMaximumQos(entry),
    retain: entry.boolean("retain") ?? true,
    ...readConditions(entry, nowMs),
    place: entry.place(),
  };
  // A mistake in it may be what takes its effect away.
  if (entry.complaints.errorCount === errorsBefore) warnOfEffect(entry, rule);
  return topicFilter === undefined ? undefined : { ...rule, topicFilter };
}

function readTopic(entry: Fields): string | undefined {
  if (!entry.has("topic"))
    entry.error("", `${entry.label} has no topic`, 'Add topic: "…", a Topic Filter such as "home/#"');
  const topic = entry.text("topic");
  if (topic === undefined) return undefined;
  const mistake = topicMistake(topic);
  if (mistake !== undefined) {
    entry.error("topic", `${entry.label}: topic ${quote(topic)} ${mistake.message}`, mistake.hint);
    return undefined;
  }
  if (topic.includes("*")) {
    const message = `${entry.label}: "*" in ${quote(topic)} stands for itself`;
    entry.say("warning", "topic", message, "In topics + stands for one level, and # for all that follow");
  }
  return topic;
}

/** Why a text is no filter for a rule. */
function topicMistake(topic: string): { message: string; hint: string } | undefined {
  if (isShared(topic)) {
    const filter = parseShared(topic)?.filter ?? "home/#";
    return {
      message: "is a shared subscription",
      hint: `Write ${quote(filter)}: rules are asked for what stands behind $share/NAME/`,
    };
  }
  if (isTopicFilter(topic)) return undefined;
  if (topic.includes("\0")) return { message: "has a zero character", hint: "MQTT forbids it in topics" };
  const levels = topic.split("/");
  const isMixed = (level: string): boolean => level.length > 1 && /[#+]/.test(level);
  if (levels.some(isMixed)) {
    return {
      message: "has a wildcard beside other characters",
      hint: "# and + stand alone between slashes: home/+/door, home/#",
    };
  }
  if (levels.slice(0, -1).includes("#")) {
    return {
      message: "goes on behind its #",
      hint: "# stands for all that follows and comes last; + stands for one level",
    };
  }
  return { message: "is longer than 65,535 bytes", hint: "No topic is so long" };
}

/** The names of one of allow and deny. An empty list says nothing, as in older brokers. */
function readNames(entry: Fields, key: "allow" | "deny", names: Names): Partial<Record<Direction, readonly string[]>> {
  const fields = entry.inner(key);
  if (fields === undefined) return {};
  fields.checkKeys(DIRECTIONS);
  const found: Partial<Record<Direction, readonly string[]>> = {};
  for (const direction of DIRECTIONS) {
    const texts = fields.texts(direction, false);
    if (texts === undefined || texts.length === 0) continue;
    for (const [index, name] of texts.entries())
      names.checkRuleName(entry.label, name, [...fields.path, direction, index]);
    found[direction] = texts;
  }
  return found;
}

function side(allowed: readonly string[] | undefined, denied: readonly string[] | undefined): ReadSide | undefined {
  if (denied !== undefined) return { allow: false, names: denied };
  return allowed && { allow: true, names: allowed };
}

function readMaximumQos(entry: Fields): Qos {
  const value = entry.value("maxQos");
  if (value === undefined || value === 0 || value === 1 || value === 2) return value ?? 2;
  return entry.refuse("maxQos", "0, 1 or 2") ?? 2;
}

function warnOfEffect(entry: Fields, { sub, pub }: Pick<ReadRule, "sub" | "pub">): void {
  if (sub === undefined && pub === undefined) {
    const hint = 'Add allow: { sub: ["…"], pub: ["…"] }, or deny, with names of users or groups';
    entry.say("warning", "", `${entry.label} has no effect: it names nobody`, hint);
    return;
  }
  for (const [key, isUsed] of [
    ["maxQos", sub?.allow === true || pub?.allow === true],
    ["retain", pub?.allow === true],
  ] as const) {
    if (!entry.has(key) || isUsed) continue;
    const message = `${entry.label}: ${key} has no effect, since the rule allows nobody to ${key === "retain" ? "publish" : "do anything"}`;
    entry.say("warning", key, message, "It bounds what the same rule allows", true);
  }
}
