import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketType } from "../../src/codec/constants.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import type { AuthAnswer, Hook } from "../../src/core/hooks.ts";
import type { Route } from "../../src/core/router.ts";
import { Stage } from "./stage.ts";

// Faults that were found once, by other brokers' tests and by reading, and must not come back.

test("5.0 [MQTT-4.6.0-6] QoS 0 messages kept for an absent client are not overtaken by later ones", () => {
  const stage = new Stage({ mqtt: { queue: { qos0: true } } });
  stage.resume("s").subscribed("#", 1).hangUp();
  const { inlineClient } = stage.broker;
  inlineClient.publish("t", "1", { qos: 1 });
  inlineClient.publish("t", "2", { qos: 1 });
  inlineClient.publish("t", "3");
  const client = stage.resume("s", { properties: { receiveMaximum: 1 } });
  assert.deepEqual(client.take(), ['PUBLISH t "1" qos1 #1']);
  inlineClient.publish("t", "4");
  assert.deepEqual(client.take(), []);
  client.acknowledge("puback", 1);
  assert.deepEqual(client.take(), ['PUBLISH t "2" qos1 #2', 'PUBLISH t "3"', 'PUBLISH t "4"']);
  inlineClient.publish("t", "5");
  assert.deepEqual(client.take(), ['PUBLISH t "5"']);
});

for (const filter of ["", "a/#/b", "a+", "$share/g", "$share//t"]) {
  test(`5.0 [MQTT-4.7.1-1] [MQTT-4.7.3-1] refuses UNSUBSCRIBE of ${JSON.stringify(filter)}, which is no Topic Filter`, () => {
    const stage = new Stage();
    const client = stage.connect("a");
    const length = Buffer.from([0, filter.length]);
    const body = Buffer.concat([Buffer.from([0, 1, 0]), length, Buffer.from(filter)]);
    client.sendBytes(Buffer.concat([Buffer.from([0xa2, body.length]), body]));
    assert.match(client.take().join(), /^DISCONNECT 8f /);
    assert.equal(client.state, "ended");
  });
}

test("closes the connection of a client whose Maximum Packet Size has no room for CONNACK", () => {
  const stage = new Stage();
  const client = stage.dial({ properties: { maximumPacketSize: 4, sessionExpiryInterval: 60 } });
  assert.deepEqual(client.take(), []);
  assert.equal(client.state, "ended");
  assert.deepEqual([stage.counters.clientsConnected, stage.counters.connectionsRefused], [0, 1]);
  assert.equal(stage.broker.sessions.size, 1);
  stage.advance(60_000);
  assert.equal(stage.broker.sessions.size, 0);
});

for (const moment of ["onSessionEstablish", "onPacketSent"] as const) {
  test(`a client whose connection ends at ${moment}, before its session goes on, was never connected`, () => {
    const hook: Hook = { name: "stopper", [moment]: () => stage.broker.stop() };
    const stage = new Stage({ hooks: [hook] });
    const wills: string[] = [];
    stage.broker.inlineClient.subscribe("will", (packet) => wills.push(packet.topicName));
    const client = stage.dial({ clientId: "a", will: { topic: "will", payload: Buffer.from("x") } });
    stage.flush();
    assert.equal(client.state, "ended");
    assert.deepEqual([wills, stage.counters.clientsMaximum, stage.broker.sessions.size], [[], 0, 0]);
    assert.equal(stage.broker.connections.size, 0);
  });
}

test("a hook that ends the connection from inside SUBSCRIBE leaves no subscription behind", () => {
  const hook: Hook = {
    name: "kicker",
    onACLCheck: (client, topic) => {
      if (topic === "kick") {
        stage.broker.inject({ type: PacketType.DISCONNECT, reasonCode: 0, properties: {} }, client.clientId);
      }
      return true;
    },
  };
  const stage = new Stage({ hooks: [hook] });
  stage.connect("a").subscribe(["before", "kick", "after"]);
  assert.deepEqual([stage.counters.subscriptions, stage.broker.sessions.size], [0, 0]);
  assert.equal(stage.broker.inlineClient.publish("after", "x"), 0);
});

test("a hook that ends the connection from inside a delivery ends the delivery too", () => {
  let kicks = 1;
  const hook: Hook = {
    name: "kicker",
    onQosPublish: (client) => {
      if (kicks-- !== 1) return;
      stage.broker.inject({ type: PacketType.DISCONNECT, reasonCode: 0, properties: {} }, client.clientId);
    },
  };
  const stage = new Stage({ hooks: [hook] });
  stage.resume("s").subscribed("#", 1).hangUp();
  for (const payload of ["1", "2", "3"]) stage.broker.inlineClient.publish("t", payload, { qos: 1 });
  assert.deepEqual(stage.resume("s").take(), ['PUBLISH t "1" qos1 #1']);
  assert.deepEqual([stage.counters.inflight, stage.counters.queuedMessages], [1, 2]);
  assert.deepEqual(stage.resume("s").take(), [
    'PUBLISH t "1" qos1 #1 dup',
    'PUBLISH t "2" qos1 #2',
    'PUBLISH t "3" qos1 #3',
  ]);
});

