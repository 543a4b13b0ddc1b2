import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runExplain } from "../../src/cli/explain.ts";
import { type CommandResult, emptyFolder, runIn } from "./passwd-kit.ts";

const FILE = `{
  authentication: [
    { name: "anonymous", method: "anonymous", from: "local" },
    { name: "kim", method: "plain_password", password: "secret of kim" },
    { name: "pat", method: "plain_password", password: "secret of pat", from: "192.168.1.0/24", clientId: "pad-*" },
    { name: "old", method: "plain_password", password: "secret of old", expires: "2020-01-01" },
    { name: "gate", method: "client_cert" },
  ],
  group: [{ name: "@family", members: ["kim", "pat"] }],
  authorization: [
    { topic: "home/#", allow: { sub: ["@family"], pub: ["@family"] } },
    { topic: "home/safe", deny: { sub: ["pat"], pub: ["pat"] } },
    { topic: "own/%u/%c/#", allow: { pub: ["@any"] }, maxQos: 1, retain: false },
    { topic: "$SYS/#", allow: { sub: ["kim"] } },
  ],
}
`;

type Context = Parameters<typeof emptyFolder>[0];

function explain(
  context: Context,
  words: string,
  text: string | undefined = FILE,
  name = "auth.json5",
): Promise<CommandResult> {
  const folder = emptyFolder(context);
  if (text !== "") writeFileSync(join(folder, name), text);
  return runIn(folder, runExplain, words.split(" "));
}

for (const [words, code, first] of [
  ["--user kim publish home/door", 0, "ALLOW: kim may publish to home/door"],
  ["--user kim --client-id c1 publish own/kim/c1/x", 0, "ALLOW: kim as client c1 may publish to own/kim/c1/x"],
  ["--user kim --client-id c1 publish own/kim/c2/x", 1, "DENY: kim as client c1 may not publish to own/kim/c2/x"],
  [
    "--user kim --client-id c1 publish own/kim/c1/x --qos 1",
    0,
    "ALLOW: kim as client c1 may publish to own/kim/c1/x with QoS 1",
  ],
  [
    "--user kim --client-id c1 publish own/kim/c1/x --qos 2",
    1,
    "DENY: kim as client c1 may not publish to own/kim/c1/x with QoS 2",
  ],
  [
    "--user kim --client-id c1 publish own/kim/c1/x --retain",
    1,
    "DENY: kim as client c1 may not publish to own/kim/c1/x with RETAIN",
  ],
  ["--user kim subscribe home/#", 0, "ALLOW: kim may subscribe to home/#"],
  ["--user kim subscribe $share/g/home/#", 0, "ALLOW: kim may subscribe to home/#"],
  ["--user kim subscribe other/#", 1, "DENY: kim may not subscribe to other/#"],
  ["--user kim receive $SYS/broker/uptime", 0, "ALLOW: kim receives messages of $SYS/broker/uptime"],
  ["--user kim publish $SYS/broker/uptime", 1, "DENY: kim may not publish to $SYS/broker/uptime"],
  [
    "--user pat --client-id pad-1 --from 192.168.1.7 receive home/safe",
    1,
    "DENY: pat as client pad-1 receives no messages of home/safe",
  ],
  [
    "--user pat --client-id pad-1 --from 192.168.1.7 receive home/door",
    0,
    "ALLOW: pat as client pad-1 receives messages of home/door",
  ],
  [
    "--user pat --client-id pad-1 --from 10.1.2.3 receive home/door",
    1,
    "DENY: pat as client pad-1 receives no messages of home/door",
  ],
  [
    "--user pat --client-id pod-1 --from 192.168.1.7 receive home/door",
    1,
    "DENY: pat as client pod-1 receives no messages of home/door",
  ],
  ["--user old publish home/door", 1, "DENY: old may not publish to home/door"],
  ["--user nobody publish home/door", 1, "DENY: nobody may not publish to home/door"],
  ["--anonymous publish home/door", 1, "DENY: A client without user name (anonymous) may not publish to home/door"],
] as const) {
  test(`explain ${words}: ${code === 0 ? "allowed" : "denied"}`, async (context) => {
    const { code: actual, stdout, stderr } = await explain(context, words);
    assert.deepEqual([stdout.split("\n")[0], actual], [first, code], stdout + stderr);
    assert.ok(!stdout.includes("secret"), stdout);
  });
}

