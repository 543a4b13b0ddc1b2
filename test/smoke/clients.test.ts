/** pub, sub and rr as commands of the program, and the mosquitto clients, against the program as a broker. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connect } from "../support/raw-client.ts";
import {
  emptyFolder,
  type Running,
  type RunningBroker,
  runCommand,
  runProgram,
  startBroker,
  startCommand,
  startProgram,
} from "./program.ts";

type Tool = "pub" | "sub" | "rr";

/** The same options on both: ours and mosquitto's. */
interface Kind {
  title: string;
  /** Exit code of a 5.0 publisher whose message is larger than the broker takes: mosquitto's drops it itself. */
  tooLargeCode: number;
  start(context: TestContext, tool: Tool, words: readonly string[]): Running;
  run(context: TestContext, tool: Tool, words: readonly string[], input?: string): ReturnType<typeof runProgram>;
}

const OURS: Kind = {
  title: "mqtt-broker",
  tooLargeCode: 7,
  start: (context, tool, words) => startProgram(context, [tool, ...words]),
  run: (context, tool, words, input = "") => runProgram(context, [tool, ...words], { input }),
};

const MOSQUITTO: Kind = {
  title: "mosquitto",
  tooLargeCode: 0,
  // Into a pipe it would print nothing before its end.
  start: (context, tool, words) => startCommand(context, "stdbuf", ["-oL", `mosquitto_${tool}`, ...words]),
  run: (context, tool, words, input = "") => runCommand(context, `mosquitto_${tool}`, words, { input }),
};

const at = ({ port }: RunningBroker): string[] => ["-h", "localhost", "-p", String(port)];

/** Starts a subscriber and waits until its subscription stands. */
async function subscribe(
  context: TestContext,
  kind: Kind,
  broker: RunningBroker,
  words: readonly string[],
): Promise<Running> {
  const program = kind.start(context, "sub", [...at(broker), ...words, "-d"]);
  await program.saw("Subscribed (mid:");
  return program;
}

/** What a subscriber has printed but for the lines of -d. */
function printed(program: Running): string[] {
  return program.stdout.split("\n").filter((line) => line !== "" && !/^Client |^Subscribed |^ {2}/.test(line));
}

