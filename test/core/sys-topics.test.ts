import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestPeer } from "./peer.ts";
import { Stage, type StageOptions } from "./stage.ts";

const on = (sys: object = {}): StageOptions => ({ mqtt: { sys: { enabled: true, intervalMs: 10_000, ...sys } } });

/** What is retained below `$SYS/broker/`, and live changes, by the rest of the name. */
function figures(peer: TestPeer): Record<string, string> {
  peer.stage.flush();
  const entries = peer.received.splice(0).flatMap((packet) => {
    if (packet.cmd !== "publish") return [];
    return [[packet.topic.replace("$SYS/broker/", ""), packet.payload.toString()] as const];
  });
  return Object.fromEntries(entries);
}

function watching(stage: Stage): TestPeer {
  const peer = stage.connect("watch");
  peer.subscribe("$SYS/#");
  return peer;
}

/** features of the two brokers whose dashboards people have. */
const MOSQUITTO = [
  "version",
  "uptime",
  "clients/total",
  "clients/maximum",
  "clients/inactive",
  "clients/disconnected",
  "clients/active",
  "clients/connected",
  "clients/expired",
  "load/messages/received",
  "load/messages/sent",
  "load/publish/received",
  "load/publish/sent",
  "load/publish/dropped",
  "load/bytes/received",
  "load/bytes/sent",
  "load/sockets",
  "load/connections",
].flatMap((name) => (/^load/.test(name) ? ["1min", "5min", "15min"].map((window) => `${name}/${window}`) : [name]));
MOSQUITTO.push(
  "messages/stored",
  "messages/received",
  "messages/sent",
  "store/messages/count",
  "store/messages/bytes",
  "subscriptions/count",
  "shared_subscriptions/count",
  "retained messages/count",
  "heap/current",
  "heap/maximum",
  "publish/messages/dropped",
  "publish/messages/received",
  "publish/messages/sent",
  "publish/bytes/received",
  "publish/bytes/sent",
  "bytes/received",
  "bytes/sent",
);
const MOCHI = [
  "version",
  "time",
  "uptime",
  "started",
  "load/bytes/received",
  "load/bytes/sent",
  "clients/connected",
  "clients/disconnected",
  "clients/maximum",
  "clients/total",
  "packets/received",
  "packets/sent",
  "messages/received",
  "messages/sent",
  "messages/dropped",
  "messages/inflight",
  "retained",
  "subscriptions",
  "system/memory",
  "system/threads",
];

test("$SYS has all names of Mosquitto and of mochi, retained", () => {
  const names = Object.keys(figures(watching(new Stage(on()))));
  assert.deepEqual(
    [...MOSQUITTO, ...MOCHI].filter((name) => !names.includes(name)),
    [],
  );
});

test("$SYS shows what happened, at the end of each interval and not before", () => {
  const stage = new Stage(on());
  const peer = watching(stage);
  figures(peer);
  const other = stage.connect("other").subscribed(["t", "$share/g/t"], 1);
  other.publish("t", "12345");
  stage.resume("away").hangUp();
  stage.advance(9_999);
  assert.deepEqual(figures(peer), {});
  stage.advance(1);
  const shown = figures(peer);
  const expected = {
    "clients/connected": "2",
    "clients/active": "2",
    "clients/disconnected": "1",
    "clients/inactive": "1",
    "clients/maximum": "3",
    "clients/total": "3",
    subscriptions: "3",
    "subscriptions/count": "3",
    "shared_subscriptions/count": "1",
    "publish/messages/received": "1",
    "publish/bytes/received": "5",
    uptime: "10 seconds",
    time: "1700000010",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, shown[name]])), expected);
});

test("$SYS: a figure that has not changed is not published again", () => {
  const stage = new Stage(on());
  const peer = watching(stage);
  for (let round = 0; round < 3; round++) stage.advance(10_000);
  figures(peer);
  stage.advance(10_000);
  const changed = figures(peer);
  for (const name of ["version", "started", "clients/total", "subscriptions", "retained", "system/threads"]) {
    assert.equal(changed[name], undefined, name);
  }
  assert.equal(changed.uptime, "40 seconds");
});

test("$SYS comes in the interval that is set", () => {
  const stage = new Stage(on({ intervalMs: 3000 }));
  const peer = watching(stage);
  figures(peer);
  stage.advance(3000);
  assert.equal(figures(peer).uptime, "3 seconds");
  stage.advance(3000);
  assert.equal(figures(peer).uptime, "6 seconds");
});

