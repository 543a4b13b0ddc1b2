import type { Path, PlacedNode } from "./document.ts";
import { readJson5 } from "./json5-document.ts";
import { added, type Container, EditError, indentOf, removed, type Splice } from "./json5-layout.ts";
import { styleAt, writeMember, writeValue } from "./json5-style.ts";

// A person's file stays a person's file: only the place that is meant changes, and what is new is written as its
// neighbours are. The result is read again, and returned only when it says what was asked and nothing else.
// All functions throw Json5Mistake when `text` is not JSON5 (comments that begin with # are), and EditError.

/** Appends values, in their order, to the array at `path`. */
export function appendElements(text: string, path: Path, values: readonly unknown[]): string {
  if (values.length === 0) return text;
  return edited(
    text,
    (document) => {
      const array = containerAt(document, text, path, "[");
      const style = styleAt(text, document.root, array.node);
      return added(text, array, style, values.some(isCollection), (indent) =>
        values.map((value) => writeValue(value, style, indent)),
      );
    },
    path,
    (array) => [...(array as unknown[]), ...values],
  );
}

/** Puts `value` in the place of the value at `path`. */
export function replaceValue(text: string, path: Path, value: unknown): string {
  return edited(
    text,
    (document) => {
      const node = nodeAt(document, path);
      const style = styleAt(text, document.root, node);
      return [{ start: node.start, end: node.end, text: writeValue(value, style, indentOf(text, node.start)) }];
    },
    path,
    () => value,
  );
}

/** Gives the object at `path` one more member, behind the others. */
export function insertMember(text: string, path: Path, key: string, value: unknown): string {
  return edited(
    text,
    (document) => {
      const object = containerAt(document, text, path, "{");
      if (object.node.children.has(key)) throw new EditError(`There is a member ${JSON.stringify(key)} already`);
      const style = styleAt(text, document.root, object.node);
      const wantsLine = object.node === document.root && style.isBroken;
      return added(text, object, style, wantsLine, (indent) => [writeMember(key, value, style, indent)]);
    },
    path,
    (object) => ({ ...(object as object), [key]: value }),
  );
}

/**
 * Removes the element or member at `path`, with its comments: those on its lines, and those on lines of their own
 * directly above it.
 */
export function removeAt(text: string, path: Path): string {
  const parent = path.slice(0, -1);
  const step = path.at(-1);
  if (step === undefined) throw new EditError("The whole text cannot be removed");
  return edited(
    text,
    (document) => {
      const container = containerAt(document, text, parent, typeof step === "number" ? "[" : "{");
      const index = container.items.findIndex(({ step: itsStep }) => itsStep === step);
      if (index < 0) throw new EditError(`There is no ${JSON.stringify(step)} to remove`);
      return removed(text, container, index);
    },
    parent,
    (value) =>
      typeof step === "number"
        ? (value as unknown[]).filter((_, index) => index !== step)
        : Object.fromEntries(Object.entries(value as object).filter(([key]) => key !== step)),
  );
}

/** `change` is what the edit means for the value at `path`: the new text must say exactly that. */
function edited(
  text: string,
  splicesOf: (document: Parsed) => Splice[],
  path: Path,
  change: (value: unknown) => unknown,
): string {
  const document = parse(text);
  const splices = splicesOf(document);
  let result = "";
  let at = 0;
  for (const splice of splices) {
    result += text.slice(at, splice.start) + splice.text;
    at = splice.end;
  }
  result += text.slice(at);
  if (!isSame(writtenValue(result), changedAt(document.value, path, change))) {
    throw new EditError("This text is laid out in a way that cannot be edited safely");
  }
  return result;
}

interface Parsed {
  value: unknown;
  root: PlacedNode;
}

function parse(text: string): Parsed {
  return readJson5(text, true);
}

function writtenValue(text: string): unknown {
  try {
    return parse(text).value;
  } catch {
    return undefined;
  }
}

function changedAt(value: unknown, [step, ...rest]: Path, change: (value: unknown) => unknown): unknown {
  if (step === undefined) return change(value);
  if (Array.isArray(value)) {
    return value.map((element: unknown, index) => (index === step ? changedAt(element, rest, change) : element));
  }
  const members = Object.entries(value as object).map(([key, member]): [string, unknown] => {
    return [key, key === step ? changedAt(member, rest, change) : member];
  });
  return Object.fromEntries(members);
}

/** Also of the same order of keys, which counts in some files. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [entries, others] = [Object.entries(a), Object.entries(b).filter(([, value]) => value !== undefined)];
  return (
    entries.length === others.length &&
    entries.every(([key, value], index) => key === others[index]![0] && isSame(value, others[index]![1]))
  );
}

function isCollection(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function containerAt(document: Parsed, text: string, path: Path, bracket: "[" | "{"): Container {
  const node = nodeAt(document, path);
  if (text[node.start] !== bracket) throw new EditError(`This is no ${bracket === "[" ? "list" : "object"}`);
  const items = [...node.children].map(([step, child]) => ({
    step,
    start: child.keyStart ?? child.start,
    end: child.end,
  }));
  return { node, items, open: node.start + 1, close: node.end - 1 };
}

function nodeAt(document: Parsed, path: Path): PlacedNode {
  let node: PlacedNode | undefined = document.root;
  for (const step of path) node = node?.children.get(step);
  if (node === undefined) throw new EditError(`There is no ${path.join(".")}`);
  return node;
}
