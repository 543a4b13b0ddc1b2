/** What a listener asks of its clients, and its mount point, with MQTT.js and mosquitto's clients. */
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { emptyFolder, type Lifetime, type RunningBroker, runCommand, startBroker, startCommand } from "./program.ts";

const PLAIN = '{ name: "plain", type: "tcp", port: 0, host: "127.0.0.1" }';
const listener = (name: string, asks: string): string => `{ name: "${name}", port: 0, host: "127.0.0.1", ${asks} }`;
const PLANT = listener("plant", 'mountPoint: "plant1/"');

function write(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, "new"), text);
  renameSync(join(folder, "new"), join(folder, name));
}

/** A broker whose first listener is plain. */
async function start(context: Lifetime, ...listeners: string[]): Promise<RunningBroker & { folder: string }> {
  const folder = emptyFolder(context);
  write(folder, "mqtt-broker.json5", `{ listeners: [${[PLAIN, ...listeners].join(", ")}] }`);
  const options = { cwd: folder, listeners: listeners.length + 1 };
  return { ...(await startBroker(context, [], options)), folder };
}

/** A client of MQTT.js, and what it has received: "topic payload". */
async function join5(
  context: TestContext,
  port: number,
  options: IClientOptions = {},
): Promise<MqttClient & { heard: string[] }> {
  const heard: string[] = [];
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options,
  });
  client.on("error", () => {});
  client.on("message", (topic, payload, { retain, properties }) => {
    const response = properties?.responseTopic === undefined ? "" : ` answer to ${properties.responseTopic}`;
    heard.push(`${topic} ${payload}${response}${retain ? " retained" : ""}`);
  });
  context.after(() => client.endAsync(true));
  return Object.assign(client, { heard });
}

async function heardBy({ heard }: { heard: string[] }, count: number): Promise<string[]> {
  for (let left = 500; heard.length < count && left > 0; left--) await new Promise((done) => setTimeout(done, 10));
  return heard.splice(0);
}

/** mosquitto_pub or mosquitto_sub, to its end: exit code and what it wrote. */
async function mosquitto(context: Lifetime, name: "pub" | "sub", port: number, words: string): Promise<string> {
  const { result, stdout, stderr } = await runCommand(context, `mosquitto_${name}`, [
    "-h",
    "127.0.0.1",
    "-p",
    String(port),
    ...words.split(" "),
  ]);
  return `${result.code} ${stdout}${stderr}`.trim();
}