test("explain names the rule that decides, the runner-up, and how the user gets in", async (context) => {
  const { stdout } = await explain(context, "--user pat --client-id pad-1 --from 192.168.1.7 publish home/safe");
  assert.equal(
    stdout,
    `DENY: pat as client pad-1 may not publish to home/safe
  auth.json5:12:5: rule 2 denies home/safe to pat
    { topic: "home/safe", deny: { sub: ["pat"], pub: ["pat"] } }
Without that rule: allowed
  auth.json5:11:5: rule 1 allows home/# to @family
    { topic: "home/#", allow: { sub: ["@family"], pub: ["@family"] } }
It gets in from 192.168.1.7 with its password
`,
  );
});

test("explain says that a user does not get in, why, and what the rules would say", async (context) => {
  const { stdout } = await explain(context, "--user pat --client-id pad-1 publish home/door");
  const lines = stdout.split("\n");
  assert.match(lines[1]!, /^It does not get in from this machine: user pat may not connect from .*auth\.json5:5:5/);
  assert.equal(lines[2], "If it got in: allowed");
  const remote = await explain(context, "--anonymous --from 192.168.1.7 publish a");
  assert.match(remote.stdout, /does not get in from 192\.168\.1\.7: no credentials, and anonymous clients/);
  const unknown = await explain(context, "--user kin publish a");
  assert.match(
    unknown.stdout,
    /^It does not get in from this machine: no entry of authentication is for kin \(did you mean kim\?\)$/m,
  );
  const gate = await explain(context, "--user gate publish a");
  assert.match(gate.stdout, /^It gets in from this machine with its certificate$/m);
});

test("explain --all lists what a user may do", async (context) => {
  const { code, stdout } = await explain(context, "--user pat --client-id pad-1 --from 192.168.1.7 --all");
  assert.equal(code, 0);
  assert.equal(
    stdout,
    `pat as client pad-1, in @family
Gets in from 192.168.1.7 with its password
Of the rules below that match a topic, the last one decides; what none matches is denied

allow  publish    home/#
       auth.json5:11:5: rule 1
allow  subscribe  home/#
       auth.json5:11:5: rule 1
deny   publish    home/safe
       auth.json5:12:5: rule 2
deny   subscribe  home/safe
       auth.json5:12:5: rule 2
allow  publish    own/pat/pad-1/# only up to QoS 1 and not with RETAIN
       auth.json5:13:5: rule 3
`,
  );
  const nobody = await explain(context, "--user old --all");
  assert.equal(nobody.code, 1);
  assert.match(nobody.stdout, /^Does not get in from this machine: /m);
});

test("explain --json says the same to programs", async (context) => {
  const words = "--user pat --client-id pad-1 --from 192.168.1.7 publish home/safe --qos 1 --json";
  const { stdout } = await explain(context, words);
  assert.deepEqual(JSON.parse(stdout), {
    allowed: false,
    operation: "publish",
    topic: "home/safe",
    qos: 1,
    retain: false,
    user: "pat",
    file: "auth.json5",
    entrance: { admitted: true, reason: "with its password" },
    rule: {
      allowed: false,
      reason: "rule 2 denies home/safe to pat",
      place: "auth.json5:12:5",
      text: '{ topic: "home/safe", deny: { sub: ["pat"], pub: ["pat"] } }',
      runnerUp: {
        allowed: true,
        reason: "rule 1 allows home/# to @family",
        place: "auth.json5:11:5",
        text: '{ topic: "home/#", allow: { sub: ["@family"], pub: ["@family"] } }',
      },
      maximumQos: 2,
      retain: true,
    },
  });
  const all = JSON.parse((await explain(context, "--user kim --all --json")).stdout) as { rights: unknown[] };
  assert.equal(all.rights.length, 3);
});

