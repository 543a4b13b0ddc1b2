import { filterMatches, hasWildcard } from "../topic/name.ts";

/** Beyond so many pairs the other broker may as well send some messages twice. */
const PAIRS_MAX = 200_000;

/** The filters that no other one stands for wholly: some brokers send a message once for each that matches. */
export function topmost(topicFilters: readonly string[]): readonly string[] {
  const wide = topicFilters.filter(hasWildcard);
  if (wide.length * topicFilters.length > PAIRS_MAX) return topicFilters;
  return topicFilters.filter(
    (narrow) =>
      !wide.some((other) => other !== narrow && covers(other, narrow) && (!covers(narrow, other) || other < narrow)),
  );
}

/** Everything that `narrow` matches, `wide` matches too. */
function covers(wide: string, narrow: string): boolean {
  return filterMatches(wide, narrow) && (wide.endsWith("#") || !narrow.endsWith("#"));
}
