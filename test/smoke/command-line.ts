import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../support/raw-client.ts";
import { runProgram, type StartOptions, startBroker } from "./program.ts";

/**
 * A command line as a reference system's documents show it. `mqtt-broker` (or that system's name) and line ends are
 * left out, and a documented port becomes a free one, because many tests run on one machine.
 */
export interface Documented {
  commandLine: string;
  /** What the broker must say in CONNACK because of it; each is compared exactly. */
  connack?: Readonly<Record<string, unknown>>;
  /** Text that must stand in the log: why an option that is accepted has no effect. */
  warns?: string;
  options?: StartOptions;
  listeners?: number;
}

/** The command line starts a broker, and a message passes through it. */
export function works({ commandLine, connack = {}, warns, options, listeners }: Documented): void {
  test(`mqtt-broker ${commandLine} works`, async (context) => {
    const { program, ports } = await startBroker(context, wordsOf(commandLine), {
      ...options,
      ...(listeners === undefined ? {} : { listeners }),
    });
    const ways = commandLine.match(/--(?:[a-z-]+-port|unix-socket|addr)\b/g) ?? [];
    await program.until(() => program.stdout.split("Listening on ").length > ways.length, "a line of every listener");
    for (const port of ports) {
      const subscriber = await connect(port);
      for (const [name, value] of Object.entries(connack)) {
        assert.deepEqual(subscriber.connack.properties[name], value, `${name} of CONNACK`);
      }
      assert.deepEqual(await subscriber.subscribe("test/topic"), [0]);
      const publisher = await connect(port);
      await publisher.publish("test/topic", "Hello MQTT");
      await subscriber.expect("publish", { topic: "test/topic", payload: "Hello MQTT" });
      await publisher.disconnect();
      await subscriber.disconnect();
    }
    if (warns !== undefined) {
      const warnings = program.lines.filter(({ level }) => level === "warn").map(({ message }) => message);
      assert.equal(
        warnings.filter((message) => message.includes(warns)).length,
        1,
        `Not one warning "${warns}" in ${JSON.stringify(warnings)}`,
      );
    }
    const { code } = await program.stop();
    assert.equal(code, 0);
    assert.equal(program.stderr, "");
  });
}

/** The command line ends with exit code 2 before anything is opened, and each of `says` stands in what it writes. */
export function isRefused(commandLine: string, says: readonly string[], options: StartOptions = {}): void {
  test(`mqtt-broker ${commandLine} is refused with the reason`, async (context) => {
    const { result, stdout, stderr } = await runProgram(context, wordsOf(commandLine), options);
    assert.equal(result.code, 2, stderr);
    assert.equal(stdout, "");
    for (const text of says) assert.ok(stderr.includes(text), `"${text}" is not in:\n${stderr}`);
  });
}

/** The words of a documented line, with every port that it names free. */
export function wordsOf(commandLine: string): string[] {
  return commandLine
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/^(.*:|.*=)?(?:1883|8883|8080|8443)$/, "$10"));
}
