import type { Qos } from "../../codec/constants.ts";
import { filterMatches } from "../../topic/name.ts";
import { quoted } from "./quoted.ts";
import { ANY_CLIENT, CLIENT_ID_MARK, type Seen, type Traffic, type TrafficUse } from "./traffic.ts";
import { isLikeMark, seenOf, withMark } from "./traffic-fold.ts";

const USER_NAME_MARK = "%u";

/** What is learned from: beside the record, who there is. */
export interface LearnSource {
  /** Names that rules may use: those of authentication. */
  readonly names: ReadonlySet<string>;
  /** An entry "*" stands for names that are not listed. */
  readonly hasOthers: boolean;
  /** What the entry for anonymous clients is called, since it may have been called otherwise before. */
  readonly anonymousName: string | undefined;
  /** Allow all that clients subscribed to, not only what they received: topics too that nobody has seen yet. */
  readonly wholeSubscriptions: boolean;
}

export interface LearnedRule extends Seen {
  readonly topicFilter: string;
  /** Of users, sorted; empty: this direction is not allowed. */
  readonly sub: readonly string[];
  readonly pub: readonly string[];
  readonly maximumQos: Qos;
  readonly retain: boolean;
  /** It allows more than what was seen, for this reason; undefined: it does not. */
  readonly wider: string | undefined;
}

export interface Learned {
  /** By topic filter. All of them allow: what none matches is denied. */
  readonly rules: readonly LearnedRule[];
  /** What whoever reviews the rules must know, in sentences. */
  readonly warnings: readonly string[];
}

/** Something allowed that was seen, with the pattern that a rule for it has. */
interface Item {
  readonly name: string;
  readonly use: TrafficUse;
  readonly write: boolean;
  pattern: string;
  wider: string | undefined;
}

/**
 * The narrowest rules that allow everything that was seen allowed. They are wider than that only where
 * - a level is the user's name or the Client Identifier, for two users or clients of one shape at least: `%u`, `%c`;
 * - the record itself was too full for single topics;
 * - a client subscribed to a filter and nothing came: then the filter, since its client would miss what comes later;
 * and all of these but the first are warned of.
 */
export function learn(traffic: Traffic, source: LearnSource): Learned {
  const warnings: string[] = [];
  const items = itemsOf(traffic, source, warnings);
  const named = new Set(traffic.clients.filter(({ userName }) => userName !== undefined).map(keyOf));
  // Anonymous clients have no user name, and %u matches nothing for them.
  const user: Mark = { text: USER_NAME_MARK, wordOf: ({ use, name }) => (named.has(keyOf(use)) ? name : "") };
  const client: Mark = { text: CLIENT_ID_MARK, wordOf: ({ use }) => use.clientId };
  for (const marks of [[user, client], [user], [client]]) generalise(items, marks);
  for (const item of items) escapeMarks(item);
  const rules = rulesOf(items);
  for (const { topicFilter, wider } of rules)
    if (wider !== undefined) warnings.push(`${quoted(topicFilter)}: ${wider}`);
  const { droppedUses, droppedClients } = traffic.header;
  if (droppedUses + droppedClients > 0) {
    warnings.push(
      `The record lacks ${droppedUses + droppedClients} uses, which came when it was full or too many at once: some of them may be denied by these rules`,
    );
  }
  return { rules, warnings };
}

/** What may stand for a level of a topic. */
interface Mark {
  readonly text: string;
  /** What it stands for; "": nothing. */
  wordOf(item: Item): string;
}

/** What is worth a rule; the rest is named in a warning. */
function itemsOf(traffic: Traffic, source: LearnSource, warnings: string[]): Item[] {
  const anonymous = new Set(traffic.clients.filter(({ userName }) => userName === undefined).map(keyOf));
  const allowed = traffic.uses.filter((use) => use.allowed);
  const received = Map.groupBy(
    allowed.filter(({ operation }) => operation === "receive"),
    keyOf,
  );
  const items: Item[] = [];
  const unknown = new Set<string>();
  for (const use of allowed) {
    const name = anonymous.has(keyOf(use)) ? source.anonymousName : use.name;
    if (name === undefined || !isKnown(name, source)) {
      unknown.add(use.name);
      continue;
    }
    const item = { name, use, write: use.operation === "publish", pattern: use.topic, wider: widerThanSeen(use) };
    if (use.operation !== "subscribe") items.push(item);
    else if (source.wholeSubscriptions) items.push({ ...item, wider: item.wider ?? WHOLE });
    else if (!hasReceived(use, received)) {
      items.push({ ...item, wider: item.wider ?? SILENT });
    }
  }
  for (const name of unknown) {
    warnings.push(
      `${quoted(name)} is in no entry of authentication, so no rule names it: mqtt-broker passwd add makes one`,
    );
  }
  return items;
}

