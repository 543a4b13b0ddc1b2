import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access } from "../../../src/core/access.ts";
import type { GatewaySettings } from "../../../src/gateway/mqttsn/settings.ts";
import type { StageOptions } from "../../core/stage.ts";
import type { SnDevice } from "./device.ts";
import { onHeldDisk, SnStage } from "./sn-stage.ts";

/** A device that subscribes to `filter` at QoS 2 and sleeps for 100 s; its numbers are known. */
function asleep(
  filter = "t",
  settings: Partial<GatewaySettings> = {},
  options: StageOptions = {},
): { stage: SnStage; device: SnDevice } {
  const stage = new SnStage(settings, options);
  const device = stage.connected("s");
  device.subscribe(filter, 2);
  device.disconnect(100);
  assert.deepEqual(device.lines(), ["SUBACK #1 qos2 code0", "DISCONNECT"]);
  return { stage, device };
}

test("1.2 §6.14: DISCONNECT with a duration is answered, and then nothing is sent until the client wakes", () => {
  const { stage, device } = asleep();
  for (const qos of [1, 2] as const) stage.publish("t", `q${qos}`, qos);
  stage.advance(99_000);
  assert.deepEqual(device.lines(), []);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
  assert.equal(stage.gateway.client("s")?.buffered, 2);
});

test("1.2 §6.14: PINGREQ of a sleeper for whom nothing is kept is answered at once", () => {
  const { device } = asleep();
  device.wake();
  assert.deepEqual(device.lines(), ["PINGRESP"]);
});

test("3.17 Paho#165, emqx#4434, emqx#4507: PINGRESP comes when the last message is acknowledged, and not before", () => {
  const { stage, device } = asleep();
  device.answers = false;
  stage.publish("t", "one");
  stage.publish("t", "two");
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1']);
  ack(device, 1);
  assert.deepEqual(device.lines(), ['PUBLISH t "two" qos1 #2']);
  stage.advance(9_000);
  assert.deepEqual(device.lines(), []);
  ack(device, 2);
  assert.deepEqual(device.lines(), ["PINGRESP"]);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
});

test("3.17: the window stays open for all of a QoS 2 handshake", () => {
  const { stage, device } = asleep();
  device.answers = false;
  stage.publish("t", "two", 2);
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "two" qos2 #1']);
  device.send({ type: 0x0f, messageId: 1 });
  assert.deepEqual(device.lines(), ["PUBREL #1"]);
  device.send({ type: 0x0e, messageId: 1 });
  assert.deepEqual(device.lines(), ["PINGRESP"]);
});

test("3.17 Paho#121: a topic of a wildcard is registered within the window, and the message follows REGACK", () => {
  const { stage, device } = asleep("a/+");
  stage.publish("a/1", "x");
  stage.publish("a/2", "y", 2);
  device.wake();
  assert.deepEqual(device.lines(), [
    "REGISTER a/1",
    'PUBLISH a/1 "x" qos1 #1',
    "REGISTER a/2",
    'PUBLISH a/2 "y" qos2 #2',
    "PUBREL #2",
    "PINGRESP",
  ]);
});

test("3.17 Paho#122: CONNECT from sleep brings the buffer too", () => {
  const { stage, device } = asleep();
  stage.publish("t", "one");
  stage.publish("t", "two", 2);
  device.connect();
  // What the gateway knew of its numbers, the client may have forgotten: 1.2 §6.10.
  assert.deepEqual(device.lines(), [
    "CONNACK code0",
    "REGISTER t",
    'PUBLISH t "one" qos1 #1',
    'PUBLISH t "two" qos2 #2',
    "PUBREL #2",
  ]);
  stage.publish("t", "three");
  assert.deepEqual(device.lines(), ['PUBLISH t "three" qos1 #3']);
});

