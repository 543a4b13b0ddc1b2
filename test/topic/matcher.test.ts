import assert from "node:assert/strict";
import { test } from "node:test";
import { Matcher } from "../../src/topic/matcher.ts";

function found<T extends NonNullable<unknown>>(matcher: Matcher<T>, name: string): T[] {
  const values: T[] = [];
  matcher.match(name, values);
  return values;
}

test("match appends and leaves alone what was found before", () => {
  const matcher = new Matcher<string>();
  matcher.add("a", "exact");
  matcher.add("#", "wildcard");
  const values = ["before"];
  matcher.match("a", values);
  assert.deepEqual(values, ["before", "exact", "wildcard"]);
});

test("an empty Matcher finds nothing and removes nothing", () => {
  const matcher = new Matcher<string>();
  assert.deepEqual(found(matcher, "a"), []);
  for (const filter of ["a", "+", "#", "a/+/b"]) assert.equal(matcher.remove(filter, "x"), false, filter);
  assert.equal(matcher.size, 0);
  assert.equal(matcher.generation, 0);
});

test("a value under two matching filters is found twice", () => {
  const matcher = new Matcher<string>();
  for (const filter of ["a/b", "a/+", "a/#", "+/b", "#", "b/#", "a"]) matcher.add(filter, "x");
  assert.deepEqual(found(matcher, "a/b"), ["x", "x", "x", "x", "x"]);
});

for (const filter of ["a/b", "a/+", "a/#", "#", "+"]) {
  test(`several values of ${filter} come and go by identity`, () => {
    const name = filter === "+" ? "a" : "a/b";
    const matcher = new Matcher<{ id: number }>();
    const [one, two, three] = [{ id: 1 }, { id: 1 }, { id: 1 }];
    for (const value of [one, two, three]) matcher.add(filter, value);
    assert.equal(matcher.size, 3);

    assert.equal(matcher.remove(filter, { id: 1 }), false);
    assert.equal(matcher.remove(filter, two), true);
    assert.equal(matcher.remove(filter, two), false);
    const left = found(matcher, name);
    assert.equal(left.length, 2);
    assert.equal(left.includes(one), true);
    assert.equal(left.includes(three), true);

    assert.equal(matcher.remove(filter, one), true);
    assert.equal(found(matcher, name)[0], three);
    assert.equal(matcher.remove(filter, three), true);
    assert.deepEqual(found(matcher, name), []);
    assert.equal(matcher.size, 0);
    assert.equal(matcher.nodeCount(), 0);
  });
}

test("the generation differs after each add and remove, and only then", () => {
  const matcher = new Matcher<string>();
  const seen = [matcher.generation];
  for (const filter of ["a", "a/+"]) {
    matcher.add(filter, "x");
    seen.push(matcher.generation);
    found(matcher, "a/b");
    assert.equal(matcher.remove(filter, "y"), false);
    assert.equal(matcher.remove("b/#", "x"), false);
    assert.equal(matcher.generation, seen.at(-1));
    matcher.remove(filter, "x");
    seen.push(matcher.generation);
  }
  assert.equal(new Set(seen).size, 5);
});

test("removing a filter leaves its neighbours on the same branch", () => {
  const filters = ["a/+/c", "a/+/c/#", "a/+", "a/+/d", "a/b/#", "a/x/+", "a/y/+", "+/b/c"];
  const matcher = new Matcher<string>();
  for (const filter of filters) matcher.add(filter, filter);
  assert.equal(matcher.remove("a/+/c", "a/+/c"), true);
  assert.equal(matcher.remove("a/x/+", "a/x/+"), true);
  assert.deepEqual(found(matcher, "a/b/c").sort(), ["+/b/c", "a/+/c/#", "a/b/#"]);
  assert.deepEqual(found(matcher, "a/x/d").sort(), ["a/+/d"]);
  assert.deepEqual(found(matcher, "a/y/d").sort(), ["a/+/d", "a/y/+"]);
});

test("the beginning of a filter is not a filter", () => {
  const matcher = new Matcher<string>();
  matcher.add("a/+/c", "x");
  for (const filter of ["a", "a/+", "a/+/#", "a/#", "#", "a/+/c/d", "+/+/c"]) {
    assert.equal(matcher.remove(filter, "x"), false, filter);
  }
  assert.deepEqual(found(matcher, "a/b"), []);
  assert.deepEqual(found(matcher, "a/b/c"), ["x"]);
});

