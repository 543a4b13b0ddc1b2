import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import {
  allowAll,
  createBroker,
  type RunningBroker,
  TlsListener,
  tlsFiles,
  WebSocketListener,
} from "../../src/library.ts";
import { CertificateFolder } from "../support/certificates.ts";

const folder = new CertificateFolder();
const SILENT = { enabled: () => false, error() {}, warn() {}, info() {}, debug() {}, trace() {} };
let broker: RunningBroker;
const clients: MqttClient[] = [];
const certificates = [{ cert: folder.file("server.crt"), key: folder.file("server.key") }];

before(async () => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("kim", "ca", "kim");
  broker = createBroker({ auth: allowAll() });
  const place = { host: "127.0.0.1", port: 0, turn: broker.turn };
  const files = tlsFiles({ certificates, clientCa: folder.file("ca.crt") });
  await broker.addListener(new TlsListener({ ...place, name: "tls", log: SILENT, files }));
  const tls = { files: tlsFiles({ certificates }), log: SILENT };
  await broker.addListener(new WebSocketListener({ ...place, name: "wss", tls }));
  await broker.start();
});
after(async () => {
  for (const client of clients) client.end(true);
  await broker?.stop();
  folder.remove();
});

function dial(url: string, more: IClientOptions = {}): MqttClient {
  const client = connect(url.replace("tls:", "mqtts:"), { ca: [folder.text("ca.crt")], reconnectPeriod: 0, ...more });
  clients.push(client);
  return client;
}

test("a program's own broker serves TLS with client certificates, and WebSocket over TLS", async () => {
  const [tls = "", wss = ""] = broker.urls;
  const subscriber = dial(wss);
  await subscriber.subscribeAsync("t", { qos: 1 });
  const message = new Promise((resolve) => {
    subscriber.once("message", (topic, payload) => resolve([topic, payload.toString()]));
  });
  const publisher = dial(tls, { cert: folder.text("kim.crt"), key: folder.text("kim.key") });
  await publisher.publishAsync("t", "yes", { qos: 1 });
  assert.deepEqual(await message, ["t", "yes"]);
});

test("a clientCa asks for certificates unless something else is said", async () => {
  const refused = dial(broker.urls[0]!);
  const error = await new Promise<Error>((resolve) => refused.once("error", resolve));
  assert.match(error.message, /certificate required/);
});

for (const [options, message] of [
  [{}, /needs certificates, or a pskFile/],
  [{ certificates, clientCert: "optional" }, /clientCert is optional, which needs a clientCa/],
] as const) {
  test(`what cannot be is refused at once: ${message.source}`, () => {
    assert.throws(() => tlsFiles(options), { name: "TypeError", message });
  });
}
