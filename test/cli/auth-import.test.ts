import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runAuth } from "../../src/cli/auth.ts";
import { runExplain } from "../../src/cli/explain.ts";
import { runPasswd } from "../../src/cli/passwd.ts";
import { type CommandResult, emptyFolder, runIn } from "./passwd-kit.ts";

const HASH = `$6$${Buffer.alloc(12).toString("base64")}$${Buffer.alloc(64).toString("base64")}`;
const ACL = "topic read open\npattern read mine/%u\nuser kim\ntopic deny garden/shed\ntopic garden/#\n";
const LEDGER = `users:
  melon: { password: "secret of melon", acl: { "melon/#": 3, "#": 1 } }
auth:
  - { username: kiwi, password: secret of kiwi, remote: "192.168.1.*", allow: true }
acl:
  - { filters: { "kiwi/#": 3, "#": 0 } }
`;

type Context = Parameters<typeof emptyFolder>[0];

function folderWith(context: Context, files: Readonly<Record<string, string>>): string {
  const folder = emptyFolder(context);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

function auth(folder: string, words: string): Promise<CommandResult> {
  return runIn(folder, runAuth, words.split(" "));
}

test("auth import makes a file of Mosquitto's", async (context) => {
  const folder = folderWith(context, { acl: ACL, passwords: `kim:${HASH}\nclear:secret of clear\n` });
  const { code, stdout, stderr } = await auth(folder, "import --acl acl --passwords passwords --output auth.json5");
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "Made auth.json5: mqtt-broker check --auth-file auth.json5 says what it means\n");
  assert.equal(statSync(join(folder, "auth.json5")).mode & 0o777, 0o600);
  const text = readFileSync(join(folder, "auth.json5"), "utf8");
  assert.equal(
    text
      .slice(text.indexOf("{"))
      .replace(/\$argon2id\$[^"]*/, "ARGON2ID")
      .replace(HASH, "SHA512"),
    `{
  authentication: [
    // Clients without user name and password.
    { name: "anonymous", method: "anonymous", from: "local" },
    { name: "kim", method: "mosquitto", hash: "SHA512" },
    { name: "clear", method: "argon2id", hash: "ARGON2ID" },
  ],

  group: [],

  // From wide to narrow: of the rules that match, the last one wins. What no rule matches is denied.
  authorization: [
    // pattern
    { topic: "mine/%u", allow: { sub: ["@any"] } },
    // clients without a user name
    { topic: "open", allow: { sub: ["anonymous"] } },
    // user kim
    { topic: "garden/#", allow: { sub: ["kim"], pub: ["kim"] } },
    { topic: "garden/shed", deny: { sub: ["kim"], pub: ["kim"] } },
  ],
}
`,
  );
  assert.match(stderr, /^Warning: clear \(\S+:2\) had its password in the clear: a hash is kept$/m);
  assert.match(stderr, /^Warning: Clients without a user name are let in from this machine only/m);
  assert.ok(!`${stderr}${text}`.includes("secret of"));
  assert.equal((await runIn(folder, runPasswd, ["verify", "clear", "--password-stdin"], "secret of clear")).code, 0);
});

test("auth import writes to standard output without --output, and lets in anonymous clients when asked to", async (context) => {
  const folder = folderWith(context, { acl: ACL, passwords: `kim:${HASH}\n` });
  const { code, stdout, stderr } = await auth(folder, "import --acl acl --passwords passwords --allow-anonymous");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^ {4}\{ name: "anonymous", method: "anonymous" \},$/m);
  assert.equal(existsSync(join(folder, "auth.json5")), false);
});

test("auth import makes a file of a ledger", async (context) => {
  const folder = folderWith(context, { "ledger.yaml": LEDGER });
  const { code, stderr } = await auth(folder, "import --ledger ledger.yaml --output auth.json5");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.ok(!readFileSync(join(folder, "auth.json5"), "utf8").includes("secret of"));
  assert.equal((await runIn(folder, runPasswd, ["verify", "melon", "--password-stdin"], "secret of melon")).code, 0);
  for (const [words, allowed] of [
    ["--user melon publish melon/a", true],
    ["--user melon publish kiwi/a", false],
    ["--user melon receive kiwi/a", true],
    ["--user kiwi --from 192.168.1.7 publish kiwi/a", true],
    ["--user kiwi --from 192.168.2.7 publish kiwi/a", false],
    ["--user kiwi --from 192.168.1.7 receive melon/a", false],
  ] as const) {
    assert.equal((await runIn(folder, runExplain, words.split(" "))).code, allowed ? 0 : 1, words);
  }
});

test("a file that exists is replaced with --force only", async (context) => {
  const folder = folderWith(context, { passwords: `kim:${HASH}\n`, "auth.json5": "{ broken" });
  const words = "import --passwords passwords --output auth.json5";
  const refused = await auth(folder, words);
  assert.equal(refused.code, 1);
  assert.equal(refused.stderr, "auth.json5 exists: --force replaces it, or name another --output\n");
  assert.equal(readFileSync(join(folder, "auth.json5"), "utf8"), "{ broken");
  assert.equal((await auth(folder, `${words} --force`)).code, 0);
  assert.match(readFileSync(join(folder, "auth.json5"), "utf8"), /name: "kim", method: "mosquitto"/);
});

test("files that are wrong make nothing, and every mistake is told with its line", async (context) => {
  const folder = folderWith(context, { acl: "topic reed a b\nusr kim\n", "ledger.json": '{ "usrs": {} }' });
  const acl = await auth(folder, "import --acl acl --output auth.json5");
  assert.deepEqual([acl.code, acl.stdout], [1, ""]);
  assert.match(acl.stderr, /^acl:1:1: Not an access: "reed"$/m);
  assert.match(acl.stderr, /^acl:2:1: Not a line of an acl_file: "usr"$/m);
  assert.match(acl.stderr, /^Nothing was made: Mosquitto refuses this acl_file too$/m);
  const ledger = await auth(folder, "import --ledger ledger.json --output auth.json5");
  assert.equal(ledger.code, 1);
  assert.match(ledger.stderr, /^ledger\.json:1:3: .*"usrs"/m);
  const missing = await auth(folder, "import --acl nothing --output auth.json5");
  assert.deepEqual([missing.code, missing.stdout], [1, ""]);
  assert.match(missing.stderr, /^There is no file nothing\n$/);
  assert.equal(existsSync(join(folder, "auth.json5")), false);
});

for (const [words, expected] of [
  ["import --stdout", /Nothing to import: name --acl, --passwords or --ledger/],
  ["import acl", /Unexpected argument "acl": files follow --acl/],
  ["import --acl a --ledger b", /import one/],
  ["import --ledger b --allow-anonymous", /--allow-anonymous is for Mosquitto's files/],
  ["import --acl a --output b --stdout", /exclude each other/],
  ["import --acl", /--acl needs a value: the path of an acl_file/],
  ["import --alc a", /Unknown option --alc: did you mean --acl\?/],
  ["imprt", /Unknown command auth "imprt": did you mean import\?/],
] as const) {
  test(`auth ${words} is bad usage`, async (context) => {
    const { code, stdout, stderr } = await auth(emptyFolder(context), words);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, expected);
  });
}

for (const words of ["--help", "import --help", "import"]) {
  test(`auth ${words} shows the help in 120 columns`, async (context) => {
    const { code, stdout } = await auth(emptyFolder(context), words);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: mqtt-broker auth/);
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 120),
      [],
    );
  });
}
