import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { until } from "../pty.ts";
import { pause, Rig } from "./rig.ts";

const BYTES_PER_SECOND = 115_200;
const RETRY_MS = 15;
const NODES = 5;
const REPLUGS = 100;

let rig: Rig;

beforeEach(() => {
  rig = new Rig();
});

afterEach(() => rig.close());

test("a line that is pulled out and put back a hundred times costs no session and no message of QoS 1", async (t) => {
  const cable = rig.cable("ttyACM0", BYTES_PER_SECOND);
  await cable.plug();
  const end = rig.end(cable, "cobs");
  const nodes = Array.from({ length: NODES }, (_, number) =>
    end.node(`node${number}`, RETRY_MS, Uint8Array.of(1, number)),
  );
  await rig.start([
    `--serial=${rig.at("ttyACM0")},framing=cobs`,
    "--mqtt-sn-retry-interval=100ms",
    "--mqtt-sn-retry-count=100",
  ]);
  const heard = new Set<string>();
  rig.broker.inlineClient.subscribe("up/#", ({ topicName, payload }) => {
    heard.add(`${topicName} ${Buffer.from(payload)}`);
  });
  await Promise.all(nodes.map((node) => node.connect()));
  await Promise.all(nodes.map((node) => node.subscribe("down", 1)));
  const acknowledged = nodes.map(() => 0);
  let isOver = false;
  const work = nodes.map(async (node, number) => {
    const topicId = await node.register(`up/${number}`);
    while (!isOver) {
      await node.publish(topicId, 1, String(acknowledged[number]));
      acknowledged[number]!++;
    }
  });
  const sent: string[] = [];
  for (let round = 1; round <= REPLUGS; round++) {
    await until(() => rig.opened >= round, `opening ${round}`);
    const before = acknowledged.reduce((total, count) => total + count, 0);
    sent.push(`message ${round}`);
    rig.broker.publish("down", `message ${round}`, { qos: 1 });
    const isAlive = (): boolean => acknowledged.reduce((total, count) => total + count, 0) > before;
    await until(isAlive, `a message in round ${round}`);
    await cable.unplug();
    await cable.plug();
  }
  isOver = true;
  await Promise.all(work);
  const areThere = (): boolean =>
    nodes.every(({ received }) => new Set(received.map(({ text }) => text)).size === REPLUGS);
  await until(areThere, "what was sent to the nodes");
  for (const [number, node] of nodes.entries()) {
    // Each once, or a few times when its acknowledgement was cut off, and never out of order.
    const texts = node.received.map(({ text }) => text);
    assert.deepEqual([...new Set(texts)], sent);
    for (let count = 0; count < acknowledged[number]!; count++) {
      assert.equal(heard.has(`up/${number} ${count}`), true, `message ${count} of node ${number}`);
    }
    assert.deepEqual([node.connects, node.disconnects], [1, 0]);
  }
  assert.equal(rig.broker.sessions.length, NODES);
  const total = acknowledged.reduce((sum, count) => sum + count, 0);
  const retried = nodes.reduce((sum, node) => sum + node.retried, 0);
  t.diagnostic(`${total} messages acknowledged, ${retried} times asked again`);
});

test("what waits for a sleeper outlives the unplugging of its line", async () => {
  const cable = rig.cable("ttyACM0", BYTES_PER_SECOND);
  await cable.plug();
  const end = rig.end(cable, "cobs");
  const node = end.node("sleeper", RETRY_MS);
  await rig.start([`--serial=${rig.at("ttyACM0")},framing=cobs`, "--mqtt-sn-retry-interval=100ms"]);
  await node.connect();
  await node.subscribe("set", 1);
  await node.sleep(60);
  await cable.unplug();
  rig.broker.publish("set", "21", { qos: 1 });
  await pause(20);
  await cable.plug();
  await node.wake();
  // Once, or again when its acknowledgement took long.
  assert.deepEqual([...new Set(node.received.map(({ topic, text }) => `${topic} ${text}`))], ["set 21"]);
  assert.deepEqual([node.connects, node.disconnects], [1, 0]);
});
