/** What the executable keeps from one start for the next. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { until } from "../device/serial/pty.ts";
import { executablePath } from "../executable/executable.ts";
import { emptyFolder, runProgram, startBroker } from "../smoke/program.ts";

/** It is written some seconds after the start. */
const PATIENCE_MS = 20_000;
const WRITTEN_MS = 1_000;

function place(context: TestContext) {
  const cwd = emptyFolder(context);
  const cache = join(cwd, "cache");
  mkdirSync(cache, { mode: 0o700 });
  // Empty, or the folder that all tests share would be taken.
  const env = { CACHE_DIRECTORY: cache, HOME: "", XDG_CACHE_HOME: "", NODE_COMPILE_CACHE: "" };
  return { cache, options: { cwd, env, program: [executablePath(hostArchitecture())] } };
}

suite("what V8 has compiled", { concurrency: 2 }, () => {
  test("is kept soon after the start: a broker that loses its power never ends", async (context) => {
    const { cache, options } = place(context);
    const { program } = await startBroker(context, ["--tcp-port", "0"], options);
    const kept = () => readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    assert.deepEqual(kept(), []);
    await until(() => kept().length > 0, "what was compiled in the cache", PATIENCE_MS);
    // One file after the other, each under another name first.
    await sleep(WRITTEN_MS);
    await program.stop("SIGKILL");
    const names = kept().map(({ name }) => name);
    assert.equal((await runProgram(context, ["--version"], options)).result.code, 0);
    assert.deepEqual(
      kept().map(({ name }) => name),
      names,
    );
  });

  test("is not looked for where others can write", async (context) => {
    const { cache, options } = place(context);
    chmodSync(cache, 0o777);
    assert.equal((await runProgram(context, ["--version"], options)).result.code, 0);
    assert.deepEqual(readdirSync(cache), []);
  });
});
