import assert from "node:assert/strict";
import { test } from "node:test";
import type { Will } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import type { SysInfo } from "../../../src/core/counters.ts";
import { type Hook, refuse } from "../../../src/core/hooks.ts";
import { createBroker, type Listener } from "../../../src/library.ts";
import { Stage } from "../stage.ts";

const will = { topic: "w", payload: Buffer.from("gone"), qos: 1 as const, retain: true };

test("onWill is given the will, onWillSent the message as it was published", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onWill: (client, { topicName, payload, qos, retain, properties }) =>
          void heard.push([client.clientId, topicName, Buffer.from(payload).toString(), qos, retain, properties]),
        onWillSent: (client, packet) =>
          void heard.push([client.clientId, packet.topicName, packet.qos, packet.retain, packet.properties]),
      },
    ],
  });
  const subscriber = stage.connect("s").subscribed("w", 1, { rap: true });
  const properties = { willDelayInterval: 3, contentType: "text" };
  stage.resume("a", { will: { ...will, properties } }).hangUp();
  assert.deepEqual(heard, []);
  stage.advance(3000);
  assert.deepEqual(heard, [
    ["a", "w", "gone", 1, true, properties],
    ["a", "w", 1, true, { contentType: "text" }],
  ]);
  assert.deepEqual(subscriber.take(), ['PUBLISH w "gone" qos1 #1 retain {"contentType":"text"}']);
});

test("onWill changes the will, for the hooks after it too", () => {
  const changing = (name: string): Hook => ({
    name,
    onWill: (client, given): Will => ({
      ...given,
      topicName: `${given.topicName}/${client.clientId}`,
      payload: Buffer.from(`${Buffer.from(given.payload)}+${name}`),
      retain: false,
    }),
  });
  const stage = new Stage({ hooks: [changing("1"), changing("2")] });
  const subscriber = stage.connect("s").subscribed("#");
  stage.connect("a", { will }).hangUp();
  assert.deepEqual(subscriber.take(), ['PUBLISH w/a/a "gone+1+2"']);
  assert.equal(stage.broker.retained.size, 0);
});

test("onWill refuses: nothing is published and onWillSent is not told", () => {
  const sent: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onWill: () => refuse(ReasonCode.NotAuthorized),
        onWillSent: (_, packet) => void sent.push(packet.topicName),
      },
    ],
  });
  const subscriber = stage.connect("s").subscribed("#");
  stage.connect("a", { will }).hangUp();
  assert.deepEqual(subscriber.take(), []);
  assert.equal(stage.broker.retained.size, 0);
  assert.deepEqual(sent, []);
});

test("onWill that throws refuses", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onWill() {
          throw new Error("x");
        },
      },
    ],
  });
  const subscriber = stage.connect("s").subscribed("#");
  stage.connect("a", { will }).hangUp();
  assert.deepEqual(subscriber.take(), []);
});

test("onWill is not asked after a normal DISCONNECT, and is after Disconnect with Will Message", () => {
  const heard: string[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onWill: (client) => void heard.push(client.clientId) }] });
  stage.connect("normal", { will }).disconnect();
  stage.connect("with will", { will }).disconnect(0x04);
  assert.deepEqual(heard, ["with will"]);
});

test("a will is published with the rights of the moment: onACLCheck denies it", () => {
  let allowed = true;
  const stage = new Stage({ hooks: [{ name: "h", onACLCheck: (_, topic) => (topic === "w" ? allowed : undefined) }] });
  const subscriber = stage.connect("s").subscribed("#");
  const client = stage.connect("a", { will });
  allowed = false;
  client.hangUp();
  assert.deepEqual(subscriber.take(), []);
  assert.equal(stage.counters.droppedBy.notAuthorized, 1);
});

test("onClientExpired comes when the session of a client that is away ends, and not before", () => {
  const heard: string[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onClientExpired: (client) => void heard.push(client.clientId) }] });
  stage.connect("clean").hangUp();
  stage.resume("a", { properties: { sessionExpiryInterval: 10 } }).hangUp();
  stage.resume("b", { properties: { sessionExpiryInterval: 10 } });
  stage.advance(9_999);
  assert.deepEqual(heard, []);
  stage.advance(1);
  assert.deepEqual(heard, ["a"]);
  assert.deepEqual([...stage.broker.sessions.keys()], ["b"]);
  assert.equal(stage.counters.clientsExpired, 1);
  stage.advance(100_000);
  assert.deepEqual(heard, ["a"]);
});

