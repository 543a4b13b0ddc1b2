import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { FramingName } from "../../../../device/serial/framing/framing.ts";
import { SeededRandom } from "../../../hostile/random.ts";
import { until } from "../pty.ts";
import type { Cable } from "./cable.ts";
import type { LineEnd } from "./line-end.ts";
import { pause, Rig } from "./rig.ts";
import type { SnNode } from "./sn-node.ts";

/** Ten times as fast as in earnest: what is lost is asked for again the sooner. */
const BYTES_PER_SECOND = 115_200;
const RETRY_MS = 50;
/** Where a busy machine must not look like a lost frame. */
const CALM_RETRY_MS = 250;
/** Where nothing may be asked twice. */
const PATIENT_RETRY_MS = 1000;
const NODES = 6;
/** Of each node, each way. */
const MESSAGES = 12;
const PATIENCE_MS = 15_000;
/** More than every fourth frame is damaged. */
const NOISE = { flip: 3, drop: 3, insert: 1, repeat: 1 };
const CHECKED: readonly FramingName[] = ["slip-crc", "cobs", "hdlc"];
const UNCHECKED: readonly FramingName[] = ["raw", "slip"];

interface Line {
  readonly framing: FramingName;
  readonly cable: Cable;
  readonly end: LineEnd;
  readonly nodes: SnNode[];
}

let rig: Rig;

beforeEach(() => {
  rig = new Rig();
});

afterEach(() => rig.close());

test("on noisy lines with checksums nothing of QoS 2 is lost or doubled, either way", async (t) => {
  const lines = await start(CHECKED);
  const heard = new Map<string, string[]>();
  rig.broker.inlineClient.subscribe("up/#", ({ topicName, payload }) => {
    const texts = heard.get(topicName) ?? [];
    heard.set(topicName, texts);
    texts.push(Buffer.from(payload).toString());
  });
  const expected = Array.from({ length: MESSAGES }, (_, number) => `reading ${number}`);
  await Promise.all(each(lines, async (node) => node.subscribe(`down/${node.clientId}`, 2)));
  for (const { cable } of lines) cable.up.noise.rates = cable.down.noise.rates = NOISE;
  for (const text of expected) {
    each(lines, ({ clientId }) => rig.broker.publish(`down/${clientId}`, text, { qos: 2 }));
  }
  await Promise.all(
    each(lines, async (node) => {
      const topicId = await node.register(`up/${node.clientId}`);
      for (const text of expected) await node.publish(topicId, 2, text);
    }),
  );
  const areThere = (): boolean => each(lines, ({ received }) => received.length >= MESSAGES).every(Boolean);
  await until(areThere, "all messages for the nodes", PATIENCE_MS);
  each(lines, (node) => {
    assert.deepEqual(heard.get(`up/${node.clientId}`), expected, node.clientId);
    assert.deepEqual(textsOf(node), expected, node.clientId);
  });
  for (const { framing, cable, end, nodes } of lines) {
    const bad = end.counters.checksumErrors + end.counters.resyncs;
    const retried = nodes.reduce((total, node) => total + node.retried, 0);
    t.diagnostic(
      `${framing}: ${bad} of ${bad + end.counters.frames} frames from the broker were bad, ${retried} retries`,
    );
    // Else nothing has been shown.
    assert.equal(
      bad > 10 && retried > 10 && cable.up.carried > 5000,
      true,
      `${framing}: ${bad} bad, ${retried} retries`,
    );
  }
});

test("after noise at most two frames are lost where there is a checksum", async () => {
  const lines = await start(CHECKED, CALM_RETRY_MS);
  const random = new SeededRandom(7);
  for (let round = 0; round < 5; round++) {
    const before = lines.map(({ nodes }) => nodes.map(({ retried }) => retried));
    for (const { cable } of lines) cable.write(random.bytes(100 + random.below(400)));
    // In this order on the line, one behind the other.
    await Promise.all(each(lines, (node) => node.subscribe("news", 1)));
    for (const [index, { framing, nodes }] of lines.entries()) {
      const late = nodes.flatMap(({ retried }, number) => (retried > before[index]![number]! ? [number] : []));
      assert.equal(
        late.every((number) => number < 2),
        true,
        `${framing}: frames ${late.join(", ")} were lost`,
      );
    }
  }
});

