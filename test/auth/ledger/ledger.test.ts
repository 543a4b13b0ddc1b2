import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type LedgerAccess, ledger } from "../../../src/auth/ledger/ledger.ts";
import type { LedgerRules } from "../../../src/auth/ledger/ledger-rules.ts";
import { Login } from "../../../src/auth/login.ts";
import { PacketType } from "../../../src/codec/constants.ts";
import type { Connect } from "../../../src/codec/packet.ts";
import { Client } from "../../../src/core/client.ts";
import { Refusal } from "../../../src/core/hooks.ts";

interface Who {
  client?: string;
  user?: string;
  password?: string;
  remote?: string;
}

/** true, or the reason code of the refusal. */
function admitted(access: LedgerAccess, who: Who): true | number {
  const verdict = access.authenticate(clientOf(who), connectOf(who));
  if (verdict instanceof Refusal) return verdict.reasonCode;
  assert.ok(verdict instanceof Login);
  assert.equal(verdict.userName, who.user);
  return true;
}

/** "rw", "r", "w" or "". */
function rights(access: LedgerAccess, who: Who, topic: string): string {
  assert.ok(access.check !== undefined);
  const client = clientOf(who);
  return `${access.check(client, topic, false) ? "r" : ""}${access.check(client, topic, true) ? "w" : ""}`;
}

function clientOf({ client = "c1", user, remote = "10.0.0.9:50000" }: Who): Client {
  return new Client(client, user, 5, true, 0, { address: remote, local: false, listener: "tcp", transport: "tcp" });
}

function connectOf({ client = "c1", user, password }: Who): Connect {
  return {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId: client,
    will: undefined,
    userName: user,
    password: password === undefined ? undefined : Buffer.from(password),
    properties: {},
    bridge: false,
  };
}

const BAD = 0x86;
const NOT_AUTHORIZED = 0x87;

/** name of the case, rules, who, expected. */
type AuthCase = [name: string, rules: LedgerRules, who: Who, expected: true | number];

const melon: LedgerRules = { users: { melon: { password: "ripe" } } };
const out: LedgerRules = { users: { melon: { password: "ripe", disallow: true } }, auth: [{ allow: true }] };
const auth = (...rules: NonNullable<LedgerRules["auth"]>): LedgerRules => ({ auth: rules });

const AUTH_CASES: AuthCase[] = [
  ["an empty ledger lets nobody in", {}, {}, NOT_AUTHORIZED],
  ["an empty ledger lets no user in", {}, { user: "u", password: "p" }, BAD],
  ["a user with the password is in", melon, { user: "melon", password: "ripe" }, true],
  ["a user with another password is not", melon, { user: "melon", password: "rip" }, BAD],
  ["a user with a longer password is not", melon, { user: "melon", password: "ripe!" }, BAD],
  ["a user without a password is not", melon, { user: "melon" }, BAD],
  ["the password of one user does not serve another", melon, { user: "peach", password: "ripe" }, BAD],
  ["user names are compared with their case", melon, { user: "Melon", password: "ripe" }, BAD],
  [
    "a star in a user's password is a star",
    { users: { u: { password: "*" } } },
    { user: "u", password: "anything" },
    BAD,
  ],
  ["a star in a user's password is one", { users: { u: { password: "*" } } }, { user: "u", password: "*" }, true],
  ["a prefix in a user's password is none", { users: { u: { password: "a*" } } }, { user: "u", password: "ab" }, BAD],
  ["a listed user without password is not in by that", { users: { u: {} } }, { user: "u" }, BAD],
  ["an empty password in the list admits no empty one", { users: { u: { password: "" } } }, { user: "u" }, BAD],
  ["disallow refuses the right password", out, { user: "melon", password: "ripe" }, BAD],
  ["disallow refuses a wrong password too, though an auth rule matches", out, { user: "melon", password: "x" }, BAD],
  ["others are not meant by disallow", out, { user: "peach" }, true],
  [
    "a user whose password is wrong is decided by the auth rules",
    { ...melon, auth: [{ username: "melon", remote: "10.*", allow: true }] },
    { user: "melon", password: "wrong" },
    true,
  ],
  ["a user called __proto__ is nobody", melon, { user: "__proto__", password: "ripe" }, BAD],
  ["a user called constructor is nobody", melon, { user: "constructor" }, BAD],
  ["a rule without conditions matches everybody", auth({ allow: true }), {}, true],
  ["a rule that does not say allow refuses", auth({ username: "*" }), { user: "u" }, BAD],
  [
    "the first rule that matches wins: refused",
    auth({ username: "u", allow: false }, { allow: true }),
    { user: "u" },
    BAD,
  ],
  ["the first rule that matches wins: allowed", auth({ username: "u", allow: true }, {}), { user: "u" }, true],
  ["rules that do not match are passed over", auth({ username: "x" }, { allow: true }), { user: "u" }, true],
  ["no rule matches: refused", auth({ username: "x", allow: true }), { user: "u" }, BAD],
  ["all conditions must match", auth({ username: "u", client: "c2", allow: true }), { user: "u", client: "c1" }, BAD],
  ["client is the client identifier", auth({ client: "c1", allow: true }), { client: "c1" }, true],
  ["an empty condition matches all", auth({ client: "", username: "", allow: true }), { user: "u" }, true],
  ["a star matches all, also what was not sent", auth({ username: "*", password: "*", allow: true }), {}, true],
  ["a prefix matches", auth({ username: "sensor-*", allow: true }), { user: "sensor-7" }, true],
  ["a prefix needs something after it", auth({ username: "sensor-*", allow: true }), { user: "sensor-" }, BAD],
  ["a prefix is a beginning", auth({ username: "sensor-*", allow: true }), { user: "a-sensor-7" }, BAD],
  ["what stands behind the star is not looked at", auth({ username: "s*x", allow: true }), { user: "sensor" }, true],
  ["the text itself matches, star and all", auth({ username: "s*", allow: true }), { user: "s*" }, true],
  ["a star in front of more matches itself only", auth({ username: "*r", allow: true }), { user: "sensor" }, BAD],
  [
    "a rule's password must match",
    auth({ username: "u", password: "p", allow: true }),
    { user: "u", password: "q" },
    BAD,
  ],
  [
    "a rule's password matches",
    auth({ username: "u", password: "p", allow: true }),
    { user: "u", password: "p" },
    true,
  ],
  [
    "a rule's password may be a prefix",
    auth({ password: "key-*", allow: true }),
    { user: "u", password: "key-1" },
    true,
  ],
  [
    "a password's prefix needs something after it",
    auth({ password: "key-*", allow: true }),
    { user: "u", password: "key-" },
    BAD,
  ],
  [
    "passwords are compared by bytes",
    auth({ password: "schlüssel", allow: true }),
    { user: "u", password: "schlüssel" },
    true,
  ],
  ["remote is address and port", auth({ remote: "127.0.0.1:*", allow: true }), { remote: "127.0.0.1:50312" }, true],
  [
    "remote without a port matches no TCP client",
    auth({ remote: "127.0.0.1", allow: true }),
    { remote: "127.0.0.1:50312" },
    NOT_AUTHORIZED,
  ],
  [
    "remote of another host",
    auth({ remote: "127.0.0.1:*", allow: true }),
    { remote: "127.0.0.10:50312" },
    NOT_AUTHORIZED,
  ],
  ["remote of IPv6 is in brackets", auth({ remote: "[::1]:*", allow: true }), { remote: "[::1]:1" }, true],
  ["remote by network", auth({ remote: "192.168.*", allow: true }), { remote: "192.168.3.4:1" }, true],
];

