import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { type ConnectOptions, connect, dial, type RawClient } from "../support/raw-client.ts";
import {
  emptyFolder,
  type RunningBroker,
  runCommand,
  runProgram,
  startBroker,
  startCommand,
  startProgram,
} from "./program.ts";

/** What the issue promises for a file that was saved. */
const EFFECT_MS_MAX = 1_000;

const ANYTHING = '{ topic: "#", allow: { sub: ["@any"], pub: ["@any"] } }';
const KIM = '{ name: "kim", method: "plain_password", password: "k" }';
const LEE = '{ name: "lee", method: "plain_password", password: "l" }';

function rules(users: readonly string[], authorization: readonly string[] = [ANYTHING], more = ""): string {
  const entries = ['{ name: "anonymous", method: "anonymous", from: "local" }', ...users];
  const list = (texts: readonly string[]): string => texts.map((text) => `    ${text},\n`).join("");
  return `{\n  authentication: [\n${list(entries)}  ],\n  authorization: [\n${list(authorization)}  ],\n${more}}\n`;
}

interface Scene extends RunningBroker {
  folder: string;
  write(text: string, name?: string): void;
  /** Waits for the line that says what came of it; it must come within a second of `action`. */
  takes(action: () => void, message: RegExp): Promise<void>;
  as(user: "kim" | "lee" | undefined, more?: ConnectOptions): Promise<RawClient>;
}

async function start(
  context: TestContext,
  files: Readonly<Record<string, string>>,
  words: readonly string[] = [],
): Promise<Scene> {
  const folder = emptyFolder(context);
  const write = (text: string, name = "auth.json5"): void => writeFileSync(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    write(text, name);
  }
  const { program, port, ports } = await startBroker(context, ["--tcp-port", "0", ...words], { cwd: folder });
  const clients: RawClient[] = [];
  context.after(() => {
    for (const client of clients) client.socket.destroy();
  });
  return {
    program,
    port,
    ports,
    folder,
    write,
    async takes(action, message) {
      const before = program.lines.length;
      const startedMs = performance.now();
      action();
      await program.until(
        () => program.lines.slice(before).some((line) => message.test(line.message)),
        String(message),
      );
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < EFFECT_MS_MAX, `${message} took ${Math.round(tookMs)} ms`);
    },
    async as(user, more = {}) {
      const given = user === undefined ? {} : { username: user, password: user[0]! };
      const client = await connect(port, { clientId: user ?? "nobody", ...given, ...more });
      clients.push(client);
      return client;
    },
  };
}

