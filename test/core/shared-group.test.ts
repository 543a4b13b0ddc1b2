import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

const FILTER = "$share/g/t";

function member(stage: Stage, name: string, options: PeerOptions = {}): TestPeer {
  return stage.resume(name, options).subscribed(FILTER, 2);
}

function publish(stage: Stage, payloads: string, qos: 0 | 1 | 2 = 1): void {
  for (const payload of payloads) stage.broker.inlineClient.publish("t", payload, { qos });
}

const got = (...peers: TestPeer[]): string[] => peers.map((peer) => peer.takePayloads().join(""));

test("5.0 §4.8.2 each message goes to one member, in turn", () => {
  const stage = new Stage();
  const peers = ["a", "b", "c"].map((name) => member(stage, name));
  publish(stage, "1234567", 0);
  assert.deepEqual(got(...peers), ["147", "25", "36"]);
});

test("two shares of one filter, and ordinary subscribers, each get every message", () => {
  const stage = new Stage();
  const a = member(stage, "a");
  const b = stage.connect("b").subscribed("$share/other/t");
  const c = stage.connect("c").subscribed(["t", FILTER]);
  publish(stage, "12", 0);
  assert.deepEqual(got(a, b), ["1", "12"]);
  assert.equal(got(c)[0]!.length, 3);
});

test("shares of one name and different filters have nothing to do with each other", () => {
  const stage = new Stage();
  const a = member(stage, "a");
  const b = stage.connect("b").subscribed("$share/g/#");
  publish(stage, "12", 0);
  assert.deepEqual(got(a, b), ["12", "12"]);
});

test("5.0 [MQTT-4.8.2-3] each member is sent messages at the QoS that it was granted", () => {
  const stage = new Stage();
  const a = stage.connect("a").subscribed(FILTER, 0);
  const b = stage.connect("b").subscribed(FILTER, 1);
  publish(stage, "12", 2);
  assert.deepEqual([a.take(), b.take()], [['PUBLISH t "1"'], ['PUBLISH t "2" qos1 #1']]);
});

test("a member that subscribes again keeps its place and has the new options", () => {
  const stage = new Stage();
  const [a, b] = ["a", "b"].map((name) => member(stage, name)) as [TestPeer, TestPeer];
  a.subscribe(FILTER, 0);
  a.take();
  publish(stage, "1234");
  assert.deepEqual(a.take(), ['PUBLISH t "1"', 'PUBLISH t "3"']);
  assert.deepEqual(got(b), ["24"]);
  assert.equal(stage.counters.sharedSubscriptions, 2);
});

test("a member that leaves does not make the turn jump", () => {
  const stage = new Stage();
  const [a, b, c] = ["a", "b", "c"].map((name) => member(stage, name)) as [TestPeer, TestPeer, TestPeer];
  publish(stage, "12", 0);
  a.unsubscribe(FILTER);
  publish(stage, "3456", 0);
  assert.deepEqual(got(b, c), ["246", "35"]);
});

test("live members come before those that are away", () => {
  const stage = new Stage();
  const [a, b, c] = ["a", "b", "c"].map((name) => member(stage, name)) as [TestPeer, TestPeer, TestPeer];
  b.hangUp();
  publish(stage, "1234");
  assert.deepEqual(got(a, c), ["13", "24"]);
  assert.equal(stage.counters.queuedMessages, 0);
});

test("when nobody is there, messages wait for the members in turn, and nobody else gets them", () => {
  const stage = new Stage();
  for (const name of ["a", "b"]) member(stage, name).hangUp();
  publish(stage, "1234");
  assert.equal(stage.counters.queuedMessages, 4);
  assert.deepEqual(got(stage.resume("a"), stage.resume("b")), ["13", "24"]);
});

test("a member without a session to come back to is no member when it is gone", () => {
  const stage = new Stage();
  stage.connect("a").subscribed(FILTER, 1).hangUp();
  assert.equal(stage.broker.inlineClient.publish("t", "x", { qos: 1 }), 0);
  assert.equal(stage.counters.sharedSubscriptions, 0);
});

