import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { cpSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { checkServerIdentity, connect, createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { folderWith, openssl } from "../certs/certs-kit.ts";
import { certs } from "./certs-kit.ts";
import { emptyFolder } from "./passwd-kit.ts";

/** Made once; tests that change files do so in a copy. */
let made: string;
const context = { after: (action: () => void): void => void process.once("exit", action) };

before(async () => {
  made = folderWith(context, {});
  assert.equal((await certs(made, ["init", "--name", "broker.example.org"])).code, 0);
  for (const name of ["pump-1", "pump-2"]) assert.equal((await certs(made, ["client", name])).code, 0);
});

function copyOf(test: TestContext): string {
  const folder = emptyFolder(test);
  cpSync(made, folder, { recursive: true });
  return folder;
}

const read = (folder: string, name: string): Buffer => readFileSync(join(folder, "certs", name));

/** What a server finds that asks for client certificates: the client's name, or why its certificate is not good. */
async function handshake(folder: string, client: string, from = folder, crl = "ca.crl"): Promise<string> {
  // Without rejection the reason can be seen; with it the connection ends in silence.
  const options: TlsOptions = { requestCert: true, rejectUnauthorized: false };
  const files = { cert: read(folder, "server.crt"), key: read(folder, "server.key"), ca: read(folder, "ca.crt") };
  const server = createServer({ ...options, ...files, crl: read(folder, crl) });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const outcome = new Promise<string>((resolve) => {
    server.on("secureConnection", (socket: TLSSocket) => {
      resolve(String(socket.authorized ? socket.getPeerCertificate().subject.CN : socket.authorizationError));
    });
    server.on("tlsClientError", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  const socket = connect({
    port: (server.address() as AddressInfo).port,
    host: "127.0.0.1",
    servername: "broker.example.org",
    ca: read(folder, "ca.crt"),
    cert: read(from, `${client}.crt`),
    key: read(from, `${client}.key`),
  });
  const failure = new Promise<string>((resolve) => socket.on("error", ({ message }) => resolve(`client: ${message}`)));
  const result = await Promise.race([outcome, failure]);
  socket.destroy();
  server.close();
  return result;
}

test("openssl takes what was made: server, clients and the list", () => {
  const folder = join(made, "certs");
  for (const [purpose, file] of [
    ["sslserver", "server.crt"],
    ["sslclient", "pump-1.crt"],
  ] as const) {
    const words = ["verify", "-x509_strict", "-CAfile", "ca.crt", "-CRLfile", "ca.crl", "-crl_check"];
    const { text } = openssl(folder, ...words, "-purpose", purpose, file);
    assert.equal(text, `${file}: OK\n`);
  }
});

test("Node.js takes the server's certificate for its names and addresses, and for no other", () => {
  const certificate = new X509Certificate(read(made, "server.crt")).toLegacyObject();
  for (const name of ["box", "box.local", "localhost", "127.0.0.1", "192.0.2.7", "2001:db8::7", "broker.example.org"]) {
    assert.equal(checkServerIdentity(name, certificate), undefined, name);
  }
  for (const name of ["example.org", "192.0.2.8", "box.example.org"]) {
    assert.match(String(checkServerIdentity(name, certificate)), /does not match certificate's altnames/, name);
  }
});

test("server and client know each other by the files, and the empty list refuses nobody", async () => {
  assert.equal(await handshake(made, "pump-1"), "pump-1");
});

test("a client of another authority with the same name is refused", async (context) => {
  const other = emptyFolder(context);
  await certs(other, ["init"]);
  await certs(other, ["client", "pump-1"]);
  assert.equal(await handshake(made, "pump-1", other), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
});

test("the server's certificate is not good for a client", async () => {
  assert.equal(await handshake(made, "server"), "INVALID_PURPOSE");
});

test("a revoked client is refused, the others are not", async (context) => {
  const folder = copyOf(context);
  const { code, stdout } = await certs(folder, ["revoke", "pump-1"]);
  assert.equal(code, 0);
  assert.equal(
    stdout,
    "Revoked 1 certificate of pump-1 in certs/ca.crl\n" +
      "The broker refuses them when it runs with --client-crl certs/ca.crl\n",
  );
  assert.equal(await handshake(folder, "pump-1"), "CERT_REVOKED");
  assert.equal(await handshake(folder, "pump-2"), "pump-2");
});

test("a second revocation keeps the first, and a new certificate of a revoked client is good", async (context) => {
  const folder = copyOf(context);
  await certs(folder, ["revoke", "pump-1"]);
  await certs(folder, ["revoke", "pump-2"]);
  assert.equal(await handshake(folder, "pump-1"), "CERT_REVOKED");
  assert.equal(await handshake(folder, "pump-2"), "CERT_REVOKED");
  await certs(folder, ["client", "pump-1", "--force"]);
  assert.equal(await handshake(folder, "pump-1"), "pump-1");
});

test("what a client had before its last certificate is revoked too, with its files elsewhere", async (context) => {
  const folder = copyOf(context);
  await certs(folder, ["client", "pump-1", "--force"]);
  const { stdout } = await certs(folder, ["revoke", "pump-1"]);
  assert.match(stdout, /^Revoked 2 certificates of pump-1 /);
  assert.equal(await handshake(folder, "pump-1", made), "CERT_REVOKED");
  assert.equal(await handshake(folder, "pump-1"), "CERT_REVOKED");
  assert.match((await certs(folder, ["revoke", "pump-1"])).stdout, /^pump-1 is revoked already/);
});

test("a renewed certificate works with the same key", async (context) => {
  const folder = copyOf(context);
  assert.equal((await certs(folder, ["renew"])).code, 0);
  assert.deepEqual(read(folder, "server.key"), read(made, "server.key"));
  assert.notDeepEqual(read(folder, "server.crt"), read(made, "server.crt"));
  assert.equal(await handshake(folder, "pump-1"), "pump-1");
});

test("and with a new key when that is asked for", async (context) => {
  const folder = copyOf(context);
  const { stdout } = await certs(folder, ["renew", "--new-key"]);
  assert.match(stdout, /^Made certs\/server\.crt anew with a new key, until /);
  assert.notDeepEqual(read(folder, "server.key"), read(made, "server.key"));
  assert.equal(await handshake(folder, "pump-1"), "pump-1");
});
