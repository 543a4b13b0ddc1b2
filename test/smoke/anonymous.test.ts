import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { suite, type TestContext, test } from "node:test";
import { type RunningBroker, runCommand, startBroker } from "./program.ts";

/** A network of the test's own, with one address that is not the loopback's. 192.0.2.0/24 is for documentation. */
const NAMESPACE = [
  "unshare",
  "--map-root-user",
  "--net",
  "sh",
  "-c",
  'ip link set lo up && ip link add far0 type dummy && ip addr add 192.0.2.1/24 dev far0 && ip link set far0 up && exec "$@"',
  "sh",
];

const hasNamespaces = spawnSync(NAMESPACE[0]!, [...NAMESPACE.slice(1), "true"]).status === 0;

/** Where the system forbids namespaces, an address of this host does: whoever connects to it comes from it. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

const address = hasNamespaces ? "192.0.2.1" : (ownAddress ?? "");

async function start(context: TestContext, ...words: string[]): Promise<RunningBroker> {
  return await startBroker(context, ["--tcp-port", "0", ...words], hasNamespaces ? { before: NAMESPACE } : {});
}

/** Runs mosquitto_pub where the broker runs; its exit code is that of CONNACK. */
async function publish(context: TestContext, { program, port }: RunningBroker, host: string, ...words: string[]) {
  const command = ["mosquitto_pub", "-h", host, "-p", String(port), "-t", "t", "-m", "m", ...words];
  const inside = ["nsenter", "--preserve-credentials", "--user", "--net", "--target", String(program.pid), ...command];
  const [name, ...rest] = hasNamespaces ? inside : command;
  return await runCommand(context, name!, rest);
}

suite("clients without a user", { concurrency: 2 }, () => {
  test("there is an address to come from that is not the loopback's", () => assert.notEqual(address, ""));

  test("from loopback they are let in, over IPv4 and IPv6", async (context) => {
    const broker = await start(context);
    for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost"]) {
      for (const version of ["31", "311", "5"]) {
        const { result, stderr } = await publish(context, broker, host, "-V", version, "-i", "somebody");
        assert.equal(result.code, 0, `${host} ${stderr}`);
      }
    }
  });

  test("from elsewhere they are refused by CONNACK 0x87 and 5, and the log says how to open", async (context) => {
    const broker = await start(context);
    for (const [version, code] of [
      ["5", 0x87],
      ["311", 5],
      ["31", 5],
    ] as const) {
      const { result } = await publish(context, broker, address, "-V", version, "-i", `far${version}`);
      assert.equal(result.code, code);
      const line = await broker.program.line("Connection refused", ({ client }) => client === `far${version}`);
      assert.equal(line.level, "warn");
      assert.ok(String(line.address).startsWith(`${address}:`), String(line.address));
      assert.match(String(line.reason), /only clients on this machine .*--allow-anonymous/);
    }
    // With a user name too: there is nothing to check a password against.
    const { result } = await publish(context, broker, address, "-V", "5", "-u", "smith", "-P", "secret");
    assert.equal(result.code, 0x87);
  });

  test("with --allow-anonymous everybody is let in, and it is warned of", async (context) => {
    const broker = await start(context, "--allow-anonymous");
    const { result, stderr } = await publish(context, broker, address, "-V", "5");
    assert.equal(result.code, 0, stderr);
    const warnings = broker.program.lines.filter(({ message }) => message.includes("--allow-anonymous"));
    assert.deepEqual(
      warnings.map(({ level, message }) => `${level} ${message}`),
      ["warn --allow-anonymous: everybody who reaches a listener may connect, publish and subscribe"],
    );
  });

  test("with --allow-anonymous=false nobody is let in, not even from loopback", async (context) => {
    const broker = await start(context, "--allow-anonymous=false");
    assert.equal((await publish(context, broker, "127.0.0.1", "-V", "5")).result.code, 0x87);
    assert.equal((await publish(context, broker, "127.0.0.1", "-V", "311")).result.code, 5);
  });

  test("with --bind 127.0.0.1 nobody reaches it from elsewhere", async (context) => {
    const broker = await start(context, "--bind", "127.0.0.1", "--allow-anonymous");
    assert.equal((await publish(context, broker, "127.0.0.1", "-V", "5")).result.code, 0);
    const { result, stderr } = await publish(context, broker, address, "-V", "5");
    assert.notEqual(result.code, 0);
    assert.match(stderr, /refused/i);
  });
});