test("3.17 Paho#157: a sleeper whose port has changed is known by the identifier in PINGREQ", () => {
  const { stage, device } = asleep();
  stage.publish("t", "one");
  stage.move(device, { port: 40_000 });
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1', "PINGRESP"]);
  stage.publish("t", "two");
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "two" qos1 #2', "PINGRESP"]);
  assert.equal(stage.gateway.size, 1);
});

test("a stranger with a sleeper's identifier gets none of its messages from another host", () => {
  const { stage, device } = asleep();
  stage.publish("t", "secret");
  const thief = stage.device("s", { host: "198.51.100.1" });
  thief.wake();
  assert.deepEqual(thief.lines(), ["DISCONNECT"]);
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "secret" qos1 #1', "PINGRESP"]);
});

test("3.17 emqx-sn#28: what was acknowledged in one window is not sent again in the next", () => {
  const { stage, device } = asleep();
  for (const text of ["1", "2", "3"]) stage.publish("t", text);
  device.wake();
  assert.deepEqual(device.lines(), [
    'PUBLISH t "1" qos1 #1',
    'PUBLISH t "2" qos1 #2',
    'PUBLISH t "3" qos1 #3',
    "PINGRESP",
  ]);
  for (let wakes = 0; wakes < 3; wakes++) {
    device.wake();
    assert.deepEqual(device.lines(), ["PINGRESP"]);
  }
});

test("what comes during a window waits for the next one, so that a busy topic cannot keep a client awake", () => {
  const { stage, device } = asleep();
  device.answers = false;
  stage.publish("t", "kept");
  device.wake();
  stage.publish("t", "late");
  ack(device, 1);
  assert.deepEqual(device.lines(), ['PUBLISH t "kept" qos1 #1', "PINGRESP"]);
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "late" qos1 #2']);
});

test("a client that falls asleep again in its window has the rest at its next, the first of it with DUP", () => {
  const { stage, device } = asleep();
  stage.publish("t", "one");
  stage.publish("t", "two");
  device.answers = false;
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1']);
  // T_retry and N_retry: four times, 10 s apart, and it is asleep for us too.
  stage.advance(40_000);
  assert.deepEqual(device.lines(), Array(3).fill('PUBLISH t "one" qos1 #1 dup'));
  assert.equal(stage.gateway.client("s")?.state, "asleep");
  device.answers = true;
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1 dup', 'PUBLISH t "two" qos1 #2', "PINGRESP"]);
});

test("a client that was awake for 50 ms is sent what it missed with its next PINGREQ, and not T_retry later", () => {
  const { stage, device } = asleep();
  stage.publish("t", "one");
  device.answers = false;
  device.wake();
  stage.advance(2_000);
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1']);
  device.answers = true;
  device.wake();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1 dup', "PINGRESP"]);
});

test("a handshake that was cut by sleep goes on where it was: PUBREL in the next window, the message once", () => {
  const { stage, device } = asleep();
  device.answers = false;
  stage.publish("t", "two", 2);
  device.wake();
  device.send({ type: 0x0f, messageId: 1 });
  assert.deepEqual(device.lines(), ['PUBLISH t "two" qos2 #1', "PUBREL #1"]);
  device.disconnect(100);
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  stage.advance(50_000);
  assert.deepEqual(device.lines(), []);
  device.answers = true;
  device.wake();
  assert.deepEqual(device.lines(), ["PUBREL #1", "PINGRESP"]);
});

test("a new DISCONNECT changes the duration", () => {
  const { stage, device } = asleep();
  stage.advance(50_000);
  device.disconnect(1000);
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  stage.advance(1_099_000);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
  stage.advance(1_001);
  assert.equal(stage.gateway.client("s"), undefined);
});

test("1.2 §6.14: each window starts the time of sleep anew", () => {
  const { stage, device } = asleep();
  for (let cycle = 0; cycle < 5; cycle++) {
    stage.advance(100_000);
    device.wake();
  }
  assert.deepEqual(device.lines(), Array(5).fill("PINGRESP"));
});

