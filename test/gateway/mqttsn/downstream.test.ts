import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewaySettings } from "../../../src/gateway/mqttsn/settings.ts";
import type { SnDevice } from "./device.ts";
import { type Place, SnStage } from "./sn-stage.ts";

/** A device that is there and subscribes to `filter`. */
function scene(filter: string, settings: Partial<GatewaySettings> = {}, place: Place = {}) {
  const stage = new SnStage(settings);
  const device: SnDevice = stage.connected("a", place);
  device.subscribe(filter, 2);
  device.lines();
  return { stage, device };
}

function puback(device: SnDevice, messageId: number, returnCode = 0, topicId = 1): void {
  device.send({ type: 0x0d, topicId, messageId, returnCode });
}

test("1.2 §6.10: a topic that the client has no number for is registered once, before its first message", () => {
  const { stage, device } = scene("#");
  for (const text of ["1", "2"]) stage.publish("t/1", text, 0);
  assert.deepEqual(device.lines(), ["REGISTER t/1", 'PUBLISH t/1 "1"', 'PUBLISH t/1 "2"']);
});

test("1.2 §6.5: one message of QoS 1 or 2 is under way at a time, and QoS 0 keeps its place", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "1", 1);
  stage.publish("t", "2", 2);
  stage.publish("t", "3", 1);
  assert.deepEqual(device.lines(), ['PUBLISH t "1" qos1 #1']);
  puback(device, 1);
  device.send({ type: 0x0f, messageId: 2 });
  assert.deepEqual(device.lines(), ['PUBLISH t "2" qos2 #2', "PUBREL #2"]);
  device.send({ type: 0x0e, messageId: 2 });
  assert.deepEqual(device.lines(), ['PUBLISH t "3" qos1 #3']);
});

test("1.2 §6.10: while REGACK is awaited nothing is published, and each message is sent once", () => {
  const { stage, device } = scene("#");
  device.answers = false;
  for (const topic of ["x", "y"]) stage.publish(topic, topic, 0);
  assert.deepEqual(device.lines(), ["REGISTER x"]);
  device.answers = true;
  device.answerLast();
  assert.deepEqual(device.lines(), ['PUBLISH x "x"', "REGISTER y", 'PUBLISH y "y"']);
});

test("1.2 §6.13: PUBLISH is repeated with DUP after T_retry, N_retry times, and then the client is lost", () => {
  const { stage, device } = scene("t", { retryMs: 12_000, retries: 2 });
  device.answers = false;
  stage.publish("t", "x");
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos1 #1']);
  for (let repetition = 0; repetition < 2; repetition++) {
    stage.advance(11_999);
    assert.deepEqual(device.lines(), []);
    stage.advance(1);
    assert.deepEqual(device.lines(), ['PUBLISH t "x" qos1 #1 dup']);
  }
  stage.advance(12_000);
  assert.deepEqual([device.lines(), stage.gateway.size], [[], 0]);
  assert.equal(stage.gateway.client("a"), undefined);
});

test("REGISTER and PUBREL are repeated as PUBLISH is", () => {
  const { stage, device } = scene("#");
  device.answers = false;
  stage.publish("t", "x", 2);
  stage.advance(10_000);
  assert.deepEqual(device.lines(), ["REGISTER t", "REGISTER t"]);
  device.answerLast();
  device.answerLast();
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos2 #1', "PUBREL #1"]);
  stage.advance(9_999);
  assert.deepEqual(device.lines(), []);
  stage.advance(1);
  assert.deepEqual(device.lines(), ["PUBREL #1"]);
});

test("a late answer ends the repetitions; one of another message does nothing", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "x");
  stage.advance(15_000);
  puback(device, 99);
  puback(device, 1);
  device.lines();
  stage.advance(40_000);
  assert.deepEqual(device.lines(), []);
  assert.equal(stage.gateway.client("a")?.buffered, 0);
});

test("1.2 §6.10: REGACK that refuses is the end of that topic, until the client subscribes again", () => {
  const { stage, device } = scene("#");
  device.returnCode = 3;
  for (const text of ["1", "2"]) stage.publish("t", text);
  assert.deepEqual(device.lines(), ["REGISTER t"]);
  assert.equal(stage.gateway.client("a")?.dropped, 2);
  assert.equal(stage.gateway.client("a")?.buffered, 0);
  device.returnCode = 0;
  stage.publish("other", "3");
  assert.deepEqual(device.lines(), ["REGISTER other", 'PUBLISH other "3" qos1 #3']);
  device.subscribe("t");
  stage.publish("t", "4");
  assert.equal(device.lines().at(-1), 'PUBLISH t "4" qos1 #4');
});

test("1.2 §6.13: a client that says congestion is asked again after T_retry, as often as it says so", () => {
  const { stage, device } = scene("#");
  device.returnCode = 1;
  stage.publish("t", "x");
  for (let times = 0; times < 5; times++) {
    stage.advance(10_000);
    device.ping();
  }
  assert.deepEqual(
    device.lines().filter((line) => line !== "PINGRESP"),
    Array(6).fill("REGISTER t"),
  );
  device.returnCode = 0;
  stage.advance(10_000);
  assert.deepEqual(device.lines(), ["REGISTER t", 'PUBLISH t "x" qos1 #1']);
});

test("1.2 §6.10: PUBACK with an invalid topic id has the topic registered anew and the message sent again, once", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "x");
  puback(device, 1, 2);
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos1 #1', "REGISTER t"]);
  device.answers = true;
  device.answerLast();
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos1 #1']);
  assert.equal(stage.gateway.client("a")?.buffered, 0);
});

