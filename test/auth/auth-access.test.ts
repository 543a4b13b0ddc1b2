import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthAccess, type Rules } from "../../src/auth/auth-access.ts";
import type { Book, Explanation } from "../../src/auth/book.ts";
import { LoginFailure } from "../../src/auth/login/login-failure.ts";
import { Login } from "../../src/auth/login.ts";
import { bookWithoutFile, closedBook } from "../../src/auth/standing-books.ts";
import type { Connect } from "../../src/codec/packet.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { Client, NO_PEER } from "../../src/core/client.ts";
import { Refusal, refuse } from "../../src/core/hooks.ts";
import type { Peer } from "../../src/core/ports.ts";

const HERE: Peer = { address: "127.0.0.1:1", local: true, listener: "tcp", transport: "tcp" };
const THERE: Peer = { address: "192.0.2.7:1", local: false, listener: "tcp", transport: "tcp" };
const SOCKET: Peer = { address: "/run/m.sock", local: true, listener: "unix", transport: "unix" };

function clientOf(userName: string | undefined, peer: Peer = HERE): Client {
  return new Client("c", userName, 5, true, 60, peer);
}

function connectOf(userName?: string, password?: string): Connect {
  return {
    type: 1,
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 60,
    clientId: "c",
    will: undefined,
    userName,
    password: password === undefined ? undefined : Buffer.from(password),
    properties: {},
    bridge: false,
  };
}

/** Lets in the users that it is given, each with its name as password, and allows them the topics they are given. */
class FakeBook implements Book {
  readonly nextExpiryMs: number;
  private readonly users: Readonly<Record<string, readonly string[]>>;

  constructor(users: Readonly<Record<string, readonly string[]>>, nextExpiryMs = Number.POSITIVE_INFINITY) {
    this.users = users;
    this.nextExpiryMs = nextExpiryMs;
  }

  authenticate(_: Client, { userName, password }: Connect): Login | LoginFailure {
    const name = userName ?? "anonymous";
    if (this.users[name] === undefined) return new LoginFailure(`there is no user ${name}`, true);
    if (userName !== undefined && String(password) !== name) return new LoginFailure(`wrong password of ${name}`, true);
    return this.login(name, userName);
  }

  check({ name, certain }: Login, _: Client, topic: string, write: boolean): boolean {
    return certain ? this.users[name]?.includes(topic) === true : !write;
  }

  explain(): Explanation {
    return { allowed: false, reason: "rule 7 denies it", place: "auth.json5:12:5", text: "", runnerUp: undefined };
  }

  renew(_: Client, { name, userName, user }: Login): Login | undefined {
    return user === undefined || this.users[name] === undefined ? undefined : this.login(name, userName);
  }

  restore({ userName }: Client): Login {
    return new Login({ name: userName ?? "", userName, user: undefined, groups: [], book: this, certain: false });
  }

  private login(name: string, userName: string | undefined): Login {
    const user = { name, method: "scrypt", limits: { maxConnections: 3 } } as unknown as Login["user"];
    return new Login({ name, userName, user, groups: [], book: this });
  }
}

function rulesOf(book: Book, more: Partial<Rules> = {}): Rules {
  return { makeBook: () => book, explainsToClients: false, whenRevoked: "disconnect", ...more };
}

function accessOf(book: Book, more: Partial<Rules> = {}): AuthAccess {
  return new AuthAccess(rulesOf(book, more), () => 0);
}

/** As the core does: the identity that was found stays with the client. */
async function logIn(access: AuthAccess, client: Client, password?: string): Promise<Login | Refusal> {
  const answer = await access.authenticate(client, connectOf(client.userName, password));
  if (answer instanceof Login) client.identity = answer;
  return answer;
}

test("what the book answers is what the client may do", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const kim = clientOf("kim");
  assert.ok((await logIn(access, kim, "kim")) instanceof Login);
  assert.equal(access.check(kim, "a", true), true);
  assert.equal(access.check(kim, "b", true), false);
  assert.equal(access.why(kim, "b", true), "auth.json5:12:5: rule 7 denies it");
  assert.equal(access.generation, 0);
});

