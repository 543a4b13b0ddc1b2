/** Output that nobody gets: told where a disk is full, and passed over where the reader has left. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { emptyFolder, runProgram, startBroker, startProgram } from "./program.ts";

const LOST = "Standard output could not be written, and is not complete: ENOSPC: no space left on device, write\n";
const FULL = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];

/** Runs a command of the program behind these words; what it says on standard error, and its exit code. */
async function told(context: TestContext, before: readonly string[], words: readonly string[], cwd?: string) {
  const { result, stderr } = await runProgram(context, words, { before, ...(cwd !== undefined && { cwd }) });
  return { code: result.code, stderr };
}

suite("output that is lost", { concurrency: 2 }, () => {
  for (const command of ["--version", "--help", "help", "check", "auth --help", "certs --help", "pub --help"]) {
    test(`${command}: a full disk is told, and makes the exit code 1`, async (context) => {
      assert.deepEqual(await told(context, FULL, command.split(" ")), { code: 1, stderr: LOST });
    });
  }

  test("store export: a full disk is told, and makes the exit code 1", async (context) => {
    const cwd = emptyFolder(context);
    const { program } = await startBroker(context, ["--tcp-port", "0"], { cwd });
    await program.stop();
    const words = ["store", "export", "--data-dir", join(cwd, "data")];
    const more = "Standard output was closed: the export is not complete\n";
    assert.deepEqual(await told(context, FULL, words), { code: 1, stderr: LOST + more });
  });

  test("sub: a full disk is told, and ends it with exit code 1", async (context) => {
    const { port } = await startBroker(context);
    const client = ["-p", String(port), "-t", "a"];
    assert.equal((await runProgram(context, ["pub", ...client, "-m", "x", "-r", "-q", "1"])).result.code, 0);
    assert.deepEqual(await told(context, FULL, ["sub", ...client]), { code: 1, stderr: LOST });
  });

  test("a mistake that was found keeps its own exit code", async (context) => {
    const words = ["check", "--config", "nowhere.json5"];
    assert.deepEqual(await told(context, FULL, words), { code: 2, stderr: LOST });
  });

  test("where standard error cannot be written either, the exit code still tells", async (context) => {
    const full = ["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh"];
    assert.deepEqual(await told(context, full, ["--version"]), { code: 1, stderr: "" });
    assert.deepEqual(await told(context, full, ["pub", "--nonsense"]), { code: 2, stderr: "" });
  });

  test("a reader that has left is no fault", async (context) => {
    const left = ["bash", "-c", 'exec 3> >(exec true); wait $!; exec "$@" >&3', "bash"];
    for (const command of ["--version", "help", "check"]) {
      assert.deepEqual(await told(context, left, [command]), { code: 0, stderr: "" }, command);
    }
  });

  test("a broker goes on without its log", async (context) => {
    const cwd = emptyFolder(context);
    const socket = join(cwd, "socket");
    const program = startProgram(context, ["--unix-socket", socket], { cwd, before: FULL });
    await Promise.race([program.ended, opened(socket)]);
    assert.deepEqual([(await program.stop()).code, program.stderr], [0, ""]);
  });
});

async function opened(socket: string): Promise<void> {
  while (!existsSync(socket)) await sleep(20);
}
