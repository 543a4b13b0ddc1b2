import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LedgerBook } from "../../../src/auth/ledger/ledger-book.ts";
import { readLedger } from "../../../src/auth/ledger/ledger-document.ts";
import type { LedgerRules } from "../../../src/auth/ledger/ledger-rules.ts";
import { LoginFailure } from "../../../src/auth/login/login-failure.ts";
import { Login } from "../../../src/auth/login.ts";
import { PacketType } from "../../../src/codec/constants.ts";
import { Client, NO_PEER } from "../../../src/core/client.ts";
import { bookOf, clientOf } from "../book-of.ts";

const bookBy = (rules: LedgerRules, anonymous?: "all" | "local" | "none") =>
  new LedgerBook(readLedger(rules), anonymous);

const HOME: LedgerRules = {
  users: {
    kim: { password: "k", acl: { "own/#": 3, "own/locked": 0 } },
    max: { password: "m", disallow: true },
  },
  auth: [
    { username: "sensor-*", password: "s*", allow: true },
    { remote: "127.0.0.1:*", allow: true },
  ],
  acl: [
    { remote: "127.*", filters: { "local/#": 3 } },
    { username: "kim", filters: { "a/#": 3, "a/secret": 0 } },
    { client: "eye", filters: {} },
    { filters: { "#": 0 } },
  ],
};

function logIn(book: LedgerBook, userName?: string, password?: string, from?: string): Login | LoginFailure {
  return book.authenticate(clientOf("c1", userName, from), {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 0,
    clientId: "c1",
    will: undefined,
    userName,
    password: password === undefined ? undefined : Buffer.from(password),
    properties: {},
    bridge: false,
  });
}

function admitted(book: LedgerBook, userName?: string, password?: string, from?: string): Login {
  const login = logIn(book, userName, password, from);
  assert.ok(login instanceof Login);
  return login;
}

suite("a ledger's logins", () => {
  const refusals: [userName: string | undefined, password: string | undefined, reason: string, guess: boolean][] = [
    ["kim", "wrong", "the password is not that of user kim, or no rule of the ledger lets in such clients", true],
    ["max", "m", "user max is disallowed by the ledger", false],
    [
      undefined,
      undefined,
      "the password is not that of a client without user name, or no rule of the ledger lets in such clients",
      false,
    ],
  ];
  for (const [userName, password, reason, guess] of refusals) {
    test(`the log hears why ${userName ?? "nobody"} is not let in`, () => {
      const answer = logIn(bookBy(HOME), userName, password);
      assert.ok(answer instanceof LoginFailure);
      assert.equal(answer.logReason, reason);
      assert.equal(answer.guess, guess);
      assert.equal(answer.reasonString, "not authorized");
    });
  }

  test("the log hears which rule refuses", () => {
    const answer = logIn(bookBy({ auth: [{ username: "a", allow: true }, { username: "b" }] }), "b", "x");
    assert.ok(answer instanceof LoginFailure);
    assert.equal(answer.logReason, "auth[1] of the ledger refuses user b");
  });

  const settings: [setting: "all" | "local" | "none", from: string, isIn: boolean][] = [
    ["all", "10.0.0.9:1", true],
    ["local", "10.0.0.9:1", false],
    ["local", "127.0.0.1:1", true],
    ["none", "127.0.0.1:1", false],
  ];
  for (const [setting, from, isIn] of settings) {
    test(`clients without credentials from ${from} with the setting ${setting}`, () => {
      const book = bookBy(HOME, setting);
      const answer = logIn(book, undefined, undefined, from);
      assert.equal(answer instanceof Login, isIn);
      if (answer instanceof Login) assert.equal(book.renew(clientOf("c1", undefined, from), answer)?.book, book);
    });
  }

  test("the setting is not about clients with credentials", () => {
    assert.equal(admitted(bookBy(HOME, "none"), "kim", "k").userName, "kim");
  });
});

