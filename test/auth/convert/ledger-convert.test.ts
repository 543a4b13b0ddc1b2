import assert from "node:assert/strict";
import { argon2Sync } from "node:crypto";
import { test } from "node:test";
import { writeDraft } from "../../../src/auth/convert/auth-draft.ts";
import { ledgerRules } from "../../../src/auth/convert/ledger-convert.ts";
import { ledger } from "../../../src/auth/ledger/ledger.ts";
import { readLedger } from "../../../src/auth/ledger/ledger-document.ts";
import type { LedgerPermission, LedgerRules } from "../../../src/auth/ledger/ledger-rules.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { Login } from "../../../src/auth/login.ts";
import { readText } from "../../../src/auth/reading/read-text.ts";
import { RuleBook } from "../../../src/auth/rules/rule-book.ts";
import type { Connect } from "../../../src/codec/packet.ts";
import type { Access } from "../../../src/core/access.ts";
import { Client } from "../../../src/core/client.ts";
import { formatProblem, hasErrors } from "../../../src/text/problem.ts";

interface Somebody {
  user: string | undefined;
  password: string | undefined;
  clientId: string;
  host: string;
}

const HOSTS = ["192.168.1.7", "10.1.2.3"];
const USERS = ["melon", "kiwi", "plum"];
const CLIENTS = ["c1", "sensor-1"];
const TOPICS = ["a", "a/b", "a/b/c", "b", "b/c", "$SYS/x"];
const FILTERS = ["#", "a/#", "+/b", "a/b", "b", "b/#", "$SYS/#"];

const EVERYBODY: Somebody[] = HOSTS.flatMap((host) =>
  CLIENTS.flatMap((clientId) => [
    ...USERS.flatMap((user) => [`${user}-pass`, "wrong"].map((password) => ({ user, password, clientId, host }))),
    { user: undefined, password: undefined, clientId, host },
  ]),
);

test("random ledgers and the rules made of them let in the same clients, and let them do the same", async () => {
  let admitted = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const rules = randomLedger(seed);
    const access = ledger(rules);
    const book = bookOf(await textOf(rules));
    for (const somebody of EVERYBODY) {
      const hint = `seed ${seed}: ${JSON.stringify(somebody)} of ${JSON.stringify(rules)}`;
      const expected = await decisions(access, somebody);
      assert.deepEqual(await decisions(book, somebody), expected, hint);
      if (expected !== undefined) admitted++;
    }
  }
  assert.ok(admitted > 200, `only ${admitted} were let in`);
});

test("what has no equal is left out, and each is told", async () => {
  const { draft, warnings } = await ledgerRules(
    readLedger({
      users: { gone: { password: "x", disallow: true, acl: { a: 3 } }, "@g": { password: "x" } },
      auth: [
        { username: "dev*", password: "x", allow: true },
        { username: "any", password: "*", allow: true },
        { username: "gone", password: "y", allow: true },
        { username: "far", password: "x", remote: "192.168.1.7:1883", allow: true },
        { username: "near", password: "x", remote: "10.*", client: "c*", allow: true },
        { username: "near", password: "y", allow: true },
        { remote: "10.1.*", allow: false },
        { username: "late", password: "x", allow: true },
        { allow: false },
        { username: "never", password: "x", allow: true },
      ],
      acl: [{ username: "dev*", filters: { a: 3 } }, { filters: { "#": 0 } }],
    } satisfies LedgerRules),
  );
  assert.deepEqual(warnings, [
    'users "@g" cannot be the name of a user here: left out',
    'auth[0] is for the user names "dev*", which has no equal: left out, name the users one by one',
    "auth[1] lets in any with any password, or any that begins so, which has no equal: left out",
    "auth[2] is left out: gone is disallowed",
    'auth[3] is for clients at "192.168.1.7:1883", which has no equal in from: left out',
    "auth[4] is for client ids that begin with c, and now for that one alone too",
    "auth[5] gives near a second password or place: a user has one, left out",
    "auth[6] refuses some clients only, which has no equal: rules behind it that let in are left out",
    "auth[7] is left out, since a rule before it refuses some of its clients",
    'acl[0] is for "dev*", who is no single user of the file: its rules are comments',
  ]);
  const [near, gone] = draft.users;
  assert.deepEqual(
    { ...near?.entry, hash: "" },
    { name: "near", method: "argon2id", hash: "", from: "10.0.0.0/8", clientId: "c*" },
  );
  assert.deepEqual(gone, { comments: ["gone was disallowed: without an entry nobody gets in"] });
  assert.deepEqual(draft.rules, [
    { comments: ["acl[1]"], entry: { topic: "#", deny: { sub: ["@any"], pub: ["@any"] } }, isLeftOut: false },
    { comments: ["acl[0]"], entry: { topic: "a", allow: { sub: ["dev*"], pub: ["dev*"] } }, isLeftOut: true },
    { comments: ["users.gone.acl"], entry: { topic: "a", allow: { sub: ["gone"], pub: ["gone"] } }, isLeftOut: true },
  ]);
});

