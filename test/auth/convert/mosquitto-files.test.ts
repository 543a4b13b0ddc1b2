/** Mosquitto's files, with Mosquitto itself as the oracle: the same clients ask it and the rules that were made of them. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { writeDraft } from "../../../src/auth/convert/auth-draft.ts";
import {
  checkMosquittoUser,
  hashMethod,
  readAclFile,
  readPasswordFile,
  secretOf,
} from "../../../src/auth/convert/mosquitto-files.ts";
import { mosquittoRules } from "../../../src/auth/convert/mosquitto-rules.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { verify } from "../../../src/auth/login/password.ts";
import { readText } from "../../../src/auth/reading/read-text.ts";
import { RuleBook } from "../../../src/auth/rules/rule-book.ts";
import { Client } from "../../../src/core/client.ts";
import { formatProblem, hasErrors } from "../../../src/text/problem.ts";
import { freePort } from "../../support/free-port.ts";

const ACL = `# Everything that can stand there, in an order that is not the one in which it counts.
topic read open/#
topic deny open/secret

pattern write $SYS/broker/connection/%c/state
pattern readwrite home/%u/#
pattern deny home/+/locked
pattern read clients/%c
pattern read shared/all

user kim
topic deny kitchen/oven/#
topic kitchen/#
topic readwrite home/+/locked
topic read $SYS/broker/#
topic deny $SYS/broker/uptime
topic read a topic with blanks

user pat
topic deny #
topic read $SYS/broker/uptime
topic read $other/x

user lee
topic write +/in
topic read +/out
topic read sub/#
topic deny sub/+/x

user kim
topic write late/kim
`;

const TOPICS = [
  "open/a",
  "open",
  "open/secret",
  "open/secret/x",
  "home/kim/lamp",
  "home/kim",
  "home/pat/lamp",
  "home/kim/locked",
  "home/pat/locked",
  "clients/c-kim",
  "clients/c-pat",
  "shared/all",
  "kitchen/lamp",
  "kitchen/oven",
  "kitchen/oven/heat",
  "a topic with blanks",
  "late/kim",
  "other",
  "x/in",
  "x/out",
  "sub",
  "sub/1",
  "sub/1/x",
  "sub/1/x/y",
  "$other/x",
  "$other/y",
];
const USERS = ["kim", "pat", "lee"];

test("the rules made of an acl_file decide as Mosquitto does", { timeout: 60_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-mosquitto-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const passwords = join(folder, "passwords");
  writeFileSync(passwords, "");
  for (const user of [...USERS, "all"]) execFileSync("mosquitto_passwd", ["-b", passwords, user, `${user}-pass`]);
  const broker = await startMosquitto(folder, passwords, `${ACL}\nuser all\ntopic #\ntopic $other/#\n`);
  context.after(broker.stop);
  const expected = await askMosquitto(broker.port);

  const { acl, problems } = readAclFile(ACL, "acl");
  assert.deepEqual(problems, []);
  const users = USERS.map((name) => ({ name, method: "mosquitto" as const, hash: HASH }));
  const { draft, warnings } = mosquittoRules({ users, acl, allowAnonymous: true });
  assert.deepEqual(warnings, []);
  assert.deepEqual(askRules(writeDraft(draft)), expected);
  // The oracle was asked, and says both yes and no.
  assert.ok(expected.length > 20 && expected.length < 50, `${expected.length} questions are answered with yes`);
});

const HASH = `$6$${Buffer.alloc(12).toString("base64")}$${Buffer.alloc(64).toString("base64")}`;

async function startMosquitto(
  folder: string,
  passwords: string,
  acl: string,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const port = await freePort();
  writeFileSync(join(folder, "acl"), acl);
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    `password_file ${passwords}`,
    `acl_file ${folder}/acl`,
  ];
  writeFileSync(join(folder, "mosquitto.conf"), `${lines.join("\n")}\nuser root\nsys_interval 0\n`);
  const child = spawn("mosquitto", ["-c", join(folder, "mosquitto.conf")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  await once(child, "spawn");
  const deadlineMs = performance.now() + 10_000;
  while (!/ running\b/.test(log)) {
    assert.ok(child.exitCode === null && performance.now() < deadlineMs, `mosquitto does not run: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { port, stop: () => stopped(child) };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
}

const WHO = [undefined, ...USERS];

/** "kim publishes x", "kim receives x": all that Mosquitto lets happen. */
async function askMosquitto(port: number): Promise<string[]> {
  const allowed = new Set<string>();
  const sender = await connected(port, "all");
  for (const user of WHO) {
    const client = await connected(port, user);
    for (const topic of TOPICS) {
      const code = await publishCode(client, topic);
      if (code !== 0x87) allowed.add(`${user} publishes ${topic}`);
    }
    client.on("message", (topic, payload) => {
      if (String(payload) === "from all") allowed.add(`${user} receives ${topic}`);
    });
    await client.subscribeAsync(["#", "$other/#", "end"], { qos: 1 });
    for (const topic of TOPICS) await sender.publishAsync(topic, "from all", { qos: 1 });
    // Acknowledged after all that was sent to it before.
    await client.publishAsync("end", "", { qos: 1 }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 150));
    await client.endAsync(true);
  }
  await sender.endAsync(true);
  return [...allowed].sort();
}

