/** What auth.json5 means: rules once, then many questions, each with the rule that decides it. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { AuthRules, RuleEntry } from "../../../src/auth/auth-rules.ts";
import type { Verdict } from "../../../src/core/access.ts";
import { bookOf, clientOf, decidingRule, loginOf } from "../book-of.ts";

const AUTHENTICATION: NonNullable<AuthRules["authentication"]> = [
  { name: "guest", method: "anonymous" },
  { name: "fallback", method: "unauthenticated" },
  { name: "kim", method: "plain_password", password: "k" },
  { name: "kima", method: "plain_password", password: "k" },
  { name: "lee", method: "plain_password", password: "l" },
  { name: "max", method: "plain_password", password: "m" },
  { name: "*", method: "jwt", key: "a key of a test, which is long enough", claims: { groups: "groups" } },
];
const GROUP: NonNullable<AuthRules["group"]> = [
  { name: "@family", members: ["kim", "lee"] },
  { name: "@kitchen", members: ["lee"] },
  { name: "@guests", members: ["guest", "fallback"] },
  { name: "@empty", members: [] },
];

/**
 * One question a line: who (name, /client identifier, @address; "guest" is anonymous, "+@group" comes from a token), what, topic,
 * then what comes of it: "yes" or "no", the number of the rule that decides ("-": none does), and what is held back.
 */
function table(name: string, authorization: readonly RuleEntry[], questions: string): void {
  suite(name, () => {
    const book = bookOf({ authentication: AUTHENTICATION, group: GROUP, authorization });
    const lines = questions.split("\n").map((line) => line.trim());
    for (const line of lines.filter((text) => text !== "")) {
      test(line, () => {
        const [who = "", operation = "", topic = "", answer = "", rule = "", ...bounds] = line.split(/ +/);
        const [, userName = "", token, clientId, address] = /^([^/@+]+)(?:\+(@\w+))?(?:\/([^@]+))?(?:@(.+))?$/.exec(
          who,
        )!;
        const isAnonymous = userName === "guest";
        const login = loginOf(book, isAnonymous ? undefined : userName, token === undefined ? [] : [token]);
        const client = clientOf(clientId, login.userName, address);
        const write = operation === "publish";
        const verdict = book.check(login, client, topic, write);
        assert.equal(text(verdict), [answer, ...bounds].join(" "), "the verdict");
        assert.deepEqual(book.check(login, client, topic, write), verdict, "the verdict when it is remembered");
        const explained = book.explain(login, client, topic, write);
        assert.equal(explained.allowed, answer === "yes", "the explanation's verdict");
        assert.equal(decidingRule(explained), rule === "-" ? undefined : Number(rule), explained.reason);
      });
    }
  });
}

function text(verdict: Verdict): string {
  if (typeof verdict === "boolean") return verdict ? "yes" : "no";
  const { maximumQos, retain } = verdict;
  return `yes${maximumQos < 2 ? ` qos${maximumQos}` : ""}${retain ? "" : " noretain"}`;
}

const both = (...names: string[]) => ({ sub: names, pub: names });

table(
  "nothing is allowed by itself",
  [{ topic: "home/#", allow: { pub: ["kim"] } }],
  `
  kim   publish   home/door   yes 1
  kim   publish   home        yes 1
  kim   publish   home/       yes 1
  kim   publish   homes       no -
  kim   publish   garden      no -
  kim   receive   home/door   no -
  kim   subscribe home/#      no -
  lee   publish   home/door   no -
  kima  publish   home/door   no -
  guest publish   home/door   no -
  fallback publish home/door  no -
  `,
);

table(
  "no rules at all",
  [],
  `
  kim   publish   a no -
  kim   receive   a no -
  kim   subscribe # no -
  guest publish   a no -
  `,
);

table(
  "a direction that a rule does not mention is left as it was",
  [
    { topic: "#", allow: both("@any") },
    { topic: "a/#", deny: { pub: ["kim"] } },
    { topic: "b/#", allow: { sub: ["kim"] }, deny: { pub: ["kim"] } },
    { topic: "c/#", allow: { pub: ["kim"] }, deny: { sub: ["kim"] } },
    { topic: "d/#", deny: { sub: [] } },
  ],
  `
  kim publish   a/1 no  2
  kim receive   a/1 yes 1
  kim subscribe a/# yes 1
  kim publish   b/1 no  3
  kim receive   b/1 yes 3
  kim subscribe b/+ yes 3
  kim publish   c/1 yes 4
  kim receive   c/1 no  4
  kim subscribe c/# no  4
  kim receive   d/1 yes 1
  kim subscribe d/# yes 1
  lee publish   a/1 yes 1
  lee subscribe c/# yes 1
  `,
);

