import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { withoutCredentials } from "../../src/auth/auth-access.ts";
import { BookMaker } from "../../src/auth/book-maker.ts";
import { loadAuth } from "../../src/auth/load-auth.ts";
import { LoginFailure } from "../../src/auth/login/login-failure.ts";
import { Login } from "../../src/auth/login.ts";
import { Client } from "../../src/core/client.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { UNPRIVILEGED } from "../support/unprivileged.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "mqtt-broker-load-"));
after(() => rmSync(FOLDER, { recursive: true }));

const GOOD =
  '{ authentication: [{ name: "kim", method: "unix_socket" }], authorization: [{ topic: "a/#", allow: { sub: ["kim"] } }] }';

function at(name: string): string {
  return join(FOLDER, name);
}

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(at(name), content);
  return at(name);
}

/** What is wrong with it, as `check` says it. */
async function said(path: string): Promise<string[]> {
  const { auth, problems, missing } = await loadAuth(path, { name: "auth.json5" });
  assert.equal(missing, false);
  if (problems.some(({ severity }) => severity === "error")) assert.equal(auth, undefined);
  return problems.map(formatProblem);
}

test("a file that is right is read, also with a byte order mark and comments of old files", async () => {
  for (const text of [GOOD, `\ufeff${GOOD}`, `# old\n${GOOD}`]) {
    const { auth, problems, missing } = await loadAuth(write("good.json5", text), { name: "auth.json5" });
    assert.deepEqual([auth?.users.map(({ name }) => name), problems, missing], [["kim"], [], false]);
    assert.equal(auth?.file, "auth.json5");
  }
});

test("no file, and no folder where it would be, is no mistake", async () => {
  for (const path of [at("none.json5"), at("none/auth.json5"), join(write("file", ""), "auth.json5")]) {
    const { auth, problems, missing } = await loadAuth(path, { name: "auth.json5" });
    assert.deepEqual([auth, problems, missing], [undefined, [], true]);
  }
});

mkdirSync(at("folder"));
symlinkSync("nowhere.json5", at("dangling"));
symlinkSync("loop", at("loop"));
execFileSync("mkfifo", [at("pipe")]);

for (const [title, path, expected] of [
  ["a folder", at("folder"), /^auth\.json5: Is a folder: a file of users and rules is expected here$/],
  ["a pipe", at("pipe"), /^auth\.json5: Is a pipe, socket or device: /],
  ["a device", "/dev/zero", /^auth\.json5: Is a pipe, socket or device: /],
  ["a link to nothing", at("dangling"), /^auth\.json5: Is a link to nowhere\.json5, which is not there$/],
  ["a link to itself", at("loop"), /^auth\.json5: Is a link that leads back to itself$/],
  [
    "an empty file",
    write("empty", ""),
    /^auth\.json5: Is empty\n {2}Half written, or emptied by mistake\? To run without rules remove the file$/,
  ],
  ["white space", write("white", " \n\t\n"), /^auth\.json5: Is empty\n/],
  [
    "zero bytes",
    write("zero", `${GOOD}\0\0`),
    /^auth\.json5: Has zero bytes: it is damaged, or saved as UTF-16\n {2}Save it as UTF-8$/,
  ],
  ["UTF-16", write("utf16", Buffer.from(`\ufeff${GOOD}`, "utf16le")), /^auth\.json5: Has zero bytes: /],
  [
    "Latin-1",
    write("latin1", Buffer.from("// \u00fc\n{}", "latin1")),
    /^auth\.json5: Is not a text in UTF-8\n {2}Save it as UTF-8$/,
  ],
  [
    "10 MB",
    write("large", " ".repeat(10 * 1024 * 1024)),
    /^auth\.json5: Is too large: 10\.0 MiB, and at most 4\.0 MiB are read; /,
  ],
] as const) {
  test(`${title} in its place is told, and nothing waits for it`, async () => {
    const startedMs = performance.now();
    const [line, ...more] = await said(path);
    assert.match(line!, expected);
    assert.deepEqual(more, []);
    assert.ok(performance.now() - startedMs < 2000);
  });
}

