/** One file, so that nothing else of this suite runs while latencies are measured. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, type RawClient } from "../support/raw-client.ts";
import { UNPRIVILEGED } from "../support/unprivileged.ts";
import { allow, deny, openStage, rulesFor, type Stage } from "./auth-stage.ts";
import { quantile } from "./well-behaved.ts";

const READ_AGAIN = /auth\.json5 read again/;
const REFUSED = /auth\.json5 is not used, it has \d+ errors?: the rules that were in force stay in force/;
const FILTER = 'whenRevoked: "filter",';
const SUBSCRIBERS = 25;
const PUBLISHERS = 25;
const PAUSE_MS = 40;

const USERS = "root kim";
const OPEN = rulesFor(`${USERS} lee`, [allow("#", "sub pub")], FILTER);
const CLOSED = rulesFor(
  USERS,
  [allow("#", "sub pub"), deny("unheard/#", "sub", "kim"), deny("unsaid/#", "pub", "kim")],
  FILTER,
);

const BAD: Readonly<Record<string, (stage: Stage) => void>> = {
  "half of it": ({ put }) => put(CLOSED.slice(0, CLOSED.length / 2)),
  "nothing in it": ({ put }) => put(""),
  "zero bytes": ({ put }) => put(new Uint8Array(4096)),
  "another half": ({ put }) => put(CLOSED.slice(0, CLOSED.indexOf("authorization") + 30)),
  "a folder": ({ path }) => {
    rmSync(path);
    mkdirSync(path);
  },
  "no permission": ({ path, put }) => {
    put(OPEN.replace("root kim", "root"));
    chmodSync(path, 0);
  },
  "a link to itself": ({ path }) => {
    rmSync(path);
    symlinkSync("auth.json5", path);
  },
  "a pipe": ({ path }) => {
    rmSync(path);
    execFileSync("mkfifo", [path]);
  },
  "ten megabytes": ({ put }) =>
    put(OPEN.replace("authorization: [", `authorization: [${`${allow("a", "sub")},`.repeat(240_000)}`)),
  "deep nesting": ({ put }) => put(`{ authentication: ${"[".repeat(100_000)}${"]".repeat(100_000)} }`),
  "deep nesting, read at once": ({ put }) => put(`{ a: ${"{a:[".repeat(7_500)}`),
  "keys twice": ({ put }) => put(OPEN.replace("authorization: [", "authorization: [], authorization: [")),
  "many mistakes in one line": ({ put }) =>
    put(`{ authentication: [], authorization: [${`${allow("a", "sub", "nobody")},`.repeat(4_000)}] }`),
  "no UTF-8": ({ put }) => put(Buffer.concat([Buffer.from(OPEN), Buffer.from([0xff])])),
  "UTF-16": ({ put }) => put(Buffer.from(`\ufeff${OPEN}`, "utf16le")),
  "a user called as a group": ({ put }) => put(OPEN.replace('"lee"', '"@any"')),
};

/** Different ways to write the same. */
const FORMS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => `\ufeff${text}`,
  (text) => text.replaceAll("\n", "\r\n"),
  (text) => text.replace("authorization: [", `authorization: [${`${allow("a", "sub", "kim")},`.repeat(2_000)}`),
  (text) =>
    text.replace("authentication: [", 'authentication: [{ name: "kim", method: "plain_password", password: "old" },'),
];

/** What holds, as far as it can be told from outside: since when nothing closed may be said or heard. */
class Watch {
  closedSinceMs = Number.POSITIVE_INFINITY;
  readonly leaks: string[] = [];
  delivered = 0;
  ended = false;

  /** `topic payload`, where the payload is the time of sending. */
  note(topic: string, sentMs: number): void {
    this.delivered++;
    if (topic.startsWith("un") && sentMs > this.closedSinceMs)
      this.leaks.push(`${topic} ${sentMs - this.closedSinceMs} ms after`);
  }
}

async function listen(client: RawClient, watch: Watch): Promise<void> {
  while (!watch.ended) {
    const { topic, payload } = await client.next("a message");
    watch.note(topic.split("/")[0]!, Number(payload));
  }
}

async function talk(client: RawClient, watch: Watch, topic: string): Promise<void> {
  while (!watch.ended) {
    for (const name of [topic, "open"]) client.sendPublish(`${name}/${client.clientId}`, String(performance.now()));
    await sleep(PAUSE_MS);
  }
}

