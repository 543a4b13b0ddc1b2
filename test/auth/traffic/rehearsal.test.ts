import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { readText } from "../../../src/auth/reading/read-text.ts";
import { RuleBook } from "../../../src/auth/rules/rule-book.ts";
import type { Candidate } from "../../../src/auth/traffic/recorded-login.ts";
import { type ChangedUse, hasLosses, type Rehearsal, rehearse } from "../../../src/auth/traffic/rehearsal.ts";
import { rehearsalReport } from "../../../src/auth/traffic/rehearsal-report.ts";
import { TrafficRecord } from "../../../src/auth/traffic/traffic-record.ts";
import { clientOf, peerAt, trafficOf } from "./traffic-kit.ts";

const NOW_MS = 1_777_000_000_000;
const DIGEST = "ab".repeat(32);

const USERS = `
    { name: "anonymous", method: "anonymous" },
    { name: "kim", method: "sha256", salt: "s", digest: "${DIGEST}" },
    { name: "lee", method: "sha256", salt: "s", digest: "${DIGEST}" },
`;

function candidate(text: string, anonymous: Candidate["anonymous"] = undefined): Candidate {
  const read = readText({ text, path: "/x/new.json5", name: "new.json5", certificatesVerified: true });
  assert.deepEqual(
    read.problems.filter(({ severity }) => severity === "error"),
    [],
  );
  const book = new RuleBook(read.auth!, { verifier: new HashQueue(), wallMs: () => NOW_MS, anonymous });
  return { book, users: book.users, anonymous, nowMs: NOW_MS };
}

function rules(authorization: string, authentication = USERS): string {
  return `{\n  authentication: [${authentication}],\n  group: [{ name: "@g", members: ["kim"] }],\n  authorization: [\n${authorization}\n  ],\n}\n`;
}

function recorded(fill: (record: TrafficRecord) => void): ReturnType<typeof trafficOf> {
  const record = new TrafficRecord(() => NOW_MS);
  fill(record);
  return trafficOf(record);
}

function use(
  record: TrafficRecord,
  who: ReturnType<typeof clientOf>,
  topic: string,
  write: boolean,
  allowed: boolean,
): void {
  record.connected(who.login, who.client);
  record.used(who.login, who.client, topic, write, allowed);
}

const brief = ({ use: { name, operation, topic }, reason, place }: ChangedUse): string =>
  `${name} ${operation} ${topic}: ${place} ${reason}`;

function lists({ newlyDenied, newlyAllowed, newlyBound }: Rehearsal): Record<string, string[]> {
  return { denied: newlyDenied.map(brief), allowed: newlyAllowed.map(brief), bound: newlyBound.map(brief) };
}

