import { formatDuration, parseDuration } from "../text/duration.ts";
import { suggest } from "../text/suggest.ts";
import { isShared, isTopicFilter, parseShared } from "../topic/name.ts";

/**
 * When what was acknowledged is on disk: `sync` before the acknowledgement, `batch:DURATION` at most that much later,
 * `never` at no time that is promised. Inside the program it is a delay in milliseconds: 0, n, Infinity.
 */

/** Who has to wait longer than an hour for the disk wants `never`, and should say so. */
export const BATCH_MS_MAX = 3_600_000;

export const DURABILITY_NEEDED = `sync, never or batch:DURATION, such as batch:30s, at most ${formatDuration(BATCH_MS_MAX)}`;

/** Stands for all topics that have no policy of their own, where filters stand. */
export const DEFAULT_FILTER = "default";

/** What holds for topics: `delayMs` for those that no filter of `topics` matches. */
export interface DurabilitySettings {
  delayMs: number;
  /** In the order in which they are tried: the first that matches holds. */
  topics: { topicFilter: string; delayMs: number }[];
}

/** Reads a policy; undefined when the text is none. */
export function parseDurability(text: string): number | undefined {
  if (text === "sync") return 0;
  if (text === "never") return Number.POSITIVE_INFINITY;
  const ms = text.startsWith("batch:") ? parseDuration(text.slice("batch:".length)) : undefined;
  return ms !== undefined && ms >= 1 && ms <= BATCH_MS_MAX ? ms : undefined;
}

/** Writes a policy as `parseDurability` reads it. */
export function formatDurability(delayMs: number): string {
  if (delayMs === 0) return "sync";
  return delayMs === Number.POSITIVE_INFINITY ? "never" : `batch:${formatDuration(delayMs)}`;
}

/** What was probably meant by a text that is no policy. */
export function durabilityHint(text: string): string | undefined {
  const [, word = text, rest] = /^([^:= ]*)[:= ]?(.*)$/s.exec(text) ?? [];
  const ms = parseDuration(rest === "" ? text : rest!);
  if (ms !== undefined && ms > BATCH_MS_MAX) {
    return `A loss of power takes all that was gathered: batch:${formatDuration(BATCH_MS_MAX)} at most, or never`;
  }
  if (ms === 0) return 'Did you mean "sync"?';
  if (ms !== undefined) return `Did you mean "batch:${(rest === "" ? text : rest!).trim()}"?`;
  const nearest = suggest(word, ["sync", "never", "batch"]);
  if (nearest === undefined) return undefined;
  return `Did you mean "${nearest === "batch" ? "batch:1s" : nearest}"?`;
}

/** Why `topicFilter` cannot have a policy of its own, and what to write instead; undefined when it can. */
export function filterMistake(topicFilter: string): { message: string; hint: string } | undefined {
  const shown = JSON.stringify(topicFilter.length <= 60 ? topicFilter : `${topicFilter.slice(0, 60)}…`);
  if (isShared(topicFilter)) {
    const inner = parseShared(topicFilter)?.filter;
    const hint = inner === undefined ? "Name the topics alone, as in sensors/#" : `Did you mean "${inner}"?`;
    return { message: `${shown} is a shared subscription, and policies are for topics`, hint };
  }
  if (isTopicFilter(topicFilter)) return undefined;
  const separated = topicFilter.replace(/([^/])([+#])/g, "$1/$2");
  const hint = isTopicFilter(separated)
    ? `Did you mean "${separated}"?`
    : "+ stands for a whole level and # for all that follow, as in sensors/+/raw and sensors/#";
  return { message: `${shown} is not a topic filter`, hint };
}

/**
 * Puts policies in the order in which they are tried: of two filters that match a topic the one holds that spells out
 * more of it from the left, so that `a/b/#` is an exception from `a/+/#`, and that one from `#`.
 */
export function inOrder(topics: DurabilitySettings["topics"]): DurabilitySettings["topics"] {
  const rank = ({ topicFilter }: { topicFilter: string }): string =>
    topicFilter
      .split("/")
      .map((level) => (level === "#" ? "2" : level === "+" ? "1" : "0"))
      .join("");
  return [...topics].sort((a, b) => compare(rank(a), rank(b)) || compare(a.topicFilter, b.topicFilter));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
