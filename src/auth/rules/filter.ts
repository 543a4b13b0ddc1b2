/**
 * What the Topic Filters of rules have, as sets of Topic Names (§4.7): a filter is a list of levels in which "+" and "#" are
 * wildcards. Lists of levels are made by `levelsOf`, which brings "#" and "/#" into a form that needs no exceptions.
 *
 * Wildcards at the first level don't stand for topics that begin with "$", but `wide` ones do: those of rules that deny.
 */

/** The levels of a Topic Name or Topic Filter. No name is empty, so "#" is "+/#", and "/#" is "/+/#". */
export function levelsOf(text: string): string[] {
  if (text === "#") return ["+", "#"];
  if (text === "/#") return ["", "+", "#"];
  return text.split("/");
}

/** Is there a Topic Name that the rule's filter and what is asked for (a name or a filter) both match? */
export function intersects(rule: readonly string[], asked: readonly string[], wide: boolean): boolean {
  if (isReserved(rule[0]!) && isWildcard(asked[0]!)) return false;
  if (isReserved(asked[0]!) && isWildcard(rule[0]!) && !wide) return false;
  for (let depth = 0; ; depth++) {
    const mine = rule[depth];
    const wanted = asked[depth];
    // `#` also stands for no level at all, §4.7.1.2.
    if (mine === "#" || wanted === "#" || (mine === undefined && wanted === undefined)) return true;
    if (mine === undefined || wanted === undefined) return false;
    if (mine !== wanted && mine !== "+" && wanted !== "+") return false;
  }
}

/** Does the rule's filter match every Topic Name that what is asked for (a name or a filter) matches? */
export function covers(rule: readonly string[], asked: readonly string[], wide: boolean): boolean {
  if (isReserved(asked[0]!) && isWildcard(rule[0]!) && !wide) return false;
  for (let depth = 0; ; depth++) {
    const mine = rule[depth];
    const wanted = asked[depth];
    if (mine === "#") return true;
    // Without `#` a filter has names of one length only, and what is asked for has them of this length and more.
    if (wanted === "#" || mine === undefined || wanted === undefined) return mine === wanted;
    if (mine !== wanted && mine !== "+") return false;
  }
}

/** Does a first level belong to topics of the Server's own, §4.7.2? */
export function isReserved(firstLevel: string): boolean {
  return firstLevel.startsWith("$");
}

function isWildcard(level: string): boolean {
  return level === "+" || level === "#";
}

/** What "%u" and "%c" stand for. */
export interface FilterNames {
  /** Undefined, as for anonymous clients: "%u" matches nothing. */
  readonly userName: string | undefined;
  readonly clientId: string;
}

/** A level that means something else for each client. */
export function hasPlaceholder(text: string): boolean {
  return text.includes("%u") || text.includes("%c");
}

/**
 * The level with the names put in, as the text of one level. Undefined when it can match nothing, because a name is missing or
 * has a character that no level of a Topic Name has: clients choose their names, and must not become wildcards by them.
 */
export function namedLevel(level: string, names: FilterNames): string | undefined {
  let isPossible = true;
  const named = level.replace(/%[uc]/g, (placeholder) => {
    const name = placeholder === "%u" ? names.userName : names.clientId;
    if (name === undefined || name === "" || /[/+#]/.test(name)) isPossible = false;
    return name ?? "";
  });
  return isPossible ? named : undefined;
}

/** As `namedLevel`, for a whole filter. */
export function namedLevels(levels: readonly string[], names: FilterNames): readonly string[] | undefined {
  if (!levels.some(hasPlaceholder)) return levels;
  const named = levels.map((level) => (hasPlaceholder(level) ? namedLevel(level, names) : level));
  return named.includes(undefined) ? undefined : (named as string[]);
}