test("a mount point", async (mounted) => {
  const running = await start(mounted, PLANT);

  await mounted.test("as mosquitto's and other clients see it from both sides", async (context) => {
    const { program, ports } = running;
    const [plain, plant] = ports as [number, number];
    const sub = startCommand(context, "mosquitto_sub", [
      "-p",
      String(plant),
      "-i",
      "s",
      "-v",
      "-t",
      "#",
      "-t",
      "$SYS/#",
    ]);
    await program.line(/^Refused to subscribe/, ({ topic }) => topic === "plant1/$SYS/#");
    const outside = await join5(context, plain);
    const inside = await join5(context, plant, { protocolVersion: 4 });
    await outside.subscribeAsync(["plant1/#", "other/#"]);
    assert.equal(await mosquitto(context, "pub", plant, "-q 1 -r -t kept -m 1"), "0");
    assert.equal(await mosquitto(context, "pub", plant, "-V 5 -q 2 -t ../other/a -m 2"), "0");
    assert.equal(await mosquitto(context, "pub", plain, "-q 1 -t plant1/in -m 3"), "0");
    assert.equal(await mosquitto(context, "pub", plain, "-q 1 -t plant2/in -m 4"), "0");
    await sub.saw("in 3\n");
    assert.equal(sub.stdout, "kept 1\n../other/a 2\nin 3\n");
    assert.deepEqual(await heardBy(outside, 3), ["plant1/kept 1", "plant1/../other/a 2", "plant1/in 3"]);
    assert.equal(await mosquitto(context, "sub", plant, "-v -C 1 -t +"), "0 kept 1");
    assert.equal(await mosquitto(context, "sub", plain, "-v -C 1 -t +/kept"), "0 plant1/kept 1");
    assert.match(
      await mosquitto(context, "pub", plant, "-V 5 -q 1 -t $SYS/x -m 5"),
      /^0 Warning: Publish 1 failed: Not authorized/,
    );

    await inside.subscribeAsync(["a/+", "$share/g/job"]);
    await outside.subscribeAsync("$share/g/plant1/job");
    for (const text of ["1", "2", "3", "4"]) await inside.publishAsync("job", text, { qos: 1 });
    // All of them come by the filter "plant1/#" too.
    const jobs = (await heardBy(outside, 6)).sort();
    assert.deepEqual(
      jobs,
      ["1", "2", "2", "3", "4", "4"].map((text) => `plant1/job ${text}`),
    );
    assert.deepEqual(await heardBy(inside, 2), ["job 1", "job 3"]);
    await inside.unsubscribeAsync(["a/+", "$share/g/job"]);
    await outside.publishAsync("plant1/a/b", "x", { qos: 1 });
    await inside.subscribeAsync("last");
    await outside.publishAsync("plant1/last", "x", { qos: 1 });
    assert.deepEqual(await heardBy(inside, 1), ["last x"]);
  });

  await mounted.test("requests, Topic Aliases and wills", async (context) => {
    const [plain, plant] = running.ports as [number, number];
    const outside = await join5(context, plain);
    await outside.subscribeAsync(["plant1/ask", "plant1/answer/#", "plant1/gone"]);
    const will = { topic: "gone", payload: Buffer.from("will"), qos: 1 as const, retain: true };
    const inside = await join5(context, plant, { will, properties: { topicAliasMaximum: 5 } });
    await inside.subscribeAsync("answer/#");
    await inside.publishAsync("ask", "1", { properties: { responseTopic: "answer/me", topicAlias: 1 } });
    await inside.publishAsync("", "2", { properties: { topicAlias: 1 } });
    assert.deepEqual(await heardBy(outside, 2), ["plant1/ask 1 answer to plant1/answer/me", "plant1/ask 2"]);
    await outside.publishAsync("plant1/answer/me", "3", { qos: 1 });
    assert.deepEqual(await heardBy(inside, 1), ["answer/me 3"]);
    inside.stream.destroy();
    assert.deepEqual(await heardBy(outside, 2), ["plant1/answer/me 3", "plant1/gone will"]);
    assert.equal(await mosquitto(context, "sub", plant, "-v -C 1 -t gone"), "0 gone will");
  });
});