suite("who a ledger lets in", () => {
  for (const [name, rules, who, expected] of AUTH_CASES) {
    test(name, () => assert.equal(admitted(ledger(rules), who), expected));
  }
});

const own = (acl: Record<string, 0 | 1 | 2 | 3>, rest: LedgerRules = {}): LedgerRules => ({
  users: { u: { password: "p", acl } },
  ...rest,
});
const acl = (...rules: NonNullable<LedgerRules["acl"]>): LedgerRules => ({ acl: rules });

type AclCase = [name: string, rules: LedgerRules, who: Who, topic: string, expected: string];

const ACL_CASES: AclCase[] = [
  ["0 denies", acl({ filters: { a: 0 } }), {}, "a", ""],
  ["1 is reading", acl({ filters: { a: 1 } }), {}, "a", "r"],
  ["2 is writing", acl({ filters: { a: 2 } }), {}, "a", "w"],
  ["3 is both", acl({ filters: { a: 3 } }), {}, "a", "rw"],
  ["what no rule matches is allowed", acl({ filters: { a: 0 } }), {}, "b", "rw"],
  ["a rule without filters allows everything", acl({}, { filters: { "#": 0 } }), {}, "a", "rw"],
  ["rules for others are passed over", acl({ username: "x" }, { filters: { "#": 0 } }), { user: "u" }, "a", ""],
  ["the first rule that matches wins", acl({ filters: { a: 1 } }, { filters: { a: 2 } }), {}, "a", "r"],
  [
    "a rule none of whose filters match is passed over",
    acl({ filters: { b: 0 } }, { filters: { a: 1 } }),
    {},
    "a",
    "r",
  ],
  [
    "in one rule a filter that grants wins over one that denies",
    acl({ filters: { "#": 0, "a/+": 2 } }),
    {},
    "a/b",
    "w",
  ],
  ["rights of several filters of one rule add up", acl({ filters: { "a/#": 1, "a/+": 2 } }), {}, "a/b", "rw"],
  ["a rule may be for a client", acl({ client: "c1", filters: { a: 0 } }), { client: "c1" }, "a", ""],
  ["a rule may be for other clients", acl({ client: "c2", filters: { a: 0 } }), { client: "c1" }, "a", "rw"],
  ["a rule may be for a remote", acl({ remote: "10.*", filters: { a: 0 } }), { remote: "10.1.2.3:4" }, "a", ""],
  ["a user's first filter decides: denied", own({ "a/b": 0, "a/#": 3 }), { user: "u" }, "a/b", ""],
  ["a user's first filter decides: allowed", own({ "a/#": 3, "a/b": 0 }), { user: "u" }, "a/b", "rw"],
  ["a user's filter that does not grant denies", own({ a: 1 }, acl({ filters: { a: 3 } })), { user: "u" }, "a", "r"],
  [
    "what no filter of a user matches is for the acl",
    own({ a: 1 }, acl({ filters: { "#": 2 } })),
    { user: "u" },
    "b",
    "w",
  ],
  ["one user's filters are not for others", own({ a: 0 }), { user: "v" }, "a", "rw"],
  ["a user's filters hold however the user got in", own({ a: 0 }), { user: "u", password: "wrong" }, "a", ""],
  ["a filter is no prefix", acl({ filters: { "a/b": 0 } }), {}, "a/b/c", "rw"],
  ["a/# has a", acl({ filters: { "a/#": 0 } }), {}, "a", ""],
  ["a/# does not have ab", acl({ filters: { "a/#": 0 } }), {}, "ab", "rw"],
  ["+ is one level", acl({ filters: { "a/+/c": 0 } }), {}, "a/b/c", ""],
  ["+ is not two levels", acl({ filters: { "a/+": 0 } }), {}, "a/b/c", "rw"],
  ["+ is not no level", acl({ filters: { "a/+": 0 } }), {}, "a", "rw"],
  ["+ is an empty level", acl({ filters: { "a/+": 0 } }), {}, "a/", ""],
  ["# denies $SYS as well", acl({ filters: { "#": 0 } }), {}, "$SYS/broker/uptime", ""],
  ["a subscription within the filter", acl({ filters: { "a/#": 1 } }, { filters: { "#": 0 } }), {}, "a/+/c", "r"],
  ["a subscription wider than the filter", acl({ filters: { "a/+": 1 } }, { filters: { "#": 0 } }), {}, "a/#", ""],
  ["a subscription with + within +", acl({ filters: { "a/+": 1 } }, { filters: { "#": 0 } }), {}, "a/+", "r"],
  [
    "a subscription with + is wider than a name",
    acl({ filters: { "a/b": 1 } }, { filters: { "#": 0 } }),
    {},
    "a/+",
    "",
  ],
  ["a subscription to everything is within +/#", acl({ filters: { "+/#": 1 } }, { filters: { "#": 0 } }), {}, "#", "r"],
  ["a subscription to everything", acl({ filters: { "a/#": 1 } }, { filters: { "#": 0 } }), {}, "#", ""],
];

