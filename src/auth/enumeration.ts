/** Of a list that may be long. */
const SHOWN_MAX = 5;

/** "a, b and c"; of many "a, b, c, d, e and 4 more". */
export function joined(texts: readonly string[]): string {
  if (texts.length > SHOWN_MAX) return firstOf(texts, ", ");
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}`;
}

/** "a, b, c"; of many "a, b, c, d, e and 4 more". */
export function firstOf(texts: readonly string[], separator: string): string {
  const shown = texts.slice(0, SHOWN_MAX).join(separator);
  return texts.length > SHOWN_MAX ? `${shown} and ${texts.length - SHOWN_MAX} more` : shown;
}
