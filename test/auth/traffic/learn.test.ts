import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Book } from "../../../src/auth/book.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { readText } from "../../../src/auth/reading/read-text.ts";
import { RuleBook } from "../../../src/auth/rules/rule-book.ts";
import { type Learned, type LearnedRule, type LearnSource, learn } from "../../../src/auth/traffic/learn.ts";
import { learnedText } from "../../../src/auth/traffic/learn-text.ts";
import { rehearse } from "../../../src/auth/traffic/rehearsal.ts";
import type { Traffic } from "../../../src/auth/traffic/traffic.ts";
import { TrafficRecord } from "../../../src/auth/traffic/traffic-record.ts";
import { filterMatches } from "../../../src/topic/name.ts";
import { clientOf, seeded, trafficOf } from "./traffic-kit.ts";

const NOW_MS = 1_777_000_000_000;
const DIGEST = "ab".repeat(32);
const NAMES = ["kim", "lee", "tom", "ann"];
const SOURCE: LearnSource = {
  names: new Set([...NAMES, "guest"]),
  hasOthers: false,
  anonymousName: "guest",
  wholeSubscriptions: false,
};
const AUTHENTICATION = `[
    // keep this
    ${NAMES.map((name) => `{ name: "${name}", method: "sha256", salt: "s", digest: "${DIGEST}" },`).join("\n    ")}
    { name: "guest", method: "anonymous" },
  ]`;
const FRAME = {
  file: "auth.json5",
  authentication: AUTHENTICATION,
  groups: [],
  options: { explainToClients: "true" },
  sinceSeconds: NOW_MS / 1000,
  nowSeconds: NOW_MS / 1000,
};

type Use = [name: string, clientId: string, topic: string, write: boolean];

function recorded(uses: readonly Use[]): Traffic {
  const record = new TrafficRecord(() => NOW_MS);
  for (const [name, clientId, topic, write] of uses) {
    const { login, client } = loggedIn(name, clientId);
    record.connected(login, client);
    record.used(login, client, topic, write, true);
  }
  return trafficOf(record);
}

function loggedIn(name: string, clientId: string): ReturnType<typeof clientOf> {
  return name === "guest"
    ? clientOf(name, clientId, { userName: null, method: "anonymous" })
    : clientOf(name, clientId);
}

function brief({ topicFilter, sub, pub, wider }: LearnedRule): string {
  return `${topicFilter} sub ${sub} pub ${pub}${wider === undefined ? "" : " WIDER"}`;
}

function bookOf(learned: Learned, frame: Partial<typeof FRAME> = {}): RuleBook {
  const text = learnedText(learned, { ...FRAME, ...frame });
  const { auth, problems } = readText({ text, path: "/x/p.json5", name: "p.json5", certificatesVerified: true });
  assert.deepEqual(
    problems.filter(({ severity }) => severity === "error"),
    [],
    text,
  );
  return new RuleBook(auth!, { verifier: new HashQueue(), wallMs: () => NOW_MS, anonymous: undefined });
}

function allows(book: Book, name: string, clientId: string, topic: string, write: boolean): boolean {
  const { login, client } = loggedIn(name, clientId);
  const own = (book as RuleBook).loginFor(login.userName)!;
  return book.check(own, client, topic, write) !== false;
}

