import { isMap, isNode, isScalar, isSeq, parseDocument, type YAMLError } from "yaml";
import { Document, type PlacedNode, TextError } from "./document.ts";

/**
 * Reads one YAML 1.2 document. `file` is the name for messages. An empty text is the value null.
 * Throws TextError for a syntax error, a key that a mapping has twice, several documents, too many aliases
 * and nesting too deep to follow.
 */
export function parseYaml(text: string, file: string): Document {
  try {
    const document = parseDocument(text, { prettyErrors: false, logLevel: "error" });
    const error = document.errors[0];
    if (error !== undefined) throw syntaxError(error, text, file);
    return new Document(text, file, document.toJS(), place(document.contents, 0));
  } catch (error) {
    throw error instanceof TextError ? error : unreadable(error as Error, text, file);
  }
}

/** What comes to light only when values are made of the document. */
function unreadable(error: Error, text: string, file: string): TextError {
  if (error instanceof RangeError) return new TextError(text, file, 0, "Nested too deeply");
  const alias = /^Unresolved alias.*: (.*)$/s.exec(error.message)?.[1];
  if (alias === undefined) return new TextError(text, file, 0, `Not valid YAML: ${withoutContent(error.message)}`);
  const message = "Not valid YAML: * refers to something that is not there";
  return new TextError(
    text,
    file,
    Math.max(0, text.indexOf(`*${alias}`)),
    message,
    "Put texts that begin with * in quotes",
  );
}

/** What stands behind a colon is of the document, and may be a secret. */
function withoutContent(message: string): string {
  return message.replace(/: .*/s, "");
}

function syntaxError(error: YAMLError, text: string, file: string): TextError {
  const offset = error.pos[0];
  if (error.code === "DUPLICATE_KEY") return new TextError(text, file, offset, "This key is given twice");
  const reason = withoutContent(error.message.replace(/; please use .*/, ""));
  if (reason === "Maximum call stack size exceeded") return new TextError(text, file, offset, "Nested too deeply");
  return new TextError(text, file, offset, `Not valid YAML: ${reason}`);
}

/** What is written as nothing at all stands at `parent`, the offset of its key or collection. */
function place(node: unknown, parent: number, keyStart?: number): PlacedNode {
  const children = new Map<string | number, PlacedNode>();
  const [start, end] = isNode(node) && node.range ? node.range : [parent, parent];
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const keyAt = isNode(key) && key.range ? key.range[0] : start;
      children.set(String(isScalar(key) ? key.value : key), place(value, keyAt, keyAt));
    }
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) children.set(index, place(item, start));
  }
  return keyStart === undefined ? { start, end, children } : { start, end, keyStart, children };
}
