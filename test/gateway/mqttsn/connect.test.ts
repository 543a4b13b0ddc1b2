import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access } from "../../../src/core/access.ts";
import { Stage } from "../../core/stage.ts";
import { SnStage } from "./sn-stage.ts";

/** A client with a will, let in. */
function withWill(stage: SnStage, connect: { cleanSession?: boolean; durationSeconds?: number } = {}) {
  const device = stage.device("a");
  device.connect({ will: true, ...connect });
  device.willTopic("w", 1, true);
  device.willMessage("gone");
  assert.deepEqual(device.lines(), ["WILLTOPICREQ", "WILLMSGREQ", "CONNACK code0"]);
  return device;
}

const watch = (stage: SnStage) => stage.stage.connect("watch").subscribed("w", 1);

test("1.2 §6.2: a client without a will is let in at once", () => {
  const stage = new SnStage();
  const device = stage.device("a");
  device.connect();
  assert.deepEqual(device.lines(), ["CONNACK code0"]);
  assert.deepEqual(stage.stage.broker.sessions.get("a")?.client.peer.transport, "mqtt-sn");
});

test("1.2 §6.2: a client with a will is asked for its topic, then its message, then let in; lost, it is published", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  withWill(stage);
  stage.advance(90_000);
  assert.deepEqual(watcher.take(), ['PUBLISH w "gone" qos1 #1']);
  assert.equal(stage.stage.broker.retained.match("w").length, 1);
});

test("1.2 §5.4.7: an empty WILLTOPIC says that there is no will", () => {
  for (const will of [undefined, { qos: 0 as const, retain: false, topic: "" }]) {
    const stage = new SnStage();
    const watcher = watch(stage);
    const device = stage.device("a");
    device.connect({ will: true });
    device.send({ type: 0x07, will });
    assert.deepEqual(device.lines(), ["WILLTOPICREQ", "CONNACK code0"]);
    stage.advance(1_000_000);
    assert.deepEqual(watcher.take(), []);
  }
});

test("a will whose topic cannot be one is refused with the client", () => {
  const stage = new SnStage();
  const device = stage.device("a");
  device.connect({ will: true });
  device.willTopic("w/#");
  device.willMessage("x");
  assert.deepEqual(device.lines(), ["WILLTOPICREQ", "WILLMSGREQ", "CONNACK code3"]);
  assert.equal(stage.gateway.size, 0);
});

test("1.2 §6.13: a question about the will is repeated N_retry times, T_retry apart, and then the client is let go", () => {
  const stage = new SnStage();
  const device = stage.device("a");
  device.connect({ will: true });
  stage.advance(39_999);
  assert.deepEqual(device.lines(), Array(4).fill("WILLTOPICREQ"));
  stage.advance(1);
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
});

test("until CONNACK nothing but the will is taken, and QoS -1", () => {
  const stage = new SnStage({ predefined: new Map([[5, "w"]]) });
  const watcher = watch(stage);
  const device = stage.device("a");
  device.connect({ will: true });
  device.register("t");
  device.subscribe("t");
  device.ping();
  device.publish("t", "x");
  device.willMessage("too early");
  device.publish("", "x", { qos: -1, topicIdType: 1, topicId: 5 });
  assert.deepEqual(device.lines(), ["WILLTOPICREQ"]);
  assert.deepEqual(watcher.takePayloads(), ["x"]);
});

for (const cleanSession of [true, false]) {
  test(`1.2 §6.3: with CleanSession ${cleanSession} and no Will flag the will of before is ${cleanSession ? "gone" : "kept"}`, () => {
    const stage = new SnStage();
    const watcher = watch(stage);
    const device = withWill(stage);
    device.disconnect();
    device.lines();
    device.connect({ cleanSession });
    stage.advance(90_000);
    assert.deepEqual(watcher.takePayloads(), cleanSession ? [] : ["gone"]);
  });
}

test("1.2 §6.3: without CleanSession subscriptions and registered numbers hold on; with it they are gone", () => {
  const stage = new SnStage();
  const device = stage.connected("a");
  device.subscribe("s");
  device.register("up");
  device.disconnect();
  device.connect();
  device.lines();
  device.publish("up", "x", { qos: 1, messageId: 9 });
  assert.deepEqual(device.lines(), ["PUBACK #9 code0"]);
  assert.deepEqual([...stage.stage.broker.sessions.get("a")!.subscriptions.keys()], ["s"]);
  device.connect({ cleanSession: true });
  device.publish("up", "x", { qos: 1, messageId: 10 });
  assert.deepEqual(device.lines(), ["CONNACK code0", "PUBACK #10 code2"]);
  assert.deepEqual([...stage.stage.broker.sessions.get("a")!.subscriptions.keys()], []);
});

