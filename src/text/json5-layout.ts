import type { PlacedNode } from "./document.ts";
import type { Style } from "./json5-style.ts";

// Where an element or member begins and ends with all that belongs to it: commas, blanks and comments.

/** The text cannot be changed in the way that was asked. */
export class EditError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "EditError";
  }
}

/** `text` takes the place of what stands there. */
export interface Splice {
  start: number;
  end: number;
  text: string;
}

export interface Item {
  step: string | number;
  /** With its key. */
  start: number;
  end: number;
}

/** An array or object with what it holds. */
export interface Container {
  node: PlacedNode;
  items: Item[];
  /** Behind the opening bracket, and at the closing one. */
  open: number;
  close: number;
}

interface Piece {
  kind: "newline" | "space" | "comment" | "comma";
  start: number;
  end: number;
}

const PIECE = /(\r\n|[\n\r\u2028\u2029])|([^\S\n\r\u2028\u2029]+)|(\/\/.*|#[^\n\r]*|\/\*[\s\S]*?\*\/)|,/y;

/** What stands between two items. */
function piecesOf(text: string, start: number, end: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = start; at < end; ) {
    PIECE.lastIndex = at;
    const match = PIECE.exec(text);
    if (match === null) throw new EditError("This text is laid out in a way that cannot be edited safely");
    const [whole, newline, space, comment] = match;
    const kind =
      newline !== undefined ? "newline" : space !== undefined ? "space" : comment !== undefined ? "comment" : "comma";
    pieces.push({ kind, start: at, end: at + whole.length });
    at += whole.length;
  }
  return pieces;
}

/** What puts more items behind the last one, on lines of their own where the others have them. */
export function added(
  text: string,
  container: Container,
  style: Style,
  wantsLine: boolean,
  write: (indent: string) => string[],
): Splice[] {
  const { items, open, close } = container;
  const last = items.at(-1);
  if (last === undefined) return addedFirst(text, container, style, wantsLine, write);
  const pieces = piecesOf(text, last.end, close);
  const comma = pieces.find(({ kind }) => kind === "comma");
  const solid = pieces.findLast(({ kind }) => kind === "comma" || kind === "comment");
  const before = piecesOf(text, items.at(-2)?.end ?? open, last.start);
  const ownLine = before.some(({ kind }) => kind === "newline") || (solid !== undefined && isLineComment(text, solid));
  const indent = indentOf(text, last.start);
  const isTight = before.length === 1 && before[0]!.kind === "comma";
  const at = solid?.end ?? last.end;
  const gap = ownLine ? style.newline + indent : isTight ? "" : " ";
  const written = write(indent)
    .map((item) => gap + item)
    .join(",");
  return [
    { start: last.end, end: last.end, text: comma === undefined ? "," : "" },
    { start: at, end: at, text: comma === undefined ? written : `${written},` },
  ];
}

function addedFirst(
  text: string,
  { node, open, close }: Container,
  style: Style,
  wantsLine: boolean,
  write: (indent: string) => string[],
): Splice[] {
  const pieces = piecesOf(text, open, close);
  const solid = pieces.findLast(({ kind }) => kind === "comment");
  const hasLines = pieces.some(({ kind }) => kind === "newline");
  const outer = indentOf(text, node.start);
  if (!hasLines && solid === undefined && !(wantsLine && style.isBroken)) {
    const pad = text[node.start] === "{" ? style.pad : "";
    return [{ start: open, end: close, text: `${pad}${write(outer).join(", ")}${pad}` }];
  }
  if (!hasLines && solid !== undefined) {
    return [{ start: solid.end, end: solid.end, text: ` ${write(outer).join(", ")}` }];
  }
  const indent =
    solid !== undefined && startsLine(text, solid.start) ? indentOf(text, solid.start) : outer + style.unit;
  const lines = write(indent)
    .map((item) => `${style.newline}${indent}${item}`)
    .join(",");
  const end = `${style.trailingComma ? "," : ""}${style.newline}${outer}`;
  return [{ start: solid?.end ?? open, end: close, text: lines + end }];
}

