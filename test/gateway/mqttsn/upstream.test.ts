import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access } from "../../../src/core/access.ts";
import type { GatewaySettings } from "../../../src/gateway/mqttsn/settings.ts";
import type { TestPeer } from "../../core/peer.ts";
import type { StageOptions } from "../../core/stage.ts";
import type { SnDevice } from "./device.ts";
import { onHeldDisk, SnStage } from "./sn-stage.ts";

function scene(settings: Partial<GatewaySettings> = {}, options: StageOptions = {}) {
  const stage = new SnStage(settings, options);
  const watcher: TestPeer = stage.stage.connect("watch").subscribed("#", 2);
  const device: SnDevice = stage.connected("a");
  return { stage, watcher, device };
}

const SHORT = (0x61 << 8) | 0x62;

test("1.2 §6.5, §6.6: REGISTER gives a number, and PUBLISH with it goes to the topic, with each QoS", () => {
  const { watcher, device } = scene();
  device.register("up/1");
  device.publish("up/1", "0");
  device.publish("up/1", "1", { qos: 1, messageId: 7, retain: true });
  device.publish("up/1", "2", { qos: 2, messageId: 8 });
  device.send({ type: 0x10, messageId: 8 });
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "PUBACK #7 code0", "PUBREC #8", "PUBCOMP #8"]);
  assert.deepEqual(watcher.take(), ['PUBLISH up/1 "0"', 'PUBLISH up/1 "1" qos1 #1', 'PUBLISH up/1 "2" qos2 #2']);
});

test("1.2 §6.5: the same name has the same number, for this client and no other", () => {
  const { stage, device } = scene();
  device.register("up/1");
  device.register("up/1");
  assert.equal(device.topics.size, 1);
  const [id] = device.topics.keys();
  const other = stage.connected("b");
  other.publish("", "x", { topicId: id!, qos: 1, messageId: 1 });
  assert.deepEqual(other.lines(), ["PUBACK #1 code2"]);
});

test("1.2 §6.5: what cannot be a topic name is not registered", () => {
  const { device } = scene();
  for (const name of ["a/#", "+", ""]) device.register(name);
  assert.deepEqual(device.lines(), ["REGACK #1 code3", "REGACK #2 code3", "REGACK #3 code3"]);
});

test("a client may register so many topics, and is told of congestion then", () => {
  const { device } = scene({ topicsPerClient: 2 });
  for (const name of ["1x", "2x", "3x", "1x"]) device.register(name);
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "REGACK #2 code0", "REGACK #3 code1", "REGACK #4 code0"]);
});

test("1.2 §5.4.13: an unknown number is answered with code 2, with QoS 0 too", () => {
  const { watcher, device } = scene();
  device.publish("", "x", { topicId: 77, qos: 0 });
  device.publish("", "x", { topicId: 77, qos: 2, messageId: 3 });
  device.publish("", "x", { topicId: 9, topicIdType: 1, qos: 1, messageId: 4 });
  assert.deepEqual(device.lines(), ["PUBACK #0 code2", "PUBACK #3 code2", "PUBACK #4 code2"]);
  assert.deepEqual(watcher.take(), []);
});

test("1.2 §6.7: short and predefined topics need no REGISTER; a client's own table goes before that of all", () => {
  const predefined = new Map([
    [1, "all/1"],
    [2, "all/2"],
  ]);
  const { watcher, device } = scene({ predefined, predefinedOf: new Map([["a", new Map([[2, "own/2"]])]]) });
  device.publish("", "s", { topicIdType: 2, topicId: SHORT });
  device.publish("", "1", { topicIdType: 1, topicId: 1 });
  device.publish("", "2", { topicIdType: 1, topicId: 2, qos: -1 });
  assert.deepEqual(watcher.take(), ['PUBLISH ab "s"', 'PUBLISH all/1 "1"', 'PUBLISH own/2 "2"']);
  assert.deepEqual(device.lines(), []);
});

test("a PUBLISH of QoS 2 that is repeated before and after its end is published once", () => {
  const { watcher, device } = scene();
  device.register("t");
  device.publish("t", "x", { qos: 2, messageId: 8 });
  device.publish("t", "x", { qos: 2, messageId: 8, dup: true });
  device.send({ type: 0x10, messageId: 8 });
  device.send({ type: 0x10, messageId: 8 });
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "PUBREC #8", "PUBREC #8", "PUBCOMP #8", "PUBCOMP #8"]);
  assert.deepEqual(watcher.takePayloads(), ["x"]);
});

