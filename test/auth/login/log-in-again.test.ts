import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { mayStill } from "../../../src/auth/login/log-in.ts";
import { Login } from "../../../src/auth/login.ts";
import type { ReadUser } from "../../../src/auth/reading/read-auth.ts";
import type { Peer } from "../../../src/core/ports.ts";
import {
  certificate,
  clientOf,
  NOW_MS,
  plain,
  token,
  tokenUser,
  toolsOf,
  user,
  usersOf,
  type Visitor,
  visit,
} from "./users-kit.ts";

const SECRET = "a secret of at least thirty-two bytes";
const SOCKET: Partial<Peer> = { address: "/run/mqtt.sock", local: true, transport: "unix", listener: "unix" };

/** Logs in by `before` and is looked at again by `after`. */
async function again(
  visitor: Visitor,
  before: readonly ReadUser[],
  after: readonly ReadUser[],
  wallMs = NOW_MS,
): Promise<Login | undefined> {
  const login = await visit(usersOf(before), visitor);
  assert.ok(login instanceof Login);
  return mayStill(usersOf(after, { "@staff": ["kim"] }), clientOf(visitor), login, toolsOf({ wallMs: () => wallMs }));
}

const kim = plain("kim", "right");
const byKim: Visitor = { user: "kim", password: "right" };
const box: Visitor = { peer: certificate("box") };
const guest = user("guest", "anonymous");
const wildToken = tokenUser("*", SECRET, { groupsClaim: "roles" });
const byToken: Visitor = {
  user: "kim",
  password: token({ sub: "kim", roles: ["new"], exp: NOW_MS / 1000 + 60 }, SECRET),
};
const outsider = user("outsider", "unauthenticated");

/** Visitor, the entries then, the entries now; who it is now, undefined: nobody. */
const CASES: readonly (readonly [string, Visitor, readonly ReadUser[], readonly ReadUser[], string | undefined])[] = [
  ["the same file", byKim, [kim], [kim], "kim"],
  ["a file with the same entry elsewhere", byKim, [kim], [guest, plain("kim", "right", { admin: "read" })], "kim"],
  ["the entry is gone", byKim, [kim], [guest], undefined],
  ["another password", byKim, [kim], [plain("kim", "other")], undefined],
  ["another method", byKim, [kim], [user("kim", "client_cert")], undefined],
  ["a condition that does not hold", byKim, [kim], [plain("kim", "right", { from: ["local"] })], undefined],
  ["a condition that holds", byKim, [kim], [plain("kim", "right", { from: ["192.168.1.0/24"] })], "kim"],
  ["expired", byKim, [kim], [plain("kim", "right", { expiresMs: NOW_MS })], undefined],
  ["a certificate", box, [user("box", "client_cert")], [user("box", "client_cert")], "box"],
  [
    "a certificate that was let in by its own name",
    box,
    [user("*", "client_cert")],
    [user("box", "client_cert")],
    "box",
  ],
  ["a certificate that names nobody now", box, [user("*", "client_cert")], [user("bux", "client_cert")], undefined],
  [
    "a certificate whose name has a password now",
    box,
    [user("*", "client_cert")],
    [user("*", "client_cert"), plain("box", "x")],
    undefined,
  ],
  ["anonymous", {}, [guest], [guest], "guest"],
  ["anonymous under another name", {}, [guest], [user("anybody", "anonymous")], "anybody"],
  ["anonymous from this machine only", {}, [guest], [user("guest", "anonymous", { from: ["local"] })], undefined],
  ["nobody is anonymous", {}, [guest], [kim], undefined],
  ["a socket", { peer: SOCKET }, [user("sock", "unix_socket")], [user("sock", "unix_socket"), guest], "sock"],
  [
    "a socket that is another's",
    { peer: SOCKET },
    [user("sock", "unix_socket")],
    [user("cat", "unix_socket")],
    undefined,
  ],
  ["a socket that is nobody's", { peer: SOCKET }, [user("sock", "unix_socket")], [guest], undefined],
  ["a token", byToken, [wildToken], [tokenUser("*", SECRET, { groupsClaim: "roles" })], "kim"],
  [
    "a token with another key",
    byToken,
    [wildToken],
    [tokenUser("*", `${SECRET}!`, { groupsClaim: "roles" })],
    undefined,
  ],
  ["a token for another audience", byToken, [wildToken], [tokenUser("*", SECRET, { audience: ["x"] })], undefined],
  ["a token of somebody who has a password now", byToken, [wildToken], [wildToken, plain("kim", "x")], undefined],
  ["unauthenticated", { user: "x", password: "x" }, [outsider], [outsider], "outsider"],
  ["unauthenticated is gone", { user: "x", password: "x" }, [outsider], [guest], undefined],
  [
    "unauthenticated under another name",
    { user: "x", password: "x" },
    [outsider],
    [user("x", "unauthenticated")],
    undefined,
  ],
];

suite("a client that logged in by earlier rules", () => {
  for (const [name, visitor, before, after, wanted] of CASES) {
    test(`${name}: ${wanted ?? "nobody"}`, async () => {
      assert.equal((await again(visitor, before, after))?.name, wanted);
    });
  }
});

test("it has the limits, rights and groups of the new entry", async () => {
  const login = await again(byKim, [kim], [plain("kim", "right", { admin: "all", limits: { maxConnections: 2 } })]);
  assert.deepEqual([login?.admin, login?.limits, login?.groups], ["all", { maxConnections: 2 }, ["@staff"]]);
});

test("a token's groups and its end stay, and groups count that are in the file only now", async () => {
  const before = await visit(usersOf([wildToken]), byToken);
  assert.ok(before instanceof Login);
  assert.deepEqual(before.groups, []);
  const login = mayStill(usersOf([wildToken], { "@new": [] }), clientOf(byToken), before, toolsOf());
  assert.deepEqual([login?.groups, login?.tokenGroups, login?.expiresMs], [["@new"], ["@new"], NOW_MS + 65_000]);
});

test("a token that has ended lets nobody stay", async () => {
  assert.equal((await again(byToken, [wildToken], [wildToken], NOW_MS + 64_999))?.name, "kim");
  assert.equal(await again(byToken, [wildToken], [wildToken], NOW_MS + 65_000), undefined);
});

test("a client that no entry let in is not for this to decide", () => {
  const before = new Login({ name: "kim", userName: "kim", user: undefined, groups: [], book: toolsOf().book });
  assert.equal(mayStill(usersOf([kim]), clientOf(byKim), before, toolsOf()), undefined);
});
