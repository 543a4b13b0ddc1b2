import type { PlacedNode } from "./document.ts";

/** How a text is laid out, so that what is put into it looks the same. */
export interface Style {
  newline: string;
  /** What a level is indented by. */
  unit: string;
  /** "" when keys are bare. */
  keyQuote: string;
  quote: string;
  /** Behind "{" and before "}" on one line. */
  pad: string;
  /** Between key and value. */
  colon: string;
  /** Lists over several lines end with a comma. */
  trailingComma: boolean;
  /** The text has several lines, so that lists of objects are written one a line. */
  isBroken: boolean;
  /** Objects have a line for each member. */
  isTall: boolean;
}

/** How this program writes texts of its own, entry by entry. */
export const HOUSE_STYLE: Style = {
  newline: "\n",
  unit: "  ",
  keyQuote: "",
  quote: '"',
  pad: " ",
  colon: ": ",
  trailingComma: true,
  isBroken: false,
  isTall: false,
};

/** The style around `container`: that of what it holds, else of the whole text under `root`. */
export function styleAt(text: string, root: PlacedNode, container: PlacedNode): Style {
  const siblings = [...container.children.values()].reverse();
  const near = (): Generator<PlacedNode> => walk([...(isObject(text, container) ? [container] : siblings), root]);
  const object = first(near(), (node) => isObject(text, node) && node.children.size > 0);
  const texts = first(near(), (node) => /["']/.test(text[node.start]!));
  const member = object === undefined ? undefined : [...object.children.values()][0]!;
  const keyQuote = member === undefined ? "" : /["']/.exec(text[member.keyStart!]!)?.[0];
  const sibling = siblings.find((node) => isObject(text, node) && node.children.size > 0);
  const flat = first(near(), (node) => isObject(text, node) && node.children.size > 0 && !isTall(text, node));
  return {
    newline: /\r\n|\n|\r/.exec(text)?.[0] ?? "\n",
    unit: /[\n\r]([ \t]+)[^\s*]/.exec(text)?.[1] ?? "  ",
    keyQuote: keyQuote ?? "",
    quote: texts === undefined ? keyQuote || '"' : text[texts.start]!,
    pad: flat === undefined || /\s/.test(text[flat.start + 1]!) ? " " : "",
    colon: member === undefined ? ": " : colonOf(text, member),
    trailingComma: hasTrailingComma(text, root),
    isBroken: isTall(text, root),
    isTall: sibling !== undefined && isTall(text, sibling),
  };
}

/** `indent`: of the line in which the value begins. */
export function writeValue(value: unknown, style: Style, indent: string): string {
  if (typeof value === "string") return quoted(value, style.quote);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    const isBroken = style.isBroken && value.some((element) => typeof element === "object");
    const inner = isBroken ? indent + style.unit : indent;
    return bracketed(
      "[",
      value.map((element) => writeValue(element, style, inner)),
      "]",
      "",
      isBroken,
      style,
      indent,
    );
  }
  const inner = style.isTall ? indent + style.unit : indent;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => writeMember(key, member, style, inner));
  return bracketed("{", members, "}", style.pad, style.isTall, style, indent);
}

export function writeMember(key: string, value: unknown, style: Style, indent: string): string {
  const isPlain = style.keyQuote === "" && /^[a-zA-Z_]\w*$/.test(key) && !RESERVED.has(key);
  const written = isPlain ? key : quoted(key, style.keyQuote === "" ? style.quote : style.keyQuote);
  return `${written}${style.colon}${writeValue(value, style, indent)}`;
}

/** Words that not every reader of JSON5 takes as bare keys. */
const RESERVED: ReadonlySet<string> = new Set(["true", "false", "null", "Infinity", "NaN"]);

function bracketed(
  open: string,
  items: readonly string[],
  close: string,
  pad: string,
  isBroken: boolean,
  { newline, unit, trailingComma }: Style,
  indent: string,
): string {
  if (items.length === 0) return `${open}${close}`;
  if (!isBroken) return `${open}${pad}${items.join(", ")}${pad}${close}`;
  const lines = items.map((item) => `${newline}${indent}${unit}${item}`).join(",");
  return `${open}${lines}${trailingComma ? "," : ""}${newline}${indent}${close}`;
}

function quoted(value: string, quote: string): string {
  const text = JSON.stringify(value).slice(1, -1).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  return quote === "'" ? `'${text.replaceAll('\\"', '"').replaceAll("'", "\\'")}'` : `"${text}"`;
}

function* walk(nodes: Iterable<PlacedNode>): Generator<PlacedNode> {
  for (const node of nodes) {
    yield node;
    yield* walk(node.children.values());
  }
}

function first(nodes: Iterable<PlacedNode>, isWanted: (node: PlacedNode) => boolean): PlacedNode | undefined {
  for (const node of nodes) if (isWanted(node)) return node;
  return undefined;
}

function isObject(text: string, node: PlacedNode): boolean {
  return text[node.start] === "{";
}

/** Its first item stands on a line of its own. */
function isTall(text: string, node: PlacedNode): boolean {
  const child = [...node.children.values()][0];
  const end = child === undefined ? node.end : (child.keyStart ?? child.start);
  return /[\n\r]/.test(text.slice(node.start, end));
}

function colonOf(text: string, member: PlacedNode): string {
  const written = /^(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s:]+)(\s*:\s*)$/s.exec(
    text.slice(member.keyStart, member.start),
  )?.[1];
  return written === undefined || /[\n\r]/.test(written) ? ": " : written;
}

function hasTrailingComma(text: string, root: PlacedNode): boolean {
  const last = [...root.children.values()].at(-1);
  return last === undefined || /^\s*,/.test(text.slice(last.end, root.end));
}