table(
  "of the rules that match, the last one wins",
  [
    { topic: "#", deny: both("@any") },
    { topic: "sub/#", allow: both("@any") },
    { topic: "sub/secret/#", deny: both("@any") },
    { topic: "sub/secret/public", allow: both("@any") },
    { topic: "+/+/public", deny: { pub: ["lee"] } },
  ],
  `
  kim publish other              no  1
  kim publish sub                yes 2
  kim publish sub/x              yes 2
  kim publish sub/secret         no  3
  kim publish sub/secret/x       no  3
  kim publish sub/secret/public  yes 4
  kim publish sub/secret/public/x no 3
  kim receive sub/secret/public  yes 4
  kim receive sub/secret/x       no  3
  kim receive other/x            no  1
  lee publish sub/secret/public  no  5
  lee receive sub/secret/public  yes 4
  lee publish other/x/public     no  5
  lee publish sub/x/public       no  5
  lee publish sub/public         yes 2
  `,
);

table(
  "from narrow to wide, the narrow ones are lost",
  [
    { topic: "sub/a", allow: both("kim") },
    { topic: "sub/#", deny: both("kim") },
    { topic: "sub/b", allow: both("kim") },
  ],
  `
  kim publish   sub/a no  2
  kim publish   sub/b yes 3
  kim subscribe sub/a no  2
  kim subscribe sub/b yes 3
  kim subscribe sub/# yes 3
  kim subscribe sub/+ yes 3
  kim subscribe #     yes 3
  `,
);

table(
  "a subscription that is wider than a rule that denies is granted, and filtered",
  [
    { topic: "sub/#", allow: { sub: ["@any"] } },
    { topic: "sub/u2reject", deny: { sub: ["kim"] } },
    { topic: "sub/deep/#", deny: { sub: ["kim"] } },
  ],
  `
  kim subscribe sub/#            yes 1
  kim subscribe sub/+            yes 1
  kim subscribe #                yes 1
  kim subscribe +/u2reject       yes 1
  kim subscribe sub/u2reject/#   yes 1
  kim subscribe sub/u2reject     no  2
  kim subscribe sub/deep         no  3
  kim subscribe sub/deep/#       no  3
  kim subscribe sub/deep/+       no  3
  kim subscribe sub/deep/+/x     no  3
  kim subscribe sub/deep/a/#     no  3
  kim subscribe sub/+/a          yes 1
  kim receive   sub/a            yes 1
  kim receive   sub/u2reject     no  2
  kim receive   sub/u2reject/a   yes 1
  kim receive   sub/deep/a/b     no  3
  kim receive   sub/deep         no  3
  lee subscribe sub/u2reject     yes 1
  lee receive   sub/deep/a       yes 1
  `,
);

table(
  "a subscription is granted when it has anything in common with what is allowed",
  [
    { topic: "a/+/c", allow: { sub: ["kim"] } },
    { topic: "x/y/#", allow: { sub: ["kim"] } },
    { topic: "lone", allow: { sub: ["kim"] } },
  ],
  `
  kim subscribe #       yes 3
  kim subscribe +/#     yes 3
  kim subscribe +       yes 3
  kim subscribe +/+     yes 2
  kim subscribe +/+/+   yes 2
  kim subscribe +/+/+/+ yes 2
  kim subscribe a/#     yes 1
  kim subscribe a/+/c   yes 1
  kim subscribe a/b/+   yes 1
  kim subscribe a/b/c   yes 1
  kim subscribe a/+/+   yes 1
  kim subscribe a/b/c/# yes 1
  kim subscribe a/b/c/d no  -
  kim subscribe a/b/d   no  -
  kim subscribe a/+     no  -
  kim subscribe +/b/d   no  -
  kim subscribe x       no  -
  kim subscribe x/#     yes 2
  kim subscribe x/y     yes 2
  kim subscribe x/y/#   yes 2
  kim subscribe x/+     yes 2
  kim subscribe x/z/#   no  -
  kim subscribe lone/#  yes 3
  kim subscribe lone/+  no  -
  kim subscribe b/#     no  -
  `,
);

