import assert from "node:assert/strict";
import { test } from "node:test";
import type { Will } from "../../src/codec/packet.ts";
import type { GatewayHandler } from "../../src/core/ports.ts";
import { type Disk, HeldStore } from "./held-store.ts";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage, type StageOptions } from "./stage.ts";

// What the core does for the clients of gateways: their connection is there, and they sleep behind it.

const WILL = { topic: "w", payload: Buffer.from("gone"), qos: 1 as const };

/** A client of a gateway, subscribed to "t" at QoS 2, and what its gateway has of it. */
function scene(options: StageOptions | Stage = {}, given: PeerOptions = {}) {
  const stage = options instanceof Stage ? options : new Stage(options);
  const peer = stage.resume("s", { acknowledges: true, ...given });
  peer.subscribed("t", 2);
  return { stage, peer, gateway: gatewayOf(peer) };
}

const gatewayOf = (peer: TestPeer): GatewayHandler => peer.link.handler as GatewayHandler;

function publish(stage: Stage, payload: string, qos: 0 | 1 | 2 = 1): void {
  stage.broker.inlineClient.publish("t", payload, { qos });
  stage.flush();
}

const watcher = (stage: Stage): TestPeer => stage.connect("watch").subscribed("w", 1);

test("what is meant for a sleeper is kept, QoS 1 and 2 in order, and sent when it wakes", () => {
  const { stage, peer, gateway } = scene();
  gateway.sleep(0);
  for (const qos of [1, 0, 2] as const) publish(stage, `q${qos}`, qos);
  assert.deepEqual([peer.take(), gateway.backlog], [[], 2]);
  gateway.wake();
  stage.flush();
  assert.deepEqual([peer.takePayloads(), gateway.backlog], [["q1", "q2"], 0]);
});

test("queue.qos0: QoS 0 is kept for a sleeper, in its place", () => {
  const { stage, peer, gateway } = scene({ mqtt: { queue: { qos0: true } } });
  gateway.sleep(0);
  for (const qos of [0, 1, 0] as const) publish(stage, `q${qos}`, qos);
  assert.equal(gateway.backlog, 3);
  gateway.wake();
  stage.flush();
  assert.deepEqual(peer.takePayloads(), ["q0", "q1", "q0"]);
});

test("what comes to one who is awake goes behind what was kept, and waits for the next time after sleep", () => {
  const { stage, peer, gateway } = scene({}, { properties: { receiveMaximum: 1 }, acknowledges: false });
  gateway.sleep(0);
  publish(stage, "1");
  gateway.wake();
  publish(stage, "2");
  stage.flush();
  assert.deepEqual(peer.takePayloads(), ["1"]);
  gateway.sleep(0);
  peer.send({ cmd: "puback", messageId: 1 });
  stage.flush();
  assert.deepEqual([peer.takePayloads(), gateway.backlog], [[], 1]);
  gateway.wake();
  stage.flush();
  assert.deepEqual([peer.takePayloads(), gateway.backlog], [["2"], 1]);
});

test("backlog counts what waits and what is not acknowledged, and nothing before and after the connection", () => {
  const { stage, peer, gateway } = scene({}, { acknowledges: false, properties: { receiveMaximum: 1 } });
  for (const payload of ["1", "2", "3"]) publish(stage, payload);
  assert.equal(gateway.backlog, 3);
  peer.send({ cmd: "puback", messageId: 1 });
  stage.flush();
  assert.equal(gateway.backlog, 2);
  peer.hangUp();
  assert.equal(gateway.backlog, 0);
  assert.equal(gatewayOf(stage.open()).backlog, 0);
});

test("sleep, wake and changeWill do nothing before CONNECT and after the end", () => {
  const stage = new Stage();
  const open = stage.open();
  const { peer, gateway } = scene(stage);
  peer.hangUp();
  for (const handler of [gatewayOf(open), gateway]) {
    handler.sleep(5);
    handler.wake();
    assert.equal(handler.changeWill(undefined), undefined);
  }
});

test("a sleeper whose broker waits for nothing of it is not taken for a slow reader", () => {
  const { stage, peer, gateway } = scene({ limits: { linkStallMs: 1000 } });
  gateway.sleep(0);
  for (let count = 0; count < 100; count++) publish(stage, `${count}`);
  stage.advance(100_000);
  assert.equal(peer.link.state, "open");
  assert.equal(gateway.backlog, 100);
});

