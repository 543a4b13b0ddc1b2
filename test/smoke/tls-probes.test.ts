/** What scanners of TLS look for, asked of the program by openssl and byte by byte. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { CertificateFolder } from "../support/certificates.ts";
import { ALERT, ask, clientHello, Probe, RECORD, record, takenCiphers } from "../support/client-hello.ts";
import { emptyFolder, type Running, runCommand, runProgram, startCommand, startProgram } from "./program.ts";

const TLS_1_2 = 0x0303;
/** Of TLS 1.2 and before: all that have numbers, but for what is no cipher. */
const ALL = [
  range(0x0001, 0x00c7),
  range(0x1300, 0x1305),
  range(0xc001, 0xc0b5),
  range(0xc100, 0xc107),
  range(0xcca8, 0xccae),
].flat();
const ECDSA = { aes128: 0xc02b, aes256: 0xc02c, chacha: 0xcca9 } as const;
const RSA = { aes128: 0xc02f, aes256: 0xc030, chacha: 0xcca8 } as const;

const folder = new CertificateFolder();
let program: Running;
/** By the listener's name. */
let ports: Record<"ecdsa" | "rsa" | "named" | "web" | "plain", number>;
const ends: (() => void | Promise<void>)[] = [];

before(async () => {
  folder.authority("ca");
  folder.authority("another");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("other", "ca", "other.example", "DNS:other.example");
  const rsa = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "rsa.key", "-out", "rsa.crt"];
  folder.openssl("req", "-x509", ...rsa);
  folder.replace("clients.crt", "ca.crt");
  const cwd = emptyFolder({ after: (end) => void ends.unshift(end) });
  const own = (name: string): object => ({ cert: folder.file(`${name}.crt`), key: folder.file(`${name}.key`) });
  const clients = { clientCa: folder.file("clients.crt"), clientCert: "optional" };
  const both = ["server", "other"];
  const settings = {
    bind: "127.0.0.1",
    tls: {
      certificates: both.map((name) => folder.file(`${name}.crt`)),
      keys: both.map((name) => folder.file(`${name}.key`)),
    },
    listeners: [
      { name: "ecdsa", type: "tls", port: 0, ...own("server"), ...clients },
      { name: "rsa", type: "tls", port: 0, ...own("rsa") },
      { name: "named", type: "tls", port: 0 },
      { name: "web", type: "wss", port: 0, ...own("server") },
      { name: "plain", type: "tcp", port: 0 },
    ],
  };
  writeFileSync(join(cwd, "mqtt-broker.json5"), JSON.stringify(settings));
  program = startProgram({ after: (end) => void ends.unshift(end) }, [], { cwd });
  const portOf = async (name: string): Promise<number> => {
    const { message } = await program.line(/^Listening on /, ({ listener }) => listener === name);
    return Number(/:(\d+)(?:\/.*)?$/.exec(message)![1]);
  };
  ports = {
    ecdsa: await portOf("ecdsa"),
    rsa: await portOf("rsa"),
    named: await portOf("named"),
    web: await portOf("web"),
    plain: await portOf("plain"),
  };
});
after(async () => {
  for (const end of ends) await end();
  folder.remove();
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** What openssl's client says of a handshake. */
async function client(context: TestContext, port: number, ...words: string[]): Promise<string> {
  const all = ["s_client", "-connect", `127.0.0.1:${port}`, ...words];
  const { stdout, stderr } = await runCommand(context, "openssl", all);
  return stdout + stderr;
}

async function portOf(program: Running): Promise<number> {
  const { message } = await program.line(/^Listening on tls:/);
  return Number(message.slice(message.lastIndexOf(":") + 1));
}

suite("a scan of the TLS port", { concurrency: true }, () => {
  test("SSL 3, TLS 1.0 and 1.1 are refused", async (context) => {
    assert.equal((await ask(ports.ecdsa, { version: 0x0300, ciphers: ALL })).kind, "alert");
    for (const version of [0x0301, 0x0302]) {
      const answer = await ask(ports.ecdsa, { version, ciphers: ALL });
      assert.deepEqual(answer, { kind: "alert", description: ALERT.protocolVersion });
    }
    for (const word of ["-tls1", "-tls1_1"]) {
      assert.match(await client(context, ports.rsa, word, "-cipher", "ALL:@SECLEVEL=0"), /SSL alert number 70\n/);
    }
  });

  test("of all ciphers of TLS 1.2 only those with forward secrecy and authentication are taken, in our order", async () => {
    const { aes128, aes256, chacha } = ECDSA;
    const reversed = ALL.toReversed();
    for (const offered of [ALL, reversed]) {
      assert.deepEqual(await takenCiphers(ports.ecdsa, TLS_1_2, offered), [aes128, aes256, chacha]);
      assert.deepEqual(await takenCiphers(ports.web, TLS_1_2, offered), [aes128, aes256, chacha]);
      assert.deepEqual(await takenCiphers(ports.rsa, TLS_1_2, offered), [RSA.aes128, RSA.aes256, RSA.chacha]);
    }
    const others = ALL.filter((cipher) => ![aes128, aes256, chacha].includes(cipher as never));
    const answer = await ask(ports.ecdsa, { version: TLS_1_2, ciphers: others });
    assert.deepEqual(answer, { kind: "alert", description: ALERT.handshakeFailure });
  });

  test("of TLS 1.3 the order is ours too", async (context) => {
    const theirs = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256";
    const text = await client(context, ports.ecdsa, "-tls1_3", "-ciphersuites", theirs);
    assert.match(text, /^New, TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256$/m);
  });

  test("nothing is compressed, though the client would", async () => {
    const answer = await ask(ports.ecdsa, { version: TLS_1_2, ciphers: ALL, compressions: [1] });
    assert.deepEqual(answer, { kind: "hello", version: TLS_1_2, cipher: ECDSA.aes128, compression: 0 });
  });

  test("a second handshake on a connection is refused", async (context) => {
    const words = ["s_client", "-connect", `127.0.0.1:${ports.ecdsa}`, "-tls1_2"];
    const openssl = startCommand(context, "openssl", words);
    await openssl.saw("Secure Renegotiation IS supported");
    await openssl.saw("Verify return code");
    openssl.type("R");
    await openssl.ended;
    assert.match(openssl.stderr, /^RENEGOTIATING\n/m);
    assert.match(openssl.stderr, /no renegotiation/);
  });

  test("sessions are resumed, but not when the clients' authorities have changed", async (context) => {
    const file = join(emptyFolder(context), "session");
    const resume = async (): Promise<string> => await client(context, ports.ecdsa, "-tls1_2", "-sess_in", file);
    assert.match(await client(context, ports.ecdsa, "-tls1_2", "-sess_out", file), /^New, TLSv1\.2/m);
    assert.match(await resume(), /^Reused, TLSv1\.2/m);
    folder.replace("clients.crt", "another.crt");
    await program.line("Certificates were read again: new connections use them");
    assert.match(await resume(), /^New, TLSv1\.2/m);
  });

  test("mqtt is chosen by ALPN, and a client that wants something else is refused", async (context) => {
    assert.match(await client(context, ports.ecdsa, "-alpn", "h2,mqtt"), /^ALPN protocol: mqtt$/m);
    assert.match(await client(context, ports.ecdsa, "-alpn", "h2"), /SSL alert number 120\n/);
  });

  test("the name that is asked for picks the certificate, and one that nobody has the first", async (context) => {
    for (const [asked, shown] of [
      ["other.example", "other.example"],
      ["localhost", "localhost"],
      ["nobody.example", "localhost"],
    ] as const) {
      assert.match(
        await client(context, ports.named, "-servername", asked),
        new RegExp(`^subject=CN = ${shown}$`, "m"),
      );
    }
  });

  test("a ClientHello that comes byte by byte is answered", async () => {
    const probe = await Probe.open(ports.ecdsa);
    for (const byte of clientHello({ version: TLS_1_2, ciphers: ALL })) {
      probe.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await probe.answer()).kind, "hello");
    probe.socket.destroy();
  });

  test("a heartbeat that claims more than it has gets no answer of its kind", async () => {
    const probe = await Probe.open(ports.ecdsa);
    probe.socket.write(clientHello({ version: TLS_1_2, ciphers: ALL, extensions: [[0x0f, [1]]] }));
    await probe.answer();
    probe.socket.write(record(RECORD.heartbeat, [1, 0x40, 0]));
    await probe.until(() => false);
    assert.equal(probe.types.at(-1), RECORD.alert);
    assert.ok(!probe.types.includes(RECORD.heartbeat));
  });

  test("rubbish ends the connection and nothing else", async () => {
    const hello = clientHello({ version: TLS_1_2, ciphers: ALL });
    const torn = Buffer.from(hello);
    torn.writeUInt16BE(0xffff, 43);
    for (const rubbish of [
      Buffer.alloc(65_536),
      Buffer.alloc(65_536, 0xff),
      Buffer.from([RECORD.handshake, 3, 1, 0xff, 0xff, ...Buffer.alloc(1000, 1)]),
      Buffer.from([0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16, ...Buffer.alloc(37, 7)]),
      torn,
      Buffer.concat([hello, hello]),
      record(RECORD.handshake, []),
      record(RECORD.alert, [2, 40]),
    ]) {
      const probe = await Probe.open(ports.ecdsa);
      probe.socket.end(rubbish);
      await probe.until(() => false);
      assert.ok(!probe.types.includes(23), "data");
    }
    assert.equal((await ask(ports.ecdsa, { version: TLS_1_2, ciphers: ALL })).kind, "hello");
  });

  test("MQTT without TLS at the TLS port, and TLS at the plain one, are named in the log", async (context) => {
    const plain = ["-h", "127.0.0.1", "-p", String(ports.rsa), "-t", "a", "-m", "x"];
    assert.notEqual((await runCommand(context, "mosquitto_pub", plain)).result.code, 0);
    const named = "the client does not speak TLS";
    await program.line("TLS handshake failed", ({ listener, reason }) => listener === "rsa" && reason === named);
    await client(context, ports.plain);
    const refused = await program.line("Connection refused", ({ listener }) => listener === "plain");
    assert.equal(
      refused.reason,
      "A TLS handshake, but MQTT is spoken here without TLS: give the client the port for TLS 5.0 [MQTT-2.1.3-1]",
    );
  });

  test("--tls-min-version and --tls-ciphers are obeyed", async (context) => {
    const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
    const words = ["--tls-port", "0", "--bind", "127.0.0.1", ...files];
    const newest = startProgram(context, [...words, "--tls-min-version", "TLSv1.3"]);
    const single = startProgram(context, [...words, "--tls-ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"]);
    const newestPort = await portOf(newest);
    const refused = { kind: "alert", description: ALERT.protocolVersion };
    assert.deepEqual(await ask(newestPort, { version: TLS_1_2, ciphers: ALL }), refused);
    assert.match(await client(context, newestPort), /^New, TLSv1\.3, /m);
    const singlePort = await portOf(single);
    assert.deepEqual(await takenCiphers(singlePort, TLS_1_2, ALL), [ECDSA.chacha]);
    assert.match(await client(context, singlePort), /^New, TLSv1\.3, /m);
  });

  test("a list of ciphers that OpenSSL does not know is refused by check, with a way to find names", async (context) => {
    const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
    const words = ["check", "--tls-port", "0", ...files, "--tls-ciphers", "NONSENSE"];
    const { result, stdout } = await runProgram(context, words);
    assert.equal(result.code, 2);
    assert.match(stdout, /^The ciphers "NONSENSE" cannot be used: .*; openssl ciphers -v lists names$/m);
  });

  test("the certificate that certs init makes is small enough for the first segments of a connection", async (context) => {
    const cwd = emptyFolder(context);
    await runProgram(context, ["certs", "init"], { cwd });
    const files = ["--server-crt", "certs/server.crt", "--server-key", "certs/server.key"];
    const small = startProgram(context, ["--tls-port", "0", "--bind", "127.0.0.1", ...files], { cwd });
    const text = await client(context, await portOf(small), "-CAfile", join(cwd, "certs/ca.crt"));
    assert.match(text, /Verify return code: 0 \(ok\)/);
    const bytes = Number(/^SSL handshake has read (\d+) bytes/m.exec(text)![1]);
    assert.ok(bytes < 3_000, `${bytes} bytes`);
  });
});
