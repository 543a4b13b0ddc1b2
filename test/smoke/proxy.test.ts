import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { emptyFolder, type RunningBroker, runProgram, startBroker } from "./program.ts";

const REMOTE = "PROXY TCP4 192.168.1.7 192.168.1.2 50000 1883\r\n";
const LOCAL = "PROXY TCP4 127.0.0.1 127.0.0.1 50000 1883\r\n";
/** Version 2, 127.0.0.1:50000, with a TLV. */
const LOCAL_2 = Buffer.from("0d0a0d0a000d0a515549540a211100107f0000017f000001c350075b04000100", "hex");

function folderWith(context: TestContext, proxies: string): string {
  const cwd = emptyFolder(context);
  const listener = `{ host: "127.0.0.1", port: 0, proxyProtocol: true${proxies} }`;
  writeFileSync(join(cwd, "mqtt-broker.json5"), `{\n  listeners: [${listener}],\n}\n`);
  return cwd;
}

function start(context: TestContext, trusted: string): Promise<RunningBroker> {
  return startBroker(context, [], { cwd: folderWith(context, `, trustedProxies: ["${trusted}"]`) });
}

/** A proxy that says `header` before what its clients say. Resolves with its port. */
async function proxyTo(context: TestContext, port: number, header: string | Buffer): Promise<number> {
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    upstream.write(header);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function client(context: TestContext, port: number): Promise<MqttClient> {
  const mqtt = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, connectTimeout: 5000 }, false);
  context.after(() => mqtt.endAsync(true));
  return mqtt;
}

suite("proxyProtocol", () => {
  for (const [version, header] of [
    ["1", LOCAL],
    ["2", LOCAL_2],
  ] as const) {
    test(`serves a client behind a proxy of version ${version}`, async (context) => {
      const { port } = await start(context, "127.0.0.0/8");
      const mqtt = await client(context, await proxyTo(context, port, header));
      await mqtt.subscribeAsync("echo", { qos: 1 });
      const received = new Promise<Buffer>((resolve) => mqtt.once("message", (_topic, payload) => resolve(payload)));
      await mqtt.publishAsync("echo", "x".repeat(300_000), { qos: 1 });
      assert.equal(String(await received), "x".repeat(300_000));
    });
  }

  test("a client elsewhere is not taken for one on this machine because its proxy is", async (context) => {
    const { port } = await start(context, "127.0.0.1");
    const there = await proxyTo(context, port, REMOTE);
    await assert.rejects(client(context, there), /Not authorized/i);
  });

  test("clients without a header and from elsewhere are closed, and the log says why", async (context) => {
    for (const [trusted, reason] of [
      ["127.0.0.1", "it begins without a PROXY header"],
      ["10.0.0.0/8", "it is none of the trusted proxies"],
    ] as const) {
      const { program, port } = await start(context, trusted);
      await assert.rejects(client(context, port));
      const line = await program.line("Connection closed: not from a proxy as it should be");
      assert.deepEqual([line.level, line.listener, line.reason], ["warn", "tcp", reason]);
    }
  });

  test("check refuses it without proxies to trust, and says where", async (context) => {
    const { result, stdout } = await runProgram(context, ["check"], { cwd: folderWith(context, "") });
    assert.equal(result.code, 2);
    assert.match(stdout, /mqtt-broker\.json5:2:\d+: .*proxyProtocol needs trustedProxies/);
  });
});