suite("auth.json5 in a running broker", { concurrency: 2 }, () => {
  test("a saved file holds within a second, for mosquitto's clients that are connected too", async (context) => {
    const scene = await start(context, { "auth.json5": rules([KIM, LEE]) });
    const port = String(scene.port);
    const subscriber = startCommand(context, "mosquitto_sub", [
      "-p",
      port,
      "-t",
      "#",
      "-u",
      "kim",
      "-P",
      "k",
      "-v",
      "-i",
      "s",
    ]);
    await scene.program.line("Client connected", ({ client }) => client === "s");
    const publish = async (topic: string, payload: string) => {
      const words = ["-p", port, "-u", "lee", "-P", "l", "-q", "1", "-t", topic, "-m", payload];
      assert.equal((await runCommand(context, "mosquitto_pub", words)).result.code, 0);
    };
    await publish("kitchen/a", "1");
    await subscriber.saw("kitchen/a 1\n");
    await scene.takes(
      () => scene.write(rules([KIM, LEE], [ANYTHING, '{ topic: "kitchen/#", deny: { sub: ["kim"] } }'])),
      /^auth\.json5 read again: rule 2 is new: it denies kitchen\/# to kim \(subscribe\)$/,
    );
    await publish("kitchen/a", "2");
    await publish("hall", "3");
    await subscriber.saw("hall 3\n");
    assert.equal(subscriber.stdout, "kitchen/a 1\nhall 3\n");
  });

  test("a file with mistakes changes nothing, and the log has each with its place and its line", async (context) => {
    const scene = await start(context, { "auth.json5": rules([KIM]) });
    const kim = await scene.as("kim");
    await scene.takes(
      () => scene.write(rules([KIM], [ANYTHING, '{ topic: "x", allow: { sub: ["kima"], pub: ["kim"] }, maxQoS: 1 }'])),
      /^auth\.json5 is not used, it has 2 errors: the rules that were in force stay in force\. Correct it and save it: /,
    );
    const errors = scene.program.lines.filter(({ level }) => level === "error");
    const source = '    { topic: "x", allow: { sub: ["kima"], pub: ["kim"] }, maxQoS: 1 },';
    assert.deepEqual(
      errors.slice(0, 2).map(({ time: _, ...line }) => line),
      [
        {
          level: "error",
          message: 'auth.json5:8:34: rule 2 names user "kima", who is not in authentication (did you mean "kim"?)',
          source,
        },
        {
          level: "error",
          message: 'auth.json5:8:59: rule 2 has an unknown key "maxQoS"',
          source,
          hint: 'Did you mean "maxQos"?',
        },
      ],
    );
    assert.equal(await kim.publish("x", "", { qos: 1 }), 0x10);
    await scene.as("kim", { clientId: "another" });
    await scene.takes(() => scene.write(rules([KIM, LEE])), /^auth\.json5 read again: \+1 user \(lee\)$/);
    await scene.as("lee");
  });

  test("who is gone from the file is disconnected, and cannot come back", async (context) => {
    const scene = await start(context, { "auth.json5": rules([KIM, LEE]) });
    const [kim, lee] = [await scene.as("kim"), await scene.as("lee")];
    await scene.takes(() => scene.write(rules([LEE])), /^auth\.json5 read again: -1 user \(kim\)$/);
    assert.equal((await kim.expect("disconnect")).reasonCode, 0x87);
    await (await dial(scene.port, { username: "kim", password: "k" })).expectConnackRefusal(0x87);
    assert.equal(await lee.publish("x", "", { qos: 1 }), 0x10);
  });

  test("a lost subscription ends the connection, or with whenRevoked: filter only its messages", async (context) => {
    const deny = '{ topic: "kitchen/#", deny: { sub: ["kim"] } }';
    const scene = await start(context, { "auth.json5": rules([KIM, LEE]) });
    const kim = await scene.as("kim");
    await kim.subscribe([{ topic: "kitchen/+" }]);
    await scene.takes(() => scene.write(rules([KIM, LEE], [ANYTHING, deny])), /read again: rule 2 is new/);
    assert.equal((await kim.expect("disconnect")).reasonCode, 0x98);
    await scene.takes(
      () => scene.write(rules([KIM, LEE], [ANYTHING], 'whenRevoked: "filter",')),
      /read again: rule 2 is gone: .*, whenRevoked is now "filter"$/,
    );
    const again = await scene.as("kim");
    await again.subscribe([{ topic: "kitchen/+" }, { topic: "hall" }]);
    await scene.takes(
      () => scene.write(rules([KIM, LEE], [ANYTHING, deny], 'whenRevoked: "filter",')),
      /read again: rule 2 is new/,
    );
    const lee = await scene.as("lee");
    await lee.publish("kitchen/a", "1", { qos: 1 });
    await lee.publish("hall", "2", { qos: 1 });
    await again.expect("publish", { topic: "hall", payload: "2" });
  });

  test("whatever editors, and people, do with it is survived, and what is right in the end holds", async (context) => {
    const scene = await start(context, { "auth.json5": rules([KIM]) });
    const path = join(scene.folder, "auth.json5");
    const [one, other] = [rules([KIM]), rules([KIM, LEE])];
    const added = /^auth\.json5 read again: \+1 user \(lee\)$/;
    const removed = /^auth\.json5 read again: -1 user \(lee\)$/;
    const replace = (text: string): void => {
      scene.write(text, "4913");
      renameSync(join(scene.folder, "4913"), path);
    };
    await scene.takes(() => replace(other), added);
    await scene.takes(() => replace(one), removed);
    await scene.takes(() => {
      rmSync(path);
      scene.write(other);
    }, added);
    await scene.takes(() => {
      renameSync(path, `${path}~`);
      scene.write(one);
    }, removed);
    await scene.takes(() => rmSync(path), /^auth\.json5 is gone: its rules stay in force/);
    await scene.takes(() => mkdirSync(path), /^auth\.json5: Is a folder/);
    rmSync(path, { recursive: true });
    mkdirSync(join(scene.folder, "..1"));
    mkdirSync(join(scene.folder, "..2"));
    scene.write(other, "..1/auth.json5");
    scene.write(one, "..2/auth.json5");
    symlinkSync("..1", join(scene.folder, "..data"));
    await scene.takes(() => symlinkSync("..data/auth.json5", path), added);
    symlinkSync("..2", join(scene.folder, "..new"));
    await scene.takes(() => renameSync(join(scene.folder, "..new"), join(scene.folder, "..data")), removed);
    await scene.as("kim");
    await (await dial(scene.port, { username: "lee", password: "l" })).expectConnackRefusal(0x87);
  });

  test("SIGHUP reads it again, and says so", async (context) => {
    const scene = await start(context, { "auth.json5": rules([KIM]) });
    const hangUp = (): void => void process.kill(scene.program.pid, "SIGHUP");
    await scene.takes(hangUp, /^auth\.json5 read again: it says what was in force already$/);
    assert.equal((await scene.program.stop()).code, 0);
  });
});

