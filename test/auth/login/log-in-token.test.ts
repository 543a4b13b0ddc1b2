import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Login } from "../../../src/auth/login.ts";
import { NOW_MS, outcome, plain, token as signed, table, tokenUser, usersOf, visit } from "./users-kit.ts";

/** Of the entry "*". */
const SECRET = "secret of everybody's entry, long";

function token(claims: object, secret = SECRET): string {
  return signed(claims, secret);
}

suite("by token", () => {
  const OWN = "secret of the app's own entry, long";
  const entries = [tokenUser("app", OWN), plain("admin", "right", { line: 3 }), tokenUser("*", SECRET)];
  table(entries, [
    ["under the name that it brings", { user: "kim", password: token({ sub: "kim" }) }, "kim"],
    ["without a user name", { password: token({ sub: "kim" }) }, "kim"],
    [
      "of somebody else",
      { user: "ann", password: token({ sub: "kim" }) },
      "try: the token of user kim was given for user ann",
    ],
    [
      "as a user with a password: a token is no password",
      { user: "admin", password: token({ sub: "admin" }) },
      "try: wrong password for user admin (auth.json5:3:5): mqtt-broker passwd add admin gives a new one",
    ],
    [
      "as that user without the user name",
      { password: token({ sub: "admin" }) },
      'try: the token is of user admin, whose own entry (auth.json5:3:5) has the method plain_password; entry "*" (auth.json5:7:5) is not for that name',
    ],
    ["of a listed user by her own key", { user: "app", password: token({ sub: "app" }, OWN) }, "app"],
    ["the same without the user name", { password: token({ sub: "app" }, OWN) }, "app"],
    [
      "of a listed user by everybody's key",
      { user: "app", password: token({ sub: "app" }) },
      "try: the token's signature is wrong: it was not made with the key of the entry (auth.json5:7:5)",
    ],
    [
      "the same without the user name",
      { password: token({ sub: "app" }) },
      "try: the token's signature is wrong: it was not made with the key of the entry (auth.json5:7:5)",
    ],
    [
      "of somebody else by a listed user's key",
      { user: "app", password: token({ sub: "kim" }, OWN) },
      "try: the token of user kim was given for user app",
    ],
    [
      "that has expired",
      { user: "kim", password: token({ sub: "kim", exp: NOW_MS / 1000 - 60 }) },
      "no: the token has expired (auth.json5:7:5)",
    ],
    [
      "that is none",
      { user: "kim", password: "eyJ" },
      "try: user kim is not in auth.json5: mqtt-broker passwd add kim makes this user",
    ],
    ["without a user name and none", { password: "eyJ" }, "try: a password without a user name"],
    [
      "as a group",
      { password: token({ sub: "@any" }) },
      "no: the token's claim sub, which should name the user, is no user name (auth.json5:7:5)",
    ],
  ]);

  test("gives its groups where the file knows them, and its end", async () => {
    const wild = tokenUser("*", SECRET, { groupsClaim: "roles" });
    const users = usersOf([wild, plain("ann", "x")], { "@staff": ["ann"], "@kims": ["kim"] });
    const exp = NOW_MS / 1000 + 60;
    const login = await visit(users, { password: token({ sub: "kim", exp, roles: ["staff", "root"] }) });
    assert.ok(login instanceof Login);
    assert.deepEqual(
      [login.groups, login.tokenGroups, login.expiresMs],
      [["@kims", "@staff"], ["@staff", "@root"], NOW_MS + 65_000],
    );
  });

  test("the first entry that takes it decides", async () => {
    const users = usersOf([tokenUser("*", "another secret that signs tokens"), entries[2]!]);
    assert.equal(await outcome(users, { password: token({ sub: "kim" }) }), "kim");
  });
});
