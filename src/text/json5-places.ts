import type { PlacedNode } from "./document.ts";

/** Deeper than anybody writes, and far from what the stack holds. */
const DEPTH_MAX = 200;
/**
 * More than a text of 4 MiB has that makes sense. Each takes some 250 bytes here and with whoever reads the values, and a
 * thread that is short of memory ends its process now and then in place of itself.
 */
const BRACKETS_MAX = 500_000;

/** The text is not JSON5. Says where, what is wrong there, and what is probably to be done. */
export class Json5Mistake extends Error {
  /** In the text, in UTF-16 units. */
  readonly offset: number;
  readonly hint: string | undefined;

  constructor(offset: number, message: string, hint?: string) {
    super(message);
    this.name = "Json5Mistake";
    this.offset = offset;
    this.hint = hint;
  }
}

/** What stands where in a text of JSON5. All numbers are offsets in UTF-16 units. */
export interface Places {
  readonly root: PlacedNode;
  /** The comments that begin with `#`, from their beginning to the end of their line. */
  readonly comments: readonly (readonly [start: number, end: number])[];
  /** U+2028 and U+2029 inside of texts, where they stand for themselves without a backslash. */
  readonly separators: readonly number[];
}

/**
 * Finds the places of everything in a text of JSON5 (https://spec.json5.org), or the place of what is wrong in it; the
 * values are left to others. Stricter than JSON5 in two things: an object has each key once, and brackets are nested 200
 * deep at most. With `hashComments` a `#` outside of texts begins a comment too, as in the rules of older brokers.
 * Throws Json5Mistake, and nothing else; its message shows no word of the text but keys, since a word may be part of a
 * secret.
 */
export function placesOf(text: string, hashComments: boolean): Places {
  return new Json5Places(text, hashComments).find();
}

const NO_CHILDREN: ReadonlyMap<string | number, PlacedNode> = new Map();
const WORDS: ReadonlySet<string> = new Set(["true", "false", "null", "Infinity", "NaN"]);
const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", 0: "\0" }),
);
/** What other languages call these values. */
const FOREIGN_WORDS: ReadonlyMap<string, string> = new Map(
  Object.entries({ yes: "true", on: "true", no: "false", off: "false", none: "null", nil: "null", undefined: "null" }),
);
const MEMBER_HINT =
  "A member is written as key: value, and a key with other characters than letters and digits in quotes";
const NUMBER = /[+-]?(?:Infinity|NaN|0[xX][0-9a-fA-F]+|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$.])/y;
const NAME = /(?:[$_\p{ID_Start}]|\\u[0-9a-fA-F]{4})(?:\u200c|\u200d|[$\p{ID_Continue}]|\\u[0-9a-fA-F]{4})*/uy;
const PLAIN_NAME = /^[$_\p{ID_Start}](?:\u200c|\u200d|[$\p{ID_Continue}])*$/u;
const LETTER = /[\p{ID_Continue}$]/u;
const BLANK = /[\t\v\f\n\r \u00a0\u2028\u2029\ufeff\p{Zs}]/u;

class Json5Places {
  private readonly text: string;
  private readonly hashComments: boolean;
  private at = 0;
  /** Offsets of the brackets that are open, outermost first. */
  private readonly open: number[] = [];
  private brackets = 0;
  private readonly comments: (readonly [start: number, end: number])[] = [];
  private readonly separators: number[] = [];

  constructor(text: string, hashComments: boolean) {
    this.text = text;
    this.hashComments = hashComments;
  }

  find(): Places {
    this.skipBlanks();
    if (this.at === this.text.length) {
      throw new Json5Mistake(0, "There is nothing in this text but blanks and comments", "Write at least {}");
    }
    const root = this.node();
    this.skipBlanks();
    if (this.at < this.text.length) {
      const hint = "Was a bracket closed too early, or is there one too many before this place?";
      throw new Json5Mistake(this.at, `Found ${this.found()} behind the end of the document`, hint);
    }
    return { root, comments: this.comments, separators: this.separators };
  }

  private node(keyStart?: number): PlacedNode {
    const start = this.at;
    const first = this.text[start];
    let children = NO_CHILDREN;
    if (first === "{" || first === "[") {
      if (this.open.length === DEPTH_MAX)
        throw new Json5Mistake(start, "Nested too deeply", "200 brackets are too many");
      if (++this.brackets > BRACKETS_MAX) {
        throw new Json5Mistake(start, "Too many objects and lists", `${BRACKETS_MAX} are read at most`);
      }
      this.open.push(start);
      this.at++;
      children = first === "{" ? this.members() : this.elements();
      this.open.pop();
    } else if (first === '"' || first === "'") this.quoted();
    else this.skipBare();
    return keyStart === undefined ? { start, end: this.at, children } : { start, end: this.at, keyStart, children };
  }

  private elements(): ReadonlyMap<number, PlacedNode> {
    const children = new Map<number, PlacedNode>();
    this.skipBlanks();
    while (this.text[this.at] !== "]") {
      children.set(children.size, this.node());
      this.skipComma("]");
    }
    this.at++;
    return children;
  }

