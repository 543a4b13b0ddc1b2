import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerOptions } from "./peer.ts";
import { Stage } from "./stage.ts";

const publish = (stage: Stage, payload: string, qos: 0 | 1 | 2): void =>
  void stage.broker.inlineClient.publish("t", payload, { qos });

test("5.0 [MQTT-3.1.4-3] a second connection takes the session over, the first is told", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 1);
  const second = stage.resume("a");
  assert.deepEqual(first.take(), ['DISCONNECT 8e {"reasonString":"session taken over by 192.0.2.1:2"}']);
  assert.equal(first.state, "ended");
  publish(stage, "x", 1);
  assert.deepEqual(second.take(), ['PUBLISH t "x" qos1 #1']);
  assert.deepEqual([stage.counters.clientsConnected, stage.broker.connections.size], [1, 1]);
});

test("3.1.1 [MQTT-3.1.4-2] a second connection takes the session over, the first is closed", () => {
  const stage = new Stage();
  const first = stage.connect("a", { version: 4 });
  stage.connect("a", { version: 4 });
  assert.deepEqual(first.take(), []);
  assert.equal(first.state, "ended");
});

test("what the first connection still sends after it was taken over is not handled", () => {
  const stage = new Stage();
  const first = stage.connect("a");
  const second = stage.connect("a").subscribed("t");
  first.publish("t", "late");
  assert.deepEqual(second.take(), []);
});

const presents: [first: PeerOptions, second: PeerOptions, present: boolean][] = [
  [{ properties: { sessionExpiryInterval: 9 } }, { clean: false }, true],
  [{ properties: { sessionExpiryInterval: 9 } }, { clean: true }, false],
  [{ properties: { sessionExpiryInterval: 0 } }, { clean: false }, false],
  [{ version: 4, clean: false }, { version: 4, clean: false }, true],
  [{ version: 4, clean: true }, { version: 4, clean: false }, false],
  [{ version: 4, clean: false }, { version: 5, clean: false }, true],
  [{ version: 4, clean: false }, { version: 3, clean: false }, false],
];
for (const [first, second, present] of presents) {
  test(`5.0 [MQTT-3.2.2-2] [MQTT-3.2.2-3] Session Present ${present} after ${JSON.stringify([first, second])}`, () => {
    const stage = new Stage();
    stage.connect("a", first).hangUp();
    const packet = stage.dial({ clientId: "a", ...second }).received.shift();
    assert.ok(packet?.cmd === "connack");
    // 3.1 has no such flag: its session goes on all the same.
    assert.equal(packet.sessionPresent, present);
  });
}

test("Clean Start ends the old session: subscriptions, queue and messages under way are gone", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 1);
  publish(stage, "under way", 1);
  first.hangUp();
  publish(stage, "waiting", 1);
  const second = stage.connect("a", { properties: { sessionExpiryInterval: 9 } });
  publish(stage, "new", 1);
  assert.deepEqual(second.take(), []);
  assert.deepEqual([stage.counters.subscriptions, stage.counters.inflight, stage.counters.queuedMessages], [0, 0, 0]);
});

test("5.0 [MQTT-4.4.0-1] PUBLISH and PUBREL are sent again in order when the client comes back, and not before", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 2);
  for (const [payload, qos] of [
    ["1", 1],
    ["2", 2],
    ["3", 2],
    ["4", 1],
    ["5", 2],
  ] as const)
    publish(stage, payload, qos);
  first.take();
  stage.advance(1e6);
  assert.deepEqual(first.take(), []);
  first.acknowledge("puback", 1);
  first.acknowledge("pubrec", 2);
  first.acknowledge("pubrec", 5);
  first.acknowledge("pubcomp", 5);
  first.hangUp();
  const second = stage.resume("a");
  assert.deepEqual(second.take(), ["PUBREL #2", 'PUBLISH t "3" qos2 #3 dup', 'PUBLISH t "4" qos1 #4 dup']);
  second.acknowledge("pubcomp", 2);
  second.acknowledge("pubrec", 3);
  second.acknowledge("puback", 4);
  second.hangUp();
  assert.deepEqual(stage.resume("a").take(), ["PUBREL #3"]);
});

test("5.0 [MQTT-4.4.0-2] what was refused by PUBACK or PUBREC is not sent again", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 2);
  publish(stage, "1", 1);
  publish(stage, "2", 2);
  first.acknowledge("puback", 1, 0x87);
  first.acknowledge("pubrec", 2, 0x87);
  first.hangUp();
  assert.deepEqual(stage.resume("a").take(), []);
  assert.equal(stage.counters.droppedBy.refusedByReceiver, 2);
});

