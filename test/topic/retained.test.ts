import assert from "node:assert/strict";
import { test } from "node:test";
import { RetainedIndex } from "../../src/topic/retained.ts";

function indexOf(...names: string[]): RetainedIndex<string> {
  const index = new RetainedIndex<string>();
  for (const name of names) index.set(name, `value of ${name}`);
  return index;
}

function namesOf(index: RetainedIndex<string>, filter: string): string[] {
  const names: string[] = [];
  index.match(filter, (value, name) => {
    assert.equal(value, index.get(name));
    names.push(name);
  });
  return names.sort();
}

test("set, get and delete answer with what was there before", () => {
  const index = new RetainedIndex<string>();
  assert.equal(index.get("a"), undefined);
  assert.equal(index.delete("a"), undefined);
  assert.equal(index.set("a", "one"), undefined);
  assert.equal(index.set("a", "two"), "one");
  assert.equal(index.get("a"), "two");
  assert.equal(index.size, 1);
  assert.equal(index.delete("a"), "two");
  assert.equal(index.delete("a"), undefined);
  assert.equal(index.get("a"), undefined);
  assert.equal(index.size, 0);
});

test("the beginning of a name is not a name", () => {
  const index = indexOf("a/b/c");
  assert.equal(index.get("a/b"), undefined);
  assert.equal(index.delete("a/b"), undefined);
  assert.deepEqual(namesOf(index, "a/b"), []);
  assert.deepEqual(namesOf(index, "a/+"), []);
  assert.deepEqual(namesOf(index, "a/#"), ["a/b/c"]);
});

test("names and values go together, oldest name first", () => {
  const index = indexOf("b", "a/x", "$SYS/a");
  index.set("b", "younger");
  assert.deepEqual([...index.names()], ["b", "a/x", "$SYS/a"]);
  assert.deepEqual([...index.values()], ["younger", "value of a/x", "value of $SYS/a"]);
});

test("empty branches are removed, branches in use stay", () => {
  const index = indexOf("a/b/c", "a/b", "a/x", "//");
  assert.equal(index.nodeCount(), 7);
  index.delete("a/b");
  assert.equal(index.nodeCount(), 7);
  index.delete("a/b/c");
  assert.equal(index.nodeCount(), 5);
  index.delete("//");
  assert.equal(index.nodeCount(), 2);
  assert.deepEqual(namesOf(index, "#"), ["a/x"]);
  index.delete("a/x");
  assert.equal(index.nodeCount(), 0);
});

test("a name that was deleted can come back", () => {
  const index = indexOf("a/b", "a");
  index.delete("a/b");
  index.set("a/b", "again");
  assert.deepEqual(namesOf(index, "a/#"), ["a", "a/b"]);
  assert.equal(index.get("a/b"), "again");
});

for (const filter of ["#", "+", "+/#"]) {
  test(`${filter}: a visit may delete, replace and add`, () => {
    const index = indexOf("a", "b", "c", "d");
    const visited = new Map<string, string>();
    index.match(filter, (value, name) => {
      visited.set(name, value);
      if (visited.size > 1) return;
      const [replaced, deleted] = ["a", "b", "c", "d"].filter((other) => other !== name);
      index.set(replaced!, "replaced");
      index.delete(deleted!);
      index.delete(name);
      index.set("e", "added");
      index.set("a/b", "added");
    });
    const gone = ["a", "b", "c", "d"].filter((name) => !visited.has(name));
    assert.equal(visited.size, 3);
    assert.equal(gone.length, 1);
    assert.deepEqual(
      [...visited.values()].filter((value) => value === "replaced"),
      ["replaced"],
    );
    assert.equal(index.get(gone[0]!), undefined);
    assert.equal(index.size, 4);
  });
}

test("a name of as many levels as there can be needs no deep stack", () => {
  const name = "a/".repeat(32_767);
  const index = indexOf(name, "b");
  assert.deepEqual(namesOf(index, "a/#"), [name]);
  assert.deepEqual(namesOf(index, "+/+/#"), [name]);
  assert.deepEqual(namesOf(index, `${"+/".repeat(32_767)}#`), [name]);
  index.delete(name);
  assert.equal(index.nodeCount(), 1);
});

test("50,000 names are found by each kind of filter", () => {
  const index = new RetainedIndex<number>();
  for (let device = 0; device < 50_000; device++)
    index.set(`s${device % 50}/d${device}/${device % 2 ? "x" : "y"}`, device);
  index.set("$SYS/a/x", -1);
  const counts = {
    "#": 50_000,
    "+/+/x": 25_000,
    "s7/#": 1_000,
    "s7/+/x": 1_000,
    "+/d7/x": 1,
    "s7/d7/x": 1,
    "$SYS/#": 1,
  };
  for (const [filter, count] of Object.entries(counts)) {
    const devices = new Set<number>();
    index.match(filter, (device) => devices.add(device));
    assert.equal(devices.size, count, filter);
  }
});