test("$SYS that is off publishes nothing and wakes nobody", () => {
  const stage = new Stage();
  const peer = watching(stage);
  stage.advance(1_000_000);
  assert.deepEqual(figures(peer), {});
  assert.equal(stage.broker.retained.size, 0);
  assert.equal(stage.broker.nextDeadlineMs(), Number.POSITIVE_INFINITY);
});

test("$SYS ends with the broker", () => {
  const stage = new Stage(on());
  stage.broker.stop();
  assert.equal(stage.broker.nextDeadlineMs(), Number.POSITIVE_INFINITY);
});

test("5.0 [MQTT-4.7.2-1] $SYS is not found by #", () => {
  const peer = new Stage(on()).connect("a");
  peer.subscribe("#");
  assert.deepEqual(peer.take(), ["SUBACK #1 00"]);
});

for (const topic of ["$SYS", "$SYS/", "$SYS/broker/uptime", "$SYS/own"]) {
  test(`a client may not publish to ${topic}`, () => {
    const stage = new Stage();
    const subscriber = stage.connect("s").subscribed(["$SYS", "$SYS/#"]);
    const client = stage.connect("a");
    client.publish(topic, "0", { retain: true });
    client.publish(topic, "1", { qos: 1 });
    client.publish(topic, "2", { qos: 2 });
    assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBREC #2 87"]);
    const old = stage.connect("b", { version: 4 });
    old.publish(topic, "1", { qos: 1 });
    assert.deepEqual(old.take(), ["PUBACK #1"]);
    stage.connect("w", { will: { topic, payload: Buffer.from("will") } }).hangUp();
    assert.deepEqual(subscriber.take(), []);
    assert.equal(stage.broker.retained.size, 0);
    assert.equal(stage.counters.droppedBy.notAuthorized, 5);
  });
}

test("other topics that begin with $ are the clients'", () => {
  const client = new Stage().connect("a").subscribed(["$SYSTEM/#", "$mine"]);
  client.publish("$SYSTEM/x", "1");
  client.publish("$mine", "2");
  assert.deepEqual(client.takePayloads(), ["1", "2"]);
});

test("the program's own client may publish to $SYS", () => {
  const stage = new Stage();
  const subscriber = stage.connect("s").subscribed("$SYS/#");
  assert.equal(stage.broker.inlineClient.publish("$SYS/site", "7", { retain: true }), 1);
  assert.deepEqual(subscriber.take(), ['PUBLISH $SYS/site "7"']);
});

test("$SYS load averages are rates a minute that rise and fall", () => {
  const stage = new Stage(on({ intervalMs: 60_000 }));
  const peer = watching(stage);
  const client = stage.connect("a");
  for (let count = 0; count < 100; count++) client.publish("t", "x");
  stage.advance(60_000);
  const rate = Number(figures(peer)["load/publish/received/1min"]);
  // After one minute of 100 a minute, 1 - 1/e of it.
  assert.equal(rate, 63.21);
  stage.advance(60_000);
  assert.equal(Number(figures(peer)["load/publish/received/1min"]), 23.25);
});

test("what others give is retained below $SYS/broker, told when it changes, and taken back when it is gone", () => {
  let given: [string, string | number][] = [
    ["certificates/1/days", 40],
    ["certificates/2/days", 7],
  ];
  const stage = new Stage({ ...on(), sysValues: () => given });
  const peer = stage.connect("watch");
  peer.subscribe("$SYS/broker/certificates/#");
  const told = (): Record<string, string> => figures(peer);
  assert.deepEqual(told(), { "certificates/1/days": "40", "certificates/2/days": "7" });
  given = [["certificates/1/days", 39]];
  stage.advance(10_000);
  assert.deepEqual(told(), { "certificates/1/days": "39", "certificates/2/days": "" });
  stage.advance(10_000);
  assert.deepEqual(told(), {});
  assert.equal(stage.broker.retained.get("$SYS/broker/certificates/2/days"), undefined);
  given.push(["certificates/2/days", 7]);
  stage.advance(10_000);
  assert.deepEqual(told(), { "certificates/2/days": "7" });
});

test("retained figures are not counted as messages of clients", () => {
  const stage = new Stage({ ...on(), limits: { retained: 1 } });
  stage.broker.inlineClient.publish("t", "x", { retain: true });
  assert.throws(() => stage.broker.inlineClient.publish("u", "x", { retain: true }), RangeError);
});
