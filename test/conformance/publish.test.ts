import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Refusal } from "../../src/core/hooks.ts";
import { startBroker } from "../support/broker.ts";
import { type PublishOptions, type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, properties } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

const publisher = await broker.connect();
const publisher4 = await broker.connect({ version: 4 });

/** A subscriber of its own topic, for one test. */
async function subscribed(
  version: 3 | 4 | 5 = 5,
  qos: 0 | 1 | 2 = 2,
): Promise<{ topic: string; subscriber: RawClient }> {
  const topic = unique("t");
  const subscriber = await broker.connect({ version });
  assert.deepEqual(await subscriber.subscribe(topic, { qos }), [qos]);
  return { topic, subscriber };
}

for (const { version, ids, by } of [
  { version: 5, ids: "5.0 [MQTT-2.2.1-2] [MQTT-4.3.1-1]", by: publisher },
  { version: 4, ids: "3.1.1 [MQTT-2.3.1-5] [MQTT-4.3.1-1]", by: publisher4 },
] as const) {
  test(`${ids} forwards QoS 0 without identifier and with DUP 0`, async () => {
    const { topic, subscriber } = await subscribed(version);
    await by.publish(topic, "hello");
    await subscriber.expectBytes(packet("30", field(topic), version === 5 ? "00" : "", Buffer.from("hello")));
    await subscriber.disconnect();
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.1-2]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.1-2]" },
] as const) {
  test(`${ids} refuses QoS 0 with DUP 1`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(packet("38", field("t"), version === 5 ? "00" : ""));
    await client.expectRefusal(0x81, 0x82);
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.1-4]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.1-4]" },
] as const) {
  for (const first of ["36", "37", "3e"]) {
    test(`${ids} refuses QoS 3 in the first byte ${first}`, async () => {
      const client = await broker.connect({ version });
      client.sendBytes(packet(first, field("t"), "0001", version === 5 ? "00" : ""));
      await client.expectRefusal(0x81);
    });
  }
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-2.2.1-3]" },
  { version: 4, ids: "3.1.1 [MQTT-2.3.1-1]" },
] as const) {
  const none = version === 5 ? "00" : "";
  for (const [name, bytes] of [
    ["QoS 1 PUBLISH", packet("32", field("t"), "0000", none)],
    ["QoS 2 PUBLISH", packet("34", field("t"), "0000", none)],
    ["SUBSCRIBE", packet("82", "0000", none, field("t"), "00")],
    ["UNSUBSCRIBE", packet("a2", "0000", none, field("t"))],
  ] as const) {
    test(`${ids} refuses Packet Identifier 0 in ${name}`, async () => {
      const client = await broker.connect({ version });
      client.sendBytes(bytes);
      // 5.0 §2.2.1 makes it an error without saying which.
      await client.expectRefusal(0x81, 0x82);
    });
  }
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.2-2] [MQTT-4.7.0-1]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.2-2] [MQTT-4.7.1-1]" },
] as const) {
  for (const topic of ["a/+", "+", "#", "a/#", "a+b", "a#"]) {
    test(`${ids} refuses the Topic Name ${topic}`, async () => {
      const watcher = await broker.connect();
      await watcher.subscribe("a/#");
      const client = await broker.connect({ version });
      client.sendPublish(topic, "x", { qos: 1 });
      await client.expectRefusal(0x81, 0x82, 0x90);
      await watcher.expectNothing();
      await watcher.disconnect();
    });
  }
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-4.7.3-1]" },
  { version: 4, ids: "3.1.1 [MQTT-4.7.3-1]" },
] as const) {
  test(`${ids} refuses an empty Topic Name`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(packet("30", field(""), version === 5 ? "00" : "", "78"));
    // 5.0 §3.3.2.1: without a Topic Alias it is a Protocol Error.
    await client.expectRefusal(0x82);
  });

  test(`${ids} carries a Topic Name of one character, and one of 65,535 bytes`, async () => {
    const client = await broker.connect({ version });
    const long = `${unique("t")}/`.padEnd(65_535, "x");
    assert.deepEqual(await client.subscribe([{ topic: "é" }, { topic: long }]), [0, 0]);
    await client.publish("é", "1");
    await client.publish(long, "2");
    await client.expect("publish", { topic: "é", payload: "1" });
    await client.expect("publish", { topic: long, payload: "2" });
    await client.disconnect();
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.4-1]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.4-1]" },
  { version: 3, ids: "3.1 §3.3" },
] as const) {
  test(`${ids} answers QoS 0 with nothing, QoS 1 with PUBACK, QoS 2 with PUBREC`, async () => {
    const client = await broker.connect({ version });
    const { topic, subscriber } = await subscribed();
    client.sendPublish(topic, "0", { qos: 0 });
    await client.expectNothing();
    client.sendPublish(topic, "1", { qos: 1, messageId: 0x1234 });
    await client.expectBytes("40 02 1234");
    client.sendPublish(topic, "2", { qos: 2, messageId: 0xabcd });
    await client.expectBytes("50 02 abcd");
    client.send({ cmd: "pubrel", messageId: 0xabcd });
    await client.expectBytes("70 02 abcd");
    await client.expectNothing();
    for (const payload of ["0", "1", "2"]) await subscriber.expect("publish", { payload, qos: Number(payload) });
    await client.disconnect();
    await subscriber.disconnect();
  });
}

