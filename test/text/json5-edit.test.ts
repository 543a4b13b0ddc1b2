import assert from "node:assert/strict";
import { test } from "node:test";
import json5 from "json5";
import { appendElements, insertMember, removeAt, replaceValue } from "../../src/text/json5-edit.ts";
import { EditError } from "../../src/text/json5-layout.ts";
import { Json5Mistake } from "../../src/text/json5-places.ts";

const KIM = { name: "kim", method: "argon2id" };

for (const [what, before, after] of [
  ["an empty list in one line", "{ a: [] }", '{ a: [{ name: "kim", method: "argon2id" }] }'],
  ["a list in one line", '{a:[{name:"x"}]}', '{a:[{name:"x"}, {name:"kim", method:"argon2id"}]}'],
  [
    "an empty list of a text with lines",
    "{\n  a: [],\n}\n",
    '{\n  a: [\n    { name: "kim", method: "argon2id" },\n  ],\n}\n',
  ],
  [
    "an empty list that is open over two lines",
    "{\n  a: [\n  ]\n}",
    '{\n  a: [\n    { name: "kim", method: "argon2id" }\n  ]\n}',
  ],
  [
    "a list that holds comments alone",
    "{\n\ta: [\n\t\t// none yet\n\t],\n}\n",
    '{\n\ta: [\n\t\t// none yet\n\t\t{ name: "kim", method: "argon2id" },\n\t],\n}\n',
  ],
  [
    "a list with a comma at its end",
    "{\n  a: [\n    { name: 'x' }, // first\n  ],\n}\n",
    "{\n  a: [\n    { name: 'x' }, // first\n    { name: 'kim', method: 'argon2id' },\n  ],\n}\n",
  ],
  [
    "a list without a comma at its end, behind comments",
    '{\n  "a": [\n    {"name": "x"} // first\n    # {"name": "y"}\n  ]\n}',
    '{\n  "a": [\n    {"name": "x"}, // first\n    # {"name": "y"}\n    {"name": "kim", "method": "argon2id"}\n  ]\n}',
  ],
  [
    "a list of objects over several lines, with CRLF",
    '{\r\n    "a": [\r\n        {\r\n            "name": "x"\r\n        }\r\n    ]\r\n}\r\n',
    '{\r\n    "a": [\r\n        {\r\n            "name": "x"\r\n        },\r\n        {\r\n            "name": "kim",\r\n            "method": "argon2id"\r\n        }\r\n    ]\r\n}\r\n',
  ],
  [
    "a list whose bracket closes behind its last element",
    '{\n  a: [{ name: "x" },\n      { name: "y" }]\n}',
    '{\n  a: [{ name: "x" },\n      { name: "y" },\n      { name: "kim", method: "argon2id" }]\n}',
  ],
] as const) {
  test(`an element is appended to ${what}`, () => {
    assert.equal(appendElements(before, ["a"], [KIM]), after);
  });
}

for (const [before, after] of [
  ["{ a: [1,2] }", "{ a: [1,2,3] }"],
  ["{ a: [1, 2, ] }", "{ a: [1, 2, 3, ] }"],
  ["{ a: [1 /* one */] }", "{ a: [1, /* one */ 3] }"],
  ["{ a: [ 1 // one\n] }", "{ a: [ 1, // one\n3\n] }"],
  ["{ a: [/* none */] }", "{ a: [/* none */ 3] }"],
  ["{\n  a: [],\n}", "{\n  a: [3],\n}"],
] as const) {
  test(`a number is appended to ${JSON.stringify(before)}`, () => {
    assert.equal(appendElements(before, ["a"], [3]), after);
  });
}

