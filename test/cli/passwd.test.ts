import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runPasswd } from "../../src/cli/passwd.ts";
import { type CommandResult, emptyFolder, runIn, TypedInput } from "./passwd-kit.ts";

const HASHED = /\$(?:argon2id|scrypt)\$[^"']*/g;

const FILE = `// of ours
{
  authentication: [
    { name: 'anonymous', method: 'anonymous', from: 'local' }, // here
    # the gardener
    { name: 'kim', method: 'plain_password', password: 'old secret', note: 'gardener' }, // kim's
    { name: 'pat', method: 'sha256', salt: 's', digest: '${"0".repeat(64)}' },
    { name: 'gate', method: 'client_cert' },
  ],
  groups: [
    { name: '@family', members: ['kim', 'pat'] },
  ],
  authorization: [
    { topic: '#', allow: { sub: ['@family'] } },
    { topic: 'garden/#', allow: { pub: ['kim'] } }, // of kim
    { topic: 'gate', allow: { pub: ['kim', 'gate'] }, deny: { sub: ['kim'] } },
  ],
}
`;

function passwd(cwd: string, argv: readonly string[], input?: Parameters<typeof runIn>[3]): Promise<CommandResult> {
  return runIn(cwd, runPasswd, argv, input);
}

/** A folder with this auth.json5. */
function folderWith(context: Parameters<typeof emptyFolder>[0], text: string): { folder: string; file: string } {
  const folder = emptyFolder(context);
  const file = join(folder, "auth.json5");
  writeFileSync(file, text, { mode: 0o640 });
  return { folder, file };
}

test("passwd add makes a file where there is none, and says so", async (context) => {
  const folder = emptyFolder(context);
  const { code, stdout, stderr } = await passwd(folder, ["add", "kim", "--password-stdin"], "a long password\n");
  assert.equal(code, 0, stderr);
  assert.equal(
    stdout,
    "Made auth.json5: clients on this machine still need no password, others do; every user may use every topic\n" +
      "Added kim to auth.json5 (argon2id)\n" +
      "A running broker that uses this file takes it up within a second\n",
  );
  const text = readFileSync(join(folder, "auth.json5"), "utf8");
  assert.match(text, /^ {4}\{ name: "kim", method: "argon2id", hash: "\$argon2id\$v=19\$m=19456,t=2,p=1\$/m);
  assert.match(text, /^ {4}\{ name: "anonymous", method: "anonymous", from: "local" \},$/m);
  assert.equal(statSync(join(folder, "auth.json5")).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ["auth.json5"]);
  assert.equal((await passwd(folder, ["verify", "kim", "--password-stdin"], "a long password")).code, 0);
  assert.equal((await passwd(folder, ["verify", "kim", "--password-stdin"], "another password")).code, 1);
});

test("passwd add puts a user into a file and changes nothing else", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const words = ["add", "lee", "--password-stdin", "--method", "scrypt", "--note", "it's new", "--admin", "read"];
  const { code, stderr } = await passwd(
    folder,
    [...words, "--group", "family", "--group", "@staff"],
    "a long password",
  );
  assert.equal(code, 0, stderr);
  const expected = FILE.replace(
    "method: 'client_cert' },\n",
    "method: 'client_cert' },\n    { name: 'lee', method: 'scrypt', note: 'it\\'s new', admin: 'read', hash: 'HASH' },\n",
  ).replace("['kim', 'pat'] },\n", "['kim', 'pat', 'lee'] },\n    { name: '@staff', members: ['lee'] },\n");
  assert.equal(readFileSync(file, "utf8").replace(HASHED, "HASH"), expected);
  assert.equal(statSync(file).mode & 0o777, 0o640);
});

test("passwd add gives a user who exists a new password with --force only, and keeps the rest of the entry", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const refused = await passwd(folder, ["add", "kim", "--password-stdin"], "a long password");
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /kim is in auth\.json5 already: --force gives a new password/);
  assert.equal(readFileSync(file, "utf8"), FILE);
  const { code } = await passwd(folder, ["add", "kim", "--password-stdin", "--force"], "a long password");
  assert.equal(code, 0);
  const expected = FILE.replace(
    "'plain_password', password: 'old secret', note: 'gardener' }",
    "'argon2id', note: 'gardener', hash: 'HASH' }",
  );
  assert.equal(readFileSync(file, "utf8").replace(HASHED, "HASH"), expected);
  assert.equal((await passwd(folder, ["add", "pat", "--password-stdin", "--force"], "a long password")).code, 0);
  assert.match(readFileSync(file, "utf8"), /\{ name: 'pat', method: 'argon2id', hash: '[^']*' \},$/m);
});

test("passwd add leaves alone who has no password of his own", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const { code, stderr } = await passwd(folder, ["add", "gate", "--force", "--password-stdin"], "a long password");
  assert.equal(code, 1);
  assert.match(stderr, /gate logs in by the method client_cert/);
  assert.equal(readFileSync(file, "utf8"), FILE);
});