test("5.0 [MQTT-3.4.2-1] [MQTT-3.5.2-1] says 0x10 when nobody subscribes, and 0x00 when somebody does", async () => {
  const { topic, subscriber } = await subscribed();
  assert.equal(await publisher.publish(unique("nobody"), "x", { qos: 1 }), 0x10);
  assert.equal(await publisher.publish(unique("nobody"), "x", { qos: 2 }), 0x10);
  assert.equal(await publisher.publish(topic, "x", { qos: 1 }), 0);
  assert.equal(await publisher.publish(topic, "x", { qos: 2 }), 0);
  await subscriber.disconnect();
});

test("5.0 §3.3.2.3.2 refuses with 0x99 a payload that is not the UTF-8 it claims to be", async () => {
  const { topic, subscriber } = await subscribed();
  const claim: PublishOptions = { qos: 1, properties: { payloadFormatIndicator: true } };
  assert.equal(await publisher.publish(topic, Buffer.from("ff", "hex"), claim), 0x99);
  assert.equal(await publisher.publish(topic, "text", claim), 0);
  await subscriber.expect("publish", { payload: "text" });
  await subscriber.expectNothing();
  await subscriber.disconnect();
});

/** What a message carries must come out as it went in, by any QoS. */
const CARRIED: { name: string; ids: string; list: Record<string, unknown> }[] = [
  { name: "Payload Format Indicator 1", ids: "5.0 [MQTT-3.3.2-4]", list: { payloadFormatIndicator: true } },
  { name: "Payload Format Indicator 0", ids: "5.0 [MQTT-3.3.2-4]", list: { payloadFormatIndicator: false } },
  { name: "a Response Topic", ids: "5.0 [MQTT-3.3.2-15]", list: { responseTopic: "answer/here" } },
  { name: "Correlation Data", ids: "5.0 [MQTT-3.3.2-16]", list: { correlationData: Buffer.from("00ff80c3", "hex") } },
  { name: "empty Correlation Data", ids: "5.0 [MQTT-3.3.2-16]", list: { correlationData: Buffer.alloc(0) } },
  { name: "a Content Type", ids: "5.0 [MQTT-3.3.2-20]", list: { contentType: "text/plain; charset=utf-8" } },
  { name: "a User Property", ids: "5.0 [MQTT-3.3.2-17]", list: { userProperties: { name: "value" } } },
  { name: "empty names and values", ids: "5.0 [MQTT-3.3.2-17]", list: { userProperties: { "": "" } } },
  {
    name: "everything at once",
    ids: "5.0 [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]",
    list: {
      payloadFormatIndicator: true,
      contentType: "json",
      responseTopic: "r",
      correlationData: Buffer.from("id"),
      userProperties: { a: ["1", "2"], b: "3" },
    },
  },
];

for (const { name, ids, list } of CARRIED) {
  test(`${ids} forwards ${name} unaltered`, async () => {
    for (const qos of [0, 1, 2] as const) {
      const { topic, subscriber } = await subscribed();
      await publisher.publish(topic, "p", { qos, properties: list });
      const message = await subscriber.expect("publish", { topic, payload: "p", qos });
      assert.deepEqual(message.properties, list);
      await subscriber.disconnect();
    }
  });
}

test("5.0 [MQTT-3.3.2-18] keeps the order of User Properties, also of those with the same name", async () => {
  const { topic, subscriber } = await subscribed();
  const pairs = ["b:1", "a:2", "b:3", "a:1", "b:1"].map((pair) => pair.split(":") as [string, string]);
  const list = properties(...pairs.flatMap(([name, value]) => ["26", field(name), field(value)]));
  publisher.sendBytes(packet("30", field(topic), list, "70"));
  await subscriber.expectBytes(packet("30", field(topic), list, "70"));
  await subscriber.disconnect();
});

