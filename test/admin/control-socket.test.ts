import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { AskError, askBroker } from "../../src/admin/ask-broker.ts";
import { controlPath, controlPathsToAsk } from "../../src/admin/control-path.ts";
import { ControlSocket } from "../../src/admin/control-socket.ts";
import { type OperationParts, operations } from "../../src/admin/operations.ts";
import type { Log } from "../../src/core/ports.ts";
import { logTo } from "../support/log-to.ts";

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mqtt-broker-control-"));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function listening(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = logTo((level, message) => {
    if (level !== "debug") lines.push(`${level}: ${message}`);
  });
  return { log, lines };
}

async function open(
  context: TestContext,
  parts: OperationParts,
  path = join(folder(context), "control.sock"),
): Promise<{ path: string; socket: ControlSocket; lines: string[] }> {
  const { log, lines } = listening();
  const socket = new ControlSocket({ path, operations: operations(parts), log });
  await socket.start();
  context.after(() => socket.stop());
  return { path, socket, lines };
}

/** Writes bytes as they are and returns all that comes. */
async function raw(path: string, bytes: string | Buffer): Promise<string> {
  const socket = connect(path);
  let text = "";
  socket.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  // It may be closed while we still write.
  socket.on("error", () => {});
  socket.write(bytes);
  await once(socket, "close").catch(() => {});
  return text;
}