suite("entrances", { concurrency: 2 }, () => {
  test("rules are about full names", async (context) => {
    const folder = emptyFolder(context);
    const rules = `{
      authentication: [{ name: "any", method: "anonymous" }],
      authorization: [
        { topic: "plant1/open/#", allow: { pub: ["@any"], sub: ["@any"] } },
        { topic: "secret/#", allow: { pub: ["@any"], sub: ["@any"] } },
      ],
    }`;
    write(folder, "auth.json5", rules);
    write(folder, "mqtt-broker.json5", `{ listeners: [${PLAIN}, ${PLANT}] }`);
    const { program, ports } = await startBroker(context, [], { cwd: folder, listeners: 2 });
    const client = await join5(context, ports[1]!);
    const codesOf = async (filter: string) => {
      const granted = await client.subscribeAsync(filter).catch(() => []);
      return granted.map(({ qos }) => qos);
    };
    assert.deepEqual(await codesOf("open/#"), [0]);
    assert.deepEqual(await codesOf("secret/#"), []);
    await assert.rejects(client.publishAsync("secret/a", "x", { qos: 1 }), /Not authorized/);
    await client.publishAsync("open/a", "x", { qos: 1 });
    assert.deepEqual(await heardBy(client, 1), ["open/a x"]);
    const refused = program.lines.filter(({ message }) => message.startsWith("Refused to"));
    assert.deepEqual(
      refused.map(({ message, topic }) => `${message} ${topic}`),
      ["Refused to subscribe plant1/secret/#", "Refused to publish plant1/secret/a"],
    );
  });

  test("after kill -9 a session goes on by whichever listener its client comes", async (context) => {
    const { program, ports, folder } = await start(context, PLANT);
    const [plain, plant] = ports as [number, number];
    const session = "-c -i mine -q 1 -v";
    assert.equal(await mosquitto(context, "sub", plant, `${session} -E -t a/#`), "0");
    await mosquitto(context, "pub", plant, "-q 1 -r -t kept -m 0");
    await mosquitto(context, "pub", plant, "-q 1 -t a/1 -m one");
    await mosquitto(context, "pub", plain, "-q 1 -t plant1/a/2 -m two");
    await mosquitto(context, "pub", plain, "-q 1 -t a/2 -m no");
    await program.stop("SIGKILL");
    const again = await startBroker(context, [], { cwd: folder, listeners: 2 });
    const [plainAgain, plantAgain] = again.ports as [number, number];
    assert.equal(await mosquitto(context, "sub", plantAgain, `${session} -C 2 -t a/#`), "0 a/1 one\na/2 two");
    await mosquitto(context, "pub", plantAgain, "-q 1 -t a/3 -m three");
    const words = `${session} -t plant1/kept -W 10`;
    const sub = startCommand(context, "mosquitto_sub", ["-p", String(plainAgain), ...words.split(" ")]);
    await sub.saw("plant1/kept 0\n");
    assert.match(sub.stdout, /^(?:plant1\/a\/2 two\n)?plant1\/a\/3 three\nplant1\/kept 0\n$/);
  });

  test("versions, methods and limits, told as the version of the client has it", async (context) => {
    const folder = emptyFolder(context);
    const rules = `{
      authentication: [
        { name: "any", method: "anonymous" },
        { name: "kim", method: "plain_password", password: "k" },
      ],
      authorization: [{ topic: "#", allow: { pub: ["@any"], sub: ["@any"] } }],
    }`;
    write(folder, "auth.json5", rules);
    const listeners = [
      PLAIN,
      listener("modern", 'versions: ["5.0"]'),
      listener("known", 'authMethods: ["plain_password"]'),
      listener("narrow", "limits: { clients: 1, maximumQos: 0, maximumPacketSize: 100 }"),
    ];
    write(folder, "mqtt-broker.json5", `{ listeners: [${listeners.join(", ")}] }`);
    const { program, ports } = await startBroker(context, [], { cwd: folder, listeners: 4 });
    const [, modern, known, narrow] = ports as [number, number, number, number];
    const publish = (port: number, words: string): Promise<string> =>
      mosquitto(context, "pub", port, `-t t -m x ${words}`);
    assert.equal(await publish(modern, "-V 5"), "0");
    assert.match(await publish(modern, "-V 311"), /^1 .*unacceptable protocol version/i);
    await program.line(
      "Connection refused",
      ({ listener: name, reason }) =>
        name === "modern" &&
        reason === "refused: protocol level 4 is not accepted at listener modern (Unsupported protocol version (0x84))",
    );
    assert.equal(await publish(known, "-u kim -P k"), "0");
    assert.match(await publish(known, "-V 5"), /^135 .*not authorized/i);
    await program.line(
      "Connection refused",
      ({ listener: name, reason }) =>
        name === "known" && String(reason).includes("listener known lets in by plain_password only"),
    );
    const only = await join5(context, narrow);
    assert.match(await publish(narrow, "-V 5"), /^151 .*quota exceeded/i);
    const told = new Promise((done) => {
      only.on("disconnect", ({ reasonCode }) => done(reasonCode));
    });
    only.publish("t", "x".repeat(100));
    assert.equal(await told, 0x95);
    assert.match(await publish(narrow, "-V 5 -q 1"), /QoS/i);
  });

  test("another entrance holds for the next clients, and the listener stays open meanwhile", async (context) => {
    const { program, ports, folder } = await start(context, listener("plant", 'mountPoint: "before/"'));
    const [plain, plant] = ports as [number, number];
    const outside = await join5(context, plain);
    await outside.subscribeAsync(["before/#", "after/#"]);
    const stays = await join5(context, plant);
    const next = listener("plant", 'mountPoint: "after/", versions: ["5.0"]');
    write(folder, "mqtt-broker.json5", `{ listeners: [${PLAIN}, ${next}] }`);
    await program.line("Changed in the configuration, in force from now on: listeners");
    // The line comes before all of it is in force.
    let answer = "0";
    for (let left = 100; answer === "0" && left > 0; left--) {
      answer = await mosquitto(context, "pub", plant, "-V 311 -t t -m early");
    }
    assert.match(answer, /^1 .*unacceptable protocol version/i);
    outside.removeAllListeners("message");
    const heard: string[] = [];
    outside.on("message", (topic) => heard.push(topic));
    await stays.publishAsync("t", "x", { qos: 1 });
    assert.equal(await mosquitto(context, "pub", plant, "-V 5 -q 1 -t t -m x"), "0");
    assert.deepEqual(await heardBy({ heard }, 2), ["before/t", "after/t"]);
    assert.deepEqual(
      program.lines.filter(({ message }) => message.startsWith("Listening no more")),
      [],
    );
  });
});