test("empty branches are removed, branches in use stay", () => {
  const matcher = new Matcher<string>();
  matcher.add("a/b/+", "x");
  assert.equal(matcher.nodeCount(), 3);
  matcher.add("a/b/c/d/#", "y");
  assert.equal(matcher.nodeCount(), 5);
  matcher.remove("a/b/+", "x");
  assert.equal(matcher.nodeCount(), 4);
  matcher.remove("a/b/c/d/#", "y");
  assert.equal(matcher.nodeCount(), 0);
});

test("filters that isTopicFilter refuses do no harm", () => {
  const matcher = new Matcher<string>();
  const filters = ["", "#/a", "a+/b", "a/#/b", "##", "a#"];
  for (const filter of filters) matcher.add(filter, filter);
  for (const name of ["a", "a/b", "x/a"]) assert.deepEqual(found(matcher, name), [], name);
  for (const filter of filters) assert.equal(matcher.remove(filter, filter), true, filter);
  assert.equal(matcher.nodeCount(), 0);
});

test("100,000 values of one filter are found, and leave one by one in any order", () => {
  for (const [filter, name] of [
    ["a", "a"],
    ["a/#", "a/b"],
  ] as const) {
    const matcher = new Matcher<number>();
    for (let value = 0; value < 100_000; value++) matcher.add(filter, value);
    assert.equal(new Set(found(matcher, name)).size, 100_000);
    // 7,919 is prime to 100,000, so each value comes up once.
    for (let step = 0; step < 99_999; step++) assert.equal(matcher.remove(filter, (step * 7919) % 100_000), true);
    assert.deepEqual(found(matcher, name), [(99_999 * 7919) % 100_000]);
    matcher.add(filter, -1);
    assert.deepEqual(found(matcher, name).sort(), [-1, (99_999 * 7919) % 100_000].sort());
  }
});

test("values come and go in a long list that knows its places", () => {
  const matcher = new Matcher<number>();
  const expected = new Set<number>();
  for (let value = 0; value < 1000; value++) {
    matcher.add("a/+", value);
    expected.add(value);
    if (value % 3 !== 2) continue;
    assert.equal(matcher.remove("a/+", value - 1), true);
    assert.equal(matcher.remove("a/+", value - 1), false);
    expected.delete(value - 1);
  }
  assert.deepEqual(found(matcher, "a/b").sort(), [...expected].sort());
  assert.equal(matcher.size, expected.size);
});

test("a filter of as many levels as a name can have needs no deep stack", () => {
  const levels = 32_767;
  const filter = `${"+/".repeat(levels)}#`;
  const matcher = new Matcher<string>();
  matcher.add(filter, "x");
  assert.deepEqual(found(matcher, `${"a/".repeat(levels - 1)}a`), ["x"]);
  assert.deepEqual(found(matcher, `${"a/".repeat(levels - 2)}a`), []);
  assert.equal(matcher.remove(filter, "x"), true);
  assert.equal(matcher.nodeCount(), 0);
});

test("all mixtures of + and a at 12 levels are found once each", () => {
  const matcher = new Matcher<number>();
  for (let mixture = 0; mixture < 4096; mixture++) matcher.add(mixed(mixture, 12), mixture);
  const values = found(matcher, "a/".repeat(12).slice(0, -1)).sort((one, other) => one - other);
  assert.deepEqual(
    values,
    Array.from({ length: 4096 }, (_, mixture) => mixture),
  );
  assert.deepEqual(found(matcher, `${"a/".repeat(11)}b`).length, 2048);
});

test("200 ladders of + with # at the end are all found in a name of 200 levels", () => {
  const matcher = new Matcher<number>();
  for (let depth = 1; depth <= 201; depth++) matcher.add(`${"+/".repeat(depth)}#`, depth);
  assert.equal(found(matcher, "a/".repeat(200).slice(0, -1)).length, 200);
  assert.equal(found(matcher, "a/".repeat(200)).length, 201);
});

function mixed(mixture: number, levels: number): string {
  return Array.from({ length: levels }, (_, level) => ((mixture >> level) & 1 ? "+" : "a")).join("/");
}
