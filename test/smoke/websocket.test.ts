import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { WebSocket } from "ws";
import { connect as connectTcp } from "../support/raw-client.ts";
import { emptyFolder, type Lifetime, type Running, runProgram, type StartOptions, startProgram } from "./program.ts";

async function start(
  context: Lifetime,
  words: readonly string[] = ["--ws-port", "0", "--bind", "127.0.0.1"],
  options: StartOptions = {},
): Promise<{ program: Running; url: string }> {
  const program = startProgram(context, words, options);
  const { message } = await program.line(/^Listening on ws:/);
  return { program, url: message.slice("Listening on ".length) };
}

async function client(context: TestContext, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const mqtt = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, ...options });
  context.after(() => mqtt.endAsync(true));
  return mqtt;
}

/** Of MQTT 3.1.1 with the client id "a". */
const CONNECT = [0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 1, 0x61];

/** A client that is nothing but a WebSocket, after CONNACK. */
async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, "mqtt");
  await once(socket, "open");
  socket.send(Buffer.from(CONNECT));
  const [connack] = await once(socket, "message");
  assert.deepEqual([...connack], [0x20, 2, 0, 0]);
  return socket;
}

async function echoes(mqtt: MqttClient, payload: Buffer | string, qos: 0 | 1 | 2 = 1): Promise<void> {
  await mqtt.subscribeAsync("echo", { qos });
  const received = new Promise<Buffer>((resolve) => mqtt.once("message", (_topic, bytes) => resolve(bytes)));
  await mqtt.publishAsync("echo", payload, { qos });
  assert.ok(Buffer.from(payload).equals(await received));
}

