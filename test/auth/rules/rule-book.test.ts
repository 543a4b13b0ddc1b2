import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { AuthRules } from "../../../src/auth/auth-rules.ts";
import type { Explanation } from "../../../src/auth/book.ts";
import { LoginFailure } from "../../../src/auth/login/login-failure.ts";
import { Login } from "../../../src/auth/login.ts";
import type { RuleBook } from "../../../src/auth/rules/rule-book.ts";
import { PacketType } from "../../../src/codec/constants.ts";
import { Client, NO_PEER } from "../../../src/core/client.ts";
import { bookOf, clientOf, loginOf } from "../book-of.ts";

const KEY = "a key of a test, which is long enough";
const both = (...names: string[]) => ({ sub: names, pub: names });

const HOME: AuthRules = {
  authentication: [
    { name: "guest", method: "anonymous" },
    { name: "kim", method: "plain_password", password: "k" },
    { name: "lee", method: "plain_password", password: "l", from: "10.0.0.0/8" },
    { name: "robot", method: "jwt", key: KEY, claims: { groups: "groups" } },
  ],
  group: [
    { name: "@guests", members: ["guest"] },
    { name: "@family", members: ["kim", "lee"] },
  ],
  authorization: [
    { topic: "home/#", allow: both("@any") },
    { topic: "home/%u/#", allow: both("@family"), maxQos: 1, retain: false },
    { topic: "kitchen/#", allow: both("kim"), from: ["10.0.0.0/8", "local"], clientId: "c*" },
    { topic: "home/safe/#", deny: both("@guests", "@family") },
    { topic: "party/#", allow: both("@family"), expires: "2026-06-01" },
    { topic: "home/safe/bell", allow: { pub: ["lee"] }, maxQos: 0 },
    { topic: "+/uptime", allow: { sub: ["kim"] } },
  ],
};

const storedClient = (userName?: string) => new Client("c1", userName, 5, false, 0, NO_PEER);