test("onRetainedExpired comes for each retained message that expired, those below $ too", () => {
  const heard: string[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onRetainedExpired: (topicName) => void heard.push(topicName) }] });
  const client = stage.connect("a");
  const expiring = { retain: true, properties: { messageExpiryInterval: 30 } };
  client.publish("t", "x", expiring);
  client.publish("$devices/1", "x", expiring);
  client.publish("stays", "x", { retain: true });
  client.publish("replaced", "x", expiring);
  client.publish("replaced", "y", { retain: true });
  stage.advance(59_999);
  assert.deepEqual(heard, []);
  stage.advance(1);
  assert.deepEqual(heard, ["t", "$devices/1"]);
  assert.equal(stage.broker.retained.size, 2);
  assert.equal(stage.counters.droppedBy.expired, 2);
});

test("onSysInfoTick is given the figures before they are published, at start and in each interval", () => {
  const ticks: SysInfo[] = [];
  const stage = new Stage({
    mqtt: { sys: { enabled: true, intervalMs: 5000 } },
    hooks: [
      {
        name: "h",
        onSysInfoTick: (info) => void ticks.push(info),
      },
    ],
  });
  const client = stage.connect("a");
  client.publish("t", "four", { retain: true });
  stage.advance(4_999);
  assert.equal(ticks.length, 1);
  stage.advance(1);
  assert.equal(ticks.length, 2);
  const { bytesReceived, bytesSent, retained, ...rest } = ticks[1]!;
  assert.ok(bytesReceived > 10 && bytesSent > 5 && retained > 1);
  assert.deepEqual(rest, {
    version: "mqtt-broker test",
    started: 1_700_000_000,
    time: 1_700_000_005,
    uptime: 5,
    clientsConnected: 1,
    clientsDisconnected: 0,
    clientsMaximum: 1,
    clientsTotal: 1,
    messagesReceived: 1,
    messagesSent: 0,
    messagesDropped: 0,
    packetsReceived: 2,
    packetsSent: 1,
    inflight: 0,
    inflightDropped: 0,
    subscriptions: 0,
    memoryAlloc: 1000,
    threads: 1,
  });
});

test("onSysInfoTick does not come when $SYS is off", () => {
  const ticks: SysInfo[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onSysInfoTick: (info) => void ticks.push(info) }] });
  stage.advance(100_000);
  assert.deepEqual(ticks, []);
});

test("onStarted comes when all listeners accept, onStopped when all are closed; each once", async () => {
  const heard: string[] = [];
  const listener = (name: string): Listener => ({
    name,
    url: `test://${name}`,
    async listen() {
      heard.push(`${name} listens`);
    },
    async close() {
      heard.push(`${name} closed`);
    },
  });
  const hook = (name: string): Hook => ({
    name,
    onStarted: () => void heard.push(`${name} started`),
    onStopped: () => void heard.push(`${name} stopped`),
  });
  const broker = createBroker({ hooks: [hook("1"), hook("2")] });
  await broker.addListener(listener("a"));
  await broker.addListener(listener("b"));
  await broker.start();
  await Promise.all([broker.stop(), broker.stop()]);
  assert.deepEqual(heard, [
    "a listens",
    "b listens",
    "1 started",
    "2 started",
    "a closed",
    "b closed",
    "1 stopped",
    "2 stopped",
  ]);
});

test("onStarted that throws is named, and the broker runs", async () => {
  const errors: unknown[] = [];
  const nothing = (): void => {};
  const broker = createBroker({
    hooks: [
      {
        name: "thrower",
        onStarted() {
          throw new Error("x");
        },
      },
    ],
    log: {
      enabled: () => true,
      error: (message, fields) => void errors.push([message, fields?.hook, fields?.moment]),
      warn: nothing,
      info: nothing,
      debug: nothing,
      trace: nothing,
    },
  });
  await broker.start();
  await broker.stop();
  assert.deepEqual(errors, [["A hook threw", "thrower", "onStarted"]]);
});
