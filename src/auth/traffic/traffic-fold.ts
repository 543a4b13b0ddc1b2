import { levelCount } from "../../topic/name.ts";
import { ANY_CLIENT, CLIENT_ID_MARK, type Seen, type TrafficUse } from "./traffic.ts";

/**
 * Folds topics of one client: where more than `siblingsMax` of them differ in one level only, that level becomes `+`. The
 * last level first, since that is where names are numerous. Uses of other operations or verdicts are never joined.
 */
export function foldTopics(uses: readonly TrafficUse[], siblingsMax: number): TrafficUse[] {
  let folded = [...uses];
  const depth = uses.reduce((most, { topic }) => Math.max(most, levelCount(topic)), 0);
  for (let level = depth - 1; level >= 0; level--) {
    folded = joined(folded, siblingsMax, (use) => {
      const pattern = withLevel(use.topic, level);
      return pattern === undefined ? undefined : { clientId: use.clientId, topic: pattern };
    });
  }
  return folded;
}

/**
 * Folds the same topic of more than `siblingsMax` clients of one user into one of all its clients; the same is a topic too in
 * which a level is the Client Identifier, for each its own.
 */
export function foldClients(uses: readonly TrafficUse[], siblingsMax: number): TrafficUse[] {
  return joined([...uses], siblingsMax, (use) => {
    // A level that looks like the mark would be taken for it.
    if (use.clientId === ANY_CLIENT || isLikeMark(use.topic)) return undefined;
    return { clientId: ANY_CLIENT, topic: withMark(use.topic, use.clientId, CLIENT_ID_MARK) ?? use.topic };
  });
}

/** The topic with `mark` for each level that is `word`; undefined when no level is, or the word has a meaning of its own. */
export function withMark(topic: string, word: string, mark: string): string | undefined {
  if (word === "" || word === "+" || word === "#" || word.includes("%") || word.startsWith("$")) return undefined;
  const levels = topic.split("/");
  if (!levels.includes(word)) return undefined;
  return levels.map((level) => (level === word ? mark : level)).join("/");
}

/** Rules read `%u` and `%c` inside a level too, and have no way to write them as they are. */
export function isLikeMark(text: string): boolean {
  return text.includes("%u") || text.includes(CLIENT_ID_MARK);
}

/** `+` in place of one level; undefined when there is no such level, or it must stay. */
function withLevel(topic: string, level: number): string | undefined {
  let start = 0;
  for (let passed = 0; passed < level; passed++) {
    start = topic.indexOf("/", start) + 1;
    if (start === 0) return undefined;
  }
  const separator = topic.indexOf("/", start);
  const end = separator === -1 ? topic.length : separator;
  const text = topic.slice(start, end);
  // `+` does not stand for `#`, nor at the first level for topics that begin with "$"; a mark says more than `+` does.
  if (text === "#" || text === "+" || text === CLIENT_ID_MARK) return undefined;
  if (level === 0 && text.startsWith("$")) return undefined;
  return `${topic.slice(0, start)}+${topic.slice(end)}`;
}

type Target = Pick<TrafficUse, "clientId" | "topic">;

/** Puts uses of one target into one, where they are more than `siblingsMax`. */
function joined(
  uses: TrafficUse[],
  siblingsMax: number,
  target: (use: TrafficUse) => Target | undefined,
): TrafficUse[] {
  const families = new Map<string, { target: Target; members: TrafficUse[] }>();
  const kept: TrafficUse[] = [];
  for (const use of uses) {
    const to = target(use);
    if (to === undefined) {
      kept.push(use);
      continue;
    }
    const key = `${use.operation} ${use.allowed} ${to.clientId}\u0000${to.topic}`;
    const family = families.get(key);
    if (family === undefined) families.set(key, { target: to, members: [use] });
    else family.members.push(use);
  }
  let hasFolded = false;
  for (const { target: to, members } of families.values()) {
    if (members.length > siblingsMax) {
      hasFolded = true;
      kept.push(oneOf(members, to));
    } else kept.push(...members);
  }
  return hasFolded ? mergeEqual(kept) : uses;
}

/** The last one seen is the sample. */
function oneOf(members: readonly TrafficUse[], { clientId, topic }: Target): TrafficUse {
  const last = members.reduce((latest, use) => (use.lastSeconds > latest.lastSeconds ? use : latest));
  const merged: TrafficUse = {
    ...last,
    clientId,
    topic,
    sampleTopic: last.sampleTopic ?? last.topic,
    sampleClientId: last.sampleClientId ?? last.clientId,
    ...seenOf(members),
  };
  // The same topic of several clients is no pattern yet.
  if (topic !== last.topic || members.some(({ folded }) => folded === true)) merged.folded = true;
  for (const use of members) widen(merged, use);
  return merged;
}

/** A fold may make what an earlier one made. */
function mergeEqual(uses: readonly TrafficUse[]): TrafficUse[] {
  const byKey = new Map<string, TrafficUse>();
  for (const use of uses) {
    const key = `${use.operation} ${use.allowed} ${use.clientId}\u0000${use.topic}`;
    const other = byKey.get(key);
    byKey.set(key, other === undefined ? use : oneOf([other, use], use));
  }
  return [...byKey.values()];
}

/** Bounds are as wide as the widest: what was allowed stays so. */
export function widen(target: TrafficUse, { maximumQos, retain }: Pick<TrafficUse, "maximumQos" | "retain">): void {
  if (maximumQos === undefined) delete target.maximumQos;
  else if (target.maximumQos !== undefined && maximumQos > target.maximumQos) target.maximumQos = maximumQos;
  if (retain !== false) delete target.retain;
}

export function seenOf(members: readonly Seen[]): Seen {
  return {
    count: members.reduce((sum, { count }) => sum + count, 0),
    firstSeconds: members.reduce((first, { firstSeconds }) => Math.min(first, firstSeconds), Number.POSITIVE_INFINITY),
    lastSeconds: members.reduce((last, { lastSeconds }) => Math.max(last, lastSeconds), 0),
  };
}