test("5.0 [MQTT-2.2.2-1] forwards to 3.1.1 what has properties, without them", async () => {
  const { topic, subscriber } = await subscribed(4);
  await publisher.publish(topic, "p", { properties: { contentType: "x", userProperties: { a: "b" } } });
  await subscriber.expectBytes(packet("30", field(topic), "70"));
  await publisher4.publish(topic, "q");
  await subscriber.expectBytes(packet("30", field(topic), "71"));
  await subscriber.disconnect();
});

test("5.0 [MQTT-3.3.4-6] refuses a Subscription Identifier in a client's PUBLISH", async () => {
  const { topic, subscriber } = await subscribed();
  const client = await broker.connect();
  client.sendBytes(packet("30", field(topic), properties("0b 01"), "78"));
  await client.expectDisconnect(0x82);
  await subscriber.expectNothing();
  await subscriber.disconnect();
});

for (const responseTopic of ["a/+", "#", "a/#"]) {
  test(`5.0 [MQTT-3.3.2-14] refuses the Response Topic ${responseTopic}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("30", field("t"), properties("08", field(responseTopic)), "78"));
    await client.expectDisconnect(0x81, 0x82, 0x90);
  });
}

const BAD_PROPERTIES = [
  { name: "Topic Alias twice", list: "23 0001 23 0001", code: 0x82 },
  { name: "Payload Format Indicator twice", list: "01 01 01 01", code: 0x82 },
  { name: "Payload Format Indicator 2", list: "01 02", code: 0x82 },
  { name: "Message Expiry Interval twice", list: "02 00000001 02 00000001", code: 0x82 },
  { name: "Content Type twice", list: "03 0001 61 03 0001 61", code: 0x82 },
  { name: "Response Topic twice", list: "08 0001 61 08 0001 61", code: 0x82 },
  { name: "Correlation Data twice", list: "09 0001 61 09 0001 61", code: 0x82 },
  { name: "a property of CONNECT", list: "11 00000001", code: 0x81 },
  { name: "a property that exists nowhere", list: "0a 01", code: 0x81 },
  { name: "a property that breaks off", list: "02 0000", code: 0x81 },
];

for (const { name, list, code } of BAD_PROPERTIES) {
  test(`5.0 [MQTT-4.13.1-1] refuses PUBLISH with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("30", field("t"), properties(list), "78"));
    await client.expectDisconnect(code);
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1]" },
] as const) {
  test(`${ids} sends DUP 0 although the message came with DUP 1`, async () => {
    const { topic, subscriber } = await subscribed(version);
    const client = await broker.connect({ version });
    await client.publish(topic, "1", { qos: 1, dup: true });
    await client.publish(topic, "2", { qos: 2, dup: true });
    await subscriber.expect("publish", { payload: "1", qos: 1, dup: false });
    await subscriber.expect("publish", { payload: "2", qos: 2, dup: false });
    await client.disconnect();
    await subscriber.disconnect();
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.3.2-3]" },
  { version: 4, ids: "3.1.1 [MQTT-3.3.2-3]" },
] as const) {
  test(`${ids} gives each message to those alone whose filters match its name`, async () => {
    const root = unique("t");
    const filters = ["#", "a", "a/+", "+/b", "a/b", "a/b/#", "b"].map((filter) => `${root}/${filter}`);
    const clients = new Map<string, RawClient>();
    for (const filter of filters) {
      const client = await broker.connect({ version });
      await client.subscribe(filter);
      clients.set(filter, client);
    }
    const by = version === 5 ? publisher : publisher4;
    await by.publish(`${root}/a/b`, "x");
    for (const [filter, client] of clients) {
      const matches = !filter.endsWith("/a") && !filter.endsWith(`${root}/b`);
      if (matches) await client.expect("publish", { topic: `${root}/a/b`, payload: "x" });
      await client.expectNothing();
      await client.disconnect();
    }
  });
}

