import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { TextError } from "../../src/text/document.ts";
import { parseJson5 } from "../../src/text/json5-document.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { parseYaml } from "../../src/text/yaml-document.ts";

const JSON5_TEXT = `// rules
{
  users: [
    { name: "u1", 'pass word': 'x' },
  ],
\t"deep": {a: {b: +0x1F}},
}
`;

const YAML_TEXT = `# rules
users:
  - name: u1
    pass word: 'x'
deep: {a: {b: 31}}
`;

for (const [format, document, places] of [
  [
    "JSON5",
    parseJson5(JSON5_TEXT, "f"),
    { root: [2, 1], users: [3, 10], name: [4, 13], password: [4, 32], passwordKey: [4, 19], b: [6, 18], bKey: [6, 15] },
  ],
  [
    "YAML",
    parseYaml(YAML_TEXT, "f"),
    { root: [2, 1], users: [3, 3], name: [3, 11], password: [4, 16], passwordKey: [4, 5], b: [5, 15], bKey: [5, 12] },
  ],
] as const) {
  const place = ([line, column]: readonly [number, number]) => ({ line, column });

  test(`${format}: the value is read`, () => {
    assert.deepEqual(document.value, { users: [{ name: "u1", "pass word": "x" }], deep: { a: { b: 31 } } });
  });
  test(`${format}: values know their line and column`, () => {
    assert.deepEqual(document.at([]), place(places.root));
    assert.deepEqual(document.at(["users"]), place(places.users));
    assert.deepEqual(document.at(["users", 0, "name"]), place(places.name));
    assert.deepEqual(document.at(["users", 0, "pass word"]), place(places.password));
    assert.deepEqual(document.at(["deep", "a", "b"]), place(places.b));
  });
  test(`${format}: keys know their line and column`, () => {
    assert.deepEqual(document.atKey(["users", 0, "pass word"]), place(places.passwordKey));
    assert.deepEqual(document.atKey(["deep", "a", "b"]), place(places.bKey));
  });
  test(`${format}: the place of an array's element as a key is the element's`, () => {
    assert.deepEqual(document.atKey(["users", 0]), document.at(["users", 0]));
  });
  test(`${format}: a path that does not exist is at its nearest ancestor`, () => {
    assert.deepEqual(document.at(["deep", "a", "c", 3]), document.at(["deep", "a"]));
    assert.deepEqual(document.at(["nothing"]), document.at([]));
    assert.deepEqual(document.at(["users", 7]), document.at(["users"]));
  });
  test(`${format}: a problem carries the source line`, () => {
    const problem = document.problem("warning", document.at(["deep", "a", "b"]), "Odd", "Make it even");
    const [line, column] = places.b;
    const sourceLine = (format === "JSON5" ? JSON5_TEXT : YAML_TEXT).split("\n")[line - 1];
    const expected = { severity: "warning", file: "f", line, column, message: "Odd", hint: "Make it even", sourceLine };
    assert.deepEqual(problem, expected);
  });
}

type Parser = (text: string, file: string) => unknown;

function refusal(parse: Parser, text: string): string {
  try {
    parse(text, "f");
  } catch (error) {
    assert.ok(error instanceof TextError, String(error));
    const { line, column, message, hint } = error.toProblem();
    return `${line}:${column} ${message}${hint === undefined ? "" : ` (${hint})`}`;
  }
  return "accepted";
}