test("other rules hold at once, whoever asks for what", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const kim = clientOf("kim");
  await logIn(access, kim, "kim");
  let changes = 0;
  access.onChange(() => changes++);
  access.swap(rulesOf(new FakeBook({ kim: ["b"] })));
  assert.deepEqual([changes, access.generation], [1, 1]);
  assert.equal(access.check(kim, "a", true), false);
  assert.equal(access.check(kim, "b", true), true);
  const login = access.review(kim);
  assert.ok(login instanceof Login);
  assert.equal(login, kim.identity);
  assert.equal(access.review(kim), login);
});

test("rules that cannot be made change nothing", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const makeBook = (): Book => {
    throw new Error("broken");
  };
  assert.throws(() => access.swap({ ...rulesOf(new FakeBook({})), makeBook, explainsToClients: true }), /broken/);
  assert.deepEqual([access.generation, access.explainsToClients], [0, false]);
});

test("who is not let in any more may do nothing, and is disconnected", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const kim = clientOf("kim");
  await logIn(access, kim, "kim");
  // Her password is another one now, say; whatever the rules allow to her name, she is not her any more.
  const book = new FakeBook({ kim: ["a"] });
  book.renew = () => undefined;
  access.swap(rulesOf(book));
  assert.equal(access.check(kim, "a", false), false);
  assert.equal(access.why(kim, "a", false), "kim would not be let in any more");
  const refusal = access.review(kim);
  assert.ok(refusal instanceof Refusal);
  assert.equal(refusal.reasonCode, ReasonCode.NotAuthorized);
  assert.equal(access.endsLostSubscriptions, true);
});

test("with whenRevoked: filter it stays without rights and under its limits, until rules let it in again", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const kim = clientOf("kim");
  await logIn(access, kim, "kim");
  access.swap(rulesOf(new FakeBook({}), { whenRevoked: "filter" }));
  assert.equal(access.endsLostSubscriptions, false);
  const login = access.review(kim);
  assert.ok(login instanceof Login);
  assert.deepEqual(
    [login.name, login.userName, login.admin, login.limits],
    ["kim", "kim", "none", { maxConnections: 3 }],
  );
  assert.equal(access.check(kim, "a", false), false);
  access.swap(rulesOf(new FakeBook({}), { whenRevoked: "filter" }));
  assert.equal(access.check(kim, "a", false), false);
  access.swap(rulesOf(new FakeBook({ kim: ["a"] })));
  assert.equal(access.check(kim, "a", false), true);
});

test("clients that are known from the store only are restored, anew after each change", () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const stored = clientOf("kim", NO_PEER);
  assert.deepEqual([access.check(stored, "b", false), access.check(stored, "b", true)], [true, false]);
  const before = stored.identity;
  access.swap(rulesOf(new FakeBook({})));
  assert.equal(access.check(stored, "b", false), true);
  assert.notEqual(stored.identity, before);
});

test("anonymous clients of a broker without a file go on when a file lets them in, others have to come again", async () => {
  const access = accessOf(bookWithoutFile(undefined));
  const [nobody, kim] = [clientOf(undefined), clientOf("kim")];
  await logIn(access, nobody);
  await logIn(access, kim, "whatever");
  assert.deepEqual([access.check(nobody, "x", true), access.check(kim, "x", true)], [true, true]);
  access.swap(rulesOf(new FakeBook({ anonymous: ["a"], kim: ["a"] })));
  assert.deepEqual([access.check(nobody, "a", true), access.check(nobody, "x", true)], [true, false]);
  assert.ok(access.review(kim) instanceof Refusal);
  access.swap(rulesOf(new FakeBook({ kim: ["a"] })));
  assert.ok(access.review(nobody) instanceof Refusal);
});