for (const [seconds, toleratedMs] of [
  [60, 90_000],
  [10, 15_000],
  [61, 67_100],
  [600, 660_000],
] as const) {
  test(`1.2 §7.2: a client with a keep-alive of ${seconds} s is lost after ${toleratedMs} ms of silence, and not before`, () => {
    const stage = new SnStage();
    const watcher = watch(stage);
    const device = withWill(stage, { durationSeconds: seconds });
    stage.advance(5_000);
    device.ping();
    assert.deepEqual(device.lines(), ["PINGRESP"]);
    stage.advance(toleratedMs - 1);
    assert.deepEqual(watcher.takePayloads(), []);
    stage.advance(1);
    assert.deepEqual(watcher.takePayloads(), ["gone"]);
  });
}

test("a client with keep-alive 0 is never lost, even where the broker has a keep-alive of its own", () => {
  const stage = new SnStage({}, { mqtt: { serverKeepAlive: 10, keepAliveMax: 10, keepAliveDefault: 10 } });
  stage.connected("a", {}, { durationSeconds: 0 });
  stage.advance(10_000_000);
  assert.equal(stage.gateway.client("a")?.state, "active");
});

test("1.2 §6.12: DISCONNECT is answered, and publishes no will", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const device = withWill(stage);
  device.disconnect();
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  stage.advance(1_000_000);
  assert.deepEqual(watcher.takePayloads(), []);
  assert.equal(stage.gateway.size, 0);
});

test("a repeated CONNECT for a clean session is no reason for the will", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const device = withWill(stage, { cleanSession: true });
  device.connect({ cleanSession: true });
  assert.deepEqual(device.lines(), ["CONNACK code0"]);
  stage.advance(1_000_000);
  assert.deepEqual(watcher.takePayloads(), []);
});

test("a repeated CONNECT is answered again, and is no reason for the will or for another session", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const device = withWill(stage);
  device.subscribe("s");
  for (let times = 0; times < 2; times++) device.connect();
  stage.advance(1);
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0", "CONNACK code0", "CONNACK code0"]);
  assert.deepEqual(watcher.takePayloads(), []);
  assert.equal(stage.gateway.size, 1);
  assert.deepEqual([...stage.stage.broker.sessions.get("a")!.subscriptions.keys()], ["s"]);
});

test("a CONNECT that is repeated while the will is asked for begins to ask anew", () => {
  const stage = new SnStage();
  const device = stage.device("a");
  device.connect({ will: true });
  device.willTopic("w");
  device.connect({ will: true });
  assert.deepEqual(device.lines(), ["WILLTOPICREQ", "WILLMSGREQ", "WILLTOPICREQ"]);
});

test("1.2 §5.4.22 to §5.4.25: will topic and will message are changed while the client is there, or asleep", () => {
  for (const sleeps of [false, true]) {
    const stage = new SnStage();
    const watcher = stage.stage.connect("watch").subscribed("#", 1);
    const device = withWill(stage);
    if (sleeps) device.disconnect(60);
    device.lines();
    device.send({ type: 0x1a, will: { qos: 1, retain: false, topic: "other" } });
    device.send({ type: 0x1c, message: Buffer.from("changed") });
    assert.deepEqual(device.lines(), ["WILLTOPICRESP code0", "WILLMSGRESP code0"]);
    stage.advance(90_000);
    assert.deepEqual(watcher.take(), ['PUBLISH other "changed" qos1 #1']);
  }
});

test("1.2 §5.4.22: an empty WILLTOPICUPD takes topic and message away, and a message alone is no will", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const device = withWill(stage);
  device.send({ type: 0x1a, will: undefined });
  device.send({ type: 0x1c, message: Buffer.from("x") });
  device.send({ type: 0x1a, will: { qos: 0, retain: false, topic: "#" } });
  assert.deepEqual(device.lines(), ["WILLTOPICRESP code0", "WILLMSGRESP code3", "WILLTOPICRESP code3"]);
  stage.advance(90_000);
  assert.deepEqual(watcher.takePayloads(), []);
});

test("client identifiers of more than 23 octets are let in, and none is refused", () => {
  const stage = new SnStage();
  stage.connected("sensor-0123456789-0123456789");
  const nobody = stage.device("");
  nobody.connect();
  assert.deepEqual(nobody.lines(), ["CONNACK code3"]);
});

test("1.2 §5.3.8: a CONNECT of another protocol is refused; other octets are counted and not answered", () => {
  const stage = new SnStage();
  const got: Uint8Array[] = [];
  const route = stage.route({}, (message) => got.push(message));
  stage.gateway.receive(Uint8Array.of(7, 0x04, 0, 0x02, 0, 60, 0x61), route);
  assert.deepEqual(got.splice(0), [Uint8Array.of(3, 0x05, 3)]);
  for (const octets of [[], [0], [2], [9, 0x0c], [2, 0x99], [3, 0x16, 0xff], [1, 0, 0, 0]]) {
    stage.gateway.receive(Uint8Array.from(octets), route);
  }
  assert.deepEqual(got, []);
  assert.equal(stage.gateway.counters.malformed, 8);
});

