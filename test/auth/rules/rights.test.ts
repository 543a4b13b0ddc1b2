/** Rights against a plain reading of the manual, over random rules and all topics of a small world. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { AuthRules, RuleEntry, RuleNames } from "../../../src/auth/auth-rules.ts";
import type { Grant, Verdict } from "../../../src/core/access.ts";
import { Client, NO_PEER } from "../../../src/core/client.ts";
import { filterMatches, hasWildcard } from "../../../src/topic/name.ts";
import { bookOf, clientOf, decidingRule, loginOf, NOW_MS } from "../book-of.ts";

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Every name that is used below is a level: else a rule with "%u" had topics that are not in this world.
const TOPIC_LEVELS = ["a", "b", "", "$s", "kim", "lee", "c7"];
// Filters have up to three levels, and of what "#" has below that one topic tells as much as many.
const SHORT_TOPICS = grow(TOPIC_LEVELS, 3).filter((topic) => topic !== "");
const TOPICS = [
  ...SHORT_TOPICS,
  ...SHORT_TOPICS.filter((topic) => topic.split("/").length === 3).map((topic) => `${topic}/z`),
];
const FILTERS = grow(["a", "b", "", "$s", "+", "#", "kim", "c7"], 3).filter(isFilter);
const RULE_FILTERS = grow(["a", "b", "$s", "+", "+", "#", "%u", "%c", "kim"], 3).filter(isFilter);
const KEY = "a key of a test, which is long enough";
const GROUP = [
  { name: "@g", members: ["kim", "guest"] },
  { name: "@h", members: ["lee"] },
];
const NAMES = ["kim", "lee", "guest", "@g", "@h", "@any", "@any"];
const FROMS = [undefined, undefined, undefined, "local", "10.0.0.0/8"];
const CLIENT_IDS = [undefined, undefined, undefined, "c*", "b"];
const EXPIRES = [undefined, undefined, undefined, "2020-01-01", "2030-01-01"];

function grow(levels: readonly string[], depth: number): string[] {
  let longest: string[] = [""];
  const all: string[] = [];
  for (let at = 0; at < depth; at++) {
    longest = longest.flatMap((text) => levels.map((level) => (at === 0 ? level : `${text}/${level}`)));
    all.push(...longest);
  }
  return all;
}

function isFilter(text: string): boolean {
  return text !== "" && !text.slice(0, -1).includes("#");
}

interface Who {
  /** Undefined: anonymous. */
  userName: string | undefined;
  clientId: string;
  /** "10.0.0.9:1" or "127.0.0.1:1". */
  from: string;
  /** Beside those of the file. */
  groups?: readonly string[];
}

function randomRules(random: () => number): RuleEntry[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const names = (): string[] => Array.from({ length: 1 + Math.floor(random() * 2) }, () => pick(NAMES));
  return Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
    const [sub, pub] = [random() < 0.7, random() < 0.7];
    const [subDenied, pubDenied] = [random() < 0.4, random() < 0.4];
    const allow: RuleNames = { ...(sub && !subDenied && { sub: names() }), ...(pub && !pubDenied && { pub: names() }) };
    const deny: RuleNames = { ...(sub && subDenied && { sub: names() }), ...(pub && pubDenied && { pub: names() }) };
    const [from, clientId, expires] = [pick(FROMS), pick(CLIENT_IDS), pick(EXPIRES)];
    return {
      topic: random() < 0.2 ? "#" : pick(RULE_FILTERS),
      allow,
      deny,
      ...(from && { from }),
      ...(clientId && { clientId }),
      ...(expires && { expires }),
      ...(random() < 0.2 && { maxQos: pick([0, 1, 2] as const) }),
      ...(random() < 0.2 && { retain: false }),
    };
  });
}

function randomWho(random: () => number): Who {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  return {
    userName: pick(["kim", "lee", "a", undefined]),
    clientId: pick(["c7", "b", "a", "$s", "+", "b/b"]),
    from: pick(["10.0.0.9:1", "127.0.0.1:1"]),
  };
}

const bits = new Map<string, bigint>();

/** The topics that a filter has, one bit each; `wide`: as a rule that denies has them. */
function topicsOf(filter: string, wide: boolean): bigint {
  const key = `${wide}${filter}`;
  const known = bits.get(key);
  if (known !== undefined) return known;
  const prefix = wide ? "x/" : "";
  const found = BigInt(`0b${TOPICS.map((topic) => (filterMatches(prefix + filter, prefix + topic) ? 1 : 0)).join("")}`);
  bits.set(key, found);
  return found;
}