test("when an entry expires the book is made anew, and the broker hears of it", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 1_000_000;
  let made = 0;
  const ends = [nowMs + 90_000, nowMs + 200_000, Number.POSITIVE_INFINITY];
  const makeBook = (): Book => new FakeBook({}, ends[made++]!);
  const access = new AuthAccess({ ...rulesOf(new FakeBook({})), makeBook }, () => nowMs);
  let changes = 0;
  access.onChange(() => changes++);
  const pass = (ms: number): void => {
    nowMs += ms;
    context.mock.timers.tick(ms);
  };
  pass(89_999);
  assert.deepEqual([made, changes, access.generation], [1, 0, 0]);
  pass(1_001);
  assert.deepEqual([made, changes, access.generation], [2, 1, 1]);
  // The wall clock is set forward, so the second one ends now: that is seen within a minute.
  nowMs += 1_000_000;
  context.mock.timers.tick(60_000);
  assert.deepEqual([made, changes], [3, 2]);
  pass(100_000_000);
  assert.equal(made, 3);
});

test("an access that was closed wakes no more", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let made = 0;
  const makeBook = (): Book => new FakeBook({}, ++made);
  const access = new AuthAccess({ ...rulesOf(new FakeBook({})), makeBook }, () => 0);
  access.close();
  context.mock.timers.tick(10_000);
  assert.equal(made, 1);
});

// The guard.

class FakeGuard {
  readonly calls: string[] = [];
  count = 2;
  banned = false;
  delayMs = 0;
  private readonly refusal = refuse(0x8a, "banned");

  admits(peer: Peer): Refusal | undefined {
    this.calls.push(`admits ${peer.address}`);
    return this.banned ? this.refusal : undefined;
  }

  failed(peer: Peer, userName: string | undefined, mayBan = true): number {
    this.calls.push(`failed ${peer.address} ${userName}${mayBan ? "" : ", not to be banned"}`);
    return this.delayMs;
  }

  succeeded(peer: Peer, userName: string | undefined): void {
    this.calls.push(`succeeded ${peer.address} ${userName}`);
  }
}

test("the guard hears of guesses and of those who prove who they are, not of anonymous clients", async () => {
  const access = accessOf(new FakeBook({ kim: [], anonymous: [] }));
  const guard = new FakeGuard();
  access.guard = guard;
  await logIn(access, clientOf("kim", THERE), "kim");
  await logIn(access, clientOf("kim", THERE), "wrong");
  await logIn(access, clientOf(undefined, THERE));
  assert.deepEqual(guard.calls, [
    "admits 192.0.2.7:1",
    "succeeded 192.0.2.7:1 kim",
    "admits 192.0.2.7:1",
    "failed 192.0.2.7:1 kim",
    "admits 192.0.2.7:1",
  ]);
  assert.equal(access.banned(), 2);
});