test("a hook that ends the session from inside a sending leaves nothing under way", () => {
  const hook: Hook = {
    name: "kicker",
    onPacketEncode: (client, packet) => {
      if (packet.type !== PacketType.PUBLISH || client.clientId !== "s") return;
      stage.broker.inject({ type: PacketType.DISCONNECT, reasonCode: 0, properties: {} }, "s");
    },
  };
  const stage = new Stage({ hooks: [hook] });
  stage.connect("s", { properties: { maximumPacketSize: 20 } }).subscribed("#", 1);
  assert.equal(stage.broker.inlineClient.publish("t", "too large for 20 bytes", { qos: 1 }), 1);
  assert.deepEqual([stage.counters.inflight, stage.broker.sessions.size], [0, 0]);
});

test("5.0 [MQTT-3.3.4-7] messages that an earlier connection left unreleased do not count", () => {
  const stage = new Stage({ mqtt: { receiveMaximum: 2 } });
  const before = stage.resume("p");
  before.publish("t", "1", { qos: 2 });
  before.publish("t", "2", { qos: 2 });
  before.hangUp();
  const client = stage.resume("p");
  client.publish("t", "3", { qos: 2, id: 3 });
  client.publish("t", "4", { qos: 2, id: 4 });
  assert.deepEqual(client.take(), ["PUBREC #3 10", "PUBREC #4 10"]);
  client.acknowledge("pubrel", 3);
  client.publish("t", "5", { qos: 2, id: 5 });
  assert.deepEqual(client.take(), ["PUBCOMP #3", "PUBREC #5 10"]);
  client.publish("t", "6", { qos: 2, id: 6 });
  assert.match(client.take().join(), /^DISCONNECT 93 /);
});

test("5.0 §3.7.2.1 a PUBREL whose PUBCOMP was lost with the connection is answered with Success", () => {
  const stage = new Stage();
  const before = stage.resume("p");
  before.publish("t", "1", { qos: 2 });
  before.acknowledge("pubrel", 1);
  before.acknowledge("pubrel", 1);
  assert.deepEqual(before.take(), ["PUBREC #1 10", "PUBCOMP #1", "PUBCOMP #1 92"]);
  before.hangUp();
  const client = stage.resume("p");
  client.acknowledge("pubrel", 1);
  assert.deepEqual(client.take(), ["PUBCOMP #1"]);
});

test("a Will Topic has no more levels than other topics", () => {
  const stage = new Stage({ limits: { topicLevels: 3 } });
  const will = (topic: string) => ({ clientId: topic, will: { topic, payload: Buffer.from("x") } });
  stage.connect("a", will("1/2/3"));
  assert.match(stage.dial(will("1/2/3/4")).take().join(), /^CONNACK 90 /);
});

test("takes a SUBSCRIBE with 200,000 filters while retained messages of another one wait", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096 } });
  for (const topic of ["t/1", "t/2"]) stage.broker.inlineClient.publish(topic, "r".repeat(5000), { retain: true });
  const client = stage.connect("a");
  client.link.peerTakes = false;
  client.send({ cmd: "pingreq" });
  client.subscribe("t/#");
  const entry = Buffer.from([0, 3, 0x74, 0x2f, 0x23, 0]);
  const entries = Buffer.alloc(200_000 * entry.length, entry);
  const remaining = 3 + entries.length;
  const lengthBytes = [(remaining & 0x7f) | 0x80, ((remaining >> 7) & 0x7f) | 0x80, remaining >> 14];
  client.sendBytes(Buffer.concat([Buffer.from([0x82, ...lengthBytes, 0, 2, 0]), entries]));
  assert.equal(client.state, "open");
  assert.deepEqual(stage.log.at("error"), []);
  assert.equal(stage.counters.subscriptions, 1);
});

