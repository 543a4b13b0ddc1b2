import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectOptions, connect as connectTo, dial as dialTo, type RawClient } from "../support/raw-client.ts";
import { assertExamples, type Installed, install, manifest, ROOT } from "./installed.ts";
import { type Program, startProgram } from "./program.ts";

let installed: Installed;

before(() => {
  installed = install();
});
after(() => installed?.remove());

/** Runs an example, or with `main` the broker's program, on a free port. */
function start(context: TestContext, ...words: string[]): Program {
  return startProgram(context, process.execPath, words, { cwd: installed.folder, env: { PORT: "0" } });
}

async function connect(context: TestContext, port: number, options?: ConnectOptions): Promise<RawClient> {
  const client = await connectTo(port, options);
  context.after(() => client.socket.destroy());
  return client;
}

async function dial(context: TestContext, port: number, options?: ConnectOptions): Promise<RawClient> {
  const client = await dialTo(port, options);
  context.after(() => client.socket.destroy());
  return client;
}

/** Adds a user to an example's file, as the comment in it says. */
function passwd(name: string, group: string, file: string): void {
  const words = [installed.main, "passwd", "add", name, "--group", group, "--auth-file", file, "--password-stdin"];
  execFileSync(process.execPath, words, {
    cwd: installed.folder,
    input: "open sesame",
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Connects as soon as the broker has taken up that it may. */
async function eventually(context: TestContext, port: number, options: ConnectOptions): Promise<RawClient> {
  for (let tries = 1; ; tries++) {
    try {
      return await connect(context, port, options);
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(100);
    }
  }
}

/** A JSON Web Token, RFC 7515 §7.1. */
function hs256(secret: string, claims: Record<string, unknown>): string {
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Clients of the outside world need programs that `npm test` installs first. */
function without(what: string): never {
  assert.fail(`This needs ${what}`);
}

suite("the package", () => {
  test("holds the built program, its licence and its documentation, and nothing else", () => {
    const others = installed.files.filter((path) => !/^dist\/[\w/-]+\.(?:js|d\.ts)$/.test(path));
    const expected = ["CHANGELOG.md", "LICENSE", "README.md", "auth.json5", "package.json"];
    assert.deepEqual(
      others.filter((path) => !expected.includes(path)),
      [],
    );
    for (const path of [
      "LICENSE",
      "package.json",
      "dist/src/library.js",
      "dist/src/library.d.ts",
      "dist/src/main.js",
    ]) {
      assert.ok(installed.files.includes(path), `${path} is missing`);
    }
  });

  test("has JavaScript and declarations of every source and of the stores' suite, and of none that is gone", () => {
    // What the executable and the image are made by has no use in it.
    const sources = ["src", "device/mdns", "device/serial"]
      .flatMap((folder) =>
        readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
      )
      .filter((path) => path.endsWith(".ts") && path !== "src/executable.ts")
      .concat("test/store/suite.ts")
      .flatMap((path) => [`dist/${path.slice(0, -3)}.js`, `dist/${path.slice(0, -3)}.d.ts`]);
    assert.deepEqual(
      installed.files.filter((path) => path.startsWith("dist/")),
      sources.sort(),
    );
  });

  test("has a program that can be executed, of the package's version", () => {
    accessSync(installed.main, constants.X_OK);
    const version = execFileSync(installed.main, ["--version"], { cwd: installed.folder, encoding: "utf8" });
    assert.equal(version, `mqtt-broker ${manifest().version}\n`);
  });

  test("loads every file without a devDependency", () => {
    // A program and two threads: they do what they are for when they are loaded.
    const entries = ["main.js", "listener-worker.js", "store/sqlite/worker.js"].map((path) => `dist/src/${path}`);
    const loads = installed.files
      .filter((path) => path.endsWith(".js") && !entries.includes(path))
      .map((path) => `await import('./node_modules/mqtt-broker/${path}');`);
    writeFileSync(join(installed.folder, "load-all.js"), `${loads.join("\n")}\nprocess.exit(0);\n`);
    execFileSync(process.execPath, ["load-all.js"], { cwd: installed.folder, stdio: ["ignore", "ignore", "inherit"] });
  });

  test("has types that the examples compile with", () => {
    const types = join(installed.folder, "node_modules/@types");
    mkdirSync(types, { recursive: true });
    symlinkSync(join(ROOT, "node_modules/@types/node"), join(types, "node"));
    const checks = { strict: true, noEmit: true, allowImportingTsExtensions: true };
    const compilerOptions = { target: "es2024", module: "nodenext", types: ["node"], ...checks };
    const include = ["*.ts"];
    writeFileSync(join(installed.folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include }));
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [compiler], { cwd: installed.folder, encoding: "utf8" });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  });
});

suite("the examples", () => {
  test("are all tested here", () => {
    const expected = ["broker.ts", "client-arduino", "client-mqttjs.ts", "client-paho.py", "custom-listener.ts"];
    expected.push("inline-publisher.ts", "ledger.ts", "paho-plugin.mjs", "paho.json5", "plugin.mjs");
    expected.push("rewrite-topics.ts", "log-store.ts", "log-store.test.ts", "own-store.ts", "serial");
    expected.push("auth-rules.ts", "auth-file.ts", "auth-home.json5", "auth-devices.json5");
    assertExamples(readdirSync(join(ROOT, "examples")), expected);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`broker.ts serves clients until ${signal}, which it tells them`, async (context) => {
      const program = start(context, "broker.ts");
      const client = await connect(context, await program.port());
      assert.deepEqual(await client.subscribe("t"), [0]);
      await client.publish("t", "x");
      await client.expect("publish", { topic: "t", payload: "x" });
      const ended = program.end(signal);
      await client.expectDisconnect(0x8b);
      assert.equal(await ended, 0);
    });
  }

  test("rewrite-topics.ts lets old and new names meet", async (context) => {
    const program = start(context, "rewrite-topics.ts");
    const port = await program.port();
    const [old, other] = [await connect(context, port), await connect(context, port)];
    assert.deepEqual(await old.subscribe("home/#"), [0]);
    assert.deepEqual(await other.subscribe("site/berlin/+"), [0]);
    await old.publish("home/door", "open");
    await other.expect("publish", { topic: "site/berlin/door", payload: "open" });
    await old.expect("publish", { topic: "site/berlin/door", payload: "open" });
    assert.deepEqual(await old.unsubscribe("home/#"), [0]);
    await other.publish("site/berlin/door", "shut");
    await old.expectNothing();
    assert.equal(await program.end(), 0);
  });

  test("inline-publisher.ts publishes the time, and obeys until it is told to stop", async (context) => {
    const program = start(context, "inline-publisher.ts");
    const client = await connect(context, await program.port());
    await client.subscribe([{ topic: "clock/now", qos: 1 }, { topic: "$SYS/example/started" }]);
    const first = await client.next();
    assert.equal(first.topic, "$SYS/example/started");
    assert.match((await client.expect("publish", { topic: "clock/now", qos: 1 })).payload, /^\d{4}-\d\d-\d\dT.*Z$/);
    client.sendPublish("command/light", "on");
    await program.shows(/^command\/light: on$/m);
    client.sendPublish("command/all", "stop");
    assert.equal(await program.exit(), 0);
  });

  test("log-store.test.ts holds the suite of the package against a store of one's own", () => {
    // Else it would speak to the runner of this test.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const words = ["--test-reporter=tap", "log-store.test.ts"];
    const { status, stdout } = spawnSync(process.execPath, words, { cwd: installed.folder, env, encoding: "utf8" });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^ok 1 - log: an empty store has nothing to read$/m);
    assert.match(stdout, /^# fail 0$/m);
  });

  test("own-store.ts finds what it acknowledged when it is killed and started again", async (context) => {
    const program = start(context, "own-store.ts");
    const client = await connect(context, await program.port());
    assert.equal(await client.publish("kept", "x", { qos: 1, retain: true }), 0x10);
    await program.end("SIGKILL");
    const second = start(context, "own-store.ts");
    const other = await connect(context, await second.port());
    await other.subscribe("kept");
    await other.expect("publish", { topic: "kept", payload: "x", retain: true });
    assert.equal(await second.end(), 0);
  });

  test("custom-listener.ts lets in who may", async (context) => {
    const program = start(context, "custom-listener.ts");
    const client = await connect(context, await program.port(), { version: 4 });
    await client.expectNothing();
    const ended = program.end();
    await client.expectClose();
    assert.equal(await ended, 0);
  });

  test("ledger.ts knows who may do what", async (context) => {
    const program = start(context, "ledger.ts");
    const port = await program.port();
    const refused: [options: ConnectOptions, code: number][] = [
      [{}, 0x87],
      [{ username: "sensor", password: "dry" }, 0x86],
      [{ username: "retired", password: "any" }, 0x86],
      [{ username: "somebody" }, 0x86],
    ];
    for (const [options, code] of refused) await (await dial(context, port, options)).expectConnackRefusal(code);
    const sensor = await connect(context, port, { username: "sensor", password: "wet" });
    const display = await connect(context, port, { username: "display" });
    const gardener = await connect(context, port, { username: "gardener", password: "green" });
    assert.deepEqual(await display.subscribe("greenhouse/#"), [0]);
    assert.deepEqual(await display.subscribe("#"), [0x87]);
    assert.deepEqual(await sensor.subscribe("greenhouse/#"), [0x87]);
    assert.equal(await sensor.publish("greenhouse/1/moisture", "40", { qos: 1 }), 0);
    await display.expect("publish", { topic: "greenhouse/1/moisture", payload: "40" });
    assert.equal(await sensor.publish("greenhouse/1/door", "open", { qos: 1 }), 0x87);
    assert.equal(await display.publish("greenhouse/1/door", "open", { qos: 1 }), 0x87);
    assert.equal(await gardener.publish("greenhouse/1/door", "open", { qos: 1 }), 0);
    assert.equal(await gardener.publish("house/1/door", "open", { qos: 1 }), 0x87);
    assert.equal(await program.end(), 0);
  });

  test("auth-rules.ts lets in who has a token, to the topics of its name", async (context) => {
    const secret = "0123456789abcdef0123456789abcdef";
    const program = startProgram(context, process.execPath, ["auth-rules.ts"], {
      cwd: installed.folder,
      env: { PORT: "0", TOKEN_SECRET: secret },
    });
    const port = await program.port();
    const exp = Math.floor(Date.now() / 1000) + 600;
    const pumpToken = hs256(secret, { sub: "pump", aud: "greenhouse", exp });
    const forged = hs256("another", { sub: "pump", aud: "greenhouse", exp });
    await (await dial(context, port, { username: "pump", password: forged })).expectConnackRefusal(0x87);
    await (await dial(context, port, { username: "hose", password: pumpToken })).expectConnackRefusal(0x87);
    const backend = await connect(context, port);
    const pump = await connect(context, port, { username: "pump", password: pumpToken });
    const token = hs256(secret, { sub: "kim", aud: "greenhouse", exp, roles: ["gardeners"] });
    const gardener = await connect(context, port, { username: "kim", password: token });
    assert.deepEqual(await pump.subscribe("device/pump/#"), [0]);
    assert.deepEqual(await pump.subscribe("device/hose/#"), [0x87]);
    assert.deepEqual(await gardener.subscribe("device/#"), [0]);
    assert.equal(await pump.publish("device/pump/state", "on", { qos: 1 }), 0);
    await gardener.expect("publish", { topic: "device/pump/state", payload: "on" });
    await pump.expect("publish", { topic: "device/pump/state", payload: "on" });
    assert.equal(await gardener.publish("device/pump/order", "off", { qos: 1 }), 0x87);
    assert.equal(await backend.publish("device/pump/order", "off", { qos: 1 }), 0);
    await pump.expect("publish", { topic: "device/pump/order", payload: "off" });
    assert.equal(await program.end(), 0);
  });

  test("auth-rules.ts says what is wrong with its rules", async (context) => {
    const program = startProgram(context, process.execPath, ["auth-rules.ts"], {
      cwd: installed.folder,
      env: { PORT: "0", TOKEN_SECRET: "" },
    });
    assert.equal(await program.exit(), 1);
    assert.match(program.output(), /^user "\*" has an empty key$/m);
  });

  test("auth-file.ts takes up a user that passwd adds to auth-home.json5, and refuses a mistake", async (context) => {
    const program = start(context, "auth-file.ts");
    const port = await program.port();
    passwd("kim", "@family", "auth-home.json5");
    passwd("tablet", "@guests", "auth-home.json5");
    const kim = await eventually(context, port, { username: "kim", password: "open sesame" });
    const tablet = await eventually(context, port, { username: "tablet", password: "open sesame" });
    assert.deepEqual(await tablet.subscribe("home/#"), [0]);
    assert.deepEqual(await tablet.subscribe("home/door/#"), [0x87]);
    assert.equal(await kim.publish("home/door/bell", "ring", { qos: 1 }), 0x10);
    assert.equal(await kim.publish("home/lamp", "on", { qos: 1 }), 0);
    await tablet.expect("publish", { topic: "home/lamp", payload: "on" });
    assert.equal(await tablet.publish("home/lamp", "off", { qos: 1 }), 0x87);
    const stove = await connect(context, port, { clientId: "stove" });
    assert.equal(await stove.publish("sensor/stove/heat", "21", { qos: 1 }), 0x10);
    assert.equal(await stove.publish("sensor/lamp/heat", "21", { qos: 1 }), 0x87);
    const path = join(installed.folder, "auth-home.json5");
    const right = readFileSync(path, "utf8");
    writeFileSync(path, right.replace('pub: ["@family"]', 'pub: ["@familiy"]'));
    await program.shows(/rule 1 names group "@familiy", which is not in group \(did you mean "@family"\?\)/);
    await program.shows(/the rules that were in force stay in force/);
    assert.equal(await kim.publish("home/lamp", "on", { qos: 1 }), 0);
    await tablet.expect("publish", { topic: "home/lamp", payload: "on" });
    // The rule about the door now denies all of what the tablet has subscribed to.
    writeFileSync(path, right.replace('topic: "home/door/#"', 'topic: "home/#"'));
    await tablet.expectDisconnect(0x98);
    assert.equal(await program.end(), 0);
  });

  test("auth-devices.json5 lets devices report and services give orders", async (context) => {
    passwd("pump", "@devices", "auth-devices.json5");
    passwd("collector", "@services", "auth-devices.json5");
    const words = [installed.main, "--tcp-port", "0", "--auth-file", "auth-devices.json5"];
    const program = start(context, ...words);
    const port = await program.port();
    await (await dial(context, port)).expectConnackRefusal(0x87);
    const pump = await connect(context, port, { username: "pump", password: "open sesame" });
    const collector = await connect(context, port, { username: "collector", password: "open sesame" });
    assert.deepEqual(await pump.subscribe([{ topic: "device/pump/order" }, { topic: "device/#" }]), [0, 0]);
    assert.deepEqual(await pump.subscribe("device/hose/order"), [0x87]);
    assert.deepEqual(await collector.subscribe("device/#"), [0]);
    assert.equal(await pump.publish("device/pump/flow", "3", { qos: 1 }), 0);
    await collector.expect("publish", { topic: "device/pump/flow", payload: "3" });
    assert.equal(await pump.publish("device/pump/flow", "3", { qos: 1, retain: true }), 0x87);
    assert.equal(await pump.publish("device/pump/order", "off", { qos: 1 }), 0x87);
    assert.equal(await pump.publish("device/hose/flow", "3", { qos: 1 }), 0x87);
    assert.equal(await collector.publish("device/pump/order", "off", { qos: 1 }), 0);
    await pump.expect("publish", { topic: "device/pump/order", payload: "off" });
    assert.equal(await program.end(), 0);
  });

  test("plugin.mjs stamps, ignores and refuses, in the broker that runs as a program", async (context) => {
    const program = start(context, installed.main, "--tcp-port", "0", "--plugin", "plugin.mjs");
    const client = await connect(context, await program.port());
    await client.subscribe("#");
    assert.equal(await client.publish("sensor/1", "x", { qos: 1, properties: { userProperties: { a: "b" } } }), 0);
    const { properties } = await client.expect("publish", { topic: "sensor/1", payload: "x" });
    const { a, arrived } = properties.userProperties as Record<string, string>;
    assert.equal(a, "b");
    assert.match(arrived!, /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.equal(await client.publish("sensor/1", "", { qos: 1 }), 0);
    assert.equal(await client.publish("sensor/1", "x".repeat(1025), { qos: 1 }), 0x97);
    assert.equal(await client.publish("other/1", "", { qos: 1 }), 0);
    await client.expect("publish", { topic: "other/1", properties: {} });
    assert.equal(await program.end(), 0);
  });

  test("paho.json5 is what Paho's interoperability suites expect", async (context) => {
    const program = start(context, installed.main, "--config", "paho.json5", "--tcp-port", "0");
    const port = await program.port();
    const client = await connect(context, port, { keepalive: 120, properties: { topicAliasMaximum: 1 } });
    assert.equal(client.connack.properties.serverKeepAlive, 60);
    assert.equal(client.connack.properties.receiveMaximum, 20);
    assert.deepEqual(await client.subscribe([{ topic: "test/nosubscribe", qos: 2 }, { topic: "t" }]), [0x80, 0]);
    await client.publish("t", "1", { qos: 1, properties: { userProperties: { a: "b" } } });
    const { properties } = await client.expect("publish", { topic: "t", payload: "1" });
    assert.equal(properties.topicAlias, 1);
    const old = await connect(context, port, { version: 4 });
    assert.deepEqual(await old.subscribe([{ topic: "test/nosubscribe", qos: 2 }]), [0x80]);
    assert.equal(await program.end(), 0);
  });

  test("client-mqttjs.ts talks to the broker and ends", async (context) => {
    const program = start(context, installed.main, "--tcp-port", "0");
    const env = { BROKER: `mqtt://127.0.0.1:${await program.port()}` };
    const cwd = installed.folder;
    const client = startProgram(context, process.execPath, ["client-mqttjs.ts"], { cwd, env });
    assert.equal(await client.exit(), 0, client.output());
    assert.equal(client.output(), "example/mqttjs (QoS 1): hello from MQTT.js\n");
    assert.equal(await program.end(), 0);
  });

  // The machine's Paho may be 1.6, which Debian 12 has, or 2: the example works with both.
  test("client-paho.py talks to the broker and ends", async (context) => {
    const python = ["python3", "/usr/bin/python3"].find(
      (command) => spawnSync(command, ["-c", "import paho.mqtt.client"]).status === 0,
    );
    if (python === undefined) return without("python3-paho-mqtt");
    const program = start(context, installed.main, "--tcp-port", "0");
    const words = ["client-paho.py", "127.0.0.1", String(await program.port())];
    const client = startProgram(context, python, words, { cwd: installed.folder });
    assert.equal(await client.exit(), 0, client.output());
    assert.equal(client.output(), "example/paho (QoS 1): hello from Paho\n");
    assert.equal(await program.end(), 0);
  });

  test("client-arduino.ino is valid, as far as a compiler on this machine can tell", () => {
    if (spawnSync("g++", ["--version"]).status !== 0) return without("g++");
    const stub = join(ROOT, "test/examples/arduino-stub");
    const words = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", `-I${stub}`, "-include", "Arduino.h", "-x", "c++"];
    const sketch = join(ROOT, "examples/client-arduino/client-arduino.ino");
    const { status, stderr } = spawnSync("g++", [...words, sketch], { encoding: "utf8" });
    assert.equal(stderr, "");
    assert.equal(status, 0);
  });
});
