import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "./stage.ts";

test("one message a topic: the last one, none after an empty one", () => {
  const stage = new Stage();
  const publisher = stage.connect("p");
  for (const payload of ["1", "2"]) publisher.publish("t", payload, { retain: true });
  const subscriber = stage.connect("s");
  subscriber.subscribe("t");
  assert.deepEqual(subscriber.take(), ["SUBACK #1 00", 'PUBLISH t "2" retain']);
  publisher.publish("t", "", { retain: true });
  assert.deepEqual(subscriber.take(), ['PUBLISH t ""']);
  subscriber.subscribe("t");
  assert.deepEqual(subscriber.take(), ["SUBACK #1 00"]);
  assert.deepEqual([stage.broker.retained.size, stage.broker.retained.bytes], [0, 0]);
});

test("payload and topic bytes are counted, for replaced and removed messages too", () => {
  const stage = new Stage();
  const { retained, inlineClient } = stage.broker;
  inlineClient.publish("topic", "12345", { retain: true });
  assert.equal(retained.bytes, 10);
  inlineClient.publish("topic", "1", { retain: true });
  assert.equal(retained.bytes, 6);
  inlineClient.publish("t", "1", { retain: true });
  assert.equal(retained.bytes, 8);
  inlineClient.publish("topic", "", { retain: true });
  assert.deepEqual([retained.bytes, retained.size], [2, 1]);
});

test("the retained payload is a copy: what the publisher sends next does not change it", () => {
  const stage = new Stage();
  const publisher = stage.connect("p");
  publisher.publish("t", "first", { retain: true });
  publisher.publish("u", "other", { retain: true });
  assert.equal(Buffer.from(stage.broker.retained.get("t")!.payload).toString(), "first");
});

test("5.0 [MQTT-3.3.2-5] an expired message is not there, also before the sweep", () => {
  const stage = new Stage();
  stage.connect("p").publish("t", "x", { retain: true, properties: { messageExpiryInterval: 10 } });
  stage.advance(9_999);
  assert.equal(stage.broker.retained.get("t")?.qos, 0);
  stage.advance(1);
  assert.equal(stage.broker.retained.get("t"), undefined);
  const subscriber = stage.connect("s");
  subscriber.subscribe("#");
  assert.deepEqual(subscriber.take(), ["SUBACK #1 00"]);
  assert.equal(stage.broker.retained.size, 1);
});

test("the sweep frees what has expired, comes again while something can expire, and then rests", () => {
  const stage = new Stage();
  const { retained, inlineClient } = stage.broker;
  inlineClient.publish("stays", "x", { retain: true });
  assert.equal(stage.broker.nextDeadlineMs(), Number.POSITIVE_INFINITY);
  inlineClient.publish("soon", "x", { retain: true, properties: { messageExpiryInterval: 30 } });
  inlineClient.publish("$later", "x", { retain: true, properties: { messageExpiryInterval: 90 } });
  stage.advance(60_000);
  assert.equal(retained.size, 2);
  stage.advance(60_000);
  assert.deepEqual([retained.size, retained.bytes], [1, 6]);
  assert.equal(stage.counters.droppedBy.expired, 2);
  assert.equal(stage.broker.nextDeadlineMs(), Number.POSITIVE_INFINITY);
});

test("a subscription to everything is sent in the pieces that its client acknowledges, not all at once", () => {
  const stage = new Stage({ limits: { inflight: 3 } });
  const names = Array.from({ length: 10 }, (_, index) => `t/${index}`);
  for (const name of names) stage.broker.inlineClient.publish(name, name, { qos: 1, retain: true });
  const subscriber = stage.connect("s");
  subscriber.subscribe("#", 1);
  assert.equal(subscriber.takePayloads().length, 3);
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [3, 0]);
  subscriber.acknowledge("puback", 1);
  assert.deepEqual(subscriber.takePayloads(), ["t/3"]);
  subscriber.acknowledges = true;
  for (const id of [2, 3, 4]) subscriber.acknowledge("puback", id);
  assert.deepEqual(subscriber.takePayloads(), names.slice(4));
});

test("a retained message that was replaced before its turn is left out of the backlog", () => {
  const stage = new Stage({ limits: { inflight: 1 } });
  const { inlineClient } = stage.broker;
  for (const name of ["a", "b", "c"]) inlineClient.publish(name, "old", { qos: 1, retain: true });
  const subscriber = stage.connect("s");
  subscriber.subscribe("#", 1);
  assert.deepEqual(subscriber.takePayloads(), ["old"]);
  inlineClient.publish("b", "new", { qos: 1, retain: true });
  inlineClient.publish("c", "", { qos: 1, retain: true });
  subscriber.acknowledges = true;
  subscriber.acknowledge("puback", 1);
  assert.deepEqual(subscriber.take(), ['PUBLISH b "new" qos1 #2', 'PUBLISH c "" qos1 #3']);
});

test("5.0 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] Retain Handling 0 always, 1 when new, 2 never", () => {
  const stage = new Stage();
  stage.broker.inlineClient.publish("t", "x", { retain: true });
  const got = [0, 1, 2].map((rh) => {
    const subscriber = stage.connect(`s${rh}`);
    return [1, 2].map(() => {
      subscriber.subscribe("t", 0, { rh });
      return subscriber.take().length - 1;
    });
  });
  assert.deepEqual(got, [
    [1, 1],
    [1, 0],
    [0, 0],
  ]);
});

test("5.0 §4.8.2 a shared subscription is sent no retained messages", () => {
  const stage = new Stage();
  stage.broker.inlineClient.publish("t", "x", { retain: true });
  const subscriber = stage.connect("s");
  subscriber.subscribe("$share/g/t");
  assert.deepEqual(subscriber.take(), ["SUBACK #1 00"]);
});
