import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { hostFiles } from "../../src/config/files.ts";

const directory = mkdtempSync(join(tmpdir(), "files-"));
writeFileSync(join(directory, "a.json5"), "{ ü: 1 }");
after(() => rmSync(directory, { recursive: true }));

test("a file is read as UTF-8, a directory is listed", () => {
  assert.equal(hostFiles().read(join(directory, "a.json5")), "{ ü: 1 }");
  assert.deepEqual(hostFiles().list(directory), ["a.json5"]);
});

test("what does not exist is undefined", () => {
  assert.equal(hostFiles().read(join(directory, "b.json5")), undefined);
  assert.equal(hostFiles().read(join(directory, "a.json5", "b.json5")), undefined);
  assert.equal(hostFiles().list(join(directory, "conf.d")), undefined);
});

test("what is no file cannot be read", () => {
  assert.throws(() => hostFiles().read(directory), /EISDIR/);
});

test("the working directory is the process's", () => assert.equal(hostFiles().workingDirectory, process.cwd()));
