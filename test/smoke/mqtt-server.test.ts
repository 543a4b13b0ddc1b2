/** The command lines in the documents of ZindGH/MQTT-Server: its server with config.yaml, its interactive client. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connect } from "../support/raw-client.ts";
import { isRefused, wordsOf } from "./command-line.ts";
import { emptyFolder, type Running, runProgram, startBroker, startProgram } from "./program.ts";

/** Every key of the documented config.yaml with its documented value, but for the port, which is a free one. */
const CONFIG = `server:
  host: "127.0.0.1"
  port: PORT
  keep_alive: 60s
  write_timeout: 10s
  read_timeout: 30s
  clean_session_default: false
tls:
  enabled: false
  cert_file: "certs/server.crt"
  key_file: "certs/server.key"
  ca_file: "certs/ca.crt"
auth:
  enabled: false
  allow_anonymous: true
  require_client_certs: false
  username_password_file: ""
storage:
  backend: "bbolt"
  path: "./data/mqtt.db"
limits:
  max_clients: 1000
  max_message_size: 262144
  max_inflight_messages: 100
  retained_messages: true
qos:
  max_qos: 1
  retry_interval: 10s
  max_retries: 3
logging:
  level: "info"
  format: "text"
  output: "stdout"
metrics:
  enabled: true
  port: 9090
  path: "/metrics"
`;

/** A port that nobody listens on just now: this configuration has no word for "any". */
async function configuration(context: TestContext, change: (text: string) => string = (text) => text): Promise<string> {
  const folder = emptyFolder(context);
  mkdirSync(join(folder, "config"));
  const { program, port } = await startBroker(context);
  await program.stop();
  const text = change(CONFIG.replace("PORT", String(port)));
  writeFileSync(join(folder, "config", "config.yaml"), text);
  writeFileSync(join(folder, "custom.yaml"), text);
  return folder;
}

const inMemory = (text: string): string => text.replace("bbolt", "memory");

async function passesMessage(port: number): Promise<void> {
  const subscriber = await connect(port, { version: 4 });
  await subscriber.subscribe("test/topic", { qos: 1 });
  const publisher = await connect(port, { version: 4 });
  await publisher.publish("test/topic", "Hello MQTT!", { qos: 1 });
  await subscriber.expect("publish", { topic: "test/topic", payload: "Hello MQTT!", qos: 1 });
  await publisher.disconnect();
  await subscriber.disconnect();
}

suite("MQTT-Server's server", { concurrency: 4 }, () => {
  test("mqtt-server takes up ./config/config.yaml by itself", async (context) => {
    const { program, port } = await startBroker(context, [], { cwd: await configuration(context, inMemory) });
    await passesMessage(port);
    const { properties } = (await connect(port)).connack;
    assert.equal(properties.maximumQoS, 1);
    assert.equal(properties.maximumPacketSize, 262144);
    assert.match(program.stdout, /Configuration read from config\/config\.yaml\n/);
    assert.match(program.stdout, /Listening on tcp:\/\/127\.0\.0\.1:\d+/);
    for (const key of ["clean_session_default", "retry_interval", "max_retries"]) {
      assert.match(program.stdout, new RegExp(`WARN +config/config\\.yaml:\\d+:\\d+: ${key} has no effect: `));
    }
    assert.match(program.stdout, /WARN .*Metrics over HTTP are not part of this version/);
  });

  for (const commandLine of ["-config custom.yaml", "--config custom.yaml", "-config=custom.yaml"]) {
    test(`mqtt-server ${commandLine} works`, async (context) => {
      const folder = await configuration(context, inMemory);
      const { program, port } = await startBroker(context, wordsOf(commandLine), { cwd: folder });
      await passesMessage(port);
      assert.equal((await program.stop()).code, 0);
    });
  }

  test("mqtt-server -config custom.yaml with its storage on disk keeps it where the file says", async (context) => {
    const cwd = await configuration(context, (text) => text.replace("./data/mqtt.db", "./kept/mqtt.db"));
    const { program, port } = await startBroker(context, ["-config", "custom.yaml"], { cwd });
    await passesMessage(port);
    await (await connect(port, { version: 4 })).publish("test/kept", "still there", { qos: 1, retain: true });
    assert.equal((await program.stop()).code, 0);
    assert.deepEqual(readdirSync(cwd).sort(), ["config", "custom.yaml", "kept"]);
    const again = await startBroker(context, ["-config", "custom.yaml"], { cwd });
    const subscriber = await connect(again.port, { version: 4 });
    await subscriber.subscribe("test/kept", { qos: 1 });
    await subscriber.expect("publish", { topic: "test/kept", payload: "still there", retain: true });
  });

  test("mqtt-server -config custom.yaml --store memory keeps nothing", async (context) => {
    const cwd = await configuration(context);
    const { port, program } = await startBroker(context, ["-config", "custom.yaml", "--store", "memory"], { cwd });
    await passesMessage(port);
    assert.equal((await program.stop()).code, 0);
    assert.deepEqual(readdirSync(cwd).sort(), ["config", "custom.yaml"]);
  });

  test("mqtt-server -config custom.yaml with TLS and no certificate is refused, never served as plaintext", async (context) => {
    const folder = await configuration(context, (text) => inMemory(text).replace("enabled: false", "enabled: true"));
    const { result, stdout, stderr } = await runProgram(context, ["-config", "custom.yaml"], { cwd: folder });
    assert.equal(result.code, 1);
    const file = join(folder, "certs/server.crt");
    assert.ok(stdout.includes(`Cannot read the certificate ${file}: there is no such file`), stdout + stderr);
    assert.doesNotMatch(stdout, /Listening on/);
  });

  isRefused("-config path/to/config.yaml", ["-config: path/to/config.yaml does not exist"]);
});