test("passwd add asks twice, and shows nothing of what is typed", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const typed = new TypedInput(
    "long",
    "er pa\u007f\u007f\u001b[Dpassword\r",
    "longer passwort\r",
    "xx\u0015l\u00fcng\u00e4r password\r",
    "l\u00fcng\u00e4r password\r",
  );
  const { code, stdout, stderr } = await passwd(folder, ["add", "lee"], typed);
  assert.equal(code, 0, stderr);
  const prompts = "New password of lee: \nAgain: \n";
  assert.ok(stderr.startsWith(`${prompts}These were two different passwords: once more\n${prompts}`), stderr);
  assert.ok(!`${stdout}${stderr}`.includes("password\r") && !stderr.includes("long"));
  assert.deepEqual([typed.isRaw, typed.wasRaw], [false, true]);
  assert.match(readFileSync(file, "utf8"), /name: 'lee'/);
  assert.equal((await passwd(folder, ["verify", "lee"], new TypedInput("l\u00fcng\u00e4r password\n"))).code, 0);
  assert.equal((await passwd(folder, ["verify", "lee"], new TypedInput("longer password\r"))).code, 1);
});

for (const [what, typed] of [
  ["Ctrl-C", "secr\u0003et\r"],
  ["Ctrl-D before anything else", "\u0004"],
] as const) {
  test(`${what} at the prompt changes nothing, and the terminal is as it was`, async (context) => {
    const { folder, file } = folderWith(context, FILE);
    const input = new TypedInput(typed);
    const { code, stderr } = await passwd(folder, ["add", "lee"], input);
    assert.equal(code, 130);
    assert.match(stderr, /Interrupted: nothing was changed/);
    assert.equal(input.isRaw, false);
    assert.equal(readFileSync(file, "utf8"), FILE);
  });
}

for (const [answer, code] of [
  ["y\r", 0],
  ["n\r", 1],
  ["\r", 1],
] as const) {
  test(`at a terminal passwd add asks before it replaces a password: ${JSON.stringify(answer)}`, async (context) => {
    const { folder, file } = folderWith(context, FILE);
    const result = await passwd(
      folder,
      ["add", "kim"],
      new TypedInput(answer, "a long password\r", "a long password\r"),
    );
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, /kim is in auth\.json5 already\. Give a new password\? \[y\/N\]/);
    assert.equal(readFileSync(file, "utf8") === FILE, code === 1);
  });
}

test("on a real terminal nothing of the password is shown, and afterwards it shows what is typed again", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
  const command = `'${process.execPath}' '${main}' passwd add lee --auth-file auth.json5; stty -a | grep -o ' -\\?echo '`;
  const terminal = spawn("script", ["-qec", command, "/dev/null"], {
    cwd: folder,
    env: { PATH: process.env.PATH, SHELL: "/bin/sh", TERM: "dumb" },
  });
  context.after(() => terminal.kill("SIGKILL"));
  let shown = "";
  terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (/: $/.test(shown)) terminal.stdin.write("typed secret\r");
  });
  await once(terminal, "close");
  assert.match(shown, /^New password of lee: \r\nAgain: \r\nAdded lee to auth\.json5 \(argon2id\)\r\n/);
  assert.ok(!shown.includes("secret"), shown);
  assert.match(shown, /^ echo \r?$/m);
  assert.match(readFileSync(file, "utf8"), /name: 'lee'/);
});

