import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnDevice } from "./device.ts";
import { onHeldDisk, SnStage } from "./sn-stage.ts";

/** What users of other gateways have reported of sleepers, with two nodes as they had: one sleeps, one publishes. */
function scene(keepAliveSeconds = 60) {
  const stage = new SnStage();
  const sleeper: SnDevice = stage.connected("sleeper", {}, { durationSeconds: keepAliveSeconds });
  const publisher: SnDevice = stage.connected("publisher", {}, { durationSeconds: 0 });
  sleeper.subscribe("t", 2);
  publisher.register("t");
  for (const device of [sleeper, publisher]) device.lines();
  let messageId = 100;
  const publish = (text: string, qos: 1 | 2 = 1): void => {
    publisher.publish("t", text, { qos, messageId: ++messageId });
    if (qos === 2) publisher.send({ type: 0x10, messageId });
  };
  return { stage, sleeper, publisher, publish };
}

test("3.17 Paho#102: a client that sleeps longer than its keep-alive sends one PINGREQ, at the end of its sleep", () => {
  const { stage, sleeper, publish } = scene(60);
  sleeper.disconnect(120);
  assert.deepEqual(sleeper.lines(), ["DISCONNECT"]);
  publish("kept");
  for (let sleeps = 0; sleeps < 3; sleeps++) {
    stage.advance(119_999);
    assert.deepEqual([sleeper.lines(), stage.gateway.client("sleeper")?.state], [[], "asleep"]);
    sleeper.wake();
    assert.deepEqual(sleeper.lines(), sleeps === 0 ? ['PUBLISH t "kept" qos1 #1', "PINGRESP"] : ["PINGRESP"]);
  }
});

test("3.17 Paho#102: and one that sleeps shorter is lost by its sleep's duration, not by its keep-alive", () => {
  const { stage, sleeper } = scene(600);
  sleeper.disconnect(60);
  stage.advance(89_999);
  assert.equal(stage.gateway.client("sleeper")?.state, "asleep");
  stage.advance(1);
  assert.equal(stage.gateway.client("sleeper"), undefined);
});

test("3.17 Paho#80: what is published between two windows waits for the second, each time, and is not repeated", () => {
  const { stage, sleeper, publisher, publish } = scene();
  sleeper.disconnect(60);
  sleeper.lines();
  for (let cycle = 1; cycle <= 5; cycle++) {
    publish(`${cycle}`);
    // Longer than all repetitions of T_retry: the publisher has its PUBACK, and nothing goes to the sleeper.
    stage.advance(50_000);
    assert.deepEqual(publisher.lines(), [`PUBACK #${100 + cycle} code0`]);
    assert.deepEqual(sleeper.lines(), []);
    sleeper.wake();
    assert.deepEqual(sleeper.lines(), [`PUBLISH t "${cycle}" qos1 #${cycle}`, "PINGRESP"]);
    assert.equal(stage.gateway.client("sleeper")?.downstream.retried, 0);
  }
});

test("3.17 Paho PR#77: what was kept for a sleeper is sent to it when it wakes, in order and with whole handshakes", () => {
  const { stage, sleeper, publisher, publish } = scene();
  sleeper.disconnect(60);
  publish("one", 1);
  publish("two", 2);
  publish("three", 1);
  assert.equal(stage.gateway.client("sleeper")?.buffered, 3);
  // The publisher does not wait for the sleeper.
  assert.deepEqual(publisher.lines(), ["PUBACK #101 code0", "PUBREC #102", "PUBCOMP #102", "PUBACK #103 code0"]);
  sleeper.lines();
  sleeper.wake();
  assert.deepEqual(sleeper.lines(), [
    'PUBLISH t "one" qos1 #1',
    'PUBLISH t "two" qos2 #2',
    "PUBREL #2",
    'PUBLISH t "three" qos1 #3',
    "PINGRESP",
  ]);
  assert.equal(stage.gateway.client("sleeper")?.buffered, 0);
});

test("3.17 Paho PR#77, PR#78: CONNECT from sleep and from a window is answered by CONNACK, and brings the rest", () => {
  for (const isAwake of [false, true]) {
    const { stage, sleeper, publish } = scene();
    sleeper.disconnect(60);
    publish("one");
    publish("two");
    sleeper.lines();
    sleeper.answers = false;
    if (isAwake) sleeper.wake();
    assert.deepEqual(sleeper.lines(), isAwake ? ['PUBLISH t "one" qos1 #1'] : []);
    sleeper.answers = true;
    sleeper.connect();
    assert.deepEqual(sleeper.lines(), [
      "CONNACK code0",
      "REGISTER t",
      `PUBLISH t "one" qos1 #1${isAwake ? " dup" : ""}`,
      'PUBLISH t "two" qos1 #2',
    ]);
    assert.equal(stage.gateway.client("sleeper")?.state, "active");
  }
});

test("a client that is heard of in its window is not lost there, however short its sleep is", () => {
  const { stage, sleeper, publish } = scene();
  sleeper.disconnect(10);
  publish("kept");
  sleeper.answers = false;
  for (let times = 0; times < 2; times++) sleeper.wake();
  stage.advance(20_000);
  assert.equal(stage.gateway.client("sleeper")?.state, "awake");
});

test("a client that says goodbye in an open window hears no PINGRESP after it", async () => {
  const { stage, synced } = await onHeldDisk();
  const device = stage.device("s");
  device.connect();
  await synced();
  device.subscribe("t", 2);
  await synced();
  device.disconnect(100);
  // QoS 2 is not handed over before the disk has it: the window is open, and nothing is on the way.
  stage.publish("t", "x", 2);
  device.wake();
  assert.equal(stage.gateway.client("s")?.state, "awake");
  device.lines();
  device.disconnect();
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
});
