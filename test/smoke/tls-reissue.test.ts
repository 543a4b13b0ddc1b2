/** Certificates that follow the machine's addresses, in a network of the test's own, with mosquitto's clients. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { certs } from "../cli/certs-kit.ts";
import { emptyFolder, type Running, runCommand, runProgram, startCommand, startProgram } from "./program.ts";

const ADDRESS = "192.0.2.77";
const OWN_NETWORK = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'];
const CERTIFICATE = ["--server-crt", "certs/server.crt", "--server-key", "certs/server.key"];

/** A broker on 8883 of its own network, with a certificate that knows of no other address than loopback. */
async function startReissuing(context: TestContext, more: readonly string[] = []): Promise<Running> {
  const cwd = emptyFolder(context);
  const init = await runProgram(context, ["certs", "init"], { cwd, before: OWN_NETWORK });
  assert.equal(init.result.code, 0, init.stderr);
  const words = ["--tls-port", "8883", ...CERTIFICATE, "--tls-reissue", "--allow-anonymous", ...more];
  const program = startProgram(context, words, { cwd, before: OWN_NETWORK });
  await program.line(/^Listening on tls:/);
  return program;
}

function inNetworkOf({ pid }: Running, command: string, words: readonly string[]): string[] {
  return ["-t", String(pid), "-U", "-n", "--preserve-credentials", command, ...words];
}

function client(program: Running, command: "pub" | "sub", host: string, more: readonly string[]): string[] {
  const words = ["--cafile", join(program.cwd, "certs/ca.crt"), "-h", host, "-p", "8883", "-t", "a", "-q", "1"];
  return inNetworkOf(program, `mosquitto_${command}`, [...words, ...more]);
}

suite("--tls-reissue", { concurrency: true }, () => {
  test("a new address is in the certificate within seconds, and connections live on", async (context) => {
    const program = await startReissuing(context);
    const key = readFileSync(join(program.cwd, "certs/server.key"), "utf8");
    const early = startCommand(context, "nsenter", client(program, "sub", "localhost", ["-C", "1", "-W", "20"]));
    await program.line("Client connected");
    const hello = ["-m", "hello"];
    const before = await runCommand(context, "nsenter", client(program, "pub", ADDRESS, hello));
    assert.notEqual(before.result.code, 0);
    const add = ["addr", "add", `${ADDRESS}/32`, "dev", "lo"];
    const ip = await runCommand(context, "nsenter", inNetworkOf(program, "ip", add));
    assert.equal(ip.result.code, 0, ip.stderr);
    const sinceMs = performance.now();
    await program.line(/^Made .*\/certs\/server\.crt anew: \+192\.0\.2\.77; it is good until \d{4}-\d\d-\d\d$/);
    await program.line("Certificates were read again: new connections use them");
    assert.ok(performance.now() - sinceMs < 10_000);
    const after = await runCommand(context, "nsenter", client(program, "pub", ADDRESS, hello));
    assert.deepEqual([after.result.code, after.stderr], [0, ""]);
    assert.deepEqual([(await early.ended).code, early.stdout], [0, "hello\n"]);
    assert.equal(readFileSync(join(program.cwd, "certs/server.key"), "utf8"), key);
  });

  test("a change of the configuration turns it on without a restart", async (context) => {
    const cwd = emptyFolder(context);
    const machine = { hostName: "box", addresses: ["192.0.2.7"] };
    assert.equal((await certs(cwd, ["init"], { machine })).code, 0);
    const settings = (reissue: boolean): string =>
      JSON.stringify({
        tls: { certificates: ["certs/server.crt"], keys: ["certs/server.key"], reissue },
        listeners: [{ type: "tls", host: "127.0.0.1", port: 0 }],
      });
    writeFileSync(join(cwd, "mqtt-broker.json5"), settings(false));
    const program = startProgram(context, [], { cwd });
    await program.line(/^Listening on tls:/);
    const before = readFileSync(join(cwd, "certs/server.crt"), "utf8");
    writeFileSync(join(cwd, "mqtt-broker.json5"), settings(true));
    const { message } = await program.line(/^Made .* anew: /);
    assert.ok(message.includes(`+${hostname().toLowerCase()}`), message);
    assert.notEqual(readFileSync(join(cwd, "certs/server.crt"), "utf8"), before);
  });
});