for (const [argv, input, expected] of [
  [["add", "lee", "secret"], "", /never given as an argument/],
  [["add", "lee", "--password", "secret"], "", /seen by everybody on this machine: use --password-stdin/],
  [["add", "lee", "--password=secret"], "", /seen by everybody on this machine: use --password-stdin/],
  [["add", "lee"], "", /Standard input is no terminal .* --password-stdin/],
  [["add", "lee", "--password-stdin"], "\n", /The password is empty/],
  [["add", "lee", "--password-stdin"], "one\ntwo\n", /several lines/],
  [["add", "lee", "--password-stdin"], Buffer.from([0xff, 0x0a]), /no text in UTF-8/],
  [["add", "lee", "--password-stdin"], "x".repeat(65_536), /65,535 bytes/],
  [["add"], "", /passwd add needs a NAME/],
  [["add", "@family"], "", /@family is the name of a group/],
  [["add", "*"], "", /stands for every name/],
  [["add", ""], "", /not empty/],
  [["add", "a\nb"], "", /control characters/],
  [["add", "lee", "--group", "@any"], "", /Everybody is in @any/],
  [["add", "lee", "--method", "md5"], "", /Unknown method "md5"/],
  [["add", "lee", "--admin", "write"], "", /Unknown value of --admin "write": read or all/],
  [["lst"], "", /Unknown command passwd "lst": did you mean list\?/],
  [["list", "x"], "", /Unexpected argument "x"/],
  [["list", "--force"], "", /--force is no option of passwd list/],
  [["list", "--jsn"], "", /Unknown option --jsn: did you mean --json\?/],
  [["add", "lee", "--note"], "", /--note needs a value: a text/],
  [["list", "--config", "no.json5"], "", /no\.json5 does not exist/],
] as const) {
  test(`passwd ${JSON.stringify(argv)} is bad usage`, async (context) => {
    const { folder, file } = folderWith(context, FILE);
    const { code, stdout, stderr } = await passwd(folder, argv, input);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, expected);
    assert.ok(!stderr.includes("secret"), stderr);
    assert.equal(readFileSync(file, "utf8"), FILE);
  });
}

test("a group that is probably another one is not made", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const { code, stderr } = await passwd(
    folder,
    ["add", "lee", "--group", "famly", "--password-stdin"],
    "a long password",
  );
  assert.deepEqual([code, stderr], [1, "There is no group @famly: did you mean @family?\n"]);
  assert.equal(readFileSync(file, "utf8"), FILE);
});

test("who may do nothing is told, with the line to add; short passwords are warned of", async (context) => {
  const { folder } = folderWith(context, FILE);
  const { code, stderr } = await passwd(folder, ["add", "lee", "--password-stdin"], "short");
  assert.equal(code, 0);
  assert.equal(
    stderr,
    "Warning: passwords under 8 characters are found by trying\n" +
      "Warning: no rule lets lee do anything yet. To allow every topic, add to authorization in auth.json5:\n" +
      '  { topic: "#", allow: { sub: ["lee"], pub: ["lee"] } },\n',
  );
  const inGroup = await passwd(folder, ["add", "may", "--password-stdin", "--group", "@family"], "a long password");
  assert.equal(inGroup.stderr, "");
});

test("a file with errors is shown them, and not touched", async (context) => {
  const text = FILE.replace("sub: ['@family']", "sub: ['@famly']").replace("'kim', 'gate'", "'kin', 'gate'");
  const { folder, file } = folderWith(context, text);
  const { code, stderr } = await passwd(folder, ["add", "lee", "--password-stdin"], "a long password");
  assert.equal(code, 1);
  assert.match(stderr, /^auth\.json5:14:\d+: rule 1 names group "@famly"/m);
  assert.match(stderr, /^auth\.json5:16:\d+: rule 3 names user "kin".*did you mean "kim"/m);
  assert.match(stderr, /Nothing is done before this is put right/);
  assert.ok(!stderr.includes("old secret"), stderr);
  assert.equal(readFileSync(file, "utf8"), text);
});

