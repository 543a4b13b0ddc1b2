import assert from "node:assert/strict";
import { test } from "node:test";
import json5 from "json5";
import type { PlacedNode } from "../../src/text/document.ts";
import { readJson5 } from "../../src/text/json5-document.ts";
import { Json5Mistake, placesOf } from "../../src/text/json5-places.ts";

const PIECES =
  `{ } [ ] : , a b ' " \\ - + # // /* */ 1 0 x 0x1F 0XaB .5 5. 1e3 null true NaN Infinity \u00e9 \\u0061 \\x41 \\0 $ _
  \ud800 \ud83d\ude00 'k' "k":1 a:1, [1,2] {a:'x'} __proto__ \ufeff \v`.split(/[ \n]+/);
const BLANKS = [" ", "\n", "\r\n", "\t", "\u00a0", "\\\n"];

/** Short texts of what means something in JSON5; the same for each run. */
function* texts(count: number): Generator<string> {
  let state = 99;
  const below = (limit: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(state / 65_536) % limit;
  };
  for (let made = 0; made < count; made++) {
    let text = "";
    for (let pieces = below(9); pieces >= 0; pieces--) {
      text += below(8) === 0 ? BLANKS[below(BLANKS.length)]! : PIECES[below(PIECES.length)]!;
    }
    yield ["%", "[%]", "{%}", "{a:%}"][made % 4]!.replace("%", () => text);
  }
}

test("what is JSON5, and what stands where in it, is what the json5 package says", () => {
  let accepted = 0;
  for (const text of texts(30_000)) {
    const expected = attempt((): unknown => json5.parse(text));
    const found = attempt(() => placesOf(text, false).root);
    if (found.error !== undefined) {
      assert.ok(found.error instanceof Json5Mistake, `${JSON.stringify(text)}: ${found.error}`);
      // The package takes the last of them.
      if (found.error.message.includes("given twice")) continue;
    } else accepted++;
    assert.equal(found.error === undefined, expected.error === undefined, JSON.stringify(text));
    if (found.value !== undefined) assertPlaced(text, found.value, expected.value);
  }
  assert.ok(accepted > 1000, `only ${accepted} texts were JSON5`);
});

/** Each value has a place, each place has a value, and what stands at the place alone means that value. */
function assertPlaced(text: string, node: PlacedNode, value: unknown): void {
  const written = text.slice(node.start, node.end);
  assert.equal(written, written.trim(), JSON.stringify(text));
  assert.deepEqual(json5.parse(written), value, JSON.stringify(text));
  const members: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(typeof value === "object" && value !== null ? value : {});
  assert.deepEqual(new Set(node.children.keys()), new Set(members.map(([step]) => step)), JSON.stringify(text));
  for (const [step, member] of members) {
    const child = node.children.get(step)!;
    assert.equal(child.keyStart === undefined, typeof step === "number", JSON.stringify(text));
    if (child.keyStart !== undefined) {
      const alone = json5.parse(`{${text.slice(child.keyStart, child.end)}}`);
      assert.deepEqual(Object.entries(alone), [[step, member]], JSON.stringify(text));
    }
    assertPlaced(text, child, member);
  }
}

test("keys are found under the names that the json5 package gives them", () => {
  const escapes = [
    "b",
    "f",
    "n",
    "r",
    "t",
    "v",
    "0",
    "x41",
    "u00e9",
    "ud83d\\ude00",
    "a",
    "'",
    '"',
    "\\",
    "\n",
    "\r\n",
    "\u2028",
  ];
  const quoted = escapes.map((behind) => `'a\\${behind}z'`);
  for (const key of [
    ...quoted,
    "''",
    "'\u00fc'",
    "\\u0061b",
    "a\\u200cb",
    "gr\u00fc\u00df",
    "\ud801\udc00",
    "$_9",
    "null",
    "'7'",
  ]) {
    const text = `{${key}: 1}`;
    assert.deepEqual([...placesOf(text, false).root.children.keys()], Object.keys(json5.parse(text)), text);
  }
});

test("comments that begin with # are found, and no others", () => {
  const text = "# one\r\n{ // # two\n a: '# three', /* # four */ b: [1 # five\n]#six\n}\n#";
  const { comments } = placesOf(text, true);
  assert.deepEqual(
    comments.map(([start, end]) => text.slice(start, end)),
    ["# one", "# five", "#six", "#"],
  );
  assert.deepEqual(placesOf("{ a: '#', // #\n}", true).comments, []);
});

function attempt<Value>(read: () => Value): { value?: Value; error?: unknown } {
  try {
    return { value: read() };
  } catch (error) {
    return { error };
  }
}

test("a message shows no word of a value, which may be a secret", () => {
  for (const text of [
    "{a:sesame}",
    "{a:'x'sesame}",
    "{a:0sesame}",
    "{a:'sesame\n'}",
    "{a:1}sesame",
    "[sesame:1]",
    "{a:'\\xsesame'}",
    "{a:'sesame', \ua7c2:1}",
  ]) {
    const { error } = attempt(() => readJson5(text, false));
    assert.ok(error instanceof Json5Mistake, text);
    assert.doesNotMatch(`${error.message} ${error.hint}`, /sesame/, text);
  }
});
