import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { field, packet, properties, rawConnect } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

const ILL_FORMED = [
  { name: "a continuation byte alone", bytes: "80" },
  { name: "an overlong slash", bytes: "c0af" },
  { name: "U+0000 in two bytes", bytes: "c080" },
  { name: "the surrogate U+D800", bytes: "eda080" },
  { name: "the surrogate U+DFFF", bytes: "edbfbf" },
  { name: "a code point above U+10FFFF", bytes: "f4908080" },
  { name: "a sequence that breaks off", bytes: "e282" },
  { name: "the byte FF", bytes: "ff" },
];

for (const { name, bytes } of ILL_FORMED) {
  const text = Buffer.concat([Buffer.from("a/"), Buffer.from(bytes, "hex")]);

  test(`5.0 [MQTT-1.5.4-1] [MQTT-3.3.2-1] refuses a Topic Name with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("30", field(text), "00"));
    await client.expectDisconnect(0x81);
  });

  test(`5.0 [MQTT-1.5.4-1] [MQTT-3.8.3-1] refuses a Topic Filter with ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("82", "0001 00", field(text), "00"));
    await client.expectDisconnect(0x81);
  });

  test(`3.1.1 [MQTT-1.5.3-1] [MQTT-3.3.2-1] closes on a Topic Name with ${name}`, async () => {
    const client = await broker.connect({ version: 4 });
    client.sendBytes(packet("30", field(text)));
    await client.expectClose();
  });

  test(`3.1.1 [MQTT-1.5.3-1] [MQTT-3.1.3-4] closes on a client identifier with ${name}`, async () => {
    const client = await broker.open(4);
    client.sendBytes(rawConnect({ level: 4, payload: [field(text)] }));
    await client.expectClose();
  });
}

/** Where strings may stand after CONNECT: each packet around the string that is put in. */
const PLACES = [
  {
    name: "Topic Name",
    five: "5.0 [MQTT-1.5.4-2] [MQTT-4.7.3-2]",
    three: "3.1.1 [MQTT-1.5.3-2] [MQTT-4.7.3-2]",
    bytes: { 5: (text: Buffer) => packet("30", text, "00"), 4: (text: Buffer) => packet("30", text) },
  },
  {
    name: "Topic Filter of SUBSCRIBE",
    five: "5.0 [MQTT-1.5.4-2] [MQTT-3.8.3-1] [MQTT-4.7.3-2]",
    three: "3.1.1 [MQTT-1.5.3-2] [MQTT-3.8.3-1] [MQTT-4.7.3-2]",
    bytes: {
      5: (text: Buffer) => packet("82", "0001 00", text, "00"),
      4: (text: Buffer) => packet("82", "0001", text, "00"),
    },
  },
  {
    name: "Topic Filter of UNSUBSCRIBE",
    five: "5.0 [MQTT-1.5.4-2] [MQTT-3.10.3-1]",
    three: "3.1.1 [MQTT-1.5.3-2] [MQTT-3.10.3-1]",
    bytes: {
      5: (text: Buffer) => packet("a2", "0001 00", text),
      4: (text: Buffer) => packet("a2", "0001", text),
    },
  },
];

for (const { name, five, three, bytes } of PLACES) {
  for (const [kind, text] of [
    ["U+0000", "a\0b"],
    ["ill-formed UTF-8", Buffer.from("61c3", "hex")],
  ] as const) {
    test(`${five} refuses ${kind} in the ${name}`, async () => {
      const client = await broker.connect();
      client.sendBytes(bytes[5](field(text)));
      await client.expectDisconnect(0x81);
    });

    test(`${three} closes on ${kind} in the ${name}`, async () => {
      const client = await broker.connect({ version: 4 });
      client.sendBytes(bytes[4](field(text)));
      await client.expectClose();
    });
  }
}

const BAD = field(Buffer.from("61eda080", "hex"));
const NUL = field("a\0");