suite("why", () => {
  const book = bookOf(HOME);
  const explain = (userName: string | undefined, topic: string, write: boolean, from?: string): Explanation =>
    book.explain(loginOf(book, userName), clientOf("c1", userName, from), topic, write);

  const cases: [userName: string | undefined, topic: string, write: boolean, reason: string, next?: string][] = [
    ["robot", "home/x", true, "rule 1 allows home/# to @any"],
    ["kim", "home/safe/x", true, "rule 4 denies home/safe/# to @family", "rule 1 allows home/# to @any"],
    [undefined, "home/safe", false, "rule 4 denies home/safe/# to @guests", "rule 1 allows home/# to @any"],
    [
      "kim",
      "home/kim/x",
      true,
      "rule 2 allows home/%u/# to @family only up to QoS 1 and not with RETAIN",
      "rule 1 allows home/# to @any",
    ],
    ["kim", "home/kim/x", false, "rule 2 allows home/%u/# to @family only up to QoS 1", "rule 1 allows home/# to @any"],
    [
      "lee",
      "home/safe/bell",
      true,
      "rule 6 allows home/safe/bell to lee only with QoS 0",
      "rule 4 denies home/safe/# to @family",
    ],
    ["robot", "#", false, "rule 1 allows home/# to @any, a part of #"],
    ["robot", "home/+", false, "rule 1 allows home/# to @any"],
    ["kim", "home/safe/#", false, "rule 4 denies home/safe/# to @family", "rule 1 allows home/# to @any"],
    ["robot", "garden", true, "no rule allows it"],
    ["robot", "kitchen/x", true, "no rule allows it"],
    [
      "kim",
      "party/x",
      true,
      "no rule allows it: rule 5 (auth.json5:81:3) allows party/# only until 2026-06-02T00:00:00Z",
    ],
    [
      "kim",
      "$SYS/uptime",
      false,
      "no rule allows it: $SYS has to be named, and rule 7 (auth.json5:102:3) allows +/uptime",
    ],
  ];
  for (const [userName, topic, write, reason, next] of cases) {
    test(`${userName ?? "anonymous"} ${write ? "publishes" : "subscribes"} to ${topic}`, () => {
      const explanation = explain(userName, topic, write);
      assert.equal(explanation.reason, reason);
      assert.equal(explanation.allowed, /^rule \d+ allows/.test(reason));
      assert.equal(explanation.runnerUp?.reason, next);
    });
  }

  test("conditions that do not hold are told", () => {
    assert.equal(
      explain("kim", "kitchen/x", true, "192.168.1.7:1").reason,
      "no rule allows it: rule 3 (auth.json5:52:3) allows kitchen/# only from 10.0.0.0/8 or local, as client c*",
    );
    assert.equal(explain("kim", "kitchen/x", true, "10.0.0.1:1").reason, "rule 3 allows kitchen/# to kim");
  });

  test("the deciding rule's place and text are those of the file", () => {
    const { place, text } = explain("kim", "home/safe/x", true);
    assert.match(place, /^auth\.json5:\d+:\d+$/);
    assert.match(text, /home\/safe\/#/);
    const nothing = explain("kim", "garden", true);
    assert.deepEqual([nothing.place, nothing.text, nothing.runnerUp], ["", "", undefined]);
  });
});

suite("who is who", () => {
  test("credentials are checked, and the Login is of this book", async () => {
    const book = bookOf(HOME);
    const answer = async (userName: string, password: string) =>
      book.authenticate(clientOf("c1", userName), {
        type: PacketType.CONNECT,
        protocolVersion: 5,
        cleanStart: true,
        keepAliveSeconds: 0,
        clientId: "c1",
        will: undefined,
        userName,
        password: Buffer.from(password),
        properties: {},
        bridge: false,
      });
    const login = await answer("kim", "k");
    assert.ok(login instanceof Login);
    assert.deepEqual([login.name, login.groups, login.book], ["kim", ["@family"], book]);
    assert.ok((await answer("kim", "wrong")) instanceof LoginFailure);
  });

  test("a user stays when the file is read again, and goes when the entry does not let it in", () => {
    const before = bookOf(HOME);
    const after = bookOf(HOME);
    const renewed = after.renew(clientOf("c1", "kim"), loginOf(before, "kim"));
    assert.equal(renewed?.book, after);
    assert.equal(after.renew(clientOf("c1", "lee", "192.168.1.7:1"), loginOf(before, "lee")), undefined);
    const without = bookOf({ authentication: [{ name: "lee", method: "plain_password", password: "l" }] });
    assert.equal(without.renew(clientOf("c1", "kim"), loginOf(before, "kim")), undefined);
  });

  test("whom a hook let in has the rights of its user name, and stays", () => {
    const book = bookOf({ ...HOME, authorization: [...HOME.authorization!, { topic: "q/#", allow: both("@guests") }] });
    for (const userName of ["unlisted", "@family", "@guests", undefined]) {
      const client = clientOf("c1", userName);
      const login = book.restore(client);
      assert.equal(login.certain, true);
      assert.equal(book.check(login, client, "home/x", true), true);
      assert.equal(book.check(login, client, "home/safe/x", true), userName !== undefined);
      assert.equal(book.check(login, client, "q/x", true), userName === undefined);
      assert.notEqual(bookOf(HOME).renew(client, login), undefined);
    }
  });

  test("loginFor knows who could be let in", () => {
    const book = bookOf(HOME);
    assert.equal(book.loginFor("nobody"), undefined);
    assert.equal(book.loginFor(undefined)?.name, "guest");
    assert.equal(book.loginFor(undefined)?.userName, undefined);
    assert.deepEqual(book.loginFor("robot", ["@family"])?.groups, ["@family"]);
    assert.equal(bookOf({ authentication: [] }).loginFor(undefined), undefined);
  });
});

suite("clients known from the store only", () => {
  const rights = (book: RuleBook, userName: string | undefined, topic: string): string => {
    const client = storedClient(userName);
    const login = book.restore(client);
    assert.equal(login.certain, false);
    const may = (write: boolean) => book.check(login, client, topic, write) !== false;
    assert.equal(book.explain(login, client, topic, true).allowed, may(true));
    return `${may(false) ? "r" : ""}${may(true) ? "w" : ""}`;
  };

  test("messages are kept where a rule may allow them", () => {
    const book = bookOf(HOME);
    assert.equal(rights(book, "kim", "home/x"), "rw");
    assert.equal(rights(book, "kim", "kitchen/x"), "r");
    assert.equal(rights(book, "kim", "home/safe/x"), "");
    assert.equal(rights(book, undefined, "home/x"), "rw");
    assert.equal(rights(book, undefined, "home/safe/x"), "");
  });

  test("a token may bring groups", () => {
    assert.equal(rights(bookOf(HOME), "robot", "home/safe/x"), "r");
    const open: AuthRules = {
      ...HOME,
      authorization: [
        { topic: "#", allow: both("@any") },
        { topic: "own/#", deny: both("@family") },
      ],
    };
    assert.equal(rights(bookOf(open), "robot", "own/x"), "r");
    assert.equal(rights(bookOf(open), "robot", "x"), "rw");
  });

  test("who is in no entry gets its messages kept, but its will is not sent", () => {
    const wild: AuthRules = {
      ...HOME,
      authentication: [...HOME.authentication!, { name: "*", method: "jwt", key: KEY }],
    };
    assert.equal(rights(bookOf(HOME), "gone", "home/x"), "r");
    assert.equal(rights(bookOf(wild), "gone", "home/x"), "rw");
    const closed: AuthRules = { authentication: [], authorization: [{ topic: "#", allow: both("@any") }] };
    assert.equal(rights(bookOf(closed), undefined, "home/x"), "r");
    assert.equal(rights(bookOf(closed, undefined, "all"), undefined, "home/x"), "rw");
    assert.equal(rights(bookOf(closed, undefined, "none"), undefined, "home/x"), "r");
    const ended: AuthRules = {
      ...closed,
      authentication: [{ name: "kim", method: "plain_password", password: "k", expires: "2026-01-01" }],
    };
    assert.equal(rights(bookOf(ended), "kim", "home/x"), "r");
  });

  test("it is told why a will is not sent", () => {
    const book = bookOf(HOME);
    const client = storedClient("gone");
    assert.equal(book.explain(book.restore(client), client, "home/x", true).reason, "gone is not let in any more");
  });
});

suite("all that a user may do", () => {
  const book = bookOf(HOME);
  const list = (userName: string | undefined, from?: string): string[] =>
    book
      .list(loginOf(book, userName), clientOf("c1", userName, from))
      .map(({ rule, operation, allowed, filter, bounds, conditions, overriddenBy }) =>
        [
          `${rule} ${operation} ${allowed ? "+" : "-"}${filter}`,
          bounds && `(${bounds})`,
          conditions && `[${conditions}]`,
          overriddenBy && `but ${overriddenBy}`,
        ]
          .filter(Boolean)
          .join(" "),
      );

  test("rule by rule, with the names put in", () => {
    assert.deepEqual(list("kim", "10.0.0.1:1"), [
      "1 publish +home/#",
      "1 subscribe +home/#",
      "2 publish +home/kim/# (only up to QoS 1 and not with RETAIN)",
      "2 subscribe +home/kim/# (only up to QoS 1)",
      "3 publish +kitchen/# [from 10.0.0.0/8 or local, as client c*]",
      "3 subscribe +kitchen/# [from 10.0.0.0/8 or local, as client c*]",
      "4 publish -home/safe/#",
      "4 subscribe -home/safe/#",
      "7 subscribe ++/uptime",
    ]);
  });

  test("without what does not hold, or cannot", () => {
    assert.deepEqual(list(undefined), [
      "1 publish +home/#",
      "1 subscribe +home/#",
      "4 publish -home/safe/#",
      "4 subscribe -home/safe/#",
    ]);
  });

  test("what a later rule takes back whole is marked", () => {
    const layered = bookOf({
      authentication: [{ name: "kim", method: "plain_password", password: "k" }],
      authorization: [
        { topic: "#", deny: both("@any") },
        { topic: "a/b", allow: both("kim") },
        { topic: "a/#", deny: both("kim"), from: "local" },
        { topic: "a/#", deny: { pub: ["kim"] } },
        { topic: "#", allow: { sub: ["kim"] } },
        { topic: "$SYS/#", allow: { sub: ["kim"] } },
        { topic: "+/#", deny: { sub: ["kim"] } },
      ],
    });
    const lines = layered.list(loginOf(layered, "kim"), clientOf("c1", "kim", "127.0.0.1:1"));
    assert.deepEqual(
      lines.map(({ rule, operation, overriddenBy }) => `${rule} ${operation} ${overriddenBy ?? "-"}`),
      [
        "1 publish -",
        "1 subscribe 7",
        "2 publish 4",
        "2 subscribe 7",
        "3 publish 4",
        "3 subscribe 7",
        "4 publish -",
        "5 subscribe 7",
        "6 subscribe 7",
        "7 subscribe -",
      ],
    );
  });
});

test("a rule is marked as taken back only when a later one has all of it, always", () => {
  const of = (...authorization: NonNullable<AuthRules["authorization"]>) => {
    const book = bookOf({
      authentication: [{ name: "kim", method: "plain_password", password: "k" }],
      authorization,
    });
    return book.list(loginOf(book, "kim"), clientOf("c1", "kim", "127.0.0.1:1"))[0]?.overriddenBy;
  };
  const sub = { sub: ["kim"] };
  assert.equal(of({ topic: "a/b", allow: sub }, { topic: "a/#", deny: sub }), 2);
  assert.equal(of({ topic: "a/#", allow: sub }, { topic: "a/b", deny: sub }), undefined);
  assert.equal(of({ topic: "a/b", allow: sub }, { topic: "a/#", deny: sub, from: "local" }), undefined);
  assert.equal(of({ topic: "a/b", allow: sub }, { topic: "a/#", deny: sub, clientId: "c1" }), undefined);
  assert.equal(of({ topic: "a/b", allow: sub }, { topic: "a/#", deny: sub, expires: "2030-01-01" }), undefined);
  // What "#" denies it denies of "$SYS" too, and what it allows it does not.
  assert.equal(of({ topic: "$SYS/#", allow: sub }, { topic: "#", deny: sub }), 2);
  assert.equal(of({ topic: "$SYS/#", allow: sub }, { topic: "#", allow: sub }), undefined);
  assert.equal(of({ topic: "#", deny: sub }, { topic: "#", allow: sub }), undefined);
  assert.equal(of({ topic: "#", allow: sub }, { topic: "+/#", deny: sub }), 2);
  assert.equal(of({ topic: "a/#", deny: sub }, { topic: "#", allow: sub }), 2);
});

test("clients of one user share what was found out, unless a rule is about the client or its address", () => {
  const shared = bookOf(HOME);
  assert.notEqual(rightsAfterCheck(shared, "10.0.0.1:1"), rightsAfterCheck(shared, "10.0.0.2:1"));
  const plain = bookOf({ ...HOME, authorization: [{ topic: "home/%u", allow: both("@any") }] });
  assert.equal(rightsAfterCheck(plain, "10.0.0.1:1"), rightsAfterCheck(plain, "10.0.0.2:1"));
  assert.notEqual(rightsAfterCheck(plain, "10.0.0.1:1", "lee"), rightsAfterCheck(plain, "10.0.0.2:1", "kim"));
});

function rightsAfterCheck(book: RuleBook, from: string, userName = "kim"): unknown {
  const login = loginOf(book, userName);
  book.check(login, clientOf("c1", userName, from), "home/kim", true);
  assert.notEqual(login.rights, undefined);
  return login.rights;
}
