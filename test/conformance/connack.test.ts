import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Refusal } from "../../src/core/hooks.ts";
import { startBroker, type TestBrokerOptions } from "../support/broker.ts";
import { type RawClient, unique } from "../support/raw-client.ts";

const broker = await startBroker();
after(() => broker.stop());

for (const version of [4, 3] as const) {
  const ids = version === 4 ? "3.1.1 [MQTT-3.1.4-4] [MQTT-3.2.0-1] [MQTT-3.2.2-1]" : "3.1 §3.2";
  test(`${ids} answers Clean Session 1 with exactly one accepting CONNACK`, async () => {
    const client = await broker.dial({ version });
    await client.expectBytes("20 02 00 00");
    await client.expectNothing();
    await client.disconnect();
  });
}

test("5.0 [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.2-1] [MQTT-3.2.2-2] answers Clean Start 1 with one CONNACK, flags 00", async () => {
  const client = await broker.dial();
  const connack = await client.expect("connack", { reasonCode: 0, sessionPresent: false });
  const flagsAt = connack.bytes[1]! < 0x80 ? 2 : 3;
  assert.equal(connack.bytes[flagsAt], 0);
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-3.2.2-1] [MQTT-3.2.2-3] sets only bit 0 of the flags when a session is present", async () => {
  const clientId = unique("present");
  const options = { clientId, clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await broker.connect(options);
  assert.equal(first.connack.sessionPresent, false);
  await first.disconnect();
  const second = await broker.connect(options);
  assert.equal(second.connack.bytes[2], 1);
  await second.disconnect(0, { sessionExpiryInterval: 0 });
});

test("5.0 [MQTT-3.2.2-2] answers Session Present 0 to Clean Start 1 although there was a session", async () => {
  const clientId = unique("present");
  await (await broker.connect({ clientId, properties: { sessionExpiryInterval: 100 } })).disconnect();
  const second = await broker.connect({ clientId, clean: true });
  assert.equal(second.connack.sessionPresent, false);
  await second.disconnect();
});

test("3.1.1 [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] tells by Session Present whether there was a session", async () => {
  const clientId = unique("present");
  const converse = async (clean: boolean, bytes: string) => {
    const client = await broker.dial({ version: 4, clientId, clean });
    await client.expectBytes(bytes);
    await client.disconnect();
  };
  await converse(false, "20 02 00 00");
  await converse(false, "20 02 01 00");
  await converse(true, "20 02 00 00");
  await converse(false, "20 02 00 00");
});

test("5.0 [MQTT-3.2.2-9] has no Maximum QoS, Retain Available or other limits that are the default", async () => {
  const { connack } = await broker.connect();
  for (const name of [
    "maximumQoS",
    "retainAvailable",
    "wildcardSubscriptionAvailable",
    "subscriptionIdentifiersAvailable",
    "sharedSubscriptionAvailable",
    "assignedClientIdentifier",
    "serverKeepAlive",
    "authenticationMethod",
    "authenticationData",
  ]) {
    assert.equal(connack.properties[name], undefined, name);
  }
});

test("5.0 [MQTT-3.1.2-28] returns Response Information to nobody who did not ask", async () => {
  const silent = await broker.connect({ properties: { requestResponseInformation: false } });
  assert.equal(silent.connack.properties.responseInformation, undefined);
  const absent = await broker.connect();
  assert.equal(absent.connack.properties.responseInformation, undefined);
  const asking = await broker.connect({ properties: { requestResponseInformation: true } });
  assert.match(asking.connack.properties.responseInformation as string, /^res_[0-9a-f]{32}$/);
});

test("5.0 §4.10 lets only the owner subscribe to its Response Information, and everybody publish there", async () => {
  const owner = await broker.connect({ properties: { requestResponseInformation: true } });
  const other = await broker.connect();
  const topic = owner.connack.properties.responseInformation as string;
  assert.deepEqual(await owner.subscribe(`${topic}/#`), [0]);
  assert.deepEqual(await other.subscribe(`${topic}/#`), [0x87]);
  await other.publish(`${topic}/1`, "answer", { qos: 1 });
  await owner.expect("publish", { topic: `${topic}/1`, payload: "answer" });
});

