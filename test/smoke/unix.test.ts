import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { MqttClient } from "mqtt";
import { connect as connectTcp } from "../support/raw-client.ts";
import { emptyFolder, type Running, runCommand, runProgram, startBroker, startProgram } from "./program.ts";

/** A broker on a Unix socket, `mqtt.sock` of its folder unless `words` say otherwise. */
async function startUnix(
  context: TestContext,
  cwd: string,
  words = ["--unix-socket", "mqtt.sock"],
): Promise<{ program: Running; path: string }> {
  const program = startProgram(context, words, { cwd });
  await program.line(/^Listening on unix:/);
  return { program, path: join(cwd, "mqtt.sock") };
}

async function client(context: TestContext, path: string): Promise<MqttClient> {
  const options = { protocolVersion: 5, reconnectPeriod: 0 } as const;
  const mqtt = new MqttClient(() => connect(path) as never, options);
  context.after(() => mqtt.endAsync(true));
  await new Promise((resolve, reject) => mqtt.once("connect", resolve).once("error", reject));
  return mqtt;
}

async function echoes(mqtt: MqttClient, payload: string): Promise<void> {
  await mqtt.subscribeAsync("echo", { qos: 1 });
  const received = new Promise<string>((resolve) => mqtt.once("message", (_topic, bytes) => resolve(String(bytes))));
  await mqtt.publishAsync("echo", payload, { qos: 1 });
  assert.equal(await received, payload);
}

suite("--unix-socket", () => {
  test("serves clients of this machine without a user name, and no TCP port beside", async (context) => {
    const { program, path } = await startUnix(context, emptyFolder(context));
    assert.equal(program.lines.filter(({ message }) => message.startsWith("Listening on")).length, 1);
    assert.equal(lstatSync(path).mode & 0o7777, 0o660);
    await echoes(await client(context, path), "x".repeat(500_000));
    const { code } = await program.stop();
    assert.equal(code, 0);
    assert.equal(existsSync(path), false);
  });

  test("serves the broker's own clients by --unix", async (context) => {
    const cwd = emptyFolder(context);
    await startUnix(context, cwd);
    const pub = await runProgram(context, ["pub", "--unix", "mqtt.sock", "-t", "a", "-m", "hello", "-q", "1", "-r"], {
      cwd,
    });
    assert.equal(pub.result.code, 0, pub.stderr);
    const sub = await runProgram(context, ["sub", "--unix", "mqtt.sock", "-t", "a", "-C", "1"], { cwd });
    assert.equal(sub.stdout, "hello\n");
  });

  test("serves mosquitto_pub and mosquitto_sub with --unix", async (context) => {
    const cwd = emptyFolder(context);
    await startUnix(context, cwd);
    const words = ["--unix", "mqtt.sock", "-V", "5", "-t", "a"];
    const pub = await runCommand(context, "mosquitto_pub", [...words, "-m", "hello", "-q", "2", "-r"], { cwd });
    assert.deepEqual([pub.result.code, pub.stderr], [0, ""]);
    const sub = await runCommand(context, "mosquitto_sub", [...words, "-C", "1", "-W", "5"], { cwd });
    assert.equal(sub.stdout, "hello\n");
  });

  test("stands beside TCP: one broker, the same topics", async (context) => {
    const cwd = emptyFolder(context);
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--unix-socket", "mqtt.sock"], { cwd });
    await program.line(`Listening on unix:${join(cwd, "mqtt.sock")}`);
    const subscriber = await connectTcp(port);
    await subscriber.subscribe("t");
    await (await client(context, join(cwd, "mqtt.sock"))).publishAsync("t", "m", { qos: 1 });
    await subscriber.expect("publish", { topic: "t", payload: "m" });
  });

  test("after kill -9 the next start takes the socket that was left", async (context) => {
    const cwd = emptyFolder(context);
    const { program, path } = await startUnix(context, cwd);
    await program.stop("SIGKILL");
    assert.equal(lstatSync(path).isSocket(), true);
    await startUnix(context, cwd);
    await echoes(await client(context, path), "again");
  });

  test("a second broker on the same path ends with 1 and says why; the first goes on", async (context) => {
    const cwd = emptyFolder(context);
    const { path } = await startUnix(context, cwd);
    const { result, stdout } = await runProgram(context, ["--unix-socket", path]);
    assert.equal(result.code, 1);
    const reason = `Cannot listen on unix:${path}: another program listens there: stop it, or give another path`;
    assert.ok(stdout.includes(reason), stdout);
    await echoes(await client(context, path), "still here");
  });

  test("a file of another kind, and a folder that is missing, end it with 1 and a reason", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(join(cwd, "precious"), "x");
    for (const [path, reason] of [
      ["precious", "there is a file already, and it is no socket: move it away, or give another path"],
      ["run/mqtt.sock", `there is no folder ${join(cwd, "run")}: make it, or give another path`],
    ] as const) {
      const { result, stdout } = await runProgram(context, ["--unix-socket", path], { cwd });
      assert.equal(result.code, 1);
      assert.ok(stdout.includes(`Cannot listen on unix:${join(cwd, path)}: ${reason}`), stdout);
    }
    assert.equal(lstatSync(join(cwd, "precious")).size, 1);
  });

  test("listeners of the configuration have a name, a mode and a path from the file's folder", async (context) => {
    const cwd = emptyFolder(context);
    mkdirSync(join(cwd, "etc"));
    const rights = `mode: "0600", owner: ${process.getuid!()}, group: "${process.getgid!()}"`;
    const text = `{ listeners: [{ type: "unix", name: "door", path: "mqtt.sock", ${rights} }] }`;
    writeFileSync(join(cwd, "etc/a.json5"), text);
    const { program } = await startUnix(context, cwd, ["--config", "etc/a.json5"]);
    assert.equal((await program.line(/^Listening on/)).listener, "door");
    assert.equal(lstatSync(join(cwd, "etc/mqtt.sock")).mode & 0o7777, 0o600);
    assert.deepEqual(readdirSync(join(cwd, "etc")).sort(), ["a.json5", "mqtt.sock"]);
    await echoes(await client(context, join(cwd, "etc/mqtt.sock")), "x");
  });

  test("check says where it would listen, and opens nothing", async (context) => {
    const cwd = emptyFolder(context);
    const { result, stdout } = await runProgram(context, ["check", "--unix-socket", "mqtt.sock"], { cwd });
    assert.equal(result.code, 0);
    assert.ok(stdout.includes(`Would listen on unix:${join(cwd, "mqtt.sock")}\n`), stdout);
    assert.equal(existsSync(join(cwd, "mqtt.sock")), false);
  });

  test("@NAME is a name without a file", async (context) => {
    const name = `mqtt-broker-smoke-${process.pid}`;
    const program = startProgram(context, ["--unix-socket", `@${name}`]);
    await program.line(`Listening on unix:@${name}`);
    await echoes(await client(context, `\0${name}`), "x");
  });
});
