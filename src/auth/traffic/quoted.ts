/**
 * A text as JSON writes it, on one line, in which nothing is left that a terminal or an editor would act on: control characters,
 * other line ends (which end a JSON5 comment), and marks that turn the direction of writing.
 */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