table(
  "a rule that denies all of a subscription takes back what earlier rules gave, and later ones give anew",
  [
    { topic: "a/b", allow: { sub: ["kim"] } },
    { topic: "a/#", deny: { sub: ["kim"] } },
    { topic: "a/c", allow: { sub: ["kim"] } },
    { topic: "+/c", deny: { sub: ["kim"] } },
    { topic: "q/#", allow: { sub: ["kim"] } },
    { topic: "+/#", deny: { sub: ["lee"] } },
  ],
  `
  kim subscribe a/b no  2
  kim subscribe a/# yes 3
  kim subscribe a/+ yes 3
  kim subscribe a/c no  4
  kim subscribe +/c yes 5
  kim subscribe #   yes 5
  kim subscribe q/c yes 5
  lee subscribe #   no  6
  lee subscribe +/# no  6
  lee subscribe +   no  6
  lee subscribe a   no  6
  `,
);

table(
  "filters of rules are MQTT's",
  [
    { topic: "a/b/#", allow: { pub: ["kim"] } },
    { topic: "p/+", allow: { pub: ["kim"] } },
    { topic: "+/mid/+", allow: { pub: ["kim"] } },
    { topic: "/lead", allow: { pub: ["kim"] } },
    { topic: "trail/", allow: { pub: ["kim"] } },
    { topic: "/deep/#", allow: { pub: ["kim"] } },
  ],
  `
  kim publish a/b       yes 1
  kim publish a/b/      yes 1
  kim publish a/b/c/d   yes 1
  kim publish a         no  -
  kim publish a/bc      no  -
  kim publish A/b       no  -
  kim publish p/        yes 2
  kim publish p/x       yes 2
  kim publish p         no  -
  kim publish p/x/y     no  -
  kim publish x/mid/y   yes 3
  kim publish /mid/     yes 3
  kim publish mid/y     no  -
  kim publish lead      no  -
  kim publish /lead     yes 4
  kim publish trail     no  -
  kim publish trail/    yes 5
  kim publish /deep     yes 6
  kim publish /deep/x/y yes 6
  kim publish deep/x    no  -
  `,
);

table(
  "groups count as their members, without precedence of either",
  [
    { topic: "fam/#", allow: both("@family") },
    { topic: "fam/cook/#", deny: both("@family") },
    { topic: "fam/cook/#", allow: both("@kitchen") },
    { topic: "fam/cook/knife", deny: both("lee") },
    { topic: "fam/cook/spoon", deny: both("lee") },
    { topic: "fam/cook/spoon", allow: both("@kitchen") },
    { topic: "none/#", allow: both("@empty") },
  ],
  `
  kim publish fam/x          yes 1
  lee publish fam/x          yes 1
  max publish fam/x          no  -
  guest publish fam/x        no  -
  kim publish fam/cook/pot   no  2
  lee publish fam/cook/pot   yes 3
  lee publish fam/cook/knife no  4
  lee publish fam/cook/spoon yes 6
  kim publish fam/cook/spoon no  2
  lee subscribe fam/cook/#   yes 6
  kim subscribe fam/cook/#   no  2
  kim subscribe fam/#        yes 1
  lee receive fam/cook/knife no  4
  lee publish none/x         no  -
  `,
);

table(
  "@any is everybody, and who gave no credentials is a user like others",
  [
    { topic: "open/#", allow: both("@any") },
    { topic: "open/members/#", deny: both("@guests") },
    { topic: "open/hall", deny: { pub: ["guest"] } },
    { topic: "bad/#", allow: { pub: ["fallback"] } },
  ],
  `
  kim      publish   open/x         yes 1
  guest    publish   open/x         yes 1
  fallback publish   open/x         yes 1
  guest    publish   open/members/x no  2
  fallback publish   open/members/x no  2
  kim      publish   open/members/x yes 1
  guest    publish   open/hall      no  3
  guest    receive   open/hall      yes 1
  fallback publish   open/hall      yes 1
  fallback publish   bad/x          yes 4
  guest    publish   bad/x          no  -
  guest    subscribe open/#         yes 1
  guest    subscribe open/members/# no  2
  guest    receive   open/members/x no  2
  `,
);

table(
  "names that a token or certificate brings",
  [
    { topic: "any/#", allow: both("@any") },
    { topic: "own/#", allow: both("robot") },
    { topic: "fam/#", allow: both("@family") },
    { topic: "any/secret", deny: both("@kitchen") },
  ],
  `
  robot          publish any/x      yes 1
  robot          publish own/x      yes 2
  other          publish own/x      no  -
  robot          publish fam/x      no  -
  robot+@family  publish fam/x      yes 3
  robot+@kitchen publish any/secret no  4
  robot+@kitchen publish fam/x      no  -
  robot          publish any/secret yes 1
  `,
);

