import assert from "node:assert/strict";
import { test } from "node:test";
import { hasWildcard, isShared, isTopicFilter, isTopicName, levelCount, parseShared } from "../../src/topic/name.ts";

const LEAST = ["a", "/", "//", "$", " ", "a b", "$SYS", "$share", "a/", "/a", "a//b", "é", "\u{1F600}", "\uFEFF", "\t"];

test("5.0 [MQTT-4.7.3-1] 3.1.1 [MQTT-4.7.3-1] one character is enough, an empty text is not", () => {
  for (const text of LEAST) {
    assert.equal(isTopicName(text), true, text);
    assert.equal(isTopicFilter(text), true, text);
  }
  assert.equal(isTopicName(""), false);
  assert.equal(isTopicFilter(""), false);
});

test("5.0 [MQTT-4.7.3-2] 3.1.1 [MQTT-4.7.3-2] U+0000 is refused wherever it stands", () => {
  for (const text of ["\0", "\0a", "a\0", "a/\0/b"]) {
    assert.equal(isTopicName(text), false, JSON.stringify(text));
    assert.equal(isTopicFilter(text), false, JSON.stringify(text));
  }
  assert.equal(isTopicFilter("+/\0"), false);
  assert.equal(isTopicFilter("\0/#"), false);
  assert.equal(isTopicName("\u0001"), true);
});

// A character of each length in UTF-8, and how many of them 65,535 bytes hold.
const LONGEST: readonly [character: string, bytes: number, count: number][] = [
  ["a", 1, 65_535],
  ["é", 2, 32_767],
  ["€", 3, 21_845],
  ["\u{1F600}", 4, 16_383],
];

for (const [character, bytes, count] of LONGEST) {
  test(`5.0 [MQTT-4.7.3-3] 3.1.1 [MQTT-4.7.3-3] ${count} characters of ${bytes} bytes fit, one more is refused`, () => {
    const longest = character.repeat(count);
    assert.equal(isTopicName(longest), true);
    assert.equal(isTopicFilter(longest), true);
    assert.equal(isTopicName(longest + character), false);
    assert.equal(isTopicFilter(longest + character), false);
  });
}

test("5.0 [MQTT-4.7.3-3] 3.1.1 [MQTT-4.7.3-3] counts bytes of mixed characters exactly", () => {
  const filled = "€".repeat(21_844);
  assert.equal(isTopicName(`${filled}aé`), true);
  assert.equal(isTopicName(`${filled}éé`), false);
});

test("5.0 [MQTT-4.7.0-1] 3.1.1 [MQTT-4.7.1-1] a Topic Name has no wildcard", () => {
  for (const text of ["#", "+", "a/#", "a/+", "+/a", "a+", "a#", "#a", "a/b+/c", "$SYS/#"]) {
    assert.equal(isTopicName(text), false, text);
  }
});

test("5.0 [MQTT-4.7.1-1] 3.1.1 [MQTT-4.7.1-2] # is a whole level and the last", () => {
  for (const filter of ["#", "/#", "//#", "a/#", "a/b/#", "+/#", "a//#", "$SYS/#"]) {
    assert.equal(isTopicFilter(filter), true, filter);
  }
  for (const filter of ["a#", "#a", "#/", "#/a", "a/#/b", "a/b#", "a/#b", "##", "#/#", "a/##", "+#", "#+", "/#/"]) {
    assert.equal(isTopicFilter(filter), false, filter);
  }
});

test("5.0 [MQTT-4.7.1-2] 3.1.1 [MQTT-4.7.1-3] + is a whole level, at any place", () => {
  for (const filter of ["+", "+/", "/+", "+/+", "+/a", "a/+", "a/+/b", "+/a/+", "//+//", "+/+/#"]) {
    assert.equal(isTopicFilter(filter), true, filter);
  }
  for (const filter of ["a+", "+a", "++", "a/+b", "a/b+", "a+/b", "+a/b", "+/++", "+/a+/b"]) {
    assert.equal(isTopicFilter(filter), false, filter);
  }
});

test("hasWildcard tells filters for many names from filters for one", () => {
  for (const filter of ["#", "+", "a/#", "+/a", "a/+/b"]) assert.equal(hasWildcard(filter), true, filter);
  for (const filter of ["a", "/", "a/b", "$share/g/a"]) assert.equal(hasWildcard(filter), false, filter);
});

test("levelCount counts empty levels", () => {
  const counts = { a: 1, "": 1, "/": 2, "/a": 2, "a/": 2, "a/b": 2, "//": 3, "a//b": 3, "+/#": 2, "a/b/c/d": 4 };
  for (const [text, count] of Object.entries(counts)) assert.equal(levelCount(text), count, text);
});

test("isShared asks for $share/ at the very beginning", () => {
  for (const filter of ["$share/g/a", "$share/", "$share//a", "$share/g"]) assert.equal(isShared(filter), true, filter);
  for (const filter of ["$share", "$shared/g/a", "$SHARE/g/a", "/$share/g/a", "share/g/a", "a/$share/g"]) {
    assert.equal(isShared(filter), false, filter);
  }
});

const SHARED: readonly [text: string, group: string, filter: string][] = [
  ["$share/g/a", "g", "a"],
  ["$share/g/a/b", "g", "a/b"],
  ["$share/g/#", "g", "#"],
  ["$share/g/+/a/#", "g", "+/a/#"],
  ["$share/g//", "g", "/"],
  ["$share/g//a", "g", "/a"],
  ["$share/$g/$SYS/#", "$g", "$SYS/#"],
  ["$share/a b/c", "a b", "c"],
  ["$share/g/$share/h/a", "g", "$share/h/a"],
];

test("5.0 §4.8.2 a Shared Subscription's filter comes apart into ShareName and Topic Filter", () => {
  for (const [text, group, filter] of SHARED) assert.deepEqual(parseShared(text), { group, filter }, text);
});

test("5.0 [MQTT-4.8.2-1] a ShareName has one character at least", () => {
  for (const text of ["$share//a", "$share///", "$share//#", "$share/"]) {
    assert.equal(parseShared(text), undefined, text);
  }
});

test("5.0 [MQTT-4.8.2-2] a ShareName has no wildcard and a valid Topic Filter follows it", () => {
  for (const text of ["$share/+/a", "$share/#/a", "$share/g+/a", "$share/#", "$share/+", "$share/g#/a"]) {
    assert.equal(parseShared(text), undefined, text);
  }
  for (const text of ["$share/g", "$share/g/", "$share/g/a#", "$share/g/#/a", "$share/g/+a", "$share/g/\0"]) {
    assert.equal(parseShared(text), undefined, text);
  }
});

test("parseShared refuses what is no Shared Subscription", () => {
  for (const text of ["a", "$share", "$SYS/a", "share/g/a", "$queue/a", "$shared/g/a", ""]) {
    assert.equal(parseShared(text), undefined, text);
  }
});

test("5.0 [MQTT-4.7.3-3] a Shared Subscription's filter is measured as a whole", () => {
  const room = 65_535 - "$share/g/".length;
  assert.deepEqual(parseShared(`$share/g/${"a".repeat(room)}`), { group: "g", filter: "a".repeat(room) });
  assert.equal(parseShared(`$share/g/${"a".repeat(room + 1)}`), undefined);
});
