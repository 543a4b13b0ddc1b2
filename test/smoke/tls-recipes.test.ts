/** The certificate recipes and TLS command lines in the documents of the reference systems, run as they are. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { emptyFolder, type Running, runCommand, runProgram, startBroker, startProgram } from "./program.ts";

/** README of ZindGH/MQTT-Server: an authority, a server, a client; then clients with all three files. */
const MQTT_SERVER = {
  recipe: [
    "openssl genrsa -out ca.key 4096",
    'openssl req -new -x509 -days 3650 -key ca.key -subj "/CN=mqtt-dev-ca" -out ca.crt',
    "openssl genrsa -out server.key 2048",
    'openssl req -new -key server.key -subj "/CN=localhost" -out server.csr',
    "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 365",
    "openssl genrsa -out client.key 2048",
    'openssl req -new -key client.key -subj "/CN=test-client" -out client.csr',
    "openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out client.crt -days 365",
  ],
  sub: 'mosquitto_sub -h localhost -p 1883 -t "test/topic" --cafile ca.crt --cert client.crt --key client.key',
  pub: 'mosquitto_pub -h localhost -p 1883 -t "test/topic" -m "Hello MQTT" --cafile ca.crt --cert client.crt --key client.key',
};

/** README of redboltz/mqtt-broker-tokio: a certificate that has signed itself. */
const MQTT_BROKER_TOKIO = {
  recipe: [
    'openssl req -x509 -newkey rsa:4096 -keyout server.key -out server.crt -days 365 -nodes -subj "/CN=localhost"',
  ],
  broker: "--tls-port 8883 --server-crt server.crt --server-key server.key",
  pub: 'mosquitto_pub -h localhost -p 8883 --cafile server.crt -t "test/topic" -m "Hello Secure MQTT"',
};

/** mosquitto-tls(7), with the answers to openssl's questions: password and names. */
const MOSQUITTO = {
  recipe: [
    "openssl req -new -x509 -days 365 -extensions v3_ca -keyout ca.key -out ca.crt -passout pass:secret -subj /CN=ours",
    "openssl genrsa -aes256 -passout pass:secret -out server.key 2048",
    "openssl req -out server.csr -key server.key -new -passin pass:secret -subj /CN=localhost",
    "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 365 -passin pass:secret",
    "openssl genrsa -aes256 -passout pass:secret -out client.key 2048",
    "openssl req -out client.csr -key client.key -new -passin pass:secret -subj /CN=kim",
    "openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out client.crt -days 365 -passin pass:secret",
  ],
};

/** EMQX' guide to TLS: names in a file of openssl's configuration. */
const EMQX = {
  configuration: `[req]
distinguished_name = of_server
prompt = no
[of_server]
CN = Server
[v3_req]
subjectAltName = IP:127.0.0.1, DNS:localhost
`,
  recipe: [
    "openssl genrsa -out ca.key 2048",
    'openssl req -x509 -new -nodes -key ca.key -sha256 -days 3650 -out ca.pem -subj "/C=CN/O=EMQX/CN=SelfCA"',
    "openssl genrsa -out emqx.key 2048",
    "openssl req -new -key ./emqx.key -config openssl.cnf -out emqx.csr",
    "openssl x509 -req -in ./emqx.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out emqx.pem -days 3650 -sha256 -extensions v3_req -extfile openssl.cnf",
    "openssl genrsa -out client.key 2048",
    'openssl req -new -key client.key -out client.csr -subj "/C=CN/O=EMQX/CN=client"',
    "openssl x509 -req -days 3650 -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem",
  ],
  pub: "mosquitto_pub -h 127.0.0.1 -p 8883 -t test/topic -m Hello --cafile ca.pem --cert client.pem --key client.key",
};

async function shell(
  context: TestContext,
  cwd: string,
  line: string,
): Promise<Running & { result: { code: number | null } }> {
  return await runCommand(context, "sh", ["-ec", line], { cwd });
}

async function folderOf(context: TestContext, recipe: readonly string[]): Promise<string> {
  const cwd = emptyFolder(context);
  writeFileSync(join(cwd, "openssl.cnf"), EMQX.configuration);
  const made = await shell(context, cwd, recipe.join("\n"));
  assert.equal(made.result.code, 0, made.stderr);
  return cwd;
}