for (const [text, expected] of [
  ["", "1:1 There is nothing in this text but blanks and comments (Write at least {})"],
  ["// nothing\n", "1:1 There is nothing in this text but blanks and comments (Write at least {})"],
  ["{a:1\n b:2}", '2:2 Found a word where "," or "}" should be (Is a comma missing at the end of line 1?)'],
  ["{a:1 b:2}", '1:6 Found a word where "," or "}" should be (Is a comma missing before it?)'],
  ["{a:1,\r\n  a:2}", '2:3 Key "a" is given twice, first in line 1'],
  ["{a:{b:1,\n'b':2}}", '2:1 Key "b" is given twice, first in line 1'],
  [
    "{a:[1,\n2}",
    '2:2 Found "}" where "]" should be, for the "[" of line 1 (Write "]" before it, or is it one too many?)',
  ],
  ["[{a:1]", '1:6 Found "]" where "}" should be, for the "{" of line 1 (Write "}" before it, or is it one too many?)'],
  ["{a:[1,}", '1:7 Found "}" where "]" should be, for the "[" of line 1 (Write "]" before it, or is it one too many?)'],
  ["\n{a:[{}", '2:4 The "[" that begins here is never closed (Write "]" where it should end)'],
  ["{", '1:1 The "{" that begins here is never closed (Write "}" where it should end)'],
  ["{a:", '1:1 The "{" that begins here is never closed (Write "}" where it should end)'],
  ["{a", '1:1 The "{" that begins here is never closed (Write "}" where it should end)'],
  ["[\n[],\nb: 1}", '3:1 Found a word where a value should be (Has the "[" of line 1 not been closed before it?)'],
  [
    "{}\n}",
    '2:1 Found "}" behind the end of the document (Was a bracket closed too early, or is there one too many before this place?)',
  ],
  ["{a:kim}", "1:4 Found a word where a value should be (Write texts in quotes)"],
  ["{a:yes}", "1:4 Found a word where a value should be (Write true)"],
  ["{a:None}", "1:4 Found a word where a value should be (Write null)"],
  ["{a:TRUE}", "1:4 Found a word where a value should be (Write true)"],
  ["{a:007}", "1:4 Found a number where a value should be (Put it in quotes if it is a text)"],
  ["{a:1.2.3}", "1:4 Found a number where a value should be (Put it in quotes if it is a text)"],
  ["[1,,2]", '1:4 Found "," where a value should be (Is there a comma too many?)'],
  ["{,}", '1:2 Found "," where a key or "}" should be (Is there a comma too many?)'],
  ["{1:2}", '1:2 Found a number where a key or "}" should be (Write keys that begin with a digit in quotes)'],
  ["{a=1}", '1:3 Found "=" where ":" should be, behind the key "a" (Write ":" in place of "=")'],
  [
    "{a-b:1}",
    '1:3 Found "-" where ":" should be, behind the key "a" (A member is written as key: value, and a key with other characters than letters and digits in quotes)',
  ],
  ["{a:\u201cx\u201d}", '1:4 Found "\u201c" where a value should be (Quotes are " or \', not typographic ones)'],
  ["{# x\n}", '1:2 Found "#" where a key or "}" should be (A comment begins with //)'],
  ["{a:'\n'}", "1:4 The text that begins here has no closing quote (Put ' at its end, in the same line)"],
  ['{a:"x', '1:4 The text that begins here has no closing quote (Put " at its end, in the same line)'],
  ["{a:'a \\usb'}", "1:7 \\u needs 4 hexadecimal digits behind it (A backslash is written \\\\)"],
  ["{a:'\\1'}", "1:5 \\1 stands for nothing (A backslash is written \\\\)"],
  ["{} /* x", "1:4 The comment that begins here is never closed (Write */ at its end)"],
  ["[".repeat(20_000) + "]".repeat(20_000), "1:201 Nested too deeply (200 brackets are too many)"],
] as const) {
  test(`JSON5: ${JSON.stringify(text.slice(0, 20))} is refused with its place`, () => {
    assert.equal(refusal(parseJson5, text), expected);
  });
}

for (const [text, expected] of [
  ["a: 1\na: 2", "2:1 This key is given twice"],
  ["x:\n  a: 1\n  a: 2", "3:3 This key is given twice"],
  ["a: b: c", "1:4 Not valid YAML: Nested mappings are not allowed in compact mappings"],
  ["a: 1\n---\nb: 2", "2:1 Not valid YAML: Source contains multiple documents"],
  ["\tx: 1", "1:1 Not valid YAML: Tabs are not allowed as indentation"],
] as const) {
  test(`YAML: ${JSON.stringify(text.slice(0, 20))} is refused with its place`, () => {
    assert.equal(refusal(parseYaml, text), expected);
  });
}

test("YAML: nesting too deep to follow is refused", () => {
  assert.match(refusal(parseYaml, "[".repeat(20_000) + "]".repeat(20_000)), /^1:\d+ Nested too deeply$/);
});

test("YAML: aliases that multiply are refused", () => {
  const levels = "abcdefghi".split("").map((name, level) => {
    const items =
      level === 0
        ? "x"
        : Array(9)
            .fill(`*${"abcdefghi"[level - 1]}`)
            .join(",");
    return `${name}: &${name} [${items}]`;
  });
  assert.match(refusal(parseYaml, levels.join("\n")), /^1:1 Not valid YAML: Excessive alias count/);
});

test("YAML: an empty text is the value null", () => {
  assert.equal(parseYaml("", "f").value, null);
});

test("JSON5: comments may begin with # where that is asked for, and texts keep theirs", () => {
  const { value } = parseJson5("# one\n{ a: 'x # y', # two ' \"\n b: \"#\" } # end", "f", true);
  assert.deepEqual(value, { a: "x # y", b: "#" });
});

test("JSON5: what was read is kept by nobody but the caller", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const value = new WeakRef(parseJson5("{ password: 'sesame' }", "f").value as object);
  await setImmediate();
  collect();
  assert.equal(value.deref(), undefined);
});

test("JSON5: reserved words and letters of any language are keys", () => {
  const { value } = parseJson5("{ null: 1, gr\u00fc\u00df: 2, \\u0061b: 3, $_9: 4 }", "f");
  assert.deepEqual(value, { null: 1, "gr\u00fc\u00df": 2, ab: 3, $_9: 4 });
});

/** Of Unicode 12, which the json5 package does not know, but Node does. */
const NEW_LETTER = "\ua7c2";

