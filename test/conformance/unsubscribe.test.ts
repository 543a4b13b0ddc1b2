import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { field, packet, properties } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());
const publisher = await broker.connect();

const VERSIONS = [
  {
    version: 5,
    unsuback: "5.0 [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6]",
    stop: "5.0 [MQTT-3.10.4-1] [MQTT-3.10.4-2]",
    exact: "5.0 [MQTT-3.10.4-1]",
    unknown: "5.0 [MQTT-3.10.4-5] [MQTT-3.11.3-2]",
    several: "5.0 [MQTT-3.10.4-6] [MQTT-3.11.3-1]",
    complete: "5.0 [MQTT-3.10.4-3]",
    none: "5.0 [MQTT-3.10.3-2]",
  },
  {
    version: 4,
    unsuback: "3.1.1 [MQTT-3.10.4-4] [MQTT-2.3.1-7]",
    stop: "3.1.1 [MQTT-3.10.4-1] [MQTT-3.10.4-2]",
    exact: "3.1.1 [MQTT-3.10.4-1]",
    unknown: "3.1.1 [MQTT-3.10.4-5]",
    several: "3.1.1 [MQTT-3.10.4-6]",
    complete: "3.1.1 [MQTT-3.10.4-3]",
    none: "3.1.1 [MQTT-3.10.3-2]",
  },
] as const;

for (const ids of VERSIONS) {
  const { version } = ids;
  const none = version === 5 ? "00" : "";
  const code = (value: string) => (version === 5 ? value : "");

  test(`${ids.unsuback} answers with UNSUBACK of the same identifier`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await client.subscribe(topic);
    client.sendBytes(packet("a2", "fffe", none, field(topic)));
    await client.expectBytes(packet("b0", "fffe", none, code("00")));
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.unknown} answers although there was no such subscription`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(packet("a2", "0001", none, field(unique("t"))));
    await client.expectBytes(packet("b0", "0001", none, code("11")));
    await client.disconnect();
  });

  test(`${ids.stop} sends nothing more for a filter that is gone`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await client.subscribe([{ topic }, { topic: `${topic}/+` }]);
    await client.unsubscribe(topic, `${topic}/+`);
    await publisher.publish(topic, "x", { qos: 1 });
    await publisher.publish(`${topic}/a`, "x", { qos: 1 });
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.stop} goes on sending what another filter matches`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    await client.subscribe([{ topic }, { topic: `${topic}/#` }]);
    await client.unsubscribe(`${topic}/#`);
    await publisher.publish(topic, "x");
    await client.expect("publish", { topic });
    await publisher.publish(`${topic}/a`, "x");
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids.exact} compares character by character: wildcards match nothing here, nor do other cases`, async () => {
    const client = await broker.connect({ version });
    const root = unique("t");
    await client.subscribe([{ topic: `${root}/a` }, { topic: `${root}/+/b` }]);
    const codes = await client.unsubscribe(`${root}/+`, `${root}/#`, `${root}/A`, `${root}/x/b`, `${root}/a/`);
    if (version === 5) assert.deepEqual(codes, [0x11, 0x11, 0x11, 0x11, 0x11]);
    await publisher.publish(`${root}/a`, "1");
    await publisher.publish(`${root}/x/b`, "2");
    await client.expect("publish", { payload: "1" });
    await client.expect("publish", { payload: "2" });
    await client.disconnect();
  });

  test(`${ids.several} answers several filters by one UNSUBACK`, async () => {
    const client = await broker.connect({ version });
    const root = unique("t");
    await client.subscribe([{ topic: `${root}/a` }, { topic: `${root}/b` }, { topic: `${root}/c` }]);
    client.sendBytes(
      packet("a2", "0009", none, field(`${root}/a`), field(`${root}/x`), field(`${root}/b`), field(`${root}/a`)),
    );
    await client.expectBytes(packet("b0", "0009", none, code("00110011")));
    await client.expectNothing();
    for (const name of ["a", "b", "c"]) await publisher.publish(`${root}/${name}`, name);
    await client.expect("publish", { payload: "c" });
    await client.expectNothing();
    await client.disconnect();
  });

  for (const qos of [1, 2] as const) {
    test(`${ids.complete} completes a QoS ${qos} delivery that had begun`, async () => {
      const options = { version, clientId: unique("s"), clean: false, properties: { sessionExpiryInterval: 100 } };
      const client = await broker.connect(options);
      const topic = unique("t");
      await client.subscribe(topic, { qos });
      await publisher.publish(topic, "begun", { qos });
      const { messageId } = await client.expect("publish", { payload: "begun", qos });
      await client.unsubscribe(topic);
      await client.drop();
      const again = await broker.connect(options);
      await again.expect("publish", { payload: "begun", qos, dup: true, messageId });
      if (qos === 2) {
        again.send({ cmd: "pubrec", messageId });
        await again.expect("pubrel", { messageId });
        again.send({ cmd: "pubcomp", messageId });
      } else again.send({ cmd: "puback", messageId });
      await again.expectNothing();
      await again.disconnect();
    });
  }

  test(`${ids.none} refuses UNSUBSCRIBE without a filter`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(packet("a2", "0001", none));
    await client.expectRefusal(0x81, 0x82);
  });
}

test("5.0 [MQTT-3.11.3-2] unsubscribes from a share by its whole filter alone", async () => {
  const client = await broker.connect();
  const topic = unique("t");
  await client.subscribe(`$share/g/${topic}`);
  assert.deepEqual(await client.unsubscribe(topic, `$share/h/${topic}`, `$share/g/${topic}`), [0x11, 0x11, 0]);
  await publisher.publish(topic, "x", { qos: 1 });
  await client.expectNothing();
  await client.disconnect();
});

for (const { name, list } of [
  { name: "a Subscription Identifier", list: "0b 01" },
  { name: "a property that breaks off", list: "26 0001 61" },
]) {
  test(`5.0 [MQTT-4.13.1-1] refuses UNSUBSCRIBE with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("a2", "0001", properties(list), field("t")));
    await client.expectDisconnect(0x81, 0x82);
  });
}
