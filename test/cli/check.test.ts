import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { check } from "../../src/cli/check.ts";
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
