import assert from "node:assert/strict";
import { test } from "node:test";
import type { Publish } from "../../../src/codec/packet.ts";
import { Stage, type StageOptions } from "../stage.ts";

/** What hooks are told of a message, as text. */
function brief(packet: Publish): string {
  const { topicName, payload, qos, retain, dup, packetIdentifier } = packet;
  const id = packetIdentifier === 0 ? "" : ` #${packetIdentifier}`;
  return `${topicName} ${Buffer.from(payload)} qos${qos}${id}${retain ? " retain" : ""}${dup ? " dup" : ""}`;
}

test("onRetainMessage tells stored, removed, and nothing to remove", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onRetainMessage: (client, packet, stored) => void heard.push([client.clientId, brief(packet), stored]),
      },
    ],
  });
  const client = stage.connect("p");
  client.publish("t", "x", { retain: true });
  client.publish("t", "", { retain: true });
  client.publish("t", "", { retain: true });
  client.publish("t", "y");
  stage.broker.inlineClient.publish("t", "z", { retain: true });
  assert.deepEqual(heard, [
    ["p", "t x qos0 retain", 1],
    ["p", "t  qos0 retain", -1],
    ["p", "t  qos0 retain", 0],
    ["inline", "t z qos0 retain", 1],
  ]);
});

test("onRetainPublished tells each retained message that a subscription is sent, and no other", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      { name: "h", onRetainPublished: (client, packet) => void heard.push(`${client.clientId} ${packet.topicName}`) },
    ],
  });
  for (const topic of ["a", "b"]) stage.broker.inlineClient.publish(topic, "x", { retain: true });
  stage.connect("s").subscribe("#");
  stage.broker.inlineClient.publish("a", "live", { retain: true });
  assert.deepEqual(heard, ["s a", "s b"]);
});

const quota: StageOptions = { limits: { inflight: 1, queuedMessages: 1 } };

test("onPublishDropped tells the receiver, the message and the reason", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    ...quota,
    hooks: [
      {
        name: "h",
        onPublishDropped: (client, packet, reason) => void heard.push([client.clientId, brief(packet), reason]),
      },
    ],
  });
  stage.connect("s").subscribed("t", 1);
  for (const payload of ["1", "2", "3"]) stage.broker.inlineClient.publish("t", payload, { qos: 1 });
  assert.deepEqual(heard, [["s", "t 2 qos1", "queueFull"]]);
});

test("onPublishDropped: expired in the queue, too large, too slow, refused by the receiver", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    limits: { inflight: 1, linkPendingBytes: 4096 },
    hooks: [
      {
        name: "h",
        onPublishDropped: (_, packet, reason) =>
          void heard.push([Buffer.from(packet.payload).toString("latin1", 0, 8), reason]),
      },
    ],
  });
  const subscriber = stage.connect("s", { properties: { maximumPacketSize: 8000 } }).subscribed("t", 1);
  const { inlineClient } = stage.broker;
  inlineClient.publish("t", "first", { qos: 1 });
  inlineClient.publish("t", "expires", { qos: 1, properties: { messageExpiryInterval: 1 } });
  stage.advance(1000);
  subscriber.acknowledge("puback", 1, 0x97);
  inlineClient.publish("t", "too big!".repeat(2000));
  subscriber.link.peerTakes = false;
  inlineClient.publish("t", "stuck".repeat(1000));
  stage.flush();
  inlineClient.publish("t", "too slow");
  assert.deepEqual(heard, [
    ["first", "refusedByReceiver"],
    ["expires", "expired"],
    ["too big!", "tooLarge"],
    ["too slow", "slowReader"],
  ]);
});

test("onQosPublish tells each sending: when, and how many came before", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onQosPublish: (client, packet, sentMs, resends) =>
          void heard.push([client.clientId, brief(packet), sentMs - 50_000, resends]),
      },
    ],
  });
  const first = stage.resume("s").subscribed("t", 2);
  stage.broker.inlineClient.publish("t", "0");
  stage.broker.inlineClient.publish("t", "1", { qos: 1 });
  stage.broker.inlineClient.publish("t", "2", { qos: 2 });
  first.hangUp();
  stage.advance(500);
  stage.resume("s");
  assert.deepEqual(heard, [
    ["s", "t 1 qos1 #1", 0, 0],
    ["s", "t 2 qos2 #2", 0, 0],
    ["s", "t 1 qos1 #1 dup", 500, 1],
    ["s", "t 2 qos2 #2 dup", 500, 1],
  ]);
});

test("onQosComplete comes with PUBACK and with PUBCOMP, not with PUBREC", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [{ name: "h", onQosComplete: (client, packet) => void heard.push(`${client.clientId} ${brief(packet)}`) }],
  });
  const subscriber = stage.connect("s").subscribed("t", 2);
  stage.broker.inlineClient.publish("t", "1", { qos: 1 });
  stage.broker.inlineClient.publish("t", "2", { qos: 2 });
  subscriber.acknowledge("puback", 1);
  assert.deepEqual(heard, ["s t 1 qos1 #1"]);
  subscriber.acknowledge("pubrec", 2);
  assert.equal(heard.length, 1);
  subscriber.acknowledge("pubcomp", 2);
  assert.deepEqual(heard, ["s t 1 qos1 #1", "s t 2 qos2 #2"]);
});

test("onQosDropped: refused by PUBACK or PUBREC, or the session ended", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onQosDropped: (client, packet) => void heard.push(`${client.clientId} ${brief(packet)}`),
        onQosComplete: () => void heard.push("complete"),
      },
    ],
  });
  const subscriber = stage.connect("s").subscribed("t", 2);
  for (const qos of [1, 2, 1, 2] as const) stage.broker.inlineClient.publish("t", "x", { qos });
  subscriber.acknowledge("puback", 1, 0x83);
  subscriber.acknowledge("pubrec", 2, 0x99);
  assert.deepEqual(heard, ["s t x qos1 #1", "s t x qos2 #2"]);
  heard.length = 0;
  subscriber.hangUp();
  assert.deepEqual(heard, ["s t x qos1 #3", "s t x qos2 #4"]);
});

test("onPacketIDExhausted is given the message that waits, once for each, and only when all identifiers are used", () => {
  const heard: string[] = [];
  const stage = new Stage({
    limits: { inflight: 65_535 },
    hooks: [
      { name: "h", onPacketIDExhausted: (client, packet) => void heard.push(`${client.clientId} ${brief(packet)}`) },
    ],
  });
  const subscriber = stage.connect("s").subscribed("t", 1);
  for (let count = 1; count <= 65_537; count++) stage.broker.inlineClient.publish("t", String(count), { qos: 1 });
  assert.deepEqual(heard, ["s t 65536 qos1", "s t 65537 qos1"]);
  subscriber.take();
  subscriber.acknowledge("puback", 77);
  assert.deepEqual(subscriber.take(), ['PUBLISH t "65536" qos1 #77']);
});
