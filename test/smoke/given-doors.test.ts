import assert from "node:assert/strict";
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { connectAsync, type MqttClient } from "mqtt";
import { CertificateFolder } from "../support/certificates.ts";
import { placesIn, withSockets } from "../support/given-sockets.ts";
import { connect as connectTcp } from "../support/raw-client.ts";
import { emptyFolder, type Running, runCommand, startProgram } from "./program.ts";

const ANY = "127.0.0.1:0";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(() => folder.remove());

/** Replaces the file in one step. */
function configure(cwd: string, listeners: readonly string[], more = ""): void {
  const [cert, key] = ["server.crt", "server.key"].map((name) => JSON.stringify(folder.file(name)));
  const tls = `tls: { certificates: [${cert}], keys: [${key}] }`;
  writeFileSync(join(cwd, "new"), `{ ${tls}, ${more} listeners: [${listeners.join(", ")}] }`);
  renameSync(join(cwd, "new"), join(cwd, "mqtt-broker.json5"));
}

async function client(context: TestContext, url: string): Promise<MqttClient> {
  const made = await connectAsync(url, { ca: folder.text("ca.crt"), reconnectPeriod: 0 });
  made.on("error", () => {});
  context.after(() => made.endAsync(true));
  return made;
}

function toldOf(program: Running, listener: string): string[] {
  return program.lines.filter((line) => line.listener === listener).map(({ message }) => message);
}

suite("sockets that systemd hands over, for other than plain MQTT", () => {
  test("serve TLS, WebSocket and both by their names, beside threads that serve the rest", async (context) => {
    const cwd = emptyFolder(context);
    const path = join(cwd, "web.sock");
    const given = ["mqtts tls", "web ws", "webs wss", "local ws"].map((words) => {
      const [name, type] = words.split(" ");
      return `{ name: "${name}", type: "${type}", fdName: "${name}.socket" }`;
    });
    configure(cwd, [...given, '{ type: "ws", host: "127.0.0.1", port: 0 }'], "workers: { threads: 1 },");
    const names = ["mqtts.socket", "web.socket", "webs.socket", "local.socket"];
    const program = startProgram(context, [], { cwd, before: withSockets([ANY, ANY, ANY, path], { names }) });
    const { message } = await program.line(/^Listening on ws:/, ({ listener }) => listener === "ws");
    const [tls, web, webs] = placesIn(program.stdout);
    assert.deepEqual(
      ["mqtts", "web", "webs", "local"].map((name) => toldOf(program, name)),
      [
        [`Listening on tls://127.0.0.1:${tls}`],
        [`Listening on ws://127.0.0.1:${web}/mqtt`],
        [`Listening on wss://127.0.0.1:${webs}/mqtt`],
        [`Listening on ws+unix:${path}:/mqtt`],
      ],
    );
    const heard: string[] = [];
    const subscriber = await client(context, `ws://127.0.0.1:${web}/mqtt`);
    subscriber.on("message", (topic, payload) => void heard.push(`${topic} ${payload}`));
    await subscriber.subscribeAsync("#", { qos: 1 });
    const where = ["-h", "127.0.0.1", "-p", tls!, "--cafile", folder.file("ca.crt"), "-V", "5", "-q", "1"];
    const pub = await runCommand(context, "mosquitto_pub", [...where, "-t", "tls", "-m", "native"]);
    assert.deepEqual([pub.result.code, pub.stderr], [0, ""]);
    await (await client(context, `wss://127.0.0.1:${webs}/mqtt`)).publishAsync("wss", "secure", { qos: 1 });
    await (await client(context, message.slice("Listening on ".length))).publishAsync("ws", "by a thread", { qos: 1 });
    await program.until(() => heard.length === 3, "all messages");
    assert.deepEqual(heard, ["tls native", "wss secure", "ws by a thread"]);
    assert.deepEqual(
      program.lines.filter(({ message }) => message.startsWith("LISTEN_FDS")),
      [],
    );
    const ended = await program.stop();
    assert.deepEqual([ended.code, program.stderr], [0, ""]);
    assert.ok(ended.tookMs < 4000, `${ended.tookMs} ms`);
  });

  test("change, go and come back with the configuration, and nobody who is connected notices", async (context) => {
    const cwd = emptyFolder(context);
    const other = '{ name: "other", type: "tcp", host: "127.0.0.1", port: 0 }';
    configure(cwd, [other, '{ name: "door", type: "fd", fdName: "door" }']);
    const program = startProgram(context, [], { cwd, before: withSockets([ANY], { names: ["door"] }) });
    await program.line(/^Listening on /, ({ listener }) => listener === "door");
    const port = Number(placesIn(program.stdout)[0]);
    const early = await connectTcp(port, { clientId: "early" });
    context.after(() => early.socket.destroy());

    configure(cwd, [other, '{ name: "door", type: "tls", fd: 3 }']);
    await program.line(`Listening on tls://127.0.0.1:${port}`);
    const secure = await client(context, `mqtts://127.0.0.1:${port}`);

    configure(cwd, [other]);
    await program.line(`Listening no more on tls://127.0.0.1:${port}`);
    const { level } = await program.line(/^LISTEN_FDS: the socket "door" \(file descriptor 3\)/);
    assert.equal(level, "warn");
    const cutOff = connect(port, "127.0.0.1");
    cutOff.resume();
    await once(cutOff, "close");

    configure(cwd, [other, '{ name: "again", type: "ws", fdName: "door" }']);
    await program.line(`Listening on ws://127.0.0.1:${port}/mqtt`);
    const web = await client(context, `ws://127.0.0.1:${port}/mqtt`);

    configure(cwd, [other, '{ name: "again", type: "ws", fdName: "gone" }']);
    const refused = await program.line(/^Cannot listen on fd:gone/);
    assert.equal(
      refused.message,
      "Cannot listen on fd:gone: of systemd's sockets none is called so, but door: FileDescriptorName= of a .socket unit gives a name: it listens as before",
    );
    await client(context, `ws://127.0.0.1:${port}/mqtt`);

    const heard: string[] = [];
    web.on("message", (_, payload) => void heard.push(String(payload)));
    await web.subscribeAsync("a");
    await secure.publishAsync("a", "still there", { qos: 1 });
    await early.settle();
    await program.until(() => heard.length === 1, "the message");
    assert.deepEqual(heard, ["still there"]);
    assert.equal((await program.stop()).code, 0);
  });
});
