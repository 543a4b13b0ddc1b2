import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketType } from "../../src/codec/constants.ts";
import { NO_PROPERTIES, Publish } from "../../src/codec/packet.ts";
import { ProtocolError } from "../../src/codec/reason.ts";
import { Stage } from "./stage.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test("publish tells how many sessions a message was for", () => {
  const stage = new Stage();
  assert.equal(stage.broker.inlineClient.publish("t", "x"), 0);
  stage.connect("a").subscribed(["t", "+"]);
  stage.connect("b").subscribed("$share/g/t");
  stage.broker.inlineClient.subscribe("t", () => {});
  assert.equal(stage.broker.inlineClient.publish("t", Buffer.from("x")), 3);
});

test("publish forwards properties, its expiry is capped and counts down", () => {
  const stage = new Stage({ mqtt: { messageExpiryMax: 50 } });
  const { inlineClient } = stage.broker;
  inlineClient.publish("t", "x", {
    retain: true,
    properties: { contentType: "c", messageExpiryInterval: 90, topicAlias: 3 },
  });
  stage.advance(10_000);
  const client = stage.connect("a");
  client.subscribe("t");
  assert.deepEqual(client.take(), [
    "SUBACK #1 00",
    'PUBLISH t "x" retain {"messageExpiryInterval":40,"contentType":"c"}',
  ]);
});

test("publish and subscribe throw for names and filters that are none", () => {
  const { inlineClient } = new Stage().broker;
  for (const name of ["", "t/#", "a+b", "\u0000"]) assert.throws(() => inlineClient.publish(name, "x"), TypeError);
  for (const filter of ["", "t/#/u", "a+b"]) assert.throws(() => inlineClient.subscribe(filter, () => {}), TypeError);
});

test("subscribe gives the retained messages at once, then every message, until it is ended", () => {
  const stage = new Stage();
  const heard: string[] = [];
  stage.broker.inlineClient.publish("t/1", "kept", { retain: true });
  const end = stage.broker.inlineClient.subscribe(
    "t/#",
    ({ topicName, payload, retain }) => void heard.push(`${topicName} ${text(payload)} ${retain}`),
  );
  stage.connect("a").publish("t/2", "live");
  end();
  end();
  stage.connect("a").publish("t/3", "late");
  assert.deepEqual(heard, ["t/1 kept true", "t/2 live false"]);
});

test("a handler that throws is named in the log, and its publisher is not harmed", () => {
  const stage = new Stage();
  stage.broker.inlineClient.subscribe("t", () => {
    throw new Error("broken");
  });
  const client = stage.connect("a");
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1"]);
  const [line] = stage.log.of("An inline subscription threw");
  assert.equal(line?.filter, "t");
  assert.match(String(line?.reason), /^Error: broken\n/);
});

test("a message that a handler publishes comes after the one that it answers", () => {
  const stage = new Stage();
  const client = stage.connect("a").subscribed("#", 1);
  stage.broker.inlineClient.subscribe("ask", () => void stage.broker.inlineClient.publish("answer", "2", { qos: 1 }));
  client.publish("ask", "1", { qos: 1 });
  assert.deepEqual(client.take(), ['PUBLISH ask "1" qos1 #1', 'PUBLISH answer "2" qos1 #2', "PUBACK #1"]);
});

const injected = new Publish("t", 1, false, false, 5, NO_PROPERTIES, Buffer.from("x"), 0, 1);

test("inject handles a packet as if the client had sent it", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  stage.broker.inject(
    {
      type: PacketType.SUBSCRIBE,
      packetIdentifier: 4,
      entries: [{ topicFilter: "t", qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: {},
    },
    "a",
  );
  stage.broker.inject(injected, "a");
  assert.deepEqual(client.take(), ["SUBACK #4 01", 'PUBLISH t "x" qos1 #1', "PUBACK #5"]);
});

test("inject finds the client of a user, and without one any client of that identifier", () => {
  const stage = new Stage();
  const client = stage.connect("a", { username: "u" });
  stage.broker.inject({ type: PacketType.PINGREQ }, "a", "u");
  stage.broker.inject({ type: PacketType.PINGREQ }, "a");
  assert.deepEqual(client.take(), ["PINGRESP", "PINGRESP"]);
  assert.throws(
    () => stage.broker.inject({ type: PacketType.PINGREQ }, "a", "v"),
    /^Error: Cannot inject .*"a": not connected$/,
  );
});

test("inject throws for a client that is not connected", () => {
  const stage = new Stage();
  stage.resume("away").hangUp();
  for (const name of ["away", "unknown"]) {
    assert.throws(() => stage.broker.inject(injected, name), /not connected/);
  }
});

test("inject of a packet that breaks the protocol throws, and ends the client's connection", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  const aliased = new Publish("", 0, false, false, 0, { topicAlias: 1 }, Buffer.from("x"), 0, 1);
  assert.throws(() => stage.broker.inject(aliased, "a"), ProtocolError);
  assert.deepEqual(client.take(), [
    'DISCONNECT 82 {"reasonString":"Topic Alias 1 has no Topic Name yet 5.0 §3.3.2.3.4"}',
  ]);
});
