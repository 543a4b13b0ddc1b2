import { excerpt, type Problem } from "./problem.ts";

/** A place in a text: line and column from 1, the column in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The way from a document's root to a value: keys of objects and indexes of arrays. */
export type Path = readonly (string | number)[];

/** Where a value stands, in UTF-16 units from the beginning of the text. Children by key or index. */
export interface PlacedNode {
  readonly start: number;
  /** Behind its last character. */
  readonly end: number;
  /** Where its key begins, when it is a member of an object. */
  readonly keyStart?: number;
  readonly children: ReadonlyMap<string | number, PlacedNode>;
}

/** The text is not a document of its format, or an object has a key twice. */
export class TextError extends Error {
  readonly file: string;
  readonly offset: number;
  /** What to do about it; undefined when that is not known. */
  readonly hint: string | undefined;
  private readonly lines: Lines;

  /** `offset`: where in `text`, in UTF-16 units. */
  constructor(text: string, file: string, offset: number, message: string, hint?: string) {
    super(message);
    this.name = "TextError";
    this.file = file;
    this.offset = offset;
    this.hint = hint;
    this.lines = new Lines(text);
  }

  /** The same for a text of the same length and lines, whose lines are to be shown. */
  in(text: string): TextError {
    return new TextError(text, this.file, this.offset, this.message, this.hint);
  }

  toProblem(): Problem {
    return this.lines.problem("error", this.file, this.lines.positionAt(this.offset), this.message, this.hint);
  }
}

/** A parsed document that knows where each value and key stands. */
export class Document {
  readonly file: string;
  readonly value: unknown;
  readonly text: string;
  readonly root: PlacedNode;
  private readonly lines: Lines;

  constructor(text: string, file: string, value: unknown, root: PlacedNode) {
    this.text = text;
    this.file = file;
    this.value = value;
    this.root = root;
    this.lines = new Lines(text);
  }

  /** Where the value at `path` begins; for a path that does not exist, its nearest existing ancestor. */
  at(path: Path): Position {
    return this.lines.positionAt(this.find(path).start);
  }

  /** Where the key of the value at `path` begins; of an array's element, the element itself. */
  atKey(path: Path): Position {
    return this.lines.positionAt(this.keyStart(path));
  }

  /** Offset of the key of the value at `path`, in UTF-16 units; of an array's element, of the element itself. */
  keyStart(path: Path): number {
    const node = this.find(path);
    return node.keyStart ?? node.start;
  }

  /** A problem at `position`, with its source line. */
  problem(severity: Problem["severity"], position: Position, message: string, hint?: string): Problem {
    return this.lines.problem(severity, this.file, position, message, hint);
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

/** Where the lines of a text begin, found out when somebody asks: most documents have nothing to complain about. */
class Lines {
  private readonly text: string;
  private starts: readonly number[] | undefined;

  constructor(text: string) {
    this.text = text;
  }

  positionAt(offset: number): Position {
    const starts = this.lineStarts();
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - starts[low]! + 1 };
  }

  problem(
    severity: Problem["severity"],
    file: string,
    { line, column }: Position,
    message: string,
    hint?: string,
  ): Problem {
    return {
      severity,
      file,
      line,
      column,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...excerpt(this.lineText(line), column),
    };
  }

  /** Without its end; "" beyond the last line. */
  private lineText(line: number): string {
    const starts = this.lineStarts();
    return this.text
      .slice(starts[line - 1] ?? this.text.length, starts[line] ?? this.text.length)
      .replace(/[\r\n]+$/, "");
  }

  private lineStarts(): readonly number[] {
    if (this.starts === undefined) {
      const starts = [0];
      for (const end of this.text.matchAll(/\r\n|\n|\r/g)) starts.push(end.index + end[0].length);
      this.starts = starts;
    }
    return this.starts;
  }
}
