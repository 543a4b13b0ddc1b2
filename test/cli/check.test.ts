import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { check } from "../../src/cli/check.ts";
import { hostFiles } from "../../src/config/files.ts";
import { memoryFiles } from "../config/memory-files.ts";

async function run(
  argv: readonly string[],
  texts: Readonly<Record<string, string>> = {},
): Promise<[code: number, output: string]> {
  let output = "";
  const code = await check(parseCommandLine(["check", ...argv], {}), {}, memoryFiles(texts), (text) => {
    output += text;
  });
  return [code, output];
}

test("check says what would listen", async () => {
  assert.deepEqual(await run(["--tcp-port=0", "--addr=127.0.0.1:1884"], { "/base/mqtt-broker.json5": "{}" }), [
    0,
    "Configuration is valid\n" +
      "Files read: mqtt-broker.json5\n" +
      "Would listen on tcp://[::]:(a free port)\n" +
      "Would listen on tcp://127.0.0.1:1884\n" +
      "Clients without a user name: from this machine only\n" +
      "Storage: sqlite, /base/data/mqtt-broker.db\n" +
      "Durability: sync\n" +
      "Clock at start and stop: believed when the system has set it\n",
  ]);
});

test("check names the sockets that it is to be given", async () => {
  const text =
    "{ listeners: [{ type: 'fd', fd: 3 }, { type: 'ws', fdName: 'web' }, { type: 'ws', fd: 5, path: '/a' }] }";
  const [code, output] = await run([], { "/base/mqtt-broker.json5": text });
  assert.equal(code, 0);
  assert.deepEqual(output.split("\n").slice(2, 5), [
    "Would listen on fd:3",
    "Would listen on ws+fd:web:/mqtt",
    "Would listen on ws+fd:5:/a",
  ]);
});

for (const [store, lines] of [
  ["type: 'memory', durability: 'never'", ["Storage: memory, nothing outlives the process"]],
  [
    "required: true, durability: { 'a/#': 'never', b: 'batch:1m30s', default: 'batch:5' }, dailyBudget: '200MiB', clock: 'untrusted'",
    [
      "Storage: sqlite, /base/data/mqtt-broker.db, required",
      "Durability: batch:5s",
      "  b: batch:1m30s",
      "  a/#: never",
      "Written in a day: at most 200MiB",
      "Clock at start and stop: not believed",
    ],
  ],
  [
    "module: 'own.mjs', clock: 'trusted'",
    ["Storage: module, /base/own.mjs", "Durability: sync", "Clock at start and stop: believed"],
  ],
] as const) {
  test(`check shows the store { ${store} }`, async () => {
    const texts = { "/base/mqtt-broker.json5": `{ store: { ${store} } }`, "/base/own.mjs": "" };
    const [code, output] = await run([], texts);
    assert.equal(code, 0);
    assert.deepEqual(output.split("\n").slice(4, -1), lines);
  });
}

test("check shows every mistake with its line and a caret", async () => {
  const text = "{\n  mqtt: { retian: true },\n  bind: 5,\n}";
  assert.deepEqual(await run(["--foo"], { "/base/mqtt-broker.json5": text }), [
    2,
    "Unknown option --foo\n" +
      "  mqtt-broker --help lists the options\n" +
      'mqtt-broker.json5:2:11: Unknown key "retian"\n' +
      "      mqtt: { retian: true },\n" +
      "              ^\n" +
      '  Did you mean "retain"?\n' +
      "mqtt-broker.json5:3:9: bind must be an IP address or a host name, not 5\n" +
      "      bind: 5,\n" +
      "            ^\n" +
      "  As the option --bind: Address of the listeners that name none; :: is every IPv6 and IPv4 address\n" +
      "Configuration is not valid: 3 errors\n",
  ]);
});

test("check shows warnings, which are no errors", async () => {
  const [code, output] = await run(["--event-interval=61"]);
  assert.equal(code, 0);
  assert.match(output, /^warning: --event-interval: accepted without effect: .*\nConfiguration is valid\n/);
});