test("a socket in its place is told", async () => {
  const server = createServer().listen(at("socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  assert.match((await said(at("socket")))[0]!, /^auth\.json5: Is a pipe, socket or device: /);
  server.close();
});

test("a file that may not be read is told with the user who may not", async () => {
  const path = write("secret", GOOD);
  chmodSync(path, 0);
  const module = new URL("../../src/auth/load-auth.ts", import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then(async ({ loadAuth }) => {
    const { missing, problems } = await loadAuth(${JSON.stringify(path)}, { name: "auth.json5" });
    console.log(missing, problems.map(({ message }) => message).join());
  })`;
  const [command = "", ...words] = [...UNPRIVILEGED, process.execPath, "-e", script];
  const { stdout, stderr } = spawnSync(command, words, { encoding: "utf8" });
  assert.match(
    stdout,
    /^false Cannot be read by the user \S+ \(\d+\) as whom this program runs: give the file, .*$/m,
    stderr,
  );
});

test("what has not changed is not read again", async () => {
  const path = write("same.json5", GOOD);
  const first = await loadAuth(path, { name: "auth.json5" });
  assert.equal(await loadAuth(path, { name: "auth.json5", before: first }), first);
  write("same.json5", `${GOOD}\n`);
  const second = await loadAuth(path, { name: "auth.json5", before: first });
  assert.notEqual(second, first);
  write("same.json5", "");
  const third = await loadAuth(path, { name: "auth.json5", before: second });
  assert.equal(await loadAuth(path, { name: "auth.json5", before: third }), third);
});

test("a key file counts as a part of the file, and is named so that it can be followed", async () => {
  const path = write(
    "jwt.json5",
    '{ authentication: [{ name: "*", method: "jwt", keyFile: "key" }], authorization: [{ topic: "#", allow: { sub: ["@any"] } }] }',
  );
  write("key", "a secret of thirty-two bytes or more than that");
  const first = await loadAuth(path, { name: "auth.json5" });
  assert.deepEqual(
    [first.auth?.users[0]?.jwt?.key.text, first.files],
    ["a secret of thirty-two bytes or more than that", [at("key")]],
  );
  assert.equal(await loadAuth(path, { name: "auth.json5", before: first }), first);
  write("key", "another secret of thirty-two bytes or even more");
  const second = await loadAuth(path, { name: "auth.json5", before: first });
  assert.equal(second.auth?.users[0]?.jwt?.key.text, "another secret of thirty-two bytes or even more");
  rmSync(at("key"));
  const third = await loadAuth(path, { name: "auth.json5", before: second });
  assert.equal(third.auth, undefined);
  assert.deepEqual(third.files, [at("key")]);
});

test("a key set on disk lets in whom its tokens name, with their groups, and nobody else's tokens", async () => {
  const own = generateKeyPairSync("ed25519");
  const foreign = generateKeyPairSync("ed25519");
  write(
    "keys.json",
    JSON.stringify({ keys: [{ ...own.publicKey.export({ format: "jwk" }), kid: "k1", alg: "EdDSA" }] }),
  );
  const path = write(
    "jwks.json5",
    `{ authentication: [{ name: "*", method: "jwt", jwksFile: "keys.json", audience: "mqtt", claims: { groups: "roles" } }],
       group: [{ name: "@ops", members: [] }],
       authorization: [{ topic: "plant/#", allow: { pub: ["@ops"] } }] }`,
  );
  const { auth } = await loadAuth(path, { name: "auth.json5" });
  const book = new BookMaker(Date.now).make(auth!, undefined);
  const peer = { address: "192.0.2.1:1", local: false, listener: "tcp", transport: "tcp" };
  const client = new Client("c", undefined, 5, true, 60, peer);
  const logIn = (key: KeyObject): unknown => {
    const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { sub: "kim", aud: "mqtt", roles: ["ops"], exp: Math.floor(Date.now() / 1000) + 60 };
    const signed = `${text({ alg: "EdDSA", kid: "k1" })}.${text(claims)}`;
    const token = `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
    return book.authenticate(client, { ...withoutCredentials(client), password: Buffer.from(token) });
  };
  const login = await logIn(own.privateKey);
  assert.ok(login instanceof Login);
  assert.deepEqual([login.name, login.groups], ["kim", ["@ops"]]);
  assert.deepEqual(
    [book.check(login, client, "plant/a", true), book.check(login, client, "other", true)],
    [true, false],
  );
  assert.ok((await logIn(foreign.privateKey)) instanceof LoginFailure);
});

function rules(count: number): string {
  const entries = Array.from(
    { length: count },
    (_, index) => `    { topic: "plant/${index}/#", allow: { sub: ["kim"] } },`,
  );
  return `{\n  authentication: [{ name: "kim", method: "unix_socket" }],\n  authorization: [\n${entries.join("\n")}\n  ],\n}\n`;
}

test("a long file is read in a thread, with the same result, while this one goes on", async () => {
  const path = write("long.json5", rules(20_000));
  let longestMs = 0;
  let lastMs = performance.now();
  const beat = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  }, 5);
  const { auth, problems } = await loadAuth(path, { name: "auth.json5" });
  clearInterval(beat);
  assert.deepEqual(problems, []);
  assert.equal(auth?.rules.length, 20_000);
  assert.deepEqual(auth?.rules.at(-1)?.place, {
    file: "auth.json5",
    line: 20_003,
    column: 5,
    text: '{ topic: "plant/19999/#", allow: { sub: ["kim"] } }',
  });
  assert.equal(auth?.users[0]?.expiresMs, Number.POSITIVE_INFINITY);
  // Handing the result over takes some of it, and other tests take the processor.
  assert.ok(longestMs < 1500, `${longestMs} ms`);
});

test("the mistakes of a long file are told as those of a short one", async () => {
  const text = rules(2_000).replace('"plant/1500/#"', '"plant/#/1500"');
  const [line] = await said(write("long.json5", text));
  assert.match(line!, /^auth\.json5:1504:14: /);
});

for (const [title, text, message] of [
  ["nesting", `{ authentication: ${"[".repeat(1_000_000)}`, /^auth\.json5:1:/],
  ["nesting that ends", `{ a: ${"[".repeat(500_000)}${"]".repeat(500_000)} }`, /^auth\.json5:1:/],
  ["numbers", `[${"1,".repeat(1_500_000)}]`, /^auth\.json5:1:1: The file must be an object/],
  ["objects", `[${"{a:{}},".repeat(550_000)}]`, /^auth\.json5:1:1749998: Too many objects and lists\n/],
] as const) {
  test(`a text made to burst the reader by ${title} is an error, and nothing else`, async () => {
    const lines = await said(write("burst.json5", text));
    assert.match(lines[0]!, message);
  });
}