test("1.2 §6.14: a sleeper that does not wake in time is lost, and its will is published, once", () => {
  const stage = new SnStage();
  const watcher = stage.stage.connect("watch").subscribed("w", 1);
  const device = stage.device("s");
  device.connect({ will: true });
  device.willTopic("w", 1);
  device.willMessage("gone");
  device.disconnect(100);
  stage.advance(109_999);
  assert.deepEqual(watcher.takePayloads(), []);
  stage.advance(1);
  assert.deepEqual(watcher.takePayloads(), ["gone"]);
  stage.advance(1_000_000);
  assert.deepEqual(watcher.takePayloads(), []);
  // 1.2 §6.13: who is lost and comes back is told to connect.
  device.lines();
  device.wake();
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
});

test("a lost sleeper that comes back has what was kept meanwhile, the message under way with DUP", () => {
  const { stage, device } = asleep();
  device.answers = false;
  stage.publish("t", "one", 2);
  device.wake();
  stage.advance(40_000 + 110_001);
  assert.equal(stage.gateway.client("s"), undefined);
  stage.publish("t", "two");
  device.answers = true;
  device.lines();
  device.connect();
  assert.deepEqual(device.lines(), [
    "CONNACK code0",
    "REGISTER t",
    'PUBLISH t "one" qos2 #1 dup',
    "PUBREL #1",
    'PUBLISH t "two" qos1 #2',
  ]);
});

test("QoS 0 is not kept for a sleeper, or kept in its place when queue.qos0 says so", () => {
  for (const qos0 of [false, true]) {
    const { stage, device } = asleep("t", {}, { mqtt: { queue: { qos0 } } });
    stage.publish("t", "zero", 0);
    stage.publish("t", "one", 1);
    stage.publish("t", "last", 0);
    device.wake();
    const zero = qos0 ? ['PUBLISH t "zero"'] : [];
    const last = qos0 ? ['PUBLISH t "last"'] : [];
    assert.deepEqual(device.lines(), [...zero, 'PUBLISH t "one" qos1 #1', ...last, "PINGRESP"]);
  }
});

test("what waited in the gateway when the client fell asleep comes first, and all that was kept with it", () => {
  const stage = new SnStage();
  const device = stage.connected("s");
  device.subscribe("t", 1);
  device.answers = false;
  stage.publish("t", "first");
  stage.publish("t", "zero", 0);
  device.disconnect(100);
  stage.publish("t", "second");
  device.lines();
  device.answers = true;
  device.wake();
  assert.deepEqual(device.lines(), [
    'PUBLISH t "first" qos1 #1 dup',
    'PUBLISH t "zero"',
    'PUBLISH t "second" qos1 #2',
    "PINGRESP",
  ]);
});

test("a client that fell asleep with all its places taken is not taken for one that is stuck", () => {
  const stage = new SnStage();
  const device = stage.connected("s");
  device.subscribe("t", 1);
  device.answers = false;
  stage.publish("t", "first");
  for (let count = 0; count < 200; count++) stage.publish("t", `${count}`, 0);
  device.disconnect(1000);
  stage.publish("t", "last");
  stage.advance(900_000);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
  device.lines();
  device.answers = true;
  device.wake();
  const lines = device.lines().filter((line) => !line.startsWith("REGISTER"));
  // Fifty have waited in the gateway; QoS 0 beyond was dropped, as for any client that does not take it.
  assert.deepEqual([lines.length, lines.at(-2), lines.at(-1)], [52, 'PUBLISH t "last" qos1 #2', "PINGRESP"]);
});

test("a window does not stay open for what the broker cannot hand over: PINGRESP after T_retry, the rest next time", async () => {
  const { stage, synced } = await onHeldDisk();
  const device = stage.device("s");
  device.connect();
  await synced();
  device.subscribe("t", 2);
  await synced();
  device.disconnect(100);
  assert.deepEqual(device.lines(), ["CONNACK code0", "SUBACK #1 qos2 code0", "DISCONNECT"]);
  // QoS 2 is not sent before the disk has it.
  stage.publish("t", "x", 2);
  device.wake();
  stage.advance(9_999);
  assert.deepEqual(device.lines(), []);
  stage.advance(1);
  assert.deepEqual(device.lines(), ["PINGRESP"]);
  await synced();
  assert.deepEqual(device.lines(), []);
  device.wake();
  await synced();
  await synced();
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos2 #1', "PUBREL #1", "PINGRESP"]);
});

