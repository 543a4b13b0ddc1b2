import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "./stage.ts";

test("overlapping subscriptions of one session give one copy, with the highest QoS and all identifiers", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  client.subscribe("t/#", 0, {}, 1);
  client.subscribe("t/+", 2, {}, 2);
  client.subscribe("t/x", 1);
  client.take();
  stage.broker.inlineClient.publish("t/x", "x", { qos: 2 });
  const lines = client.take().map((line) => line.replace("[2,1]", "[1,2]"));
  assert.deepEqual(lines, ['PUBLISH t/x "x" qos2 #1 {"subscriptionIdentifier":[1,2]}']);
});

test("5.0 [MQTT-3.8.3-3] No Local: a publisher's own messages reach it only by its other subscriptions", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  client.subscribe("t/#", 2, { nl: true }, 1);
  client.subscribe("t/x", 1, {}, 2);
  client.take();
  client.publish("t/x", "own", { qos: 2, id: 9 });
  client.publish("t/y", "own", { qos: 1, id: 8 });
  stage.broker.inlineClient.publish("t/x", "other", { qos: 2 });
  // Which identifier comes first is nobody's business.
  const lines = client.take().map((line) => line.replace("[2,1]", "[1,2]"));
  assert.deepEqual(lines, [
    'PUBLISH t/x "own" qos1 #1 {"subscriptionIdentifier":2}',
    "PUBREC #9",
    "PUBACK #8 10",
    'PUBLISH t/x "other" qos2 #2 {"subscriptionIdentifier":[1,2]}',
  ]);
});

test("5.0 [MQTT-3.3.1-12] [MQTT-3.3.1-13] RETAIN goes on only with Retain As Published", () => {
  const stage = new Stage();
  const clients = [false, true].map((rap) => stage.connect(String(rap)).subscribed("t", 0, { rap }));
  stage.broker.inlineClient.publish("t", "x", { retain: true });
  assert.deepEqual(
    clients.map((client) => client.take()),
    [['PUBLISH t "x"'], ['PUBLISH t "x" retain']],
  );
});

test("5.0 [MQTT-3.8.4-3] a subscription that is made again has its new options, and is counted once", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  client.subscribe("t", 2, {}, 1);
  client.subscribe("t", 0, {}, 2);
  client.take();
  stage.broker.inlineClient.publish("t", "x", { qos: 2 });
  assert.deepEqual(client.take(), ['PUBLISH t "x" {"subscriptionIdentifier":2}']);
  assert.equal(stage.counters.subscriptions, 1);
});

test("a route that is remembered sees what is subscribed and unsubscribed later", () => {
  const stage = new Stage();
  const publisher = stage.connect("p");
  publisher.publish("t", "nobody");
  const client = stage.connect("a").subscribed("t");
  publisher.publish("t", "one");
  const second = stage.connect("b").subscribed("+");
  publisher.publish("t", "two");
  client.unsubscribe("t");
  client.take();
  publisher.publish("t", "three");
  assert.deepEqual([client.takePayloads(), second.takePayloads()], [[], ["two", "three"]]);
});

test("a 3.x bridge is treated as it treats its own subscriptions: nothing comes back, RETAIN is kept", () => {
  const stage = new Stage();
  const bridge = stage.open({ clientId: "bridge", version: 4 });
  const connect = bridge.encode(bridge.connectPacket());
  connect[8]! |= 0x80;
  bridge.sendBytes(connect);
  assert.deepEqual(bridge.take(), ["CONNACK 00"]);
  bridge.subscribed("#");
  bridge.publish("t", "own");
  stage.broker.inlineClient.publish("t", "other", { retain: true });
  assert.deepEqual(bridge.take(), ['PUBLISH t "other" retain']);
});

test("5.0 [MQTT-4.7.1-1] a Topic Filter that is none ends the connection", () => {
  for (const filter of ["t/#/u", "t+", "$share/g", "$share//t", "$share/+/t"]) {
    const client = new Stage().connect("a");
    client.subscribe(filter);
    assert.equal(client.state, "ended", filter);
  }
});