/** The rules for a direction that concern somebody and hold, with the topics that they have for him; in order. */
function standing(rules: readonly RuleEntry[], who: Who, write: boolean) {
  const name = who.userName ?? "guest";
  const names = [
    name,
    "@any",
    ...(who.groups ?? []),
    ...GROUP.filter((g) => g.members.includes(name)).map((g) => g.name),
  ];
  return rules.flatMap((rule, index) => {
    const allowed = (write ? rule.allow?.pub : rule.allow?.sub)?.some((candidate) => names.includes(candidate));
    const denied = (write ? rule.deny?.pub : rule.deny?.sub)?.some((candidate) => names.includes(candidate));
    if (!allowed && !denied) return [];
    if (rule.expires === "2020-01-01") return [];
    if (rule.clientId === "b" && who.clientId !== "b") return [];
    if (rule.clientId === "c*" && !who.clientId.startsWith("c")) return [];
    if (rule.from === "local" && !who.from.startsWith("127.")) return [];
    if (rule.from === "10.0.0.0/8" && !who.from.startsWith("10.")) return [];
    if (rule.topic.includes("%u") && who.userName === undefined) return [];
    if (rule.topic.includes("%c") && /[+#/]/.test(who.clientId)) return [];
    const topic = rule.topic.replaceAll("%u", who.userName ?? "").replaceAll("%c", who.clientId);
    // A name that clients choose does not name a first level that begins with "$".
    const set = topicsOf(topic, denied === true);
    const reserved = rule.topic.startsWith("$") ? set : set & ~topicsOf("$s/#", false);
    return [{ number: index + 1, allow: !denied, topics: denied ? set : reserved, rule }];
  });
}

/** The manual: the last rule decides a topic; for filters, what is allowed gathers until a rule denies all that was asked for. */
function expected(rules: readonly RuleEntry[], who: Who, topic: string, write: boolean): Verdict {
  const asked = topicsOf(topic, false);
  const stands = standing(rules, who, write).filter(({ topics }) => (topics & asked) !== 0n);
  if (!hasWildcard(topic)) {
    const last = stands.at(-1);
    return last?.allow === true && grantOf(last.rule, write);
  }
  let gathered: RuleEntry[] = [];
  for (const { allow, topics, rule } of stands) {
    if (allow) gathered.push(rule);
    else if ((topics & asked) === asked) gathered = [];
  }
  if (gathered.length === 0) return false;
  const maximumQos = Math.max(...gathered.map(({ maxQos = 2 }) => maxQos)) as Grant["maximumQos"];
  return maximumQos === 2 || { maximumQos, retain: true };
}

function grantOf({ maxQos = 2, retain = true }: RuleEntry, write: boolean): Verdict {
  if (maxQos === 2 && (retain || !write)) return true;
  return { maximumQos: maxQos, retain: retain || !write };
}

function rulesOf(authorization: readonly RuleEntry[]): AuthRules {
  const authentication: NonNullable<AuthRules["authentication"]> = [
    { name: "guest", method: "anonymous" },
    { name: "kim", method: "jwt", key: KEY, claims: { groups: "groups" } },
    { name: "lee", method: "plain_password", password: "p" },
    { name: "*", method: "jwt", key: KEY, claims: { groups: "groups" } },
  ];
  return { authentication, group: GROUP, authorization };
}

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed + 1);

function said(seed: number, rules: readonly RuleEntry[], who: object, topic: string): string {
  return `seed ${seed}: ${JSON.stringify(who)} ${topic}\n${rules.map((rule) => JSON.stringify(rule)).join("\n")}`;
}

suite("rights are what the manual says, whatever the rules are", () => {
  test("verdicts and explanations", () => {
    for (const seed of SEEDS) {
      const random = randomOf(seed);
      const rules = randomRules(random);
      const book = bookOf(rulesOf(rules));
      for (let ask = 0; ask < 5; ask++) {
        const who = randomWho(random);
        const login = loginOf(book, who.userName);
        const client = clientOf(who.clientId, who.userName, who.from);
        for (let question = 0; question < 10; question++) {
          const write = random() < 0.4;
          const list = write || random() < 0.4 ? TOPICS : FILTERS;
          const topic = list[Math.floor(random() * list.length)]!;
          const right = expected(rules, who, topic, write);
          const verdict = book.check(login, client, topic, write);
          const again = book.check(login, client, topic, write);
          const { allowed } = book.explain(login, client, topic, write);
          if (isDeepStrictEqual([verdict, again, allowed], [right, right, right !== false])) continue;
          assert.deepEqual([verdict, again, allowed], [right, right, right !== false], said(seed, rules, who, topic));
        }
      }
    }
  });

  test("the runner-up is what decides when the deciding rule is taken away", () => {
    for (const seed of SEEDS) {
      const random = randomOf(seed + 10_000);
      const rules = randomRules(random);
      const book = bookOf(rulesOf(rules));
      const who = randomWho(random);
      const client = clientOf(who.clientId, who.userName, who.from);
      for (const topic of ["a", "a/b", "#", "a/#", "+/b", "kim"]) {
        const explanation = book.explain(loginOf(book, who.userName), client, topic, false);
        const number = decidingRule(explanation);
        if (number === undefined) continue;
        const without = rules.map((rule, index) => (index + 1 === number ? { topic: "#" } : rule));
        const verdict = expected(without, who, topic, false);
        assert.equal(
          explanation.runnerUp?.allowed ?? false,
          verdict !== false,
          `seed ${seed}: ${topic} ${JSON.stringify(rules)}`,
        );
      }
    }
  });

  test("of a client known from the store no message is kept back that it could get, and no will sent that it could not", () => {
    let uncertainties = 0;
    for (const seed of SEEDS) {
      const random = randomOf(seed + 20_000);
      const rules = randomRules(random);
      const book = bookOf(rulesOf(rules));
      const { userName, clientId } = randomWho(random);
      const client = new Client(clientId, userName, 5, false, 0, NO_PEER);
      const login = book.restore(client);
      // Anybody's token may name groups, but lee has a password and anonymous clients have nothing.
      const groups = userName === "lee" || userName === undefined ? [[]] : [[], ["@g"], ["@h"], ["@g", "@h"]];
      const worlds = groups.flatMap((list) =>
        ["10.0.0.9:1", "127.0.0.1:1", "8.8.8.8:1"].map((from) => ({ userName, clientId, from, groups: list })),
      );
      for (let question = 0; question < 12; question++) {
        const topic = TOPICS[Math.floor(random() * TOPICS.length)]!;
        for (const write of [false, true]) {
          const possible = worlds.map((who) => expected(rules, who, topic, write) !== false);
          const verdict = book.check(login, client, topic, write) !== false;
          const isRight = write ? verdict === !possible.includes(false) : verdict || !possible.includes(true);
          if (!isRight) assert.fail(said(seed, rules, { userName, clientId, verdict, write }, topic));
          if (new Set(possible).size > 1) uncertainties++;
        }
      }
    }
    assert.ok(uncertainties > 100, `only ${uncertainties} questions had more than one answer`);
  });
});

suite("many rules", () => {
  const many = Array.from({ length: 1000 }, (_, index) => ({
    topic: `site/area/${index}/#`,
    allow: { pub: ["kim"], sub: ["kim"] },
  }));

  test("a thousand rules below the same level decide each for themselves", () => {
    const book = bookOf(rulesOf([...many, { topic: "site/area/500/#", deny: { pub: ["@any"] } }]));
    const [login, client] = [loginOf(book, "kim"), clientOf("c1", "kim")];
    assert.equal(book.check(login, client, "site/area/7/x", true), true);
    assert.equal(book.check(login, client, "site/area/500/x", true), false);
    assert.equal(book.check(login, client, "site/area/1000/x", true), false);
    assert.equal(decidingRule(book.explain(login, client, "site/area/999/x", true)), 1000);
    assert.equal(book.check(login, client, "site/#", false), true);
  });

  test("topics and rules of thousands of levels are judged like others", () => {
    const deep = "x/".repeat(30_000);
    const book = bookOf(rulesOf([{ topic: `${deep}#`, allow: { pub: ["kim"], sub: ["kim"] } }]));
    const [login, client] = [loginOf(book, "kim"), clientOf("c1", "kim")];
    assert.equal(book.check(login, client, `${deep}y`, true), true);
    assert.equal(book.check(login, client, `${deep.slice(2)}y`, true), false);
    assert.equal(book.check(login, client, "#", false), true);
    assert.equal(book.check(login, client, `${"+/".repeat(30_000)}#`, false), true);
  });

  test("verdicts stay right when more topics are asked for than are remembered", () => {
    const book = bookOf(rulesOf([...many, { topic: "%c", allow: { pub: ["@any"] } }]));
    const [login, client] = [loginOf(book, "kim"), clientOf("c1", "kim")];
    for (const round of [1, 2]) {
      for (let index = 0; index < 2000; index++) {
        const verdict = book.check(login, client, `site/area/${index}/x`, true);
        assert.equal(verdict, index < 1000, `${index} in round ${round}`);
      }
    }
  });
});

test("a book's rules are as of when it was made, and it says when the next entry ends", () => {
  const authorization: RuleEntry[] = [
    { topic: "a", allow: { pub: ["@any"] }, expires: "2026-06-16T00:00:00Z" },
    { topic: "b", allow: { pub: ["@any"] }, expires: "2026-06-15T18:00:00Z" },
    { topic: "c", allow: { pub: ["@any"] }, expires: "2026-06-14T18:00:00Z" },
  ];
  const rules = rulesOf(authorization);
  assert.equal(bookOf(rules).nextExpiryMs, Date.UTC(2026, 5, 15, 18));
  assert.equal(bookOf(rules, Date.UTC(2026, 5, 15, 18)).nextExpiryMs, Date.UTC(2026, 5, 16));
  assert.equal(bookOf(rules, Date.UTC(2026, 5, 16)).nextExpiryMs, Number.POSITIVE_INFINITY);
  const users: AuthRules = {
    authentication: [{ name: "kim", method: "anonymous", expires: "2026-06-15T12:00:01Z" }],
  };
  assert.equal(bookOf(users).nextExpiryMs, NOW_MS + 1000);
});
