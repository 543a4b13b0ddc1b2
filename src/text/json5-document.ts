import { Document, TextError } from "./document.ts";
import { Json5Mistake, readJson5 } from "./json5-parser.ts";

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
