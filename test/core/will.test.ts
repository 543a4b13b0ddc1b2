import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

/** A client with a will of this delay and a session of this expiry, in seconds, and somebody who waits for the will. */
function scene(
  delay: number,
  expiry: number,
): { stage: Stage; client: TestPeer; watch: () => string[]; again: PeerOptions } {
  const stage = new Stage();
  const watcher = stage.connect("watch").subscribed("w", 1, { rap: true });
  const options: PeerOptions = {
    clean: false,
    properties: { sessionExpiryInterval: expiry },
    will: { topic: "w", payload: Buffer.from("gone"), qos: 1, properties: { willDelayInterval: delay } },
  };
  const client = stage.connect("a", options);
  return { stage, client, watch: () => watcher.takePayloads(), again: options };
}

test("5.0 [MQTT-3.1.2-8] a will without delay is published when the connection breaks", () => {
  const { client, watch } = scene(0, 100);
  assert.deepEqual(watch(), []);
  client.hangUp();
  assert.deepEqual(watch(), ["gone"]);
});

test("5.0 [MQTT-3.14.4-3] a will is forgotten at a normal DISCONNECT, also when the session stays", () => {
  const { stage, client, watch } = scene(5, 100);
  client.disconnect();
  stage.advance(200_000);
  assert.deepEqual(watch(), []);
});

test("5.0 [MQTT-3.1.2-8] a will is published once, when its delay is over", () => {
  const { stage, client, watch } = scene(5, 100);
  client.hangUp();
  stage.advance(4_999);
  assert.deepEqual(watch(), []);
  stage.advance(1);
  assert.deepEqual(watch(), ["gone"]);
  stage.advance(200_000);
  assert.deepEqual(watch(), []);
});

test("5.0 [MQTT-3.1.2-8] a session that ends before the delay publishes the will", () => {
  const { stage, client, watch } = scene(50, 10);
  client.hangUp();
  stage.advance(9_999);
  assert.deepEqual(watch(), []);
  stage.advance(1);
  assert.deepEqual(watch(), ["gone"]);
  assert.equal(stage.broker.sessions.has("a"), false);
});

test("a session that ends with its connection publishes the will at once, whatever its delay", () => {
  const { client, watch } = scene(50, 0);
  client.hangUp();
  assert.deepEqual(watch(), ["gone"]);
});

test("5.0 [MQTT-3.1.3-9] a client that is back within the delay keeps its will from being sent", () => {
  const { stage, client, watch, again } = scene(5, 100);
  client.hangUp();
  stage.advance(4_000);
  const second = stage.connect("a", again);
  stage.advance(10_000);
  assert.deepEqual(watch(), []);
  second.disconnect();
  stage.advance(200_000);
  assert.deepEqual(watch(), []);
});

test("a will that was kept from being sent is forgotten for good, also when the next session ends", () => {
  const { stage, client, watch } = scene(5, 100);
  client.hangUp();
  stage.connect("a", { clean: false }).disconnect();
  assert.equal(stage.broker.sessions.has("a"), false);
  assert.deepEqual(watch(), []);
});

test("Clean Start within the delay ends the session, and so publishes the will", () => {
  const { stage, client, watch } = scene(5, 100);
  client.hangUp();
  stage.connect("a");
  assert.deepEqual(watch(), ["gone"]);
});

test("a connection that is taken over publishes a will without delay, and none with a delay", () => {
  for (const [delay, seen] of [
    [0, ["gone"]],
    [5, []],
  ] as const) {
    const { stage, watch, again } = scene(delay, 100);
    stage.connect("a", again);
    stage.advance(10_000);
    assert.deepEqual(watch(), seen);
  }
});

test("DISCONNECT with Will Message and an expiry of 0 publishes the will at once", () => {
  const { client, watch } = scene(5, 100);
  client.disconnect(0x04, { sessionExpiryInterval: 0 });
  assert.deepEqual(watch(), ["gone"]);
});

test("5.0 [MQTT-3.1.2-22] a client that is silent too long is treated as gone", () => {
  const stage = new Stage();
  const watcher = stage.connect("watch").subscribed("w");
  stage.connect("a", { keepalive: 10, will: { topic: "w", payload: Buffer.from("silent") } });
  stage.advance(14_999);
  assert.deepEqual(watcher.takePayloads(), []);
  stage.advance(1);
  assert.deepEqual(watcher.takePayloads(), ["silent"]);
});

test("a Protocol Error publishes the will", () => {
  const { client, watch } = scene(0, 100);
  client.connect();
  assert.deepEqual(watch(), ["gone"]);
});

test("a client that was never let in leaves no will", () => {
  const stage = new Stage({ access: { authenticate: (client) => client.clientId === "watch" } });
  const watcher = stage.connect("watch").subscribed("w");
  stage.dial({ clientId: "a", will: { topic: "w", payload: Buffer.from("x") } });
  assert.deepEqual(watcher.takePayloads(), []);
});

test("5.0 [MQTT-3.1.2-14] a will is retained when it says so, with its properties and without its delay", () => {
  const stage = new Stage();
  const will = { topic: "w", payload: Buffer.from("gone"), qos: 2 as const };
  const properties = { willDelayInterval: 0, messageExpiryInterval: 60, contentType: "c", userProperties: { a: "b" } };
  stage.connect("a", { will }).hangUp();
  assert.equal(stage.broker.retained.size, 0);
  stage.connect("b", { will: { ...will, retain: true, properties } }).hangUp();
  const late = stage.connect("late").subscribed("none", 1);
  stage.advance(10_000);
  late.subscribe("w", 1);
  assert.deepEqual(late.take(), [
    "SUBACK #1 01",
    'PUBLISH w "gone" qos1 #1 retain {"messageExpiryInterval":50,"contentType":"c","userProperties":{"a":"b"}}',
  ]);
});

test("a will waits for the session that left it, when it is subscribed to it", () => {
  const { stage, client, again } = scene(0, 100);
  client.subscribed("w", 1).hangUp();
  assert.deepEqual(stage.connect("a", again).takePayloads(), ["gone"]);
});

test("5.0 §3.1.3.2.3 a will whose payload is not the UTF-8 that it says is refused at CONNECT", () => {
  const will = { topic: "w", payload: Buffer.from([0xff]), properties: { payloadFormatIndicator: true } };
  assert.deepEqual(new Stage().dial({ will }).take(), ['CONNACK 99 {"reasonString":"will payload is not UTF-8"}']);
});
