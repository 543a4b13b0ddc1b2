import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { runClient } from "../../src/cli/client.ts";
import { type BrokerUnderTest, startBroker } from "../support/broker-under-test.ts";
import { asProcess, ours, type Running, real, start } from "./clients-kit.ts";

describe("client", { concurrency: 4 }, () => {
  let broker: BrokerUnderTest;
  let guarded: BrokerUnderTest;
  let url: string;

  before(async () => {
    [broker, guarded] = await Promise.all([startBroker(), startBroker({ users: { alice: "secret" } })]);
    url = `tcp://127.0.0.1:${broker.port}`;
  });
  after(() => Promise.all([broker.stop(), guarded.stop()]));

  async function opened(name: string, ...words: string[]): Promise<Running> {
    const client = start(runClient, ["-broker", url, "-client", name, ...words]);
    await client.saw(`Connected to ${url} as ${name}\n`);
    return client;
  }

  /** What a list of commands prints after the help. */
  async function answers(name: string, commands: string[], ...words: string[]): Promise<string[]> {
    const argv = ["-broker", url, "-client", name, ...words];
    const { code, stdout, stderr } = await ours(runClient, argv, `${commands.join("\n")}\n`);
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.toString().trimEnd().split("\n");
    return lines.slice(lines.findIndex((line) => line.startsWith("  exit ")) + 1);
  }

  it("subscribes, shows messages, unsubscribes", async () => {
    const client = await opened("talk");
    client.stdin.write("sub talk/# 1\n");
    await client.saw("Subscribed to talk/# (QoS 1)\n");
    await real("mosquitto_pub", ["-h", "127.0.0.1", "-p", String(broker.port), "-t", "talk/a", "-m", "hé", "-q", "1"]);
    await client.saw("talk/a (QoS 1): hé\n");
    client.stdin.write("unsub talk/#\nexit\n");
    const { code, stdout } = await client.result;
    assert.equal(code, 0);
    assert.match(stdout.toString(), /\nUnsubscribed from talk\/#\n$/);
  });

  it("publishes with the QoS and RETAIN at the end of the line, and takes the rest as it is", async () => {
    const sent: [line: string, said: string, payload: string][] = [
      ["pub say/1 25.5", "say/1 (QoS 0)", "25.5"],
      ["publish say/2 22.3 1 retain", "say/2 (QoS 1, retained)", "22.3"],
      ["PUB say/3 two  words 2 R", "say/3 (QoS 2, retained)", "two  words"],
      ["pub say/4 1", "say/4 (QoS 0)", "1"],
      ["pub say/5 retain", "say/5 (QoS 0)", "retain"],
      ['pub say/6 "quoted 1" 1', "say/6 (QoS 1)", "quoted 1"],
      ['pub say/7 "" 0 retain', "say/7 (QoS 0, retained)", ""],
      ["pub say/8 7 3", "say/8 (QoS 0)", "7 3"],
    ];
    const lines = await answers("say", ["sub say/# 2", ...sent.map(([line]) => line), "status"]);
    assert.deepEqual(
      lines.filter((line) => line.startsWith("Published")),
      sent.map(([, said]) => `Published to ${said}`),
    );
    const shown = lines.filter((line) => line.startsWith("say/")).map((line) => line.replace(/^.*?: ?/, ""));
    assert.deepEqual(shown.sort(), sent.map(([, , payload]) => payload).sort());
  });

  it("uses -qos where a command names none", async () => {
    assert.deepEqual(await answers("qos", ["sub default/#", "pub default2/x y", "quit"], "--qos=2"), [
      "Subscribed to default/# (QoS 2)",
      "Published to default2/x (QoS 2)",
    ]);
  });

  it("says what is wrong with a command, and goes on", async () => {
    const commands = [
      "satus",
      "frob",
      "",
      "pub",
      "pub x",
      "pub a/+ x",
      "sub",
      "sub a 3",
      "sub a/#/b",
      "unsub",
      "s",
      "h",
      "q",
    ];
    assert.deepEqual((await answers("wrong", commands)).slice(0, 10), [
      "Unknown command satus: did you mean status?",
      "Unknown command frob: try help",
      "Usage: pub TOPIC MESSAGE [QOS] [retain]",
      "Usage: pub TOPIC MESSAGE [QOS] [retain]",
      '"a/+" has a wildcard',
      "Usage: sub FILTER [QOS]",
      "Usage: sub FILTER [QOS]",
      '"a/#/b" is no Topic Filter; look at its wildcards',
      "Usage: unsub FILTER",
      "Connected",
    ]);
  });

  it("shows the control characters of a payload instead of sending them to the terminal", async () => {
    const lines = await answers("control", ["sub control", "pub control \x1b[2Jx", "pub control2 x 1"]);
    assert.ok(lines.includes("control (QoS 0): \\x1b[2Jx"), lines.join("\n"));
  });

  it("keeps the session of its client identifier", async () => {
    await answers("kept", ["sub kept 1"]);
    const argv = ["-h", "127.0.0.1", "-p", String(broker.port), "-t", "kept", "-m", "waited", "-q", "1"];
    await real("mosquitto_pub", argv);
    const client = await opened("kept");
    await client.saw("kept (QoS 1): waited\n");
    client.interrupt();
    assert.equal((await client.result).code, 0);
  });

  it("ends with the broker's code when it is refused", async () => {
    const { code, stderr } = await ours(runClient, ["-broker", `mqtt://127.0.0.1:${guarded.port}`]);
    assert.deepEqual([code, stderr], [5, "Connection error: Connection Refused: not authorised.\n"]);
  });

  it("names itself with -user and -pass", async () => {
    const argv = ["-broker", `mqtt://127.0.0.1:${guarded.port}`, "-user", "alice", "-pass", "secret"];
    const { code, stdout } = await ours(runClient, argv, "status\n");
    assert.equal(code, 0);
    assert.match(stdout.toString(), /\nConnected\n$/);
  });

  it("ends with 1 when nobody listens", async () => {
    const { code, stderr } = await ours(runClient, ["-broker", "tcp://127.0.0.1:1"]);
    assert.deepEqual([code, stderr], [1, "Error: Connection refused\n"]);
  });

  it("works on a terminal: a prompt, what is typed, messages above it, Ctrl-C", async () => {
    const words = [...asProcess("runClient", "client.ts"), "-broker", url, "-client", "terminal"];
    // script(1) gives its child a terminal of its own.
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const child = spawn("script", ["-qec", quoted, "/dev/null"], { env: { ...process.env, TERM: "xterm" } });
    const closed = once(child, "close");
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const saw = async (text: string): Promise<void> => {
      const deadline = Date.now() + 5_000;
      while (!seen.includes(text)) {
        assert.ok(Date.now() < deadline, `No ${JSON.stringify(text)} in ${JSON.stringify(seen)}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await saw("> ");
    child.stdin.write("sub terminal/#\r");
    await saw("Subscribed to terminal/# (QoS 0)");
    child.stdin.write("half a li");
    await saw("half a li");
    await real("mosquitto_pub", ["-h", "127.0.0.1", "-p", String(broker.port), "-t", "terminal/x", "-m", "hello"]);
    await saw("\r\x1b[Kterminal/x (QoS 0): hello\r\n");
    child.stdin.write("\x03");
    const [code] = await closed;
    assert.equal(code, 0);
    // What was being typed is drawn again below the message.
    assert.match(seen.slice(seen.indexOf("hello\r\n")), /> half a li/);
  });
});
