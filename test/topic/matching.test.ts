import assert from "node:assert/strict";
import { test } from "node:test";
import { Matcher } from "../../src/topic/matcher.ts";
import { filterMatches } from "../../src/topic/name.ts";
import { RetainedIndex } from "../../src/topic/retained.ts";

interface Rule {
  rule: string;
  filter: string;
  matches: readonly string[];
  not: readonly string[];
}

const RULES: readonly Rule[] = [
  {
    rule: "5.0 §4.7.1 a filter without wildcards matches its own spelling only",
    filter: "sport/tennis",
    matches: ["sport/tennis"],
    not: [
      "sport",
      "sport/tennis/",
      "/sport/tennis",
      "sport/tennis/player1",
      "sport/tenni",
      "sport/tenniss",
      "sport//tennis",
    ],
  },
  {
    rule: "5.0 §4.7.1.2 # matches its parent and every level below",
    filter: "sport/tennis/player1/#",
    matches: [
      "sport/tennis/player1",
      "sport/tennis/player1/",
      "sport/tennis/player1/ranking",
      "sport/tennis/player1/score/wimbledon",
      "sport/tennis/player1//",
      "sport/tennis/player1/$x",
    ],
    not: ["sport/tennis/player2", "sport/tennis", "sport/tennis/player11", "/sport/tennis/player1"],
  },
  {
    rule: "5.0 §4.7.1.2 sport/# matches sport",
    filter: "sport/#",
    matches: ["sport", "sport/"],
    not: ["sports", "spor"],
  },
  {
    rule: "5.0 §4.7.1.2 # alone matches all names, with empty levels too",
    filter: "#",
    matches: ["a", "/", "//", "/a", "a/", "a/b/c", "a/$SYS", " "],
    not: ["$", "$SYS", "$SYS/a", "$/a"],
  },
  {
    rule: "5.0 §4.7.1.2 /# begins with an empty level",
    filter: "/#",
    matches: ["/", "//", "/a", "/a/b", "/$SYS"],
    not: ["a", "a/", "a/b", "$SYS/"],
  },
  {
    rule: "5.0 §4.7.1.3 + matches one level",
    filter: "sport/tennis/+",
    matches: ["sport/tennis/player1", "sport/tennis/player2", "sport/tennis/"],
    not: ["sport/tennis", "sport/tennis/player1/ranking", "sport/tennis//", "sport//player1"],
  },
  {
    rule: "5.0 §4.7.1.3 sport/+ matches an empty level but not sport",
    filter: "sport/+",
    matches: ["sport/", "sport/a"],
    not: ["sport", "sport/a/", "sport//"],
  },
  {
    rule: "5.0 §4.7.1.3 + alone matches one level",
    filter: "+",
    matches: ["a", " "],
    not: ["/", "/a", "a/", "a/b", "$a"],
  },
  {
    rule: "5.0 §4.7.1.3 +/+ matches /finance",
    filter: "+/+",
    matches: ["/finance", "a/b", "a/", "/"],
    not: ["finance", "//", "a/b/c", "$SYS/b"],
  },
  {
    rule: "5.0 §4.7.1.3 /+ matches /finance",
    filter: "/+",
    matches: ["/finance", "/"],
    not: ["finance", "a/finance", "//"],
  },
  {
    rule: "5.0 §4.7.1.3 + stands between levels",
    filter: "sport/+/player1",
    matches: ["sport/tennis/player1", "sport//player1"],
    not: ["sport/player1", "sport/a/b/player1", "sport/tennis/player1/", "sport/tennis/player2"],
  },
  {
    rule: "5.0 §4.7.1.3 + and # stand together",
    filter: "+/tennis/#",
    matches: ["sport/tennis", "/tennis", "sport/tennis/a/b", "sport/tennis/"],
    not: ["tennis", "sport/a/tennis", "sport/tenni", "$SYS/tennis"],
  },
  {
    rule: "5.0 §4.7.1.2 +/# matches all names but those of the Server",
    filter: "+/#",
    matches: ["a", "/", "a/b", "a/b/c"],
    not: ["$SYS", "$SYS/a"],
  },
  {
    rule: "5.0 §4.7.1.1 +/+/# asks for two levels",
    filter: "+/+/#",
    matches: ["/", "a/b", "a/b/c"],
    not: ["a", "$a/b"],
  },
  {
    rule: "5.0 [MQTT-4.7.2-1] 3.1.1 [MQTT-4.7.2-1] # does not find names that begin with $",
    filter: "#",
    matches: ["SYS/$", "a/$SYS/b"],
    not: ["$SYS/broker/load", "$share", "$"],
  },
  {
    rule: "5.0 [MQTT-4.7.2-1] 3.1.1 [MQTT-4.7.2-1] +/monitor/Clients does not find $SYS/monitor/Clients",
    filter: "+/monitor/Clients",
    matches: ["a/monitor/Clients", "/monitor/Clients"],
    not: ["$SYS/monitor/Clients"],
  },
  {
    rule: "5.0 §4.7.2 $SYS/# finds names below $SYS",
    filter: "$SYS/#",
    matches: ["$SYS", "$SYS/", "$SYS/a", "$SYS/a/b"],
    not: ["$SYSTEM", "SYS/a", "$sys/a", "a/$SYS/a"],
  },
  {
    rule: "5.0 §4.7.2 $SYS/monitor/+ finds $SYS/monitor/Clients",
    filter: "$SYS/monitor/+",
    matches: ["$SYS/monitor/Clients"],
    not: ["$SYS/monitor", "$SYS/Clients"],
  },
  {
    rule: "5.0 §4.7.2 a wildcard behind the first level finds levels that begin with $",
    filter: "a/+",
    matches: ["a/$b"],
    not: [],
  },
  {
    rule: "5.0 §4.7.3 a leading separator makes another name",
    filter: "/finance",
    matches: ["/finance"],
    not: ["finance", "//finance", "/finance/"],
  },
  { rule: "5.0 §4.7.3 a trailing separator makes another name", filter: "a/", matches: ["a/"], not: ["a", "a//"] },
  {
    rule: "5.0 §4.7.3 a separator alone is a valid name of two empty levels",
    filter: "/",
    matches: ["/"],
    not: ["//", "a/", "/a"],
  },
  {
    rule: "5.0 §4.7.3 case and spaces count",
    filter: "ACCOUNTS/a b",
    matches: ["ACCOUNTS/a b"],
    not: ["Accounts/a b", "ACCOUNTS/a  b", "ACCOUNTS/ab", " ACCOUNTS/a b"],
  },
  {
    rule: "5.0 [MQTT-4.7.3-4] 3.1.1 [MQTT-4.7.3-4] nothing is normalized: é composed is not é decomposed",
    filter: "caf\u00e9/+",
    matches: ["caf\u00e9/a"],
    not: ["cafe\u0301/a", "CAF\u00c9/a", "cafe/a"],
  },
  {
    rule: "5.0 [MQTT-4.7.3-4] 3.1.1 [MQTT-4.7.3-4] dots and U+FEFF are characters like any other",
    filter: "a/./b/#",
    matches: ["a/./b", "a/./b/.."],
    not: ["a/b", "a/../b", "\uFEFFa/./b"],
  },
  {
    rule: "5.0 §4.7.1 levels beyond the Basic Multilingual Plane",
    filter: "+/\u{1F600}/#",
    matches: ["\u{1F601}/\u{1F600}", "a/\u{1F600}/b"],
    not: ["a/\u{1F601}"],
  },
];

for (const { rule, filter, matches, not } of RULES) {
  test(`${rule}: ${filter}`, () => {
    for (const name of matches) assert.equal(filterMatches(filter, name), true, `filterMatches with ${name}`);
    for (const name of not) assert.equal(filterMatches(filter, name), false, `filterMatches with ${name}`);

    const matcher = new Matcher<string>();
    matcher.add(filter, "found");
    for (const name of matches) assert.deepEqual(found(matcher, name), ["found"], `Matcher with ${name}`);
    for (const name of not) assert.deepEqual(found(matcher, name), [], `Matcher with ${name}`);

    const retained = new RetainedIndex<string>();
    for (const name of [...matches, ...not]) retained.set(name, `value of ${name}`);
    const visited: [string, string][] = [];
    retained.match(filter, (value, name) => visited.push([name, value]));
    const expected = matches.map((name) => [name, `value of ${name}`]);
    assert.deepEqual(visited.sort(), expected.sort(), "RetainedIndex");
  });
}

function found(matcher: Matcher<string>, name: string): string[] {
  const values: string[] = [];
  matcher.match(name, values);
  return values;
}