async function connected(port: number, user: string | undefined): Promise<MqttClient> {
  const options: IClientOptions = { protocolVersion: 5, clientId: `c-${user}`, reconnectPeriod: 0 };
  if (user !== undefined) Object.assign(options, { username: user, password: `${user}-pass` });
  return mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, options);
}

/** MQTT.js takes a reason code above 0x80 for an error. */
async function publishCode(client: MqttClient, topic: string): Promise<number> {
  try {
    await client.publishAsync(topic, "", { qos: 1 });
    return 0;
  } catch (error) {
    return (error as { code?: number }).code ?? -1;
  }
}

function askRules(text: string): string[] {
  const { auth, problems } = readText({ text, path: "/auth.json5", name: "auth.json5", certificatesVerified: false });
  assert.ok(auth !== undefined && !hasErrors(problems), problems.map(formatProblem).join("\n"));
  const book = new RuleBook(auth, { verifier: new HashQueue(), wallMs: () => 0, anonymous: undefined });
  const peer = { address: "127.0.0.1:1", local: true, listener: "tcp", transport: "tcp" };
  return WHO.flatMap((user) => {
    const client = new Client(`c-${user}`, user, 5, true, 60, peer);
    const login = book.loginFor(user);
    assert.ok(login !== undefined);
    return TOPICS.flatMap((topic) => [
      ...(book.check(login, client, topic, true) === false ? [] : [`${user} publishes ${topic}`]),
      ...(book.check(login, client, topic, false) === false ? [] : [`${user} receives ${topic}`]),
    ]);
  }).sort();
}

test("the hashes of mosquitto_passwd are taken over and verified", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-mosquitto-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "passwords");
  writeFileSync(file, "");
  execFileSync("mosquitto_passwd", ["-b", file, "kim", "pass of kim"]);
  execFileSync("mosquitto_passwd", ["-H", "sha512", "-b", file, "pat", "pass of pat"]);
  const { users, problems } = readPasswordFile(readFileSync(file, "utf8"), "passwords");
  assert.deepEqual(problems, []);
  assert.deepEqual(
    users.map(({ name, line }) => ({ name, line })),
    [
      { name: "kim", line: 1 },
      { name: "pat", line: 2 },
    ],
  );
  for (const user of users) {
    assert.equal(checkMosquittoUser(user), undefined);
    const secret = { method: "mosquitto" as const, hash: (await secretOf(user)).hash };
    assert.equal(await verify(secret, Buffer.from(`pass of ${user.name}`)), true);
    assert.equal(await verify(secret, Buffer.from("another")), false);
  }
});