test("5.0 [MQTT-3.3.1-9] a message retained after SUBSCRIBE comes once, however late the retained ones are sent", () => {
  const stage = new Stage();
  const { inlineClient } = stage.broker;
  for (const topic of ["a", "t/1", "t/2"]) inlineClient.publish(topic, topic, { qos: 1, retain: true });
  const client = stage.connect("c", { properties: { receiveMaximum: 1 } });
  client.subscribe(["a", "t/#"], 1);
  assert.deepEqual(client.take(), ["SUBACK #1 01 01", 'PUBLISH a "a" qos1 #1 retain']);
  inlineClient.publish("t/3", "new", { qos: 1, retain: true });
  inlineClient.publish("t/2", "newer", { qos: 1, retain: true });
  client.acknowledges = true;
  client.acknowledge("puback", 1);
  assert.deepEqual(client.take(), [
    'PUBLISH t/3 "new" qos1 #2',
    'PUBLISH t/2 "newer" qos1 #3',
    'PUBLISH t/1 "t/1" qos1 #4 retain',
  ]);
});

test("UNSUBSCRIBE of many shares goes through the waiting messages once", () => {
  const stage = new Stage({ limits: { inflight: 1 } });
  const filters = ["$share/g/t/1", "$share/g/t/2", "$share/g/t/3"];
  const leaving = stage.connect("a").subscribed(filters, 1);
  for (const level of [1, 2, 3]) {
    stage.broker.inlineClient.publish(`t/${level}`, `first ${level}`, { qos: 1 });
    stage.broker.inlineClient.publish(`t/${level}`, `second ${level}`, { qos: 1 });
  }
  const { delivery } = [...stage.broker.connections][0]!.session;
  let walks = 0;
  const handOver = delivery.handOverWaiting.bind(delivery);
  delivery.handOverWaiting = (wanted) => {
    walks++;
    handOver(wanted);
  };
  const staying = stage.connect("b", { acknowledges: true }).subscribed(filters, 1);
  leaving.unsubscribe(...filters);
  assert.equal(walks, 1);
  assert.deepEqual(leaving.takePayloads(), ["first 1"]);
  assert.deepEqual(staying.takePayloads(), ["second 1", "first 2", "second 2", "first 3", "second 3"]);
});

test("a connection that publishes no more does not keep the receivers of its last topic in memory", () => {
  const stage = new Stage();
  for (let index = 0; index < 17; index++) stage.connect(`s${index}`).subscribed("many");
  stage.connect("s").subscribed("few");
  stage.connect("p").publish("many", "x");
  const connection = [...stage.broker.connections].at(-1)!;
  assert.ok(Reflect.get(connection, "lastRoute") === undefined);
  stage.connect("q").publish("few", "x");
  const route = Reflect.get([...stage.broker.connections].at(-1)!, "lastRoute") as Route;
  assert.equal(route.targets.length, 1);
});

test("denials of long topics are told apart by their beginnings, which is all that is remembered", () => {
  const stage = new Stage({ access: { authenticate: () => true, check: () => false } });
  const client = stage.connect("p");
  client.publish("x".repeat(60_000), "x");
  client.publish("y".repeat(60_000), "x");
  assert.equal(stage.log.of("Refused to publish").length, 2);
  const remembered = Reflect.get(stage.broker.permissions, "denials") as Map<string, number>;
  assert.deepEqual(
    [...remembered.keys()].map((key) => key.length < 300),
    [true, true],
  );
});

test("a client that is being authenticated anew is not read from because it takes its output again", async () => {
  let accept: (answer: AuthAnswer) => void = () => {};
  const hook: Hook = {
    name: "slow",
    onAuthPacket: (_, packet) =>
      packet.type === PacketType.CONNECT
        ? { reasonCode: ReasonCode.Success }
        : new Promise<AuthAnswer>((resolve) => {
            accept = resolve;
          }),
  };
  const stage = new Stage({ hooks: [hook], limits: { linkPendingBytes: 4096 } });
  const properties = { authenticationMethod: "M" };
  const client = stage.connect("a", { properties });
  const pings = Buffer.alloc(100_000, Buffer.from([0xc0, 0]));
  const renewal = client.encode({ cmd: "auth", reasonCode: 0x19, properties });
  for (const [first, then] of [
    ["takes its output", "is accepted"],
    ["is accepted", "takes its output"],
  ] as const) {
    client.link.peerTakes = false;
    client.sendBytes(pings);
    // What was read before reading stopped is still handed over.
    client.link.resumeReading();
    client.sendBytes(renewal);
    assert.equal(client.link.reading, false);
    for (const [step, reads] of [
      [first, false],
      [then, true],
    ] as const) {
      if (step === "is accepted") accept({ reasonCode: ReasonCode.Success });
      else client.link.takeAll();
      await stage.settle();
      assert.equal(client.link.reading, reads, `${first}, then ${then}: ${step}`);
    }
  }
  assert.deepEqual(client.take().slice(-1), ['AUTH 00 {"authenticationMethod":"M"}']);
});