suite("the clients", { concurrency: 3 }, () => {
  for (const kind of [OURS, MOSQUITTO]) {
    for (const version of ["31", "311", "5"]) {
      const v = ["-V", version];

      test(`${kind.title} ${version}: -t test/topic -m "Hello MQTT" arrives with every QoS`, async (context) => {
        const broker = await startBroker(context);
        const words = ["-i", "subscriber1", "-t", "test/topic", "-q", "2", "-C", "3", "-F", "%q %t %p"];
        const subscriber = await subscribe(context, kind, broker, [...v, ...words]);
        for (const qos of ["0", "1", "2"]) {
          const publish = ["-i", "publisher1", "-t", "test/topic", "-m", "Hello MQTT", "-q", qos];
          const { result, stderr } = await kind.run(context, "pub", [...at(broker), ...v, ...publish]);
          assert.equal(result.code, 0, stderr);
        }
        assert.equal((await subscriber.ended).code, 0);
        assert.deepEqual(
          printed(subscriber),
          ["0", "1", "2"].map((qos) => `${qos} test/topic Hello MQTT`),
        );
      });

      test(`${kind.title} ${version}: -r keeps a message for later subscribers, -n takes it away`, async (context) => {
        const broker = await startBroker(context);
        const publish = (...words: string[]) =>
          kind.run(context, "pub", [...at(broker), ...v, "-r", "-t", "r/1", ...words]);
        const read = () => kind.run(context, "sub", [...at(broker), ...v, "-t", "r/#", "-F", "%r %p", "-W", "1"]);
        await publish("-m", "kept");
        const once = [...at(broker), ...v, "-t", "r/#", "-F", "%r %p", "-C", "1"];
        assert.equal((await kind.run(context, "sub", once)).stdout, "1 kept\n");
        await publish("-n");
        const { result, stdout } = await read();
        assert.equal(stdout, "");
        assert.equal(result.code, 27);
      });

      test(`${kind.title} ${version}: a stored session is kept for who comes back, in order`, async (context) => {
        const broker = await startBroker(context);
        const keeps = version === "5" ? ["-c", "-x", "60"] : ["-c"];
        const session = ["-i", "keeper", ...keeps, "-t", "q", "-q", "1"];
        assert.equal((await kind.run(context, "sub", [...at(broker), ...v, ...session, "-E"])).result.code, 0);
        const lines = Array.from({ length: 25 }, (_, index) => String(index));
        const publish = [...at(broker), ...v, "-t", "q", "-q", "1", "-l"];
        assert.equal((await kind.run(context, "pub", publish, `${lines.join("\n")}\n`)).result.code, 0);
        const { result, stdout } = await kind.run(context, "sub", [...at(broker), ...v, ...session, "-C", "25"]);
        assert.equal(result.code, 0);
        assert.deepEqual(stdout.trimEnd().split("\n"), lines);
      });

      test(`${kind.title} ${version}: the will of a client that was killed is sent, that of one that left is not`, async (context) => {
        const broker = await startBroker(context);
        const watcher = await subscribe(context, MOSQUITTO, broker, ["-t", "will/#", "-C", "1", "-F", "%t %p"]);
        const will = (name: string) => [
          ...v,
          "-i",
          name,
          "-t",
          "x",
          "--will-topic",
          `will/${name}`,
          "--will-payload",
          "gone",
          "--will-qos",
          "1",
        ];
        // By -E, since mosquitto_sub asks for its will by 0x04 when it is interrupted.
        await kind.run(context, "sub", [...at(broker), ...will("polite"), "-E"]);
        await broker.program.line("Client disconnected", ({ client }) => client === "polite");
        const killed = await subscribe(context, kind, broker, will("killed"));
        await killed.stop("SIGKILL");
        assert.equal((await watcher.ended).code, 0);
        assert.deepEqual(printed(watcher), ["will/killed gone"]);
      });

      test(`${kind.title} ${version}: $share divides messages among its members`, async (context) => {
        const broker = await startBroker(context);
        const member = () => subscribe(context, kind, broker, [...v, "-t", "$share/g/jobs", "-q", "1"]);
        const members = [await member(), await member()];
        const publish = [...at(broker), ...v, "-t", "jobs", "-q", "1", "-l"];
        await kind.run(context, "pub", publish, Array.from({ length: 20 }, (_, index) => `job${index}\n`).join(""));
        const all = () => members.flatMap(printed);
        await members[0]!.until(() => all().length >= 20, "twenty jobs");
        assert.equal(new Set(all()).size, 20);
        for (const one of members) assert.ok(printed(one).length > 0);
        for (const one of members) await one.stop();
        assert.equal(all().length, 20);
      });
    }

    test(`${kind.title} rr gets the answer to its request`, async (context) => {
      const broker = await startBroker(context);
      const server = await connect(broker.port);
      await server.subscribe("ask", { qos: 1 });
      const asking = kind.run(context, "rr", [
        ...at(broker),
        "-V",
        "5",
        "-t",
        "ask",
        "-e",
        "answer/1",
        "-m",
        "2+2",
        "-q",
        "1",
      ]);
      const { payload, properties } = await server.expect("publish", { topic: "ask" });
      assert.equal(payload, "2+2");
      assert.equal(properties.responseTopic, "answer/1");
      await server.publish(properties.responseTopic as string, "4", {
        qos: 1,
        properties: properties.correlationData === undefined ? {} : { correlationData: properties.correlationData },
      });
      const { result, stdout } = await asking;
      assert.equal(result.code, 0);
      assert.equal(stdout, "4\n");
    });

    test(`${kind.title}: a message of 1.5 MB arrives whole, one over the limit ends its publisher alone`, async (context) => {
      const broker = await startBroker(context);
      const folder = emptyFolder(context);
      for (const [name, bytes] of [
        ["large", 1_500_000],
        ["too-large", 2_200_000],
      ] as const) {
        writeFileSync(join(folder, name), Buffer.alloc(bytes, "x"));
      }
      const subscriber = await connect(broker.port, { version: 4 });
      await subscriber.subscribe("big/#", { qos: 1 });
      const publish = (name: string, version: string) =>
        kind.run(context, "pub", [
          ...at(broker),
          "-V",
          version,
          "-t",
          `big/${name}`,
          "-q",
          "1",
          "-f",
          join(folder, name),
        ]);
      assert.equal((await publish("large", "311")).result.code, 0);
      const { payload, messageId } = await subscriber.expect("publish", { topic: "big/large" });
      assert.equal(payload.length, 1_500_000);
      subscriber.send({ cmd: "puback", messageId });
      assert.equal((await publish("too-large", "5")).result.code, kind.tooLargeCode);
      await subscriber.expectNothing();
    });
  }

  test("mosquitto 311: a message over the limit is refused with the reason in the log", async (context) => {
    const broker = await startBroker(context, ["--tcp-port", "0", "--mqtt-maximum-packet-size", "1KiB"]);
    const words = [...at(broker), "-V", "311", "-i", "big", "-t", "t", "-m", "x".repeat(2000), "-q", "1"];
    const publisher = startCommand(context, "mosquitto_pub", words);
    const line = await broker.program.line("Client disconnected", ({ client }) => client === "big");
    assert.match(String(line.reason), /0x95/);
    await publisher.stop("SIGKILL");
  });

  test("mosquitto: more messages than --limit queuedMessages: the oldest are given up, the log says so", async (context) => {
    const broker = await startBroker(context, ["--tcp-port", "0", "--limit", "queuedMessages=10"]);
    const session = [...at(broker), "-i", "keeper", "-c", "-t", "q", "-q", "1"];
    await MOSQUITTO.run(context, "sub", [...session, "-E"]);
    const lines = Array.from({ length: 15 }, (_, index) => String(index));
    await MOSQUITTO.run(context, "pub", [...at(broker), "-t", "q", "-q", "1", "-l"], `${lines.join("\n")}\n`);
    const { stdout } = await MOSQUITTO.run(context, "sub", [...session, "-C", "10"]);
    assert.deepEqual(stdout.trimEnd().split("\n"), lines.slice(5));
    const line = await broker.program.line("Dropping messages for a client", ({ client }) => client === "keeper");
    assert.equal(line.reason, "queueFull");
  });
});
