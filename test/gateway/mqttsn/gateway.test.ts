import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeEncapsulated, encodeEncapsulated } from "../../../src/gateway/mqttsn/codec/forwarder.ts";
import { SnDevice } from "./device.ts";
import { SnStage } from "./sn-stage.ts";

/** A node behind the forwarder at `host`, which puts everything into envelopes. */
function node(stage: SnStage, clientId: string, nodeId: number[], host = "192.0.2.100"): SnDevice {
  const id = Uint8Array.from(nodeId);
  const device = new SnDevice(clientId, (message) => {
    stage.gateway.receive(encodeEncapsulated(1, id, message), route);
    for (let sent = true; sent; sent = device.answer()) stage.flush();
  });
  const route = stage.route({ host }, (envelope) => {
    const { nodeId: to, message } = decodeEncapsulated(envelope);
    assert.deepEqual(to, id);
    device.take(message);
  });
  return device;
}

test("1.2 §5.5: nodes behind one forwarder are clients of their own, and are answered in envelopes", () => {
  const stage = new SnStage();
  const [one, two] = [node(stage, "one", [1]), node(stage, "two", [2, 0xff])];
  for (const device of [one, two]) {
    device.connect();
    device.subscribe("t");
    assert.deepEqual(device.lines(), ["CONNACK code0", "SUBACK #1 qos1 code0"]);
  }
  assert.equal(stage.gateway.size, 2);
  assert.deepEqual(
    ["one", "two"].map((id) => stage.gateway.client(id)?.route.peer.nodeId),
    ["01", "02ff"],
  );
  one.disconnect();
  two.ping();
  assert.deepEqual([one.lines(), two.lines()], [["DISCONNECT"], ["PINGRESP"]]);
});

test("a node is known by its forwarder's host and its number, also when the forwarder's port has changed", () => {
  const stage = new SnStage();
  const before = node(stage, "n", [7]);
  before.connect();
  before.disconnect(100);
  // Another node of the same forwarder is another place, and so is the same number elsewhere.
  for (const other of [node(stage, "n", [8]), node(stage, "n", [7], "192.0.2.101")]) {
    other.wake();
    assert.deepEqual(other.lines(), ["DISCONNECT"]);
  }
  const now = node(stage, "n", [7]);
  now.wake();
  assert.deepEqual(now.lines(), ["PINGRESP"]);
});

test("1.2 §5.5: an envelope holds a message: one in another envelope is malformed, and costs nobody anything", () => {
  const stage = new SnStage();
  const device = stage.connected("a");
  const inner = encodeEncapsulated(0, Uint8Array.of(2), Uint8Array.of(2, 0x16));
  let answers = 0;
  stage.gateway.receive(
    encodeEncapsulated(0, Uint8Array.of(1), inner),
    stage.route({}, () => answers++),
  );
  assert.deepEqual([answers, stage.gateway.counters.malformed], [0, 1]);
  device.ping();
  assert.deepEqual(device.lines(), ["PINGRESP"]);
});

test("an active client whose port has changed is told to connect, and goes on with its session", () => {
  const stage = new SnStage();
  const device = stage.connected("a");
  device.subscribe("t");
  device.lines();
  // To where it is no more.
  device.answers = false;
  stage.publish("t", "kept");
  assert.deepEqual(device.lines(), ['PUBLISH t "kept" qos1 #1']);
  stage.move(device, { port: 50_000 });
  device.publish("", "x", { topicId: 1, qos: 1, messageId: 1 });
  assert.deepEqual(device.lines(), ["DISCONNECT"]);
  device.answers = true;
  device.connect();
  assert.deepEqual(device.lines(), ["CONNACK code0", "REGISTER t", 'PUBLISH t "kept" qos1 #1 dup']);
  assert.equal(stage.gateway.size, 1);
});

test("a sleeper that wakes where another client was takes its place, and that one is lost", () => {
  const stage = new SnStage();
  const sleeper = stage.connected("s", { port: 1 });
  sleeper.disconnect(100);
  const watcher = stage.stage.connect("watch").subscribed("w", 1);
  const other = stage.device("o", { port: 2 });
  other.connect({ will: true });
  other.willTopic("w", 1);
  other.willMessage("gone");
  other.lines();
  stage.move(sleeper, { port: 2 });
  sleeper.lines();
  sleeper.wake();
  assert.deepEqual([sleeper.lines(), other.lines()], [["PINGRESP"], []]);
  assert.equal(stage.gateway.client("o"), undefined);
  assert.deepEqual(watcher.takePayloads(), ["gone"]);
  assert.equal(stage.gateway.client("s")?.route.peer.address, "192.0.2.7:2");
});