table(
  "topics that begin with $ are allowed only where their first level is named, and denied by wildcards too",
  [
    { topic: "#", allow: both("kim", "lee", "max") },
    { topic: "+/broker/#", allow: both("kim", "lee", "max") },
    { topic: "$SYS/#", allow: { sub: ["kim", "max"] } },
    { topic: "#", deny: both("max") },
    { topic: "#", allow: both("max") },
    { topic: "$SYS/+/secret", deny: { sub: ["kim"] } },
  ],
  `
  kim receive   $SYS/broker/uptime yes 3
  kim receive   $SYS/broker/secret no  6
  kim publish   $SYS/broker/uptime no  -
  kim subscribe $SYS/#             yes 3
  kim subscribe $SYS/broker/secret no  6
  kim subscribe $SYS/+/secret      no  6
  kim subscribe $SYS/+/+           yes 3
  kim receive   $other             no  -
  kim receive   $                  no  -
  kim receive   a/$SYS             yes 1
  kim publish   a/$SYS/b           yes 1
  kim subscribe +/broker/#         yes 2
  lee subscribe $SYS/#             no  -
  lee receive   $SYS/broker/uptime no  -
  lee receive   x/broker/uptime    yes 2
  lee subscribe #                  yes 2
  max receive   $SYS/broker/uptime no  4
  max subscribe $SYS/#             no  4
  max receive   x                  yes 5
  max subscribe #                  yes 5
  `,
);

table(
  "a subscription to everything has nothing that begins with $",
  [{ topic: "$SYS/#", allow: { sub: ["kim"] } }],
  `
  kim subscribe #           no  -
  kim subscribe +/#         no  -
  kim subscribe +/broker    no  -
  kim subscribe $SYS/#      yes 1
  kim subscribe $SYS/broker yes 1
  kim subscribe $SYS        yes 1
  `,
);

table(
  "a rule that denies wildcards takes $ back",
  [
    { topic: "$SYS/#", allow: { sub: ["kim", "lee"] } },
    { topic: "+/#", deny: { sub: ["kim"] } },
    { topic: "+/broker", deny: { sub: ["lee"] } },
  ],
  `
  kim subscribe $SYS/#      no  2
  kim receive   $SYS/x      no  2
  lee subscribe $SYS/#      yes 1
  lee receive   $SYS/broker no  3
  lee receive   $SYS/x      yes 1
  `,
);

table(
  "%u is the user's name",
  [
    { topic: "home/%u/#", allow: both("@any") },
    { topic: "home/%u/locked", deny: both("@any") },
    { topic: "%u", allow: both("@any") },
    { topic: "x-%u-y/+", allow: both("kim") },
  ],
  `
  kim      publish   home/kim/door    yes 1
  kim      publish   home/kim         yes 1
  kim      publish   home/lee/door    no  -
  kim      publish   home/kima/door   no  -
  kima     publish   home/kima/door   yes 1
  kim      publish   home/kim/locked  no  2
  kim      publish   home/%u/door     no  -
  kim      subscribe home/kim/#       yes 1
  kim      subscribe home/#           yes 1
  kim      subscribe home/+/door      yes 1
  kim      receive   home/lee/door    no  -
  kim      subscribe home/lee/#       no  -
  kim      publish   kim              yes 3
  kim      publish   x-kim-y/z        yes 4
  kim      publish   x-lee-y/z        no  -
  guest    publish   home/guest/door  no  -
  guest    publish   home//door       no  -
  guest    publish   home/undefined/x no  -
  fallback publish   home/fallback/x  yes 1
  a.b      publish   home/a.b/x       yes 1
  a.b      publish   home/axb/x       no  -
  $SYS     publish   $SYS             no  -
  $SYS     publish   home/$SYS/x      yes 1
  `,
);

