import assert from "node:assert/strict";
import { linkSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { writeFiles } from "../../src/certs/write-file.ts";
import { folderWith } from "./certs-kit.ts";

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

test("secrets are their owner's alone, whatever the file before was; the folder is made", (context) => {
  const folder = join(folderWith(context, {}), "a", "certs");
  const [key, crt] = [join(folder, "a.key"), join(folder, "a.crt")];
  writeFiles([{ path: key, content: "1", isSecret: false }]);
  writeFiles([
    { path: key, content: "key", isSecret: true },
    { path: crt, content: "crt", isSecret: false },
  ]);
  assert.deepEqual([mode(key), mode(crt)], ["600", "644"]);
  assert.deepEqual([readFileSync(key, "utf8"), readFileSync(crt, "utf8")], ["key", "crt"]);
  assert.deepEqual(readdirSync(folder).sort(), ["a.crt", "a.key"]);
});

test("a file is replaced as a whole: who has the old one open goes on reading it", (context) => {
  const folder = folderWith(context, { "a.crt": "old" });
  linkSync(join(folder, "a.crt"), join(folder, "reader"));
  writeFiles([{ path: join(folder, "a.crt"), content: "new", isSecret: false }]);
  assert.deepEqual(
    ["a.crt", "reader"].map((name) => readFileSync(join(folder, name), "utf8")),
    ["new", "old"],
  );
});

test("what one that was killed left over is no obstacle", (context) => {
  const folder = folderWith(context, {});
  writeFileSync(join(folder, `.a.crt.${process.pid}.part`), "half");
  writeFiles([{ path: join(folder, "a.crt"), content: "whole", isSecret: false }]);
  assert.deepEqual(readdirSync(folder), ["a.crt"]);
});

test("a file that cannot be written is named, and nothing is left of it", (context) => {
  const folder = folderWith(context, { file: "" });
  const path = join(folder, "file", "a.crt");
  assert.throws(() => writeFiles([{ path, content: "", isSecret: false }]), {
    message: new RegExp(`^Cannot write ${path}: ENOTDIR`),
  });
  assert.deepEqual(readdirSync(folder), ["file"]);
});
