import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, type TestContext, test } from "node:test";
import { connect, createServer, type SecureVersion, type TlsOptions } from "node:tls";
import { MqttClient } from "mqtt";
import { type Access, createBroker, type Peer, type RunningBroker } from "../../src/library.ts";

let folder: string;
const file = (name: string): Buffer => readFileSync(join(folder, name));

/** Every kind of name, some that try to pass for others, and kinds that rules do not know. */
const NAMES = `subjectAltName=@names
[names]
DNS.1=sensor-1.local
DNS.2=x.example, DNS:admin.example
IP.1=192.168.1.7
IP.2=fe80:0:0:0:0:0:0:1
email.1=kim@example.org
URI.1=urn:device:7
URI.2=urn:a, DNS:admin.example
RID.1=1.2.3.4
otherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:admin
dirName.1=directory
[directory]
CN=d, DNS:admin.example
`;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "mqtt-certificates-"));
  const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: folder, stdio: "pipe" });
  const newKey = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8"];
  for (const authority of ["ours", "another"]) {
    const out = ["-keyout", `${authority}.key`, "-out", `${authority}.pem`];
    openssl(...newKey, "-x509", ...out, "-subj", "/CN=Authority", "-days", "2");
  }
  const issue = (name: string, subject: string, authority: string, days: number, names = "subjectAltName=DNS:c") => {
    openssl(...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
    writeFileSync(join(folder, "names"), names);
    const signer = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial"];
    const word = ["x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.pem`, "-extfile", "names"];
    openssl(...word, "-days", String(days));
  };
  issue("server", "/CN=localhost", "ours", 2);
  issue("good", "/CN=kim", "ours", 2);
  issue("stranger", "/CN=kim", "another", 2);
  issue("expired", "/CN=kim", "ours", 0);
  issue("names", "/O=Ünder/CN=kím, CN:x", "ours", 2, NAMES);
  issue("twice", "/CN=kim/CN=admin", "ours", 2);
  issue("nameless", "/O=Organisation", "ours", 2);
});
after(() => rmSync(folder, { recursive: true }));

const peers: Peer[] = [];
beforeEach(() => {
  peers.length = 0;
});

/** A broker that notes who comes, behind a TLS server that asks for certificates and lets in clients without. */
async function started(
  context: TestContext,
  options: TlsOptions = {},
  at: number | string = 0,
): Promise<RunningBroker> {
  const auth: Access = { authenticate: ({ peer }) => peers.push(peer) > 0 };
  const broker = createBroker({ auth });
  const server = createServer({
    key: file("server.key"),
    cert: file("server.pem"),
    ca: file("ours.pem"),
    requestCert: true,
    rejectUnauthorized: false,
    ...options,
  });
  await broker.listen(server, "door");
  await broker.start();
  context.after(() => broker.stop());
  if (typeof at === "string") server.listen(at);
  else server.listen(at, "127.0.0.1");
  await once(server, "listening");
  return broker;
}

interface Shown {
  certificate?: string;
  session?: Buffer | undefined;
  version?: SecureVersion;
}

/** Connects MQTT.js by TLS; returns the peer as the broker saw it, and a session to be resumed. */
async function visit(broker: RunningBroker, shown: Shown = {}): Promise<{ peer: Peer; session: Buffer | undefined }> {
  const { certificate, session, version } = shown;
  const [url] = broker.urls;
  const place = url!.startsWith("unix:")
    ? { path: url!.slice("unix:".length) }
    : { host: "127.0.0.1", port: Number(new URL(url!).port) };
  const socket = connect({
    ...place,
    ca: file("ours.pem"),
    checkServerIdentity: () => undefined,
    ...(certificate !== undefined && { key: file(`${certificate}.key`), cert: file(`${certificate}.pem`) }),
    ...(session !== undefined && { session }),
    ...(version !== undefined && { minVersion: version, maxVersion: version }),
  });
  let last: Buffer | undefined;
  socket.on("session", (given: Buffer) => {
    last = given;
  });
  const client = new MqttClient(() => socket as never, { protocolVersion: 5, reconnectPeriod: 0 });
  await new Promise((resolve, reject) => client.once("connect", resolve).once("error", reject));
  assert.equal(socket.isSessionReused(), session !== undefined);
  const peer = peers.pop()!;
  assert.equal(peer.address, "path" in place ? place.path : `127.0.0.1:${(socket as Socket).localPort}`);
  await client.endAsync();
  return { peer, session: last };
}

