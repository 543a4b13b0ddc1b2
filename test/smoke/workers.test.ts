import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { CertificateFolder } from "../support/certificates.ts";
import { emptyFolder, type Running, runCommand, startProgram } from "./program.ts";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(() => folder.remove());

async function urlOf(program: Running, listener: string): Promise<string> {
  const { message } = await program.line(/^Listening on /, (line) => line.listener === listener);
  return message.slice("Listening on ".length).replace("tls:", "mqtts:");
}

async function client(context: TestContext, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const made = await connectAsync(url, { ca: folder.text("ca.crt"), reconnectPeriod: 0, ...options });
  made.on("error", () => {});
  context.after(() => made.endAsync(true));
  return made;
}

suite("--worker-threads 2", () => {
  test("serves tls, ws and wss, in order and without loss, and stops in order", async (context) => {
    const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
    const doors = ["--tls-port", "0", "--ws-port", "0", "--ws-tls-port", "0", "--tcp-port", "0"];
    const words = ["--worker-threads", "2", "--bind", "127.0.0.1", ...doors, ...files];
    const program = startProgram(context, words);
    const urls = await Promise.all(["tls", "ws", "wss"].map((name) => urlOf(program, name)));
    const clients = await Promise.all(urls.flatMap((url) => [client(context, url), client(context, url)]));
    const heard = clients.map(() => [] as string[]);
    for (const [index, one] of clients.entries()) {
      one.on("message", (topic, payload) => void heard[index]!.push(`${topic} ${payload}`));
      await one.subscribeAsync(`to/${index}`, { qos: 1 });
    }
    // Each to its neighbour, which another thread may serve.
    const numbers = Array.from({ length: 300 }, (_, number) => number);
    await Promise.all(
      clients.flatMap((one, index) =>
        numbers.map((number) => one.publishAsync(`to/${(index + 1) % 6}`, String(number), { qos: number % 2 ? 1 : 0 })),
      ),
    );
    await program.until(() => heard.every(({ length }) => length >= 300), "all messages");
    for (const [index, messages] of heard.entries()) {
      // MQTT keeps the order of each QoS.
      for (const qos of [0, 1]) {
        const own = (number: number): boolean => number % 2 === qos;
        assert.deepEqual(
          messages.filter((message) => own(Number(message.split(" ")[1]))),
          numbers.filter(own).map((number) => `to/${index} ${number}`),
        );
      }
    }
    const port = new URL(urls[0]!).port;
    const where = ["-h", "localhost", "-p", port, "--cafile", folder.file("ca.crt"), "-V", "5"];
    const pub = await runCommand(context, "mosquitto_pub", [...where, "-t", "to/0", "-m", "native", "-q", "1"]);
    assert.deepEqual([pub.result.code, pub.stderr], [0, ""]);
    await program.until(() => heard[0]!.length === 301, "the last one");
    const five = await client(context, urls[0]!, { protocolVersion: 5 });
    const reasons: number[] = [];
    five.on("disconnect", ({ reasonCode }) => void reasons.push(reasonCode ?? 0));
    const ended = await program.stop();
    assert.deepEqual([ended.code, ended.signal, program.stderr], [0, null, ""]);
    assert.ok(ended.tookMs < 4000, `${ended.tookMs} ms`);
    assert.deepEqual(reasons, [0x8b]);
  });

  test("listeners come and go with the configuration, and nobody who is connected notices", async (context) => {
    const cwd = emptyFolder(context);
    const write = (...names: string[]): void => {
      const entries = names.map((name) => `{ name: "${name}", type: "ws", host: "127.0.0.1", port: 0 }`);
      const listeners = [...entries, '{ name: "plain", type: "tcp", host: "127.0.0.1", port: 0 }'].join(", ");
      writeFileSync(join(cwd, "new"), `{ workers: { threads: 2 }, listeners: [${listeners}] }`);
      renameSync(join(cwd, "new"), join(cwd, "mqtt-broker.json5"));
    };
    write("one", "two");
    const program = startProgram(context, [], { cwd });
    const one = await client(context, await urlOf(program, "one"));
    const goneUrl = await urlOf(program, "two");
    const two = await client(context, goneUrl);
    write("one", "three");
    await program.line(/^Listening no more on ws:/, ({ listener }) => listener === "two");
    const three = await client(context, await urlOf(program, "three"));
    await assert.rejects(connectAsync(goneUrl, { reconnectPeriod: 0 }));
    const heard: string[] = [];
    one.on("message", (_, payload) => void heard.push(String(payload)));
    await one.subscribeAsync("a");
    await two.publishAsync("a", "from two", { qos: 1 });
    await three.publishAsync("a", "from three", { qos: 1 });
    await program.until(() => heard.length === 2, "both messages");
    assert.deepEqual(heard, ["from two", "from three"]);
    assert.equal((await program.stop()).code, 0);
  });
});