for (const [what, before, path, after] of [
  ["the only one", "{ a: [ 1 ] }", ["a", 0], "{ a: [] }"],
  ["the first one", "{ a: [1, 2] }", ["a", 0], "{ a: [2] }"],
  ["one in the middle", "{ a: [1, /* two */ 2, /* three */ 3] }", ["a", 1], "{ a: [1, /* three */ 3] }"],
  ["the last one", "{ a: [1, 2] }", ["a", 1], "{ a: [1] }"],
  ["the last one before a comma", "{ a: [1, 2,] }", ["a", 1], "{ a: [1,] }"],
  [
    "one with its comments",
    "[\n  // of one\n  1, // one\n\n  // of two,\n  # and more\n  /* here */ 2, // two\n  3, // three\n]",
    [1],
    "[\n  // of one\n  1, // one\n\n  3, // three\n]",
  ],
  ["the first one, and no comment of the bracket", "[ // all\n  1,\n  2\n]", [0], "[ // all\n  2\n]"],
  [
    "one below a comment that a blank line sets apart",
    "[\n  // all of them\n\n  1,\n  2\n]",
    [0],
    "[\n  // all of them\n\n  2\n]",
  ],
  ["the last line without a comma", "[\n  1, // one\n  2 // two\n]", [1], "[\n  1 // one\n]"],
  ["a member", '{\r\n  a: 1,\r\n  "b c": [\r\n    2\r\n  ],\r\n}\r\n', ["b c"], "{\r\n  a: 1,\r\n}\r\n"],
  ["one at the end of a line of several", "[\n  1, 2, // both\n  3\n]", [1], "[\n  1,\n  3\n]"],
  ["one at the start of a line of several", "[\n  1, 2, // both\n  3\n]", [0], "[\n  2, // both\n  3\n]"],
  ["one with its comma on the next line", "[\n  1\n  , 2\n]", [0], "[\n  2\n]"],
] as const) {
  test(`${what} is removed`, () => {
    assert.deepEqual(json5.parse(stripped(after)), json5.parse(stripped(removeAt(before, path))));
    assert.equal(removeAt(before, path), after);
  });
}

for (const [before, path, value, after] of [
  ["{ a: 'x' /* why */, b: 2 }", ["a"], "it's", "{ a: 'it\\'s' /* why */, b: 2 }"],
  ['{ "a": "x" }', ["a"], 'say "no"', '{ "a": "say \\"no\\"" }'],
  ["{ a: [1, { b: 2 }] }", ["a", 1, "b"], true, "{ a: [1, { b: true }] }"],
  ["[1]", [0], [], "[[]]"],
] as const) {
  test(`a value of ${before} is replaced`, () => assert.equal(replaceValue(before, path, value), after));
}

for (const [before, path, key, value, after] of [
  ["{}", [], "a", 1, "{ a: 1 }"],
  ["{ }", [], "a", 1, "{ a: 1 }"],
  ["{a:1}", [], "b", 2, "{a:1, b:2}"],
  ["{\n  a: 1 // one\n}\n", [], "b-c", "x", '{\n  a: 1, // one\n  "b-c": "x"\n}\n'],
  ["{\n  'a': '1',\n}\n", [], "b", ["x"], "{\n  'a': '1',\n  'b': ['x'],\n}\n"],
  ["{ u: [{ a: 1 }, { a: 2 }] }", ["u", 0], "b", 2, "{ u: [{ a: 1, b: 2 }, { a: 2 }] }"],
  [
    "{\n  a: [],\n}\n",
    [],
    "group",
    [{ name: "@x", members: ["kim"] }],
    '{\n  a: [],\n  group: [\n    { name: "@x", members: ["kim"] },\n  ],\n}\n',
  ],
] as const) {
  test(`a member ${key} is put into ${JSON.stringify(before)}`, () => {
    assert.equal(insertMember(before, path, key, value), after);
  });
}

test("what is not there cannot be edited", () => {
  assert.throws(() => appendElements("{ a: 1 }", ["a"], [1]), EditError);
  assert.throws(() => appendElements("{ a: 1 }", ["b"], [1]), EditError);
  assert.throws(() => removeAt("{ a: 1 }", ["b"]), EditError);
  assert.throws(() => removeAt("{ a: 1 }", []), EditError);
  assert.throws(() => insertMember("{ a: 1 }", [], "a", 2), EditError);
  assert.throws(() => insertMember("[]", [], "a", 2), EditError);
  assert.throws(() => replaceValue("{ a: 1 }", ["a", 0], 2), EditError);
  assert.throws(() => removeAt("{ a: ", ["a"]), Json5Mistake);
});