test("a member whose quota is used up is passed over while another can take the message", () => {
  const stage = new Stage();
  const a = member(stage, "a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  const b = member(stage, "b");
  publish(stage, "123456");
  assert.deepEqual(got(a, b), ["1", "23456"]);
});

test("when all quotas are used up, messages wait for live members in turn", () => {
  const stage = new Stage();
  const properties = { sessionExpiryInterval: 100, receiveMaximum: 1 };
  const [a, b] = ["a", "b"].map((name) => member(stage, name, { properties })) as [TestPeer, TestPeer];
  publish(stage, "123456");
  assert.deepEqual(got(a, b), ["1", "2"]);
  for (const peer of [a, b]) {
    peer.acknowledges = true;
    peer.acknowledge("puback", 1);
  }
  assert.deepEqual(got(a, b), ["35", "46"]);
});

test("what waits for a member that disconnects goes to the others, in order", () => {
  const stage = new Stage();
  const properties = { sessionExpiryInterval: 100, receiveMaximum: 1 };
  const a = member(stage, "a", { properties });
  publish(stage, "12345");
  const b = member(stage, "b", { acknowledges: true });
  assert.deepEqual(got(a, b), ["1", ""]);
  a.hangUp();
  assert.deepEqual(got(b), ["2345"]);
  // What was under way stays with its session.
  assert.deepEqual(stage.resume("a").take(), ['PUBLISH t "1" qos1 #1 dup']);
});

test("what waits for a member that is alone stays with it when it disconnects, in order", () => {
  const stage = new Stage();
  const a = member(stage, "a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  publish(stage, "123");
  a.hangUp();
  publish(stage, "4");
  assert.deepEqual(got(stage.resume("a")), ["1234"]);
});

test("what waits for a member that unsubscribes goes to the others, its own other messages stay", () => {
  const stage = new Stage();
  const a = member(stage, "a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } }).subscribed("own", 1);
  publish(stage, "12");
  stage.broker.inlineClient.publish("own", "mine", { qos: 1 });
  publish(stage, "3");
  const b = member(stage, "b");
  a.unsubscribe(FILTER);
  assert.deepEqual(got(b), ["23"]);
  a.take();
  a.acknowledge("puback", 1);
  assert.deepEqual(a.take(), ['PUBLISH own "mine" qos1 #2']);
});

test("what waits for the last member is dropped and counted when it unsubscribes", () => {
  const stage = new Stage();
  const a = member(stage, "a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  publish(stage, "123");
  a.unsubscribe(FILTER);
  assert.equal(stage.counters.droppedBy.sessionEnded, 2);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [0, 0]);
});

test("what waits for a member whose session ends goes to the others, in order", () => {
  const stage = new Stage();
  const properties = { sessionExpiryInterval: 5, receiveMaximum: 1 };
  const a = member(stage, "a", { properties });
  a.hangUp();
  publish(stage, "123");
  const b = member(stage, "b", { properties: { sessionExpiryInterval: 0 } });
  assert.deepEqual(got(b), [""]);
  stage.advance(5000);
  assert.deepEqual(got(b), ["123"]);
});

test("QoS 1 messages under way go to another member when the session ends, before what waited", () => {
  const stage = new Stage();
  const a = stage.connect("a", { properties: { receiveMaximum: 2 } }).subscribed(FILTER, 1);
  publish(stage, "12345");
  assert.deepEqual(got(a), ["12"]);
  const b = member(stage, "b", { acknowledges: true });
  a.acknowledge("puback", 1);
  a.take();
  a.hangUp();
  assert.deepEqual(b.take(), [
    'PUBLISH t "2" qos1 #1',
    'PUBLISH t "3" qos1 #2',
    'PUBLISH t "4" qos1 #3',
    'PUBLISH t "5" qos1 #4',
  ]);
});

test("5.0 [MQTT-4.8.2-5] QoS 2 messages under way go to no other member when the session ends", () => {
  const stage = new Stage();
  const a = stage.connect("a").subscribed(FILTER, 2);
  publish(stage, "12", 2);
  const b = member(stage, "b");
  a.hangUp();
  assert.deepEqual(got(b), [""]);
  assert.equal(stage.counters.inflight, 0);
});

test("5.0 [MQTT-4.8.2-4] a QoS 2 message under way is completed with the member when it returns", () => {
  const stage = new Stage();
  const a = member(stage, "a");
  publish(stage, "1", 2);
  const b = member(stage, "b");
  a.hangUp();
  assert.deepEqual(got(b), [""]);
  assert.deepEqual(stage.resume("a").take(), ['PUBLISH t "1" qos2 #1 dup']);
});

test("5.0 [MQTT-4.8.2-6] what a member refuses goes to no other", () => {
  const stage = new Stage();
  const [a, b] = ["a", "b"].map((name) => member(stage, name)) as [TestPeer, TestPeer];
  publish(stage, "1");
  a.acknowledge("puback", 1, 0x80);
  a.hangUp();
  assert.deepEqual(got(b), [""]);
  assert.equal(stage.counters.droppedBy.refusedByReceiver, 1);
});

test("a share without members is forgotten, and begins anew", () => {
  const stage = new Stage();
  member(stage, "a").unsubscribe(FILTER);
  assert.equal(stage.broker.inlineClient.publish("t", "x"), 0);
  const b = member(stage, "b");
  publish(stage, "1");
  assert.deepEqual(got(b), ["1"]);
});

test("5.0 [MQTT-3.8.3-4] No Local on a shared subscription is a Protocol Error", () => {
  const client = new Stage().connect("a");
  client.subscribe(FILTER, 0, { nl: true });
  assert.equal(client.take()[0]?.slice(0, 13), "DISCONNECT 82");
});
