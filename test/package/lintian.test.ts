/** Debian's own opinion of the packages. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ARCHITECTURES, DEBIAN_NAMES } from "../../packaging/architecture.ts";
import { builtPackage } from "./built.ts";

/** Nobody needs them for what is not in Debian; the lines are shown all the same when there is an error. */
const WORDS = ["--allow-root", "--fail-on", "error,warning", "--no-cfg"];

for (const architecture of ARCHITECTURES) {
  test(`lintian finds no error and no warning in the package for ${DEBIAN_NAMES[architecture]}`, () => {
    const { error, status, stdout, stderr } = spawnSync("lintian", [...WORDS, builtPackage(architecture)], {
      encoding: "utf8",
    });
    assert.equal(error, undefined, "lintian cannot be run: apt-get install lintian");
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "", stderr: "" });
  });
}

test("each override has its reason above it", () => {
  const file = join(import.meta.dirname, "../../packaging/deb/lintian-overrides");
  for (const part of readFileSync(file, "utf8").trim().split("\n\n")) {
    const [reason, ...rest] = part.split("\n");
    assert.match(reason!, /^# \w/);
    assert.ok(
      rest.some((line) => line.startsWith("mqtt-broker: ")),
      part,
    );
  }
});
