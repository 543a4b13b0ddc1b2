import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { connectAsync, type IClientOptions, MqttClient } from "mqtt";
import { CertificateFolder } from "../support/certificates.ts";
import { connectQuic, QuicClient } from "../transport/quic-rig.ts";
import { type Running, runProgram, startProgram } from "./program.ts";

const SILENT_CLIENTS = 200;
/** What the broker promises at the most for a client that has not said who it is. */
const CLIENT_KB_MAX = 200;
const MESSAGE =
  /QUIC needs the package @currentspace\/http3, which is not installed: npm install @currentspace\/http3@0\.9\.0 brings it/;

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(() => folder.remove());

/** Node.js arguments with which the library is not found. */
const WITHOUT_LIBRARY = [
  "--import",
  `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from "node:module";
    registerHooks({ resolve(name, context, next) {
      if (name !== "@currentspace/http3") return next(name, context);
      throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
    } });`)}`,
];

function words(...more: string[]): string[] {
  const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
  return ["--quic-port", "0", "--bind", "127.0.0.1", "--store", "memory", ...files, ...more];
}

async function portOf(program: Running, scheme: string): Promise<number> {
  const { message } = await program.line(new RegExp(`^Listening on ${scheme}://127\\.0\\.0\\.1:\\d+$`));
  return Number(message.slice(message.lastIndexOf(":") + 1));
}

/** MQTT.js over QUIC. */
async function connect(context: TestContext, port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const stream = new QuicClient(await connectQuic(port, { ca: folder.text("ca.crt") }));
  const client = new MqttClient(() => stream, { protocolVersion: 5, reconnectPeriod: 0, ...options });
  context.after(() => client.endAsync(true));
  await new Promise<void>((resolve) => client.once("connect", () => resolve()));
  return client;
}

async function hears(client: MqttClient, topic: string, qos: 0 | 1 | 2): Promise<{ message: Promise<Buffer> }> {
  await client.subscribeAsync(topic, { qos });
  return { message: new Promise((resolve) => client.once("message", (_topic, payload) => resolve(payload))) };
}

suite("--quic-port", () => {
  test("clients over QUIC and TCP publish to each other, up to 10 MB", async (context) => {
    const program = startProgram(context, words("--tcp-port", "0", "--mqtt-maximum-packet-size", "12MiB"));
    const quic = await connect(context, await portOf(program, "quic"), { clientId: "q" });
    const tcp = await connectAsync(`mqtt://127.0.0.1:${await portOf(program, "tcp")}`, { protocolVersion: 5 });
    context.after(() => tcp.endAsync(true));
    const { listener, address } = await program.line("Client connected", ({ client }) => client === "q");
    assert.equal(listener, "quic");
    assert.match(String(address), /^127\.0\.0\.1:[1-9]\d*$/);
    const large = Buffer.alloc(10_000_000, "0123456789abcdef!");
    for (const [from, to] of [
      [quic, tcp],
      [tcp, quic],
      [quic, quic],
    ] as const) {
      for (const qos of [0, 1, 2] as const) {
        const payload = qos === 1 ? large : Buffer.from(`qos ${qos}`);
        const heard = await hears(to, "t", qos);
        await from.publishAsync("t", payload, { qos });
        assert.ok((await heard.message).equals(payload));
        await to.unsubscribeAsync("t");
      }
    }
    const { code, tookMs } = await program.stop();
    assert.deepEqual([code, program.stderr], [0, ""]);
    assert.ok(tookMs < 5000, `${tookMs} ms`);
  });

  test(`a client that never says who it is costs less than ${CLIENT_KB_MAX} kB, and a stop waits for none`, async (context) => {
    const program = startProgram(context, words());
    const port = await portOf(program, "quic");
    (await connect(context, port)).end();
    const beforeKb = residentKb(program);
    const silent = join(import.meta.dirname, "../transport/quic-silent.ts");
    const child = fork(silent, [String(port), folder.file("ca.crt"), String(SILENT_CLIENTS)]);
    context.after(() => void child.kill("SIGKILL"));
    assert.deepEqual(await once(child, "message").then(([message]) => message), "ready");
    const eachKb = (residentKb(program) - beforeKb) / SILENT_CLIENTS;
    context.diagnostic(`${eachKb.toFixed(1)} kB each`);
    assert.ok(eachKb > 1 && eachKb < CLIENT_KB_MAX, `${eachKb} kB each`);
    child.kill("SIGKILL");
    const { code, tookMs } = await program.stop();
    assert.equal(code, 0);
    assert.ok(tookMs < 8000, `${tookMs} ms`);
  });

  test("without the library check refuses it, and a broker serves its other listeners", async (context) => {
    const options = { nodeWords: WITHOUT_LIBRARY };
    const checked = await runProgram(context, ["check", ...words("--tcp-port", "0")], options);
    assert.equal(checked.result.code, 2);
    assert.match(checked.stdout, MESSAGE);
    assert.match(checked.stdout, /^Configuration is not valid: 1 error$/m);
    const program = startProgram(context, words("--tcp-port", "0"), options);
    const tcp = await connectAsync(`mqtt://127.0.0.1:${await portOf(program, "tcp")}`);
    await tcp.endAsync();
    const { listener, level } = await program.line(MESSAGE);
    assert.deepEqual([listener, level], ["quic", "error"]);
    const alone = await runProgram(context, words(), options);
    assert.equal(alone.result.code, 1);
    assert.match(alone.stdout, MESSAGE);
  });

  test("check says where it would listen, and that revoked certificates cannot be checked", async (context) => {
    const good = await runProgram(context, ["check", ...words()]);
    assert.equal(good.result.code, 0, good.stdout);
    assert.match(good.stdout, /^Would listen on quic:\/\/127\.0\.0\.1:\(a free port\)$/m);
    const lists = ["--client-ca", folder.file("ca.crt"), "--client-crl", folder.file("ca.crl")];
    const bad = await runProgram(context, ["check", ...words(...lists)]);
    assert.equal(bad.result.code, 2);
    assert.match(bad.stdout, /--quic-port: QUIC cannot check whether a client's certificate is revoked/);
  });
});

function residentKb({ pid }: Running): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}
