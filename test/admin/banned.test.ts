import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { CONTROL_SOCKET } from "../../src/admin/control-path.ts";
import { ControlSocket } from "../../src/admin/control-socket.ts";
import { operations } from "../../src/admin/operations.ts";
import { Guard } from "../../src/auth/guard.ts";
import { runBanned } from "../../src/cli/banned.ts";
import { defaultLimits } from "../../src/core/limits.ts";
import type { Log } from "../../src/core/ports.ts";
import { emptyFolder, type Result, runWith } from "../cli/traffic-kit.ts";

const SILENT: Log = {
  enabled: () => false,
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  trace: () => {},
};
const NOW_MS = 1_777_000_000_000;

/** A broker's guard and its control socket, with 10.0.0.1 banned. */
async function broker(context: TestContext): Promise<string> {
  const folder = emptyFolder(context);
  const guard = new Guard({ nowMs: () => 1_000, wallMs: () => NOW_MS, log: SILENT, limits: defaultLimits() });
  const peer = { address: "10.0.0.1:1234", local: false, listener: "tcp", transport: "tcp" };
  for (let tries = 0; tries < 10; tries++) guard.failed(peer, "kim\u001b[2J");
  const socket = new ControlSocket({
    path: join(folder, CONTROL_SOCKET),
    operations: operations({ banned: () => guard.list(), lift: (address) => guard.lift(address) }),
    log: SILENT,
  });
  await socket.start();
  context.after(() => socket.stop());
  return folder;
}

function run(cwd: string, words: readonly string[]): Promise<Result> {
  return runWith((io, files) => runBanned(words, io, files), cwd);
}

suite("banned", () => {
  test("lists who is banned until when, lifts a ban, and then there is none", async (context) => {
    const folder = await broker(context);
    const at = ["--data-dir", "."];
    const line = '10.0.0.1: until 2026-04-24 03:07:40 UTC, after 10 failed logins, the last one as "kim\\u001b[2J"\n';
    assert.deepEqual(await run(folder, at), { code: 0, stdout: line, stderr: "" });
    assert.deepEqual(await run(folder, ["list", ...at]), { code: 0, stdout: line, stderr: "" });
    const json = await run(folder, ["list", "--json", ...at]);
    assert.deepEqual(JSON.parse(json.stdout), {
      address: "10.0.0.1",
      untilMs: NOW_MS + 60_000,
      failures: 10,
      lastUser: "kim\u001b[2J",
    });
    assert.deepEqual(await run(folder, ["lift", "10.0.0.9", ...at]), {
      code: 1,
      stdout: "10.0.0.9 is not banned: mqtt-broker banned lists those that are\n",
      stderr: "",
    });
    assert.deepEqual(await run(folder, ["lift", "10.0.0.1", ...at]), {
      code: 0,
      stdout: "The ban of 10.0.0.1 is lifted\n",
      stderr: "",
    });
    assert.deepEqual(await run(folder, at), { code: 0, stdout: "No address is banned\n", stderr: "" });
  });

  test("says that no broker runs there, and what is wrong with the words", async (context) => {
    const folder = emptyFolder(context);
    const none = await run(folder, ["--data-dir", "."]);
    assert.deepEqual(none, {
      code: 1,
      stdout: "",
      stderr: `No broker runs with the data folder ${folder}: name that of yours with --data-dir\n`,
    });
    assert.deepEqual(await run(folder, ["lft", "x"]), {
      code: 2,
      stdout: "",
      stderr: 'Unknown command banned "lft": did you mean lift?\n',
    });
    assert.equal((await run(folder, ["lift"])).code, 2);
    assert.equal((await run(folder, ["list", "x"])).code, 2);
    assert.match((await run(folder, ["--help"])).stdout, /^Usage: mqtt-broker banned/);
  });
});
