import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { loadCopy, loadNative, NativeMissing } from "../../src/os/native.ts";

const BUILD = { x64: "glibc", arm64: "armv8.glibc" }[process.arch as "x64" | "arm64"];
const SERIALPORT = `../../node_modules/@serialport/bindings-cpp/prebuilds/linux-${process.arch}/@serialport+bindings-cpp.${BUILD}.node`;

let folder: string;
let from: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mqtt-broker-native-"));
  from = join(folder, "from");
  mkdirSync(from);
  copyFileSync(join(import.meta.dirname, SERIALPORT), join(from, "serialport.node"));
});

afterEach(() => rmSync(folder, { recursive: true }));

suite("native add-ons", () => {
  test("are loaded from the first folder that lets them, and nothing is left there", () => {
    const good = join(folder, "good");
    mkdirSync(good);
    writeFileSync(join(folder, "file"), "");
    const folders = [join(folder, "missing"), join(folder, "file"), "/proc", good];
    const { open, close } = loadCopy("serialport", folders, from) as Record<string, unknown>;
    assert.deepEqual([typeof open, typeof close], ["function", "function"]);
    assert.deepEqual(readdirSync(good), []);
  });

  test("that no folder lets in say what each said, and what to do", () => {
    writeFileSync(join(folder, "file"), "");
    const folders = [join(folder, "missing"), join(folder, "file"), "/proc/self"];
    assert.throws(
      () => loadCopy("serialport", folders, from),
      new NativeMissing(
        `the add-on serialport needs, for a moment, a folder that can be written and is not mounted noexec, and found none: ${folder}/missing (ENOENT), ${folder}/file (ENOTDIR), /proc/self (ENOENT); set XDG_RUNTIME_DIR or --data-dir to such a folder`,
      ),
    );
  });

  test("that do not fit the system are not tried elsewhere, and leave nothing", () => {
    chmodSync(join(from, "serialport.node"), 0o600);
    writeFileSync(join(from, "serialport.node"), "\x7fELF, and no more of it");
    const expected =
      /^the add-on serialport does not fit this system \(.*\/serialport\.node: .*\); it is made for Linux/;
    assert.throws(() => loadCopy("serialport", [folder, "/missing"], from), {
      message: expected,
      code: "ERR_NATIVE_MISSING",
    });
    assert.deepEqual(readdirSync(folder), ["from"]);
  });

  test("that a source checkout has not built name the command that does", () => {
    assert.throws(() => loadNative("nothing"), {
      code: "ERR_NATIVE_MISSING",
      message: /\/build\/native\/linux-\w+\/nothing\.node cannot be loaded \(.*\): npm run package makes it$/,
    });
  });
});