table(
  "%c is the client identifier, which clients choose: it cannot widen a rule",
  [
    { topic: "dev/%c/#", allow: both("@any") },
    { topic: "%c/#", allow: both("lee") },
    { topic: "%u/%c", allow: both("max") },
    { topic: "$dev/%c", allow: both("max") },
    { topic: "$%c/#", allow: both("max") },
    { topic: "$%c/#", deny: both("kim") },
  ],
  `
  kim/c7   publish   dev/c7/x   yes 1
  kim/c8   publish   dev/c7/x   no  -
  guest/c7 publish   dev/c7/x   yes 1
  kim/+    publish   dev/c7/x   no  -
  kim/#    publish   dev/c7/x   no  -
  kim/#    subscribe dev/#      no  -
  kim/+    subscribe dev/+/x    no  -
  kim/c/7  publish   dev/c/7/x  no  -
  kim/a/#  publish   dev/a/b    no  -
  kim/%u   publish   dev/kim/x  no  -
  kim/%u   publish   dev/%u/x   yes 1
  lee/c7   publish   c7/a       yes 2
  lee/$SYS publish   $SYS/a     no  -
  lee/$SYS subscribe $SYS/#     no  -
  lee/$SYS subscribe #          yes 1
  lee/c7   subscribe #          yes 2
  max/c7   publish   max/c7     yes 3
  max/c7   publish   c7/max     no  -
  max/c7   publish   $dev/c7    yes 4
  max/c8   publish   $dev/c7    no  -
  max/SYS  publish   $SYS/x     no  -
  max/SYS  subscribe $SYS/#     no  -
  kim/SYS  publish   $SYS/x     no  6
  `,
);

table(
  "names in rules that deny",
  [
    { topic: "#", allow: both("@any") },
    { topic: "not/%u/#", deny: both("@any") },
    { topic: "%c/#", deny: both("lee") },
    { topic: "$SYS/#", allow: both("lee") },
    { topic: "%c/#", deny: both("lee") },
  ],
  `
  kim      publish   not/kim/x no  2
  kim      publish   not/lee/x yes 1
  kim      subscribe not/kim/# no  2
  kim      subscribe not/#     yes 1
  guest    publish   not/guest yes 1
  lee/c7   publish   c7/x      no  5
  lee/c7   subscribe c7/#      no  5
  lee/c7   publish   c8/x      yes 1
  lee/c7   publish   $SYS/x    yes 4
  lee/$SYS publish   $SYS/x    no  5
  lee/$SYS subscribe $SYS/#    no  5
  lee/+    publish   x/y       yes 1
  `,
);

table(
  "where a rule holds: from",
  [
    { topic: "#", allow: both("@any"), from: "local" },
    { topic: "lan/#", allow: both("@any"), from: ["10.0.0.0/8", "192.168.1.7"] },
    { topic: "lan/door", deny: both("@any"), from: "10.9.0.0/16" },
    { topic: "sock/#", allow: both("@any"), from: "transport:unix" },
    { topic: "port/#", allow: both("@any"), from: "listener:lan" },
  ],
  `
  kim@127.0.0.1:5000   publish   x        yes 1
  kim@unix             publish   x        yes 1
  kim@10.0.0.9:5000    publish   x        no  -
  kim@10.0.0.9:5000    publish   lan/x    yes 2
  kim@192.168.1.7:1    publish   lan/x    yes 2
  kim@192.168.1.70:1   publish   lan/x    no  -
  kim@10.9.8.7:1       publish   lan/x    yes 2
  kim@10.9.8.7:1       publish   lan/door no  3
  kim@10.8.8.7:1       publish   lan/door yes 2
  kim@127.0.0.1:1      publish   lan/door yes 1
  kim@10.9.8.7:1       subscribe lan/door no  3
  kim@10.9.8.7:1       subscribe lan/#    yes 2
  kim@unix             publish   sock/x   yes 4
  kim@10.0.0.9:1       publish   sock/x   no  -
  kim@8.8.8.8:1        publish   port/x   yes 5
  guest@127.0.0.1:1    publish   x        yes 1
  guest@8.8.8.8:1      publish   x        no  -
  `,
);

table(
  "for which clients a rule holds: clientId",
  [
    { topic: "a", allow: both("kim"), clientId: "c1" },
    { topic: "b", allow: both("kim"), clientId: ["sensor-*", "*-eye"] },
    { topic: "b", deny: both("kim"), clientId: "sensor-9*" },
    { topic: "c", allow: both("@any"), clientId: "*" },
    { topic: "d", allow: both("kim"), clientId: "c1", from: "local" },
  ],
  `
  kim/c1        publish   a yes 1
  kim/c12       publish   a no  -
  kim/C1        publish   a no  -
  lee/c1        publish   a no  -
  kim/sensor-1  publish   b yes 2
  kim/sensor-   publish   b yes 2
  kim/sensor-91 publish   b no  3
  kim/my-eye    publish   b yes 2
  kim/eye       publish   b no  -
  kim/x         publish   c yes 4
  kim/sensor-91 subscribe b no  3
  kim/sensor-91 subscribe # yes 4
  kim/c1@127.0.0.1:1 publish d yes 5
  kim/c1@10.0.0.1:1  publish d no -
  kim/c2@127.0.0.1:1 publish d no -
  `,
);