test("messages that wait for sleepers do not hold up a stop in order; those of others do", () => {
  const { stage, gateway } = scene({}, { properties: { receiveMaximum: 1 }, acknowledges: false });
  for (const payload of ["1", "2"]) publish(stage, payload);
  assert.equal(stage.broker.waitingForConnected, 1);
  gateway.sleep(0);
  assert.equal(stage.broker.waitingForConnected, 0);
});

test("the will of a sleeper whose gateway goes waits so long, and is not published when it comes back", () => {
  const stage = new Stage();
  const watch = watcher(stage);
  const { peer, gateway } = scene(stage, { will: WILL });
  gateway.sleep(100);
  peer.hangUp();
  stage.advance(99_999);
  assert.deepEqual(watch.takePayloads(), []);
  stage.advance(1);
  assert.deepEqual(watch.takePayloads(), ["gone"]);
  const again = scene(stage, { will: WILL });
  again.gateway.sleep(100);
  again.peer.hangUp();
  stage.resume("s");
  stage.advance(200_000);
  assert.deepEqual(watch.takePayloads(), []);
});

test("with no delay the will of one that is lost is published at once", () => {
  const stage = new Stage();
  const watch = watcher(stage);
  const { peer, gateway } = scene(stage, { will: WILL });
  gateway.sleep(100);
  gateway.sleep(0);
  peer.hangUp();
  assert.deepEqual(watch.takePayloads(), ["gone"]);
});

test("a will is given, changed and taken away without a new connection", () => {
  const stage = new Stage();
  const watch = watcher(stage);
  const will = (text: string): Will => ({
    topicName: "w",
    payload: Buffer.from(text),
    qos: 1,
    retain: false,
    properties: {},
  });
  for (const [changes, published] of [
    [[will("new")], ["new"]],
    [[will("new"), will("newer")], ["newer"]],
    [[will("new"), undefined], []],
  ] as const) {
    const { peer, gateway } = scene(stage);
    for (const change of changes) assert.equal(gateway.changeWill(change), undefined);
    peer.hangUp();
    assert.deepEqual(watch.takePayloads(), published);
  }
});

test("a will that CONNECT could not have is refused with CONNACK's reason, and the one of before stays", () => {
  const stage = new Stage({ mqtt: { maximumQos: 1, retain: false } });
  const watch = watcher(stage);
  const { peer, gateway } = scene(stage, { will: WILL });
  const bad = { topicName: "w", payload: Buffer.from("x"), qos: 1 as const, retain: false, properties: {} };
  assert.equal(gateway.changeWill({ ...bad, topicName: "w/#" }), 0x90);
  assert.equal(gateway.changeWill({ ...bad, qos: 2 }), 0x9b);
  assert.equal(gateway.changeWill({ ...bad, retain: true }), 0x9a);
  peer.hangUp();
  assert.deepEqual(watch.takePayloads(), ["gone"]);
});

test("a sleeper's messages and its will outlive the broker: the messages come first, the will waits its time", async () => {
  const disk: Disk = new Map();
  const store = new HeldStore(disk);
  const stage = await Stage.load(store);
  const peer = stage.dial({ clientId: "s", clean: false, will: WILL, properties: { sessionExpiryInterval: 3600 } });
  store.sync();
  await stage.settle();
  peer.subscribe("t", 2);
  store.sync();
  await stage.settle();
  gatewayOf(peer).sleep(100);
  for (const qos of [1, 2] as const) publish(stage, `q${qos}`, qos);
  store.sync();

  // Cut off: what follows knows the disk alone.
  for (const comesBack of [true, false]) {
    const copy: Disk = new Map([...disk].map(([table, rows]) => [table, new Map(rows)]));
    const left = new HeldStore(copy);
    const after = await Stage.load(left, { wallMs: stage.wallMs });
    const watch = watcher(after);
    after.advance(99_000);
    assert.deepEqual(watch.takePayloads(), []);
    if (comesBack) {
      const again = after.dial({
        clientId: "s",
        clean: false,
        acknowledges: true,
        properties: { sessionExpiryInterval: 3600 },
      });
      for (let turns = 0; turns < 5; turns++) {
        left.sync();
        await after.settle();
      }
      assert.deepEqual(again.takePayloads(), ["q1", "q2"]);
    }
    after.advance(10_000);
    assert.deepEqual(watch.takePayloads(), comesBack ? [] : ["gone"]);
  }
});
