import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { readAuthFile } from "../../../src/auth/reading/auth-document.ts";
import { DIGEST, lines, messages, READING, read, SCRYPT, withRules, withUsers } from "./reading-kit.ts";

suite("what is right and likely not meant so is warned of", () => {
  test("double names: the last one counts", () => {
    const answer = read(
      withUsers(
        `{ name: "kim", method: "plain_password", password: "x" },\n{ name: "kim", method: "scrypt", hash: "${SCRYPT}" }`,
      ).replace("authorization", 'group: [{ name: "@g" },\n{ name: "@g", members: ["kim"] }], authorization'),
    );
    assert.deepEqual(
      answer.auth?.users.map(({ method }) => method),
      ["scrypt"],
    );
    assert.deepEqual(
      answer.auth?.groups.map(({ members }) => members),
      [["kim"]],
    );
    assert.deepEqual(lines(answer), [
      '2:1 warning: user "kim" is there more than once, and the one in line 3 counts (Remove this one, which has no effect)',
      '4:12 warning: group "@g" is there more than once, and the one in line 5 counts (Remove this one, which has no effect)',
    ]);
  });

  test("names that only a certificate or token can bring", () => {
    const text = withRules('{ topic: "a", allow: { sub: ["kim", "eve", "kim"] } }').replace(
      "authentication: [",
      'authentication: [{ name: "*", method: "client_cert" }, ',
    );
    const answer = read(text);
    assert.equal(answer.auth?.rules[0]?.sub?.names.length, 3);
    assert.deepEqual(
      lines(answer).filter((line) => line.includes("warning")),
      [
        '3:30 warning: "kim" and "eve" are not in authentication (Right if a certificate, key or token brings the name, by the entry with the name "*"; else correct it, or add an entry)',
      ],
    );
  });

  test("entries that have expired", () => {
    const rule = (expires: string): string =>
      withRules(`{ topic: "a", allow: { sub: ["@any"] }, expires: "${expires}" }`);
    const expired = (expires: string): boolean =>
      lines(read(rule(expires))).some((line) => line.includes("rule 1 has expired"));
    assert.equal(expired("2026-06-15T11:59:59Z"), true);
    assert.equal(expired("2026-06-15T13:59:59+02:00"), true);
    assert.equal(expired("2026-06-14"), true);
    assert.equal(expired("2026-06-15"), false);
    assert.equal(expired("2026-06-15T12:00:01Z"), false);
    assert.equal(read(rule("2026-02-30")).auth, undefined);
    assert.equal(read(rule("2026-06-15T12:00")).auth, undefined);
    assert.equal(read(rule("2026-06-15T25:00:00Z")).auth, undefined);
  });

  test("keys that no listener has, and identities of two users", () => {
    const users = `{ name: "a", method: "psk" },\n{ name: "b", method: "psk", identity: "a" }, { name: "*", method: "psk" }`;
    const shared =
      '3:1 warning: "b" cannot get in: an earlier entry has the same identity (Whoever proves a key is one user: give each an identity and a key of its own)';
    assert.deepEqual(
      lines(read(withUsers(users))).filter((line) => line.includes("cannot get in")),
      [shared],
    );
    const answer = readAuthFile(withUsers(users), "auth.json5", { ...READING, keysChecked: false });
    assert.deepEqual(
      lines(answer).filter((line) => line.includes("cannot get in")),
      [
        '2:1 warning: "a", "b" and "*" cannot get in: no listener has keys of clients (The method psk needs a TLS listener with --psk-file FILE)',
        shared,
      ],
    );
  });

  test("secrets that are easy to find", () => {
    const users = `{ name: "a", method: "sha256", digest: "${DIGEST}" }, { name: "b", method: "sha256", digest: "${DIGEST}", salt: "" }, { name: "j", method: "jwt", key: "short" }`;
    assert.deepEqual(messages(read(withUsers(users))), [
      '2:1 warning: the digest of "a" and "b" has no salt: such passwords are found in ready-made tables',
      '2:262 warning: user "j": the secret is shorter than 32 bytes: whoever has one token can find it by trying',
      '2:1 note: sha256 is so fast that whoever has this file can find the password of "a" and "b" by trying',
    ]);
  });

  test("certificates, where nothing verifies them", () => {
    const text = withUsers('{ name: "c", method: "client_cert" }');
    const unverified = readAuthFile(text, "auth.json5", { ...READING, certificatesVerified: false });
    assert.deepEqual(messages(unverified), [
      '2:1 warning: "c" cannot get in: no listener verifies certificates of clients',
    ]);
    assert.deepEqual(messages(read(text)), []);
  });

  test("administration without a password, wildcards that are none, and nobody at all", () => {
    assert.deepEqual(messages(read(withUsers('{ name: "a", method: "anonymous", admin: "read" }'))), [
      '2:42 warning: user "a": whoever connects without a password may use the administration',
    ]);
    assert.deepEqual(messages(read(withRules('{ topic: "a/*", allow: { sub: ["@any"] } }'))), [
      '3:10 warning: rule 1: "*" in "a/*" stands for itself',
    ]);
    assert.deepEqual(messages(read("{ authentication: [], authorization: [] }")), [
      "1:19 warning: Nobody can connect: authentication has no entry",
    ]);
    assert.deepEqual(messages(read('{ authentication: [{ name: "a", method: "anonymous" }], authorization: [] }')), [
      "1:72 warning: Nobody may publish or subscribe: authorization has no rule",
    ]);
  });

  test("whom no rule allows anything, but for administrators", () => {
    const user = (name: string, more = ""): string => `{ name: "${name}", method: "scrypt", hash: "${SCRYPT}"${more} }`;
    const text = withUsers(`${user("a")}, ${user("b", ', admin: "read"')}, ${user("c")}`).replace('"@any"', '"c"');
    assert.deepEqual(messages(read(text)), [
      '2:1 note: no rule allows anything to "a", who may connect and do nothing',
    ]);
  });

  test("rules and keys without effect", () => {
    assert.deepEqual(
      lines(
        read(
          withRules(
            '{ topic: "a", allow: { sub: [] } },\n{ topic: "b", allow: { sub: ["@any"] }, retain: false }, { topic: "c", deny: { sub: ["@any"] }, maxQos: 1 }',
          ),
        ),
      ),
      [
        '3:1 warning: rule 1 has no effect: it names nobody (Add allow: { sub: ["…"], pub: ["…"] }, or deny, with names of users or groups)',
        "4:41 warning: rule 2: retain has no effect, since the rule allows nobody to publish (It bounds what the same rule allows)",
        "4:97 warning: rule 3: maxQos has no effect, since the rule allows nobody to do anything (It bounds what the same rule allows)",
      ],
    );
  });

  const REVIEWED: [rules: string[], ...expected: string[]][] = [
    [
      [
        'topic: "a/b", allow: { sub: ["kima"] }',
        'topic: "a/#", deny: { sub: ["@any"] }',
        'topic: "c", allow: { pub: ["@any"] }',
      ],
      "3:1 warning: rule 1 has no effect: rule 2 (line 4) comes later and decides all that it would",
    ],
    [
      [
        'topic: "a/b", allow: { sub: ["kima"], pub: ["kima"] }',
        'topic: "a/#", deny: { sub: ["@any"] }',
        'topic: "c", allow: { pub: ["@any"] }',
      ],
    ],
    [['topic: "a/b", allow: { sub: ["@any"] }', 'topic: "a/#", allow: { sub: ["kima"] }']],
    [['topic: "a/b", allow: { sub: ["@any"] }', 'topic: "a/#", deny: { sub: ["@any"] }, from: "local"']],
    [
      ['topic: "a/b", allow: { sub: ["kima"] }', 'topic: "a/#", allow: { sub: ["@g", "anonymous"] }'],
      "3:1 warning: rule 1 has no effect: rule 2 (line 4) comes later and decides all that it would",
    ],
    [
      [
        'topic: "#", deny: { sub: ["@any"] }',
        'topic: "#", allow: { sub: ["@any"] }',
        'topic: "$SYS/#", deny: { sub: ["@any"] }',
      ],
    ],
    [
      ['topic: "#", allow: { sub: ["@any"] }'],
      '3:1 note: rule 1 allows #, which does not include topics that begin with "$"',
    ],
    [['topic: "#", allow: { sub: ["@any"] }', 'topic: "$SYS/#", allow: { sub: ["kima"] }']],
    [
      [
        'topic: "a/#", allow: { sub: ["@any"] }',
        'topic: "a/b", deny: { sub: ["kima"] }',
        'topic: "a/c", deny: { sub: ["@g"] }',
      ],
      "4:1 note: rule 2 denies a/b within a/#, which rule 1 (line 3) allows (and 1 more like it)",
    ],
    [
      [
        'topic: "a/#", allow: { sub: ["anonymous"] }',
        'topic: "a/b", deny: { sub: ["@g"] }',
        'topic: "z", allow: { pub: ["@any"] }',
      ],
    ],
    [
      ['topic: "a", allow: { sub: ["@g"] }'],
      '1:162 note: no rule allows anything to "anonymous", who may connect and do nothing',
    ],
  ];
  for (const [rules, ...expected] of REVIEWED) {
    test(`rules: ${rules.join(" | ")}`, () => {
      const text = withRules(
        rules.map((rule) => `{ ${rule} }`).join(",\n"),
        ' group: [{ name: "@g", members: ["kima"] }],',
      );
      const found = messages(read(text));
      assert.deepEqual(
        found.map((line) => line.replace(/^1:\d+ /, "1:162 ")),
        expected,
      );
    });
  }
});
