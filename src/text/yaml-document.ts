import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from "yaml";
import { Document, type PlacedNode, type Position, TextError } from "./document.ts";

/**
 * Reads one YAML 1.2 document. `file` is the name for messages. An empty text is the value null.
 * Throws TextError for a syntax error, a key that a mapping has twice, several documents, too many aliases
 * and nesting too deep to follow.
 */
export function parseYaml(text: string, file: string): Document {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
    const error = document.errors[0];
    if (error !== undefined) throw syntaxError(error, text, file, lines);
    return new Document(text, file, document.toJS(), place(document.contents, lines, { line: 1, column: 1 }));
  } catch (error) {
    if (error instanceof TextError) throw error;
    const reason = error instanceof RangeError ? "Nested too deeply" : `Not valid YAML: ${(error as Error).message}`;
    throw new TextError(text, file, { line: 1, column: 1 }, reason);
  }
}

function syntaxError(error: YAMLError, text: string, file: string, lines: LineCounter): TextError {
  const position = positionAt(error.pos[0], lines);
  if (error.code === "DUPLICATE_KEY") return new TextError(text, file, position, "This key is given twice");
  const reason = error.message.replace(/; please use .*/, "");
  if (reason === "Maximum call stack size exceeded") return new TextError(text, file, position, "Nested too deeply");
  return new TextError(text, file, position, `Not valid YAML: ${reason}`);
}

function place(node: unknown, lines: LineCounter, parent: Position, keyPosition?: Position): PlacedNode {
  const children = new Map<string | number, PlacedNode>();
  const position = isNode(node) && node.range ? positionAt(node.range[0], lines) : parent;
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      const keyAt = isNode(key) && key.range ? positionAt(key.range[0], lines) : position;
      children.set(String(isScalar(key) ? key.value : key), place(value, lines, keyAt, keyAt));
    }
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) children.set(index, place(item, lines, position));
  }
  return { position, ...(keyPosition === undefined ? {} : { keyPosition }), children };
}

function positionAt(offset: number, lines: LineCounter): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}