table(
  "rules that have ended count as absent (it is noon of 2026-06-15)",
  [
    { topic: "a", allow: both("kim"), expires: "2026-06-15T12:00:00Z" },
    { topic: "b", allow: both("kim"), expires: "2026-06-15T12:00:01Z" },
    { topic: "c", allow: both("kim") },
    { topic: "c", deny: both("kim"), expires: "2026-06-01T00:00:00Z" },
    { topic: "d", allow: both("kim") },
    { topic: "d", deny: both("kim"), expires: "2027-06-01T00:00:00Z" },
  ],
  `
  kim publish   a no  -
  kim subscribe a no  -
  kim publish   b yes 2
  kim publish   c yes 3
  kim subscribe c yes 3
  kim publish   d no  6
  kim subscribe d no  6
  kim subscribe # yes 5
  `,
);

table(
  "maxQos and retain are those of the rule that decides",
  [
    { topic: "#", allow: both("@any") },
    { topic: "q0/#", allow: both("@any"), maxQos: 0 },
    { topic: "q1/#", allow: both("@any"), maxQos: 1 },
    { topic: "nr/#", allow: both("@any"), retain: false },
    { topic: "both/#", allow: both("@any"), maxQos: 1, retain: false },
    { topic: "q1/free", allow: both("kim") },
    { topic: "q1/shut", deny: both("kim") },
    { topic: "split/#", allow: { pub: ["@any"] }, maxQos: 0 },
  ],
  `
  kim publish   x        yes 1
  kim publish   q0/x     yes 2 qos0
  kim receive   q0/x     yes 2 qos0
  kim publish   q1/x     yes 3 qos1
  kim subscribe q1/#     yes 6
  lee subscribe q1/#     yes 3
  lee subscribe q1/x     yes 3 qos1
  kim publish   nr/x     yes 4 noretain
  kim receive   nr/x     yes 4
  kim publish   both/x   yes 5 qos1 noretain
  kim receive   both/x   yes 5 qos1
  kim publish   q1/free  yes 6
  lee publish   q1/free  yes 3 qos1
  kim publish   q1/shut  no  7
  kim publish   split/x  yes 8 qos0
  kim receive   split/x  yes 1
  kim subscribe #        yes 6
  `,
);

table(
  "a subscription gets the widest of what is left of it",
  [
    { topic: "a/#", allow: { sub: ["@any"] }, maxQos: 1 },
    { topic: "a/b", allow: { sub: ["@any"] }, maxQos: 0 },
    { topic: "z/#", allow: { sub: ["@any"] } },
    { topic: "z/#", deny: { sub: ["@any"] } },
    { topic: "z/y", allow: { sub: ["@any"] }, maxQos: 0 },
    { topic: "k/#", allow: { sub: ["@any"] }, maxQos: 0 },
    { topic: "k/#", allow: { sub: ["kim"] }, maxQos: 1 },
  ],
  `
  kim subscribe a/# yes 2 qos1
  kim subscribe a/+ yes 2 qos1
  kim subscribe a/b yes 2 qos0
  kim subscribe a/c yes 1 qos1
  kim receive   a/c yes 1 qos1
  kim subscribe z/# yes 5 qos0
  kim subscribe z/y yes 5 qos0
  kim subscribe z/x no  4
  kim subscribe k/# yes 7 qos1
  lee subscribe k/# yes 6 qos0
  kim subscribe #   yes 7
  `,
);

table(
  "names that only look like others",
  [
    { topic: "a", allow: both("kim") },
    { topic: "constructor", allow: both("constructor", "__proto__") },
    { topic: "__proto__/#", allow: both("@any") },
  ],
  `
  Kim         publish a              no  -
  kimk        publish a              no  -
  toString    publish a              no  -
  constructor publish constructor    yes 2
  __proto__   publish constructor    yes 2
  valueOf     publish constructor    no  -
  kim         publish __proto__/x    yes 3
  kim         publish hasOwnProperty no  -
  `,
);