/** Those who must never get in try all the time; lee, while he is in no file. */
async function intrude(port: number, watch: Watch): Promise<number> {
  let tries = 0;
  for (; !watch.ended; tries++) {
    for (const [username, password] of [
      ["eve", "eve"],
      ["kim", "old"],
      ["lee", "lee"],
      ["@any", "@any"],
    ] as const) {
      const sinceMs = watch.closedSinceMs;
      const client = await dial(port, { username, password });
      const { reasonCode } = await client.expect("connack");
      const mayBe = username === "lee" && (sinceMs === Number.POSITIVE_INFINITY || sinceMs !== watch.closedSinceMs);
      if (reasonCode === 0 && !mayBe) watch.leaks.push(`${username} got in`);
      await client.drop();
    }
    await sleep(30);
  }
  return tries;
}

/** Milliseconds that messages of QoS 0 took between two clients who have nothing to do with all this. */
async function measure(stage: Stage, watch: Watch): Promise<number[]> {
  const latenciesMs: number[] = [];
  const [publisher, subscriber] = [await stage.as("root"), await stage.as("root")];
  await subscriber.subscribe("innocent");
  while (!watch.ended) {
    publisher.sendPublish("innocent", String(performance.now()));
    const { payload } = await subscriber.expect("publish");
    latenciesMs.push(performance.now() - Number(payload));
    await sleep(5);
  }
  return latenciesMs.sort((a, b) => a - b);
}

test("fifty clients at work while the file changes all the time: never open, never down", async (context) => {
  const stage = await openStage(context, OPEN, {
    before: UNPRIVILEGED,
    words: ["--limit", "loginDelay=0"],
  });
  const watch = new Watch();
  const work: Promise<unknown>[] = [];
  for (let index = 0; index < SUBSCRIBERS; index++) {
    const client = await stage.as("kim", { clientId: `s${index}`, version: index % 2 === 0 ? 4 : 5 });
    await client.subscribe(
      index % 3 === 0 ? "#" : [{ topic: "unheard/+" }, { topic: "unsaid/#" }, { topic: "open/+" }],
    );
    work.push(listen(client, watch));
  }
  for (let index = 0; index < PUBLISHERS; index++) {
    const [user, topic] = index % 2 === 0 ? (["kim", "unsaid"] as const) : (["root", "unheard"] as const);
    work.push(talk(await stage.as(user, { clientId: `p${index}` }), watch, topic));
  }
  const intruding = intrude(stage.port, watch);
  const measuring = measure(stage, watch);
  for (const [index, [what, spoil]] of Object.entries(BAD).entries()) {
    await stage.after(() => spoil(stage), REFUSED).catch((error: Error) => assert.fail(`${what}: ${error.message}`));
    const closes = watch.closedSinceMs === Number.POSITIVE_INFINITY;
    if (!closes) watch.closedSinceMs = Number.POSITIVE_INFINITY;
    const form = FORMS[index % FORMS.length]!;
    await stage.after(() => stage.put(`${form(closes ? CLOSED : OPEN)}// ${index}\n`), READ_AGAIN);
    if (closes) watch.closedSinceMs = performance.now();
    await sleep(50);
  }
  // Written piece by piece, in place, with rests within which it would be read.
  await stage.after(() => stage.put(`${CLOSED}// again\n`), READ_AGAIN);
  watch.closedSinceMs = performance.now();
  const file = openSync(stage.path, "w");
  for (let at = 0; at < CLOSED.length; at += 100) {
    writeSync(file, CLOSED.slice(at, at + 100));
    await sleep(at % 300 === 0 ? 150 : 30);
  }
  await stage.after(() => {
    writeSync(file, "// whole");
    closeSync(file);
  }, READ_AGAIN);
  watch.ended = true;
  const tries = await intruding;
  const latenciesMs = await measuring;
  const root = await stage.as("root");
  await root.publish("open/end", String(performance.now()));
  await Promise.all(work);
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(latenciesMs, share).toFixed(1));
  const figures = `${watch.delivered} delivered, ${tries} rounds of intruders; innocents wait p50 ${p50} p99 ${p99} max ${max} ms`;
  context.diagnostic(figures);
  assert.deepEqual(watch.leaks, [], figures);
  assert.ok(watch.delivered > 10_000 && tries > 20, figures);
  assert.ok(Number(p99) < 500, figures);
  assert.doesNotMatch(stage.program.stdout + stage.program.stderr, /could not be|ReferenceError|TypeError|RangeError/);
  assert.equal((await stage.program.stop()).code, 0);
});
