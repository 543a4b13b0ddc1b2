import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { CONTROL_SOCKET } from "../../src/admin/control-path.ts";
import { ControlSocket } from "../../src/admin/control-socket.ts";
import { operations } from "../../src/admin/operations.ts";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { check } from "../../src/cli/check.ts";
import { hostFiles } from "../../src/config/files.ts";
import type { Log } from "../../src/core/ports.ts";
import { authText, emptyFolder, linesOf, RECORD, writeRecord } from "./traffic-kit.ts";

const SILENT: Log = {
  enabled: () => false,
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  trace: () => {},
};

/** `mqtt-broker check …` in a folder. */
async function run(cwd: string, words: readonly string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const files = { ...hostFiles(), workingDirectory: cwd };
  const code = await check(parseCommandLine(["check", ...words], {}), {}, files, (part) => {
    text += part;
  });
  return { code, text };
}

function prepared(context: TestContext, rules: string): string {
  const folder = emptyFolder(context);
  writeFileSync(join(folder, "new.json5"), authText(rules));
  return folder;
}

const ALLOWS_ALL = '{ topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },';

suite("check --against-traffic", () => {
  test("exit 0 when nobody loses anything, and says what is newly allowed", async (context) => {
    const folder = prepared(context, ALLOWS_ALL);
    writeRecord(join(folder, "traffic.jsonl"));
    const { code, text } = await run(folder, ["--against-traffic", "new.json5", "--data-dir", "."]);
    assert.equal(code, 0, text);
    assert.deepEqual(text.slice(text.indexOf("Tried ")).split("\n"), [
      "Tried new.json5 with 3 uses of 2 clients since 2026-04-24 03:06",
      "",
      "Newly allowed:",
      '  "lee"',
      "    new.json5:8:5: rule 1 allows # to @any",
      `      ${ALLOWS_ALL.slice(0, -1)}`,
      '      publish "home/door", client "lee-1", 3 times, last 2026-04-24 03:07',
      "",
      "Nobody would lose anything that was used",
      "",
    ]);
  });

  test("exit 1 when somebody does", async (context) => {
    const folder = prepared(context, `${ALLOWS_ALL} { topic: "home/door", deny: { pub: ["@any"] } },`);
    writeRecord(join(folder, "record.jsonl"));
    const { code, text } = await run(folder, ["--against-traffic=new.json5", "--traffic", "record.jsonl"]);
    assert.equal(code, 1);
    assert.match(text, /Newly denied:\n {2}"kim"\n {4}new\.json5:8:\d+: rule 2 denies home\/door to @any\n/);
    assert.match(text, /Somebody would lose something: see above\n$/);
  });

  test("exit 2 when the file is bad, with its mistakes", async (context) => {
    const folder = prepared(context, '{ topic: "#", allow: { pub: ["kima"] } },');
    writeRecord(join(folder, "traffic.jsonl"));
    const { code, text } = await run(folder, ["--against-traffic", "new.json5", "--data-dir", "."]);
    assert.equal(code, 2);
    assert.match(text, /^new\.json5:8:\d+: rule 1 names user "kima", who is not in authentication/m);
    assert.match(text, /new\.json5 has errors: put them right first\n$/);
  });

  test("exit 2 and what to do when there is no such file, no record, or a damaged one", async (context) => {
    const folder = prepared(context, ALLOWS_ALL);
    assert.deepEqual(await run(folder, ["--against-traffic", "other.json5", "--data-dir", "."]), {
      code: 2,
      text: "There is no file other.json5\n",
    });
    const none = await run(folder, ["--against-traffic", "new.json5", "--data-dir", "."]);
    assert.equal(none.code, 2);
    assert.match(none.text, /There is no record of traffic: no broker runs with the data folder .*--data-dir/);
    writeFileSync(join(folder, "traffic.jsonl"), "{");
    const damaged = await run(folder, ["--against-traffic", "new.json5", "--data-dir", "."]);
    assert.equal(damaged.code, 2);
    assert.match(damaged.text, /Cannot use .*traffic\.jsonl as a record of traffic: line 1: Not JSON\n$/);
    const usage = await run(folder, ["--against-traffic", "new.json5", "--trafic", "x"]);
    assert.deepEqual(usage, { code: 2, text: "Unknown option --trafic: did you mean --traffic?\n" });
  });

  test("asks the running broker before it looks at what an earlier one left", async (context) => {
    const folder = prepared(context, ALLOWS_ALL);
    writeFileSync(join(folder, "traffic.jsonl"), "damaged");
    const socket = new ControlSocket({
      path: join(folder, CONTROL_SOCKET),
      operations: operations({ traffic: () => linesOf(RECORD) }),
      log: SILENT,
    });
    await socket.start();
    context.after(() => socket.stop());
    const { code, text } = await run(folder, ["--against-traffic", "new.json5", "--data-dir", "."]);
    assert.equal(code, 0, text);
    assert.match(text, /^Tried new\.json5 with 3 uses of 2 clients/m);
  });

  test("has a help of its own", async (context) => {
    const { code, text } = await run(emptyFolder(context), ["--against-traffic", "x", "--help"]);
    assert.equal(code, 0);
    assert.match(text, /^Usage: mqtt-broker check --against-traffic FILE/);
  });
});
