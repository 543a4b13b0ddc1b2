import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { runPub } from "../../src/cli/pub.ts";
import { type BrokerUnderTest, startBroker } from "../support/broker-under-test.ts";
import { ours, real } from "./clients-kit.ts";

let broker: BrokerUnderTest;
let folder: string;
const file = (name: string): string => join(folder, name);
const servers: Server[] = [];

before(async () => {
  [broker, folder] = await Promise.all([startBroker(), mkdtemp(join(tmpdir(), "clients-tls-"))]);
  const openssl = (...words: string[]): Buffer => execFileSync("openssl", words, { cwd: folder, stdio: "pipe" });
  const newKey = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(...newKey, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority", "-days", "2");
  await writeFile(file("names"), "subjectAltName=DNS:localhost");
  for (const name of ["server", "client"]) {
    openssl(...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const signed = ["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(...signed, "-out", `${name}.pem`, "-days", "2", "-extfile", "names");
  }
  await mkdir(file("folder"));
  await writeFile(file("folder/ca.crt"), readFileSync(file("ca.pem")));
});
after(async () => {
  for (const server of servers) server.close();
  await Promise.all([broker.stop(), rm(folder, { recursive: true })]);
});

/** Connects a stream with the broker. */
function toBroker(stream: Socket): void {
  const on = connect(broker.port, "127.0.0.1");
  stream.on("error", () => {}).on("close", () => on.destroy());
  on.on("error", () => {}).on("close", () => stream.destroy());
  stream.pipe(on).pipe(stream);
}

async function listening(server: Server): Promise<string> {
  servers.push(server);
  server.on("tlsClientError", () => {}).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return String(address.port);
}

function tlsDoor(options: object = {}): Promise<string> {
  const own = { cert: readFileSync(file("server.pem")), key: readFileSync(file("server.key")) };
  return listening(createTlsServer({ ...own, ...options }, toBroker));
}

async function publish(host: string, port: string, ...words: string[]): Promise<[code: number, stderr: string]> {
  const { code, stderr } = await ours(runPub, ["-h", host, "-p", port, "-t", "tls", "-m", "x", "-q", "1", ...words]);
  return [code, stderr];
}

describe("TLS", () => {
  it("trusts the authority of --cafile and the folder of --capath, and delivers", async () => {
    const port = await tlsDoor();
    assert.deepEqual(await publish("localhost", port, "--cafile", file("ca.pem"), "-r"), [0, ""]);
    assert.deepEqual(await publish("localhost", port, "--capath", file("folder")), [0, ""]);
    const { stdout } = await real("mosquitto_sub", [
      "-h",
      "127.0.0.1",
      "-p",
      String(broker.port),
      "-t",
      "tls",
      "-C",
      "1",
    ]);
    assert.equal(stdout.toString(), "x\n");
  });

  it("refuses an authority that is not trusted, also with --insecure", async () => {
    const port = await tlsDoor();
    const refused = [1, "Error: unable to verify the first certificate\n"];
    assert.deepEqual(await publish("localhost", port, "--tls-use-os-certs"), refused);
    assert.deepEqual(await publish("localhost", port, "--tls-use-os-certs", "--insecure"), refused);
  });

  it("refuses a certificate for another host, unless --insecure", async () => {
    const port = await tlsDoor();
    const [code, stderr] = await publish("127.0.0.1", port, "--cafile", file("ca.pem"));
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Hostname\/IP does not match certificate's altnames: /);
    assert.deepEqual(await publish("127.0.0.1", port, "--cafile", file("ca.pem"), "--insecure"), [0, ""]);
  });

  it("shows its own certificate with --cert and --key, and says so when one was required", async () => {
    const port = await tlsDoor({ requestCert: true, ca: readFileSync(file("ca.pem")) });
    const own = ["--cert", file("client.pem"), "--key", file("client.key")];
    assert.deepEqual(await publish("localhost", port, "--cafile", file("ca.pem"), ...own), [0, ""]);
    const [code, stderr] = await publish("localhost", port, "--cafile", file("ca.pem"));
    assert.equal(code, 1);
    assert.equal(stderr, "Error: TLS: tlsv13 alert certificate required\n");
  });

  it("speaks the version of --tls-version only", async () => {
    const port = await tlsDoor({ maxVersion: "TLSv1.2" });
    const words = ["--cafile", file("ca.pem"), "--tls-version"];
    assert.deepEqual(await publish("localhost", port, ...words, "tlsv1.2"), [0, ""]);
    assert.deepEqual(await publish("localhost", port, ...words, "tlsv1.3"), [
      1,
      "Error: TLS: tlsv1 alert protocol version\n",
    ]);
  });

  it("uses a pre-shared key", async () => {
    const psk = (_: unknown, identity: string): Buffer | null =>
      identity === "me" ? Buffer.from("abcdef0123", "hex") : null;
    const server = createTlsServer({ pskCallback: psk, ciphers: "PSK", maxVersion: "TLSv1.2" }, toBroker);
    const port = await listening(server);
    assert.deepEqual(await publish("localhost", port, "--psk", "abcdef0123", "--psk-identity", "me"), [0, ""]);
    const [code] = await publish("localhost", port, "--psk", "abcdef0124", "--psk-identity", "me");
    assert.equal(code, 1);
  });
});

describe("--proxy", () => {
  it("connects through a SOCKS5 proxy, which resolves the name", async () => {
    const asked: string[] = [];
    const proxy = createServer((socket) => {
      // RFC 1928: no authentication; then CONNECT with a name of one length byte.
      socket.once("data", () => {
        socket.write(Uint8Array.of(5, 0));
        socket.once("data", (request: Buffer) => {
          asked.push(request.subarray(5, 5 + request[4]!).toString());
          socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
          toBroker(socket);
        });
      });
    });
    const port = await listening(proxy);
    assert.deepEqual(await publish("broker.invalid", "1883", "--proxy", `socks5h://127.0.0.1:${port}`), [0, ""]);
    assert.deepEqual(asked, ["broker.invalid"]);
  });
});
