import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { runAuth } from "../../src/cli/auth.ts";
import { check } from "../../src/cli/check.ts";
import { hostFiles } from "../../src/config/files.ts";
import { authText, emptyFolder, RECORD, type Result, runWith, writeRecord } from "./traffic-kit.ts";

function run(cwd: string, words: readonly string[]): Promise<Result> {
  return runWith((io, files) => runAuth(["learn", ...words], io, files), cwd);
}

const IN_USE = authText('{ topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },');

suite("auth learn", () => {
  test("proposes rules for what was used, keeps the users as they are, and has tried it", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "auth.json5"), IN_USE);
    writeRecord(join(folder, "traffic.jsonl"));
    const { code, stdout, stderr } = await run(folder, ["--data-dir", "."]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "Tried with all 3 recorded uses: what was allowed is allowed\n");
    const users = IN_USE.slice(IN_USE.indexOf("["), IN_USE.indexOf("]") + 1);
    assert.deepEqual(stdout.split("\n").slice(3), [
      "{",
      '  // As they stand in "auth.json5".',
      ...`  authentication: ${users},`.split("\n"),
      "",
      "  // All of them allow; what no rule allows is denied.",
      "  authorization: [",
      "    // Asked for 3 times, 2026-04-24 03:06 to 2026-04-24 03:07",
      '    { topic: "home/door", allow: { pub: ["kim"] } },',
      "    // Asked for 3 times, 2026-04-24 03:06 to 2026-04-24 03:07",
      '    { topic: "home/lamp", allow: { sub: ["kim"] } },',
      "  ],",
      "}",
      "",
    ]);
  });

  test("writes a file for its owner alone, never over another one, and check finds nothing wrong with it", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "auth.json5"), IN_USE);
    writeRecord(join(folder, "traffic.jsonl"));
    const words = ["--data-dir", ".", "--output", "learned.json5"];
    const first = await run(folder, words);
    const path = join(folder, "learned.json5");
    assert.deepEqual([first.code, first.stdout], [0, ""]);
    assert.match(first.stderr, /Wrote .*learned\.json5: review it before you put it in place\n$/);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const text = readFileSync(path, "utf8");
    const second = await run(folder, words);
    assert.deepEqual(second, { code: 1, stdout: "", stderr: `${path} is there already: name another file\n` });
    assert.equal(readFileSync(path, "utf8"), text);
    const files = { ...hostFiles(), workingDirectory: folder };
    const rehearsal = parseCommandLine(["check", "--against-traffic", "learned.json5", "--data-dir", "."], {});
    assert.equal(await check(rehearsal, {}, files, () => {}), 0);
  });

  test("without a file of users it goes on from what a broker does without one", async (context) => {
    const folder = emptyFolder(context);
    const anonymous = RECORD.clients.map((client) => ({ ...client, userName: undefined, local: true }));
    writeRecord(join(folder, "traffic.jsonl"), { ...RECORD, clients: anonymous });
    const { code, stdout, stderr } = await run(folder, ["--data-dir", "."]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^ {2}authentication: \[\{ name: "anonymous", method: "anonymous", from: "local" \}\],$/m);
    assert.match(stdout, /^ {4}\{ topic: "home\/door", allow: \{ pub: \["anonymous"\] \} \},$/m);
    assert.match(stderr, /what was allowed is allowed\n$/);
  });

  test("users that are in no entry are warned of, and named where they would be locked out", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "auth.json5"), IN_USE.replaceAll('"kim"', '"tom"'));
    writeRecord(join(folder, "traffic.jsonl"));
    const { code, stderr } = await run(folder, ["--data-dir", "."]);
    assert.equal(code, 0);
    assert.match(stderr, /^Warning: "kim" is in no entry of authentication/);
    assert.match(stderr, /Would not get in any more:\n {2}"kim": no entry of authentication has the name "kim"/);
  });

  test("takes YAML, and refuses a ledger with what to do first", async (context) => {
    const folder = emptyFolder(context);
    writeRecord(join(folder, "traffic.jsonl"));
    const digest = "ab".repeat(32);
    writeFileSync(
      join(folder, "a.yaml"),
      `authentication:\n  - { name: kim, method: sha256, salt: s, digest: "${digest}" }\nauthorization: []\nexplainToClients: true\n`,
    );
    const yaml = await run(folder, ["--data-dir", ".", "--auth-file", "a.yaml"]);
    assert.equal(yaml.code, 0, yaml.stderr);
    assert.match(yaml.stdout, /^ {2}explainToClients: true,$/m);
    assert.match(yaml.stdout, new RegExp(`"digest": "${digest}"`));
    writeFileSync(join(folder, "l.json5"), '{ ledger: { users: { kim: { password: "x" } } } }');
    const ledger = await run(folder, ["--data-dir", ".", "--auth-file", "l.json5"]);
    assert.equal(ledger.code, 2);
    assert.match(ledger.stderr, /^l\.json5 is a ledger, .*mqtt-broker auth import --ledger l\.json5/);
  });

  test("says what is missing", async (context) => {
    const folder = emptyFolder(context);
    const none = await run(folder, ["--data-dir", "."]);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /^There is no record of traffic: /);
    writeRecord(join(folder, "traffic.jsonl"));
    const file = await run(folder, ["--data-dir", ".", "--auth-file", "x.json5"]);
    assert.deepEqual(file, { code: 2, stdout: "", stderr: "There is no file x.json5\n" });
    assert.equal((await run(folder, ["--otput", "x"])).code, 2);
    assert.match((await run(folder, ["--help"])).stdout, /^Usage: mqtt-broker auth learn/);
  });
});
