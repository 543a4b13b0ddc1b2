/** The room in which packages and the image for ARM64 are made and tried. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { ARM64_ROOM } from "../../device/image/base-tree.ts";
import { hostArchitecture, toolFor } from "../../packaging/architecture.ts";
import { runDebianTool, runTool } from "../../packaging/run-tool.ts";

const SOURCE = `#include <stdio.h>
#include <sys/utsname.h>
int main(void) {
  struct utsname machine;
  return uname(&machine) < 0 || puts(machine.machine) < 0;
}
`;

/** As a machine would look on which qemu-user is registered with these flags. */
const REGISTERED = `
mount -t tmpfs tmpfs /proc/sys/fs/binfmt_misc
printf 'enabled\\nflags: %s\\n' "$1" >/proc/sys/fs/binfmt_misc/qemu-aarch64
shift
exec "$@"
`;

const OWN_NAMESPACE = readlinkSync("/proc/self/ns/user");

suite("the room for programs of ARM64", () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-room-"));
  const root = join(folder, "root");

  after(() => rmSync(folder, { recursive: true, force: true }));
  before(() => {
    writeFileSync(join(folder, "machine.c"), SOURCE);
    mkdirSync(root);
    runDebianTool(toolFor("arm64", "gcc"), ["-static", "-o", join(root, "machine"), join(folder, "machine.c")]);
  });

  test("a program for ARM64 runs in it where nothing else is, and the machine stays as it is", () => {
    const registered = readdirSync("/proc/sys/fs/binfmt_misc");
    assert.equal(runTool(ARM64_ROOM, ["chroot", root, "/machine"]), "aarch64\n");
    assert.deepEqual(readdirSync("/proc/sys/fs/binfmt_misc"), registered);
  });

  test("a command has its words and its processes alone, and its exit code is the room's", () => {
    const script = 'printf "%s|" "$$" "$@"; exit 7';
    const { status, stdout } = spawnSync(ARM64_ROOM, ["sh", "-c", script, "sh", "a  b", "", "$c"], {
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout], [7, "1|a  b||$c|"]);
  });

  test("a machine that has qemu-user registered is used as it is", () => {
    assert.equal(onMachine("OPF", "readlink", "/proc/self/ns/user"), `${OWN_NAMESPACE}\n`);
  });

  if (hostArchitecture() !== "arm64") {
    test("one that would look for qemu-user in the root of each program is not", () => {
      assert.notEqual(onMachine("OP", "readlink", "/proc/self/ns/user"), `${OWN_NAMESPACE}\n`);
      assert.equal(onMachine("OP", "chroot", root, "/machine"), "aarch64\n");
    });
  }
});

function onMachine(flags: string, ...words: readonly string[]): string {
  const fake = ["--mount", "--propagation", "private", "sh", "-ec", REGISTERED, "sh", flags];
  return runTool("unshare", [...fake, ARM64_ROOM, ...words]);
}
