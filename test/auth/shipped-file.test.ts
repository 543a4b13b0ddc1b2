import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { AuthAccess } from "../../src/auth/auth-access.ts";
import type { Book } from "../../src/auth/book.ts";
import { BookMaker } from "../../src/auth/book-maker.ts";
import { Login } from "../../src/auth/login.ts";
import { readAuthFile } from "../../src/auth/reading/auth-document.ts";
import type { ReadAuth } from "../../src/auth/reading/read-auth.ts";
import { bookWithoutFile } from "../../src/auth/standing-books.ts";
import type { Connect } from "../../src/codec/packet.ts";
import { Client } from "../../src/core/client.ts";
import { formatProblem, type Problem } from "../../src/text/problem.ts";

const TEXT = readFileSync(new URL("../../auth.json5", import.meta.url), "utf8");
/** An example is commented out without a blank behind the slashes; what is explained has one. */
const EXAMPLE = /^( *)\/\/(?=\S)/;

function read(text: string): { auth: ReadAuth | undefined; problems: readonly Problem[] } {
  return readAuthFile(text, "auth.json5", { readFile: () => undefined, nowMs: Date.now() });
}

function bookOf(text: string): Book {
  const { auth, problems } = read(text);
  assert.ok(auth, problems.map(formatProblem).join("\n"));
  return new BookMaker(() => Date.now()).make(auth, undefined);
}

const PEERS = {
  "this machine": { address: "127.0.0.1:1", local: true, listener: "tcp", transport: "tcp" },
  "this machine over IPv6": { address: "[::1]:1", local: true, listener: "tcp", transport: "tcp" },
  "a Unix socket": { address: "/run/m", local: true, listener: "unix", transport: "unix" },
  "the local network": { address: "192.168.1.7:1", local: false, listener: "tcp", transport: "tcp" },
  "far away": { address: "[2001:db8::1]:1", local: false, listener: "tcp", transport: "tcp" },
};
const TOPICS = ["a", "a/b/c", "#", "+", "a/+/#", "$SYS/#", "$SYS/broker/version", "$SYS/+/version"];

/** All that a client without credentials may do; undefined: it does not get in. */
function rightsOf(book: Book, peer: (typeof PEERS)["far away"]): string[] | undefined {
  const access = new AuthAccess({ makeBook: () => book, explainsToClients: false, whenRevoked: "disconnect" }, () => 0);
  const client = new Client("c", undefined, 5, true, 60, peer);
  const connect = { type: 1, protocolVersion: 5, clientId: "c", properties: {} } as Connect;
  const answer = access.authenticate(client, connect);
  if (!(answer instanceof Login)) return undefined;
  client.identity = answer;
  assert.equal(answer.userName, undefined);
  return TOPICS.flatMap((topic) => [
    `receive ${topic}: ${access.check(client, topic, false)}`,
    // Nobody publishes to $SYS, whatever the rules say.
    ...(topic.startsWith("$") || /[+#]/.test(topic) ? [] : [`publish ${topic}: ${access.check(client, topic, true)}`]),
  ]);
}

test("the shipped file has nothing that is worth a word", () => assert.deepEqual(read(TEXT).problems, []));

for (const [name, peer] of Object.entries(PEERS)) {
  test(`the shipped file lets in from ${name} whom a broker without a file lets in, to the same`, () => {
    const withFile = rightsOf(bookOf(TEXT), peer);
    assert.deepEqual(withFile, rightsOf(bookWithoutFile(undefined), peer));
    assert.equal(withFile === undefined, !peer.local);
  });
}

test("a user that is added to the shipped file may do everything at once, and a reader only listens", () => {
  const { users, groups } = {
    users:
      '{ name: "kim", method: "plain_password", password: "k" }, { name: "display", method: "plain_password", password: "d" },',
    groups: 'members: ["display"]',
  };
  const text = TEXT.replace("authentication: [", `authentication: [ ${users}`).replace("members: []", groups);
  const access = new AuthAccess(
    { makeBook: () => bookOf(text), explainsToClients: false, whenRevoked: "disconnect" },
    () => 0,
  );
  const rights = (userName: string): boolean[] => {
    const client = new Client("c", userName, 5, true, 60, PEERS["far away"]);
    const password = Buffer.from(userName[0]!);
    const connect = {
      type: 1,
      protocolVersion: 5,
      clientId: "c",
      userName,
      password,
      properties: {},
    } as unknown as Connect;
    const login = access.authenticate(client, connect);
    assert.ok(login instanceof Login);
    client.identity = login;
    return [
      access.check(client, "#", false),
      access.check(client, "$SYS/#", false),
      access.check(client, "a", true),
    ].map((verdict) => verdict !== false);
  };
  assert.deepEqual(rights("kim"), [true, true, true]);
  assert.deepEqual(rights("display"), [true, true, false]);
});

test("each example of the shipped file works when its slashes are taken away, alone and with all others", () => {
  const lines = TEXT.split("\n");
  const examples = lines.flatMap((line, index) => (EXAMPLE.test(line) ? [index] : []));
  assert.ok(examples.length >= 9);
  for (const chosen of [...examples.map((index) => [index]), examples]) {
    const text = lines.map((line, index) => (chosen.includes(index) ? line.replace(EXAMPLE, "$1") : line)).join("\n");
    const { auth, problems } = read(text);
    assert.ok(auth, problems.map(formatProblem).join("\n"));
    assert.notDeepEqual(auth, read(TEXT).auth);
  }
});

test("no line of the shipped file is longer than a terminal", () => {
  assert.deepEqual(
    TEXT.split("\n").filter((line) => line.length > 100),
    [],
  );
});
