import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { AUTH_BYTES_MAX, readAuthRules } from "../../../src/auth/reading/auth-document.ts";
import { formatProblem } from "../../../src/text/problem.ts";
import { DIGEST, lines, messages, READING, read, withRules } from "./reading-kit.ts";

suite("a file that is right", () => {
  test("is read into users, groups and rules", () => {
    const { auth, problems } = read(`# how it was
{
  authentication: [
    { name: "kim", method: "sha256", salt: "s", digest: "${DIGEST}", admin: "all", maxConnections: 2,
      messagesPerSecond: 0.5, bytesPerSecond: "64KiB", queueBytes: 1000 }, // Kim
    { name: "line", method: "serial", port: "/dev/ttyUSB*", clientId: "c*", from: ["local", "192.168.1.0/24"] },
  ],
  groups: [{ name: "@all", members: ["kim", "line"], note: "both" }],
  authorization: [
    { topic: "home/%u/#", allow: { sub: ["@all"], pub: ["kim"] }, maxQos: 1, retain: false, expires: "2027-03-31" },
    { topic: "home/door", deny: { sub: ["@any"] }, allow: { pub: ["line"], sub: [] } },
  ],
  explainToClients: true,
  whenRevoked: "filter",
}`);
    assert.deepEqual(
      problems.filter(({ severity }) => severity !== "note"),
      [],
    );
    const kim = {
      name: "kim",
      method: "sha256",
      secret: { method: "sha256", salt: "s", digest: DIGEST },
      jwt: undefined,
      from: [],
      clientIds: [],
      expiresMs: Number.POSITIVE_INFINITY,
      admin: "all",
      limits: { maxConnections: 2, messagesPerSecond: 0.5, bytesPerSecond: 65_536, queueBytes: 1000 },
      port: "*",
      nodeId: "*",
      verifyField: "CN",
      place: {
        file: "auth.json5",
        line: 4,
        column: 5,
        text: '{ name: "kim", method: "sha256", salt: "…", digest: "…", admin: "all", maxConnections: 2, messagesPerSecond: 0.5, bytesPerSecond: "64KiB", queueBytes: 1000 }',
      },
    };
    const line = {
      ...kim,
      name: "line",
      method: "serial",
      secret: undefined,
      from: ["local", "192.168.1.0/24"],
      clientIds: ["c*"],
      admin: "none",
      limits: {},
      port: "/dev/ttyUSB*",
      place: {
        file: "auth.json5",
        line: 6,
        column: 5,
        text: '{ name: "line", method: "serial", port: "/dev/ttyUSB*", clientId: "c*", from: ["local", "192.168.1.0/24"] }',
      },
    };
    const unconditional = { from: [], clientIds: [], expiresMs: Number.POSITIVE_INFINITY };
    assert.deepEqual(auth, {
      file: "auth.json5",
      users: [kim, line],
      groups: [
        {
          name: "@all",
          members: ["kim", "line"],
          place: {
            file: "auth.json5",
            line: 8,
            column: 12,
            text: '{ name: "@all", members: ["kim", "line"], note: "both" }',
          },
        },
      ],
      rules: [
        {
          ...unconditional,
          number: 1,
          topicFilter: "home/%u/#",
          sub: { allow: true, names: ["@all"] },
          pub: { allow: true, names: ["kim"] },
          maximumQos: 1,
          retain: false,
          expiresMs: Date.UTC(2027, 3, 1),
          place: {
            file: "auth.json5",
            line: 10,
            column: 5,
            text: '{ topic: "home/%u/#", allow: { sub: ["@all"], pub: ["kim"] }, maxQos: 1, retain: false, expires: "2027-03-31" }',
          },
        },
        {
          ...unconditional,
          number: 2,
          topicFilter: "home/door",
          sub: { allow: false, names: ["@any"] },
          pub: { allow: true, names: ["line"] },
          maximumQos: 2,
          retain: true,
          place: {
            file: "auth.json5",
            line: 11,
            column: 5,
            text: '{ topic: "home/door", deny: { sub: ["@any"] }, allow: { pub: ["line"], sub: [] } }',
          },
        },
      ],
      ledger: undefined,
      explainToClients: true,
      whenRevoked: "filter",
    });
  });

  test("may name files with keys, whose last line end is no part of a secret", () => {
    const { auth, problems } = read(
      '{ authentication: [{ name: "*", method: "jwt", keyFile: "secret.txt", audience: "a", issuer: "i", claims: { groups: "g" } }],\n authorization: [{ topic: "a", allow: { sub: ["@any"] } }] }',
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(auth?.users[0]?.jwt, {
      key: { kind: "secret", text: "s".repeat(32) },
      algorithms: [],
      audience: ["a"],
      issuer: "i",
      userClaim: "sub",
      groupsClaim: "g",
    });
  });

  test("may be YAML", () => {
    const { auth, problems } = read(
      "authentication:\n  - { name: anonymous, method: anonymous }\nauthorization:\n  - topic: a/b\n    allow: { pub: [anonymous] }\n",
      "auth.yml",
    );
    assert.deepEqual(problems, []);
    assert.deepEqual([auth?.rules[0]?.topicFilter, auth?.rules[0]?.place.line], ["a/b", 4]);
  });

  test("may begin with a byte order mark", () => {
    assert.deepEqual(messages(read("\ufeff{ authentication: 1 }")), [
      "1:1 The file has no authorization, the list that says who may publish and subscribe to what",
      "1:19 authentication must be a list in square brackets, not 1",
    ]);
  });

  test("in the format of the older brokers has no errors, whatever begins its comments and separates its lines", () => {
    const text = `# c1
{
  "authentication": [
    { "name": "u1", "method": "sha256", "salt": "s", "digest": "${DIGEST.toUpperCase()}" },
    { "name": "u2", "method": "client_cert" }, { "name": "u3", "method": "plain_password", "digest": "x" },
    { "name": "anonymous", "method": "anonymous" }, /* c2 */ { "name": "unauthenticated", "method": "unauthenticated" }
  ], // c3 # "
  "group": [{ "name": "@g1", "members": ["u1", "u2", "u3"] }, { "name": "@none" }],
  "authorization": [
    { "topic": "#", "deny": { "sub": ["@g1"], "pub": ["@g1"] } },
    { "topic": "sub/#", "allow": { "sub": ["@g1"], "pub": ["@g1"] } },
    { "topic": "sub/one", "deny": { "sub": ["u2"] } }
  ]
}`;
    for (const each of [text, text.replaceAll("\n", "\r\n")]) {
      const { auth, problems } = read(each, "auth.json");
      assert.ok(auth !== undefined, problems.map(formatProblem).join("\n"));
      assert.deepEqual(messages({ auth, problems }), [
        '5:48 warning: the password of "u3" can be read by everybody who can read this file',
        '4:5 note: sha256 is so fast that whoever has this file can find the password of "u1" by trying',
        '6:5 note: no rule allows anything to "anonymous" and "unauthenticated", who may connect and do nothing',
        "12:5 note: rule 3 denies sub/one within sub/#, which rule 2 (line 11) allows",
      ]);
    }
  });
});

suite("ledgers", () => {
  test("a ledger in a file of rules", () => {
    const answer = read(
      '{ explainToClients: true,\n ledger: { users: { melon: { password: "x", acl: { "a/#": 3 } } } } }',
    );
    assert.equal(answer.auth?.explainToClients, true);
    assert.deepEqual(answer.auth.ledger?.users.get("melon"), { password: "x", disallow: false, filters: [["a/#", 3]] });
    assert.deepEqual(messages(answer), ["2:2 warning: What no rule of acl matches is allowed"]);
  });

  test("a ledger of mochi's server as it is", () => {
    const answer = read("users:\n  melon: { password: x }\nacl:\n  - filters: { '#': 0 }\n", "ledger.yaml");
    assert.equal(answer.auth?.ledger?.users.size, 1);
    assert.deepEqual(messages(answer), ["1:1 warning: This is a ledger of mochi's server, and read as one"]);
  });
});

suite("bounds", () => {
  test("of many mistakes a hundred are told, and the others counted", () => {
    const answer = read(withRules('{ topic: "a", allow: { sub: ["nobody"] } },\n'.repeat(137)));
    assert.equal(answer.problems.length, 101);
    assert.deepEqual(answer.problems.at(-1), {
      severity: "error",
      file: "auth.json5",
      line: 0,
      column: 0,
      message: "37 more errors are not shown",
      count: 37,
    });
  });

  test("texts that are too long are refused as a whole", () => {
    assert.deepEqual(lines(read(" ".repeat(AUTH_BYTES_MAX + 1))), [
      "0:0 The file has more than 4 MiB (Use groups, %u and %c in place of rules for each)",
    ]);
    assert.deepEqual(lines(read(" ".repeat(1024 * 1024 + 1), "a.yaml")), [
      "0:0 The file has more than 1 MiB (Use groups, %u and %c in place of rules for each, or JSON5, of which 4 MiB are read)",
    ]);
  });

  test("deep nesting is a mistake", () => {
    assert.deepEqual(messages(read(`{ a: ${"[".repeat(100_000)}`)), ["1:205 Nested too deeply"]);
  });
});

suite("rules of a program", () => {
  test("are read as those of a file, without places", () => {
    const rules = {
      authentication: [{ name: "kim", method: "plain_password", password: "sesame", note: undefined }],
      authorization: [{ topic: "a", allow: { sub: ["kim"] } }],
    };
    const { auth, problems } = readAuthRules(rules, READING);
    assert.deepEqual(problems, [
      {
        severity: "warning",
        file: "",
        line: 0,
        column: 0,
        message: 'the password of "kim" can be read by everybody who can read this file',
        hint: "mqtt-broker passwd add NAME asks for a new one and keeps a hash of it",
      },
    ]);
    assert.deepEqual(auth?.users[0]?.place, {
      file: "",
      line: 0,
      column: 0,
      text: '{ name: "kim", method: "plain_password", password: "…" }',
    });
  });

  test("their mistakes are named by the entries", () => {
    const { auth, problems } = readAuthRules(
      { authentication: [], authorization: [{ topic: "a", allow: { sub: ["kim"] } }] },
      READING,
    );
    assert.equal(auth, undefined);
    assert.deepEqual(problems.map(formatProblem), [
      'rule 1 names user "kim", who is not in authentication\n  Correct the name, take it away here, or add an entry for it to authentication',
    ]);
  });

  test("may be anything at all", () => {
    const loop: Record<string, unknown> = { name: "kim", method: "anonymous" };
    loop.note = loop;
    for (const rules of [
      undefined,
      null,
      5,
      "x",
      [],
      () => 1,
      { authentication: [loop], authorization: [] },
      { authentication: new Map() },
    ]) {
      assert.equal(readAuthRules(rules, READING).auth, undefined);
    }
  });
});

test("a file with random damage is read or refused with problems, and nothing is thrown", () => {
  const text = withRules(
    '{ topic: "a/%u/#", allow: { sub: ["@g"] }, maxQos: 1, from: ["local", "10.0.0.0/8"], expires: "2027-01-01" },\n{ topic: "b", deny: { pub: ["kima"] } }',
    ' group: [{ name: "@g", members: ["kima"] }], # comment\n',
  );
  const yaml =
    "authentication:\n  - { name: kim, method: plain_password, password: 'sesame' }\nauthorization:\n  - topic: a/b\n    allow:\n      sub: [kim]\n";
  const pieces = [
    "",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "'",
    "null",
    "5",
    "-1e999",
    "\0",
    "\ud800",
    "#",
    "//",
    "/*",
    "\n",
    "\\",
    "@",
    "*",
    "+",
    "$share/",
    "true",
    "key",
    "  - ",
    "&a",
    "*a",
    "|",
  ];
  let state = 4711;
  const below = (limit: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(state / 65_536) % limit;
  };
  let accepted = 0;
  for (let round = 0; round < 1500; round++) {
    const [original, file] = round % 3 === 0 ? [yaml, "a.yaml"] : [text, "a.json5"];
    let damaged = original;
    for (let count = 1 + below(3); count > 0; count--) {
      const at = below(damaged.length);
      damaged = damaged.slice(0, at) + pieces[below(pieces.length)] + damaged.slice(at + below(6));
    }
    const answer = read(damaged, file);
    assert.equal(
      answer.auth === undefined,
      answer.problems.some(({ severity }) => severity === "error"),
      damaged,
    );
    for (const problem of answer.problems) formatProblem(problem);
    if (answer.auth !== undefined) accepted++;
  }
  assert.ok(accepted > 20 && accepted < 1400, `${accepted} of 1500 were accepted`);
});