test("raw lines and plain SLIP outlive noise, count it, and go on when it ends", async (t) => {
  const lines = await start(UNCHECKED);
  for (const { cable } of lines) {
    cable.up.noise.rates = NOISE;
    for (let count = 0; count < 20; count++) cable.write(new SeededRandom(count).bytes(1000));
  }
  const attempts = each(lines, async (node) => node.subscribe("news", 1));
  await until(() => lines.every(({ cable }) => cable.waitingBytes === 0), "the noise to end");
  for (const { cable } of lines) cable.up.noise.rates = {};
  await Promise.all(attempts);
  // What noise said in their names may have ended their sessions, but no longer than until they begin anew.
  await pause(60);
  await Promise.all(each(lines, (node) => node.connect()));
  await Promise.all(each(lines, (node) => node.subscribe("news", 1)));
  each(lines, (node) => node.received.splice(0));
  rig.broker.publish("news", "quiet", { qos: 1 });
  await until(() => each(lines, ({ received }) => received.length > 0).every(Boolean), "news");
  each(lines, (node) => assert.deepEqual(new Set(textsOf(node)), new Set(["quiet"])));
  const counted = (name: string, key: string): number => Number(rig.sys.get(`serial/${name}/${key}`) ?? 0);
  const isCounted = ({ framing }: Line): boolean => counted(framing, "discardedBytes") > 5000;
  await until(() => lines.every(isCounted), `what was discarded in ${JSON.stringify([...rig.sys])}`);
  for (const { framing } of lines) {
    const errors = counted(framing, "resyncs") + counted(framing, "checksumErrors");
    t.diagnostic(`${framing}: ${counted(framing, "discardedBytes")} bytes discarded, ${errors} times`);
    assert.equal(errors > 0, true, `${framing}: ${errors} errors`);
  }
  assert.deepEqual(
    rig.log.lines.filter((text) => text.startsWith("error")),
    [],
  );
});

test("raw lines and plain SLIP have found the beginning of the next message after a pause", async () => {
  const lines = await start(UNCHECKED, PATIENT_RETRY_MS);
  const random = new SeededRandom(8);
  const before = each(lines, ({ retried }) => retried);
  for (let round = 0; round < 4; round++) {
    for (const { cable } of lines) cable.write(random.bytes(100 + random.below(400)));
    // Longer than 20 ms, whatever else this machine does.
    for (let count = 0; count < 4; count++) await pause(25);
    await Promise.all(each(lines, (node) => node.subscribe("news", 1)));
  }
  assert.deepEqual(
    each(lines, ({ retried }) => retried),
    before,
  );
});

async function start(framings: readonly FramingName[], retryMs = RETRY_MS): Promise<Line[]> {
  const lines: Line[] = [];
  for (const [seed, framing] of framings.entries()) {
    const cable = rig.cable(framing, BYTES_PER_SECOND, 100 * seed);
    await cable.plug();
    const end = rig.end(cable, framing);
    const nodes: SnNode[] = [];
    for (let number = 0; number < NODES; number++) {
      nodes.push(end.node(`${framing}-${number}`, retryMs, Uint8Array.of(1, number)));
    }
    lines.push({ framing, cable, end, nodes });
  }
  const paths = framings.map((framing) => `--serial=${rig.at(framing)}:921600,framing=${framing}`);
  await rig.start([...paths, "--mqtt-sn-retry-interval=100ms", "--mqtt-sn-retry-count=100", "--sys-interval=200ms"]);
  await Promise.all(each(lines, (node) => node.connect()));
  return lines;
}

function each<Result>(lines: readonly Line[], act: (node: SnNode) => Result): Result[] {
  return lines.flatMap(({ nodes }) => nodes.map(act));
}

function textsOf({ received }: SnNode): string[] {
  return received.map(({ text }) => text);
}