suite("--ws-port", () => {
  /** For tests that leave nothing behind. */
  let shared: ReturnType<typeof start>;
  const ends: (() => void | Promise<void>)[] = [];
  before(() => {
    const lifetime = { after: (end: () => void | Promise<void>) => void ends.push(end) };
    const cwd = emptyFolder(lifetime);
    const entry = '{ name: "guest", method: "anonymous" }';
    writeFileSync(join(cwd, "auth.json5"), `{ authentication: [${entry}], authorization: [] }`);
    shared = start(lifetime, ["--ws-port", "0", "--bind", "127.0.0.1", "--store", "memory"], { cwd });
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  test("serves MQTT.js by 3.1, 3.1.1 and 5.0", async (context) => {
    const { program, url } = await start(context);
    assert.match(url, /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/mqtt$/);
    assert.equal(program.lines.filter(({ message }) => message.startsWith("Listening on")).length, 1);
    for (const protocolVersion of [4, 5] as const) {
      for (const qos of [0, 1, 2] as const) await echoes(await client(context, url, { protocolVersion }), "x", qos);
    }
    const protocolId = "MQIsdp";
    const old = { protocolVersion: 3, protocolId, clientId: "old", wsOptions: { protocol: "mqttv3.1" } } as const;
    await echoes(await client(context, url, old), "x");
    const { code } = await program.stop();
    assert.equal(code, 0);
    assert.equal(program.stderr, "");
  });

  test("carries packets of 10 MB both ways", async (context) => {
    const limits = ["--mqtt-maximum-packet-size", "12MiB"];
    const { url } = await start(context, ["--ws-port", "0", "--bind", "127.0.0.1", ...limits]);
    await echoes(await client(context, url), Buffer.alloc(10_000_000, "0123456789abcdef!"));
  });

  test("stands beside TCP: one broker, the same topics", async (context) => {
    const { program, url } = await start(context, ["--tcp-port", "0", "--ws-port", "0"]);
    const { message } = await program.line(/^Listening on tcp:/);
    const subscriber = await connectTcp(Number(/:(\d+)$/.exec(message)![1]));
    await subscriber.subscribe("t");
    const mqtt = await client(context, url.replace("[::]", "127.0.0.1"));
    await mqtt.publishAsync("t", "m", { qos: 1 });
    await subscriber.expect("publish", { topic: "t", payload: "m" });
  });

  test("a stop of the broker closes with 1001", async (context) => {
    const { program, url } = await start(context);
    const socket = await open(url);
    const closed = once(socket, "close");
    const stopped = program.stop();
    const [code] = await closed;
    assert.equal(code, 1001);
    assert.equal((await stopped).code, 0);
  });

  for (const [title, code, packets] of [
    ["DISCONNECT", 1000, [CONNECT, [0xe0, 0]]],
    ["a packet before CONNECT", 1002, [[0xc0, 0]]],
    ["a second CONNECT", 1002, [CONNECT, CONNECT]],
    ["a version that is none", 1002, [CONNECT.with(8, 9)]],
    [
      "a user who is not known",
      1008,
      [[0x10, 16, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x82, 0, 60, 0, 1, 0x61, 0, 1, 0x62]],
    ],
    ["a packet over the limit", 1009, [CONNECT, [0x30, 0xff, 0xff, 0xff, 0x7f]]],
  ] as const) {
    test(`${title} closes with ${code}`, async (context) => {
      const { url } = await shared;
      context.after(() => socket.terminate());
      const socket = new WebSocket(url, "mqtt");
      await once(socket, "open");
      const closed = once(socket, "close");
      for (const packet of packets) socket.send(Buffer.from(packet));
      assert.equal((await closed)[0], code);
    });
  }

  test("a reader that stops costs no more than the limit, and the broker serves others", async (context) => {
    const words = ["--ws-port", "0", "--bind", "127.0.0.1", "--store", "memory"];
    const { program, url } = await start(context, words);
    const slow = await open(url);
    // SUBSCRIBE to "flood", QoS 0.
    slow.send(Buffer.from([0x82, 10, 0, 1, 0, 5, 0x66, 0x6c, 0x6f, 0x6f, 0x64, 0]));
    const [suback] = await once(slow, "message");
    assert.deepEqual([...suback], [0x90, 3, 0, 1, 0]);
    slow.pause();
    const publisher = await client(context, url);
    const payload = Buffer.alloc(1_000_000);
    for (let count = 0; count < 400; count++) await publisher.publishAsync("flood", payload, { qos: 1 });
    await echoes(publisher, "still here");
    const [, rssKib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${program.pid}/status`, "utf8"))!;
    assert.ok(Number(rssKib) < 250 * 1024, `${rssKib} KiB at the most`);
    slow.terminate();
    assert.equal(
      program.lines.some(({ level }) => level === "error"),
      false,
    );
  });

  test("auth.json5 tells clients that come by WebSocket from others", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(
      join(cwd, "auth.json5"),
      `{
        authentication: [{ name: "anonymous", method: "anonymous", from: "transport:websocket" }],
        authorization: [
          { topic: "web/#", allow: { sub: ["@any"] }, from: "transport:websocket" },
          { topic: "wire/#", allow: { sub: ["@any"] }, from: "transport:tcp" },
        ],
      }`,
    );
    const { url } = await start(context, ["--ws-port", "0", "--bind", "127.0.0.1"], { cwd });
    const mqtt = await client(context, url, { clientId: "page" });
    assert.equal((await mqtt.subscribeAsync("web/a", { qos: 1 }))[0]!.qos, 1);
    await assert.rejects(mqtt.subscribeAsync("wire/a"), /Not authorized|135|Unspecified/);
  });

  test("only programs and listed pages may connect, the others are named in the log", async (context) => {
    const words = [
      "--ws-port",
      "0",
      "--bind",
      "127.0.0.1",
      "--ws-path",
      "/door",
      "--ws-origin",
      "https://Example.org/",
    ];
    const { program, url } = await start(context, words);
    assert.match(url, /\/door$/);
    await client(context, url);
    const page = new WebSocket(url, "mqtt", { origin: "https://evil.example" });
    const [error] = await once(page, "error");
    assert.equal(error.message, "Unexpected server response: 403");
    const { reason, listener, address } = await program.line("WebSocket refused");
    assert.deepEqual(
      [reason, listener],
      ["Pages of this origin may not connect: the broker's list of origins lacks it.", "ws"],
    );
    assert.match(String(address), /^127\.0\.0\.1:\d+$/);
  });

  test("without a user name a page of the Web is not let in, nor is who comes by a proxy on this machine", async (context) => {
    const { url } = await start(context);
    await client(context, url);
    for (const headers of [{ Origin: "https://evil.example" }, { "X-Forwarded-For": "203.0.113.9" }]) {
      await assert.rejects(client(context, url, { wsOptions: { headers } }), /Not authorized|refused/);
    }
  });

  test("listeners of the configuration have what the options have, each its own", async (context) => {
    const cwd = emptyFolder(context);
    const own = `path: "/own", origins: ["https://example.org"], trustedProxies: ["127.0.0.1"]`;
    const text = `{ ws: { path: "/all" }, listeners: [{ type: "ws", port: 0 }, { type: "ws", name: "own", port: 0, ${own} }] }`;
    writeFileSync(join(cwd, "a.json5"), text);
    const { program } = await start(context, ["--config", "a.json5"], { cwd });
    assert.match((await program.line(/^Listening on/, ({ listener }) => listener === "ws")).message, /\/all$/);
    assert.match((await program.line(/^Listening on/, ({ listener }) => listener === "own")).message, /\/own$/);
  });

  test("--ws-tls-port serves the same over TLS, and a client that does not speak TLS holds up nobody", async (context) => {
    const cwd = emptyFolder(context);
    const made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
    const names = [
      "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-keyout",
      "server.key",
      "-out",
      "server.crt",
    ];
    execFileSync("openssl", [...made.split(" "), ...names], { cwd, stdio: "pipe" });
    const tls = ["--server-crt", "server.crt", "--server-key", "server.key"];
    const program = startProgram(context, ["--ws-tls-port", "0", "--bind", "127.0.0.1", ...tls], { cwd });
    const { message } = await program.line(/^Listening on wss:/);
    const url = message.slice("Listening on ".length);
    assert.match(url, /^wss:\/\/127\.0\.0\.1:\d+\/mqtt$/);
    await assert.rejects(client(context, url.replace("wss:", "ws:")));
    await program.line("TLS handshake failed");
    await assert.rejects(client(context, url), /self-signed certificate/);
    const mqtt = await client(context, url, { ca: readFileSync(join(cwd, "server.crt")) });
    await echoes(mqtt, Buffer.alloc(500_000, "ab"), 2);
    assert.equal((await program.stop()).code, 0);
  });

  test("check says where it would listen, and what is no origin, path or proxy", async (context) => {
    const good = await runProgram(context, ["check", "--ws-port", "8083", "--bind", "::1"]);
    assert.equal(good.result.code, 0, good.stderr);
    assert.ok(good.stdout.includes("Would listen on ws://[::1]:8083/mqtt\n"), good.stdout);
    const words = ["--ws-port", "8083", "--ws-path", "door", "--ws-origin", "*", "--ws-trusted-proxy", "proxy"];
    const bad = await runProgram(context, ["check", ...words]);
    assert.equal(bad.result.code, 2);
    for (const said of ['"door" is no path of a URL', '"*" is no origin of a page', '"proxy" is no address']) {
      assert.ok(`${bad.stdout}${bad.stderr}`.includes(said), bad.stdout);
    }
  });
});
