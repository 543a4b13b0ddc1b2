/** MQTT-SN devices as one client of Mosquitto. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { SnType, TopicIdType } from "../../src/gateway/mqttsn/codec/types.ts";
import { UdpDevice } from "../gateway/mqttsn/udp-device.ts";
import {
  connected,
  joinDevice,
  OtherBroker,
  type Ours,
  publishSafely,
  startOurs,
  subscribe,
  until,
  watch,
} from "./kit.ts";

suite("through to another broker", { concurrency: 2 }, () => {
  test("MQTT 5.0", async (context) => {
    const [other, ours] = await join(context, 5);
    await context.test(TITLE, () => upwards(context, other, ours));
    await context.test(
      "what devices subscribe to comes from there: wildcards, retained values at once, and its removal",
      async () => {
        const there = await other.watch(undefined);
        await there.publish("set/pump", "7", 1, true);
        await there.publish("other/x", "never", 1, true);
        const device = await joinDevice(context, "pump", ours);
        device.subscribe("set/+");
        assert.deepEqual(await device.until('PUBLISH set/pump "7" qos1 #1'), [
          "SUBACK #1 qos1 code0",
          "REGISTER set/pump",
          'PUBLISH set/pump "7" qos1 #1',
        ]);
        await there.publish("set/valve", "open");
        assert.deepEqual(await device.until('PUBLISH set/valve "open" qos1 #2'), [
          "REGISTER set/valve",
          'PUBLISH set/valve "open" qos1 #2',
        ]);
        // Who comes later is served from here, with what is retained there now.
        await there.publish("set/pump", "8", 1, true);
        await device.until('PUBLISH set/pump "8" qos1 #3');
        const late = await joinDevice(context, "late", ours);
        late.subscribe("set/pump");
        assert.deepEqual(await late.until('PUBLISH set/pump "8" qos1 #1 retain'), [
          "SUBACK #1 qos1 code0",
          'PUBLISH set/pump "8" qos1 #1 retain',
        ]);
        await there.publish("set/pump", "", 1, true);
        assert.deepEqual(await late.until('PUBLISH set/pump "" qos1 #2'), ['PUBLISH set/pump "" qos1 #2']);
        const last = await joinDevice(context, "last", ours);
        await subscribe(last, "set/pump");
        await there.publish("set/pump", "9");
        assert.deepEqual(await last.until('PUBLISH set/pump "9" qos1 #1'), ['PUBLISH set/pump "9" qos1 #1']);
      },
    );

    await context.test(
      "other clients here see it below the mount point and nowhere else, and take no part in it",
      async () => {
        const { Publish } = SnType;
        const [all, below] = [await watch(context, ours.port, "+/+"), await watch(context, ours.port, "mqtt-sn/+")];
        const there = await other.watch("+");
        const device = await joinDevice(context, "reader", ours);
        await subscribe(device, "cmd");
        await until(() => other.lines(/^\d+: \tcmd \(QoS 1\)/).length > 0, "SUBSCRIBE");
        await publishSafely(device, "t", "up", 1);
        assert.deepEqual(await there.until(1), ["t up qos1"]);
        await there.publish("cmd", "down");
        await device.until('PUBLISH cmd "down" qos1 #1');
        assert.deepEqual(await below.until(2), ["mqtt-sn/t up qos1", "mqtt-sn/cmd down qos1"]);
        assert.deepEqual(all.heard.splice(0), ["mqtt-sn/t up qos1", "mqtt-sn/cmd down qos1"]);
        // From one who never connects.
        const stranger = await UdpDevice.open(context, "stranger", ours.snPort);
        const short = { topicIdType: TopicIdType.Short, topicId: 0x6162, messageId: 0, data: Buffer.from("minus one") };
        stranger.send({ type: Publish, dup: false, qos: -1, retain: false, ...short });
        assert.deepEqual(await below.until(1), ["mqtt-sn/ab minus one"]);
        await until(() => there.heard.includes("ab minus one"), "QoS -1 there");
        there.heard.splice(there.heard.indexOf("ab minus one"), 1);
        all.heard.length = 0;
        // What others subscribe to below it is not fetched, what they publish elsewhere does not leave.
        await all.publish("local/x", "stays");
        await all.publish("mqtt-sn/say", "goes");
        await until(() => there.heard.length === 2, "two messages");
        assert.deepEqual(there.heard, ["cmd down qos1", "say goes qos1"]);
        assert.equal(other.lines(/^\d+: \t# \(QoS 1\)/).length, 0);
      },
    );

    await context.test(
      "a filter that nobody has any more is dropped there, and what was retained here for it is gone",
      async () => {
        const there = await other.watch(undefined);
        await there.publish("drop/a", "1", 1, true);
        const [one, two] = [await joinDevice(context, "three", ours), await joinDevice(context, "four", ours)];
        one.subscribe("drop/a");
        await one.until('PUBLISH drop/a "1" qos1 #1');
        two.subscribe("drop/a");
        await two.until('PUBLISH drop/a "1" qos1 #1 retain');
        one.send({ type: SnType.Unsubscribe, messageId: 20, topic: { topicIdType: 0, name: "drop/a" } });
        await one.until("UNSUBACK #20");
        await there.publish("drop/a", "2", 1, true);
        await two.until('PUBLISH drop/a "2" qos1 #2');
        assert.equal(other.lines(/Received UNSUBSCRIBE/).length, 0);
        two.connect({ cleanSession: true });
        await two.until("CONNACK code0");
        await until(() => other.lines(/Received UNSUBSCRIBE from mqtt-sn-/).length === 1, "UNSUBSCRIBE");
        const local = await watch(context, ours.port, "mqtt-sn/#");
        await until(async () => {
          const late = await watch(context, ours.port, "mqtt-sn/drop/a");
          await late.publish("mqtt-sn/drop/a", "end");
          return (await late.until(1))[0] === "mqtt-sn/drop/a end qos1";
        }, "no copy");
        assert.equal(local.heard.includes("mqtt-sn/drop/a 1 qos1 retain"), false);
      },
    );

    await context.test("nobody else comes in under the identifier of our own session", async () => {
      const clientId = "mqtt-sn-upstream";
      for (const protocolVersion of [5, 4] as const) {
        await assert.rejects(
          watch(context, ours.port, undefined, { clientId, clean: false, protocolVersion }),
          /Connection refused: (?:Client Identifier not valid|Identifier rejected)/,
        );
      }
      const device = await UdpDevice.open(context, clientId, ours.snPort);
      device.connect();
      assert.deepEqual(await device.until("CONNACK code3"), ["CONNACK code3"]);
    });
  });

  test("MQTT 3.1.1, as a bridge", async (context) => {
    const [other, ours] = await join(context, 4);
    await context.test(TITLE, () => upwards(context, other, ours));
  });
});

const TITLE = "what devices publish arrives there with its QoS and Retain, once, and from one client";

async function join(context: TestContext, version: 4 | 5): Promise<[OtherBroker, Ours]> {
  const other = await OtherBroker.start(context);
  const ours = await startOurs(context, other.url, [`--mqtt-sn-upstream-version=${version}`]);
  await connected(ours);
  return [other, ours];
}

async function upwards(context: TestContext, other: OtherBroker, ours: Ours): Promise<void> {
  const there = await other.watch("#");
  const [one, two] = [await joinDevice(context, "one", ours), await joinDevice(context, "two", ours)];
  for (const [device, topic] of [
    [one, "plant/a"],
    [two, "plant/b"],
  ] as const) {
    device.register(topic);
    await device.until("REGACK #1 code0");
  }
  one.publish("plant/a", "zero");
  assert.deepEqual(await there.until(1), ["plant/a zero"]);
  one.publish("plant/a", "one", { qos: 1, messageId: 7 });
  await one.until("PUBACK #7 code0");
  two.publish("plant/b", "two", { qos: 2, messageId: 8, retain: true });
  await two.until("PUBREC #8");
  assert.deepEqual(await there.until(2), ["plant/a one qos1", "plant/b two qos2 retain"]);
  // Nothing comes back as an echo to who subscribes to what is published here.
  one.subscribe("plant/#");
  assert.deepEqual(await one.until('PUBLISH plant/b "two" qos1 #1 retain'), [
    "SUBACK #2 qos1 code0",
    "REGISTER plant/b",
    'PUBLISH plant/b "two" qos1 #1 retain',
  ]);
  await until(() => other.lines(/^\d+: \tplant\/# \(QoS 1\)/).length > 0, "SUBSCRIBE");
  two.publish("plant/b", "three", { qos: 1, messageId: 9 });
  await two.until("PUBACK #9 code0");
  await there.until(1);
  await there.publish("plant/b", "four");
  // Nor does the retained message come again that the subscription there was answered with.
  assert.deepEqual(await one.until('PUBLISH plant/b "four" qos1 #3'), [
    'PUBLISH plant/b "three" qos1 #2',
    'PUBLISH plant/b "four" qos1 #3',
  ]);
  const clients = new Set(other.lines(/New (?:client|bridge) connected/).map((line) => /as (\S+)/.exec(line)?.[1]));
  assert.equal([...clients].filter((name) => name?.startsWith("mqtt-sn-")).length, 1);
  assert.equal(clients.size, 2);
}
