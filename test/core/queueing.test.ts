import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, type StageOptions } from "./stage.ts";

/** A session that is away and subscribed to everything at QoS 2. */
function away(options: StageOptions = {}): Stage {
  const stage = new Stage(options);
  stage.resume("s").subscribed("#", 2).hangUp();
  return stage;
}

function publish(stage: Stage, payloads: string[], qos: 0 | 1 | 2 = 1, expirySeconds?: number): void {
  const properties = expirySeconds === undefined ? {} : { properties: { messageExpiryInterval: expirySeconds } };
  for (const payload of payloads) stage.broker.inlineClient.publish("t", payload, { qos, ...properties });
}

const drained = (stage: Stage): string[] => stage.resume("s", { acknowledges: true }).takePayloads();

test("5.0 [MQTT-4.5.0-1] QoS 1 and 2 messages wait for a session that is away, in order; QoS 0 does not", () => {
  const stage = away();
  publish(stage, ["1"], 1);
  publish(stage, ["0"], 0);
  publish(stage, ["2"], 2);
  publish(stage, ["3"], 1);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [3, 6]);
  assert.deepEqual(stage.resume("s").take(), [
    'PUBLISH t "1" qos1 #1',
    'PUBLISH t "2" qos2 #2',
    'PUBLISH t "3" qos1 #3',
  ]);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [0, 0]);
});

test("queue.qos0: QoS 0 messages wait too, in their place", () => {
  const stage = away({ mqtt: { queue: { qos0: true } } });
  publish(stage, ["1"], 1);
  publish(stage, ["0"], 0);
  publish(stage, ["2"], 1);
  assert.deepEqual(stage.resume("s").take(), ['PUBLISH t "1" qos1 #1', 'PUBLISH t "0"', 'PUBLISH t "2" qos1 #2']);
});

test("a message that waits is a copy: what its publisher sends next does not change it", () => {
  const stage = away();
  const publisher = stage.connect("p");
  for (const payload of ["first", "other"]) publisher.publish("t", payload, { qos: 1 });
  assert.deepEqual(drained(stage), ["first", "other"]);
});

test("nothing waits for a session that ended with its connection", () => {
  const stage = new Stage();
  stage.connect("s").subscribed("#", 2).hangUp();
  publish(stage, ["1"]);
  assert.equal(stage.counters.queuedMessages, 0);
  assert.deepEqual(drained(stage), []);
});

const overflows: [StageOptions["mqtt"] & object, StageOptions["limits"] & object, string, string[]][] = [
  [{}, { queuedMessages: 3 }, "queueFull", ["3", "4", "5"]],
  [{ queue: { overflow: "drop-oldest" } }, { queuedMessages: 3 }, "queueFull", ["3", "4", "5"]],
  [{ queue: { overflow: "drop-newest" } }, { queuedMessages: 3 }, "queueFull", ["1", "2", "3"]],
  [{}, { queuedBytes: 7 }, "queueBytes", ["3", "4", "5"]],
  [{ queue: { overflow: "drop-newest" } }, { queuedBytes: 7 }, "queueBytes", ["1", "2", "3"]],
];
for (const [mqtt, limits, reason, left] of overflows) {
  test(`of five messages ${left.join()} are left with ${JSON.stringify(limits)} and ${JSON.stringify(mqtt)}`, () => {
    const stage = away({ mqtt, limits });
    publish(stage, ["1", "2", "3", "4", "5"]);
    assert.equal(stage.counters.droppedBy[reason as "queueFull"], 2);
    assert.equal(stage.counters.messagesDropped, 2);
    assert.deepEqual(
      stage.log.of("Dropping messages for a client").map((fields) => [fields.client, fields.reason, fields.topic]),
      [["s", reason, "t"]],
    );
    assert.deepEqual(drained(stage), left);
  });
}

test("queuedBytes: a message larger than all of it is dropped alone, whatever the rule", () => {
  for (const overflow of ["drop-oldest", "drop-newest"] as const) {
    const stage = away({ mqtt: { queue: { overflow } }, limits: { queuedBytes: 10 } });
    publish(stage, ["1", "x".repeat(20), "2"]);
    assert.equal(stage.counters.droppedBy.queueBytes, 1);
    assert.deepEqual(drained(stage), ["1", "2"]);
  }
});

test("queuedBytes: as many of the oldest go as the newest needs", () => {
  const stage = away({ limits: { queuedBytes: 10 } });
  publish(stage, ["1", "2", "3", "1234567"]);
  assert.deepEqual(drained(stage), ["3", "1234567"].slice(0, 2));
  assert.equal(stage.counters.droppedBy.queueBytes, 2);
});

test("queuedMessages 0: nothing waits", () => {
  const stage = away({ limits: { queuedMessages: 0 } });
  publish(stage, ["1"]);
  assert.equal(stage.counters.droppedBy.queueFull, 1);
  assert.deepEqual(drained(stage), []);
});