test("a smaller Receive Maximum after reconnecting gates what is sent again; then comes what waited, then what is new", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 2);
  for (const payload of ["1", "2", "3"]) publish(stage, payload, 2);
  first.acknowledge("pubrec", 1);
  first.hangUp();
  publish(stage, "4", 1);
  const second = stage.resume("a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  publish(stage, "5", 1);
  assert.deepEqual(second.take(), ["PUBREL #1"]);
  second.acknowledge("pubcomp", 1);
  assert.deepEqual(second.take(), ['PUBLISH t "2" qos2 #2 dup']);
  second.acknowledge("pubrec", 2);
  assert.deepEqual(second.take(), ["PUBREL #2"]);
  second.acknowledges = true;
  second.acknowledge("pubcomp", 2);
  assert.deepEqual(second.take(), [
    'PUBLISH t "3" qos2 #3 dup',
    "PUBREL #3",
    'PUBLISH t "4" qos1 #4',
    'PUBLISH t "5" qos1 #5',
  ]);
  assert.equal(stage.counters.inflight, 0);
});

test("an acknowledgement that comes before its message was sent again counts", () => {
  const stage = new Stage();
  const first = stage.resume("a").subscribed("t", 1);
  for (const payload of ["1", "2", "3"]) publish(stage, payload, 1);
  first.hangUp();
  const second = stage.resume("a", { properties: { sessionExpiryInterval: 100, receiveMaximum: 1 } });
  assert.deepEqual(second.take(), ['PUBLISH t "1" qos1 #1 dup']);
  second.acknowledge("puback", 2);
  assert.deepEqual(second.take(), []);
  second.acknowledge("puback", 1);
  assert.deepEqual(second.take(), ['PUBLISH t "3" qos1 #3 dup']);
  second.acknowledge("puback", 3);
  publish(stage, "4", 1);
  assert.deepEqual(second.take(), ['PUBLISH t "4" qos1 #4']);
});

test("5.0 [MQTT-3.3.1-3] DUP of the publisher does not go on", () => {
  const stage = new Stage();
  const client = stage.connect("a").subscribed("t", 1);
  client.publish("t", "x", { qos: 1, dup: true });
  assert.deepEqual(client.take(), ['PUBLISH t "x" qos1 #1', "PUBACK #1"]);
});

test("5.0 [MQTT-4.3.3-10] [MQTT-4.3.3-12] an incoming QoS 2 identifier is known until PUBREL, over a reconnect too", () => {
  const stage = new Stage();
  const subscriber = stage.connect("s").subscribed("t");
  const first = stage.resume("a");
  first.publish("t", "1", { qos: 2, id: 7 });
  first.hangUp();
  const second = stage.resume("a");
  second.publish("t", "1", { qos: 2, id: 7, dup: true });
  second.acknowledge("pubrel", 7);
  second.acknowledge("pubrel", 7);
  second.publish("t", "2", { qos: 2, id: 7 });
  assert.deepEqual(second.take(), ["PUBREC #7", "PUBCOMP #7", "PUBCOMP #7 92", "PUBREC #7"]);
  assert.deepEqual(subscriber.takePayloads(), ["1", "2"]);
});

test("an incoming QoS 2 identifier ends with the session", () => {
  const stage = new Stage();
  const first = stage.connect("a");
  first.publish("t", "1", { qos: 2, id: 7 });
  first.hangUp();
  const second = stage.connect("a").subscribed("t");
  second.publish("t", "2", { qos: 2, id: 7 });
  assert.deepEqual(second.take(), ['PUBLISH t "2"', "PUBREC #7"]);
});

test("what comes in one piece behind a DISCONNECT is not handled", () => {
  const stage = new Stage();
  const subscriber = stage.connect("s").subscribed("t");
  const client = stage.connect("a");
  client.send({ cmd: "disconnect" }, client.publishPacket("t", "x"), { cmd: "pingreq" });
  assert.deepEqual([client.take(), subscriber.take(), client.state], [[], [], "ended"]);
  assert.equal(stage.counters.protocolErrors, 0);
});

test("5.0 §3.14.2.2.2 a session that ends with its connection gets no expiry at DISCONNECT", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  client.disconnect(0, { sessionExpiryInterval: 5 });
  assert.equal(client.take()[0]?.slice(0, 13), "DISCONNECT 82");
  assert.equal(stage.broker.sessions.size, 0);
});

test("the broker stops: 5.0 clients are told, sessions stay, new connections are refused", () => {
  const stage = new Stage();
  const [a, b] = [stage.resume("a"), stage.resume("b", { version: 4 })];
  stage.broker.stop();
  stage.flush();
  assert.deepEqual(a.take(), ['DISCONNECT 8b {"reasonString":"the broker is stopping"}']);
  assert.deepEqual(b.take(), []);
  assert.deepEqual([a.state, b.state, stage.open().state], ["ended", "ended", "destroyed"]);
  assert.equal(stage.broker.sessions.size, 2);
});

test("each deadline is announced to the host: nothing that is due is waited for in vain", () => {
  const stage = new Stage({ mqtt: { sys: { enabled: true } } });
  for (let step = 0; step < 40; step++) {
    if (step === 1) {
      stage.connect("a", { keepalive: 3 });
      stage.resume("b", { properties: { sessionExpiryInterval: 7 } }).hangUp();
      stage.open();
    }
    stage.advance(777);
    assert.ok(stage.broker.nextDeadlineMs() > stage.nowMs);
  }
  assert.deepEqual([stage.broker.sessions.size, stage.broker.connections.size], [0, 0]);
});
