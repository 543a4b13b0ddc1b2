import type { Problem } from "./problem.ts";

/** A place in a text: line and column from 1, the column in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The way from a document's root to a value: keys of objects and indexes of arrays. */
export type Path = readonly (string | number)[];

/** A value's place, and that of its key when it is a member of an object. Children by key or index. */
export interface PlacedNode {
  readonly position: Position;
  readonly keyPosition?: Position;
  readonly children: ReadonlyMap<string | number, PlacedNode>;
}

/** The text is not a document of its format, or an object has a key twice. */
export class TextError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly sourceLine: string;

  constructor(text: string, file: string, position: Position, message: string) {
    super(message);
    this.name = "TextError";
    this.file = file;
    this.line = position.line;
    this.column = position.column;
    this.sourceLine = lineOf(text, position.line);
  }

  toProblem(): Problem {
    const { file, line, column, message, sourceLine } = this;
    return { severity: "error", file, line, column, message, sourceLine };
  }
}

/** A parsed document that knows where each value and key stands. */
export class Document {
  readonly file: string;
  readonly value: unknown;
  private readonly text: string;
  private readonly root: PlacedNode;

  constructor(text: string, file: string, value: unknown, root: PlacedNode) {
    this.text = text;
    this.file = file;
    this.value = value;
    this.root = root;
  }

  /** Where the value at `path` begins; for a path that does not exist, its nearest existing ancestor. */
  at(path: Path): Position {
    return this.find(path).position;
  }

  /** Where the key of the value at `path` begins; of an array's element, the element itself. */
  atKey(path: Path): Position {
    const node = this.find(path);
    return node.keyPosition ?? node.position;
  }

  /** A problem at `position`, with its source line. */
  problem(severity: Problem["severity"], position: Position, message: string, hint?: string): Problem {
    return {
      severity,
      file: this.file,
      line: position.line,
      column: position.column,
      message,
      ...(hint === undefined ? {} : { hint }),
      sourceLine: lineOf(this.text, position.line),
    };
  }

  private find(path: Path): PlacedNode {
    let node = this.root;
    for (const step of path) {
      const child = node.children.get(step);
      if (child === undefined) return node;
      node = child;
    }
    return node;
  }
}

/** The text of line `line` (from 1) without its end; "" beyond the last. */
function lineOf(text: string, line: number): string {
  return text.split(/\r\n|\n|\r/)[line - 1] ?? "";
}