test("a ledger that lets in everybody has an entry for those without, and for those with wrong credentials", async () => {
  const { draft, warnings } = await ledgerRules(readLedger({ auth: [{ allow: true }], acl: [{}] }));
  assert.deepEqual(
    draft.users.map(({ entry }) => entry),
    [
      { name: "anonymous", method: "anonymous" },
      { name: "unauthenticated", method: "unauthenticated" },
    ],
  );
  assert.deepEqual(warnings, [
    "auth[0] lets in everybody: who gives no right password is the user unauthenticated here, whatever name it gives",
  ]);
  assert.deepEqual(
    draft.rules.map(({ entry }) => entry),
    [
      { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },
      { topic: "$SYS/#", allow: { sub: ["@any"] } },
    ],
  );
});

async function textOf(rules: LedgerRules): Promise<string> {
  return writeDraft((await ledgerRules(readLedger(rules), cheapHash)).draft);
}

/** As little work as argon2id can be: thousands are verified here. */
async function cheapHash(password: string): Promise<string> {
  const nonce = Buffer.from("cheap salt");
  const bytes = argon2Sync("argon2id", {
    message: password,
    nonce,
    parallelism: 1,
    tagLength: 16,
    memory: 8,
    passes: 1,
  });
  const [salt, hash] = [nonce, bytes].map((part) => part.toString("base64").replace(/=+$/, ""));
  return `$argon2id$v=19$m=8,t=1,p=1$${salt}$${hash}`;
}

function bookOf(text: string): Access {
  const { auth, problems } = readText({ text, path: "/auth.json5", name: "auth.json5", certificatesVerified: false });
  assert.ok(auth !== undefined && !hasErrors(problems), `${problems.map(formatProblem).join("\n")}\n${text}`);
  const book = new RuleBook(auth, { verifier: new HashQueue(), wallMs: () => 0, anonymous: undefined });
  return {
    authenticate: async (client, connect) => {
      const answer = await book.authenticate(client, connect);
      if (!(answer instanceof Login)) return answer;
      client.identity = answer;
      return true;
    },
    check: (client, topic, write) => book.check(client.identity as Login, client, topic, write),
  };
}

/** undefined: not let in; else what it may do, of all that could be. */
async function decisions(access: Access, somebody: Somebody): Promise<string[] | undefined> {
  const { user, password, clientId, host } = somebody;
  const peer = { address: `${host}:50000`, local: false, listener: "tcp", transport: "tcp" };
  const client = new Client(clientId, user, 5, true, 60, peer);
  const given = password === undefined ? undefined : Buffer.from(password);
  const answer = await access.authenticate(client, { userName: user, password: given, clientId } as Connect);
  if (answer !== true && (typeof answer !== "object" || "reasonCode" in answer)) return undefined;
  return TOPICS.flatMap((topic) => [
    ...(topic.startsWith("$") || access.check?.(client, topic, true) === false ? [] : [`publish ${topic}`]),
    ...(access.check?.(client, topic, false) === false ? [] : [`receive ${topic}`]),
  ]);
}

/** Of what can be converted whole: no patterns of users and passwords, no denial of some. */
function randomLedger(seed: number): LedgerRules {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
    state ^= state >>> 12;
    return (state >>> 0) % below;
  };
  const pick = <T>(values: readonly T[]): T => values[random(values.length)]!;
  const filters = (): Record<string, LedgerPermission> =>
    Object.fromEntries(Array.from({ length: random(4) }, () => [pick(FILTERS), random(4) as LedgerPermission]));
  const [first, second] = [pick(USERS), pick(USERS)];
  return {
    users: {
      [first]: { password: `${first}-pass`, disallow: random(6) === 0, ...(random(2) === 0 ? { acl: filters() } : {}) },
    },
    auth: [
      {
        username: second,
        password: `${second}-pass`,
        remote: pick(["", "192.168.1.7:*", "10.1.*"]),
        allow: random(6) > 0,
      },
      { username: pick(USERS), password: "other", client: pick(["*", "c1"]), allow: true },
      { allow: false },
      { allow: true },
    ].filter(({ username }) => username !== first),
    acl: Array.from({ length: random(4) }, () => ({
      ...(random(3) === 0 ? { username: first } : {}),
      ...(random(4) === 0 ? { client: pick(["c1", "sensor-*"]) } : {}),
      ...(random(4) === 0 ? { remote: pick(["192.168.1.7:*", "10.*"]) } : {}),
      filters: filters(),
    })),
  };
}