test("what would not be read as what was asked is refused", () => {
  assert.throws(() => replaceValue("{ a: 1 }", ["a"], undefined), EditError);
  assert.throws(() => appendElements("{ a: [] }", ["a"], [1n, Symbol.iterator.toString]), EditError);
});

test("random edits of random texts say what was asked, and leave every other value and comment as it was written", () => {
  for (let seed = 1; seed <= 1500; seed++) {
    const random = randomOf(seed);
    const layout = new Layout(random);
    const value = randomObject(random, 0);
    let text = layout.write(value);
    assert.deepEqual(json5.parse(stripped(text)), value, `seed ${seed}`);
    for (let count = 0; count < 4; count++) {
      const before: unknown = json5.parse(stripped(text));
      const { name, path, run, change } = randomEdit(random, before);
      const after = run(text);
      const hint = `seed ${seed}: ${name} at ${JSON.stringify(path)} of\n${text}\ngave\n${after}`;
      const expected = structuredClone(before);
      change(expected);
      assert.deepEqual(json5.parse(stripped(after)), expected, hint);
      const kept = commentsOf(text);
      if (name === "remove") assert.ok(isSubsequence(commentsOf(after), kept), hint);
      else assert.deepEqual(commentsOf(after), kept, hint);
      assert.ok(!/[ \t]+\r?\n/.test(after) || /[ \t]+\r?\n/.test(text), hint);
      text = after;
    }
  }
});

