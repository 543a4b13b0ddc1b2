import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, RawClient } from "../support/raw-client.ts";
import { emptyFolder, runProgram, startBroker, startProgram } from "./program.ts";

suite("starting", () => {
  test("it says where it listens within a second, and --tcp-port 0 names the real port", async (context) => {
    // The best of some: the others may have had to share the processor with whatever else runs here.
    const tookMs: number[] = [];
    for (let round = 0; round < 8 && (round < 3 || Math.min(...tookMs) >= 1000); round++) {
      const startedMs = performance.now();
      const { program, port } = await startBroker(context, ["--tcp-port", "0", "--log-format", "text"]);
      tookMs.push(performance.now() - startedMs);
      assert.match(program.stdout, new RegExp(`INFO {2}Listening on tcp://\\[::\\]:${port} listener=tcp\n`));
      assert.notEqual(port, 0);
      const client = await connect(port);
      await client.disconnect();
      await program.stop();
    }
    const bestMs = Math.min(...tookMs);
    context.diagnostic(`listening after ${tookMs.map((ms) => `${ms.toFixed(0)} ms`).join(", ")}`);
    assert.ok(bestMs < 1000, `${bestMs} ms`);
  });

  test("a port in use ends it with 1 and a message that names address and reason", async (context) => {
    const { port } = await startBroker(context);
    const { result, stdout } = await runProgram(context, ["--tcp-port", String(port)]);
    assert.equal(result.code, 1);
    assert.ok(stdout.includes(`Cannot listen on tcp://[::]:${port}: the port is in use by another program`), stdout);
  });

  test("an address that this host has not ends it with 1 and a message that names it", async (context) => {
    // 192.0.2.0/24 is for documentation: no host has it.
    const { result, stdout } = await runProgram(context, ["--addr", "192.0.2.77:0"]);
    assert.equal(result.code, 1);
    assert.ok(stdout.includes("Cannot listen on tcp://192.0.2.77:0: this host has no such address"), stdout);
  });

  test("when the second listener cannot open, the first is closed again", async (context) => {
    const { port } = await startBroker(context);
    const { result, stdout } = await runProgram(context, ["--tcp-port", "0", "--tcp-port", String(port)]);
    assert.equal(result.code, 1);
    assert.ok(stdout.includes(`Cannot listen on tcp://[::]:${port}`), stdout);
  });

  test("several brokers run side by side in one folder, each with its data in one of its own", async (context) => {
    const cwd = emptyFolder(context);
    const brokers = await Promise.all(
      [1, 2, 3].map((number) => startBroker(context, ["--tcp-port", "0", "--data-dir", `data-${number}`], { cwd })),
    );
    for (const { port } of brokers) {
      const client = await connect(port, { clientId: "the same name" });
      await client.subscribe("t");
      await client.publish("t", String(port));
      await client.expect("publish", { topic: "t", payload: String(port) });
      await client.disconnect();
    }
    for (const { program } of brokers) assert.equal((await program.stop()).code, 0);
  });

  test("several listeners of one broker serve the same topics", async (context) => {
    const { ports } = await startBroker(context, ["--tcp-port", "0", "--addr", "127.0.0.1:0"], { listeners: 2 });
    const subscriber = await connect(ports[0]!);
    await subscriber.subscribe("t");
    const publisher = await connect(ports[1]!);
    await publisher.publish("t", "m");
    await subscriber.expect("publish", { topic: "t", payload: "m" });
  });

  test("after kill -9 it starts again on the same port at once, with clients still connected", async (context) => {
    const { program, port } = await startBroker(context);
    const clients = await Promise.all([1, 2, 3].map(() => connect(port)));
    const { signal } = await program.stop("SIGKILL");
    assert.equal(signal, "SIGKILL");
    const again = await startBroker(context, ["--tcp-port", String(port)]);
    assert.equal(again.port, port);
    for (const client of clients) await client.drop();
    const client = await connect(port);
    await client.disconnect();
  });
});

