/** What the README's chapter on users and rules shows is what the program reads. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { METHODS } from "../../src/auth/auth-rules.ts";
import { readAuthFile } from "../../src/auth/reading/auth-document.ts";
import type { ReadAuth } from "../../src/auth/reading/read-auth.ts";
import { ROOT } from "./installed.ts";

const README = readFileSync(join(ROOT, "README.md"), "utf8");
const CHAPTER = /^## Users and rules\n(.*?)^## /ms.exec(README)?.[1] ?? "";

/** What the examples leave out. */
const ARGON2 = `$argon2id$v=19$m=19456,t=2,p=1$${"A".repeat(22)}$${"B".repeat(43)}`;
const MOSQUITTO = `$7$101$${"A".repeat(16)}$${"B".repeat(86)}==`;
const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----`;

function filled(text: string): string {
  return text.replaceAll("$argon2id$…", ARGON2).replaceAll("$7$…", MOSQUITTO).replaceAll("1b5e…", "1b5e".repeat(16));
}

function read(text: string): ReadAuth {
  const reading = { readFile: () => PUBLIC_KEY, nowMs: 0, certificatesVerified: true };
  const { auth, problems } = readAuthFile(filled(text), "auth.json5", reading);
  const errors = problems.filter(({ severity }) => severity === "error");
  assert.deepEqual(errors, [], text);
  assert.ok(auth !== undefined);
  return auth;
}

suite("the README's chapter on users and rules", () => {
  test("has an example of every method, and each can be read", () => {
    const rows = CHAPTER.split("\n").filter((line) => line.startsWith("| `"));
    const entries = rows.flatMap((row) => row.match(/(?<=`)\{ name: .*?\}(?=`)/g) ?? []);
    const methods = entries.map((entry) => {
      const rules = '[{ topic: "#", allow: { sub: ["@any"] } }]';
      return read(`{ authentication: [${entry}], authorization: ${rules} }`).users[0]!.method;
    });
    const shown = new Set([...methods, "scrypt"]);
    assert.deepEqual([...shown].sort(), [...METHODS].sort());
    assert.match(CHAPTER, /^\| `argon2id`, `scrypt` \|/m);
  });

  test("shows examples/auth-home.json5 with two users in it", () => {
    const shown = read(/^```json5\n(.*?)^```/ms.exec(CHAPTER)![1]!);
    const example = read(readFileSync(join(ROOT, "examples/auth-home.json5"), "utf8"));
    const meaning = ({ rules }: ReadAuth) => rules.map(({ place, ...rule }) => ({ ...rule, text: place.text }));
    assert.deepEqual(meaning(shown), meaning(example));
    assert.deepEqual(
      shown.groups.map(({ name, members }) => [name, members]),
      [
        ["@family", ["kim"]],
        ["@guests", ["tablet"]],
      ],
    );
    assert.deepEqual(
      shown.users.map(({ name }) => name),
      ["anonymous", "kim", "tablet"],
    );
    assert.deepEqual(
      example.groups.map(({ name }) => name),
      shown.groups.map(({ name }) => name),
    );
  });

  test("names every key of the file", () => {
    const source = readFileSync(join(ROOT, "src/auth/auth-rules.ts"), "utf8");
    const keys = [...source.matchAll(/^ {2}(\w+)\??:/gm)].map(([, key]) => key!);
    assert.ok(keys.length > 30, `only ${keys.length} keys were found in auth-rules.ts`);
    const words = new Set(CHAPTER.match(/\w+/g));
    assert.deepEqual(
      keys.filter((key) => !words.has(key)),
      [],
    );
  });
});