/** Without comments: json5 knows none that begin with #. */
function stripped(text: string): string {
  return text.replace(/("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\/\/.*|#.*|\/\*[\s\S]*?\*\//g, "$1");
}

function commentsOf(text: string): string[] {
  return [...text.matchAll(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(\/\/.*|#.*|\/\*[\s\S]*?\*\/)/g)]
    .map(([, comment]) => comment?.trimEnd())
    .filter((comment) => comment !== undefined);
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  for (const one of whole) if (one === part[at]) at++;
  return at === part.length;
}

type Random = (below: number) => number;

/** A small generator of known quality (mulberry32), so that a seed is a text. */
function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const KEYS = ["name", "b c", "members", "d-e", "f"];
const TEXTS = ["", "#", "home/#", "it's", 'say "x"', "a // b", "/* c */", "\\", "ü\u2028"];

function randomValue(random: Random, depth: number): unknown {
  const kind = random(depth > 2 ? 3 : 6);
  if (kind === 0) return random(1000) - 500;
  if (kind === 1) return [true, false, null][random(3)];
  if (kind === 2) return TEXTS[random(TEXTS.length)];
  if (kind < 5) return Array.from({ length: random(4) }, () => randomValue(random, depth + 1));
  return randomObject(random, depth);
}

function randomObject(random: Random, depth: number): Record<string, unknown> {
  const keys = KEYS.filter(() => random(2) === 0);
  return Object.fromEntries(keys.map((key) => [key, randomValue(random, depth + 1)]));
}

/** Writes values with blanks, line ends and comments wherever they may stand. */
class Layout {
  private readonly random: Random;
  private readonly newline: string;
  private readonly calm: boolean;
  private comments = 0;

  constructor(random: Random) {
    this.random = random;
    this.newline = random(4) === 0 ? "\r\n" : "\n";
    this.calm = random(3) > 0;
  }

  write(value: unknown): string {
    return `${this.gap()}${this.value(value, "")}${this.gap()}`;
  }

  private value(value: unknown, indent: string): string {
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return String(value);
    const inner = `${indent}  `;
    const items = Array.isArray(value)
      ? value.map((element) => this.value(element, inner))
      : Object.entries(value).map(([key, member]) => {
          const bare = /^\w+$/.test(key) && this.random(2) === 0;
          return `${bare ? key : this.text(key)}${this.gap()}:${this.gap()}${this.value(member, inner)}`;
        });
    const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
    if (items.length === 0) return `${open}${this.gap()}${close}`;
    const trailing = this.random(2) === 0;
    if (this.random(2) === 0) {
      const lines = items.map((item, index) => {
        const comma = trailing || index < items.length - 1 ? "," : "";
        const above = this.random(6) === 0 ? `${inner}${this.comment(true)}${this.newline}` : "";
        const beside = this.random(6) === 0 ? ` ${this.comment(true)}` : "";
        return `${above}${inner}${item}${comma}${beside}${this.newline}`;
      });
      return `${open}${this.newline}${lines.join("")}${indent}${close}`;
    }
    const listed = items.map((item) => `${this.gap()}${item}${this.gap()}`).join(",");
    return `${open}${listed}${trailing ? `,${this.gap()}` : ""}${close}`;
  }

  private text(text: string): string {
    const written = JSON.stringify(text).replaceAll("\u2028", "\\u2028");
    if (this.random(2) === 0) return written;
    return `'${written.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
  }

  private gap(): string {
    const kind = this.random(this.calm ? 40 : 8);
    if (kind === 0) return this.comment(false);
    if (kind === 1) return ` ${this.comment(true)}${this.newline}`;
    if (kind === 2) return `${this.newline}  `;
    return kind % 2 === 0 ? " " : "";
  }

  private comment(endsLine: boolean): string {
    const text = `c${++this.comments}`;
    const kind = this.random(endsLine ? 3 : 1);
    return kind === 0 ? `/* ${text} */` : kind === 1 ? `// ${text}` : `# ${text}`;
  }
}

interface RandomEdit {
  name: string;
  path: (string | number)[];
  run(text: string): string;
  change(value: unknown): void;
}

function randomEdit(random: Random, value: unknown): RandomEdit {
  const places = placesOf(value, []);
  const { path, value: at } = places[random(places.length)]!;
  const given = randomValue(random, 2);
  const parent = path.slice(0, -1);
  const step = path.at(-1);
  const several = [given, true].slice(0, 1 + random(2));
  const kind = random(3);
  if (kind === 0 && Array.isArray(at)) {
    return {
      name: "append",
      path,
      run: (text) => appendElements(text, path, several),
      change: (root) => void (valueAt(root, path) as unknown[]).push(...several),
    };
  }
  if (kind === 0 && typeof at === "object" && at !== null && !("added" in at)) {
    return {
      name: "insert",
      path,
      run: (text) => insertMember(text, path, "added", given),
      change: (root) => {
        (valueAt(root, path) as Record<string, unknown>).added = given;
      },
    };
  }
  if (kind === 1 && step !== undefined) {
    return {
      name: "remove",
      path,
      run: (text) => removeAt(text, path),
      change: (root) => {
        const container = valueAt(root, parent);
        if (Array.isArray(container)) container.splice(step as number, 1);
        else delete (container as Record<string, unknown>)[step];
      },
    };
  }
  if (step === undefined || (typeof at === "object" && at !== null)) return randomEdit(random, value);
  return {
    name: "replace",
    path,
    run: (text) => replaceValue(text, path, given),
    change: (root) => {
      (valueAt(root, parent) as Record<string | number, unknown>)[step] = given;
    },
  };
}

function placesOf(value: unknown, path: (string | number)[]): { path: (string | number)[]; value: unknown }[] {
  if (typeof value !== "object" || value === null) return [{ path, value }];
  const steps = Array.isArray(value) ? value.map((_, index) => index) : Object.keys(value);
  const inner = steps.flatMap((step) => placesOf((value as Record<string | number, unknown>)[step], [...path, step]));
  return [{ path, value }, ...inner];
}

function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce((value, step) => (value as Record<string | number, unknown>)[step], root);
}
