/** MQTT.js in a real browser: a page of this test's own server, in Chromium. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { after, before, suite, type TestContext, test } from "node:test";
import { CertificateFolder } from "../support/certificates.ts";
import { connect } from "../support/raw-client.ts";
import { emptyFolder, type Running, startCommand, startProgram } from "./program.ts";

const BUNDLE = readFileSync(createRequire(import.meta.url).resolve("mqtt/dist/mqtt.min"));
const PAGE_MS_MAX = 20_000;
const CHROMIUM = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  // Its certificate is this test's own.
  "--ignore-certificate-errors",
];

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
});
after(() => folder.remove());

/** Serves MQTT.js and one page, whose script posts what it has found. */
class Page {
  readonly origin: string;
  /** Has `mqtt` and `report(object)`, and may await. */
  script = "";
  private readonly reports: Record<string, unknown>[] = [];
  private wake: () => void = () => {};

  private constructor(origin: string) {
    this.origin = origin;
  }

  static async serve(context: TestContext): Promise<Page> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const page = new Page(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on("request", (request, response) => page.answer(request, response));
    return page;
  }

  /** The next report. */
  async report(): Promise<Record<string, unknown>> {
    const signal = AbortSignal.timeout(PAGE_MS_MAX);
    while (this.reports.length === 0) {
      if (signal.aborted) throw new Error("The page does not report");
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return this.reports.shift()!;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.url === "/mqtt.js") response.setHeader("Content-Type", "text/javascript").end(BUNDLE);
    else if (request.method === "POST") {
      let text = "";
      request.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      request.on("end", () => {
        this.reports.push(JSON.parse(text));
        this.wake();
        response.end();
      });
    } else {
      const report = 'const report = (it) => fetch("/report", { method: "POST", body: JSON.stringify(it) });';
      const body = `${report}\n(async () => {${this.script}})().catch((error) => report({ error: String(error) }));`;
      response
        .setHeader("Content-Type", "text/html")
        .end(`<!doctype html><title>MQTT</title><script src="/mqtt.js"></script><script>${body}</script>`);
    }
  }
}

function browse(context: TestContext, page: Page): Running {
  const own = emptyFolder(context);
  const words = [...CHROMIUM, `--user-data-dir=${own}`, "--remote-debugging-port=0", page.origin];
  return startCommand(context, "chromium", words, { cwd: own, env: { HOME: own } });
}

interface Places {
  program: Running;
  tcp: number;
  ws: string;
  wss: string;
}

async function start(context: TestContext, origins: readonly string[]): Promise<Places> {
  const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
  const ports = ["--tcp-port", "0", "--ws-port", "0", "--ws-tls-port", "0", "--bind", "127.0.0.1", ...files];
  const allowed = origins.flatMap((origin) => ["--ws-origin", origin]);
  const cwd = emptyFolder(context);
  // Pages are not let in as the machine's own programs are.
  folder.write(
    "auth.json5",
    '{ authentication: [{ name: "guest", method: "anonymous" }], authorization: [{ topic: "#", allow: { pub: ["@any"], sub: ["@any"] } }] }',
  );
  const program = startProgram(context, [...ports, ...allowed, "--auth-file", folder.file("auth.json5")], { cwd });
  const url = async (scheme: string): Promise<string> => {
    const { message } = await program.line(new RegExp(`^Listening on ${scheme}://`));
    return message.slice("Listening on ".length);
  };
  return { program, tcp: Number((await url("tcp")).split(":").at(-1)), ws: await url("ws"), wss: await url("wss") };
}

const TALK = `
  const same = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);
  const payloads = [new Uint8Array(0), Uint8Array.from({ length: 256 }, (_, index) => index), new Uint8Array(1_000_000).fill(0xa5)];
  const found = [];
  for (const url of URLS) for (const protocolVersion of [4, 5]) {
    const client = await mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0 });
    for (const qos of [0, 1, 2]) {
      const topic = ["page", protocolVersion, qos].join("/");
      const granted = await client.subscribeAsync(topic, { qos });
      for (const payload of payloads) {
        const came = new Promise((resolve) => client.once("message", (...all) => resolve(all)));
        await client.publishAsync(topic, payload, { qos });
        const [name, bytes, packet] = await came;
        found.push([url.split(":")[0], client.stream.socket?.protocol ?? "", protocolVersion, granted[0].qos, packet.qos, name === topic && same(bytes, payload)]);
      }
    }
    await client.publishAsync("kept", "by a page", { qos: 1, retain: true });
    const retained = new Promise((resolve) => client.once("message", (_, bytes, packet) => resolve([String(bytes), packet.retain])));
    await client.subscribeAsync("kept");
    found.push(await retained);
    await client.endAsync();
  }
  const plain = new WebSocket(URLS[0], ["other", "mqtt"]);
  await new Promise((resolve) => plain.addEventListener("open", resolve));
  const { protocol } = plain;
  const closed = new Promise((resolve) => plain.addEventListener("close", ({ code, reason }) => resolve([code, reason])));
  plain.send("text");
  report({ found, protocol, closed: await closed });
`;

const WILL = `
  const will = { topic: "will", payload: "the tab is closed", qos: 1 };
  const client = await mqtt.connectAsync(URLS[0], { will, reconnectPeriod: 0 });
  await report({ connected: client.connected });
  window.close();
  location.href = "about:blank";
`;

const REFUSED = `
  const client = mqtt.connect(URLS[0], { reconnectPeriod: 0 });
  client.on("error", () => {});
  client.on("connect", () => report({ connected: true }));
  client.on("close", () => report({ connected: false }));
`;

function withUrls(script: string, ...urls: string[]): string {
  return `const URLS = ${JSON.stringify(urls)};${script}`;
}

suite("MQTT.js in Chromium", () => {
  test("by ws and wss, 3.1.1 and 5.0: every QoS, binary payloads up to 1 MB, retained; a text message is closed with 1003", async (context) => {
    const { ws, wss } = await start(context, []);
    const page = await Page.serve(context);
    page.script = withUrls(TALK, ws, wss);
    browse(context, page);
    const { found, protocol, closed, error } = await page.report();
    assert.equal(error, undefined);
    const expected = [];
    for (const scheme of ["ws", "wss"]) {
      for (const version of [4, 5]) {
        for (const qos of [0, 1, 2])
          for (let size = 0; size < 3; size++) expected.push([scheme, "mqtt", version, qos, qos, true]);
        expected.push(["by a page", true]);
      }
    }
    assert.deepEqual(found, expected);
    assert.deepEqual([protocol, closed], ["mqtt", [1003, "MQTT takes binary messages only"]]);
  });

  test("a page of a listed origin connects, and its will is published when its tab is closed", async (context) => {
    const page = await Page.serve(context);
    const { ws, tcp } = await start(context, ["https://example.org", page.origin]);
    page.script = withUrls(WILL, ws);
    const watcher = await connect(tcp);
    context.after(() => watcher.drop());
    await watcher.subscribe("will", { qos: 1 });
    browse(context, page);
    assert.deepEqual(await page.report(), { connected: true });
    await watcher.expect("publish", { topic: "will", payload: "the tab is closed" });
  });

  test("a page of another origin is refused, and the log names why", async (context) => {
    const page = await Page.serve(context);
    const { program, ws } = await start(context, ["https://example.org"]);
    page.script = withUrls(REFUSED, ws);
    browse(context, page);
    assert.deepEqual(await page.report(), { connected: false });
    const { reason } = await program.line("WebSocket refused");
    assert.equal(reason, "Pages of this origin may not connect: the broker's list of origins lacks it.");
  });
});