suite("a bad configuration ends it with 2 before anything is opened", { concurrency: 2 }, () => {
  for (const [title, files, words, says] of [
    ["a missing file", {}, ["--config", "missing.json5"], /--config: missing\.json5 does not exist/],
    ["no JSON5", { "a.json5": "{ mqtt: " }, ["--config", "a.json5"], /^a\.json5:1:\d+: /],
    [
      "an unknown key",
      { "a.json5": "{ mqtt: { retian: true } }" },
      ["--config", "a.json5"],
      /^a\.json5:1:11: Unknown key "retian"\n.*\n.*\^\n {2}Did you mean "retain"\?/,
    ],
    [
      "a wrong type, found by itself",
      { "mqtt-broker.json5": "{ mqtt: { maximumQos: 7 } }" },
      [],
      /^mqtt-broker\.json5:1:23: mqtt\.maximumQos must be a whole number from 0 to 2/,
    ],
    [
      "a mistake in conf.d",
      { "mqtt-broker.json5": "{}", "conf.d/10-log.json5": "{ log: { level: 'loud' } }" },
      [],
      /^conf\.d\/10-log\.json5:1:17: log\.level must be/,
    ],
    ["users that are named and missing", {}, ["--auth-file", "a.json5"], /^--auth-file: .*a\.json5 does not exist\n/],
    ["a missing plugin", {}, ["--plugin", "hooks.ts"], /--plugin: .*hooks\.ts does not exist/],
    ["an unknown limit", {}, ["--limit", "client=5"], /--limit: Unknown limit "client"\n {2}Did you mean "clients"\?/],
    ["an unknown command", {}, ["rum"], /Unknown command "rum"\n {2}Did you mean "run"\?/],
    ["an unknown option", {}, ["--tpc-port", "1"], /Unknown option --tpc-port\n {2}Did you mean --tcp-port\?/],
  ] as const) {
    test(title, async (context) => {
      const cwd = emptyFolder(context);
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(join(cwd, name, ".."), { recursive: true });
        writeFileSync(join(cwd, name), text);
      }
      const { result, stdout, stderr } = await runProgram(context, words, { cwd });
      assert.equal(result.code, 2, stderr);
      assert.match(stderr, says);
      // Neither the log nor a listener was opened.
      assert.equal(stdout, "");
    });
  }
});