/** Runs a conversation with a broker of other options. */
async function withOptions(
  options: TestBrokerOptions,
  converse: (other: Awaited<ReturnType<typeof startBroker>>) => Promise<void>,
) {
  const other = await startBroker(options);
  try {
    await converse(other);
  } finally {
    await other.stop();
  }
}

for (const maximumQos of [0, 1] as const) {
  test(`5.0 [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-11] [MQTT-3.2.2-12] keeps to Maximum QoS ${maximumQos}`, async () => {
    await withOptions({ mqtt: { maximumQos } }, async (other) => {
      const client = await other.connect();
      assert.equal(client.connack.properties.maximumQoS, maximumQos);
      for (const qos of [0, 1, 2] as const) {
        assert.deepEqual(await client.subscribe(`t/${qos}`, { qos }), [Math.min(qos, maximumQos)]);
      }
      client.sendPublish("t/2", "x", { qos: 2 });
      await client.expectDisconnect(0x9b);
      const will = await other.dial({ will: { topic: "w", payload: "x", qos: 2 } });
      await will.expectConnackRefusal(0x9b);
      const allowed = await other.connect({ will: { topic: "w", payload: "x", qos: maximumQos } });
      await allowed.disconnect();
    });
  });

  test(`3.1.1 [MQTT-4.8.0-1] [MQTT-3.8.4-6] grants at most ${maximumQos} and closes on a higher PUBLISH where that is the maximum`, async () => {
    await withOptions({ mqtt: { maximumQos } }, async (other) => {
      const client = await other.connect({ version: 4 });
      assert.deepEqual(await client.subscribe("t", { qos: 2 }), [maximumQos]);
      client.sendPublish("t", "x", { qos: 2 });
      await client.expectClose();
    });
  });
}

test("5.0 [MQTT-3.2.2-13] [MQTT-3.2.2-14] refuses retained messages and wills where Retain is not available", async () => {
  await withOptions({ mqtt: { retain: false } }, async (other) => {
    const client = await other.connect();
    assert.equal(client.connack.properties.retainAvailable, false);
    const will = await other.dial({ will: { topic: "w", payload: "x", retain: true } });
    await will.expectConnackRefusal(0x9a);
    assert.equal(await client.publish("t", "x", { qos: 1, retain: true }), 0x83);
    assert.equal(await client.publish("t", "x", { qos: 2, retain: true }), 0x83);
    client.sendPublish("t", "x", { retain: true });
    await client.expectDisconnect(0x9a);
    const plainWill = await other.connect({ will: { topic: "w", payload: "x" } });
    await plainWill.disconnect();
  });
});

test("5.0 [MQTT-3.2.2-15] [MQTT-4.13.1-1] answers a packet above its Maximum Packet Size with DISCONNECT 0x95", async () => {
  await withOptions({ mqtt: { maximumPacketSize: 1_000 } }, async (other) => {
    const client = await other.connect();
    assert.equal(client.connack.properties.maximumPacketSize, 1_000);
    // Fixed header 3, topic 3, Property Length 1.
    await client.publish("t", "x".repeat(1_000 - 7));
    client.sendPublish("t", "x".repeat(1_000 - 6));
    await client.expectDisconnect(0x95);
    const four = await other.connect({ version: 4 });
    four.sendPublish("t", "x".repeat(1_000));
    await four.expectClose();
  });
});