test("1.2 §6.13: a gateway that is full says congestion, and takes the next one when somebody has gone", () => {
  const stage = new SnStage({ clientsMax: 2 });
  const first = stage.connected("1");
  stage.connected("2");
  const third = stage.device("3");
  third.connect();
  assert.deepEqual(third.lines(), ["CONNACK code1"]);
  first.disconnect();
  third.connect();
  assert.deepEqual(third.lines(), ["CONNACK code0"]);
});

test("a client that the broker does not know by its rules is not supported", () => {
  const access: Access = { authenticate: ({ clientId }) => clientId !== "stranger" };
  const stage = new SnStage({}, { access });
  const device = stage.device("stranger");
  device.connect();
  assert.deepEqual(device.lines(), ["CONNACK code3"]);
  device.publish("t", "x", { qos: 1, messageId: 1 });
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
});

test("who takes a client's identifier without the right to it does not disturb the client", () => {
  const access: Access = { authenticate: ({ peer }) => !peer.address.startsWith("198.") };
  const stage = new SnStage({}, { access });
  const watcher = watch(stage);
  const device = withWill(stage);
  device.register("up");
  const thief = stage.device("a", { host: "198.51.100.1" });
  thief.connect({ cleanSession: true });
  assert.deepEqual(thief.lines(), ["CONNACK code3"]);
  device.lines();
  device.publish("up", "x", { qos: 1, messageId: 1 });
  assert.deepEqual(device.lines(), ["PUBACK #1 code0"]);
  // The will of before stands for it, too.
  stage.advance(90_000);
  assert.deepEqual(watcher.takePayloads(), ["gone"]);
});

test("a client that comes from another host with its identifier takes its session over, and the other is told", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const before = withWill(stage);
  before.subscribe("t");
  before.lines();
  const now = stage.device("a", { host: "198.51.100.1" });
  now.connect();
  assert.deepEqual([before.lines(), now.lines()], [["DISCONNECT"], ["CONNACK code0"]]);
  stage.publish("t", "x");
  assert.deepEqual(now.lines(), ["REGISTER t", 'PUBLISH t "x" qos1 #1']);
  assert.deepEqual([before.lines(), watcher.takePayloads(), stage.gateway.size], [[], [], 1]);
});

test("a plain MQTT client with the same identifier takes the session over, from a sleeper too", async () => {
  for (const sleeps of [false, true]) {
    const stage = new SnStage();
    const device = stage.connected("a");
    device.subscribe("t");
    if (sleeps) device.disconnect(100);
    device.lines();
    stage.publish("t", "kept");
    const mqtt = stage.stage.resume("a");
    stage.flush();
    await stage.settle();
    assert.equal(stage.gateway.size, 0);
    // Nobody listens while it sleeps.
    assert.deepEqual(device.lines().at(-1), sleeps ? undefined : "DISCONNECT");
    assert.deepEqual(mqtt.take(), sleeps ? ['PUBLISH t "kept" qos1 #1'] : []);
    device.wake();
    assert.deepEqual(device.lines(), ["DISCONNECT"]);
  }
});

test("another identifier from the same place: the client that was there is lost", () => {
  const stage = new SnStage();
  const watcher = watch(stage);
  const device = withWill(stage);
  device.connect({ clientId: "b" });
  assert.deepEqual(device.lines(), ["CONNACK code0"]);
  assert.deepEqual(watcher.takePayloads(), ["gone"]);
  assert.equal(stage.gateway.client("a"), undefined);
});

test("1.2 §6.1: SEARCHGW is answered with GWINFO, to the asker and to all of its network; too often, not at all", () => {
  const stage = new SnStage({ gatewayId: 7 });
  const device = stage.device("");
  const all: Uint8Array[] = [];
  device.send({ type: 0x01, radius: 1 });
  assert.deepEqual(device.lines(), ["GWINFO 7"]);
  const route = {
    ...stage.route({ host: "192.0.2.9" }, () => {}),
    sendToAll: (message: Uint8Array) => all.push(message),
  };
  stage.gateway.receive(Uint8Array.of(3, 0x01, 0), route);
  assert.deepEqual(all, [Uint8Array.of(3, 0x02, 7)]);
  for (let times = 0; times < 100; times++) device.send({ type: 0x01, radius: 0 });
  assert.equal(device.lines().length, 19);
  assert.equal(stage.gateway.counters.unanswered, 81);
  stage.advance(1_000);
  device.send({ type: 0x01, radius: 0 });
  assert.deepEqual(device.lines(), ["GWINFO 7"]);
});

test("a broker that ends a client has it told, and hears no more of it", async () => {
  const stage = new SnStage({}, new Stage());
  const device = stage.connected("a");
  stage.stage.broker.stop();
  stage.flush();
  await stage.settle();
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  assert.equal(stage.gateway.size, 0);
});
