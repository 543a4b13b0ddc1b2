import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type LedgerAccess, ledger, ledgerFrom } from "../../../src/auth/ledger/ledger.ts";
import { LedgerError, parseLedger, readLedger } from "../../../src/auth/ledger/ledger-document.ts";

/** The shape of mochi's own examples. */
const YAML = `users:
  melon:
    password: ripe
    acl:
      melon/#: 3
      updates/#: 2
auth:
  - username: peach
    password: password1
    allow: true
  - remote: 127.0.0.1:*
    allow: true
acl:
  - remote: 127.0.0.1:*
  - username: peach
    filters:
      'peach/#': 3
  - filters:
      '#': 0
`;

const JSON_TEXT = `{
  "users": { "melon": { "password": "ripe", "acl": { "melon/#": 3, "updates/#": 2 } } },
  "auth": [
    { "username": "peach", "password": "password1", "allow": true },
    { "remote": "127.0.0.1:*", "allow": true }
  ],
  "acl": [
    { "remote": "127.0.0.1:*" },
    { "username": "peach", "filters": { "peach/#": 3 } },
    { "filters": { "#": 0 } }
  ]
}
`;

const EXPECTED = {
  users: new Map([
    [
      "melon",
      {
        password: "ripe",
        disallow: false,
        filters: [
          ["melon/#", 3],
          ["updates/#", 2],
        ],
      },
    ],
  ]),
  auth: [
    { client: "", username: "peach", password: "password1", remote: "", allow: true },
    { client: "", username: "", password: "", remote: "127.0.0.1:*", allow: true },
  ],
  acl: [
    { client: "", username: "", remote: "127.0.0.1:*", filters: [] },
    { client: "", username: "peach", remote: "", filters: [["peach/#", 3]] },
    { client: "", username: "", remote: "", filters: [["#", 0]] },
  ],
  warnings: [],
};

const bytes = (text: string): Uint8Array => Buffer.from(text);

suite("reading a ledger", () => {
  test("YAML", () => assert.deepEqual(parseLedger(bytes(YAML), "ledger.yaml"), EXPECTED));

  test("JSON, told by its first byte", () => assert.deepEqual(parseLedger(bytes(JSON_TEXT), "x"), EXPECTED));

  test("an object of a program", () => assert.deepEqual(readLedger(JSON.parse(JSON_TEXT)), EXPECTED));

  test("JSON with a space before it is read as YAML, which understands it", () => {
    assert.deepEqual(parseLedger(bytes(`\n${JSON_TEXT}`), "x"), EXPECTED);
  });

  test("nothing lets nobody in", () => {
    const access: LedgerAccess = ledgerFrom(bytes(""));
    assert.equal(
      access.warnings[0],
      'ledger:1:1: Nobody is let in: no user and no auth rule does it. Add users: { NAME: { password: "…" } }, or { allow: true } to auth for everybody',
    );
    assert.equal(access.check, undefined);
  });

  test("sections and users without content are empty", () => {
    const { users, auth, acl } = parseLedger(bytes("users:\n  u:\nauth:\nacl:\n"), "x");
    assert.deepEqual([...users], [["u", { password: "", disallow: false, filters: [] }]]);
    assert.deepEqual([auth, acl], [[], []]);
  });

  test("filters keep their order, also those that look like numbers", () => {
    const { users } = parseLedger(bytes("users:\n  u:\n    acl:\n      '#': 0\n      '10': 1\n      '2': 2\n"), "x");
    assert.deepEqual(users.get("u")?.filters, [
      ["#", 0],
      ["10", 1],
      ["2", 2],
    ]);
  });

  test("warnings have their place", () => {
    const { warnings } = parseLedger(bytes("auth:\n  - allow: true\n    remote: 10.0.0.1\nacl: [{}]\n"), "l.yaml");
    assert.deepEqual(warnings, [
      "l.yaml:3:5: auth[0].remote matches no TCP client, whose port is part of it: write 10.0.0.1:*",
    ]);
  });
});

