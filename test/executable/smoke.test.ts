/** The one executable, made anew: what every change may break. The long list is in test/package. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { before, suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { demandSize } from "../../packaging/sizes.ts";
import { VERSION } from "../../src/version.ts";
import { PtyFolder } from "../device/serial/pty.ts";
import { emptyFolder, runCommand, runProgram, startBroker, startProgram } from "../smoke/program.ts";
import { searchGateway } from "../support/search-gateway.ts";
import { type Built, buildExecutable } from "./executable.ts";

const STARTS = 5;
/** On an idle machine of ours it is under 250 ms; others, and busy ones, are slower. */
const START_MS_MAX = 4_000;

let built: Built;
before((context) => {
  built = buildExecutable();
  (context as TestContext).diagnostic(`${built.megabytes.toFixed(1)} MB, built in ${built.seconds.toFixed(1)} s`);
});

/** A broker on a port of its own. What it compiles is kept in the test's folder, where that has a place for it. */
function broker(context: TestContext, cwd: string, words: readonly string[] = []) {
  // Empty, or the folder that all tests share would be taken.
  const env = { CACHE_DIRECTORY: join(cwd, "cache"), NODE_COMPILE_CACHE: "" };
  return startBroker(context, ["--tcp-port", "0", ...words], { cwd, env, program: [built.file] });
}

suite("the executable", { concurrency: 1 }, () => {
  test("says what it was made of and when", async (context) => {
    const { result, stdout } = await runProgram(context, ["--version"], { program: [built.file] });
    assert.equal(result.code, 0);
    const said = /^mqtt-broker (\S+) \(commit ([0-9a-f]{12}\+?|unknown), built (\S+)\)\n$/.exec(stdout);
    assert.equal(said?.[1], VERSION, stdout);
    const ageMs = Date.now() - Date.parse(said![3]!);
    assert.ok(ageMs > 0 && ageMs < 600_000, `made ${ageMs} ms ago`);
  });

  test("is executable for everybody, whatever the umask of who builds it", () => {
    assert.equal((statSync(built.file).mode & 0o777).toString(8), "755");
  });

  test("is refused by its build when it grows over its budget", () => {
    const size = Math.round(built.megabytes * 10) / 10;
    assert.equal(Math.round(demandSize(built.file, 125) * 10) / 10, size);
    assert.throws(() => demandSize(built.file, 100), {
      message: `${built.file} has ${size.toFixed(1)} MB, and 100 MB is what it may have`,
    });
  });

  test("loses nothing when it is killed", async (context) => {
    const cwd = emptyFolder(context);
    const client = (tool: "pub" | "sub", port: number, ...words: string[]) =>
      runCommand(context, `mosquitto_${tool}`, ["-p", String(port), "-q", "1", ...words]);
    const first = await broker(context, cwd);
    const session = ["-c", "-i", "pump", "-t", "pump/#"];
    assert.equal((await client("sub", first.port, ...session, "-E")).result.code, 0);
    assert.equal((await client("pub", first.port, "-t", "pump/orders", "-m", "on")).result.code, 0);
    assert.equal((await client("pub", first.port, "-t", "name", "-m", "tomatoes", "-r")).result.code, 0);
    assert.equal((await first.program.stop("SIGKILL")).signal, "SIGKILL");
    const second = await broker(context, cwd);
    const kept = await client("sub", second.port, ...session, "-C", "1", "-W", "20", "-v");
    assert.equal(kept.stdout, "pump/orders on\n");
    const retained = await client("sub", second.port, "-t", "name", "-C", "1", "-W", "20", "-v");
    assert.equal(retained.stdout, "name tomatoes\n");
    assert.equal((await second.program.stop()).code, 0);
  });

  test("serves a serial line, and leaves nothing of its add-on in the folder that it was loaded from", async (context) => {
    const lines = new PtyFolder();
    context.after(() => lines.close());
    const pty = await lines.plug("ttyUSB0");
    const folder = emptyFolder(context);
    const env = { RUNTIME_DIRECTORY: folder };
    const words = ["--tcp-port", "0", "--serial", `${lines.at("ttyUSB0")}:115200,framing=raw`];
    const { program } = await startBroker(context, words, { env, program: [built.file] });
    await program.line("Serial line open");
    await searchGateway(pty);
    assert.deepEqual(readdirSync(folder), []);
    assert.match(readFileSync(`/proc/${program.pid}/maps`, "utf8"), /\/serialport\.node \(deleted\)$/m);
  });

  test("opens no debugger for a signal, and bounds V8's young generation as npm start does", async (context) => {
    const cwd = emptyFolder(context);
    const told = "JSON.stringify({ limit: v8.getHeapStatistics().heap_size_limit, words: process.execArgv })";
    const hook = `import v8 from "node:v8";\nexport const hook = {};\nconsole.log("told " + ${told});\n`;
    writeFileSync(join(cwd, "hook.mjs"), hook);
    const { program, port } = await broker(context, cwd, ["--plugin", "hook.mjs"]);
    const { limit } = JSON.parse(/^told (.*)$/m.exec(program.stdout)![1]!) as { limit: number };
    assert.equal(limit, await heapLimit(context, ["--max-semi-space-size=8"]));
    assert.notEqual(limit, await heapLimit(context, []));
    process.kill(program.pid, "SIGUSR1");
    await sleep(300);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.destroy();
    const listening = await runCommand(context, "ss", ["-Hltnp"]);
    const own = listening.stdout.split("\n").filter((line) => line.includes(`pid=${program.pid},`));
    assert.deepEqual(own.length, 1, own.join("\n"));
    assert.doesNotMatch(program.stderr, /[Dd]ebugger/);
  });

  test("starts fast, and faster with what V8 has compiled before", async (context) => {
    const cwd = emptyFolder(context);
    mkdirSync(join(cwd, "cache"), { mode: 0o700 });
    const tookMs: number[] = [];
    for (let start = 0; start < STARTS; start++) {
      const startedMs = performance.now();
      const { program } = await broker(context, cwd);
      tookMs.push(Math.round(performance.now() - startedMs));
      assert.equal((await program.stop()).code, 0);
    }
    assert.equal(readdirSync(join(cwd, "cache")).length, 1);
    const medianMs = tookMs.toSorted((a, b) => a - b)[STARTS >> 1]!;
    context.diagnostic(`to the line that says where it listens: ${tookMs.join(", ")} ms, median ${medianMs} ms`);
    assert.ok(medianMs < START_MS_MAX, `${medianMs} ms`);
  });

  test("refuses what it does not know as the sources do", async (context) => {
    const { result, stderr } = await startAndEnd(context, ["--tcp-prot", "0"]);
    assert.equal(result.code, 2);
    assert.match(stderr, /--tcp-prot.*--tcp-port/s);
  });
});

async function startAndEnd(context: TestContext, words: readonly string[]) {
  const program = startProgram(context, words, { program: [built.file] });
  return Object.assign(program, { result: await program.ended });
}

async function heapLimit(context: TestContext, options: readonly string[]): Promise<number> {
  const words = [...options, "-p", "v8.getHeapStatistics().heap_size_limit"];
  return Number((await runCommand(context, process.execPath, words)).stdout);
}