test("with the shipped file as without one mosquitto's clients of this machine may do everything", async (context) => {
  const shipped = readFileSync(new URL("../../auth.json5", import.meta.url), "utf8");
  const seen: string[] = [];
  for (const files of [{}, { "auth.json5": shipped }]) {
    const { program, port } = await start(context, files as Record<string, string>);
    const at = ["-p", String(port)];
    const words = [...at, "-i", "s", "-t", "#", "-t", "$SYS/broker/version", "-v", "-q", "1"];
    const subscriber = startCommand(context, "mosquitto_sub", words);
    await program.line("Client connected", ({ client }) => client === "s");
    for (const version of ["31", "311", "5"]) {
      const sent = [...at, "-V", version, "-t", `a/${version}`, "-m", "m", "-q", "1", "-r"];
      assert.equal((await runCommand(context, "mosquitto_pub", sent)).result.code, 0);
    }
    await subscriber.saw("a/5 m\n");
    assert.deepEqual(
      program.lines.filter(({ level }) => level === "error"),
      [],
    );
    seen.push(subscriber.stdout.split("\n").sort().join("\n"));
  }
  assert.match(seen[0]!, /^\$SYS\/broker\/version mqtt-broker /m);
  assert.equal(seen[0], seen[1]);
});

suite("auth.json5 at the start", { concurrency: 2 }, () => {
  for (const [title, text, message] of [
    [
      "a mistake",
      rules([KIM]).replace("authorization", "autorization"),
      /^auth\.json5:6:3: .*unknown key "autorization"/,
    ],
    ["half of it missing", rules([KIM]).slice(0, 120), /^auth\.json5:\d+:\d+: /],
    ["nothing in it", "", /^auth\.json5: Is empty$/],
  ] as const) {
    test(`with ${title} lets in nobody over TCP, and is taken when it is right`, async (context) => {
      const scene = await start(context, { "auth.json5": text }, ["--unix-socket", "m.sock"]);
      assert.ok(scene.program.lines.some((line) => line.level === "error" && message.test(line.message)));
      await scene.program.line(/^auth\.json5 is not used, .*: until then only clients on a Unix socket are let in\./);
      await (await dial(scene.port)).expectConnackRefusal(0x87);
      await (await dial(scene.port, { version: 4, username: "kim", password: "k" })).expectConnackRefusal(5);
      // The administrator may do everything on the Unix socket.
      const words = ["pub", "--unix", "m.sock", "-t", "a", "-m", "hello", "-q", "1"];
      const pub = await runProgram(context, words, { cwd: scene.folder });
      assert.equal(pub.result.code, 0, pub.stderr);
      await scene.takes(() => scene.write(rules([KIM])), /^Users and rules read from auth\.json5$/);
      await scene.as("kim");
      await scene.as(undefined);
    });
  }

  test("missing is no mistake, and one that comes later holds", async (context) => {
    const scene = await start(context, {});
    await scene.as(undefined);
    await scene.takes(
      () => scene.write(rules([KIM], ['{ topic: "a", allow: { pub: ["@any"] } }'])),
      /^Users and rules read from auth\.json5: from now on they decide who may connect$/,
    );
    const kim = await scene.as("kim");
    assert.deepEqual([await kim.publish("a", "", { qos: 1 }), await kim.publish("b", "", { qos: 1 })], [0x10, 0x87]);
  });

  test("named and missing ends the program with 2, and says how to make one", async (context) => {
    const program = startProgram(context, ["--tcp-port", "0", "--auth-file", "mine.json5"]);
    assert.equal((await program.ended).code, 2);
    assert.match(
      program.stderr,
      /^--auth-file: \S+\/mine\.json5 does not exist\n {2}mqtt-broker passwd add NAME --auth-file \S+ makes one\n$/,
    );
  });
});

suite("the configuration of a running broker", { concurrency: 2 }, () => {
  test("a file named in conf.d holds, and another one when it says so", async (context) => {
    const scene = await start(context, {
      "mqtt-broker.json5": "{}",
      "conf.d/50-auth.json5": "{ auth: { file: '../one.json5' } }",
      "one.json5": rules([KIM]),
      "other.json5": rules([LEE]),
      "auth.json5": "{ not even read",
    });
    const kim = await scene.as("kim");
    await scene.takes(
      () => scene.write("{ auth: { file: '../other.json5' } }", "conf.d/50-auth.json5"),
      /^Users and rules read from other\.json5, in place of one\.json5$/,
    );
    assert.equal((await kim.expect("disconnect")).reasonCode, 0x87);
    await scene.as("lee");
    await scene.takes(
      () => scene.write("{ auth: { allowAnonymous: false } }", "conf.d/60.json5"),
      /^Changed in the configuration, in force from now on: auth\.allowAnonymous$/,
    );
    await (await dial(scene.port)).expectConnackRefusal(0x87);
  });

  test("other changes are named and wait, mistakes change nothing", async (context) => {
    const scene = await start(context, { "mqtt-broker.json5": "{ limits: { clients: 5 } }" });
    await scene.takes(
      () => scene.write("{ limits: { clients: 6 }, mqtt: { retain: false } }", "mqtt-broker.json5"),
      /^Changed in the configuration, in force after a restart: limits\.clients, mqtt\.retain$/,
    );
    await scene.takes(
      () => scene.write("{ auth: { allowAnonymous: false }, mqqt: 1 }", "mqtt-broker.json5"),
      /^The configuration has 1 error: nothing of it is taken, what was in force stays in force$/,
    );
    await scene.as(undefined);
  });
});
