import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage, type StageMqtt } from "./stage.ts";

const keepAlives: [StageMqtt, version: 4 | 5, asked: number, told: number | undefined, effectiveSeconds: number][] = [
  [{}, 5, 10, undefined, 10],
  [{}, 5, 0, undefined, 0],
  [{ serverKeepAlive: 20 }, 5, 10, 20, 20],
  [{ serverKeepAlive: 20 }, 5, 20, undefined, 20],
  [{ serverKeepAlive: 20 }, 5, 0, 20, 20],
  [{ serverKeepAlive: 0 }, 5, 10, 0, 0],
  [{ serverKeepAlive: 20 }, 4, 10, undefined, 10],
  [{ serverKeepAlive: 20, keepAliveMax: 5 }, 5, 10, 20, 20],
  [{ keepAliveMax: 5 }, 5, 10, 5, 5],
  [{ keepAliveMax: 5 }, 5, 0, 5, 5],
  [{ keepAliveMax: 5 }, 5, 3, undefined, 3],
  [{ keepAliveMax: 5 }, 4, 10, undefined, 5],
  [{ keepAliveMax: 5 }, 4, 0, undefined, 0],
  [{ keepAliveDefault: 30 }, 5, 0, 30, 30],
  [{ keepAliveDefault: 30 }, 4, 0, undefined, 30],
  [{ keepAliveDefault: 30 }, 4, 10, undefined, 10],
];
for (const [mqtt, version, asked, told, effectiveSeconds] of keepAlives) {
  test(`5.0 [MQTT-3.1.2-22] Keep Alive ${asked} of version ${version} with ${JSON.stringify(mqtt)} is ${effectiveSeconds}`, () => {
    const stage = new Stage({ mqtt });
    const client = stage.dial({ version, keepalive: asked });
    const packet = client.received.shift();
    assert.ok(packet?.cmd === "connack");
    assert.equal(packet.properties?.serverKeepAlive, told);
    if (effectiveSeconds === 0) {
      stage.advance(1e9);
      assert.equal(client.state, "open");
      return;
    }
    stage.advance(effectiveSeconds * 1000);
    client.send({ cmd: "pingreq" });
    assert.deepEqual(client.take(), ["PINGRESP"]);
    stage.advance(effectiveSeconds * 1500 - 1);
    assert.equal(client.state, "open");
    stage.advance(1);
    assert.equal(client.state, "ended");
    const reason = '{"reasonString":"no packet within one and a half times the Keep Alive"}';
    assert.deepEqual(client.take(), version === 5 ? [`DISCONNECT 8d ${reason}`] : []);
  });
}

const NEVER = 4_294_967_295;
const expiries: [StageMqtt, asked: number | undefined, told: number | undefined, effectiveSeconds: number][] = [
  [{}, undefined, undefined, 0],
  [{}, 60, undefined, 60],
  [{ sessionExpiry: 20 }, 60, 20, 20],
  [{ sessionExpiry: 20 }, undefined, 20, 20],
  [{ sessionExpiry: 0 }, 60, 0, 0],
  [{ sessionExpiryMax: 30 }, 60, 30, 30],
  [{ sessionExpiryMax: 30 }, NEVER, 30, 30],
  [{ sessionExpiryMax: 30 }, 20, undefined, 20],
  [{ sessionExpiryMax: 30, sessionExpiry: 60 }, 20, 30, 30],
  [{ sessionExpiryMax: NEVER }, NEVER, undefined, Number.POSITIVE_INFINITY],
  [{}, NEVER, 2_592_000, 2_592_000],
];
for (const [mqtt, asked, told, effectiveSeconds] of expiries) {
  test(`5.0 §3.1.2.11.2 Session Expiry ${asked} with ${JSON.stringify(mqtt)} is ${effectiveSeconds}`, () => {
    const stage = new Stage({ mqtt });
    const client = stage.dial({ properties: asked === undefined ? {} : { sessionExpiryInterval: asked } });
    const packet = client.received.shift();
    assert.ok(packet?.cmd === "connack");
    assert.equal(packet.properties?.sessionExpiryInterval, told);
    client.hangUp();
    if (effectiveSeconds === Number.POSITIVE_INFINITY) stage.advance(1e12);
    else if (effectiveSeconds > 0) stage.advance(effectiveSeconds * 1000 - 1);
    assert.equal(stage.broker.sessions.size, effectiveSeconds === 0 ? 0 : 1);
    stage.advance(1);
    assert.equal(stage.broker.sessions.size, effectiveSeconds === Number.POSITIVE_INFINITY ? 1 : 0);
  });
}

test("sessionExpiryMax: a 3.1.1 session without Clean Session ends after it, and one with Clean Session at once", () => {
  const stage = new Stage({ mqtt: { sessionExpiryMax: 30, sessionExpiry: 5 } });
  stage.connect("kept", { version: 4, clean: false }).hangUp();
  stage.connect("clean", { version: 4 }).hangUp();
  assert.deepEqual([...stage.broker.sessions.keys()], ["kept"]);
  stage.advance(29_999);
  assert.equal(stage.broker.sessions.size, 1);
  stage.advance(1);
  assert.equal(stage.broker.sessions.size, 0);
});

test("sessionExpiryMax caps what DISCONNECT asks for", () => {
  const stage = new Stage({ mqtt: { sessionExpiryMax: 30 } });
  stage.resume("a").disconnect(0, { sessionExpiryInterval: 100 });
  stage.advance(29_999);
  assert.equal(stage.broker.sessions.size, 1);
  stage.advance(1);
  assert.equal(stage.broker.sessions.size, 0);
});

test("messageExpiryMax sets and caps the life of messages, queued and retained", () => {
  const stage = new Stage({ mqtt: { messageExpiryMax: 10 } });
  const publisher = stage.connect("p");
  const subscriber = stage.resume("s").subscribed("#", 1);
  publisher.publish("none", "x");
  publisher.publish("less", "x", { properties: { messageExpiryInterval: 5 } });
  publisher.publish("more", "x", { properties: { messageExpiryInterval: 50 } });
  assert.deepEqual(subscriber.take(), [
    'PUBLISH none "x" {"messageExpiryInterval":10}',
    'PUBLISH less "x" {"messageExpiryInterval":5}',
    'PUBLISH more "x" {"messageExpiryInterval":10}',
  ]);
  subscriber.hangUp();
  publisher.publish("queued", "x", { qos: 1, retain: true });
  stage.advance(9_999);
  assert.equal(stage.broker.retained.get("queued")?.qos, 1);
  stage.advance(1);
  assert.equal(stage.broker.retained.get("queued"), undefined);
  assert.deepEqual(stage.resume("s").take(), []);
  assert.equal(stage.counters.droppedBy.expired, 1);
});
