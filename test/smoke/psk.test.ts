import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { emptyFolder, type Running, runCommand, runProgram, startProgram } from "./program.ts";

const KEY = "00112233445566778899aabbccddeeff";
const AUTH = `{
  authentication: [
    { name: "sensor-1", method: "psk" },
    { name: "pump", method: "psk", identity: "device 7" },
    { name: "*", method: "psk" },
  ],
  authorization: [{ topic: "of/%u/#", allow: { pub: ["@any"], sub: ["@any"] } }],
}
`;
const WORDS = ["--tls-port", "0", "--bind", "127.0.0.1", "--psk-file", "keys.psk", "--auth-file", "auth.json5"];

function folderWith(context: TestContext, keys: string): string {
  const cwd = emptyFolder(context);
  writeFileSync(join(cwd, "keys.psk"), keys);
  writeFileSync(join(cwd, "auth.json5"), AUTH);
  return cwd;
}

async function start(context: TestContext, keys: string): Promise<{ program: Running; port: string }> {
  const program = startProgram(context, WORDS, { cwd: folderWith(context, keys) });
  const { message } = await program.line(/^Listening on tls:\/\/127\.0\.0\.1:\d+$/);
  return { program, port: message.slice(message.lastIndexOf(":") + 1) };
}

/** mosquitto_pub with a key; its exit code is 0 when it was let in and allowed to. */
async function publish(context: TestContext, port: string, identity: string, key: string, topic: string) {
  const where = ["-h", "127.0.0.1", "-p", port, "--psk", key, "--psk-identity", identity];
  const words = [...where, "-V", "5", "-t", topic, "-m", "21", "-q", "1"];
  const { result, stderr } = await runCommand(context, "mosquitto_pub", words);
  return { code: result.code, stderr };
}

suite("--psk-file", { concurrency: 2 }, () => {
  test("serves mosquitto_pub --psk without a certificate: the identity is a user of auth.json5", async (context) => {
    const { program, port } = await start(context, `# keys\nsensor-1:${KEY}\ndevice 7:${KEY}\nstray:${KEY}\n`);
    for (const [identity, user] of [
      ["sensor-1", "sensor-1"],
      ["device 7", "pump"],
      ["stray", "stray"],
    ] as const) {
      const good = await publish(context, port, identity, KEY, `of/${user}/t`);
      assert.deepEqual(good, { code: 0, stderr: "" }, identity);
      await program.line("Client connected", (line) => line.user === user && line.listener === "tls");
    }
    assert.match((await publish(context, port, "sensor-1", KEY, "of/pump/t")).stderr, /not authorized/i);
  });

  test("a wrong key and an unknown identity do not get in, and are told in the log without any key", async (context) => {
    const { program, port } = await start(context, `sensor-1:${KEY}\n`);
    const wrong = "ffeeddccbbaa99887766554433221100";
    for (const [identity, key, reason] of [
      ["sensor-1", wrong, `the client's key is not the one of its identity "sensor-1"`],
      ["nobody", KEY, 'the identity "nobody" is not in the file of keys'],
    ] as const) {
      assert.notEqual((await publish(context, port, identity, key, "of/sensor-1/t")).code, 0);
      await program.line("TLS handshake failed", (line) => line.reason === reason);
    }
    assert.doesNotMatch(program.stdout + program.stderr, new RegExp(`Client connected|${KEY}|${wrong}`));
  });

  test("is followed while the broker runs", async (context) => {
    const { program, port } = await start(context, `sensor-1:${KEY}\n`);
    const file = join(program.cwd, "keys.psk");
    const next = "a1".repeat(32);
    writeFileSync(file, `sensor-1:${next}\n`);
    await program.line("Certificates and keys were read again: new connections use them");
    assert.equal((await publish(context, port, "sensor-1", next, "of/sensor-1/t")).code, 0);
    assert.ok(!program.stdout.includes(KEY));
  });

  test("check names a bad line, and users whom no listener could know", async (context) => {
    const bad = await runProgram(context, ["check", ...WORDS], { cwd: folderWith(context, "sensor-1:xyz\n") });
    assert.equal(bad.result.code, 2);
    assert.match(bad.stdout, /keys\.psk cannot be used: line 1 has a key that is not pairs of hexadecimal digits/);
    assert.ok(!bad.stdout.includes("xyz"));
    const good = await runProgram(context, ["check", ...WORDS], { cwd: folderWith(context, `sensor-1:${KEY}\n`) });
    assert.match(good.stdout, /^Clients with a key \(TLS-PSK\): sensor-1, pump, every name$/m);
    assert.doesNotMatch(good.stdout, /cannot get in/);
    const without = ["check", "--tcp-port", "0", "--auth-file", "auth.json5"];
    const none = await runProgram(context, without, { cwd: folderWith(context, "") });
    assert.match(none.stdout, /"sensor-1", "pump" and "\*" cannot get in: no listener has keys of clients/);
  });

  test("explain knows the user, and says what it has to have", async (context) => {
    const question = ["explain", "--user", "pump", "publish", "of/pump/t", "--auth-file", "auth.json5"];
    const { result, stdout } = await runProgram(context, question, { cwd: folderWith(context, "") });
    assert.equal(result.code, 0, stdout);
    assert.match(stdout, /with its key/);
  });
});