test("a fault while one client is served costs that client, and nobody else; nothing is thrown", () => {
  const stage = new SnStage();
  const [device, other] = [stage.connected("a"), stage.connected("b")];
  for (const each of [device, other]) each.subscribe("t");
  // A mistake as it may be anywhere: in what is called when something comes, and when a message is to go out.
  stage.gateway.client("a")!.downstream.push = () => {
    throw new Error("on the way out");
  };
  other.lines();
  device.lines();
  stage.publish("t", "x");
  assert.deepEqual([device.lines(), other.lines()], [["DISCONNECT"], ['PUBLISH t "x" qos1 #1']]);
  device.connect();
  assert.match(device.lines().join(), /^CONNACK code0,REGISTER t,PUBLISH t "x" qos1 #1/);
  stage.gateway.client("a")!.downstream.forgive = () => {
    throw new Error("on the way in");
  };
  device.subscribe("t");
  assert.deepEqual([device.lines(), stage.gateway.size], [["DISCONNECT"], 1]);
  assert.equal(stage.stage.log.of("Internal error while serving an MQTT-SN client").length, 2);
});

test("a fault when time has passed costs one client, and the deadlines of the others hold", () => {
  const stage = new SnStage();
  stage.connected("a", {}, { durationSeconds: 10 });
  stage.connected("b", {}, { durationSeconds: 20 });
  stage.gateway.client("a")!.tick = () => {
    throw new Error("late");
  };
  stage.advance(15_000);
  assert.deepEqual([stage.gateway.client("a"), stage.gateway.size], [undefined, 1]);
  stage.advance(15_000);
  assert.equal(stage.gateway.size, 0);
});

test("a way that throws costs its client alone", () => {
  const stage = new SnStage();
  const other = stage.connected("b");
  const broken = stage.route({}, () => {
    throw new Error("cannot send");
  });
  for (let times = 0; times < 2; times++) stage.gateway.receive(Uint8Array.of(7, 0x04, 4, 1, 0, 60, 0x61), broken);
  stage.flush();
  assert.equal(stage.gateway.size, 1);
  other.ping();
  assert.deepEqual(other.lines(), ["PINGRESP"]);
});

test("clients that are gone are remembered up to clientsMax, however long one of them stays", () => {
  const stage = new SnStage({ clientsMax: 10 });
  stage.connected("stays");
  const first = stage.connected("first");
  first.register("t");
  first.disconnect();
  const name = [...first.topics.keys()][0]!;
  for (let count = 0; count < 10; count++) stage.connected(`c${count}`).disconnect();
  // It was the first of eleven: its number is not known any more, its session is.
  first.lines();
  first.connect();
  first.publish("t", "x", { topicId: name, qos: 1, messageId: 1 });
  assert.deepEqual(first.lines(), ["CONNACK code0", "PUBACK #1 code2"]);
});

test("ten thousand clients: a message costs the same as with ten, and each deadline is kept", () => {
  const stage = new SnStage({}, { limits: { clients: 20_000, sessions: 20_000 }, logLevel: "error" });
  const count = 10_000;
  for (let index = 0; index < count; index++) {
    const route = stage.route({ host: `10.0.${index >> 8}.${index & 255}` }, () => {});
    const clientId = Buffer.from(`c${index}`);
    const duration = 100 + (index % 1000);
    const connect = Buffer.from([6 + clientId.length, 0x04, 4, 1, duration >> 8, duration & 255]);
    stage.gateway.receive(Buffer.concat([connect, clientId]), route);
  }
  assert.equal(stage.gateway.size, count);
  const { scheduled } = stage;
  // One who has nothing to do with it is not even looked at.
  const bystander = stage.gateway.client("c10")!;
  let looks = 0;
  Object.defineProperty(bystander, "deadlineMs", {
    configurable: true,
    get: () => {
      looks++;
      return 0;
    },
  });
  const busy = stage.gateway.client("c9")!;
  for (let times = 0; times < 1000; times++) stage.gateway.receive(Uint8Array.of(2, 0x16), busy.route);
  Reflect.deleteProperty(bystander, "deadlineMs");
  assert.equal(looks, 0);
  assert.equal(stage.scheduled, scheduled);
  stage.advance(110_000 - 1);
  assert.equal(stage.gateway.size, count);
  stage.advance(1);
  assert.equal(stage.gateway.size, count - 10);
});