suite("a ledger is read again", () => {
  const isStill = (before: LedgerRules, after: LedgerRules, userName = "kim", password = "k") => {
    const login = admitted(bookBy(before), userName, password);
    const book = bookBy(after);
    const renewed = book.renew(clientOf("c1", userName), login);
    if (renewed !== undefined) assert.equal(renewed.book, book);
    return renewed !== undefined;
  };
  const rule = (password: string, allow = true): LedgerRules => ({ auth: [{ username: "kim", password, allow }] });

  test("a user stays", () => assert.equal(isStill(HOME, HOME), true));
  test("a user who is gone goes", () => assert.equal(isStill(HOME, {}), false));
  test("a user whose password is another goes", () =>
    assert.equal(isStill(HOME, { users: { kim: { password: "other" } } }), false));
  test("a user who is disallowed now goes", () =>
    assert.equal(isStill(HOME, { users: { kim: { password: "k", disallow: true } } }), false));
  test("a user whom a rule for every password lets in now stays", () => assert.equal(isStill(HOME, rule("*")), true));
  test("who came by a rule stays with it", () => assert.equal(isStill(rule("k*"), rule("k*"), "kim", "kk"), true));
  test("who came by a rule goes when its password is another", () =>
    assert.equal(isStill(rule("k*"), rule("q*"), "kim", "kk"), false));
  test("who came by a pattern goes when it is a text now", () =>
    assert.equal(isStill(rule("k*"), { users: { kim: { password: "k*" } } }, "kim", "kk"), false));
  test("who came by a rule goes when it refuses", () =>
    assert.equal(isStill(rule("k*"), rule("k*", false), "kim", "kk"), false));

  test("who logged in by other rules than a ledger has to do so again", () => {
    const rules = bookOf({ authentication: [{ name: "kim", method: "plain_password", password: "k" }] });
    assert.equal(bookBy(HOME).renew(clientOf("c1", "kim"), rules.loginFor("kim")!), undefined);
    assert.equal(rules.renew(clientOf("c1", "kim"), admitted(bookBy(HOME), "kim", "k")), undefined);
  });

  test("whom a hook let in stays", () => {
    const client = clientOf("c1", "hooked");
    const login = bookBy(HOME).restore(client);
    assert.equal(login.certain, true);
    assert.equal(bookBy(HOME).renew(client, login)?.userName, "hooked");
  });
});

suite("why a ledger allows and denies", () => {
  const book = bookBy(HOME);
  const cases: [userName: string, clientId: string, topic: string, allowed: boolean, reason: string, next: string][] = [
    ["kim", "c1", "own/x", true, "the acl of user kim of the ledger allows own/#", "acl[3] of the ledger denies #"],
    [
      "kim",
      "c1",
      "own/locked",
      true,
      "the acl of user kim of the ledger allows own/#",
      "the acl of user kim of the ledger denies own/locked",
    ],
    ["kim", "c1", "a/secret", true, "acl[1] of the ledger allows a/#", "acl[3] of the ledger denies #"],
    ["lee", "eye", "a", true, "acl[2] of the ledger allows everything", "acl[3] of the ledger denies #"],
    ["lee", "c1", "a", false, "acl[3] of the ledger denies #", "the ledger allows what none of its rules is about"],
  ];
  for (const [userName, clientId, topic, allowed, reason, next] of cases) {
    test(`${userName} as ${clientId} and ${topic}`, () => {
      const client = clientOf(clientId, userName);
      const explanation = book.explain(book.restore(client), client, topic, true);
      assert.deepEqual(
        [explanation.allowed, explanation.reason, explanation.runnerUp?.reason],
        [allowed, reason, next],
      );
      assert.equal(book.check(book.restore(client), client, topic, true), allowed);
    });
  }

  test("what no rule is about is allowed", () => {
    const open = bookBy({ acl: [{ filters: { a: 0 } }] });
    const client = clientOf();
    const { allowed, reason, runnerUp } = open.explain(open.restore(client), client, "b", true);
    assert.deepEqual(
      [allowed, reason, runnerUp],
      [true, "the ledger allows what none of its rules is about", undefined],
    );
  });

  test("of a client known from the store only messages are kept where a rule may allow them, and its will is not sent", () => {
    const client = new Client("c1", "lee", 5, false, 0, NO_PEER);
    const login = book.restore(client);
    assert.equal(login.certain, false);
    assert.equal(book.check(login, client, "local/x", false), true);
    assert.equal(book.check(login, client, "local/x", true), false);
    assert.equal(book.check(login, client, "other", false), false);
    const open = bookBy({ acl: [{ remote: "10.*", filters: { "#": 0 } }] });
    assert.equal(open.check(open.restore(client), client, "x", false), true);
    assert.equal(open.check(open.restore(client), client, "x", true), false);
  });
});