test("5.0 [MQTT-3.2.2-22] announces other capabilities that are off, and keeps to them", async () => {
  const mqtt = { wildcards: false, subscriptionIdentifiers: false, sharedSubscriptions: false };
  await withOptions({ mqtt }, async (other) => {
    const client = await other.connect();
    assert.equal(client.connack.properties.wildcardSubscriptionAvailable, false);
    assert.equal(client.connack.properties.subscriptionIdentifiersAvailable, false);
    assert.equal(client.connack.properties.sharedSubscriptionAvailable, false);
    assert.deepEqual(await client.subscribe("a/+"), [0xa2]);
    assert.deepEqual(await client.subscribe("#"), [0xa2]);
    assert.deepEqual(await client.subscribe("$share/g/t"), [0x9e]);
    assert.deepEqual(await client.subscribe("t", { properties: { subscriptionIdentifier: 7 } }), [0xa1]);
    assert.deepEqual(await client.subscribe("t"), [0]);
  });
});

test("3.1.1 [MQTT-3.8.3-2] refuses filters with wildcards where they are off", async () => {
  await withOptions({ mqtt: { wildcards: false } }, async (other) => {
    const client = await other.connect({ version: 4 });
    assert.deepEqual(await client.subscribe([{ topic: "a/#" }, { topic: "+" }, { topic: "a" }]), [0x80, 0x80, 0]);
  });
});

test("5.0 [MQTT-3.2.2-22] counts with the client's Keep Alive when it sends no Server Keep Alive", async () => {
  const client = await broker.connect({ keepalive: 2 });
  assert.equal(client.connack.properties.serverKeepAlive, undefined);
  await broker.advance(2_900);
  await client.expectNothing();
  await broker.advance(3_100);
  await client.expectDisconnect(0x8d);
});

test("5.0 [MQTT-3.1.2-22] counts with the Server Keep Alive that it sent", async () => {
  await withOptions({ mqtt: { serverKeepAlive: 4 } }, async (other) => {
    const client = await other.connect({ keepalive: 2 });
    assert.equal(client.connack.properties.serverKeepAlive, 4);
    await other.advance(5_900);
    await client.expectNothing();
    await other.advance(6_100);
    await client.expectDisconnect(0x8d);
    const four = await other.connect({ version: 4, keepalive: 2 });
    await other.advance(3_100);
    await four.expectClose();
  });
});

test("5.0 §3.2.2.3.2 tells the Session Expiry Interval where it is not the client's", async () => {
  await withOptions({ mqtt: { sessionExpiryMax: 60 } }, async (other) => {
    const client = await other.connect({ properties: { sessionExpiryInterval: 3_600 } });
    assert.equal(client.connack.properties.sessionExpiryInterval, 60);
    const within = await other.connect({ properties: { sessionExpiryInterval: 30 } });
    assert.equal(within.connack.properties.sessionExpiryInterval, undefined);
  });
});

const LONG = "a reason of some length ".repeat(20);

test("5.0 [MQTT-3.2.2-19] leaves the Reason String out of a CONNACK that would be too large", async () => {
  const hooks = [{ name: "wordy", onConnect: () => new Refusal(0x88, LONG) }];
  await withOptions({ hooks }, async (other) => {
    const free = await (await other.dial()).expectConnackRefusal(0x88);
    assert.equal(free.properties.reasonString, LONG);
    const tight = await (await other.dial({ properties: { maximumPacketSize: 100 } })).expectConnackRefusal(0x88);
    assert.deepEqual(tight.properties, {});
  });
});

test("5.0 [MQTT-3.2.2-20] leaves User Properties out of a CONNACK that would be too large", async () => {
  const hooks = [
    {
      name: "wordy",
      onPacketEncode: (_client: unknown, packet: { type: number }) =>
        packet.type === 2 ? ({ ...packet, properties: { userProperties: [["k", LONG]] } } as never) : undefined,
    },
  ];
  await withOptions({ hooks }, async (other) => {
    const free: RawClient = await other.connect();
    assert.deepEqual(free.connack.properties, { userProperties: { k: LONG } });
    const tight = await other.connect({ properties: { maximumPacketSize: 100 } });
    assert.deepEqual(tight.connack.properties, {});
  });
});