const SILENT = "a client subscribed to it and nothing came, so all of it is allowed";
const WHOLE = "a client subscribed to it, so all of it is allowed, as --whole-subscriptions asks";

function widerThanSeen({ folded, topic }: TrafficUse): string | undefined {
  // With %c alone every client has its own: that is what the mark is for.
  if (!folded || !topic.split("/").includes("+")) return undefined;
  return "the record was too full for single topics, so + stands for those that were seen and for all others";
}

/** Did something come that the subscription asked for, so that a rule for that lets it be made? */
function hasReceived(subscribed: TrafficUse, received: ReadonlyMap<string, readonly TrafficUse[]>): boolean {
  const { name, clientId, topic: topicFilter, folded } = subscribed;
  // Of the filters that were folded into one, some may have brought nothing.
  if (folded && topicFilter.includes("+")) return false;
  const own = received.get(keyOf(subscribed)) ?? [];
  const all = received.get(keyOf({ name, clientId: ANY_CLIENT })) ?? [];
  // What was received may be a pattern itself; then the filter must have all of it.
  return (
    own.some(({ topic }) => filterMatches(topicFilter, topic)) ||
    all.some(({ topic }) => filterMatches(topicFilter, topic.replaceAll(CLIENT_ID_MARK, clientId || CLIENT_ID_MARK)))
  );
}

function isKnown(name: string, { names, hasOthers }: LearnSource): boolean {
  return names.has(name) || (hasOthers && name !== "" && name !== "*" && !name.startsWith("@"));
}

/** Puts marks where levels are their words, when so do two at least whose words differ. */
function generalise(items: readonly Item[], marks: readonly Mark[]): void {
  const families = new Map<string, { words: Set<string>; members: { item: Item; shape: string }[] }>();
  for (const item of items) {
    const shape = item.pattern.includes("%") ? undefined : shapeOf(item, marks);
    if (shape === undefined) continue;
    const key = `${item.write} ${shape}`;
    const family = families.get(key) ?? { words: new Set(), members: [] };
    families.set(key, family);
    family.words.add(marks.map((mark) => mark.wordOf(item)).join("\u0000"));
    family.members.push({ item, shape });
  }
  for (const { words, members } of families.values()) {
    if (words.size < 2) continue;
    for (const { item, shape } of members) item.pattern = shape;
  }
}

/** The pattern with all of the marks; undefined when one of them stands for nothing in it. */
function shapeOf(item: Item, marks: readonly Mark[]): string | undefined {
  let shape: string | undefined = item.pattern;
  for (const mark of marks) shape = shape === undefined ? undefined : withMark(shape, mark.wordOf(item), mark.text);
  return shape;
}

/** Rules cannot spell a level that has %u or %c in it and means just that. */
function escapeMarks(item: Item): void {
  if (item.pattern !== item.use.topic || item.use.folded) return;
  const levels = item.pattern.split("/");
  if (!levels.some(isLikeMark)) return;
  item.pattern = levels.map((level) => (isLikeMark(level) ? "+" : level)).join("/");
  item.wider = `rules cannot spell %u and %c as they are in ${quoted(item.use.topic)}, so + stands for that level`;
}

function rulesOf(items: readonly Item[]): LearnedRule[] {
  const rules = [...Map.groupBy(items, ruleKey).values()].map((members): LearnedRule => {
    const { pattern, use } = members[0]!;
    return {
      topicFilter: pattern,
      sub: namesOf(members.filter(({ write }) => !write)),
      pub: namesOf(members.filter(({ write }) => write)),
      maximumQos: use.maximumQos ?? 2,
      retain: use.retain ?? true,
      wider: members.find(({ wider }) => wider !== undefined)?.wider,
      ...seenOf(members.map(({ use: seen }) => seen)),
    };
  });
  // Of rules for one topic the last one decides: the wider bounds come after the narrower ones.
  return rules.sort(
    (a, b) =>
      compare(a.topicFilter, b.topicFilter) || a.maximumQos - b.maximumQos || Number(a.retain) - Number(b.retain),
  );
}

function ruleKey({ pattern, use }: Item): string {
  return `${use.maximumQos ?? 2} ${use.retain ?? true} ${pattern}`;
}

function namesOf(items: readonly Item[]): string[] {
  return [...new Set(items.map(({ name }) => name))].sort(compare);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function keyOf({ name, clientId }: { name: string; clientId: string }): string {
  return `${name}\u0000${clientId}`;
}