test("a guess counts and waits also where it is let in as unauthenticated, which bans nobody", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const book = new FakeBook({ kim: [] });
  const failure = new LoginFailure("wrong password", true);
  const login = new Login({ name: "lost", userName: "lost", user: undefined, groups: [], book, failure });
  book.authenticate = () => login;
  const access = accessOf(book);
  const guard = new FakeGuard();
  guard.delayMs = 500;
  access.guard = guard;
  let answer: Login | Refusal | undefined;
  void logIn(access, clientOf("kim", THERE), "wrong").then((later) => {
    answer = later;
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  assert.deepEqual(guard.calls, ["admits 192.0.2.7:1", "failed 192.0.2.7:1 kim, not to be banned"]);
  assert.equal(answer, undefined);
  context.mock.timers.tick(500);
  await settle();
  assert.equal(answer, login);
  assert.equal(login.remark, "wrong password");
});

test("a refusal that is no guess is not counted", async () => {
  const access = accessOf(bookWithoutFile("none"));
  const guard = new FakeGuard();
  access.guard = guard;
  assert.ok((await logIn(access, clientOf("kim"), "kim")) instanceof LoginFailure);
  assert.deepEqual(guard.calls, ["admits 127.0.0.1:1"]);
});

test("who is banned is refused before its password is looked at", async () => {
  const book = new FakeBook({ kim: [] });
  let asked = 0;
  book.authenticate = () => {
    asked++;
    return new LoginFailure("no", true);
  };
  const access = accessOf(book);
  const guard = new FakeGuard();
  guard.banned = true;
  access.guard = guard;
  const answer = await logIn(access, clientOf("kim", THERE), "kim");
  assert.ok(answer instanceof Refusal);
  assert.equal(answer.reasonCode, 0x8a);
  assert.equal(access.admits(THERE)?.reasonCode, 0x8a);
  assert.equal(asked, 0);
});

test("the answer to a wrong password comes as late as the guard says", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const access = accessOf(new FakeBook({ kim: [] }));
  const guard = new FakeGuard();
  guard.delayMs = 500;
  access.guard = guard;
  let answer: Login | Refusal | undefined;
  void logIn(access, clientOf("kim", THERE), "wrong").then((later) => {
    answer = later;
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  await settle();
  context.mock.timers.tick(499);
  await settle();
  assert.equal(answer, undefined);
  context.mock.timers.tick(1);
  await settle();
  assert.equal((answer as Refusal | undefined)?.reasonCode, 0x87);
});

test("the observer hears who came, who was refused and why, and what was decided", async () => {
  const access = accessOf(new FakeBook({ kim: ["a"] }));
  const seen: unknown[] = [];
  access.observer = {
    used: ({ name }, { clientId }, topic, write, verdict) => seen.push([name, clientId, topic, write, verdict]),
    connected: ({ name }) => seen.push(name),
    refused: (_, reason) => seen.push(reason),
  };
  const kim = clientOf("kim");
  await logIn(access, kim, "wrong");
  await logIn(access, kim, "kim");
  access.check(kim, "a", true);
  access.check(kim, "b", false);
  assert.deepEqual(seen, [
    "wrong password of kim",
    "kim",
    ["kim", "c", "a", true, true],
    ["kim", "c", "b", false, false],
  ]);
});

// What holds without a file, and with one that cannot be used.

for (const [title, book, peer, userName, expected] of [
  ["without a file: this machine", bookWithoutFile(undefined), HERE, undefined, true],
  ["without a file: this machine, with a user name", bookWithoutFile(undefined), HERE, "kim", true],
  ["without a file: a Unix socket", bookWithoutFile("local"), SOCKET, undefined, true],
  ["without a file: elsewhere", bookWithoutFile(undefined), THERE, undefined, false],
  ["without a file: elsewhere, with a user name", bookWithoutFile("local"), THERE, "kim", false],
  ["without a file, open: elsewhere", bookWithoutFile("all"), THERE, undefined, true],
  ["without a file, shut: this machine", bookWithoutFile("none"), HERE, undefined, false],
  ["with a bad file: this machine", closedBook("auth.json5"), HERE, undefined, false],
  ["with a bad file: this machine, with a user name", closedBook("auth.json5"), HERE, "kim", false],
  ["with a bad file: a Unix socket", closedBook("auth.json5"), SOCKET, undefined, true],
] as const) {
  test(`${title}: ${expected ? "let in, to everything" : "refused"}`, async () => {
    const access = accessOf(book);
    const client = clientOf(userName, peer);
    const answer = await logIn(access, client, userName === undefined ? undefined : "x");
    if (!expected) {
      assert.ok(answer instanceof LoginFailure);
      assert.deepEqual([answer.reasonCode, answer.guess, answer.reasonString], [0x87, false, "not authorized"]);
      return;
    }
    assert.ok(answer instanceof Login);
    assert.deepEqual([answer.userName, answer.name], [userName, userName ?? "anonymous"]);
    for (const topic of ["a", "#", "$SYS/#"]) {
      assert.deepEqual([access.check(client, topic, false), access.check(client, topic, true)], [true, true]);
    }
  });
}

test("with a bad file messages are kept for clients that are away, and their wills are not published", () => {
  const stored = clientOf("kim", NO_PEER);
  const closed = accessOf(closedBook("auth.json5"));
  // Let in by a plugin, which knows nothing of the file.
  assert.equal(closed.check(clientOf("kim", HERE), "a", true), false);
  assert.equal(closed.check(clientOf("kim", HERE), "a", false), false);
  assert.equal(closed.check(clientOf(undefined, SOCKET), "a", true), true);
  assert.deepEqual([closed.check(stored, "a", false), closed.check(stored, "a", true)], [true, false]);
  const open = accessOf(bookWithoutFile(undefined));
  assert.deepEqual([open.check(stored, "a", false), open.check(stored, "a", true)], [true, true]);
});