suite("control socket", () => {
  test("answers what it is asked, item by item, and only its owner may ask", async (context) => {
    const bans = [{ address: "10.0.0.1", untilMs: 5, failures: 10 }];
    const { path, lines } = await open(context, {
      banned: () => bans,
      lift: (address) => address === "10.0.0.1",
    });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(await askBroker([path], "banned"), bans);
    assert.deepEqual(await askBroker([path], "lift", { address: "10.0.0.1" }), [{ lifted: true }]);
    assert.deepEqual(await askBroker([path], "lift", { address: "10.0.0.2" }), [{ lifted: false }]);
    assert.equal(await raw(path, '{"operation":"banned"}\n'), `${JSON.stringify({ item: bans[0] })}\n{"done":true}\n`);
    assert.deepEqual(lines, []);
  });

  test("gives back a hundred thousand items whole and in order", async (context) => {
    const { path } = await open(context, {
      *traffic() {
        for (let index = 0; index < 100_000; index++) yield { index };
      },
    });
    const items = (await askBroker([path], "traffic")) as { index: number }[];
    assert.equal(items.length, 100_000);
    assert.equal(
      items.every(({ index }, at) => index === at),
      true,
    );
  });

  test("reload is waited for", async (context) => {
    let reloads = 0;
    const { path } = await open(context, {
      reload: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        reloads++;
      },
    });
    assert.deepEqual(await askBroker([path], "reload"), []);
    assert.equal(reloads, 1);
  });

  const nonsense: [string, string, RegExp][] = [
    ["no JSON", "hello\n", /Not JSON/],
    ["null", "null\n", /There is no such operation; there are lift/],
    ["another operation", '{"operation":"format"}\n', /There is no such operation/],
    ["a name of objects", '{"operation":"constructor"}\n', /There is no such operation/],
    ["no argument", '{"operation":"lift"}\n', /lift needs address/],
    ["a number", '{"operation":"lift","arguments":{"address":1}}\n', /lift needs address/],
    ["a list", '{"operation":"lift","arguments":["a"]}\n', /must be an object/],
    [
      "too much",
      '{"operation":"lift","arguments":{"address":"a","force":"b"}}\n',
      /lift takes address, not \\"force\\"/,
    ],
    [
      "a long argument",
      `{"operation":"lift","arguments":{"address":"${"a".repeat(2000)}"}}\n`,
      /at most 1024 characters/,
    ],
    ["a line without end", "x".repeat(70_000), /at most 65536 bytes/],
  ];
  for (const [what, question, answer] of nonsense) {
    test(`refuses ${what} with a reason`, async (context) => {
      const { path, lines } = await open(context, { lift: () => true });
      assert.match(await raw(path, question), answer);
      assert.deepEqual(lines, []);
      assert.deepEqual(await askBroker([path], "lift", { address: "a" }), [{ lifted: true }]);
    });
  }

  test("an operation that throws is logged, and the asker told no more than that", async (context) => {
    const { path, lines } = await open(context, {
      banned: () => {
        throw new Error("secret inside");
      },
    });
    await assert.rejects(askBroker([path], "banned"), { message: "The broker could not do it: its log says why" });
    assert.deepEqual(lines, ["error: An operation failed on the control socket"]);
  });

  test("an asker that leaves in the middle harms nobody, and stops the answer", async (context) => {
    let given = 0;
    const { path, lines } = await open(context, {
      *traffic() {
        for (; given < 1_000_000; given++) yield "x".repeat(1000);
      },
    });
    const socket = connect(path);
    socket.write('{"operation":"traffic"}\n');
    await once(socket, "data");
    socket.destroy();
    await once(socket, "close");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const soon = given;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(given, soon);
    assert.ok(given < 1_000_000);
    assert.deepEqual(lines, []);
  });

  test("an asker that does not read holds up nobody, nor the end", async (context) => {
    let given = 0;
    const { path, socket } = await open(context, {
      *traffic() {
        for (; given < 1_000_000; given++) yield "x".repeat(1000);
      },
      banned: () => ["here"],
    });
    const lazy = connect(path);
    context.after(() => lazy.destroy());
    lazy.pause();
    lazy.on("error", () => {});
    lazy.write('{"operation":"traffic"}\n');
    assert.deepEqual(await askBroker([path], "banned"), ["here"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const soon = given;
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(given, soon);
    assert.ok(given < 100_000);
    await socket.stop();
  });

  test("a file that a killed broker left is replaced, at the end it is gone", async (context) => {
    const path = join(folder(context), "control.sock");
    const killed = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    assert.equal(spawnSync(process.execPath, ["-e", killed]).signal, "SIGKILL");
    assert.equal(statSync(path).isSocket(), true);
    const { socket, lines } = await open(context, { banned: () => ["new"] }, path);
    assert.deepEqual(await askBroker([path], "banned"), ["new"]);
    assert.deepEqual(lines, []);
    await socket.stop();
    assert.equal(existsSync(path), false);
    await socket.stop();
  });

  test("another broker's socket and another kind of file are left alone", async (context) => {
    const first = await open(context, { banned: () => ["first"] });
    const second = await open(context, { banned: () => ["second"] }, first.path);
    assert.equal(second.lines.length, 1);
    await second.socket.stop();
    assert.deepEqual(await askBroker([first.path], "banned"), ["first"]);
    const file = join(folder(context), "control.sock");
    writeFileSync(file, "mine");
    const third = await open(context, {}, file);
    assert.equal(third.lines.length, 1);
    assert.equal(statSync(file).size, 4);
  });

  test("where it cannot be the broker is told so, and goes on", async (context) => {
    const missing = await open(context, {}, join(folder(context), "not", "there", "control.sock"));
    assert.match(missing.lines[0]!, /^warn: No control socket/);
    const long = await open(context, {}, `/${"d".repeat(120)}`);
    assert.match(long.lines[0]!, /^warn: No control socket: its path has more than 107 bytes/);
    const { log, lines } = listening();
    await new ControlSocket({ path: undefined, operations: new Map(), log }).start();
    assert.deepEqual(lines, []);
  });
});

suite("asking a broker", () => {
  test("no broker is undefined, and the first that is there answers", async (context) => {
    const { path } = await open(context, { banned: () => ["one"] });
    const file = join(folder(context), "nothing.sock");
    assert.equal(await askBroker([file], "banned"), undefined);
    assert.equal(await askBroker([], "banned"), undefined);
    assert.deepEqual(await askBroker([file, path], "banned"), ["one"]);
  });

  test("what is no broker, and one that ends in the middle, are told apart from an answer", async (context) => {
    const path = join(folder(context), "other.sock");
    let answer = "SSH-2.0\n";
    const server = createServer((socket) => void socket.on("error", () => {}).end(answer)).listen(path);
    context.after(() => server.close());
    await once(server, "listening");
    await assert.rejects(askBroker([path], "banned"), new AskError(`What answers at ${path} is no broker`));
    answer = '{"item":1}\n';
    await assert.rejects(askBroker([path], "banned"), new AskError(`The broker at ${path} gave no whole answer`));
  });
});

suite("the control socket's place", () => {
  test("is the data folder, and the runtime folder where that is too long or there is none", () => {
    const long = `/${"d".repeat(100)}`;
    assert.equal(controlPath("/data", "/run/x"), "/data/control.sock");
    assert.equal(controlPath(long, "/run/x:/run/y"), "/run/x/control.sock");
    assert.equal(controlPath(undefined, "/run/x"), "/run/x/control.sock");
    assert.equal(controlPath(undefined, undefined), undefined);
    assert.equal(controlPath(undefined, ""), undefined);
    assert.equal(controlPath(long, long), `${long}/control.sock`);
    // 107 bytes are the most, and they are bytes.
    const most = `/${"d".repeat(107 - "/control.sock".length - 1)}`;
    assert.equal(controlPath(most, "/run/x"), `${most}/control.sock`);
    assert.equal(controlPath(`${most.slice(0, -1)}é`, "/run/x"), "/run/x/control.sock");
  });

  test("whoever asks looks at the same places, but at no other broker's when one is named", () => {
    const long = `/${"d".repeat(100)}`;
    assert.deepEqual(controlPathsToAsk("/data", true), ["/data/control.sock"]);
    assert.deepEqual(controlPathsToAsk("/data", false), ["/data/control.sock", "/run/mqtt-broker/control.sock"]);
    assert.deepEqual(controlPathsToAsk(long, true), ["/run/mqtt-broker/control.sock"]);
  });
});
