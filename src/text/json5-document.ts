import { type AnyNode, parse as parseTree } from "@humanwhocodes/momoa";
import json5 from "json5";
import { Document, type PlacedNode, type Position, TextError } from "./document.ts";

/**
 * Reads JSON5, and so JSON too. `file` is the name for messages.
 * Throws TextError for a syntax error, a key that an object has twice, and nesting too deep to follow.
 */
export function parseJson5(text: string, file: string): Document {
  const value = parseValue(text, file);
  try {
    return new Document(text, file, value, place(parseTree(text, { mode: "json5" }).body, text, file));
  } catch (error) {
    throw error instanceof TextError ? error : unlocatable(error, text, file);
  }
}

/** json5 is the judge of what is valid: the tree, which gives the places, comes from a second parser. */
function parseValue(text: string, file: string): unknown {
  try {
    return json5.parse(text);
  } catch (error) {
    const { message, lineNumber, columnNumber } = error as Error & { lineNumber?: number; columnNumber?: number };
    let position = { line: lineNumber ?? 1, column: columnNumber ?? 1 };
    if (position.column === 0) {
      // json5 counts a line end that may not stand there to the next line.
      const line = position.line - 1;
      position = { line, column: (text.split("\n")[line - 1] ?? "").length + 1 };
    }
    const reason = message.replace(/^JSON5: /, "").replace(/ at \d+:\d+$/, "");
    throw new TextError(text, file, position, `Not valid JSON5: ${reason}`);
  }
}

/** What json5 accepts and the tree's parser does not: reserved words and rare letters as bare keys, extreme nesting. */
function unlocatable(error: unknown, text: string, file: string): TextError {
  if (error instanceof RangeError) return new TextError(text, file, { line: 1, column: 1 }, "Nested too deeply");
  const { message, line, column } = error as Error & { line?: number; column?: number };
  const reason = message.replace(/ \(\d+:\d+\)$/, "").replace(/\.$/, "");
  const position = { line: line ?? 1, column: column ?? 1 };
  return new TextError(text, file, position, `${reason}: put keys that are not plain names in quotes`);
}

function place(node: AnyNode, text: string, file: string, keyPosition?: Position): PlacedNode {
  const children = new Map<string | number, PlacedNode>();
  if (node.type === "Object") {
    for (const { name, value } of node.members) {
      const key = name.type === "Identifier" ? name.name : name.value;
      const first = children.get(key)?.keyPosition;
      if (first !== undefined) {
        const message = `Key ${JSON.stringify(key)} is given twice, first in line ${first.line}`;
        throw new TextError(text, file, name.loc.start, message);
      }
      children.set(key, place(value, text, file, start(name)));
    }
  } else if (node.type === "Array") {
    for (const [index, element] of node.elements.entries()) children.set(index, place(element.value, text, file));
  }
  return { position: start(node), ...(keyPosition === undefined ? {} : { keyPosition }), children };
}

function start(node: AnyNode): Position {
  return { line: node.loc.start.line, column: node.loc.start.column };
}
