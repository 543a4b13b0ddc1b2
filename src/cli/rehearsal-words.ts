/** Is it `check --against-traffic FILE` that is meant? Here, so that the broker's start does not load the rehearsal. */
export function isRehearsal(words: readonly string[]): boolean {
  return words.some((word) => /^--?against-traffic(?:=|$)/.test(word));
}
