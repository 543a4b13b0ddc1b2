import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  covers,
  type FilterNames,
  intersects,
  levelsOf,
  namedLevel,
  namedLevels,
} from "../../../src/auth/rules/filter.ts";
import { filterMatches, isTopicFilter } from "../../../src/topic/name.ts";

/** All texts of one to four levels out of these. */
function texts(levels: readonly string[]): string[] {
  let longest = levels.map((level) => level);
  const all = [...longest];
  for (let depth = 1; depth < 4; depth++) {
    longest = longest.flatMap((text) => levels.map((level) => `${text}/${level}`));
    all.push(...longest);
  }
  return all.filter((text) => text !== "");
}

// Two letters besides the ones that filters name, so that no list of literal levels has all that "+" has. One level more
// than the filters have would change nothing: what they say of four levels after "#" they say of five.
const NAMES = texts(["a", "", "$s", "z"]);
const FILTERS = texts(["a", "", "$s", "+", "#"]).filter((text) => isTopicFilter(text) && text.split("/").length < 4);

/** As a rule that denies means it: what MQTT says, and wildcards at the first level have topics that begin with "$" too. */
function widelyMatches(filter: string, name: string): boolean {
  return filterMatches(`x/${filter}`, `x/${name}`);
}

/** One bit a name, by the definition of matching that the topic folder has. */
function sets(matches: (filter: string, name: string) => boolean): Map<string, bigint> {
  return new Map(
    FILTERS.map((filter) => [
      filter,
      NAMES.reduce((bits, name, index) => (matches(filter, name) ? bits | (1n << BigInt(index)) : bits), 0n),
    ]),
  );
}

suite("filters as sets, against all topics of up to four levels", () => {
  const narrow = sets(filterMatches);
  const wide = sets(widelyMatches);

  for (const isWide of [false, true]) {
    const ofRule = isWide ? wide : narrow;
    const kind = isWide ? "wide" : "narrow";

    test(`${kind} filters intersect what they have a topic in common with`, () => {
      for (const rule of FILTERS) {
        for (const asked of FILTERS) {
          const expected = (ofRule.get(rule)! & narrow.get(asked)!) !== 0n;
          assert.equal(intersects(levelsOf(rule), levelsOf(asked), isWide), expected, `${rule} and ${asked}`);
        }
      }
    });

    test(`${kind} filters cover what they have all topics of`, () => {
      for (const rule of FILTERS) {
        for (const asked of FILTERS) {
          const set = narrow.get(asked)!;
          const expected = (ofRule.get(rule)! & set) === set;
          assert.equal(covers(levelsOf(rule), levelsOf(asked), isWide), expected, `${rule} over ${asked}`);
        }
      }
    });

    test(`${kind} filters match single names as MQTT says`, () => {
      for (const rule of FILTERS) {
        for (const [index, name] of NAMES.entries()) {
          const expected = (ofRule.get(rule)! & (1n << BigInt(index))) !== 0n;
          assert.equal(intersects(levelsOf(rule), levelsOf(name), isWide), expected, `${rule} and ${name}`);
          assert.equal(covers(levelsOf(rule), levelsOf(name), isWide), expected, `${rule} over ${name}`);
        }
      }
    });
  }
});

suite("names in filters", () => {
  const kim: FilterNames = { userName: "kim", clientId: "c7" };
  const cases: [level: string, names: FilterNames, expected: string | undefined][] = [
    ["%u", kim, "kim"],
    ["%c", kim, "c7"],
    ["dev-%c", kim, "dev-c7"],
    ["%u-%c-%u", kim, "kim-c7-kim"],
    ["%", kim, "%"],
    ["%x", kim, "%x"],
    ["%U", kim, "%U"],
    ["%%u", kim, "%kim"],
    ["%u", { userName: undefined, clientId: "c7" }, undefined],
    ["%c", { userName: undefined, clientId: "c7" }, "c7"],
    ["%u", { userName: "", clientId: "c7" }, undefined],
    ["x%u", { userName: "", clientId: "c7" }, undefined],
    ["%u", { userName: "a/b", clientId: "c7" }, undefined],
    ["%u", { userName: "+", clientId: "c7" }, undefined],
    ["%u", { userName: "#", clientId: "c7" }, undefined],
    ["x%c", { userName: "kim", clientId: "a#" }, undefined],
    ["%u", { userName: "%c", clientId: "c7" }, "%c"],
    ["%c", { userName: "kim", clientId: "%u" }, "%u"],
    ["%u", { userName: "$&", clientId: "c7" }, "$&"],
  ];
  for (const [level, names, expected] of cases) {
    test(`${level} for ${JSON.stringify(names)}`, () => assert.equal(namedLevel(level, names), expected));
  }

  test("a whole filter keeps its wildcards", () => {
    assert.deepEqual(namedLevels(["%u", "+", "x%c", "#"], kim), ["kim", "+", "xc7", "#"]);
  });

  test("a filter one of whose names is impossible matches nothing", () => {
    assert.equal(namedLevels(["a", "%c"], { userName: "kim", clientId: "+" }), undefined);
  });
});
