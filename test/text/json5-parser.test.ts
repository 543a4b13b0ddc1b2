import assert from "node:assert/strict";
import { test } from "node:test";
import json5 from "json5";
import { Json5Mistake, readJson5 } from "../../src/text/json5-parser.ts";

const PIECES =
  `{ } [ ] : , a b ' " \\ - + # // /* */ 1 0 x 0x1F .5 5. 1e3 null true NaN Infinity \u00e9 \\u0061 \\x41 \\0 $ _
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

test("what is JSON5 and what it means is what the json5 package says", () => {
  let accepted = 0;
  for (const text of texts(30_000)) {
    const expected = attempt(() => json5.parse(text));
    const found = attempt(() => readJson5(text, false).value);
    if (found.error !== undefined) {
      assert.ok(found.error instanceof Json5Mistake, `${JSON.stringify(text)}: ${found.error}`);
      // The package takes the last of them.
      if (found.error.message.includes("given twice")) continue;
    } else accepted++;
    assert.deepEqual([found.value, found.error === undefined], [expected.value, expected.error === undefined], text);
  }
  assert.ok(accepted > 1000, `only ${accepted} texts were JSON5`);
});

function attempt(read: () => unknown): { value?: unknown; error?: unknown } {
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
  ]) {
    const { error } = attempt(() => readJson5(text, false));
    assert.ok(error instanceof Json5Mistake, text);
    assert.doesNotMatch(`${error.message} ${error.hint}`, /sesame/, text);
  }
});
