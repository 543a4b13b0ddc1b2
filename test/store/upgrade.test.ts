/** What earlier versions have left on disk, served by this one. */
import assert from "node:assert/strict";
import { copyFileSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { FORMAT_VERSION, STORE_FILE } from "../../src/store/sqlite/schema.ts";
import { figuresOf } from "../../src/store/sqlite/tools.ts";
import { runStoreCommand } from "../cli/store-kit.ts";
import { emptyFolder, startBroker } from "../smoke/program.ts";
import { demandLife, live } from "./format-kit.ts";

const FIXTURES = globSync(join(import.meta.dirname, "fixtures/*/")).sort();

test("there is a store of every format that a broker has ever written", () => {
  const found = new Set(FIXTURES.map((folder) => figuresOf(join(folder, STORE_FILE)).formatVersion));
  assert.deepEqual(
    [...found].sort((a, b) => a - b),
    Array.from({ length: FORMAT_VERSION }, (_, index) => index + 1),
  );
});

test("the broker of now serves what the broker of now has left", async (context) => {
  const cwd = emptyFolder(context);
  const first = await startBroker(context, WORDS, { cwd });
  await live(first.port);
  await first.program.stop("SIGKILL");
  const { port } = await startBroker(context, WORDS, { cwd });
  await demandLife(port);
});

/** The times in the fixtures are long ago, and whose clock was right is not known. */
const WORDS = ["--tcp-port", "0", "--clock", "untrusted", "--log-format", "json"];

for (const fixture of FIXTURES) {
  const commit = basename(fixture);

  test(`what the broker of ${commit} has left is served`, async (context) => {
    const cwd = emptyFolder(context);
    mkdirSync(join(cwd, "data"));
    copyFileSync(join(fixture, STORE_FILE), join(cwd, "data", STORE_FILE));
    const { port, program } = await startBroker(context, WORDS, { cwd });
    await demandLife(port);
    const troubles = program.lines.filter(({ level, message }) => level === "error" || /damaged|lost/.test(message));
    assert.deepEqual(troubles, []);
  });

  test(`what store export of ${commit} has made is imported and served`, async (context) => {
    const cwd = emptyFolder(context);
    const folder = join(cwd, "data");
    const file = join(fixture, "export.jsonl");
    const records = readFileSync(file, "utf8").trimEnd().split("\n").length - 1;
    assert.deepEqual(await runStoreCommand(["import", file, "--data-dir", folder]), {
      code: 0,
      stdout: `Imported ${records} records into ${folder}\n`,
      stderr: "",
    });
    const { port } = await startBroker(context, WORDS, { cwd });
    await demandLife(port);
  });

  test(`store export says of the file of ${commit} what that version said`, async (context) => {
    const folder = emptyFolder(context);
    copyFileSync(join(fixture, STORE_FILE), join(folder, STORE_FILE));
    const { code, stdout, stderr } = await runStoreCommand(["export", "--data-dir", folder]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.equal(stdout, readFileSync(join(fixture, "export.jsonl"), "utf8"));
  });
}