for (const [text, place] of [
  [`{${NEW_LETTER}: 1}`, "1:2"],
  [`# ${NEW_LETTER}\r\n{\r  a: 1, # one\n\r\n b: 2, ${NEW_LETTER}: 3}`, "5:8"],
  [`{a: '\u2028', b: '\\\u2028', c: ['\u2029', '\u2029'], ${NEW_LETTER}: 3}`, "1:34"],
] as const) {
  test(`JSON5: what the json5 package alone refuses is refused at ${place}, without a character of it`, () => {
    const parse: Parser = (text, file) => parseJson5(text, file, true);
    const expected = "Not valid JSON5: invalid character (If this is part of a key, put the key in quotes)";
    assert.equal(refusal(parse, text), `${place} ${expected}`);
    const quoted = text.replace(`${NEW_LETTER}:`, `"${NEW_LETTER}":`);
    assert.equal(refusal(parse, quoted), "accepted");
  });
}

test("JSON5: line separators stand for themselves in texts, between values for blanks, and nobody is warned of them", (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  const { value } = parseJson5(
    "{\u2028a:\u2029'\u2028x\u2029', '\u2028': '\\\u2028' /* \u2028 */ # \u2028\n}",
    "f",
    true,
  );
  assert.deepEqual(value, { a: "\u2028x\u2029", "\u2028": "" });
  assert.equal(warn.mock.callCount(), 0);
});

test("JSON5: nodes know where they and their keys begin and end", () => {
  const text = "{ a: [1, 'x'] }";
  const list = parseJson5(text, "f").root.children.get("a")!;
  assert.deepEqual([list.keyStart, list.start, list.end], [2, 5, 13]);
  const texts = [...list.children.values()].map(({ start, end }) => text.slice(start, end));
  assert.deepEqual(texts, ["1", "'x'"]);
});

test("of a long line a problem keeps the surroundings only", () => {
  const text = `[${"1,".repeat(500)}x]`;
  try {
    parseJson5(text, "f");
    assert.fail("accepted");
  } catch (error) {
    const { column, sourceLine, sourceColumn } = (error as TextError).toProblem();
    assert.deepEqual([column, sourceLine, sourceColumn], [1002, `${"1,".repeat(35)}x]`, 71]);
  }
});

for (const [written, document] of [
  ["in quotes in JSON5", parseJson5('{"__proto__": {x: 1}}', "f")],
  ["bare in JSON5", parseJson5("{__proto__: {x: 1}}", "f")],
  ["escaped in JSON5", parseJson5("{\\u005f_proto__: {x: 1}}", "f")],
  ["in YAML", parseYaml("__proto__: {x: 1}", "f")],
] as const) {
  test(`__proto__, ${written}, is a key like others and changes no prototype`, () => {
    assert.equal(Object.getPrototypeOf(document.value), Object.prototype);
    assert.deepEqual(Object.entries(document.value as object), [["__proto__", { x: 1 }]]);
    assert.deepEqual([...document.root.children.keys()], ["__proto__"]);
    assert.equal("x" in {}, false);
  });
}

test("JSON5: __proto__ is given twice as other keys are", () => {
  assert.equal(
    refusal(parseJson5, '{__proto__: 1, "__proto__": 2}'),
    '1:16 Key "__proto__" is given twice, first in line 1',
  );
});

test("a TextError becomes a problem that shows the place", () => {
  try {
    parseJson5("{\n\ta: 1,\n\ta: 2\n}", "auth.json5");
    assert.fail("accepted");
  } catch (error) {
    const text = formatProblem((error as TextError).toProblem());
    assert.equal(text, 'auth.json5:3:2: Key "a" is given twice, first in line 2\n    \ta: 2\n    \t^');
  }
});

/** Short texts of the characters that mean something to the parsers; the same for each run. */
function* garbage(count: number): Generator<string> {
  const pieces = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "a",
    "'",
    '"',
    "\\",
    "\n",
    " ",
    "-",
    "#",
    "//",
    "/*",
    "&a",
    "*a",
    "1",
    "null",
    "\0",
    "\ud800",
    "!!x",
    "|",
    "?",
    "%",
  ];
  let state = 12_345;
  for (let made = 0; made < count; made++) {
    let text = "";
    for (let length = made % 24; length > 0; length--) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      text += pieces[Math.floor(state / 65_536) % pieces.length];
    }
    yield text;
  }
}

for (const [format, parse] of [
  ["JSON5", parseJson5],
  ["YAML", parseYaml],
] as const) {
  test(`${format}: garbage is refused with a TextError and nothing else`, () => {
    let accepted = 0;
    for (const text of garbage(3000)) {
      try {
        parse(text, "f");
        accepted++;
      } catch (error) {
        assert.ok(error instanceof TextError, `${JSON.stringify(text)}: ${error}`);
        const problem = error.toProblem();
        assert.ok(problem.line >= 1 && problem.column >= 1, JSON.stringify(text));
        formatProblem(problem);
      }
    }
    assert.ok(accepted > 0);
  });
}
