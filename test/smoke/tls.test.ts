import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { CertificateFolder } from "../support/certificates.ts";
import { emptyFolder, type Running, runCommand, runProgram, startProgram } from "./program.ts";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.authority("another");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("next", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("sensor-1", "ca", "sensor-1");
  folder.issue("revoked", "ca", "sensor-1");
  folder.issue("foreign", "another", "sensor-1");
  folder.issue("expired", "ca", "sensor-1", "DNS:sensor-1", 0);
  folder.revoke("ca", "revoked");
});
after(() => folder.remove());

const AUTH = `{
  authentication: [{ name: "sensor-1", method: "client_cert" }],
  authorization: [{ topic: "sensors/sensor-1/#", allow: { pub: ["sensor-1"], sub: ["sensor-1"] } }],
}
`;

function words(name = "server"): string[] {
  const files = ["--server-crt", folder.file(`${name}.crt`), "--server-key", folder.file(`${name}.key`)];
  return ["--tls-port", "0", "--bind", "127.0.0.1", ...files];
}

async function startTls(context: TestContext, more: string[] = []): Promise<{ program: Running; port: string }> {
  const program = startProgram(context, [...words(), ...more]);
  const { message } = await program.line(/^Listening on tls:\/\/127\.0\.0\.1:\d+$/);
  return { program, port: message.slice(message.lastIndexOf(":") + 1) };
}

/** mosquitto_pub or mosquitto_sub, which show the certificate of this name, if any. */
function mosquitto(
  context: TestContext,
  command: "pub" | "sub",
  port: string,
  name: string | undefined,
  more: string[],
) {
  const own = name === undefined ? [] : ["--cert", folder.file(`${name}.crt`), "--key", folder.file(`${name}.key`)];
  const where = ["-h", "localhost", "-p", port, "--cafile", folder.file("ca.crt"), ...own, "-V", "5"];
  return runCommand(context, `mosquitto_${command}`, [...where, ...more]);
}

suite("--tls-port", () => {
  test("serves mosquitto_pub and mosquitto_sub with --cafile", async (context) => {
    const { port } = await startTls(context);
    const pub = await mosquitto(context, "pub", port, undefined, ["-t", "a", "-m", "hello", "-q", "1", "-r"]);
    assert.equal(pub.result.code, 0, pub.stderr);
    const sub = await mosquitto(context, "sub", port, undefined, ["-t", "a", "-C", "1", "-W", "5"]);
    assert.equal(sub.stdout, "hello\n");
  });

  test("says in $SYS when its certificate ends, from the start on", async (context) => {
    const { port } = await startTls(context);
    const words = ["-t", "$SYS/broker/certificates/1/+", "-F", "%t %p", "-C", "6", "-W", "5"];
    const { stdout } = await mosquitto(context, "sub", port, undefined, words);
    const end = folder.openssl("x509", "-in", "server.crt", "-noout", "-enddate").trim().split("=")[1]!;
    const lines = new Map(
      stdout.split("\n").map((line) => [line.split(" ")[0]!.split("/").at(-1), line.split(" ")[1]]),
    );
    assert.deepEqual(
      ["file", "kind", "expires", "warning"].map((name) => lines.get(name)),
      ["server.crt", "server", new Date(end).toISOString(), "none"],
    );
  });

  test("a client of another authority does not go on, and a plain one gets nothing", async (context) => {
    const { program, port } = await startTls(context);
    const where = ["-h", "localhost", "-p", port, "-t", "a", "-m", "x"];
    const wrong = await runCommand(context, "mosquitto_pub", [...where, "--cafile", folder.file("another.crt")]);
    assert.notEqual(wrong.result.code, 0);
    assert.notEqual((await runCommand(context, "mosquitto_pub", where)).result.code, 0);
    await program.line("TLS handshake failed", ({ reason }) => reason === "the client does not speak TLS");
    assert.equal(
      program.lines.some(({ message }) => message === "Client connected"),
      false,
    );
  });

  test("a client's certificate is a user of auth.json5, with its rules", async (context) => {
    const auth = ["--auth-file", folder.write("auth.json5", AUTH), "--client-ca", folder.file("ca.crt")];
    const { program, port } = await startTls(context, [...auth, "--client-crl", folder.file("ca.crl")]);
    const publish = (name: string | undefined, topic: string) =>
      mosquitto(context, "pub", port, name, ["-t", topic, "-m", "21", "-q", "1", "-r"]);
    const good = await publish("sensor-1", "sensors/sensor-1/t");
    assert.deepEqual([good.result.code, good.stderr], [0, ""]);
    const connected = await program.line("Client connected");
    assert.deepEqual([connected.user, connected.listener], ["sensor-1", "tls"]);
    assert.match((await publish("sensor-1", "sensors/sensor-2/t")).stderr, /not authorized/i);
    const sub = await mosquitto(context, "sub", port, "sensor-1", ["-t", "sensors/sensor-1/t", "-C", "1", "-W", "5"]);
    assert.equal(sub.stdout, "21\n");
    for (const [name, reason] of [
      ["foreign", "the client's certificate is of an authority that is not trusted here"],
      ["expired", "the client's certificate has expired"],
      ["revoked", "the client's certificate is revoked"],
      [undefined, "the client has no certificate"],
    ] as const) {
      assert.notEqual((await publish(name, "sensors/sensor-1/t")).result.code, 0, name);
      await program.line("TLS handshake failed", (line) => line.reason === reason);
    }
    assert.doesNotMatch(program.stdout, /needs a TLS listener/);
  });

  test("new files serve new connections at once and on SIGHUP, and those that stand go on", async (context) => {
    for (const kind of ["crt", "key"]) folder.replace(`live.${kind}`, `server.${kind}`);
    const program = startProgram(context, words("live"));
    const { message } = await program.line(/^Listening on tls:/);
    const port = Number(message.slice(message.lastIndexOf(":") + 1));
    const dial = async () => {
      const socket = connect({ port, host: "127.0.0.1", ca: folder.text("ca.crt"), servername: "localhost" });
      context.after(() => void socket.destroy());
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      return { socket, serial: socket.getPeerCertificate().serialNumber };
    };
    const first = await dial();
    for (const kind of ["crt", "key"]) folder.replace(`live.${kind}`, `next.${kind}`);
    await program.line("Certificates were read again: new connections use them");
    const second = await dial();
    assert.notEqual(second.serial, first.serial);
    folder.write("live.crt", "rubbish");
    process.kill(program.pid, "SIGHUP");
    await program.line(/^The certificate .*live\.crt is not PEM: .* What was in force stays in force$/);
    assert.equal((await dial()).serial, second.serial);
    assert.equal(first.socket.destroyed, false);
  });

  test("check and run name a file that cannot be used", async (context) => {
    const cwd = emptyFolder(context);
    const missing = ["--tls-port", "0", "--server-crt", "none.crt", "--server-key", folder.file("server.key")];
    const reason = `Cannot read the certificate ${join(cwd, "none.crt")}: there is no such file`;
    const checked = await runProgram(context, ["check", ...missing], { cwd });
    assert.deepEqual([checked.result.code, checked.stdout], [2, `${reason}\nConfiguration is not valid: 1 error\n`]);
    const run = await runProgram(context, missing, { cwd });
    assert.equal(run.result.code, 1);
    assert.ok(run.stdout.includes(reason), run.stdout);
  });

  test("check says where it would listen", async (context) => {
    const { result, stdout } = await runProgram(context, ["check", ...words()]);
    assert.equal(result.code, 0);
    assert.match(stdout, /^Would listen on tls:\/\/127\.0\.0\.1:\(a free port\)$/m);
  });
});
