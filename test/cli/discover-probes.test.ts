import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import type { FoundService } from "../../device/mdns/browse.ts";
import { type TestResult, testService } from "../../src/cli/discover-test.ts";
import { type RunningBroker, startBroker } from "../smoke/program.ts";
import { CertificateFolder } from "../support/certificates.ts";

const NEVER = new AbortController().signal;
const certificates = new CertificateFolder();
/** Ends with the file. */
const ends: (() => void | Promise<void>)[] = [];
const lifetime = { after: (end: () => void | Promise<void>) => void ends.push(end) };
let open: RunningBroker;
let strict: RunningBroker;

before(async () => {
  certificates.authority("ca");
  certificates.issue("server", "ca", "edge", "DNS:edge.local,IP:192.0.2.1");
  const tls = ["--server-crt", certificates.file("server.crt"), "--server-key", certificates.file("server.key")];
  const ports = ["tcp", "tls", "ws", "ws-tls"].flatMap((name) => [`--${name}-port`, "0"]);
  const words = [...ports, ...tls, "--bind", "127.0.0.1"];
  [open, strict] = await Promise.all([
    startBroker(lifetime, [...words, "--mqtt-sn-port", "0"]),
    startBroker(lifetime, [
      ...words,
      "--allow-anonymous=false",
      "--client-ca",
      certificates.file("ca.crt"),
      "--client-cert",
      "required",
    ]),
  ]);
  for (const { program } of [open, strict]) await program.saw(/Listening on wss:/);
  await open.program.saw(/Listening on mqtt-sn/);
});

after(async () => {
  for (const end of ends.reverse()) await end();
  certificates.remove();
});

/** Of the listener of a scheme: "wss". */
function portOf({ program }: RunningBroker, scheme: string): number {
  return Number(new RegExp(`Listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)`).exec(program.stdout)![1]);
}

async function tested(
  type: string,
  port: number,
  { txt = {}, timeoutMs = 2_000, tls = type === "_secure-mqtt._tcp", signal = NEVER } = {} as {
    txt?: Record<string, string>;
    timeoutMs?: number;
    tls?: boolean;
    signal?: AbortSignal;
  },
): Promise<TestResult> {
  const found: FoundService = {
    type,
    name: "Edge",
    host: "edge.local",
    port,
    txt: new Map(Object.entries(txt)),
    addresses: ["127.0.0.1"],
    interfaces: ["eth0"],
  };
  const [result, ...more] = await testService(found, tls, timeoutMs, signal);
  assert.deepEqual(more, []);
  return result!;
}

