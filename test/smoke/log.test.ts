import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, dial, RawClient } from "../support/raw-client.ts";
import { type LogLine, type RunningBroker, startBroker, startProgram } from "./program.ts";

const PASSWORD = "correct horse";
const PAYLOAD = "a payload of forty bytes, or a bit more!";

/** A client connects, subscribes, publishes with every QoS, and leaves. */
async function converse(port: number): Promise<RawClient> {
  const client = await connect(port, {
    clientId: "alice",
    username: "smith",
    password: PASSWORD,
    will: { topic: "will/alice", payload: `will of ${PAYLOAD}` },
  });
  await client.subscribe("rooms/+", { qos: 2 });
  for (const qos of [0, 1, 2] as const) {
    await client.publish("rooms/kitchen", PAYLOAD, { qos });
    const { messageId } = await client.expect("publish", { topic: "rooms/kitchen", payload: PAYLOAD, qos });
    if (qos === 1) client.send({ cmd: "puback", messageId });
    if (qos !== 2) continue;
    client.send({ cmd: "pubrec", messageId });
    await client.expect("pubrel", { messageId });
    client.send({ cmd: "pubcomp", messageId });
  }
  await client.unsubscribe("rooms/+");
  await client.settle();
  await client.disconnect();
  return client;
}

function namesAlice({ client, user, address, listener }: LogLine): void {
  assert.equal(client, "alice");
  assert.equal(user, "smith");
  assert.match(String(address), /^127\.0\.0\.1:\d+$/);
  assert.equal(listener, "tcp");
}

