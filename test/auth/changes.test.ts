import assert from "node:assert/strict";
import { test } from "node:test";
import { describeChanges } from "../../src/auth/changes.ts";
import { readAuthFile } from "../../src/auth/reading/auth-document.ts";
import type { ReadAuth } from "../../src/auth/reading/read-auth.ts";

const ANY = '{ sub: ["@any"], pub: ["@any"] }';
const USERS = `{ name: "kim", method: "plain_password", password: "p" }, { name: "lee", method: "scrypt", hash: "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }`;

function read(text: string): ReadAuth {
  const { auth, problems } = readAuthFile(text, "auth.json5", { readFile: () => undefined, nowMs: 0 });
  assert.ok(auth, JSON.stringify(problems));
  return auth;
}

function file(users: string, groups: string, rules: readonly string[], more = ""): ReadAuth {
  return read(`{ authentication: [${users}], group: [${groups}],\n authorization: [${rules.join(",\n")}], ${more} }`);
}

const allow = (topic: string): string => `{ topic: "${topic}", allow: ${ANY} }`;
const BEFORE = file(USERS, '{ name: "@g", members: ["kim"] }', [allow("a"), allow("b"), allow("c"), allow("d")]);

for (const [title, after, expected] of [
  ["the same", BEFORE, undefined],
  [
    "the same on other lines",
    file(`\n\n${USERS}`, '{ name: "@g", members: ["kim"], note: "x" }', [
      allow("a"),
      `\n${allow("b")}`,
      allow("c"),
      allow("d"),
    ]),
    undefined,
  ],
  [
    "users and groups that come and go",
    file(
      '{ name: "lee", method: "plain_password", password: "p" }, { name: "max", method: "unix_socket" }',
      '{ name: "@h" }, { name: "@i" }',
      [allow("a"), allow("b"), allow("c"), allow("d")],
    ),
    "+1 user (max), -1 user (kim), lee now has the method plain_password, +2 groups (@h, @i), -1 group (@g)",
  ],
  [
    "another password, without showing it",
    file(USERS.replace('"p"', '"secret"'), '{ name: "@g", members: ["lee"] }', [
      allow("a"),
      allow("b"),
      allow("c"),
      allow("d"),
    ]),
    "kim now has a new password, @g: +lee -kim",
  ],
  [
    "conditions, limits and rights of a user",
    file(
      USERS.replace('"p"', '"p", from: "local", expires: "2031-01-01", admin: "read", maxConnections: 3'),
      '{ name: "@g", members: ["kim"] }',
      [allow("a"), allow("b"), allow("c"), allow("d")],
    ),
    "kim now has expires 2031-01-02T00:00:00Z, admin read, from local and maxConnections 3",
  ],
  [
    "a rule that does something else",
    file(USERS, '{ name: "@g", members: ["kim"] }', [
      allow("a"),
      '{ topic: "kitchen/#", deny: { sub: ["@g"], pub: ["@g"] } }',
      allow("c"),
      allow("d"),
    ]),
    "rule 2 now denies kitchen/# to @g",
  ],
  [
    "a rule on other terms",
    file(USERS, '{ name: "@g", members: ["kim"] }', [
      allow("a"),
      allow("b").replace(" }}", " }, maxQos: 1 }").replace("} }", "}, maxQos: 1 }"),
      allow("c"),
      allow("d"),
    ]),
    "rule 2 now allows b to @any only up to QoS 1 (before: without conditions)",
  ],
  [
    "rules that are new, in the middle and at the end",
    file(USERS, '{ name: "@g", members: ["kim"] }', [
      allow("a"),
      '{ topic: "x", allow: { sub: ["kim"] }, deny: { pub: ["kim", "lee"] } }',
      allow("b"),
      allow("c"),
      allow("d"),
      allow("e"),
    ]),
    "rule 2 is new: it allows x to kim (subscribe) and denies it to kim and lee (publish), rule 6 is new: it allows e to @any",
  ],
  [
    "a rule that is gone, with its number of before",
    file(USERS, '{ name: "@g", members: ["kim"] }', [allow("a"), allow("c"), allow("d")]),
    "rule 2 is gone: it allowed b to @any",
  ],
  [
    "a rule about the same topic beside a new one",
    file(USERS, '{ name: "@g", members: ["kim"] }', [
      allow("a"),
      allow("x"),
      '{ topic: "b", deny: { sub: ["@any"] } }',
      allow("c"),
      allow("d"),
    ]),
    "rule 2 is new: it allows x to @any, rule 3 now denies b to @any (subscribe)",
  ],
  [
    "a name that is there twice",
    file(USERS, '{ name: "@g", members: ["kim"] }', [
      allow("a"),
      allow("b"),
      allow("c").replaceAll('"@any"', '"@any", "@any"'),
      allow("d"),
    ]),
    undefined,
  ],
  [
    "a rule that stands elsewhere",
    file(USERS, '{ name: "@g", members: ["kim"] }', [allow("b"), allow("c"), allow("d"), allow("a")]),
    "rule 4 was rule 1 before: it allows a to @any",
  ],
  [
    "settings",
    file(
      USERS,
      '{ name: "@g", members: ["kim"] }',
      [allow("a"), allow("b"), allow("c"), allow("d")],
      'explainToClients: true, whenRevoked: "filter"',
    ),
    'explainToClients is now true, whenRevoked is now "filter"',
  ],
  [
    "a ledger in its place",
    read("{ ledger: { users: { kim: { password: 'p' } }, acl: [{ filters: { '#': 0 } }] } }"),
    "-2 users (kim, lee), -1 group (@g), rule 1 is gone: it allowed a to @any, rule 2 is gone: it allowed b to @any, rule 3 is gone: it allowed c to @any, rule 4 is gone: it allowed d to @any, the ledger has changed",
  ],
] as const) {
  test(`changes: ${title}`, () => assert.equal(describeChanges(BEFORE, after), expected));
}

test("changes: in a long list of names the one that came is told, and their order does not count", () => {
  const names = Array.from({ length: 8 }, (_, index) => `u${index}`);
  const users = names.map((name) => `{ name: "${name}", method: "unix_socket" }`).join();
  const rule = (of: readonly string[]): string[] => [`{ topic: "a", allow: { sub: ${JSON.stringify(of)} } }`];
  const before = file(users, "", rule(names.slice(0, 7)));
  assert.equal(describeChanges(before, file(users, "", rule(names.slice(0, 7).reverse()))), undefined);
  assert.equal(
    describeChanges(before, file(users, "", rule([...names.slice(0, 6), "u7"]))),
    "rule 1 now allows a to u0, u1, u2, u3, u4 and 2 more (subscribe): +u7 -u6",
  );
});

test("changes: many are counted, and so are many names", () => {
  const many = Array.from({ length: 30 }, (_, index) => allow(`t/${index}`));
  const users = Array.from({ length: 8 }, (_, index) => `{ name: "u${index}", method: "unix_socket" }`).join();
  const said = describeChanges(file("", "", []), file(users, "", many))!;
  assert.match(
    said,
    /^\+8 users \(u0, u1, u2, u3, u4 and 3 more\), rule 1 is new: it allows t\/0 to @any, .* and 19 more changes$/,
  );
});

test("changes: thousands of other rules take no time", () => {
  const rules = (topic: string): string[] => Array.from({ length: 3000 }, (_, index) => allow(`${topic}/${index}`));
  const [before, after] = [file("", "", rules("a")), file("", "", rules("b"))];
  const startedMs = performance.now();
  assert.equal(describeChanges(before, after), "rules 1 to 3000 are others than the 3000 before");
  assert.ok(performance.now() - startedMs < 1000);
});