const GOOD = { commonName: "kim", subjectAltNames: ["DNS:c"] };

test("a certificate of our authority is the peer's", async (context) => {
  const broker = await started(context);
  const { peer } = await visit(broker, { certificate: "good" });
  const { address } = peer;
  assert.deepEqual(peer, { address, local: true, listener: "door", transport: "tls", certificate: GOOD });
});

for (const [title, certificate] of [
  ["no certificate", undefined],
  ["one of another authority of the same name", "stranger"],
  ["one that has expired", "expired"],
] as const) {
  test(`${title} is none`, async (context) => {
    const { peer } = await visit(await started(context), certificate === undefined ? {} : { certificate });
    const { address } = peer;
    assert.deepEqual(peer, { address, local: true, listener: "door", transport: "tls" });
  });
}

test("one that was not asked for is none", async (context) => {
  const { peer } = await visit(await started(context, { requestCert: false }), { certificate: "good" });
  assert.equal(peer.certificate, undefined);
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a session that is resumed by ${version} is who it was`, async (context) => {
    const broker = await started(context);
    for (const [certificate, expected] of [
      ["good", GOOD],
      ["stranger", undefined],
      ["expired", undefined],
      [undefined, undefined],
    ] as const) {
      const shown = certificate === undefined ? { version } : { version, certificate };
      const first = await visit(broker, shown);
      assert.deepEqual(first.peer.certificate, expected);
      // Without the certificate: what is known then comes from the session.
      const again = await visit(broker, { version, session: first.session });
      assert.deepEqual(again.peer.certificate, expected);
    }
  });
}

test("a session that is resumed after its certificate has expired has none any more", async (context) => {
  const broker = await started(context);
  const { session } = await visit(broker, { certificate: "good", version: "TLSv1.2" });
  const resumed = (await visit(broker, { session, version: "TLSv1.2" })).peer.certificate;
  assert.deepEqual(resumed, GOOD);
  context.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3 * 24 * 3600 * 1000 });
  assert.equal((await visit(broker, { session, version: "TLSv1.2" })).peer.certificate, undefined);
});

test("all kinds of names are read, and none passes for another", async (context) => {
  const { peer } = await visit(await started(context), { certificate: "names" });
  assert.deepEqual(peer.certificate, {
    commonName: "kím, CN:x",
    subjectAltNames: [
      "DNS:sensor-1.local",
      "DNS:x.example, DNS:admin.example",
      "IP:192.168.1.7",
      "IP:fe80::1",
      "email:kim@example.org",
      "URI:urn:device:7",
      "URI:urn:a, DNS:admin.example",
    ],
  });
});

test("of two common names, as of none, neither is the name", async (context) => {
  const broker = await started(context);
  for (const certificate of ["twice", "nameless"]) {
    const { peer } = await visit(broker, { certificate });
    assert.deepEqual(peer.certificate, { commonName: "", subjectAltNames: ["DNS:c"] });
  }
});

test("TLS over a Unix socket is local, and has the certificate", async (context) => {
  const path = join(folder, "tls.sock");
  const { peer } = await visit(await started(context, {}, path), { certificate: "good" });
  assert.deepEqual(peer, { address: path, local: true, listener: "door", transport: "tls", certificate: GOOD });
});

test("the certificate of a server that the broker's program has dialled is none of a client", async (context) => {
  const server = createServer({ key: file("server.key"), cert: file("server.pem") }, (socket) => {
    const client = new MqttClient(() => socket as never, { protocolVersion: 5, reconnectPeriod: 0 });
    context.after(() => client.endAsync(true));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => server.close());
  const accepted = new Promise<Peer>((resolve) => {
    const broker = createBroker({
      auth: {
        authenticate: ({ peer }) => {
          resolve(peer);
          return true;
        },
      },
    });
    context.after(() => broker.stop());
    void broker.start().then(async () => {
      const { port } = server.address() as AddressInfo;
      const socket = connect({ port, host: "127.0.0.1", ca: file("ours.pem"), checkServerIdentity: () => undefined });
      await once(socket, "secureConnect");
      assert.equal(socket.authorized, true);
      broker.attach(socket, "tunnel");
    });
  });
  const { transport, certificate } = await accepted;
  assert.deepEqual([transport, certificate], ["tls", undefined]);
});