/** name of the case, text, the first line of each problem, and its hint. */
const MISTAKES: [name: string, text: string, ...problems: string[]][] = [
  ["broken JSON", '{\n  "users": {,}\n}', 'l:2:13: Found "," where a key or "}" should be|Is there a comma too many?'],
  [
    "broken YAML",
    "auth:\n  - [",
    "l:2:6: Not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ],
  [
    "a key that is given twice",
    '{\n  "auth": [],\n  "auth": []\n}',
    'l:3:3: Key "auth" is given twice, first in line 2',
  ],
  ["an unknown section", "user: {}\n", 'l:1:1: ledger has an unknown key "user"|Did you mean "users"?'],
  [
    "an unknown key of a user",
    "users:\n  u: { passwort: x }\n",
    'l:2:8: users.u has an unknown key "passwort"|Did you mean "password"?',
  ],
  [
    "a key of another section",
    "auth:\n  - filters: {}\n",
    'l:2:5: auth[0] has an unknown key "filters"|Known here: client, username, password, remote, allow',
  ],
  [
    "a password that YAML reads as a number",
    "users:\n  u:\n    password: 0123\n",
    "l:3:15: users.u.password must be a text, not a number|Put it in quotes",
  ],
  [
    "a user name that YAML reads as a number",
    "users:\n  007: { password: x }\n",
    "l:2:3: users.7 was written otherwise, and read so|Put the key in quotes",
  ],
  [
    "a user name that YAML reads as a truth",
    "users:\n  True: { password: x }\n",
    "l:2:3: users.true was written otherwise, and read so|Put the key in quotes",
  ],
  [
    "a permission that does not exist",
    "acl:\n  - filters:\n      a: 4\n",
    "l:3:10: acl[0].filters.a must be 0 (deny), 1 (read), 2 (write) or 3 (both), not 4",
  ],
  [
    "a permission in quotes",
    'acl:\n  - filters:\n      a: "1"\n',
    "l:3:10: acl[0].filters.a must be 0 (deny), 1 (read), 2 (write) or 3 (both), not a text",
  ],
  [
    "a filter that is none",
    "acl:\n  - filters:\n      a/#/b: 1\n",
    'l:3:7: acl[0].filters["a/#/b"] is no valid Topic Filter|# and + stand alone between slashes, and # comes last',
  ],
  [
    "a shared filter",
    "acl:\n  - filters:\n      $share/g/a: 1\n",
    'l:3:7: acl[0].filters["$share/g/a"] is a shared subscription|Leave it out: what stands behind $share/NAME/ is judged',
  ],
  [
    "an allow that is no boolean",
    "auth:\n  - allow: yes\n",
    "l:2:12: auth[0].allow must be true or false, not a text|Write it without quotes",
  ],
  ["rules that are no list", "auth:\n  allow: true\n", "l:2:3: auth must be a list of rules, not an object"],
  ["a rule that is no object", "acl:\n  - deny\n", "l:2:5: acl[0] must be an object, not a text"],
  ["a rule that is nothing, which would match everybody", "acl:\n  -\n", "l:2:4: acl[0] must be an object, not null"],
  ["a text instead of a ledger", "hello\n", "l:1:1: ledger must be an object, not a text"],
  [
    "several mistakes at once",
    "auth:\n  - allow: 1\n  - client: 2\n",
    "l:2:12: auth[0].allow must be true or false, not 1|Write it without quotes",
    "l:3:13: auth[1].client must be a text, not 2|Put it in quotes",
  ],
];

suite("mistakes in a ledger", () => {
  for (const [name, text, ...expected] of MISTAKES) {
    test(name, () => {
      assert.throws(
        () => ledgerFrom(bytes(text), "l"),
        (error) => {
          assert.ok(error instanceof LedgerError);
          const found = error.problems.map(({ file, line, column, message, hint }) => {
            return `${file}:${line}:${column}: ${message}${hint === undefined ? "" : `|${hint}`}`;
          });
          assert.deepEqual(found, expected);
          return true;
        },
      );
    });
  }

  test("the message shows the line and points at the place", () => {
    assert.throws(() => ledgerFrom(bytes("user: {}\n"), "l.yaml"), {
      name: "LedgerError",
      message: 'l.yaml:1:1: ledger has an unknown key "user"\n    user: {}\n    ^\n  Did you mean "users"?',
    });
  });

  test("bytes that are no UTF-8", () => {
    assert.throws(() => ledgerFrom(Buffer.from("7b22ff227d", "hex"), "l.json"), {
      name: "LedgerError",
      message: "l.json: Is not a text in UTF-8: save it so",
    });
  });

  test("in an object of a program mistakes are named by their path", () => {
    const rules = { users: { "a b": { acl: { x: 7 } } }, acl: [{ filter: {} }] };
    assert.throws(() => ledger(rules as never), {
      message: [
        'users["a b"].acl.x must be 0 (deny), 1 (read), 2 (write) or 3 (both), not 7',
        'acl[0] has an unknown key "filter"',
        '  Did you mean "filters"?',
      ].join("\n"),
    });
  });
});
