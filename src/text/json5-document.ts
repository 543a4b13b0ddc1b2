import json5 from "json5";
import { Document, type PlacedNode, TextError } from "./document.ts";
import { Json5Mistake, type Places, placesOf } from "./json5-places.ts";

/**
 * Reads JSON5, and so JSON too. `file` is the name for messages. With `hashComments` comments may begin with `#` as well.
 * Throws TextError for a syntax error, a key that an object has twice, and nesting too deep to follow.
 */
export function parseJson5(text: string, file: string, hashComments = false): Document {
  try {
    const { value, root } = readJson5(text, hashComments);
    return new Document(text, file, value, root);
  } catch (error) {
    if (error instanceof Json5Mistake) throw new TextError(text, file, error.offset, error.message, error.hint);
    throw error;
  }
}

/**
 * The same without a file's name. Throws Json5Mistake: mostly with the places' message, which says more than that of the
 * package, but the package has the last word on what is JSON5.
 */
export function readJson5(text: string, hashComments: boolean): { value: unknown; root: PlacedNode } {
  const places = placesOf(text, hashComments);
  const plain = plainOf(text, places);
  try {
    return { value: json5.parse(plain), root: places.root };
  } catch (error) {
    if (error instanceof SyntaxError) throw refusalOf(error as Json5Error, plain, places.separators);
    throw error;
  } finally {
    // The package keeps the text and the value that it read last, several times as long as the text: let it keep these.
    json5.parse("0");
  }
}

interface Json5Error extends SyntaxError {
  /** From 1; lines end with \n alone. */
  lineNumber: number;
  columnNumber: number;
}

/** What an escape is longer than the separator that it stands for. */
const ESCAPE_GROWTH = 5;

/** `text` for the package, which knows no comments with `#`, and would write to the console about bare separators. */
function plainOf(text: string, { comments, separators }: Places): string {
  let plain = text;
  if (comments.length > 0) {
    const pieces: string[] = [];
    let from = 0;
    for (const [start, end] of comments) {
      pieces.push(text.slice(from, start), " ".repeat(end - start));
      from = end;
    }
    plain = pieces.join("") + text.slice(from);
  }
  if (separators.length === 0) return plain;
  const isInText = new Set(separators);
  return plain.replace(/[\u2028\u2029]/g, (found, at: number) => {
    if (!isInText.has(at)) return found;
    return found === "\u2028" ? "\\u2028" : "\\u2029";
  });
}

function refusalOf(error: Json5Error, plain: string, separators: readonly number[]): Json5Mistake {
  let lineStart = 0;
  for (let line = 1; line < error.lineNumber; line++) lineStart = plain.indexOf("\n", lineStart) + 1;
  let offset = lineStart + error.columnNumber - 1;
  for (const at of separators) if (at < offset) offset -= ESCAPE_GROWTH;
  // Without the character that it quotes, which may be of a secret.
  const reason = error.message.replace(/^JSON5: /, "").replace(/(?: '.*')? at \d+:\d+$/s, "");
  return new Json5Mistake(offset, `Not valid JSON5: ${reason}`, "If this is part of a key, put the key in quotes");
}
