import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { connect as open } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import mqtt from "mqtt";
import { makeHash } from "../../src/auth/login/password.ts";
import { runCommand, runProgram, startCommand } from "../smoke/program.ts";
import { connectBytes, dial, RawClient } from "../support/raw-client.ts";
import { allow, deny, openStage, rulesFor, type Stage } from "./auth-stage.ts";
import { quantile } from "./well-behaved.ts";

const ANYTHING = allow("#", "sub pub");
const NOT_AUTHORIZED = 0x87;
const UNAVAILABLE = 0x88;

function withUsers(entries: readonly string[], text: string): string {
  return text.replace(
    "authentication: [\n",
    `authentication: [\n${entries.map((entry) => `    ${entry},\n`).join("")}`,
  );
}

function residentBytes({ program }: Stage): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${program.pid}/status`, "utf8"))?.[1]) * 1024;
}

suite("abuse", { concurrency: 3 }, () => {
  test("hundreds who try passwords at once hold up themselves, not who is connected or comes again", async (context) => {
    const hash = await makeHash("argon2id", "kim");
    const kims = `{ name: "kim", method: "argon2id", hash: "${hash}" }`;
    const text = withUsers([kims], rulesFor("anonymous", [ANYTHING]));
    // Without it malloc keeps for each thread what its largest hash took, for good.
    const env = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "4194304" };
    const stage = await openStage(context, text, { words: ["--limit", "loginDelay=20ms"], env });
    const [publisher, subscriber] = [await stage.as("kim"), await stage.as("kim")];
    await subscriber.subscribe("work");
    const before = residentBytes(stage);
    const answers = new Map<number, number>();
    let isOver = false;
    const attacks = Array.from({ length: 300 }, async (_, index) => {
      const client = await RawClient.open(stage.port);
      client.sendBytes(
        connectBytes({ username: index % 2 === 0 ? "kim" : `user-${index}`, password: `guess-${index}` }),
      );
      // Without a limit of time: theirs is what is lost.
      const [connack] = (await once(client.socket, "data")) as [Buffer];
      const reasonCode = connack[3]!;
      answers.set(reasonCode, (answers.get(reasonCode) ?? 0) + 1);
      client.socket.destroy();
    });
    const attacked = Promise.all(attacks).then(() => {
      isOver = true;
    });
    const latenciesMs: number[] = [];
    const loginsMs: number[] = [];
    while (!isOver) {
      publisher.sendPublish("work", String(performance.now()));
      const { payload } = await subscriber.expect("publish");
      latenciesMs.push(performance.now() - Number(payload));
      const startedMs = performance.now();
      for (const user of ["kim", undefined]) await (await stage.as(user)).drop();
      loginsMs.push(performance.now() - startedMs);
      await sleep(10);
    }
    await attacked;
    latenciesMs.sort((a, b) => a - b);
    loginsMs.sort((a, b) => a - b);
    const [p99, login] = [quantile(latenciesMs, 0.99), quantile(loginsMs, 0.99)];
    const grown = (residentBytes(stage) - before) / 2 ** 20;
    const figures = `p99 ${p99.toFixed(1)} ms, two logins ${login.toFixed(1)} ms, ${grown.toFixed(0)} MiB more, ${[...answers]}`;
    context.diagnostic(figures);
    assert.deepEqual([...answers.keys()].sort(), [NOT_AUTHORIZED, UNAVAILABLE], figures);
    assert.ok(p99 < 250 && login < 500, figures);
    assert.ok(grown < 64, figures);
    // One line a refusal at first, then they are counted.
    const refusals = stage.program.lines.filter(({ message }) => message.startsWith("Connection refused"));
    assert.ok(refusals.length <= 300, figures);
    assert.doesNotMatch(stage.program.stdout, /guess-/);
  });

  test("whoever finds the control socket gets an answer or nothing, and the broker works on", async (context) => {
    const stage = await openStage(context, rulesFor("anonymous", [ANYTHING]));
    const path = join(stage.folder, "data", "control.sock");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const ask = async (bytes: string | Uint8Array, ends = true): Promise<string> => {
      const socket = open({ path, allowHalfOpen: true }).on("error", () => {});
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      if (ends) socket.end(bytes);
      else socket.write(bytes);
      socket.on("end", () => socket.end());
      // Cut off in the middle of what is too long, it sees an error too.
      await new Promise((resolve) => socket.once("close", resolve));
      return Buffer.concat(chunks).toString();
    };
    const none = /^\{"error":"There is no such operation; there are traffic, banned, lift, reload"\}\n$/;
    const questions: [string | Uint8Array, RegExp][] = [
      ["", /^$/],
      ["\n", /Not JSON/],
      ["null\n", none],
      ["[]\n", none],
      ['"banned"\n', none],
      ['{"operation":"__proto__"}\n', none],
      ['{"operation":"constructor","arguments":{}}\n', none],
      ['{"operation":["banned"]}\n', none],
      ['{"operation":"lift"}\n', /lift needs address/],
      ['{"operation":"lift","arguments":[]}\n', /must be an object/],
      ['{"operation":"lift","arguments":{"address":"x","__proto__":{}}}\n', /takes address, not/],
      ['{"operation":"lift","arguments":{"address":7}}\n', /lift needs address/],
      [`{"operation":"lift","arguments":{"address":"${"x".repeat(2_000)}"}}\n`, /lift needs address/],
      ['{"operation":"banned","arguments":{"x":1}}\n', /takes no arguments/],
      [`${"[".repeat(60_000)}\n`, /Not JSON/],
      ["x".repeat(200_000), /^(?:|\{"error":"A question has at most 65536 bytes"\}\n)$/],
      [Buffer.from([0xff, 0x00, 0xfe, 0x0a]), /Not JSON/],
      ['{"operation":"banned"}', /^\{"done":true\}\n$/],
      ['{"operation":"reload"}\n{"operation":"reload"}\n', /^\{"done":true\}\n$/],
    ];
    for (const [question, answer] of questions)
      assert.match(await ask(question), answer, String(question).slice(0, 60));
    // Many who say nothing: the place is theirs for a while, and the clients' never.
    const silent = Array.from({ length: 100 }, () => open(path).on("error", () => {}));
    await sleep(100);
    const client = await stage.as(undefined);
    assert.equal(await client.publish("a", "x", { qos: 1 }), 0x10);
    for (const socket of silent) socket.destroy();
    await sleep(100);
    assert.equal(await ask('{"operation":"banned"}\n'), '{"done":true}\n');
    const { result, stdout } = await runProgram(context, ["banned"], { cwd: stage.folder });
    assert.equal(result.code, 0);
    assert.equal(stdout, "No address is banned\n");
    assert.deepEqual(
      stage.program.lines.filter(({ level }) => level === "error"),
      [],
    );
  });

  test("mosquitto's clients, MQTT.js and Paho are served by the rules alike", async (context) => {
    const rules = rulesFor("kim lee", [ANYTHING, deny("closed/#", "sub pub", "kim")], "explainToClients: true,");
    const stage = await openStage(context, rules);
    const at = ["-p", String(stage.port), "-u", "kim", "-P", "kim"];
    for (const [version, sent] of [
      ["311", 0],
      ["5", 0],
    ] as const) {
      const pub = await runCommand(context, "mosquitto_pub", [
        ...at,
        "-V",
        version,
        "-t",
        "closed/a",
        "-m",
        "x",
        "-q",
        "1",
      ]);
      assert.equal(pub.result.code, sent);
      if (version === "5") assert.match(pub.stderr, /Not authorized/i);
      const sub = await runCommand(context, "mosquitto_sub", [...at, "-V", version, "-t", "closed/#", "-W", "5"]);
      assert.match(sub.stderr, /denied|All subscription requests were denied/);
    }
    const wrong = await runCommand(context, "mosquitto_pub", [...at.slice(0, 4), "-P", "wrong", "-t", "a", "-m", "x"]);
    assert.equal(wrong.result.code, 5);
    const lee = await stage.as("lee");
    // Who gets it has subscribed.
    await lee.publish("ready", "ready", { qos: 1, retain: true });
    const given = { username: "kim", password: "kim", reconnectPeriod: 0 } as const;
    const url = `mqtt://127.0.0.1:${stage.port}`;
    const js = await mqtt.connectAsync(url, { ...given, protocolVersion: 5 });
    await assert.rejects(js.publishAsync("closed/a", "x", { qos: 1 }), /Not authorized/);
    const heard: string[] = [];
    js.on("message", (topic) => heard.push(topic));
    await js.subscribeAsync("#", { qos: 1 });
    const paho = startCommand(context, "/usr/bin/python3", ["-c", PAHO, String(stage.port)]);
    await paho.saw("refused closed/#: [128]\n");
    await paho.saw("ready ready\n");
    const rr = startCommand(context, "mosquitto_sub", [...at, "-t", "#", "-v", "-i", "watcher"]);
    await rr.saw("ready ready\n");
    for (const topic of ["closed/a", "open/a", "closed/b", "end"]) await lee.publish(topic, topic, { qos: 1 });
    await paho.saw("end end\n");
    await rr.saw("end end\n");
    while (!heard.includes("end")) await sleep(5);
    await js.endAsync(true);
    assert.deepEqual(heard, ["ready", "open/a", "end"]);
    assert.equal(rr.stdout, "ready ready\nopen/a open/a\nend end\n");
    assert.equal(paho.stdout, "refused closed/#: [128]\nsubscribed\nready ready\nopen/a open/a\nend end\n");
    await (await dial(stage.port, { username: "lee", password: "kim" })).expectConnackRefusal(NOT_AUTHORIZED);
  });
});

/** Subscribes to what it may not have, and to everything, and tells what comes. */
const PAHO = `
import sys
import paho.mqtt.client as mqtt
def say(text): print(text, flush=True)
asked = []
def on_connect(client, data, flags, code):
    assert code == 0, code
    asked.append(client.subscribe("closed/#", 1)[1])
def on_subscribe(client, data, mid, granted):
    if mid == asked[0]:
        say("refused closed/#: %s" % list(granted))
        client.subscribe("#", 1)
    else: say("subscribed")
client = mqtt.Client("paho", protocol=mqtt.MQTTv311)
client.username_pw_set("kim", "kim")
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = lambda client, data, message: say("%s %s" % (message.topic, message.payload.decode()))
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
`;
