import assert from "node:assert/strict";
import { afterEach, beforeEach, type TestContext, test } from "node:test";
import { until } from "../pty.ts";
import type { Cable } from "./cable.ts";
import type { LineEnd } from "./line-end.ts";
import { BYTES_PER_SECOND, median, pause, Rig } from "./rig.ts";
import type { SnNode } from "./sn-node.ts";

const NODES = 200;
/** As 1.2 §7.2 has it: nothing is asked twice because a line is full. */
const RETRY_MS = 10_000;
/** Until every node is at work. */
const WARM_UP_MS = 800;
/** Messages of each node that are timed. Each takes some 0.8 s: 200 have their turn before the next. */
const ROUNDS = 2;
const PATIENCE_MS = 12_000;
/** A reading of a sensor. */
const READING = '{"temperature":21.25}';
/** PUBLISH without its data. */
const PUBLISH_HEAD_OCTETS = 7;

let rig: Rig;
let cable: Cable;
let end: LineEnd;
let nodes: SnNode[];
/** When each node's messages were through, since the measurement began. */
let stamps: number[][];

beforeEach(async () => {
  rig = new Rig();
  cable = rig.cable("ttyUSB0", BYTES_PER_SECOND);
  await cable.plug();
  end = rig.end(cable, "slip-crc");
  nodes = [];
  for (let number = 0; number < NODES; number++) nodes.push(end.node(`node${number}`, RETRY_MS, nodeId(number)));
  await rig.start([`--serial=${rig.at("ttyUSB0")}:115200,framing=slip-crc`]);
  await Promise.all(nodes.map((node) => node.connect()));
});

afterEach(() => rig.close());

test("200 nodes that publish with QoS 1 fill a line of 115,200 bit/s, and each has its share", async (t) => {
  stamps = nodes.map(() => []);
  for (const [number, node] of nodes.entries()) {
    void node.register(`plant/${number}`).then(async (topicId) => {
      for (;;) {
        await node.publish(topicId, 1, READING);
        stamps[number]!.push(performance.now());
      }
    });
  }
  await judge(t, "publishing", cable.up);
});

test("200 nodes that are sent QoS 1 on topics of their own fill the line, and each has its share", async (t) => {
  await Promise.all(nodes.map((node, number) => node.subscribe(`plant/${number}`, 1)));
  stamps = nodes.map(() => []);
  for (const [number, node] of nodes.entries()) {
    node.onMessage = () => {
      stamps[number]!.push(performance.now());
      rig.broker.publish(`plant/${number}`, READING, { qos: 1 });
    };
    // Enough that something always waits for everybody.
    for (let count = 0; count < 3; count++) rig.broker.publish(`plant/${number}`, READING, { qos: 1 });
  }
  await judge(t, "delivering", cable.down);
});

/** A node's share is how fast its messages follow one another, from its first one on. */
async function judge(t: TestContext, what: string, way: Cable["up"]): Promise<void> {
  await pause(WARM_UP_MS);
  stamps.forEach((list) => void list.splice(0));
  const before = way.capacity;
  const isDone = (): boolean => stamps.every((list) => list.length > ROUNDS);
  await until(isDone, `${ROUNDS + 1} messages of every node`, PATIENCE_MS);
  const capacity = way.capacity - before;
  const messages = stamps.reduce((total, list) => total + list.length, 0);
  const octets = end.octetsOnLine(new Uint8Array(PUBLISH_HEAD_OCTETS + READING.length), nodeId(1));
  const goodput = (messages * octets) / capacity;
  const took = stamps.map((list) => list[ROUNDS]! - list[0]!);
  const share = median(took) / Math.max(...took);
  const figures = `${(100 * goodput).toFixed(1)} % of the capacity, the slowest node ${share.toFixed(2)} of the median`;
  t.diagnostic(`${what}: ${messages} messages of ${octets} octets in ${capacity | 0}, ${figures}`);
  assert.equal(goodput >= 0.9 && goodput <= 1.01, true, figures);
  assert.equal(share >= 0.8, true, figures);
  // All of it was news.
  assert.deepEqual([...new Set(nodes.map(({ retried, disconnects }) => retried + disconnects))], [0]);
}

function nodeId(number: number): Uint8Array {
  return Uint8Array.of(1 + (number >> 7), 1 + (number & 0x7f));
}