  private members(): ReadonlyMap<string, PlacedNode> {
    const children = new Map<string, PlacedNode>();
    this.skipBlanks();
    while (this.text[this.at] !== "}") {
      const keyStart = this.at;
      const key = this.key();
      const first = children.get(key)?.keyStart;
      if (first !== undefined) {
        const message = `Key ${JSON.stringify(key)} is given twice, first in line ${this.lineAt(first)}`;
        throw new Json5Mistake(keyStart, message);
      }
      this.skipColon(key);
      children.set(key, this.node(keyStart));
      this.skipComma("}");
    }
    this.at++;
    return children;
  }

  private key(): string {
    const { text, at } = this;
    if (text[at] === '"' || text[at] === "'") return this.quoted();
    let end = at;
    while (isPlainLetter(text.charCodeAt(end))) end++;
    // Most keys are of plain letters; the others, and those that begin with a digit, are for the expression to judge.
    const isPlain = end > at && !isDigit(text.charCodeAt(at)) && text[end] !== "\\" && !(text.charCodeAt(end) > 0x7f);
    if (isPlain) {
      this.at = end;
      return text.slice(at, end);
    }
    const name = match(NAME, text, at)?.[0];
    const key = name?.replace(/\\u(.{4})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
    if (name === undefined || key === undefined || !PLAIN_NAME.test(key)) throw this.noKey();
    this.at += name.length;
    return key;
  }

  private noKey(): Json5Mistake {
    if (this.at === this.text.length) return this.unclosed();
    const next = this.text[this.at]!;
    if (next === "]") return this.wrongBracket("}");
    const message = `Found ${this.found()} where a key or "}" should be`;
    if (next === ",") return new Json5Mistake(this.at, message, "Is there a comma too many?");
    return this.mistake(message, LETTER.test(next) ? "Write keys that begin with a digit in quotes" : undefined);
  }

  private skipColon(key: string): void {
    this.skipBlanks();
    if (this.at === this.text.length) throw this.unclosed();
    if (this.text[this.at] !== ":") {
      const shown = PLAIN_NAME.test(key) ? ` ${JSON.stringify(key)}` : "";
      const message = `Found ${this.found()} where ":" should be, behind the key${shown}`;
      const hint = this.text[this.at] === "=" ? 'Write ":" in place of "="' : MEMBER_HINT;
      throw new Json5Mistake(this.at, message, hint);
    }
    this.at++;
    this.skipBlanks();
  }

  /** Behind an element or member: a comma, or the bracket that ends the list. */
  private skipComma(closing: "]" | "}"): void {
    const end = this.at;
    this.skipBlanks();
    const next = this.text[this.at];
    if (next === closing) return;
    if (next === ",") {
      this.at++;
      this.skipBlanks();
      return;
    }
    if (next === undefined) throw this.unclosed();
    if (next === "]" || next === "}") throw this.wrongBracket(closing);
    const line = this.lineAt(end);
    const hint =
      line < this.lineAt(this.at) ? `Is a comma missing at the end of line ${line}?` : "Is a comma missing before it?";
    throw this.mistake(`Found ${this.found()} where "," or "${closing}" should be`, hint);
  }

  /** What a text says; of a value that nobody asks for, which costs next to nothing. */
  private quoted(): string {
    const { text } = this;
    const start = this.at;
    const quote = text.charCodeAt(start);
    let result = "";
    let from = start + 1;
    for (let at = from; ; ) {
      const unit = text.charCodeAt(at);
      if (unit === quote) {
        this.at = at + 1;
        return result + text.slice(from, at);
      }
      if (unit === 0x5c) {
        result += text.slice(from, at);
        this.at = at;
        result += this.escaped();
        from = this.at;
        at = from;
      } else if (unit === 0x0a || unit === 0x0d || Number.isNaN(unit)) {
        const hint = `Put ${text[start]} at its end, in the same line`;
        throw new Json5Mistake(start, "The text that begins here has no closing quote", hint);
      } else {
        if (unit === 0x2028 || unit === 0x2029) this.separators.push(at);
        at++;
      }
    }
  }

  /** At a backslash in a text: what it and the characters behind it stand for. */
  private escaped(): string {
    const { text, at } = this;
    const next = String.fromCodePoint(text.codePointAt(at + 1) ?? 0x5c);
    this.at += 1 + next.length;
    if (next === "x" || next === "u") {
      const length = next === "x" ? 2 : 4;
      const digits = text.slice(this.at, this.at + length);
      if (digits.length === length && /^[0-9a-fA-F]+$/.test(digits)) {
        this.at += length;
        return String.fromCharCode(Number.parseInt(digits, 16));
      }
      throw new Json5Mistake(
        at,
        `\\${next} needs ${length} hexadecimal digits behind it`,
        "A backslash is written \\\\",
      );
    }
    if (next === "\r" && text[this.at] === "\n") this.at++;
    // A line that ends with a backslash goes on in the next one.
    if ("\n\r\u2028\u2029".includes(next)) return "";
    if (/\d/.test(next) && (next !== "0" || isDigit(text.charCodeAt(this.at)))) {
      throw new Json5Mistake(at, `\\${next} stands for nothing`, "A backslash is written \\\\");
    }
    return ESCAPES.get(next) ?? next;
  }

  /** A number, or one of the words. */
  private skipBare(): void {
    const number = match(NUMBER, this.text, this.at)?.[0];
    const word = number === undefined ? match(NAME, this.text, this.at)?.[0] : undefined;
    if (number === undefined && (word === undefined || !WORDS.has(word))) throw this.noValue(word);
    this.at += (number ?? word)!.length;
  }

  private noValue(word: string | undefined): Json5Mistake {
    if (this.at === this.text.length) return this.unclosed();
    if (this.text[this.at] === "}" && this.text[this.open.at(-1) ?? -1] === "[") return this.wrongBracket("]");
    const next = this.text[this.at]!;
    const message = `Found ${this.found()} where a value should be`;
    if (word !== undefined) return new Json5Mistake(this.at, message, this.wordHint(word));
    if (LETTER.test(next)) return new Json5Mistake(this.at, message, "Put it in quotes if it is a text");
    return this.mistake(message, next === "," ? "Is there a comma too many?" : undefined);
  }

  private wordHint(word: string): string {
    const { text, at } = this;
    const folded = word.toLowerCase();
    const meant = FOREIGN_WORDS.get(folded) ?? (WORDS.has(folded) ? folded : undefined);
    if (meant !== undefined) return `Write ${meant}`;
    const start = this.open.at(-1);
    const isKey =
      start !== undefined &&
      text[start] === "[" &&
      /^\s{0,9}:/.test(text.slice(at + word.length, at + word.length + 10));
    return isKey ? `Has the "[" of line ${this.lineAt(start)} not been closed before it?` : "Write texts in quotes";
  }

  private unclosed(): Json5Mistake {
    const start = this.open.at(-1);
    if (start === undefined) return new Json5Mistake(this.at, "A value is missing at the end of the text");
    const bracket = this.text[start]!;
    const message = `The ${JSON.stringify(bracket)} that begins here is never closed`;
    return new Json5Mistake(start, message, `Write "${bracket === "{" ? "}" : "]"}" where it should end`);
  }

  private wrongBracket(closing: "]" | "}"): Json5Mistake {
    const start = this.open.at(-1)!;
    const message = `Found ${this.found()} where "${closing}" should be, for the "${this.text[start]}" of line ${this.lineAt(start)}`;
    return new Json5Mistake(this.at, message, `Write "${closing}" before it, or is it one too many?`);
  }

  private mistake(message: string, hint?: string): Json5Mistake {
    const found = this.text[this.at]!;
    if (found === "#") return new Json5Mistake(this.at, message, "A comment begins with //");
    if ("\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb`".includes(found)) {
      return new Json5Mistake(this.at, message, "Quotes are \" or ', not typographic ones");
    }
    return new Json5Mistake(this.at, message, hint);
  }

  /** What stands here, to be named in a message. */
  private found(): string {
    const character = String.fromCodePoint(this.text.codePointAt(this.at)!);
    if (isDigit(character.charCodeAt(0))) return "a number";
    return LETTER.test(character) ? "a word" : character === '"' ? "a text" : JSON.stringify(character);
  }

  private skipBlanks(): void {
    const { text } = this;
    for (;;) {
      const unit = text.charCodeAt(this.at);
      if (unit === 0x20 || (unit >= 0x09 && unit <= 0x0d)) this.at++;
      else if (unit === 0x2f || unit === 0x23) {
        if (!this.skipComment(unit)) return;
      } else if (unit > 0x7f && BLANK.test(text[this.at]!)) this.at++;
      else return;
    }
  }

  /** False when what looks like a comment is none. */
  private skipComment(unit: number): boolean {
    const { text, at } = this;
    if (unit === 0x2f && text[at + 1] === "*") {
      const end = text.indexOf("*/", at + 2);
      if (end === -1) throw new Json5Mistake(at, "The comment that begins here is never closed", "Write */ at its end");
      this.at = end + 2;
      return true;
    }
    if (unit === 0x2f ? text[at + 1] !== "/" : !this.hashComments) return false;
    let end = at;
    while (end < text.length && !isLineEnd(text.charCodeAt(end))) end++;
    if (unit === 0x23) this.comments.push([at, end]);
    this.at = end;
    return true;
  }

  /** Slow: for messages. */
  private lineAt(offset: number): number {
    return this.text.slice(0, offset).split(/\r\n|\n|\r/).length;
  }
}

function match(expression: RegExp, text: string, at: number): RegExpExecArray | null {
  expression.lastIndex = at;
  return expression.exec(text);
}

function isPlainLetter(unit: number): boolean {
  return (
    (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || unit === 0x5f || unit === 0x24 || isDigit(unit)
  );
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

function isLineEnd(unit: number): boolean {
  return unit === 0x0a || unit === 0x0d || unit === 0x2028 || unit === 0x2029;
}