test("a PUBLISH of QoS 2 that is repeated after a new CONNECT is published once", () => {
  const { watcher, device } = scene();
  device.register("t");
  device.publish("t", "x", { qos: 2, messageId: 8 });
  device.connect();
  device.publish("t", "x", { qos: 2, messageId: 8, dup: true });
  device.send({ type: 0x10, messageId: 8 });
  assert.deepEqual(device.lines().slice(1), ["PUBREC #8", "CONNACK code0", "PUBREC #8", "PUBCOMP #8"]);
  assert.deepEqual(watcher.takePayloads(), ["x"]);
});

test("a PUBLISH of QoS 1 whose PUBACK was lost is acknowledged again", () => {
  const { device } = scene();
  device.register("t");
  device.publish("t", "x", { qos: 1, messageId: 8 });
  device.publish("t", "x", { qos: 1, messageId: 8, dup: true });
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "PUBACK #8 code0", "PUBACK #8 code0"]);
});

test("a PUBLISH with QoS 1 or 2 has a message identifier", () => {
  const { watcher, device } = scene();
  device.register("t");
  device.publish("t", "x", { qos: 1, messageId: 0 });
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "PUBACK #0 code3"]);
  assert.deepEqual(watcher.take(), []);
});

test("what the client may not publish is not supported", () => {
  const access: Access = { authenticate: () => true, check: (_client, _topic, write) => !write };
  const { watcher, device } = scene({}, { access });
  device.register("t");
  device.publish("t", "x", { qos: 1, messageId: 8 });
  device.publish("t", "x", { qos: 2, messageId: 9 });
  assert.deepEqual(device.lines(), ["REGACK #1 code0", "PUBACK #8 code3", "PUBACK #9 code3"]);
  assert.deepEqual(watcher.take(), []);
});

test("1.2 §6.9: SUBSCRIBE by name tells the number, by wildcard none; both bring what is retained", () => {
  const { stage, device } = scene();
  stage.publish("r/1", "old", 1, true);
  device.subscribe("r/1", 0);
  assert.deepEqual([...device.topics.values()], ["r/1"]);
  device.subscribe("r/+", 2);
  assert.deepEqual(device.lines(), [
    "SUBACK #1 qos0 code0",
    'PUBLISH r/1 "old" retain',
    "SUBACK #2 qos2 code0",
    'PUBLISH r/1 "old" qos1 #1 retain',
  ]);
  assert.equal(device.topics.size, 1);
});

test("1.2 §6.9: short and predefined topics are subscribed to by their numbers, and published with them", () => {
  const { stage, device } = scene({ predefined: new Map([[5, "pre/five"]]) });
  for (const [messageId, topicIdType, topicId] of [
    [1, 2, SHORT],
    [2, 1, 5],
    [3, 1, 6],
  ] as const) {
    device.send({ type: 0x12, dup: false, qos: 1, messageId, topic: { topicIdType, topicId } });
  }
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0", "SUBACK #2 qos1 code0", "SUBACK #3 qos0 code2"]);
  stage.publish("ab", "s");
  stage.publish("pre/five", "p");
  assert.deepEqual(device.lines(), ['PUBLISH short:ab "s" qos1 #1', 'PUBLISH predefined:5 "p" qos1 #2']);
});

test("a name of two characters that was subscribed to as a name comes under the number of SUBACK", () => {
  const { stage, device } = scene();
  device.subscribe("ab");
  stage.publish("ab", "x");
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0", 'PUBLISH ab "x" qos1 #1']);
});

test("SUBSCRIBE that is repeated is answered again, and is one subscription", () => {
  const { stage, device } = scene();
  const messageId = device.subscribe("t");
  device.subscribe("t", 1, messageId);
  stage.publish("t", "x");
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0", "SUBACK #1 qos1 code0", 'PUBLISH t "x" qos1 #1']);
});

test("what cannot be subscribed to is refused, with its reason", () => {
  const access: Access = { authenticate: () => true, check: (_client, topic) => topic !== "no" };
  const { device } = scene({}, { access });
  device.subscribe("a/#/b");
  device.subscribe("no");
  assert.deepEqual(device.lines(), ["SUBACK #1 qos0 code3", "SUBACK #2 qos0 code3"]);
});

test("1.2 §6.9: UNSUBSCRIBE ends a subscription, and is always answered", () => {
  const { stage, device } = scene({ predefined: new Map([[5, "pre/five"]]) });
  device.subscribe("t");
  device.send({ type: 0x12, dup: false, qos: 1, messageId: 2, topic: { topicIdType: 1, topicId: 5 } });
  device.send({ type: 0x14, messageId: 3, topic: { topicIdType: 0, name: "t" } });
  device.send({ type: 0x14, messageId: 4, topic: { topicIdType: 1, topicId: 5 } });
  device.send({ type: 0x14, messageId: 5, topic: { topicIdType: 1, topicId: 99 } });
  stage.publish("t", "x");
  stage.publish("pre/five", "x");
  assert.deepEqual(device.lines().slice(2), ["UNSUBACK #3", "UNSUBACK #4", "UNSUBACK #5"]);
});