/** With every documented port a free one. */
async function startTls(context: TestContext, cwd: string, words: string): Promise<{ program: Running; port: string }> {
  const program = startProgram(context, words.replace("8883", "0").split(" "), { cwd });
  const { message } = await program.line(/^Listening on tls:/);
  return { program, port: message.slice(message.lastIndexOf(":") + 1) };
}

/** Runs the line with the port; `line`: a client's, that must be content. */
async function runs(context: TestContext, cwd: string, port: string, line: string): Promise<string> {
  const { result, stdout, stderr } = await shell(context, cwd, line.replace(/-p (?:1883|8883)/, `-p ${port}`));
  assert.deepEqual([result.code, stderr], [0, ""], line);
  return stdout;
}

suite("certificate recipes and TLS command lines of the reference systems", { concurrency: true }, () => {
  test("ZindGH/MQTT-Server: mutual TLS by config.yaml", async (context) => {
    const cwd = await folderOf(context, MQTT_SERVER.recipe);
    const { program: other, port } = await startBroker(context);
    await other.stop();
    mkdirSync(join(cwd, "config"));
    const tls = "tls:\n  enabled: true\n  cert_file: server.crt\n  key_file: server.key\n  ca_file: ca.crt\n";
    const auth = "auth:\n  enabled: true\n  allow_anonymous: true\n  require_client_certs: true\n";
    const text = `server:\n  host: 127.0.0.1\n  port: ${port}\n${tls}${auth}`;
    writeFileSync(join(cwd, "config/config.yaml"), text);
    const program = startProgram(context, [], { cwd });
    await program.line(/^Listening on tls:/);
    await runs(context, cwd, String(port), `${MQTT_SERVER.pub} -r -q 1`);
    assert.equal(await runs(context, cwd, String(port), `${MQTT_SERVER.sub} -C 1 -W 5`), "Hello MQTT\n");
    const none = MQTT_SERVER.pub.replace(/ --cert .*/, "").replace("1883", String(port));
    assert.notEqual((await shell(context, cwd, none)).result.code, 0);
    await program.line("TLS handshake failed", ({ reason }) => reason === "the client has no certificate");
  });

  test("redboltz/mqtt-broker-tokio: a certificate that has signed itself", async (context) => {
    const cwd = await folderOf(context, MQTT_BROKER_TOKIO.recipe);
    const { program, port } = await startTls(context, cwd, MQTT_BROKER_TOKIO.broker);
    await runs(context, cwd, port, `${MQTT_BROKER_TOKIO.pub} -q 1`);
    await program.line("Client connected", ({ listener }) => listener === "tls");
  });

  test("mosquitto-tls(7): encrypted keys are refused with the line that decrypts them, and then it works", async (context) => {
    const cwd = await folderOf(context, MOSQUITTO.recipe);
    const words = "--tls-port 8883 --server-crt server.crt --server-key server.key --client-ca ca.crt";
    const checked = await runProgram(context, ["check", ...words.split(" ")], { cwd });
    const decrypt = "openssl pkey -in FILE -out PLAIN";
    assert.equal(
      checked.stdout,
      `The private key ${join(cwd, "server.key")} is encrypted: nobody could type its password at a start; ${decrypt} removes it\n` +
        "Configuration is not valid: 1 error\n",
    );
    for (const name of ["server.key", "client.key"]) {
      const line = decrypt.replace("FILE", name).replace("PLAIN", `plain.${name}`);
      const { result, stderr } = await shell(context, cwd, `${line} -passin pass:secret`);
      assert.equal(result.code, 0, stderr);
    }
    const { program, port } = await startTls(context, cwd, words.replace("server.key", "plain.server.key"));
    const files = "--cafile ca.crt --cert client.crt --key plain.client.key";
    await runs(context, cwd, port, `mosquitto_pub -h localhost -p 8883 -t a -m x -q 1 ${files}`);
    await program.line("Client connected");
  });

  test("EMQX: names of a file, by address and by name", async (context) => {
    const cwd = await folderOf(context, EMQX.recipe);
    const words = "--tls-port 8883 --server-crt emqx.pem --server-key emqx.key --client-ca ca.pem";
    const { program, port } = await startTls(context, cwd, `${words} --bind 127.0.0.1`);
    await runs(context, cwd, port, `${EMQX.pub} -q 1`);
    await runs(context, cwd, port, `${EMQX.pub.replace("127.0.0.1", "localhost")} -q 1`);
    await program.until(
      () => program.lines.filter(({ message }) => message === "Client connected").length === 2,
      "two",
    );
  });
});