test("a thousand messages of QoS 0 that were kept all come before PINGRESP", () => {
  const { stage, device } = asleep("t", {}, { mqtt: { queue: { qos0: true } } });
  const texts = Array.from({ length: 1000 }, (_, number) => `${number}`.padStart(100, "."));
  for (const text of texts) stage.publish("t", text, 0);
  device.wake();
  const lines = device.lines();
  assert.equal(lines.length, 1001);
  assert.ok(texts.every((text, index) => lines[index] === `PUBLISH t "${text}"`));
  assert.equal(lines.at(-1), "PINGRESP");
});

test("a sleeper publishes without waking, and is not lost for it", () => {
  const { stage, device } = asleep();
  const watcher = stage.stage.connect("watch").subscribed("up", 1);
  device.register("up");
  stage.advance(90_000);
  device.publish("up", "x", { qos: 1, messageId: 5 });
  stage.advance(90_000);
  assert.deepEqual(watcher.takePayloads(), ["x"]);
  assert.deepEqual(device.lines(), ["REGACK #2 code0", "PUBACK #5 code0"]);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
});

test("PINGREQ without an identifier wakes a sleeper too: Paho's clients have none in it", () => {
  const { stage, device } = asleep();
  stage.publish("t", "one");
  device.ping();
  assert.deepEqual(device.lines(), ['PUBLISH t "one" qos1 #1', "PINGRESP"]);
  assert.equal(stage.gateway.client("s")?.state, "asleep");
  assert.equal(stage.gateway.client("s")?.buffered, 0);
});

test("PINGREQ of a client that is not known is answered with DISCONNECT", () => {
  const stage = new SnStage();
  const device = stage.device("nobody");
  device.wake();
  device.ping();
  assert.deepEqual(device.lines(), ["DISCONNECT", "DISCONNECT"]);
});

test("a sleeper that may no longer read a topic does not get what was kept of it", () => {
  let allowed = true;
  const access: Access = { authenticate: () => true, check: () => allowed };
  const stage = new SnStage({}, { access });
  const device = stage.connected("s");
  device.subscribe("t", 1);
  device.disconnect(100);
  device.lines();
  stage.publish("t", "x");
  allowed = false;
  device.wake();
  assert.deepEqual(device.lines(), ["PINGRESP"]);
  assert.equal(stage.gateway.client("s")?.buffered, 0);
});

test("a wake that is late but tolerated is counted as missed; one in time begins to count anew", () => {
  const { stage, device } = asleep();
  const client = stage.gateway.client("s")!;
  stage.advance(105_000);
  assert.equal(client.missedWakes, 1);
  device.wake();
  stage.advance(105_000);
  assert.equal(client.missedWakes, 2);
  device.wake();
  assert.equal(client.missedWakes, 2);
  stage.advance(50_000);
  device.wake();
  assert.equal(client.missedWakes, 0);
});

test("a clean session sleeps with its buffer, and ends with DISCONNECT", () => {
  const stage = new SnStage();
  const device = stage.connected("s", {}, { cleanSession: true });
  device.subscribe("t", 1);
  device.disconnect(100);
  stage.publish("t", "x");
  device.wake();
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0", "DISCONNECT", 'PUBLISH t "x" qos1 #1', "PINGRESP"]);
  device.disconnect();
  assert.equal(stage.stage.broker.sessions.has("s"), false);
});

function ack(device: SnDevice, messageId: number): void {
  device.send({ type: 0x0d, topicId: 1, messageId, returnCode: 0 });
}