/** Strings in the properties of a PUBLISH. */
const PUBLISH_PROPERTIES = [
  { name: "Content Type with a surrogate", ids: "5.0 [MQTT-3.3.2-19]", list: ["03", BAD] },
  { name: "Content Type with U+0000", ids: "5.0 [MQTT-3.3.2-19]", list: ["03", NUL] },
  { name: "Response Topic with a surrogate", ids: "5.0 [MQTT-3.3.2-13]", list: ["08", BAD] },
  { name: "Response Topic with U+0000", ids: "5.0 [MQTT-3.3.2-13]", list: ["08", NUL] },
  { name: "User Property name with a surrogate", ids: "5.0 [MQTT-1.5.7-1]", list: ["26", BAD, field("v")] },
  { name: "User Property value with a surrogate", ids: "5.0 [MQTT-1.5.7-1]", list: ["26", field("n"), BAD] },
  { name: "User Property name with U+0000", ids: "5.0 [MQTT-1.5.7-1]", list: ["26", NUL, field("v")] },
  { name: "User Property value with U+0000", ids: "5.0 [MQTT-1.5.7-1]", list: ["26", field("n"), NUL] },
];

for (const { name, ids, list } of PUBLISH_PROPERTIES) {
  test(`${ids} refuses a ${name}`, async () => {
    const client = await broker.connect();
    client.sendBytes(packet("30", field("t"), properties(...list)));
    await client.expectDisconnect(0x81);
  });
}

/** Strings of CONNECT: flags and payload around them. */
const CONNECT_FIELDS = [
  {
    name: "client identifier",
    five: "5.0 [MQTT-3.1.3-4]",
    three: "3.1.1 [MQTT-3.1.3-4]",
    flags: "02",
    payload: (text: Buffer, _will: string) => [text],
  },
  {
    name: "Will Topic",
    five: "5.0 [MQTT-3.1.3-11]",
    three: "3.1.1 [MQTT-3.1.3-10]",
    flags: "06",
    payload: (text: Buffer, will: string) => [field("utf8"), will, text, field("gone")],
  },
  {
    name: "User Name",
    five: "5.0 [MQTT-3.1.3-12]",
    three: "3.1.1 [MQTT-3.1.3-11]",
    flags: "82",
    payload: (text: Buffer, _will: string) => [field("utf8"), text],
  },
];

for (const { name, five, three, flags, payload } of CONNECT_FIELDS) {
  for (const [kind, text] of [
    ["a surrogate", BAD],
    ["U+0000", NUL],
  ] as const) {
    test(`${five} refuses ${kind} in the ${name}`, async () => {
      const client = await broker.open();
      client.sendBytes(rawConnect({ flags, payload: payload(text, "00") }));
      await client.expectConnectRefusal(0x81);
    });

    test(`${three} closes on ${kind} in the ${name}`, async () => {
      const client = await broker.open(4);
      client.sendBytes(rawConnect({ level: 4, flags, payload: payload(text, "") }));
      await client.expectClose();
    });
  }
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-1.5.4-3]" },
  { version: 4, ids: "3.1.1 [MQTT-1.5.3-3]" },
] as const) {
  test(`${ids} keeps EF BB BF in a Topic Name, and takes it for a difference`, async () => {
    const client = await broker.connect({ version });
    const topic = unique("t");
    assert.deepEqual(await client.subscribe(`\ufeff${topic}`), [0]);
    client.sendBytes(packet("30", field(topic), version === 5 ? "00" : "", "6e6f"));
    client.sendBytes(packet("30", field(`\ufeff${topic}`), version === 5 ? "00" : "", "796573"));
    await client.expectBytes(packet("30", field(`\ufeff${topic}`), version === 5 ? "00" : "", "796573"));
    await client.expectNothing();
    await client.disconnect();
  });

  test(`${ids} keeps EF BB BF in a client identifier: it is another client`, async () => {
    const clientId = unique("bom");
    const first = await broker.connect({ version, clientId });
    const second = await broker.connect({ version, clientId: `\ufeff${clientId}` });
    await first.expectNothing();
    await first.disconnect();
    await second.disconnect();
  });
}

test("5.0 [MQTT-1.5.4-1] carries every length of UTF-8 sequence through a topic and a User Property", async () => {
  const client = await broker.connect();
  const text = "é\u07ff\u0800€\uffee\u{10000}\u{10ffff}😀";
  const topic = `${unique("t")}/${text}`;
  await client.subscribe(topic);
  await client.publish(topic, text, { properties: { userProperties: { [text]: text }, contentType: text } });
  const message = await client.expect("publish", { topic, payload: text });
  assert.deepEqual(message.properties, { userProperties: { [text]: text }, contentType: text });
  await client.disconnect();
});
