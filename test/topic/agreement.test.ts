/** Random filters and names on a tiny alphabet, so that they meet: the fast structures agree with the plain rule. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Matcher } from "../../src/topic/matcher.ts";
import { filterMatches, hasWildcard, isTopicFilter, isTopicName, levelCount } from "../../src/topic/name.ts";
import { RetainedIndex } from "../../src/topic/retained.ts";

// One level is long enough that the engine would keep it as a view of the whole name.
const LEVELS = ["a", "b", "", "$x", "thirteen-char"];

const name = fc
  .array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join("/"))
  .filter((text) => text !== "");
const filter = fc
  .tuple(fc.array(fc.constantFrom(...LEVELS, "+", "+"), { maxLength: 4 }), fc.constantFrom("", "#"))
  .map(([levels, last]) => (last === "" ? levels : [...levels, last]).join("/"))
  .filter((text) => text !== "");

test("all names and filters that are drawn are valid", () => {
  fc.assert(fc.property(name, (text) => isTopicName(text) && isTopicFilter(text) && !hasWildcard(text)));
  fc.assert(fc.property(filter, (text) => isTopicFilter(text) && levelCount(text) === text.split("/").length));
});

test("isTopicFilter agrees with a check of each level", () => {
  const text = fc.array(fc.constantFrom("a", "/", "+", "#", "\0"), { maxLength: 6 }).map((units) => units.join(""));
  fc.assert(
    fc.property(text, (drawn) => {
      const levels = drawn.split("/");
      const isValid =
        drawn !== "" &&
        !drawn.includes("\0") &&
        levels.every(
          (level, depth) => level === "+" || !/[+#]/.test(level) || (level === "#" && depth === levels.length - 1),
        );
      assert.equal(isTopicFilter(drawn), isValid);
      assert.equal(isTopicName(drawn), isValid && !/[+#]/.test(drawn));
    }),
    { numRuns: 1000 },
  );
});

interface Entry {
  filter: string;
  id: number;
}

test("Matcher finds exactly what filterMatches says, through any sequence of add and remove", () => {
  const step = fc.record({ filter, id: fc.nat(3), name });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const matcher = new Matcher<Entry>();
      const entries = new Map<string, Entry>();
      for (const { filter, id, name } of steps) {
        const key = `${filter} ${id}`;
        const entry = entries.get(key);
        // What is there is removed, what is not there is added: so both happen often.
        if (entry === undefined) {
          const added = { filter, id };
          assert.equal(matcher.remove(filter, added), false);
          matcher.add(filter, added);
          entries.set(key, added);
        } else {
          assert.equal(matcher.remove(filter, entry), true);
          entries.delete(key);
        }
        assert.equal(matcher.size, entries.size);
        assert.deepEqual(keysFound(matcher, name), keysExpected(entries, name));
      }
      for (const entry of entries.values()) assert.equal(matcher.remove(entry.filter, entry), true);
      assert.equal(matcher.size, 0);
      assert.equal(matcher.nodeCount(), 0);
    }),
    { numRuns: 300 },
  );
});

function keysFound(matcher: Matcher<Entry>, name: string): string[] {
  const found: Entry[] = [];
  matcher.match(name, found);
  return found.map(({ filter, id }) => `${filter} ${id}`).sort();
}

function keysExpected(entries: ReadonlyMap<string, Entry>, name: string): string[] {
  return [...entries]
    .filter(([, { filter }]) => filterMatches(filter, name))
    .map(([key]) => key)
    .sort();
}

test("RetainedIndex finds exactly what filterMatches says, through any sequence of set and delete", () => {
  const step = fc.record({ name, isDeleted: fc.boolean(), filter });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const index = new RetainedIndex<number>();
      const values = new Map<string, number>();
      for (const [value, { name, isDeleted, filter }] of steps.entries()) {
        const before = values.get(name);
        assert.equal(index.get(name), before);
        assert.equal(isDeleted ? index.delete(name) : index.set(name, value), before);
        if (isDeleted) values.delete(name);
        else values.set(name, value);

        assert.deepEqual([...index.names()].sort(), [...values.keys()].sort());
        const visited: [string, number][] = [];
        index.match(filter, (found, at) => visited.push([at, found]));
        assert.deepEqual(visited.sort(), [...values].filter(([at]) => filterMatches(filter, at)).sort());
      }
      for (const [name, value] of values) assert.equal(index.delete(name), value);
      assert.equal(index.size, 0);
      assert.equal(index.nodeCount(), 0);
    }),
    { numRuns: 300 },
  );
});
