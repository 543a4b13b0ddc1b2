/** What the rules mean, asked of the whole broker by real clients of 5.0 and 3.1.1. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuthRules, RuleEntry } from "../../src/auth/auth-rules.ts";
import { Scene } from "./scene.ts";

interface Chapter {
  title: string;
  /** Beside `root`, and "-" for whoever brings no credentials: see Scene. */
  users: string;
  rules: AuthRules;
  /** Question -> answer. */
  table: string;
}

const may = (topic: string, sub: string, pub = sub): RuleEntry => ({ topic, allow: names(sub, pub) });
const mayNot = (topic: string, sub: string, pub = sub): RuleEntry => ({ topic, deny: names(sub, pub) });

function names(sub: string, pub: string): { sub?: string[]; pub?: string[] } {
  return { ...(sub === "" ? {} : { sub: sub.split(" ") }), ...(pub === "" ? {} : { pub: pub.split(" ") }) };
}

const CHAPTERS: readonly Chapter[] = [
  {
    title: "what no rule allows is denied",
    users: "kim",
    rules: { authorization: [] },
    table: `
      kim connect -> yes
      kim publish a -> no
      kim subscribe a -> no
      kim subscribe # -> no
      kim will a -> no
      kim! connect -> no
      lee connect -> no
      - connect -> no`,
  },
  {
    title: "the last rule that matches wins, from wide to narrow",
    users: "kim lee",
    rules: {
      group: [{ name: "@g", members: ["kim"] }],
      authorization: [
        mayNot("#", "@any"),
        may("sub/#", "@g"),
        mayNot("sub/secret", "kim"),
        may("sub/secret", "", "kim"),
      ],
    },
    table: `
      kim publish other -> no
      kim publish sub -> yes
      kim publish sub/a/b -> yes
      kim publish sub/secret -> yes
      kim subscribe sub/secret -> no
      kim subscribe sub/# -> yes
      kim subscribe # -> yes
      kim subscribe + -> yes
      kim subscribe other -> no
      kim subscribe other/# -> no
      kim get sub/a of # -> yes
      kim get sub/secret of # -> no
      kim get sub/secret of sub/+ -> no
      kim get other of # -> no
      kim get sub of + -> yes
      kim get other of + -> no
      kim retained sub/secret of sub/# -> no
      kim retained sub/a of sub/# -> yes
      kim get sub/a of $share/g/sub/# -> yes
      kim get sub/secret of $share/g/sub/# -> no
      kim subscribe $share/g/other -> no
      kim subscribe $share/g/sub/secret -> no
      kim will sub/a -> yes
      kim will other -> no
      kim will sub/secret -> yes
      lee publish sub/a -> no
      lee subscribe sub/a -> no
      lee subscribe # -> no`,
  },
  {
    title: "a later wide denial takes away what an earlier rule gave",
    users: "kim lee",
    rules: { authorization: [may("a/#", "kim lee"), mayNot("#", "kim"), mayNot("a/b/#", "lee")] },
    table: `
      kim publish a/x -> no
      kim subscribe a/# -> no
      kim subscribe a/x -> no
      lee publish a/x -> yes
      lee publish a/b -> no
      lee publish a/b/c -> no
      lee subscribe a/b/# -> no
      lee subscribe a/b -> no
      lee subscribe a/+ -> yes
      lee subscribe a/b/+ -> no
      lee get a/b of a/+ -> no
      lee get a/c of a/+ -> yes
      lee get a/b/c of a/# -> no`,
  },
  {
    title: "wildcards in the middle",
    users: "kim",
    rules: { authorization: [may("+/temperature", "kim"), mayNot("cellar/+", "kim"), may("site/+/door/#", "kim", "")] },
    table: `
      kim publish kitchen/temperature -> yes
      kim publish kitchen/humidity -> no
      kim publish cellar/temperature -> no
      kim publish temperature -> no
      kim publish a/b/temperature -> no
      kim subscribe +/temperature -> yes
      kim subscribe kitchen/+ -> yes
      kim subscribe cellar/+ -> no
      kim subscribe cellar/# -> yes
      kim get cellar/temperature of cellar/# -> no
      kim get kitchen/temperature of kitchen/+ -> yes
      kim get kitchen/humidity of kitchen/+ -> no
      kim subscribe site/# -> yes
      kim subscribe site/1/door -> yes
      kim subscribe site/1/window -> no
      kim get site/1/door of site/# -> yes
      kim get site/1/door/lock of site/+/door/lock -> yes
      kim get site/1/window of site/# -> no
      kim publish site/1/door -> no`,
  },
  {
    title: "groups, @any, anonymous and unauthenticated clients",
    users: "kim lee anonymous unauthenticated",
    rules: {
      group: [
        { name: "@staff", members: ["kim", "lee"] },
        { name: "@guests", members: ["anonymous"] },
      ],
      authorization: [
        may("public/#", "@any", "@staff"),
        may("guests/#", "@guests"),
        mayNot("guests/vip", "anonymous"),
        may("lost/#", "unauthenticated"),
        mayNot("public/lee", "", "lee"),
      ],
    },
    table: `
      - connect -> yes
      - publish public/a -> no
      - subscribe public/a -> yes
      - publish guests/a -> yes
      - publish guests/vip -> no
      - get guests/a of # -> yes
      - publish lost/a -> no
      kim! connect -> yes
      kim! publish lost/a -> yes
      kim! publish public/a -> no
      kim! subscribe public/a -> yes
      nobody publish lost/a -> yes
      nobody publish guests/a -> no
      kim publish public/a -> yes
      kim publish public/lee -> yes
      lee publish public/lee -> no
      lee publish public/a -> yes
      lee publish lost/a -> no
      kim publish guests/a -> no`,
  },
  {
    title: "topics that begin with $ are reached only by name",
    users: "kim lee max",
    rules: {
      authorization: [
        may("#", "kim lee max"),
        may("+/broker/#", "max"),
        may("$SYS/broker/version", "lee", ""),
        may("$own/#", "lee"),
        may("$SYS/#", "max", ""),
        mayNot("#", "max"),
      ],
    },
    table: `
      kim subscribe $SYS/# -> no
      kim subscribe $SYS/broker/version -> no
      kim publish $own/a -> no
      kim subscribe $own/# -> no
      kim publish own -> yes
      lee retained a of # -> yes
      lee subscribe $SYS/broker/version -> yes
      lee subscribe $SYS/# -> yes
      lee subscribe $SYS/broker/uptime -> no
      lee publish $own/a -> yes
      lee get $own/a of $own/# -> yes
      lee get $own/a of # -> no
      lee publish $SYS/broker/version -> no
      max subscribe $SYS/# -> no
      max subscribe $SYS/broker/version -> no
      max publish a -> no`,
  },
  {
    title: "user name and client identifier in topics",
    users: "kim lee anonymous",
    rules: {
      authorization: [
        may("home/%u/#", "@any"),
        may("dev/%c", "@any"),
        may("box/%u-in", "kim"),
        may("all/+/in", "@any", ""),
      ],
    },
    table: `
      kim publish home/kim/a -> yes
      kim publish home/lee/a -> no
      kim subscribe home/kim/# -> yes
      kim subscribe home/+/# -> yes
      kim subscribe home/lee/# -> no
      kim get home/kim/a of home/+/a -> yes
      kim get home/lee/a of home/+/a -> no
      kim publish home/%u/a -> no
      kim publish box/kim-in -> yes
      kim publish box/lee-in -> no
      lee publish box/lee-in -> no
      - publish home/kim/a -> no
      - publish home//a -> no
      - subscribe home/# -> no
      kim subscribe dev/# -> yes
      kim get dev/other of dev/+ -> no`,
  },
  {
    title: "bounds of rules",
    users: "kim",
    rules: {
      authorization: [
        { topic: "plain/#", allow: { sub: ["kim"], pub: ["kim"] }, retain: false },
        { topic: "zero/#", allow: { pub: ["kim"] }, maxQos: 0 },
        { topic: "gone/#", allow: { sub: ["kim"], pub: ["kim"] }, expires: "2020-01-01" },
        { topic: "later/#", allow: { sub: ["kim"], pub: ["kim"] }, expires: "2999-01-01" },
        { topic: "far/#", allow: { pub: ["kim"] }, from: "192.0.2.0/24" },
        { topic: "near/#", allow: { pub: ["kim"] }, from: ["192.0.2.0/24", "local"] },
        { topic: "tcp/#", allow: { pub: ["kim"] }, from: "transport:tcp" },
        { topic: "other/#", allow: { pub: ["kim"] }, clientId: "x-*" },
        { topic: "mine/#", allow: { pub: ["kim"] }, clientId: ["x-*", "c-kim-*"] },
        { topic: "near/#", deny: { pub: ["kim"] }, from: "192.0.2.7" },
      ],
    },
    table: `
      kim publish plain/a -> yes
      kim retain plain/a -> no
      kim publish zero/a -> no
      kim publish gone/a -> no
      kim subscribe gone/a -> no
      kim publish later/a -> yes
      kim subscribe later/a -> yes
      kim publish far/a -> no
      kim publish near/a -> yes
      kim publish other/a -> no
      kim publish mine/a -> yes`,
  },
];

for (const { title, users, rules, table } of CHAPTERS) {
  test(title, { timeout: 60_000 }, async () => {
    const scene = await Scene.open(users, rules);
    try {
      for (const version of [5, 4] as const) {
        const asked = table.trim().split(/\n\s*/);
        const answers: string[] = [];
        for (const line of asked) {
          const [question = ""] = line.split(" -> ");
          answers.push(`${question} -> ${await scene.answer(question, version)}`);
        }
        assert.deepEqual(answers, asked, `by MQTT ${version === 5 ? "5.0" : "3.1.1"}`);
      }
    } finally {
      await scene.close();
    }
  });
}