/** What takes an item away, so that nothing is left of it. */
export function removed(text: string, container: Container, index: number): Splice[] {
  const { items, open, close } = container;
  const item = items[index]!;
  const next = items[index + 1];
  const before = piecesOf(text, items[index - 1]?.end ?? open, item.start);
  const after = piecesOf(text, item.end, next?.start ?? close);
  const own = rangeOf(text, item, before, withoutGap(after), next !== undefined);
  const hasComma = after.some(({ kind }) => kind === "comma");
  const ownComma = after.find(({ kind }) => kind === "comma");
  const splices: Splice[] = [];
  if (next === undefined && !hasComma) {
    // The one before is the last now, and the last one has no comma here.
    const comma = before.find(({ kind }) => kind === "comma");
    if (comma !== undefined) splices.push({ start: trimmedStart(text, comma.start), end: comma.end, text: "" });
  }
  splices.push({ ...own, text: "" });
  if (ownComma !== undefined && ownComma.start >= own.end) {
    splices.push({ start: ownComma.start, end: ownComma.end, text: "" });
  }
  const rest = text.slice(open, own.start) + text.slice(own.end, close);
  return items.length === 1 && rest.trim() === "" ? [{ start: open, end: close, text: "" }] : splices;
}

/** Blanks and line ends between an item and its comma go with it. */
function withoutGap(after: readonly Piece[]): readonly Piece[] {
  const comma = after.findIndex(({ kind }) => kind === "comma");
  return after.slice(0, comma).some(({ kind }) => kind === "comment") || comma < 0 ? after : after.slice(comma);
}

/** What is an item's own: itself, its comma when it is on its line, and its comments. */
function rangeOf(
  text: string,
  item: Item,
  before: readonly Piece[],
  after: readonly Piece[],
  hasNext: boolean,
): { start: number; end: number } {
  const lineEnd = after.findIndex(({ kind }) => kind === "newline");
  const comma = after.findIndex(({ kind }) => kind === "comma");
  const head = headOf(before, item.start);
  const isAloneOnItsLines = head.startsLine && lineEnd >= 0 && comma < lineEnd && (comma >= 0 || !hasNext);
  if (isAloneOnItsLines) return { start: head.withAbove, end: after[lineEnd]!.end };
  const trimmed = before.at(-1)?.kind === "space" && head.start === item.start ? before.at(-1)!.start : head.start;
  if (lineEnd >= 0 || !hasNext) {
    // What follows on its line is about it, and blanks at the end of a line are left by nobody.
    const own = after.slice(0, lineEnd >= 0 ? lineEnd : undefined).findLast(({ kind }) => kind !== "space");
    return { start: trimmedStart(text, trimmed), end: own?.end ?? item.end };
  }
  const following = after.slice(comma + 1).find(({ kind }) => kind !== "space");
  return { start: head.start, end: following?.start ?? after.at(-1)!.end };
}

/** Where an item begins with the comments before it on its line, and with those that stand directly above. */
function headOf(
  before: readonly Piece[],
  itemStart: number,
): { start: number; startsLine: boolean; withAbove: number } {
  let at = before.length;
  while (at > 0 && (before[at - 1]!.kind === "space" || before[at - 1]!.kind === "comment")) at--;
  const firstComment = before.slice(at).find(({ kind }) => kind === "comment");
  const start = firstComment?.start ?? itemStart;
  const startsLine = before[at - 1]?.kind === "newline";
  let withAbove = before[at - 1]?.end ?? start;
  // Upwards, line by line: a line that has nothing but comments.
  while (startsLine && at > 0) {
    let line = at - 1;
    while (line > 0 && before[line - 1]!.kind !== "newline" && before[line - 1]!.kind !== "comma") line--;
    const isComment =
      before[line - 1]?.kind === "newline" && before.slice(line, at - 1).some(({ kind }) => kind === "comment");
    if (!isComment) break;
    at = line;
    withAbove = before[at - 1]!.end;
  }
  return { start, startsLine, withAbove };
}

function trimmedStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && /[^\S\n\r\u2028\u2029]/.test(text[start - 1]!)) start--;
  return start;
}

function isLineComment(text: string, { kind, start }: Piece): boolean {
  return kind === "comment" && !text.startsWith("/*", start);
}

/** The blanks with which the line of `at` begins. */
export function indentOf(text: string, at: number): string {
  const lineStart = Math.max(text.lastIndexOf("\n", at - 1), text.lastIndexOf("\r", at - 1)) + 1;
  return /^[^\S\n\r]*/.exec(text.slice(lineStart, at))![0];
}

function startsLine(text: string, at: number): boolean {
  const start = trimmedStart(text, at);
  return start > 0 && /[\n\r]/.test(text[start - 1]!);
}