test("check counts one error as one", async () => {
  assert.deepEqual(await run(["--config=x.json5"]), [
    2,
    "--config: x.json5 does not exist\nConfiguration is not valid: 1 error\n",
  ]);
});

// The file of users and rules.

function folderWith(context: TestContext, texts: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-check-"));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
  return folder;
}

/** `check` on the disk, whose folder is shown as FOLDER. */
async function runIn(folder: string, argv: readonly string[]): Promise<[code: number, lines: string[]]> {
  let output = "";
  const files = { ...hostFiles(), workingDirectory: folder };
  const code = await check(parseCommandLine(["check", ...argv], {}), {}, files, (text) => {
    output += text;
  });
  return [code, output.replaceAll(folder, "FOLDER").split("\n")];
}

const RULES = `{
  authentication: [
    { name: "anonymous", method: "anonymous", from: ["local", "192.168.1.0/24"] },
    { name: "kim", method: "plain_password", password: "secret", from: "10.0.0.0/8" },
    { name: "operator", method: "unix_socket" },
    { name: "guest", method: "unauthenticated", from: "local" },
  ],
  group: [{ name: "@g", members: ["kim"] }],
  authorization: [{ topic: "#", allow: { sub: ["@any"], pub: ["@any"] } }],
}
`;

test("check reads the file of rules, says who may connect, and counts what it found", async (context) => {
  const [code, lines] = await runIn(folderWith(context, { "auth.json5": RULES }), []);
  assert.equal(code, 0);
  const at = lines.indexOf("Configuration is valid");
  assert.match(lines.slice(0, at).join("\n"), /^auth\.json5:4:5: warning: the password of "kim" can be read /m);
  assert.doesNotMatch(lines.join("\n"), /secret/);
  assert.deepEqual(lines.slice(at + 3, at + 9), [
    "Users and rules: auth.json5, 4 users, 1 group, 1 rule",
    "Clients with a password: kim (from 10.0.0.0/8)",
    "Clients on a Unix socket: operator",
    "Clients without a user name: from local, 192.168.1.0/24",
    "Clients with a wrong password: from this machine only, as guest",
    "Storage: sqlite, FOLDER/data/mqtt-broker.db",
  ]);
  assert.match(lines.at(-2)!, /^auth\.json5 can be used, with 1 warning, \d notes?$/);
});

for (const [argv, expected] of [
  [["--allow-anonymous"], "from everywhere"],
  [["--allow-anonymous=local"], "from this machine only"],
  [["--no-allow-anonymous"], "not let in"],
] as const) {
  test(`check says what ${argv} makes of the file of rules`, async (context) => {
    const [code, lines] = await runIn(folderWith(context, { "auth.json5": RULES }), argv);
    assert.deepEqual([code, lines.includes(`Clients without a user name: ${expected}`)], [0, true]);
  });
}

test("check shows every mistake in the file of rules, and ends with 2", async (context) => {
  const texts = { "own.json5": RULES.replace("unix_socket", "unix_sokcet").replace('["@any"] }', '["@nay"] }') };
  const [code, lines] = await runIn(folderWith(context, texts), ["--auth-file", "own.json5"]);
  assert.equal(code, 2);
  const errors = lines.filter((line) => /^own\.json5:\d+:\d+: (?!warning|note)/.test(line));
  assert.deepEqual(
    errors.map((line) => line.replace(/^(\S+ ).*/, "$1")),
    ["own.json5:5:33: ", "own.json5:9:63: "],
  );
  assert.match(lines.at(-2)!, /^own\.json5 is not valid: 2 errors$/);
});

test("check says of a ledger that it is one", async (context) => {
  const ledger = "{ ledger: { users: { kim: { password: 'p' } }, acl: [{ filters: { '#': 0 } }] } }";
  const [code, lines] = await runIn(folderWith(context, { "auth.json5": ledger }), []);
  assert.deepEqual([code, lines.includes("Users and rules: auth.json5, a ledger of 1 user, 1 rule")], [0, true]);
});