test("a client that always says invalid topic id is not asked for ever", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "x");
  puback(device, 1, 2);
  const [topicId] = device.topics.keys();
  device.send({ type: 0x0b, topicId: topicId!, messageId: 1, returnCode: 0 });
  puback(device, 1, 2);
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos1 #1', "REGISTER t", 'PUBLISH t "x" qos1 #1']);
  assert.equal(stage.gateway.client("a")?.buffered, 0);
});

test("a predefined topic that the client does not know is registered instead", () => {
  const { stage, device } = scene("#", { predefined: new Map([[5, "pre/five"]]) });
  device.answers = false;
  stage.publish("pre/five", "x");
  puback(device, 1, 2, 5);
  assert.deepEqual(device.lines(), ['PUBLISH predefined:5 "x" qos1 #1', "REGISTER pre/five"]);
});

test("1.2 §5.4.13: an invalid topic id of QoS 0 has the topic registered before its next message", () => {
  const { stage, device } = scene("t");
  const [topicId] = device.topics.keys();
  stage.publish("t", "1", 0);
  puback(device, 0, 2, topicId);
  stage.publish("t", "2", 0);
  assert.deepEqual(device.lines(), ['PUBLISH t "1"', "REGISTER t", 'PUBLISH t "2"']);
});

test("a message of QoS 2 is not done with by PUBACK, nor one of QoS 1 by PUBREC", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "2", 2);
  puback(device, 1);
  assert.equal(stage.gateway.client("a")?.buffered, 1);
  device.send({ type: 0x0f, messageId: 1 });
  device.send({ type: 0x0e, messageId: 1 });
  stage.publish("t", "1", 1);
  device.send({ type: 0x0f, messageId: 2 });
  assert.deepEqual(device.lines(), ['PUBLISH t "2" qos2 #1', "PUBREL #1", 'PUBLISH t "1" qos1 #2']);
  assert.equal(stage.gateway.client("a")?.buffered, 1);
});

test("PUBREC that is repeated is answered again; PUBCOMP that nobody asked for does nothing", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  device.send({ type: 0x0e, messageId: 1 });
  stage.publish("t", "x", 2);
  for (let times = 0; times < 2; times++) device.send({ type: 0x0f, messageId: 1 });
  device.send({ type: 0x0e, messageId: 1 });
  assert.deepEqual(device.lines(), ['PUBLISH t "x" qos2 #1', "PUBREL #1", "PUBREL #1"]);
  assert.equal(stage.gateway.client("a")?.buffered, 0);
});

for (const qos of [0, 1, 2] as const) {
  test(`a message of QoS ${qos} that is too long for the client's way is dropped, and the next one comes`, () => {
    // Length, MsgType, Flags, TopicId, MsgId: 7 octets before the data, and 9 above 255 in all.
    for (const [maxBytes, fits] of [
      [60, 53],
      [255, 248],
      [257, 248],
      [258, 249],
    ] as const) {
      const { stage, device } = scene("t", {}, { maxBytes });
      stage.publish("t", "x".repeat(fits + 1), qos);
      stage.publish("t", "y".repeat(fits), qos);
      const lines = device.lines().filter((line) => !line.startsWith("PUBREL"));
      assert.deepEqual([lines.length, lines[0]?.startsWith('PUBLISH t "y')], [1, true], `${maxBytes}`);
      assert.equal(stage.gateway.client("a")?.dropped, 1);
      assert.equal(stage.stage.log.of("Messages not sent to a client").length, 1);
    }
  });
}

test("a topic that is too long for the client's way is not registered", () => {
  const { stage, device } = scene("#", {}, { maxBytes: 60 });
  stage.publish(`${"é".repeat(27)}x`, "no");
  stage.publish("é".repeat(27), "yes");
  assert.deepEqual(device.lines(), [`REGISTER ${"é".repeat(27)}`, `PUBLISH ${"é".repeat(27)} "yes" qos1 #2`]);
});

test("ten thousand messages that all are too long are dropped one after the other", () => {
  const { stage, device } = scene("t", {}, { maxBytes: 60 });
  device.disconnect(100);
  for (let count = 0; count < 10_000; count++)
    stage.stage.broker.inlineClient.publish("t", "x".repeat(100), { qos: 1 });
  device.wake();
  assert.deepEqual(device.lines(), ["DISCONNECT", "PINGRESP"]);
  assert.equal(stage.gateway.client("a")?.dropped, 10_000);
});

test("messages of QoS 0 behind one that is not answered do not pile up without end", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "first", 1);
  for (let count = 0; count < 5_000; count++) stage.publish("t", "x", 0);
  assert.ok(stage.gateway.client("a")!.downstream.length <= 60, `${stage.gateway.client("a")!.downstream.length}`);
  puback(device, 1);
  assert.ok(device.lines().length <= 61);
  // And those that come then are sent.
  stage.publish("t", "last", 0);
  assert.equal(device.lines().at(-1), 'PUBLISH t "last"');
});

test("a message for a client that is lost before it answers comes again with DUP when it is back", () => {
  const { stage, device } = scene("t");
  device.answers = false;
  stage.publish("t", "x");
  stage.advance(40_000);
  assert.equal(stage.gateway.size, 0);
  device.answers = true;
  device.lines();
  device.connect();
  assert.deepEqual(device.lines(), ["CONNACK code0", "REGISTER t", 'PUBLISH t "x" qos1 #1 dup']);
});

test("a client that has as many numbers as it may have goes without the topics beyond", () => {
  const { stage, device } = scene("#", { topicsPerClient: 1 });
  stage.publish("1", "a");
  stage.publish("2", "b");
  stage.publish("1", "c");
  assert.deepEqual(device.lines(), ["REGISTER 1", 'PUBLISH 1 "a" qos1 #1', 'PUBLISH 1 "c" qos1 #3']);
});
