import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeEncapsulated } from "../../../src/gateway/mqttsn/codec/forwarder.ts";
import { nodeRoute } from "../../../src/gateway/mqttsn/node-route.ts";
import type { SnDevice } from "./device.ts";
import { SnStage } from "./sn-stage.ts";

/** A device with a subscription, and what its way is told: milliseconds of round trips, "again". */
function scene(filter: string, connect: Parameters<SnDevice["connect"]>[0] = {}) {
  const told: (number | "again")[] = [];
  const watch = { answered: (ms: number) => void told.push(ms), retried: () => void told.push("again") };
  const stage = new SnStage();
  const device: SnDevice = stage.connected("a", { watch }, connect);
  device.subscribe(filter, 2);
  device.answers = false;
  return { stage, device, told };
}

/** It answers what came last, so many milliseconds later. */
function answerAfter(stage: SnStage, device: SnDevice, ms: number): void {
  stage.advance(ms);
  device.answerLast();
}

test("REGISTER, PUBLISH of QoS 1 and 2, and PUBREL are measured until their answers, QoS 0 is not", () => {
  const { stage, device, told } = scene("#");
  stage.publish("t", "1", 1);
  answerAfter(stage, device, 30);
  answerAfter(stage, device, 40);
  stage.publish("t", "0", 0);
  stage.publish("t", "2", 2);
  answerAfter(stage, device, 50);
  answerAfter(stage, device, 60);
  assert.deepEqual(told, [30, 40, 50, 60]);
});

test("Karn: the answer to what was sent twice is not measured, and each time it is sent again is told", () => {
  const { stage, device, told } = scene("t");
  stage.publish("t", "1", 1);
  stage.advance(20_000);
  assert.deepEqual(told, ["again", "again"]);
  answerAfter(stage, device, 5);
  stage.publish("t", "2", 1);
  answerAfter(stage, device, 25);
  assert.deepEqual(told, ["again", "again", 25]);
});

test("congestion is an answer: to ask again after it is no repetition, and is measured anew, once", () => {
  const { stage, device, told } = scene("t");
  stage.publish("t", "1", 1);
  device.returnCode = 1;
  answerAfter(stage, device, 10);
  answerAfter(stage, device, 5);
  device.returnCode = 0;
  stage.advance(10_000);
  answerAfter(stage, device, 20);
  assert.deepEqual(told, [10, 20]);
});

test("what a sleeper did not answer is sent again when it wakes; what it was never sent is not", () => {
  const { stage, device, told } = scene("t");
  stage.publish("t", "1", 1);
  device.disconnect(100);
  device.wake();
  assert.deepEqual(told, ["again"]);
  device.answerLast();
  device.answers = true;
  device.disconnect(100);
  stage.publish("t", "2", 1);
  device.wake();
  assert.deepEqual([device.lines().at(-1), told], ["PINGRESP", ["again", 0]]);
});

test("PUBREL that repeats on a second PUBREC counts as sent again", () => {
  const { stage, device, told } = scene("t");
  stage.publish("t", "2", 2);
  for (let times = 0; times < 2; times++) device.send({ type: 0x0f, messageId: 1 });
  device.send({ type: 0x0e, messageId: 1 });
  assert.deepEqual(told, [0, "again"]);
});

test("what the client repeats counts too, since its message or our answer was lost", () => {
  const { device, told } = scene("t");
  device.answers = true;
  device.register("up");
  device.publish("up", "x", { qos: 1, messageId: 9 });
  assert.deepEqual(told, []);
  device.publish("up", "x", { qos: 1, messageId: 9, dup: true });
  device.send({ type: 0x12, dup: true, qos: 1, messageId: 30, topic: { topicIdType: 0, name: "u" } });
  assert.deepEqual(told, ["again", "again"]);
});

test("a client that is asked for its will again has been sent something again", () => {
  const told: string[] = [];
  const stage = new SnStage();
  const device = stage.device("a", { watch: { retried: () => void told.push("again") } });
  device.connect({ will: true });
  stage.advance(10_000);
  assert.deepEqual([device.lines(), told], [["WILLTOPICREQ", "WILLTOPICREQ"], ["again"]]);
});

test("the way to a node behind a forwarder hands all this on, and shows the forwarder's quality as it is now", () => {
  const told: (number | "again")[] = [];
  const sent: Uint8Array[] = [];
  const watch = { answered: (ms: number) => void told.push(ms), retried: () => void told.push("again") };
  const route = { ...new SnStage().route({ watch }, (message) => sent.push(message)), linkQuality: 0.9 };
  const node = nodeRoute(route, Uint8Array.of(0x0a, 0x1b));
  route.linkQuality = 0.5;
  node.answered?.(12);
  node.retried?.();
  node.send(Uint8Array.of(2, 0x17));
  assert.deepEqual([node.linkQuality, told], [0.5, [12, "again"]]);
  assert.deepEqual([...decodeEncapsulated(sent[0]!).nodeId], [0x0a, 0x1b]);
  assert.deepEqual([node.peer.nodeId, node.maxBytes], ["0a1b", 1232 - 5]);
});