suite("learning", () => {
  test("makes one rule of each topic, with those who used it in each direction", () => {
    const { rules, warnings } = learn(
      recorded([
        ["kim", "c1", "home/door", true],
        ["lee", "c2", "home/door", true],
        ["tom", "c3", "home/door", false],
        ["guest", "c4", "home/lamp", false],
      ]),
      SOURCE,
    );
    assert.deepEqual(rules.map(brief), ["home/door sub tom pub kim,lee", "home/lamp sub guest pub "]);
    assert.deepEqual(warnings, []);
  });

  test("puts %u and %c where a level is the user or the client for two of them at least", () => {
    const { rules } = learn(
      recorded([
        ["kim", "c1", "user/kim/state", true],
        ["lee", "c2", "user/lee/state", true],
        ["kim", "c1", "dev/c1/state", true],
        ["lee", "c2", "dev/c2/state", true],
        ["kim", "c1", "both/kim/c1", true],
        ["lee", "c2", "both/lee/c2", true],
        ["tom", "c3", "single/c3", true],
        ["tom", "c3", "single/tom", true],
      ]),
      SOURCE,
    );
    assert.deepEqual(rules.map(brief), [
      "both/%u/%c sub  pub kim,lee",
      "dev/%c/state sub  pub kim,lee",
      "single/c3 sub  pub tom",
      "single/tom sub  pub tom",
      "user/%u/state sub  pub kim,lee",
    ]);
  });

  test("anonymous clients get no %u, and go by the name that the file in use gives them", () => {
    const traffic = recorded([
      ["guest", "c1", "user/guest/state", true],
      ["kim", "c2", "user/kim/state", true],
    ]);
    assert.deepEqual(
      learn(traffic, { ...SOURCE, names: new Set(["kim", "visitor"]), anonymousName: "visitor" }).rules.map(brief),
      ["user/guest/state sub  pub visitor", "user/kim/state sub  pub kim"],
    );
  });

  test("a subscription needs no rule of its own when something came, else all of it is allowed and warned of", () => {
    const traffic = recorded([
      ["kim", "c1", "home/#", false],
      ["kim", "c1", "home/door", false],
      ["kim", "c1", "alarm/#", false],
      // What came to another client's subscription says nothing of this one.
      ["lee", "c2", "home/+", false],
    ]);
    const { rules, warnings } = learn(traffic, SOURCE);
    assert.deepEqual(rules.map(brief), [
      "alarm/# sub kim pub  WIDER",
      "home/+ sub lee pub  WIDER",
      "home/door sub kim pub ",
    ]);
    assert.deepEqual(warnings, [
      '"alarm/#": a client subscribed to it and nothing came, so all of it is allowed',
      '"home/+": a client subscribed to it and nothing came, so all of it is allowed',
    ]);
    const whole = learn(traffic, { ...SOURCE, wholeSubscriptions: true });
    assert.deepEqual(
      whole.rules.map(({ topicFilter }) => topicFilter),
      ["alarm/#", "home/#", "home/+", "home/door"],
    );
  });

  test("users that no entry names are left out with a warning, unless certificates or tokens may bring them", () => {
    const traffic = recorded([["ghost", "c1", "a", true]]);
    const { rules, warnings } = learn(traffic, SOURCE);
    assert.deepEqual(rules, []);
    assert.deepEqual(warnings, [
      '"ghost" is in no entry of authentication, so no rule names it: mqtt-broker passwd add makes one',
    ]);
    assert.deepEqual(learn(traffic, { ...SOURCE, hasOthers: true }).rules.map(brief), ["a sub  pub ghost"]);
  });

  test("keeps the bounds that were in force, and proposes nothing that was denied", () => {
    const record = new TrafficRecord(() => NOW_MS);
    const { login, client } = clientOf("kim", "c1");
    record.connected(login, client);
    record.used(login, client, "a", true, { maximumQos: 1, retain: false });
    record.used(login, client, "b", true, false);
    const learned = learn(trafficOf(record), SOURCE);
    assert.deepEqual(
      learned.rules.map(({ topicFilter, maximumQos, retain }) => [topicFilter, maximumQos, retain]),
      [["a", 1, false]],
    );
    assert.deepEqual(bookOf(learned).check(bookOf(learned).loginFor("kim")!, client, "a", true), {
      maximumQos: 1,
      retain: false,
    });
  });

  test("what the record folded is proposed as a pattern, and warned of", () => {
    const record = new TrafficRecord(() => NOW_MS, {
      entriesMax: 40,
      bytesMax: 1e6,
      refusalsMax: 5,
      notesPerSecondMax: Number.POSITIVE_INFINITY,
    });
    const { login, client } = clientOf("kim", "c1");
    for (let index = 0; index < 100; index++) record.used(login, client, `m/${index}`, true, true);
    const { rules, warnings } = learn(trafficOf(record), SOURCE);
    assert.deepEqual(rules.map(brief), ["m/+ sub  pub kim WIDER"]);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /^"m\/\+": the record was too full/);
  });

  test("a level that only looks like %c gets a + and a warning, since rules cannot spell it", () => {
    const learned = learn(
      recorded([
        ["kim", "%c", "a/%c/b", true],
        ["lee", "c2", "a/x%uy/b", true],
      ]),
      SOURCE,
    );
    assert.deepEqual(learned.rules.map(brief), ["a/+/b sub  pub kim,lee WIDER"]);
    assert.equal(allows(bookOf(learned), "kim", "%c", "a/%c/b", true), true);
  });

  test("the text keeps the entries as they are, makes groups of who goes together, and lets nothing out of a comment", () => {
    const learned = learn(
      recorded([
        ["kim", "c1", "a", true],
        ["lee", "c1", "a", true],
        ["kim", "c1", "b", false],
        ["lee", "c1", "b", false],
        ["tom", "c1", "x\u2028] } evil/#", false],
      ]),
      SOURCE,
    );
    const text = learnedText({ ...learned, warnings: ["one"] }, FRAME);
    assert.equal(
      text,
      `// Proposed by "mqtt-broker auth learn" on 2026-04-24 03:06 (UTC), from what was used since 2026-04-24 03:06.
// What nobody used in that time is denied: read it before you use it. What it would change:
//   mqtt-broker check --against-traffic FILE
//
// Look at these first:
// - one
{
  explainToClients: true,
  // As they stand in "auth.json5".
  authentication: ${AUTHENTICATION},

  group: [
    { name: "@learned-1", members: ["kim", "lee"] },
  ],

  // All of them allow; what no rule allows is denied.
  authorization: [
    // Asked for 2 times, 2026-04-24 03:06 to 2026-04-24 03:06
    { topic: "a", allow: { pub: ["@learned-1"] } },
    // Asked for 2 times, 2026-04-24 03:06 to 2026-04-24 03:06
    { topic: "b", allow: { sub: ["@learned-1"] } },
    // Asked for 1 time, 2026-04-24 03:06 to 2026-04-24 03:06; wider than what was seen, see above
    { topic: "x\\u2028] } evil/#", allow: { sub: ["tom"] } },
  ],
}
`,
    );
  });

  test("takes a group of the file that has just these members, and no name twice", () => {
    const place = { file: "", line: 0, column: 0, text: "" };
    const learned = learn(
      recorded(
        ["a", "b"].flatMap((topic): Use[] => [
          ["kim", "c", topic, true],
          ["lee", "c", topic, true],
          ["kim", "c", topic, false],
          ["tom", "c", topic, false],
        ]),
      ),
      SOURCE,
    );
    const text = learnedText(learned, {
      ...FRAME,
      groups: [
        { name: "@learned-1", members: ["ann"], place },
        { name: "@couple", members: ["lee", "kim"], place },
      ],
    });
    assert.deepEqual(
      text.split("\n").filter((line) => line.includes("members")),
      ['    { name: "@learned-2", members: ["kim", "tom"] },', '    { name: "@couple", members: ["kim", "lee"] },'],
    );
  });

  test("replaying what was recorded denies nothing, and what is unseen is denied outside of %u, %c and what is warned of", () => {
    let asked = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const next = seeded(seed * 7919);
      const bounds =
        seed % 3 === 0
          ? { entriesMax: 30, bytesMax: 1e6, refusalsMax: 5, notesPerSecondMax: Number.POSITIVE_INFINITY }
          : undefined;
      const record = new TrafficRecord(() => NOW_MS, bounds);
      const clients = Array.from({ length: 6 }, () => ({
        name: [...NAMES, "guest"][next(5)]!,
        clientId: `c${next(4)}`,
      }));
      const seen = new Set<string>();
      for (let count = 0; count < 120; count++) {
        const { name, clientId } = clients[next(clients.length)]!;
        const word = (): string => ["home", "dev", name, clientId, "x%uy", "", "$SYS", `n${next(9)}`][next(8)]!;
        const write = next(2) === 0;
        const topic = Array.from({ length: 1 + next(4) }, word).join("/") || "home";
        const filter = next(10) === 0 && !write && !topic.startsWith("$") ? topic.replace(/[^/]*$/, "#") : topic;
        const { login, client } = loggedIn(name, clientId);
        record.connected(login, client);
        const allowed = next(6) !== 0;
        record.used(login, client, filter, write, allowed);
        if (allowed) seen.add(`${name} ${write} ${filter}`);
      }
      const traffic = trafficOf(record);
      const learned = learn(traffic, SOURCE);
      const book = bookOf(learned);
      const rehearsal = rehearse(traffic, { book, users: book.users, anonymous: undefined, nowMs: NOW_MS });
      assert.deepEqual(
        [rehearsal.newlyDenied, rehearsal.lockedOut, rehearsal.newlyBound],
        [[], [], []],
        `seed ${seed}: ${learnedText(learned, FRAME)}`,
      );
      if (traffic.header.droppedUses === 0 && bounds === undefined) {
        for (const key of seen) {
          const [name, write, ...rest] = key.split(" ");
          const own = clients.filter((client) => client.name === name);
          const topic = rest.join(" ");
          assert.ok(
            own.some(({ clientId }) => allows(book, name!, clientId, topic, write === "true")),
            `seed ${seed}: ${key}`,
          );
        }
      }
      for (let count = 0; count < 200; count++) {
        const { name, clientId } = clients[next(clients.length)]!;
        const write = next(2) === 0;
        const topic = Array.from(
          { length: 1 + next(4) },
          () => ["home", "dev", ...NAMES, "c1", "", "n3", "new"][next(10)]!,
        ).join("/");
        if (topic === "" || seen.has(`${name} ${write} ${topic}`)) continue;
        asked++;
        const allowing = learned.rules.filter(({ topicFilter, sub, pub }) => {
          const names = write ? pub : sub;
          return names.includes(name) && filterMatches(filled(topicFilter, name, clientId), topic);
        });
        const isExcused = allowing.some(({ topicFilter, wider }) => wider !== undefined || /%[uc]/.test(topicFilter));
        assert.equal(
          allows(book, name, clientId, topic, write),
          isExcused,
          `seed ${seed}: ${name} ${clientId} ${topic}`,
        );
      }
      // Nothing is wider without being told.
      for (const { topicFilter, wider } of learned.rules) {
        if (/[+#]/.test(topicFilter)) assert.notEqual(wider, undefined, `seed ${seed}: ${topicFilter}`);
      }
    }
    assert.ok(asked > 8_000, String(asked));
  });
});

function filled(topicFilter: string, name: string, clientId: string): string {
  return topicFilter.replaceAll("%u", name === "guest" ? "\u0000" : name).replaceAll("%c", clientId);
}