test("passwords in the clear become hashes, and lines that are none are told without being shown", async () => {
  const text = "kim:secret\r\n# pat:x\n\nsecret alone\n:x\nkim: other \n@g:x\n*:x\nlee:$6$short$AAAA\n";
  const { users, problems } = readPasswordFile(text, "passwords");
  assert.deepEqual(problems.map(formatProblem), [
    "passwords:4: warning: Not of the form NAME:HASH: left out",
    "passwords:5: warning: Not of the form NAME:HASH: left out",
    "passwords:6: warning: kim is listed before, in line 1: this line counts",
  ]);
  const [kim, group, star, lee] = users;
  assert.deepEqual(kim, { name: "kim", password: "other", line: 6 });
  assert.equal(hashMethod(kim!), undefined);
  const secret = await secretOf(kim!);
  assert.equal(await verify({ method: "argon2id", hash: secret.hash }, Buffer.from("other")), true);
  assert.match(checkMosquittoUser(group!)!, /begins with "@"/);
  assert.match(checkMosquittoUser(star!)!, /stands for everybody/);
  assert.match(checkMosquittoUser(lee!)!, /no usable hash/);
});

test("an acl_file that Mosquitto refuses is refused, with every mistake", () => {
  const text = "topic\ntopic reed a b\nuser \nusr kim\ntopic\tread a\ntopic a/#/b\npattern deny\ntopic write ok\n";
  const { acl, problems } = readAclFile(text, "acl");
  assert.deepEqual(
    problems.map(({ severity, line, message }) => [severity, line, message]),
    [
      ["error", 1, "The topic is missing"],
      ["error", 2, 'Not an access: "reed"'],
      ["error", 3, "A user has no name"],
      ["error", 4, 'Not a line of an acl_file: "usr"'],
      ["error", 5, 'Not a line of an acl_file: "topic\\tread"'],
      ["error", 6, 'Not a valid Topic Filter: "a/#/b"'],
    ],
  );
  assert.deepEqual(acl.patterns, [{ access: "readwrite", topicFilter: "deny", line: 7 }]);
  assert.deepEqual(acl.users.get(""), [{ access: "write", topicFilter: "ok", line: 8 }]);
});

test("what has no equal is left out or made stricter, and warned of", () => {
  const { acl } = readAclFile("topic read x/%c\ntopic deny y/%u/z\nuser gone\ntopic a\n", "acl");
  const { draft, warnings } = mosquittoRules({ users: [], acl, allowAnonymous: false });
  assert.deepEqual(warnings, [
    "Clients without a user name are let in from this machine only: if mosquitto.conf has allow_anonymous true, use --allow-anonymous, or remove the entry's from",
    '"gone" has no line in the password file: its rules are comments. Give both files at once, or make the user with mqtt-broker passwd add gone and take the // away',
    "acl:1: %u and %c are no names in a topic line, and here they are: x/%c is left out",
    "acl:2: %u and %c are no names in a topic line: y/+/z is denied in place of y/%u/z",
  ]);
  const written = writeDraft(draft).split("\n").slice(-11, -3);
  assert.deepEqual(written, [
    "  // From wide to narrow: of the rules that match, the last one wins. What no rule matches is denied.",
    "  authorization: [",
    "    // clients without a user name",
    '    // { topic: "x/%c", allow: { sub: ["anonymous"] } },',
    "    // was: y/%u/z",
    '    { topic: "y/+/z", deny: { sub: ["anonymous"], pub: ["anonymous"] } },',
    "    // user gone",
    '    // { topic: "a", allow: { sub: ["gone"], pub: ["gone"] } },',
  ]);
});

test("without an acl_file everybody may use every topic, and a user may be called anonymous", () => {
  const users = [{ name: "anonymous", method: "mosquitto" as const, hash: HASH }];
  const { draft } = mosquittoRules({ users, acl: undefined, allowAnonymous: true });
  assert.deepEqual(
    draft.users.map(({ entry }) => [entry?.name, entry?.method]),
    [
      ["_anonymous", "anonymous"],
      ["anonymous", "mosquitto"],
    ],
  );
  assert.deepEqual(
    draft.rules.map(({ entry }) => entry),
    [
      { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },
      { topic: "$SYS/#", allow: { sub: ["@any"] } },
    ],
  );
});