test("3.1.1 [MQTT-3.3.5-2] acknowledges a PUBLISH that is not authorized, and gives it to nobody", async () => {
  const guarded = await startBroker({
    hooks: [{ name: "guard", onACLCheck: (_client, topic, write) => !(write && topic.startsWith("secret")) }],
  });
  try {
    const subscriber = await guarded.connect();
    await subscriber.subscribe("#");
    const four = await guarded.connect({ version: 4 });
    four.sendPublish("secret/1", "x");
    four.sendPublish("secret/1", "x", { qos: 1, messageId: 1 });
    await four.expectBytes("40 02 0001");
    four.sendPublish("secret/1", "x", { qos: 2, messageId: 2 });
    await four.expectBytes("50 02 0002");
    four.sendBytes("62 02 0002");
    await four.expectBytes("70 02 0002");
    const five = await guarded.connect();
    assert.equal(await five.publish("secret/1", "x", { qos: 1 }), 0x87);
    assert.equal(await five.publish("secret/1", "x", { qos: 2 }), 0x87);
    await subscriber.expectNothing();
    await five.publish("open", "x");
    await subscriber.expect("publish", { topic: "open" });
  } finally {
    await guarded.stop();
  }
});

test("clients cannot publish to $SYS, and can to other topics that begin with $", async () => {
  const client = await broker.connect();
  await client.subscribe("$other/t");
  assert.equal(await client.publish("$SYS/broker/version", "x", { qos: 1 }), 0x87);
  assert.equal(await client.publish("$other/t", "x", { qos: 1 }), 0);
  await client.expect("publish", { topic: "$other/t" });
  await client.disconnect();
});

const LONG = "a reason of some length ".repeat(20);

for (const { qos, ack, ids } of [
  { qos: 1, ack: "puback", ids: "5.0 [MQTT-3.4.2-2] [MQTT-3.4.2-3]" },
  { qos: 2, ack: "pubrec", ids: "5.0 [MQTT-3.5.2-2] [MQTT-3.5.2-3]" },
] as const) {
  test(`${ids} leaves Reason String and User Properties out of a ${ack.toUpperCase()} that would be too large`, async () => {
    const refusing = await startBroker({
      mqtt: { compat: { noInheritedPropertiesOnAck: false } },
      hooks: [{ name: "refusing", onPublish: () => new Refusal(0x83, LONG) }],
    });
    try {
      const options: PublishOptions = { qos, messageId: 9, properties: { userProperties: { key: LONG } } };
      const free = await refusing.connect();
      free.sendPublish("t", "x", options);
      const { properties: told } = await free.expect(ack, { messageId: 9, reasonCode: 0x83 });
      assert.deepEqual(told, { reasonString: LONG, userProperties: { key: LONG } });
      const roomy = await refusing.connect({ properties: { maximumPacketSize: 600 } });
      roomy.sendPublish("t", "x", options);
      const kept = await roomy.expect(ack, { messageId: 9, reasonCode: 0x83 });
      assert.deepEqual(kept.properties, { reasonString: LONG });
      const tight = await refusing.connect({ properties: { maximumPacketSize: 100 } });
      tight.sendPublish("t", "x", options);
      assert.deepEqual((await tight.expect(ack, { messageId: 9, reasonCode: 0x83 })).properties, {});
    } finally {
      await refusing.stop();
    }
  });

  test(`5.0 [MQTT-3.1.2-29] sends a client that wants no problem information a ${ack.toUpperCase()} without any`, async () => {
    const refusing = await startBroker({
      mqtt: { compat: { noInheritedPropertiesOnAck: false } },
      hooks: [{ name: "refusing", onPublish: () => new Refusal(0x83, LONG) }],
    });
    try {
      const client = await refusing.connect({ properties: { requestProblemInformation: false } });
      client.sendPublish("t", "x", { qos, messageId: 9, properties: { userProperties: { key: "value" } } });
      assert.deepEqual((await client.expect(ack, { reasonCode: 0x83 })).properties, {});
    } finally {
      await refusing.stop();
    }
  });
}

test("5.0 [MQTT-3.1.2-29] still forwards User Properties of messages to a client that wants no problem information", async () => {
  const client = await broker.connect({ properties: { requestProblemInformation: false } });
  const topic = unique("t");
  await client.subscribe(topic);
  await publisher.publish(topic, "x", { properties: { userProperties: { a: "b" } } });
  assert.deepEqual((await client.expect("publish")).properties, { userProperties: { a: "b" } });
  await client.disconnect();
});

test("5.0 [MQTT-3.4.2-1] [MQTT-3.5.2-1] puts no code into PUBACK and PUBREC that they do not have", async () => {
  const refusing = await startBroker({ hooks: [{ name: "refusing", onPublish: () => new Refusal(0x8a) }] });
  try {
    const client = await refusing.connect();
    const allowed = [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    for (const qos of [1, 2] as const) {
      const code = await client.publish("t", "x", { qos });
      assert.ok(allowed.includes(code), `0x${code.toString(16)}`);
    }
  } finally {
    await refusing.stop();
  }
});
