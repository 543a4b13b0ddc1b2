import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { afterEach, before, beforeEach, test } from "node:test";
import { compile, framingFlag, LIBRARY, NODE, SANITIZED, STRICT, scratch } from "../../firmware/build.ts";
import { NodeProgram } from "../../firmware/node-program.ts";
import { until } from "../pty.ts";
import type { Cable } from "./cable.ts";
import { Rig } from "./rig.ts";

const BYTES_PER_SECOND = 115_200;
/** More than every fourth frame is damaged, each way. */
const NOISE = { flip: 3, drop: 3, insert: 1, repeat: 1 };
const PATIENCE_MS = 15_000;

const program = join(scratch(), "node");

before(async () => {
  const folder = scratch();
  const flags = [...STRICT, ...SANITIZED, framingFlag("slip")];
  const objects = await Promise.all(
    [...LIBRARY, ...NODE].map((source) =>
      compile(join(folder, `${basename(source, ".c")}.o`), [...flags, "-c", source]),
    ),
  );
  await compile(program, [...SANITIZED, ...objects]);
});

let rig: Rig;
let toBroker: Cable;
let toNode: Cable;
let node: NodeProgram | undefined;

/** Two pseudo terminals, and what comes out of one goes into the other: the broker at one end, the node at the other. */
beforeEach(async () => {
  rig = new Rig();
  toBroker = rig.cable("ttyBroker", BYTES_PER_SECOND, 41);
  toNode = rig.cable("ttyNode", BYTES_PER_SECOND, 43);
  toBroker.onData = (bytes) => toNode.write(bytes);
  toNode.onData = (bytes) => toBroker.write(bytes);
  await toBroker.plug();
});

afterEach(async () => {
  node?.kill();
  await rig.close();
});

test("the firmware's plain SLIP outlives noise both ways, and so does the broker; when it ends all goes on", async (t) => {
  await rig.start([
    `--serial=${rig.at("ttyBroker")}:921600,framing=slip`,
    "--mqtt-sn-retry-interval=100ms",
    "--mqtt-sn-retry-count=10",
  ]);
  await toNode.plug();
  let heard: string[] = [];
  // Noise may have made another name of "up", when it was registered.
  rig.broker.inlineClient.subscribe("#", ({ topicName, payload }) => {
    if (topicName !== "down") heard.push(`${topicName} ${Buffer.from(payload)}`);
  });
  node = start();
  await until(() => firstOf(heard).length === 6, "messages before the noise", PATIENCE_MS);
  assert.deepEqual(firstOf(heard), expected(6));

  for (const cable of [toBroker, toNode]) cable.up.noise.rates = NOISE;
  const before = toBroker.up.carried;
  const flood = setInterval(() => rig.broker.publish("down", "x".repeat(30), { qos: 1 }), 20);
  await until(() => toBroker.up.carried > before + 2000, "noise on 2000 octets", PATIENCE_MS);
  clearInterval(flood);
  for (const cable of [toBroker, toNode]) cable.up.noise.rates = {};
  const bad = rig.counted("ttyBroker", "checksumErrors") + rig.counted("ttyBroker", "resyncs");
  t.diagnostic(`${bad} of ${bad + rig.counted("ttyBroker", "frames")} frames from the node were bad`);
  assert.equal(bad > 5, true, `${bad} were bad`);

  // It goes on, by whatever name.
  heard = [];
  const published = node.told("published").length;
  const goesOn = (): boolean => heard.length >= 5 && node!.told("published").length >= published + 5;
  await until(goesOn, "messages after the noise", PATIENCE_MS);
  // Throws when a sanitizer has found anything.
  await node.stop();
  // And who comes now notices nothing of it.
  heard = [];
  node = start();
  await until(() => firstOf(heard).length === 6, "messages of another run", PATIENCE_MS);
  assert.deepEqual(firstOf(heard), expected(6));
  rig.broker.publish("down", "quiet", { qos: 1 });
  await until(() => node!.told("message").includes("quiet"), "a message down", PATIENCE_MS);
  await node.stop();
  assert.deepEqual(
    rig.log.lines.filter((line) => line.startsWith("error")),
    [],
  );
});

function start(): NodeProgram {
  const words = ["--id", "meter", "--device", rig.at("ttyNode"), "--publish", "up", "--subscribe", "down", "--clean"];
  const hasty = ["--each", "3", "--retry-ms", "25", "--reconnect-ms", "20", "--retries", "5", "--keep-alive", "1"];
  // Without a checksum one bit of an answer may come to mean congestion, upon which a node is silent for T_WAIT: 5 minutes.
  return new NodeProgram(program, [...words, "--qos", "1", "--subscribe-qos", "1", ...hasty, "--wait-ms", "100"]);
}

/** The first six; a message may come again when its acknowledgement took long. */
function firstOf(heard: readonly string[]): string[] {
  return [...new Set(heard)].slice(0, 6);
}

/** What a node says that counts from 1. */
function expected(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `up ${index + 1}`);
}
