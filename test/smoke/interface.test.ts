import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { emptyFolder, type Running, runCommand, runProgram, startProgram } from "./program.ts";

/** A network of the test's own, whose one interface is off. Other kinds of interfaces are not in every kernel. */
const NAMESPACE = ["unshare", "--map-root-user", "--net"];

/** Runs a command in the network of the broker. */
async function inside(context: TestContext, program: Running, ...command: string[]): Promise<number | null> {
  const { result } = await runCommand(context, "nsenter", [...into(program), ...command]);
  return result.code;
}

function into({ pid }: Running): string[] {
  return ["--preserve-credentials", "--user", "--net", "--target", String(pid)];
}

suite("interface", () => {
  test("a network that comes later is served when it does, and left when it goes", async (context) => {
    const cwd = emptyFolder(context);
    const listeners = '[{ interface: "lo", port: 1883 }]';
    writeFileSync(join(cwd, "mqtt-broker.json5"), `{ listeners: ${listeners}, auth: { allowAnonymous: true } }`);
    const { stdout: checked } = await runProgram(context, ["check"], { cwd });
    assert.match(checked, /^Would listen on tcp:\/\/%lo:1883$/m);
    const program = startProgram(context, [], { cwd, before: NAMESPACE });
    await program.line("Listening on interface lo, which has no address yet");
    // 192.0.2.0/24 and 2001:db8::/32 are for documentation.
    for (const words of [
      "addr add 192.0.2.1/24 dev lo",
      "addr add 2001:db8::1/64 dev lo nodad",
      "addr add fe80::1/64 dev lo nodad",
      "link set lo up",
    ]) {
      assert.equal(await inside(context, program, "ip", ...words.split(" ")), 0, words);
    }
    for (const address of ["192.0.2.1", "[2001:db8::1]"]) await program.line(`Listening on tcp://${address}:1883`);
    await program.line(/^Listening on tcp:\/\/\[fe80::1(%lo)?\]:1883$/);
    for (const host of ["192.0.2.1", "2001:db8::1", "fe80::1%lo"]) {
      const words = ["mosquitto_pub", "-h", host, "-t", "t", "-m", "m", "-q", "1"];
      assert.equal(await inside(context, program, ...words), 0, host);
    }
    assert.equal(await inside(context, program, "ip", "addr", "del", "192.0.2.1/24", "dev", "lo"), 0);
    await program.line("Listening no more on tcp://192.0.2.1:1883: the interface has this address no more");
    const { stdout } = await runCommand(context, "nsenter", [...into(program), "ss", "-Hltn"]);
    assert.match(stdout, /\[2001:db8::1\]:1883/);
    assert.doesNotMatch(stdout, /192\.0\.2\.1:1883/);
  });
});
