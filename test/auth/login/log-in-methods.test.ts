import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ledger } from "../../../src/auth/ledger/ledger.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { mayStill } from "../../../src/auth/login/log-in.ts";
import { Login } from "../../../src/auth/login.ts";
import { bookWithoutFile, closedBook } from "../../../src/auth/standing-books.ts";
import {
  certificate,
  clientOf,
  connectOf,
  outcome,
  plain,
  table,
  token,
  tokenUser,
  toolsOf,
  user,
  usersOf,
  visit,
} from "./users-kit.ts";

const SECRET = "a secret of at least thirty-two bytes";
const KIM = { user: "kim", password: "right" };

suite("a listener that lets in by some methods only", () => {
  const entries = [
    plain("kim", "right"),
    user("box", "client_cert", { line: 8 }),
    tokenUser("*", SECRET),
    user("local", "unix_socket"),
    user("guest", "anonymous", { line: 9 }),
  ];
  const socket = { address: "/run/mqtt.sock", local: true, transport: "unix", listener: "unix" };
  const ofAna = { user: "ana", password: token({ sub: "ana", exp: 2_000_000_000 }, SECRET) };
  table(entries, [
    ["the right method", { ...KIM, methods: ["plain_password"] }, "kim"],
    [
      "the right password by a method that does not count",
      { ...KIM, methods: ["client_cert", "jwt"] },
      "no: user kim would get in by the method plain_password (auth.json5:7:5), and listener tcp lets in by client_cert or jwt only",
    ],
    [
      "a wrong password says no more than a right one",
      { ...KIM, password: "wrong", methods: ["client_cert"] },
      "no: user kim would get in by the method plain_password (auth.json5:7:5), and listener tcp lets in by client_cert only",
    ],
    ["a certificate", { peer: certificate("box"), methods: ["client_cert"] }, "box"],
    [
      "a certificate that does not count is as if it were not shown",
      { peer: certificate("box"), methods: ["anonymous"] },
      "guest (nobody's)",
    ],
    ["a password beside it counts", { ...KIM, peer: certificate("box"), methods: ["plain_password"] }, "kim"],
    ["a token", { ...ofAna, methods: ["jwt"] }, "ana"],
    [
      "a token that does not count",
      { ...ofAna, methods: ["plain_password"] },
      "no: user ana would get in by the method jwt (auth.json5:7:5), and listener tcp lets in by plain_password only",
    ],
    ["a Unix socket", { peer: socket, methods: ["unix_socket"] }, "local"],
    ["a Unix socket that does not count", { peer: socket, methods: ["anonymous"] }, "guest (nobody's)"],
    ["nothing", { methods: ["anonymous"] }, "guest (nobody's)"],
    [
      "nothing where that does not count",
      { methods: ["plain_password"] },
      "no: no credentials, and anonymous clients would get in by the method anonymous (auth.json5:9:5), and listener tcp lets in by plain_password only: mqtt-broker passwd add NAME makes a user, --allow-anonymous opens to everybody",
    ],
  ]);
});

test("the setting that lets in everybody does not open a listener that wants more", async () => {
  const users = usersOf([plain("kim", "right")]);
  assert.match(await outcome(users, { methods: ["plain_password"] }, { anonymous: "all" }), /^no: no credentials, /);
  assert.equal(await outcome(users, {}, { anonymous: "all" }), "anonymous (nobody's)");
});

test("who failed is let in as unauthenticated only where that counts", async () => {
  const users = usersOf([plain("kim", "right"), user("outsider", "unauthenticated")]);
  const wrong = { ...KIM, password: "wrong" };
  assert.match(await outcome(users, { ...wrong, methods: ["plain_password"] }), /^try: wrong password/);
  assert.equal(await outcome(users, { ...wrong, methods: ["unauthenticated"] }), "outsider");
});

test("a password is not given away by the time that the refusal takes: something is hashed all the same", () => {
  let hashed = 0;
  class Counting extends HashQueue {
    override verify(...given: Parameters<HashQueue["verify"]>): ReturnType<HashQueue["verify"]> {
      hashed++;
      return super.verify(...given);
    }
  }
  void visit(usersOf([plain("kim", "right")]), { ...KIM, methods: ["client_cert"] }, { verifier: new Counting() });
  assert.equal(hashed, 1);
});

test("when the rules change, who came by another method than the listener's is out", async () => {
  const before = await visit(usersOf([user("box", "client_cert")]), { peer: certificate("box") });
  assert.ok(before instanceof Login);
  const client = clientOf({ peer: certificate("box"), methods: ["client_cert"] });
  assert.ok(mayStill(usersOf([user("box", "client_cert")]), client, before, toolsOf()));
  const changed = usersOf([user("box", "client_cert")]);
  assert.equal(
    mayStill(changed, clientOf({ peer: certificate("box"), methods: ["jwt"] }), before, toolsOf()),
    undefined,
  );
});

test("a ledger lets in by a password, or as anonymous where it asks for none", () => {
  const access = ledger({ users: { kim: { password: "k" } }, auth: [{ username: "any", allow: true }] });
  const methodOf = (name: string, password: string): unknown => {
    const login = access.authenticate(clientOf({ user: name }), connectOf({ user: name, password }));
    return login instanceof Login ? login.method : login;
  };
  assert.deepEqual([methodOf("kim", "k"), methodOf("any", "x")], ["plain_password", undefined]);
});

test("the books that hold without a file say by which method they let in", () => {
  const methodBy = (book: ReturnType<typeof bookWithoutFile>, visitor = {}): unknown => {
    const login = book.authenticate(clientOf(visitor), {} as never);
    return login instanceof Login ? login.method : undefined;
  };
  assert.equal(methodBy(bookWithoutFile("all")), "anonymous");
  assert.equal(methodBy(closedBook("auth.json5")), undefined);
  assert.equal(
    methodBy(closedBook("auth.json5"), { peer: { transport: "unix", address: "/run/mqtt.sock" } }),
    "unix_socket",
  );
});