suite("the log", { concurrency: 2 }, () => {
  test("info has a line for each coming and going, which names client, user, address, listener and reason", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--log-level", "info"]);
    await converse(port);
    const connected = await program.line("Client connected");
    namesAlice(connected);
    assert.equal(connected.level, "info");
    assert.equal(connected.version, "5.0");
    assert.ok(!Number.isNaN(Date.parse(connected.time)));
    const disconnected = await program.line("Client disconnected");
    namesAlice(disconnected);
    assert.equal(disconnected.address, connected.address);
    assert.match(String(disconnected.reason), /^disconnected, /);
    await program.stop();
    // Nothing else is said of a client that does nothing wrong.
    const ofAlice = program.lines.filter(({ client }) => client === "alice").map(({ message }) => message);
    assert.deepEqual(ofAlice, ["Client connected", "Client disconnected"]);
  });

  for (const [title, misbehave, reason] of [
    ["goes without DISCONNECT", (client: RawClient) => client.halfClose(), /^closed by the client$/],
    ["resets the connection", (client: RawClient) => client.drop(), /ECONNRESET/],
    ["breaks the protocol", (client: RawClient) => client.sendBytes("f1 00"), /\(.*0x8[12]\)|MQTT-/],
  ] as const) {
    test(`the reason is named when a client ${title}`, async (context) => {
      const { program, port } = await startBroker(context);
      const client = await connect(port, { clientId: "alice", username: "smith", password: PASSWORD });
      await misbehave(client);
      const line = await program.line("Client disconnected");
      namesAlice(line);
      assert.match(String(line.reason), reason);
    });
  }

  test("a refused connection is warned of with address, listener and reason", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--allow-anonymous=false"]);
    const client = await dial(port, { clientId: "alice", username: "smith", password: PASSWORD });
    await client.expectConnackRefusal(0x87);
    const line = await program.line("Connection refused");
    assert.equal(line.level, "warn");
    namesAlice(line);
    assert.match(String(line.reason), /lets in nobody without a user/);
    (await RawClient.open(port)).sendBytes("474554202f20485454502f312e310d0a0d0a");
    const stranger = await program.line("Connection refused", ({ client: name }) => name === "");
    assert.match(String(stranger.address), /^127\.0\.0\.1:\d+$/);
    assert.match(String(stranger.reason), /\S/);
  });

  test("debug shows every packet of a conversation with its topic, but no payload and no password", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--log-level", "debug"]);
    await converse(port);
    await program.line("Client disconnected");
    const packets = program.lines.filter(({ message }) => / (?:received|sent)$/.test(message));
    const count = (message: string) => packets.filter((line) => line.message === message).length;
    for (const [message, times] of [
      ["CONNECT received", 1],
      ["CONNACK sent", 1],
      ["SUBSCRIBE received", 1],
      ["SUBACK sent", 1],
      ["PUBLISH received", 3],
      ["PUBLISH sent", 3],
      ["PUBACK sent", 1],
      ["PUBACK received", 1],
      ["PUBREC sent", 1],
      ["PUBREL received", 1],
      ["PUBCOMP sent", 1],
      ["PUBREC received", 1],
      ["PUBREL sent", 1],
      ["PUBCOMP received", 1],
      ["UNSUBSCRIBE received", 1],
      ["UNSUBACK sent", 1],
      ["PINGRESP sent", 2],
      ["DISCONNECT received", 1],
    ] as const) {
      assert.equal(count(message), times, message);
    }
    for (const line of packets.filter(({ message }) => message.startsWith("PUBLISH"))) {
      namesAlice(line);
      assert.equal(line.topic, "rooms/kitchen");
      assert.equal(line.bytes, PAYLOAD.length);
      assert.equal(line.payload, undefined);
    }
    assert.equal(packets.find(({ message }) => message.startsWith("SUBSCRIBE"))!.filters, "rooms/+:2");
    assert.equal(program.stdout.includes(PASSWORD), false);
    assert.equal(program.stdout.includes("a payload"), false);
  });

  test("--log-payload-bytes shows so much of the payloads, and still no password", async (context) => {
    const words = ["--tcp-port", "0", "--log-level", "trace", "--log-payload-bytes", "9"];
    const { program, port } = await startBroker(context, words);
    await converse(port);
    await program.line("Client disconnected");
    const shown = program.lines.filter(({ message }) => message.startsWith("PUBLISH")).map(({ payload }) => payload);
    assert.deepEqual(shown, Array(6).fill("a payload…"));
    assert.equal(program.stdout.includes(PASSWORD), false);
  });

  test("warn leaves out clients that do nothing wrong, error even the refused ones", async (context) => {
    for (const [level, messages] of [
      ["warn", ["Connection refused"]],
      ["error", []],
    ] as const) {
      const { program, port } = await startQuietly(context, level);
      await (await connect(port)).disconnect();
      const bad = await RawClient.open(port);
      bad.sendBytes("c000");
      await bad.expectClose();
      await program.stop();
      const own = program.lines.map(({ message }) => message).filter((message) => !/open files/.test(message));
      assert.deepEqual(own, messages);
    }
  });

  test("text has one line each, with time, level and fields that cannot be forged", async (context) => {
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--log-format", "text"]);
    await (await connect(port, { clientId: 'two words\u2028"x"=1', username: "smith" })).disconnect();
    await program.saw("Client disconnected");
    const line = program.stdout.split("\n").find((text) => text.includes("Client connected"))!;
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO {2}Client connected client="two words/);
    assert.ok(line.includes('client="two words\\u2028\\"x\\"=1" user=smith address=127.0.0.1:'), line);
    assert.ok(line.includes(" listener=tcp "), line);
  });

  test("json is one object a line, also for what has no fields", async (context) => {
    const { program } = await startBroker(context, ["--tcp-port", "0", "--log-format", "json"]);
    await program.stop();
    for (const text of program.stdout.trimEnd().split("\n")) {
      const { time, level, message } = JSON.parse(text) as LogLine;
      assert.ok(!Number.isNaN(Date.parse(time)) && level !== "" && message !== "", text);
    }
  });
});

/** At these levels nothing says where it listens: a port that was free a moment ago must do. */
async function startQuietly(context: TestContext, level: string): Promise<RunningBroker> {
  const { program: before, port } = await startBroker(context);
  await before.stop();
  const program = startProgram(context, ["--tcp-port", String(port), "--log-level", level]);
  for (;;) {
    const client = await connect(port).catch(() => undefined);
    await client?.disconnect();
    if (client !== undefined) return { program, port, ports: [port] };
    await sleep(20);
  }
}
