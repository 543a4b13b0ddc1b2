/**
 * Topic Names and Topic Filters as texts, §4.7 and §4.8.2.
 * Levels are compared code unit by code unit and nothing is normalized: 5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4].
 */

/** Bytes of the longest UTF-8 Encoded String: its length field has two bytes, 5.0 [MQTT-4.7.3-3]. */
const ENCODED_BYTES_MAX = 65_535;

/** What a Shared Subscription's Topic Filter begins with, §4.8.2. */
const SHARE_PREFIX = "$share/";

const NULL = 0x00;
const MULTI_LEVEL_WILDCARD = 0x23; // #
const SINGLE_LEVEL_WILDCARD = 0x2b; // +
const SEPARATOR = 0x2f; // /

/**
 * True when `topicName` may be published to: at least one character, no wildcard, no U+0000 and at most 65,535 bytes
 * of UTF-8. That the text is well-formed Unicode is the codec's part.
 *
 * 5.0 [MQTT-4.7.0-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3]; 3.1.1 [MQTT-4.7.1-1] and the same three.
 */
export function isTopicName(topicName: string): boolean {
  for (let at = 0; at < topicName.length; at++) {
    const unit = topicName.charCodeAt(at);
    if (unit === SINGLE_LEVEL_WILDCARD || unit === MULTI_LEVEL_WILDCARD || unit === NULL) return false;
  }
  return topicName.length > 0 && fitsEncodedString(topicName);
}

/**
 * True when `topicFilter` may be subscribed to: as a Topic Name, but `+` may stand for a whole level and `#` for the
 * last one. The texts after `$share/` have more rules: ask `parseShared` where `isShared` says so.
 *
 * 5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2]; 3.1.1 [MQTT-4.7.1-2], [MQTT-4.7.1-3].
 */
export function isTopicFilter(topicFilter: string): boolean {
  const last = topicFilter.length - 1;
  for (let at = 0; at <= last; at++) {
    const unit = topicFilter.charCodeAt(at);
    if (unit === NULL) return false;
    if (unit !== SINGLE_LEVEL_WILDCARD && unit !== MULTI_LEVEL_WILDCARD) continue;
    if (at > 0 && topicFilter.charCodeAt(at - 1) !== SEPARATOR) return false;
    if (at < last && (unit === MULTI_LEVEL_WILDCARD || topicFilter.charCodeAt(at + 1) !== SEPARATOR)) return false;
  }
  return topicFilter.length > 0 && fitsEncodedString(topicFilter);
}

/** True when a valid Topic Filter contains `+` or `#`, and so may match more than the one name it spells. */
export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes("+") || topicFilter.includes("#");
}

/** Levels of a Topic Name or Topic Filter, 1 or more; empty levels count: `/a` has two, §4.7.1.1. */
export function levelCount(text: string): number {
  let count = 1;
  for (let at = text.indexOf("/"); at !== -1; at = text.indexOf("/", at + 1)) count++;
  return count;
}

/** True when `topicFilter` asks for a Shared Subscription, well-formed or not: it begins with `$share/`. */
export function isShared(topicFilter: string): boolean {
  return topicFilter.startsWith(SHARE_PREFIX);
}

export interface SharedFilter {
  /** The ShareName. */
  group: string;
  /** What names are matched with. */
  filter: string;
}

/**
 * Takes `$share/{ShareName}/{filter}` apart, 5.0 §4.8.2.
 *
 * Returns undefined when it is not one: the ShareName is empty or has a wildcard, 5.0 [MQTT-4.8.2-1], or no valid
 * Topic Filter follows it, 5.0 [MQTT-4.8.2-2].
 */
export function parseShared(topicFilter: string): SharedFilter | undefined {
  // The ShareName ends at a separator and has no wildcard, so the whole is valid exactly when the rest is.
  if (!isShared(topicFilter) || !isTopicFilter(topicFilter)) return undefined;
  const end = topicFilter.indexOf("/", SHARE_PREFIX.length);
  if (end === -1 || end === topicFilter.length - 1) return undefined;
  const group = topicFilter.slice(SHARE_PREFIX.length, end);
  if (group === "" || hasWildcard(group)) return undefined;
  return { group, filter: topicFilter.slice(end + 1) };
}

/**
 * True when the valid `topicFilter` matches the valid `topicName`, §4.7. The plain statement of the rule, for cold
 * code and as the oracle of tests; `Matcher` and `RetainedIndex` answer for many filters and many names.
 * A Shared Subscription's filter is taken literally: hand in what `parseShared` gives.
 */
export function filterMatches(topicFilter: string, topicName: string): boolean {
  const wanted = topicFilter.split("/");
  const levels = topicName.split("/");
  // Names that begin with $ are the Server's: a wildcard must not find them. 5.0 [MQTT-4.7.2-1], 3.1.1 [MQTT-4.7.2-1]
  if (topicName.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false;
  for (const [depth, level] of wanted.entries()) {
    // `#` also stands for no level at all: `sport/#` matches `sport`, §4.7.1.2.
    if (level === "#") return true;
    if (depth === levels.length) return false;
    if (level !== "+" && level !== levels[depth]) return false;
  }
  return wanted.length === levels.length;
}

/** UTF-8 needs at most three bytes for a UTF-16 code unit, so only very long texts have to be counted. */
function fitsEncodedString(text: string): boolean {
  return text.length * 3 <= ENCODED_BYTES_MAX || encodedBytes(text) <= ENCODED_BYTES_MAX;
}

function encodedBytes(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const codePoint = character.codePointAt(0)!;
    bytes += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}