test("without a file explain says what holds then", async (context) => {
  const local = await explain(context, "--anonymous publish a", "");
  assert.equal(local.code, 0, local.stderr);
  assert.match(local.stdout, /^There is no file of users and rules: mqtt-broker passwd add NAME makes one$/m);
  const remote = await explain(context, "--anonymous --from 192.168.1.7 publish a", "");
  assert.equal(remote.code, 1);
  assert.match(remote.stdout, /only clients on this machine are let in/);
  assert.equal((await explain(context, "--anonymous --from ::1 publish a", "")).code, 0);
  assert.equal((await explain(context, "--user kim --from 192.168.1.7 publish a", "")).code, 1);
});

test("a configuration that opens to everybody counts", async (context) => {
  const folder = emptyFolder(context);
  writeFileSync(join(folder, "auth.json5"), FILE);
  writeFileSync(join(folder, "mqtt-broker.json5"), "{ auth: { allowAnonymous: true } }");
  const { stdout } = await runIn(folder, runExplain, ["--anonymous", "--from", "192.168.1.7", "--all"]);
  assert.match(stdout, /^Gets in from 192\.168\.1\.7 without user name and password$/m);
});

test("explain answers for a ledger, topic by topic", async (context) => {
  const text = '{ ledger: { users: { kim: { password: "x", acl: { "a/#": 1 } } }, acl: [{ filters: { "#": 0 } }] } }';
  assert.equal((await explain(context, "--user kim receive a/b", text)).code, 0);
  const denied = await explain(context, "--user kim publish a/b", text);
  assert.equal(denied.code, 1);
  assert.match(denied.stdout, /^DENY: kim may not publish to a\/b$/m);
  assert.match((await explain(context, "--user kim --all", text)).stdout, /A ledger is asked topic by topic/);
});

test("a file with errors is shown them: exit code 2", async (context) => {
  const { code, stdout, stderr } = await explain(
    context,
    "--user kim publish a",
    FILE.replace('"@family"', '"@famly"'),
  );
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^auth\.json5:11:\d+: rule 1 names group "@family"/m);
});

for (const [words, expected] of [
  ["publish a", /Who is it\? Give --user NAME, or --anonymous/],
  ["--user kim --anonymous publish a", /Who is it\?/],
  ["--user kim", /What is the question\?/],
  ["--user kim publish", /What is the question\?/],
  ["--user kim send a", /Unknown operation "send": publish, subscribe or receive/],
  ["--user kim publish a b", /Unexpected argument "b": a topic with blanks needs quotes/],
  ["--user kim publish a/#", /Not a valid Topic Name: "a\/#": wildcards are for subscribe/],
  ["--user kim subscribe a/#/b", /Not a valid Topic Filter: "a\/#\/b"/],
  ["--user kim publish a --qos 3", /--qos needs 0, 1 or 2/],
  ["--user kim subscribe a --retain", /--retain belongs to publish/],
  ["--user kim --all publish a", /--all asks about every topic/],
  ["--user kim --all --qos 1", /--qos belongs to a question about one topic/],
  ["--user kim --from nowhere publish a", /--from needs an address such as 192\.168\.1\.7, or local, not "nowhere"/],
  ["--user kim --transport tpc publish a", /Unknown transport "tpc": did you mean tcp\?/],
] as const) {
  test(`explain ${words} is bad usage`, async (context) => {
    const { code, stdout, stderr } = await explain(context, words);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, expected);
  });
}

test("explain --help fits 120 columns", async (context) => {
  const { code, stdout } = await explain(context, "--help");
  assert.equal(code, 0);
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.length > 120),
    [],
  );
});