suite("stopping", { concurrency: 2 }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} tells 5.0 clients 0x8B, closes 3.1.1 ones, and exits with 0 within 5 s`, async (context) => {
      const { program, port } = await startBroker(context);
      const modern = await connect(port);
      const old = await connect(port, { version: 4 });
      const silent = await RawClient.open(port);
      const stopped = program.stop(signal);
      await modern.expectDisconnect(0x8b);
      await old.expectClose();
      await silent.expectClose();
      const { code, tookMs } = await stopped;
      assert.equal(code, 0);
      assert.ok(tookMs < 5000, `${tookMs} ms`);
      await program.line(`Stopping on ${signal}`);
      const line = await program.line("Client disconnected", ({ client }) => client === modern.clientId);
      assert.match(String(line.reason), /the broker is stopping/);
    });
  }

  test("nobody new gets in while it stops, though it waits for a client that does not close", async (context) => {
    const { program, port } = await startBroker(context);
    const client = await connect(port, { version: 4 });
    client.socket.removeAllListeners("end");
    process.kill(program.pid, "SIGTERM");
    await program.line("Stopping on SIGTERM");
    await assert.rejects(RawClient.open(port), { code: "ECONNREFUSED" });
    assert.equal((await program.ended).code, 0);
  });

  test("what was acknowledged to its publisher is written to connected subscribers before they are cut off", async (context) => {
    const { program, port } = await startBroker(context);
    const subscriber = await connect(port);
    await subscriber.subscribe("t", { qos: 1 });
    const publisher = await connect(port);
    // More than may be under way at once (`inflight` is 100), so that acknowledgements must be waited for.
    const identifiers = Array.from({ length: 400 }, (_, index) => publisher.sendPublish("t", `m${index}`, { qos: 1 }));
    for (const identifier of identifiers) await publisher.take("puback", identifier);
    process.kill(program.pid, "SIGTERM");
    await program.line("Stopping on SIGTERM");
    for (const index of identifiers.keys()) {
      const { messageId } = await subscriber.expect("publish", { payload: `m${index}`, qos: 1 });
      subscriber.send({ cmd: "puback", messageId });
    }
    await subscriber.expectDisconnect(0x8b);
    assert.equal((await program.ended).code, 0);
  });

  test("a slow reader gets what waits for it before it is cut off", async (context) => {
    const { program, port } = await startBroker(context);
    const subscriber = await connect(port);
    await subscriber.subscribe("t", { qos: 1 });
    subscriber.socket.pause();
    const publisher = await connect(port);
    const payload = "x".repeat(100_000);
    for (let index = 0; index < 80; index++) await publisher.publish("t", `${index} ${payload}`, { qos: 1 });
    process.kill(program.pid, "SIGTERM");
    await program.line("Stopping on SIGTERM");
    subscriber.socket.resume();
    for (let index = 0; index < 80; index++) {
      const { payload: received } = await subscriber.expect("publish", { qos: 1 });
      assert.equal(received.split(" ")[0], String(index));
    }
    await subscriber.expectDisconnect(0x8b);
    assert.equal((await program.ended).code, 0);
  });

  test("a second signal ends it at once", async (context) => {
    const { program, port } = await startBroker(context);
    const client = await connect(port, { version: 4 });
    // It keeps its half open, and so the broker lingers.
    client.socket.removeAllListeners("end");
    process.kill(program.pid, "SIGTERM");
    await program.line("Stopping on SIGTERM");
    const { code, tookMs } = await program.stop("SIGTERM");
    assert.equal(code, 143);
    assert.ok(tookMs < 500, `${tookMs} ms`);
  });

  test("a subscriber that acknowledges nothing does not keep it from stopping, nor do messages that keep coming", async (context) => {
    const { program, port } = await startBroker(context);
    const subscriber = await connect(port);
    await subscriber.subscribe("t", { qos: 1 });
    const publisher = await connect(port);
    for (let index = 0; index < 200; index++) await publisher.publish("t", "m", { qos: 1 });
    const stopped = program.stop();
    await program.line("Stopping on SIGTERM");
    const unanswered = publisher.sendPublish("t", "too late", { qos: 1 });
    // Not acknowledged, so that the publisher sends it again elsewhere or later.
    await assert.rejects(publisher.take("puback", unanswered), /the connection was closed/);
    const { code, tookMs } = await stopped;
    assert.equal(code, 0);
    assert.ok(tookMs < 3000, `${tookMs} ms`);
  });

  test("SIGHUP while it starts does not end it, and is followed when it has started", async (context) => {
    const cwd = emptyFolder(context);
    const lines = [
      'process.kill(process.pid, "SIGHUP");',
      "await new Promise((resolve) => setTimeout(resolve, 20));",
      "export const hook = {};",
    ];
    writeFileSync(join(cwd, "early.mjs"), lines.join("\n"));
    const { program } = await startBroker(context, ["--tcp-port", "0", "--plugin", "early.mjs"], { cwd });
    await program.line(/^SIGHUP: /);
    assert.equal((await program.stop()).code, 0);
  });

  test("SIGHUP is survived and logged, with clients connected", async (context) => {
    const { program, port } = await startBroker(context);
    const client = await connect(port);
    process.kill(program.pid, "SIGHUP");
    await program.line(/^SIGHUP: /);
    await client.expectNothing();
    assert.equal((await program.stop()).code, 0);
  });

  test("SIGTERM before it listens ends it too", async (context) => {
    const program = startProgram(context, ["--tcp-port", "0"]);
    await sleep(20);
    const { code, signal } = await program.stop("SIGTERM");
    assert.ok(code === 0 || signal === "SIGTERM", `${code} ${signal}`);
  });

  test("a port that was refused is free again after the other program has gone", async (context) => {
    const other = createServer().listen(0, "::");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as { port: number };
    const refused = await runProgram(context, ["--tcp-port", String(port)]);
    assert.equal(refused.result.code, 1);
    await new Promise((resolve) => other.close(resolve));
    const { program } = await startBroker(context, ["--tcp-port", String(port)]);
    assert.equal((await program.stop()).code, 0);
  });
});