test("queuedAgeMs: what has waited longer is dropped", () => {
  const stage = away({ limits: { queuedAgeMs: 1000 } });
  publish(stage, ["old"]);
  stage.advance(1);
  publish(stage, ["young"]);
  stage.advance(1000);
  assert.deepEqual(drained(stage), ["young"]);
  assert.equal(stage.counters.droppedBy.queueAge, 1);
});

test("5.0 [MQTT-3.3.2-5] [MQTT-3.3.2-6] what expires while it waits is dropped, the rest says what it has left", () => {
  const stage = away();
  publish(stage, ["short"], 1, 5);
  publish(stage, ["long"], 1, 60);
  stage.advance(5000);
  assert.deepEqual(stage.resume("s").take(), ['PUBLISH t "long" qos1 #1 {"messageExpiryInterval":55}']);
  assert.equal(stage.counters.droppedBy.expired, 1);
  assert.equal(stage.counters.queuedMessages, 0);
});

test("messages expire for 3.1.1 clients too", () => {
  const stage = new Stage();
  stage.resume("s", { version: 4 }).subscribed("#", 1).hangUp();
  publish(stage, ["short"], 1, 5);
  publish(stage, ["long"], 1, 60);
  stage.advance(5000);
  assert.deepEqual(stage.resume("s", { version: 4 }).take(), ['PUBLISH t "long" qos1 #1']);
});

test("5.0 [MQTT-4.3.3-7] what was sent once does not expire any more", () => {
  const stage = new Stage();
  stage.resume("s").subscribed("#", 2).take();
  publish(stage, ["1"], 2, 5);
  stage.broker.sessions.get("s")?.connection?.onClose(undefined);
  stage.advance(10_000);
  assert.deepEqual(stage.resume("s").take(), ['PUBLISH t "1" qos2 #1 dup {"messageExpiryInterval":1}']);
});

test("5.0 [MQTT-3.3.4-9] [MQTT-4.9.0-2] a queue is drained by the client's Receive Maximum, in order", () => {
  const stage = away();
  const payloads = Array.from({ length: 10 }, (_, index) => String(index));
  publish(stage, payloads, 2);
  const client = stage.resume("s", { properties: { sessionExpiryInterval: 100, receiveMaximum: 2 } });
  assert.deepEqual(client.takePayloads(), ["0", "1"]);
  client.acknowledge("pubrec", 1);
  assert.deepEqual(client.take(), ["PUBREL #1"]);
  client.acknowledge("pubcomp", 1);
  assert.deepEqual(client.takePayloads(), ["2"]);
  client.acknowledge("pubrec", 2, 0x80);
  assert.deepEqual(client.takePayloads(), ["3"]);
  client.acknowledges = true;
  for (const id of [3, 4]) client.acknowledge("pubrec", id);
  assert.deepEqual(client.takePayloads(), payloads.slice(4));
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [0, 0]);
});

test("5.0 [MQTT-4.9.0-3] with the quota used up every other packet is answered, and QoS 0 goes out", () => {
  const stage = new Stage();
  const client = stage.connect("s", { properties: { receiveMaximum: 1 } }).subscribed("#", 1);
  publish(stage, ["1", "2"]);
  publish(stage, ["0"], 0);
  client.send({ cmd: "pingreq" });
  client.subscribe("u");
  client.publish("u", "own");
  assert.deepEqual(client.take(), [
    'PUBLISH t "1" qos1 #1',
    'PUBLISH t "0"',
    "PINGRESP",
    "SUBACK #1 00",
    'PUBLISH u "own"',
  ]);
});

test("5.0 [MQTT-4.6.0-5] what is published while a queue drains comes after it", () => {
  const stage = away();
  publish(stage, ["1", "2", "3"]);
  const client = stage.resume("s", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  publish(stage, ["4"]);
  client.acknowledges = true;
  client.acknowledge("puback", 1);
  publish(stage, ["5"]);
  assert.deepEqual(client.takePayloads(), ["1", "2", "3", "4", "5"]);
});

test("an acknowledgement of something that is not under way changes nothing", () => {
  const stage = new Stage();
  const client = stage.connect("s", { properties: { receiveMaximum: 1 } }).subscribed("#", 2);
  publish(stage, ["1", "2"], 2);
  client.take();
  client.acknowledge("puback", 1);
  client.acknowledge("pubcomp", 1);
  client.acknowledge("puback", 77);
  client.acknowledge("pubcomp", 77);
  client.acknowledge("pubrec", 77);
  assert.deepEqual(client.take(), ["PUBREL #77 92"]);
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [1, 1]);
});

test("when its session ends, what waited is counted as dropped", () => {
  const stage = away();
  publish(stage, ["1", "2"]);
  stage.advance(3_600_000);
  assert.equal(stage.counters.droppedBy.sessionEnded, 2);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [0, 0]);
});