test("ledgers and YAML are not edited", async (context) => {
  const { folder, file } = folderWith(context, "{ ledger: { users: { kim: { password: 'x' } } } }");
  const { code, stderr } = await passwd(folder, ["add", "lee", "--password-stdin"], "a long password");
  assert.equal(code, 1);
  assert.match(stderr, /auth\.json5 holds a ledger.*mqtt-broker auth import --ledger/);
  assert.match(readFileSync(file, "utf8"), /^\{ ledger/);
  const yaml = await passwd(folder, ["add", "lee", "--auth-file", "a.yaml", "--password-stdin"], "a long password");
  assert.match(yaml.stderr, /a\.yaml is YAML, and only JSON5 is edited/);
  assert.equal(existsSync(join(folder, "a.yaml")), false);
});

test("passwd list shows who there is, without secrets", async (context) => {
  const { folder } = folderWith(context, FILE);
  const { code, stdout } = await passwd(folder, ["list"]);
  assert.equal(code, 0);
  assert.equal(
    stdout,
    "NAME       METHOD          GROUPS   NOTE\n" +
      "anonymous  anonymous\n" +
      "kim        plain_password  @family  gardener\n" +
      "pat        sha256          @family\n" +
      "gate       client_cert\n",
  );
  const json = JSON.parse((await passwd(folder, ["list", "--json"])).stdout) as unknown[];
  assert.deepEqual(json[1], { name: "kim", method: "plain_password", groups: ["@family"], note: "gardener" });
});

test("passwd del takes a user out of its groups, and out of rules with --force", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const pat = await passwd(folder, ["del", "pat"]);
  assert.equal(pat.code, 0, pat.stderr);
  const withoutPat = FILE.replace(/ {4}\{ name: 'pat'.*\n/, "").replace("'kim', 'pat'", "'kim'");
  assert.equal(readFileSync(file, "utf8"), withoutPat);
  const kim = await passwd(folder, ["del", "kim"]);
  assert.deepEqual([kim.code, kim.stdout], [1, ""]);
  assert.match(kim.stderr, /^kim is named by 2 rules:\n {2}auth\.json5:14:5: rule 2: \{ topic: "garden/);
  assert.match(kim.stderr, /--force removes the name there too/);
  assert.equal(readFileSync(file, "utf8"), withoutPat);
  assert.equal((await passwd(folder, ["del", "kim", "--force"])).code, 0);
  const withoutBoth = withoutPat
    .replace(/ {4}# the gardener\n.*\n/, "")
    .replace("['kim']", "[]")
    .replace(/ {4}\{ topic: 'garden.*\n/, "")
    .replace("pub: ['kim', 'gate'] }, deny: { sub: ['kim'] } }", "pub: ['gate'] } }");
  assert.equal(readFileSync(file, "utf8"), withoutBoth);
  const nobody = await passwd(folder, ["del", "gat"]);
  assert.deepEqual([nobody.code, nobody.stderr], [1, "gat is not in auth.json5: did you mean gate?\n"]);
});

test("owner, mode and links stay, and readers who should not be are warned of", async (context) => {
  const folder = emptyFolder(context);
  mkdirSync(join(folder, "real"));
  const real = join(folder, "real", "users.json5");
  writeFileSync(real, FILE);
  chmodSync(real, 0o644);
  if (process.getuid?.() === 0) chownSync(real, 12_345, 54_321);
  symlinkSync("real/users.json5", join(folder, "auth.json5"));
  const { code, stderr } = await passwd(
    folder,
    ["add", "lee", "--password-stdin", "--group", "family"],
    "a long password",
  );
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /^Warning: every user of this machine can read .*auth\.json5, and guess at passwords: chmod o-r/,
  );
  assert.equal(lstatSync(join(folder, "auth.json5")).isSymbolicLink(), true);
  const { mode, uid, gid } = statSync(real);
  assert.equal(mode & 0o777, 0o644);
  if (process.getuid?.() === 0) assert.deepEqual([uid, gid], [12_345, 54_321]);
  assert.match(readFileSync(real, "utf8"), /name: 'lee'/);
  assert.deepEqual(readdirSync(join(folder, "real")), ["users.json5"]);
});

test("a file that somebody else changes meanwhile is left as they made it", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const typed = new TypedInput("a long password\r");
  const running = passwd(folder, ["add", "lee"], typed);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const changed = FILE.replace("gardener", "cook");
  writeFileSync(file, changed);
  typed.write("a long password\r");
  const { code, stderr } = await running;
  assert.equal(code, 1);
  assert.match(stderr, /somebody else has changed it meanwhile: try again/);
  assert.equal(readFileSync(file, "utf8"), changed);
  assert.deepEqual(readdirSync(folder), ["auth.json5"]);
});

test("passwd import takes over Mosquitto's users with the hashes that they have", async (context) => {
  const { folder, file } = folderWith(context, FILE);
  const list = join(folder, "passwords");
  writeFileSync(list, "");
  execFileSync("mosquitto_passwd", ["-b", list, "lee", "pass of lee"]);
  execFileSync("mosquitto_passwd", ["-b", list, "kim", "pass of kim"]);
  writeFileSync(list, `${readFileSync(list, "utf8")}clear:pass of clear\nbroken\n`);
  const { code, stdout, stderr } = await passwd(folder, ["import", "passwords"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Imported 2 users into auth\.json5: lee, clear$/m);
  assert.match(stderr, /^passwords:4: warning: Not of the form NAME:HASH/m);
  assert.match(stderr, /^Left out: kim \(\S+:2\) is in auth\.json5 already: --force replaces the password$/m);
  assert.match(stderr, /^Warning: clear \(\S+:3\) had its password in the clear: a hash is kept$/m);
  assert.match(readFileSync(file, "utf8"), /\{ name: 'lee', method: 'mosquitto', hash: '\$7\$101\$/);
  for (const user of ["lee", "clear"]) {
    assert.equal((await passwd(folder, ["verify", user, "--password-stdin"], `pass of ${user}`)).code, 0);
  }
  assert.equal((await passwd(folder, ["verify", "kim", "--password-stdin"], "old secret")).code, 0);
  assert.equal((await passwd(folder, ["import", "passwords", "--force"])).code, 0);
  assert.equal((await passwd(folder, ["verify", "kim", "--password-stdin"], "pass of kim")).code, 0);
  const missing = await passwd(folder, ["import", "nothing"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /There is no file nothing/);
});

test("the file is found as the broker finds it", async (context) => {
  const folder = emptyFolder(context);
  mkdirSync(join(folder, "conf"));
  writeFileSync(join(folder, "conf", "auth.json5"), FILE);
  writeFileSync(join(folder, "conf", "mqtt-broker.json5"), "{}");
  const byConfig = await passwd(folder, ["list", "--config", "conf/mqtt-broker.json5"]);
  assert.match(byConfig.stdout, /^kim /m, byConfig.stderr);
  const env = { MQTT_BROKER_AUTH_FILE: "conf/auth.json5" };
  assert.match((await runIn(folder, runPasswd, ["list"], "", env)).stdout, /^kim /m);
  const none = await passwd(folder, ["list"]);
  assert.deepEqual([none.code, none.stderr], [1, "There is no auth.json5: mqtt-broker passwd add NAME makes one\n"]);
});

for (const argv of [["--help"], [], ["help"], ["add", "-h"]]) {
  test(`passwd ${argv.join(" ")} shows the help in 120 columns`, async (context) => {
    const { code, stdout } = await passwd(emptyFolder(context), argv);
    assert.equal(code, 0);
    for (const word of [
      "add NAME",
      "list",
      "del NAME",
      "verify NAME",
      "import FILE",
      "--password-stdin",
      "Exit codes",
    ]) {
      assert.ok(stdout.includes(word), word);
    }
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 120),
      [],
    );
  });
}