suite("what a ledger allows", () => {
  for (const [name, rules, who, topic, expected] of ACL_CASES) {
    test(name, () => assert.equal(rights(ledger(rules), who, topic), expected));
  }

  test("without rules for topics no topic is asked about", () => {
    assert.equal(ledger({ users: { u: { password: "p" } }, auth: [{ allow: true }] }).check, undefined);
  });
});

suite("what a ledger warns of", () => {
  const deny = { filters: { "#": 0 } } as const;
  const OPEN = 'What no rule of acl matches is allowed. To deny it, end acl with { filters: { "#": 0 } }';
  const NOBODY =
    'Nobody is let in: no user and no auth rule does it. Add users: { NAME: { password: "…" } }, or { allow: true } to auth for everybody';
  const cases: [string, LedgerRules, string[]][] = [
    ["nothing, when the last rule is for everything", { auth: [{ allow: true }], acl: [deny] }, []],
    ["nothing, when the last rule allows everything", { auth: [{ allow: true }], acl: [{}] }, []],
    ["topics that no rule matches", { auth: [{ allow: true }], acl: [{ filters: { a: 1 } }] }, [OPEN]],
    ["a last rule that is not for everybody", { auth: [{ allow: true }], acl: [{ ...deny, username: "u" }] }, [OPEN]],
    ["a ledger that lets nobody in", { auth: [{ allow: false }], acl: [deny] }, [NOBODY]],
    ["users that are all refused", { users: { u: { password: "p", disallow: true } }, acl: [deny] }, [NOBODY]],
    [
      "a remote without port",
      { auth: [{ remote: "10.0.0.1", allow: true }], acl: [deny] },
      ["auth[0].remote matches no TCP client, whose port is part of it: write 10.0.0.1:*"],
    ],
    [
      "a denied topic that is not all below it",
      { auth: [{ allow: true }], acl: [{ filters: { secret: 0, "#": 3 } }] },
      ["acl[0].filters.secret denies this topic alone: for what is below it too, write secret/#"],
    ],
    [
      "a user name beside the key",
      { users: { u: { username: "v", password: "p" } as never }, acl: [deny] },
      ['users.u.username has no effect: the user is called "u", by its key'],
    ],
  ];
  for (const [name, rules, expected] of cases) {
    test(name, () => assert.deepEqual(ledger(rules).warnings, expected));
  }
});