test("1.2 §6.8: QoS -1 needs no connection, and gets no answer whatever is wrong with it", () => {
  const { stage, watcher } = scene({ predefined: new Map([[5, "pre/five"]]) });
  const device = stage.device("");
  const publish = (topicIdType: 0 | 1 | 2, topicId: number, data: string): void =>
    device.publish("", data, { qos: -1, topicIdType, topicId });
  publish(1, 5, "p");
  publish(2, SHORT, "s");
  // As Paho's clients have it: the name before the data, its length in place of the number.
  publish(0, 4, "full" + "rest");
  publish(1, 6, "unknown");
  publish(0, 99, "too short");
  publish(2, (0x2b << 8) | 0x61, "a wildcard");
  assert.deepEqual(device.lines(), []);
  assert.deepEqual(watcher.take(), ['PUBLISH pre/five "p"', 'PUBLISH ab "s"', 'PUBLISH full "rest"']);
  assert.equal(stage.gateway.size, 1);
});

test("1.2 §6.8: QoS -1 is taken from a sleeper, too", () => {
  const { watcher, device } = scene({ predefined: new Map([[5, "pre/five"]]) });
  device.disconnect(100);
  device.publish("", "p", { qos: -1, topicIdType: 1, topicId: 5 });
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  assert.deepEqual(watcher.take(), ['PUBLISH pre/five "p"']);
});

test("QoS -1 is subject to the rules, as a client that is named after its place", () => {
  const asked: string[] = [];
  const access: Access = {
    authenticate: ({ clientId }) => {
      asked.push(clientId);
      return clientId !== "mqtt-sn:198.51.100.1";
    },
  };
  const { stage, watcher } = scene({ predefined: new Map([[5, "pre/five"]]) }, { access });
  for (const host of ["192.0.2.50", "198.51.100.1", "192.0.2.50"]) {
    stage.device("", { host }).publish("", host, { qos: -1, topicIdType: 1, topicId: 5 });
  }
  assert.deepEqual(watcher.takePayloads(), ["192.0.2.50", "192.0.2.50"]);
  assert.deepEqual(asked.slice(2), ["mqtt-sn:192.0.2.50", "mqtt-sn:198.51.100.1"]);
  stage.advance(60_001);
  assert.equal(stage.stage.broker.sessions.has("mqtt-sn:192.0.2.50"), false);
});

test("a sender of QoS -1 that was refused is asked about again a minute later, however often it sends", () => {
  let asked = 0;
  const access: Access = {
    authenticate: ({ clientId }) => {
      if (!clientId.startsWith("mqtt-sn:")) return true;
      asked++;
      return false;
    },
  };
  const { stage } = scene({ predefined: new Map([[5, "pre/five"]]) }, { access });
  const device = stage.device("");
  for (let seconds = 0; seconds <= 70; seconds += 10) {
    device.publish("", "x", { qos: -1, topicIdType: 1, topicId: 5 });
    if (seconds === 50) assert.equal(asked, 1);
    stage.advance(10_000);
  }
  assert.equal(asked, 2);
});

test("SUBSCRIBE and PUBLISH that are repeated while the disk is awaited are taken and answered once", async () => {
  const { stage, synced } = await onHeldDisk();
  const device = stage.device("a");
  device.connect();
  await synced();
  device.lines();
  const messageId = device.subscribe("t", 1);
  device.subscribe("t", 1, messageId);
  await synced();
  assert.deepEqual(device.lines(), ["SUBACK #1 qos1 code0"]);
  for (const dup of [false, true]) device.publish("t", "x", { qos: 1, messageId: 9, dup });
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #9 code0", 'PUBLISH t "x" qos1 #1']);
});

test("a client that subscribes to all its topics at once, as Paho's does, has each of them; sixteen at a time", async () => {
  const { stage, synced } = await onHeldDisk();
  const device = stage.device("a");
  device.connect();
  await synced();
  device.lines();
  for (let count = 1; count <= 17; count++) device.subscribe(`t/${count}`);
  assert.deepEqual(device.lines(), ["SUBACK #17 qos0 code1"]);
  await synced();
  assert.deepEqual(
    device.lines(),
    Array.from({ length: 16 }, (_, index) => `SUBACK #${index + 1} qos1 code0`),
  );
  assert.deepEqual(
    [...device.topics.values()],
    Array.from({ length: 16 }, (_, index) => `t/${index + 1}`),
  );
  device.subscribe("t/17", 1, 17);
  await synced();
  assert.deepEqual(device.lines(), ["SUBACK #17 qos1 code0"]);
});