/** A TCP server that does this with each connection; resolves with its port. */
async function serving(context: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const FINGERPRINT = /SHA256 Fingerprint=(.*)/i;

function certificateSeen(): { certificate: NonNullable<TestResult["certificate"]>; text: string } {
  const said = certificates.openssl("x509", "-in", "server.crt", "-noout", "-fingerprint", "-sha256", "-enddate");
  const fingerprint = FINGERPRINT.exec(said)![1]!;
  const until = new Date(/notAfter=(.*)/.exec(said)![1]!).toISOString().slice(0, 10);
  const names = ["edge.local", "192.0.2.1"];
  const text = `; certificate edge (edge.local, 192.0.2.1), signed by ca, until ${until}, SHA-256 ${fingerprint}`;
  return { certificate: { commonName: "edge", issuer: "ca", names, until, isExpired: false, fingerprint }, text };
}

test("a broker that lets everybody in says so by TCP, TLS, WebSocket and both, in either version", async () => {
  const { certificate, text } = certificateSeen();
  const says = "answers, and lets anonymous clients in";
  const plain = { address: "127.0.0.1", ok: true, asks: "nothing", says };
  const secure = { ...plain, says: `${says}${text}`, certificate };
  const [tcp, five, tls, ws, wss] = await Promise.all([
    tested("_mqtt._tcp", portOf(open, "tcp")),
    tested("_mqtt._tcp", portOf(open, "tcp"), { txt: { proto: "5", path: "nowhere" } }),
    tested("_secure-mqtt._tcp", portOf(open, "tls")),
    tested("_mqtt-ws._tcp", portOf(open, "ws")),
    tested("_mqtt-ws._tcp", portOf(open, "wss"), { tls: true, txt: { path: "/mqtt" } }),
  ]);
  assert.deepEqual([tcp, five, ws], [plain, plain, plain]);
  assert.deepEqual([tls, wss], [secure, secure]);
});

test("a broker that wants a password or a certificate answers too, and what it wants is said", async () => {
  const { certificate, text } = certificateSeen();
  const says = "answers, and asks who it is: anonymous clients are refused";
  const plain = { address: "127.0.0.1", ok: true, asks: "password", says };
  const wanted = `asks for a client certificate${text}`;
  const secure = { address: "127.0.0.1", ok: true, asks: "certificate", says: wanted, certificate };
  const [tcp, five, ws, tls, wss] = await Promise.all([
    tested("_mqtt._tcp", portOf(strict, "tcp")),
    tested("_mqtt._tcp", portOf(strict, "tcp"), { txt: { proto: "5" } }),
    tested("_mqtt-ws._tcp", portOf(strict, "ws")),
    tested("_secure-mqtt._tcp", portOf(strict, "tls")),
    tested("_mqtt-ws._tcp", portOf(strict, "wss"), { tls: true }),
  ]);
  assert.deepEqual([tcp, five, ws], [plain, plain, plain]);
  assert.deepEqual([tls, wss], [secure, secure]);
});

test("servers that know TLS 1.2 alone and want a certificate cannot say so, which is said; an end in the past is too", async (context) => {
  certificates.issue("old", "ca", "old", "DNS:old", 0);
  const [key, cert, ca] = ["old.key", "old.crt", "ca.crt"].map((name) => certificates.text(name)) as [
    string,
    string,
    string,
  ];
  const serve = async (options: TlsOptions): Promise<number> => {
    const server = createTlsServer({ key, cert, ca, maxVersion: "TLSv1.2", ...options }, (socket) => {
      socket.on("error", () => {}).write(Uint8Array.of(0x20, 2, 0, 0));
    });
    server.on("tlsClientError", () => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    context.after(() => void server.close());
    return (server.address() as AddressInfo).port;
  };
  const strictPort = await serve({ requestCert: true });
  assert.deepEqual(await tested("_secure-mqtt._tcp", strictPort), {
    address: "127.0.0.1",
    ok: false,
    says: "refuses the TLS handshake: does it ask for a client certificate?",
  });
  const { says, certificate } = await tested("_secure-mqtt._tcp", await serve({}));
  assert.equal(certificate?.isExpired, true);
  assert.match(
    says,
    /^answers, and lets anonymous clients in; certificate old \(old\), signed by ca, EXPIRED \d{4}-\d\d-\d\d, /,
  );
});

test("a client that only looks leaves as the standard says, so that nobody thinks it was lost", async (context) => {
  const received: Buffer[] = [];
  const closed = Promise.withResolvers<void>();
  const port = await serving(context, (socket) => {
    socket.on("data", (bytes) => {
      received.push(bytes);
      if (received.length === 1) socket.write(Uint8Array.of(0x20, 2, 0, 0));
    });
    socket.on("end", closed.resolve);
  });
  assert.equal((await tested("_mqtt._tcp", port)).asks, "nothing");
  await closed.promise;
  const bytes = Buffer.concat(received);
  // MQTT 3.1.1, Clean Session alone, Keep Alive 10 s.
  assert.equal(bytes.subarray(2, 12).toString("hex"), "00044d5154540402000a");
  assert.match(bytes.subarray(14, -2).toString(), /^discover-[0-9a-f]{8}$/);
  assert.equal(bytes.subarray(-2).toString("hex"), "e000");
});

test("other refusals are told with their reason", async (context) => {
  const refusing = (code: number) => serving(context, (socket) => socket.write(Uint8Array.of(0x20, 2, 0, code)));
  const [old, busy] = await Promise.all([refusing(1), refusing(3)]);
  const all = await Promise.all([tested("_mqtt._tcp", old), tested("_mqtt._tcp", busy)]);
  assert.deepEqual(
    all.map(({ ok, asks, says }) => ({ ok, asks, says })),
    [
      { ok: true, asks: "other", says: "answers, and refuses: unacceptable protocol version" },
      { ok: true, asks: "other", says: "answers, and refuses: broker unavailable" },
    ],
  );
});

test("who does not speak the protocol that is advertised has failed, and it is said how", async (context) => {
  const silent = await serving(context, () => {});
  const closing = await serving(context, (socket) => socket.once("data", () => socket.end()));
  const other = await serving(context, (socket) => socket.write("SSH-2.0-OpenSSH_9.9\r\n"));
  const early = await serving(context, (socket) => socket.write(Uint8Array.of(0xd0, 0)));
  const http = await serving(context, (socket) => socket.write("HTTP/1.1 404 Not Found\r\n\r\n"));
  const lying = await serving(context, (socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n");
  });
  const endless = await serving(context, (socket) => socket.write(`HTTP/1.1 200 OK\r\n${"x".repeat(20_000)}`));
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port: refused } = gone.address() as AddressInfo;
  gone.close();
  const rows: [type: string, port: number, says: string, txt?: Record<string, string>][] = [
    ["_mqtt._tcp", silent, "does not answer in time"],
    ["_mqtt-ws._tcp", silent, "does not answer in time"],
    ["_secure-mqtt._tcp", silent, "does not answer in time"],
    ["_http._tcp", silent, "does not answer in time"],
    ["_mqtt._tcp", closing, "closes the connection without an answer to CONNECT"],
    ["_mqtt-ws._tcp", closing, "closes the connection without an answer"],
    ["_mqtt._tcp", other, "answers, but not in MQTT"],
    ["_mqtt._tcp", early, "answers, but not with CONNACK"],
    ["_secure-mqtt._tcp", other, "does not speak TLS as it should: TLS: wrong version number"],
    ["_http._tcp", other, "answers, but not in HTTP"],
    ["_mqtt-ws._tcp", other, "does not answer in time"],
    ["_mqtt-ws._tcp", http, "answers, but has no WebSocket at /x: HTTP 404", { path: "/x" }],
    ["_mqtt-ws._tcp", lying, "answers, but not as a WebSocket should"],
    ["_mqtt-ws._tcp", endless, "answers, but not in HTTP"],
    ["_mqtt._tcp", refused, "cannot be reached: Connection refused"],
    ["_http._tcp", refused, "cannot be reached: Connection refused"],
  ];
  const results = await Promise.all(
    rows.map(([type, port, , txt]) => tested(type, port, { timeoutMs: 500, txt: txt ?? {} })),
  );
  assert.deepEqual(
    results,
    rows.map(([, , says]) => ({ address: "127.0.0.1", ok: false, says })),
  );
});

test("a WebSocket's answer may come in any pieces, after a ping, with a long head", async (context) => {
  const port = await serving(context, (socket) => {
    let head = "";
    socket.setNoDelay(true).on("data", (bytes) => {
      if (head.includes("\r\n\r\n")) return;
      head += bytes.toString("latin1");
      if (head.includes("\r\n\r\n")) void inPieces(socket, head);
    });
  });
  const inPieces = async (socket: Socket, head: string): Promise<void> => {
    const answer = Buffer.concat([
      Buffer.from(`HTTP/1.1 101 Switching Protocols\r\nX: ${"y".repeat(9_000)}\r\n`),
      Buffer.from(`sec-websocket-accept: ${await acceptOf(/Key: (.*)\r\n/.exec(head)![1]!)}\r\n\r\n`),
      // A ping, and CONNACK in two frames, the first with a length of 16 bits.
      Buffer.from([0x89, 0, 0x02, 126, 0, 3, 0x20, 2, 0, 0x80, 1, 5]),
    ]);
    socket.write(answer.subarray(0, 9_000));
    for (const byte of answer.subarray(9_000)) {
      socket.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
  };
  const { ok, asks } = await tested("_mqtt-ws._tcp", port);
  assert.deepEqual({ ok, asks }, { ok: true, asks: "password" });
});

/** As openssl has it, not our own code. */
async function acceptOf(key: string): Promise<string> {
  const child: ChildProcess = spawn("sh", ["-c", "openssl dgst -sha1 -binary | base64"], { stdio: "pipe" });
  child.stdin!.end(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout!) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString().trim();
}

test("an MQTT-SN gateway answers a search, also when the first ones are lost", async (context) => {
  assert.deepEqual(await tested("_mqtt-sn._udp", portOf(open, "mqtt-sn-udp")), {
    address: "127.0.0.1",
    ok: true,
    says: "answers as gateway 1",
  });
  const heard: string[] = [];
  const [lossy, silent, other] = await Promise.all([udp(context), udp(context), udp(context)]);
  lossy.socket.on("message", (bytes, { port }) => {
    heard.push(bytes.toString("hex"));
    if (heard.length === 2) lossy.socket.send(Uint8Array.of(7, 2, 9, 192, 0, 2, 1), port, "127.0.0.1");
  });
  other.socket.on("message", (_, { port }) => other.socket.send("hello", port, "127.0.0.1"));
  const closed = await udp(context);
  await new Promise<void>((resolve) => closed.socket.close(() => resolve()));
  const results = await Promise.all(
    [lossy, silent, other, closed].map(({ port }) => tested("_mqtt-sn._udp", port, { timeoutMs: 600 })),
  );
  assert.deepEqual(
    results.map(({ ok, says }) => `${ok} ${says}`),
    [
      "true answers as gateway 9",
      "false does not answer in time",
      "false answers, but not in MQTT-SN 1.2",
      "false cannot be reached: Connection refused",
    ],
  );
  assert.deepEqual(heard, ["030100", "030100"]);
});

async function udp(context: TestContext): Promise<{ socket: ReturnType<typeof createSocket>; port: number }> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  let isClosed = false;
  socket.once("close", () => {
    isClosed = true;
  });
  context.after(() => {
    if (!isClosed) socket.close();
  });
  return { socket, port: socket.address().port };
}

test("a dashboard is asked for by HTTP, under its path and its name", async (context) => {
  const requests: string[] = [];
  const port = await serving(context, (socket) => {
    socket.on("data", (bytes) => {
      requests.push(bytes.toString("latin1"));
      socket.write("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    });
  });
  const result = await tested("_http._tcp", port, { txt: { path: "/login" } });
  assert.deepEqual(result, { address: "127.0.0.1", ok: true, says: "answers: HTTP 302" });
  assert.match(requests[0]!, new RegExp(`^GET /login HTTP/1\\.1\r\nhost: edge\\.local:${port}\r\n`, "i"));
});

test("what cannot be asked fails without a connection, and nothing gets into a request that does not belong there", async () => {
  const bad = { ok: false, says: "has a path in its TXT record that is none" };
  assert.deepEqual(await tested("_http._tcp", 1, { txt: { path: "/ HTTP/1.1\r\nx: y" } }), bad);
  assert.deepEqual(await tested("_mqtt-ws._tcp", 1, { txt: { path: "mqtt" } }), bad);
  assert.deepEqual(await tested("_mqtt._tcp", 0), {
    ok: false,
    says: "is not there any more: it says so by port 0",
  });
  const nowhere = { type: "_mqtt._tcp", name: "a", host: undefined, txt: new Map(), interfaces: [], addresses: [] };
  assert.deepEqual(await testService({ ...nowhere, port: undefined }, false, 100, NEVER), [
    { ok: false, says: "did not say where it is" },
  ]);
  assert.deepEqual(await testService({ ...nowhere, port: 1 }, false, 100, NEVER), [
    { ok: false, says: "has no address that anybody could connect to" },
  ]);
});

test("who is interrupted waits for nobody", async (context) => {
  const silent = await serving(context, () => {});
  const types = ["_mqtt._tcp", "_secure-mqtt._tcp", "_mqtt-ws._tcp", "_http._tcp"];
  const { socket, port } = await udp(context);
  assert.equal(socket.address().port, port);
  const stop = new AbortController();
  const all = [...types.map((type) => [type, silent] as const), ["_mqtt-sn._udp", port] as const];
  const waiting = Promise.all(all.map(([type, at]) => tested(type, at, { timeoutMs: 60_000, signal: stop.signal })));
  setTimeout(() => stop.abort(), 50);
  assert.deepEqual(
    await waiting,
    all.map(() => ({ address: "127.0.0.1", ok: false, says: "was not waited for" })),
  );
});