suite("MQTT-Server's interactive client", { concurrency: 4 }, () => {
  const client = async (context: TestContext, words: readonly string[]): Promise<Running> => {
    const program = startProgram(context, ["client", ...words]);
    await program.saw("Connected to");
    return program;
  };

  test("mqtt-client -client subscriber1 and -client publisher1: the first conversation", async (context) => {
    const { port } = await startBroker(context);
    const broker = ["-broker", `tcp://localhost:${port}`];
    const subscriber = await client(context, [...broker, "-client", "subscriber1"]);
    subscriber.type("sub test/messages 0");
    await subscriber.saw("Subscribed to test/messages (QoS 0)");
    const publisher = await client(context, [...broker, "-client", "publisher1"]);
    publisher.type('pub test/messages "Hello, MQTT!"');
    await publisher.saw("Published to test/messages (QoS 0)");
    await subscriber.saw("test/messages (QoS 0): Hello, MQTT!");
    publisher.type("exit");
    assert.equal((await publisher.ended).code, 0);
    subscriber.type("q");
    assert.equal((await subscriber.ended).code, 0);
  });

  test("mqtt-client: every documented command", async (context) => {
    const { port } = await startBroker(context);
    const program = await client(context, ["-broker", `tcp://127.0.0.1:${port}`, "-client", "my-client-id"]);
    for (const [line, answer] of [
      ["status", "Connected\n"],
      ["subscribe sensors/temperature", "Subscribed to sensors/temperature (QoS 0)"],
      ["sub sensors/+/temperature 1", "Subscribed to sensors/+/temperature (QoS 1)"],
      ["sub home/# 2", "Subscribed to home/# (QoS 2)"],
      ["pub sensors/temperature 25.5", "sensors/temperature (QoS 0): 25.5"],
      ["pub sensors/room1/temperature 22.3 1", "sensors/room1/temperature (QoS 1): 22.3"],
      ["pub home/status online 0 retain", "Published to home/status (QoS 0, retained)"],
      ["pub home/fire Emergency! 2 r", "home/fire (QoS 2): Emergency!"],
      ["unsubscribe sensors/temperature", "Unsubscribed from sensors/temperature"],
      ["unsub home/#", "Unsubscribed from home/#"],
      ["sub home/status", "home/status (QoS 0, retained): online"],
      ['pub home/status "" 0 retain', "home/status (QoS 0): \n"],
      ["h", "Commands:"],
    ] as const) {
      program.type(line);
      await program.saw(answer);
    }
    program.type("quit");
    assert.equal((await program.ended).code, 0);
  });

  test("mqtt-client -qos 1 publishes and subscribes with QoS 1", async (context) => {
    const { port } = await startBroker(context);
    const program = await client(context, ["-broker", `tcp://127.0.0.1:${port}`, "-qos", "1"]);
    program.type("sub test/qos1");
    await program.saw("Subscribed to test/qos1 (QoS 1)");
    program.type('pub test/qos1 "Acknowledged delivery"');
    await program.saw("test/qos1 (QoS 1): Acknowledged delivery");
  });

  test("mqtt-client -user myuser -pass mypass connects, and the log names the user but not the password", async (context) => {
    const { program: broker, port } = await startBroker(context, ["--tcp-port", "0", "--log-level", "trace"]);
    await client(context, ["-broker", `tcp://127.0.0.1:${port}`, "-user", "myuser", "-pass", "mypass"]);
    const line = await broker.line("Client connected");
    assert.equal(line.user, "myuser");
    assert.equal(line.client, "demo-client");
    assert.equal(broker.stdout.includes("mypass"), false);
  });

  test("mqtt-client without a broker says whom it could not reach", async (context) => {
    const { program, port } = await startBroker(context);
    await program.stop();
    const { result, stderr } = await runProgram(context, ["client", "-broker", `tcp://127.0.0.1:${port}`]);
    assert.notEqual(result.code, 0);
    assert.match(stderr, /refused/i);
  });
});