suite("rehearsal", () => {
  test("says what would be newly denied and allowed, and by which rule", () => {
    const traffic = recorded((record) => {
      use(record, clientOf("kim", "c1"), "home/door", true, true);
      use(record, clientOf("kim", "c1"), "home/lamp", true, true);
      use(record, clientOf("kim", "c1"), "home/#", false, true);
      use(record, clientOf("lee", "c2"), "home/lamp", false, false);
      use(record, clientOf("lee", "c2"), "away", false, false);
    });
    const text = rules(`    { topic: "home/#", allow: { pub: ["@any"], sub: ["@any"] } },
    { topic: "home/door", deny: { pub: ["@g"] } },`);
    const rehearsal = rehearse(traffic, candidate(text));
    assert.deepEqual(lists(rehearsal), {
      denied: ["kim publish home/door: new.json5:10:5 rule 2 denies home/door to @g"],
      allowed: ["lee receive home/lamp: new.json5:9:5 rule 1 allows home/# to @any"],
      bound: [],
    });
    assert.deepEqual([rehearsal.uses, rehearsal.clients, hasLosses(rehearsal)], [5, 2, true]);
  });

  test("finds no loss where all is as before or wider", () => {
    const traffic = recorded((record) => use(record, clientOf("kim", "c1"), "a", true, true));
    const rehearsal = rehearse(traffic, candidate(rules('    { topic: "#", allow: { pub: ["kim"] } },')));
    assert.equal(hasLosses(rehearsal), false);
    assert.deepEqual(lists(rehearsal), { denied: [], allowed: [], bound: [] });
  });

  test("names who would not get in any more and why, and does not list what they used", () => {
    const traffic = recorded((record) => {
      use(record, clientOf("kim", "c1"), "a", true, true);
      use(record, clientOf("tom", "c2"), "a", true, true);
      use(record, clientOf("lee", "c3", { peer: peerAt("10.0.0.1:1") }), "a", true, true);
      use(record, clientOf("guest", "c4", { userName: null, method: "anonymous" }), "a", true, true);
    });
    const users = `
    { name: "kim", method: "argon2id", hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$${"A".repeat(43)}" },
    { name: "lee", method: "sha256", salt: "s", digest: "${DIGEST}", from: "192.168.1.0/24" },
    { name: "nobody", method: "anonymous", from: "local" },
`;
    const rehearsal = rehearse(traffic, candidate(rules('    { topic: "#", allow: { pub: ["@any"] } },', users)));
    assert.deepEqual(
      rehearsal.lockedOut.map(({ client, reason }) => `${client.name}: ${reason}`),
      [
        'tom: no entry of authentication has the name "tom"',
        "lee: may not connect from there (new.json5:4:5)",
        "guest: may not connect from there (new.json5:5:5)",
      ],
    );
    assert.deepEqual(lists(rehearsal), { denied: [], allowed: [], bound: [] });
    // Both take a password.
    assert.deepEqual(rehearsal.otherProofs, []);
  });

  test("anonymous clients are those of whichever entry has that method, and obey the setting", () => {
    const traffic = recorded((record) => {
      use(record, clientOf("guest", "c4", { userName: null, method: "anonymous" }), "a", true, true);
      record.refused(clientOf("x", "c5", { userName: null }).client, "no");
    });
    const allow = '    { topic: "#", allow: { pub: ["@any"] } },';
    const whole = rehearse(traffic, candidate(rules(allow)));
    assert.equal(hasLosses(whole), false);
    assert.deepEqual(
      whole.letIn.map(({ clientId }) => clientId),
      ["c5"],
    );
    const local = rehearse(traffic, candidate(rules(allow), "local"));
    assert.deepEqual(
      local.lockedOut.map(({ reason }) => reason),
      ["the setting auth.allowAnonymous is local"],
    );
    assert.deepEqual(local.letIn, []);
  });

  test("tells lowered bounds from a denial, and bounds that were there already from new ones", () => {
    const traffic = recorded((record) => {
      const kim = clientOf("kim", "c1");
      use(record, kim, "a", true, true);
      record.used(kim.login, kim.client, "b", true, { maximumQos: 1, retain: false });
    });
    const rehearsal = rehearse(
      traffic,
      candidate(rules('    { topic: "#", allow: { pub: ["kim"] }, maxQos: 1, retain: false },')),
    );
    assert.deepEqual(
      rehearsal.newlyBound.map(({ use: { topic } }) => topic),
      ["a"],
    );
    assert.equal(hasLosses(rehearsal), true);
  });

  test("what was denied once and allowed later counts as allowed", () => {
    let nowMs = NOW_MS;
    const record = new TrafficRecord(() => nowMs);
    const kim = clientOf("kim", "c1");
    use(record, kim, "a", true, false);
    nowMs += 10_000;
    use(record, kim, "a", true, true);
    const rehearsal = rehearse(trafficOf(record), candidate(rules('    { topic: "#", allow: { pub: ["kim"] } },')));
    assert.deepEqual(lists(rehearsal), { denied: [], allowed: [], bound: [] });
  });

  test("uses the groups of a token, and a method that asks for something else is to be looked at", () => {
    const traffic = recorded((record) => {
      use(record, clientOf("tom", "c1", { method: "jwt", groups: ["@g", "@other"] }), "a", true, true);
      use(record, clientOf("kim", "c2"), "a", true, true);
    });
    const users = `
    { name: "*", method: "jwt", key: "secretsecretsecretsecretsecretsecret", claims: { groups: "groups" } },
    { name: "kim", method: "client_cert" },
`;
    const rehearsal = rehearse(traffic, candidate(rules('    { topic: "#", allow: { pub: ["@g"] } },', users)));
    assert.deepEqual(lists(rehearsal).denied, []);
    assert.deepEqual(
      rehearsal.otherProofs.map(({ client, proof }) => `${client.name} ${proof}`),
      ["kim would have to show a certificate in place of a password (new.json5:4:5)"],
    );
  });

  test("tries a sample of what was folded, with the client whose it was", () => {
    const record = new TrafficRecord(() => NOW_MS, {
      entriesMax: 60,
      bytesMax: 1e6,
      refusalsMax: 5,
      notesPerSecondMax: Number.POSITIVE_INFINITY,
    });
    for (let index = 0; index < 100; index++) use(record, clientOf("kim", `c${index}`), `dev/c${index}/x`, true, true);
    const traffic = trafficOf(record);
    const own = rehearse(traffic, candidate(rules('    { topic: "dev/%c/x", allow: { pub: ["kim"] } },')));
    assert.equal(hasLosses(own), false);
    const none = rehearse(traffic, candidate(rules('    { topic: "dev/other/x", allow: { pub: ["kim"] } },')));
    assert.equal(hasLosses(none), true);
  });

  test("the report groups by user and rule, counts what is too much to show, and escapes names", () => {
    const traffic = recorded((record) => {
      for (let index = 0; index < 25; index++)
        use(record, clientOf("kim", "c\u001b\u202e1"), `home/${index}`, true, true);
      use(record, clientOf("tom", "c2", { peer: peerAt("10.0.0.1:1") }), "a", true, true);
    });
    const rehearsal = rehearse(traffic, candidate(rules('    { topic: "home/#", deny: { pub: ["kim"] } },')));
    const report = rehearsalReport(rehearsal, traffic, "new.json5");
    const lines = report.split("\n");
    assert.deepEqual(lines.slice(0, 10), [
      "Tried new.json5 with 25 uses of 2 clients since 2026-04-24 03:06",
      "",
      "Would not get in any more:",
      '  "tom": no entry of authentication has the name "tom"; client "c2", last seen 2026-04-24 03:06 at 10.0.0.1:1',
      "",
      "Newly denied:",
      '  "kim"',
      "    new.json5:9:5: rule 1 denies home/# to kim",
      '      { topic: "home/#", deny: { pub: ["kim"] } }',
      '      publish "home/0", client "c\\u001b\\u202e1", 1 time, last 2026-04-24 03:06',
    ]);
    assert.deepEqual(lines.slice(-4), ["      and 5 more", "", "Somebody would lose something: see above", ""]);
  });
});
