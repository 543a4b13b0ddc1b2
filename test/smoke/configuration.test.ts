import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { connect } from "../support/raw-client.ts";
import { emptyFolder, runProgram, startBroker } from "./program.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

suite("where settings come from", { concurrency: 2 }, () => {
  test("an option beats the environment, that beats conf.d, that beats the file, that beats the default", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(
      join(cwd, "mqtt-broker.json5"),
      "{ mqtt: { receiveMaximum: 1, maximumQos: 1, topicAliasMaximum: 1, serverKeepAlive: 1 } } // all four\n",
    );
    mkdirSync(join(cwd, "conf.d"));
    writeFileSync(
      join(cwd, "conf.d", "10.json5"),
      "{ mqtt: { receiveMaximum: 2, topicAliasMaximum: 2, serverKeepAlive: 2 } }",
    );
    const { program, port } = await startBroker(context, ["--tcp-port", "0", "--mqtt-server-keep-alive", "4"], {
      cwd,
      env: {
        MQTT_BROKER_TCP_PORT: "65000",
        MQTT_BROKER_MQTT_RECEIVE_MAXIMUM: "3",
        MQTT_BROKER_MQTT_SERVER_KEEP_ALIVE: "3",
      },
    });
    const { properties } = (await connect(port)).connack;
    assert.equal(properties.maximumQoS, 1);
    assert.equal(properties.topicAliasMaximum, 2);
    assert.equal(properties.receiveMaximum, 3);
    assert.equal(properties.serverKeepAlive, 4);
    assert.equal(properties.maximumPacketSize, 2 * 1024 * 1024);
    assert.deepEqual(
      program.lines.filter(({ message }) => message.startsWith("Configuration")).map(({ message }) => message),
      ["Configuration read from mqtt-broker.json5", "Configuration read from conf.d/10.json5"],
    );
  });

  test("the environment alone starts it", async (context) => {
    const env = { MQTT_BROKER_TCP_PORT: "0, 0", MQTT_BROKER_LIMIT: "clients=7", MQTT_BROKER_LOG_FORMAT: "text" };
    const { program, ports } = await startBroker(context, [], { env, listeners: 2 });
    assert.notEqual(ports[0], ports[1]);
    assert.match(program.stdout, /Listening on .* listener=tcp\n/);
    assert.match(program.stdout, /Listening on .* listener=tcp-2\n/);
  });

  test("an environment name that is no option's is warned of, with the nearest; MQTT_BROKER_MDNS is not", async (context) => {
    const env = { MQTT_BROKER_TPC_PORT: "1", MQTT_BROKER_MDNS: "off" };
    const { program } = await startBroker(context, ["--tcp-port", "0"], { env });
    const warnings = program.lines.filter(({ level, message }) => level === "warn" && message.includes("MQTT_BROKER_"));
    assert.deepEqual(
      warnings.map(({ message }) => message),
      ["Environment variable MQTT_BROKER_TPC_PORT is no option's: ignored"],
    );
  });

  test("a bad value in the environment ends it with 2 and the variable's name", async (context) => {
    const { result, stderr } = await runProgram(context, [], { env: { MQTT_BROKER_TCP_PORT: "http" } });
    assert.equal(result.code, 2);
    assert.match(stderr, /MQTT_BROKER_TCP_PORT needs a whole number from 0 to 65,535, not "http"|--tcp-port needs/);
  });

  test("$CONFIGURATION_DIRECTORY of systemd comes before the working directory", async (context) => {
    const cwd = emptyFolder(context);
    const directory = emptyFolder(context);
    writeFileSync(join(cwd, "mqtt-broker.json5"), "{ mqtt: { maximumQos: 0 } }");
    writeFileSync(join(directory, "mqtt-broker.json5"), "{ listeners: [{ port: 0 }], mqtt: { maximumQos: 1 } }");
    const { program, port } = await startBroker(context, [], { cwd, env: { CONFIGURATION_DIRECTORY: directory } });
    assert.equal((await connect(port)).connack.properties.maximumQoS, 1);
    await program.line(`Configuration read from ${directory}/mqtt-broker.json5`);
  });

  test("a plugin is loaded and sees the clients", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(
      join(cwd, "refuse.mjs"),
      'export const hook = { name: "refuse", onConnectAuthenticate: (client) => client.clientId !== "eve" };\n',
    );
    const { port } = await startBroker(context, ["--tcp-port", "0", "--plugin", "refuse.mjs"], { cwd });
    await (await connect(port, { clientId: "alice" })).disconnect();
    await assert.rejects(connect(port, { clientId: "eve" }));
  });
});

suite("check, --help and --version", { concurrency: 2 }, () => {
  test("check of a good configuration exits with 0, says what would listen, and opens nothing", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(join(cwd, "a.json5"), "{ listeners: [{ host: '127.0.0.1', port: 1883 }, { host: '::', port: 0 }] }");
    const { result, stdout, stderr } = await runProgram(context, ["check", "--config", "a.json5"], { cwd });
    assert.equal(result.code, 0);
    assert.equal(stderr, "");
    assert.match(stdout, /^Configuration is valid\nFiles read: a\.json5\n/);
    assert.match(stdout, /Would listen on tcp:\/\/127\.0\.0\.1:1883\nWould listen on tcp:\/\/\[::\]:\(a free port\)\n/);
    assert.match(stdout, /Clients without a user name: from this machine only\n/);
  });

  test("check of a port in use is still good: it opens nothing", async (context) => {
    const { port } = await startBroker(context);
    const { result } = await runProgram(context, ["check", "--tcp-port", String(port)]);
    assert.equal(result.code, 0);
  });

  test("check of a bad configuration exits with 2 and names every mistake with its place", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(join(cwd, "a.json5"), "{\n  mqtt: { retian: true },\n  log: { level: 'loud' },\n}\n");
    const { result, stdout } = await runProgram(context, ["check", "--config", "a.json5", "--tcp-port", "x"], { cwd });
    assert.equal(result.code, 2);
    assert.match(stdout, /--tcp-port needs/);
    assert.match(stdout, /a\.json5:2:11: Unknown key "retian"/);
    assert.match(stdout, /a\.json5:3:17: log\.level must be/);
    assert.match(stdout, /Configuration is not valid: 3 errors\n$/);
  });

  for (const words of [["--help"], ["-h"], ["help"], ["run", "--help"], ["--tcp-port", "1", "--help"]]) {
    test(`${words.join(" ")} prints the options and exits with 0`, async (context) => {
      const { result, stdout, stderr } = await runProgram(context, words);
      assert.equal(result.code, 0);
      assert.equal(stderr, "");
      assert.match(stdout, /^mqtt-broker: an MQTT 3\.1, 3\.1\.1 and 5\.0 broker\n/);
      assert.match(stdout, /\n {2}--tcp-port PORT /);
    });
  }

  for (const command of ["pub", "sub", "rr", "client"]) {
    test(`${command} --help prints its own options and exits with 0`, async (context) => {
      const { result, stdout } = await runProgram(context, [command, "--help"]);
      assert.equal(result.code, 0);
      assert.match(stdout, new RegExp(`^Usage: mqtt-broker ${command} `));
    });
  }

  for (const word of ["--version", "-V", "version"]) {
    test(`${word} prints the version of package.json and exits with 0`, async (context) => {
      const { result, stdout } = await runProgram(context, [word]);
      assert.equal(result.code, 0);
      assert.equal(stdout, `mqtt-broker ${version}\n`);
    });
  }
});
