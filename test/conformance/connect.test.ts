import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Refusal } from "../../src/core/hooks.ts";
import { startBroker } from "../support/broker.ts";
import { connectBytes, unique } from "../support/raw-client.ts";
import { field, packet, properties, rawConnect } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

const FIRST_PACKETS = [
  { name: "PUBLISH", bytes: "30 04 0001 61 00" },
  { name: "PUBACK", bytes: "40 02 0001" },
  { name: "PUBREL", bytes: "62 02 0001" },
  { name: "SUBSCRIBE", bytes: "82 07 0001 00 0001 61 00" },
  { name: "UNSUBSCRIBE", bytes: "a2 06 0001 00 0001 61" },
  { name: "PINGREQ", bytes: "c0 00" },
  { name: "DISCONNECT", bytes: "e0 00" },
  { name: "AUTH", bytes: "f0 02 18 00" },
  { name: "CONNACK", bytes: "20 03 00 00 00" },
];

for (const { name, bytes } of FIRST_PACKETS) {
  test(`5.0 [MQTT-3.1.0-1] [MQTT-3.14.0-1] [MQTT-3.2.0-1], 3.1.1 [MQTT-3.1.0-1] [MQTT-3.2.0-1] closes without a word when ${name} comes first`, async () => {
    const client = await broker.open();
    client.sendBytes(bytes);
    await client.expectClose();
  });
}

test("5.0 [MQTT-3.1.0-2] [MQTT-3.2.0-2] answers a second CONNECT with DISCONNECT 0x82, not with CONNACK", async () => {
  const client = await broker.connect();
  client.sendBytes(connectBytes({ clientId: client.clientId }));
  await client.expectDisconnect(0x82);
});

for (const version of [4, 3] as const) {
  test(`3.1.1 [MQTT-3.1.0-2] closes on a second CONNECT of version ${version}`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes(connectBytes({ version, clientId: client.clientId }));
    await client.expectClose();
  });
}

for (const name of ["MQTX", "mqtt", "MQT", "MQTTT", "", "MQIsdq"]) {
  test(`5.0 [MQTT-3.1.2-1], 3.1.1 [MQTT-3.1.2-1] does not take protocol name "${name}" for MQTT`, async () => {
    for (const level of [5, 4]) {
      const client = await broker.open(5);
      client.sendBytes(rawConnect({ name, level }), "c000");
      // A server may reveal itself by 0x84; nothing else may come.
      await client.expectConnectRefusal(0x84);
    }
  });
}

for (const level of [0, 1, 2, 6, 127]) {
  test(`5.0 [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-2] refuses protocol level ${level} and closes`, async () => {
    // Below 5 a client reads return codes, from 5 on reason codes.
    const client = await broker.open(level < 5 ? 4 : 5);
    client.sendBytes(rawConnect({ level }), "c000");
    await client.expectConnackRefusal(level < 5 ? 1 : 0x84);
  });
}

test("3.1.1 [MQTT-3.1.2-2] answers 3.1.1 with return code 1 where only 5.0 is spoken", async () => {
  const strict = await startBroker({ mqtt: { minimumProtocolVersion: 5 } });
  try {
    for (const version of [4, 3] as const) {
      const client = await strict.dial({ version });
      await client.expectBytes("20 02 00 01");
      await client.expectClose();
    }
    const client = await strict.connect();
    await client.disconnect();
  } finally {
    await strict.stop();
  }
});

test("5.0 [MQTT-3.1.2-3] refuses the reserved Connect Flag", async () => {
  const client = await broker.open();
  client.sendBytes(rawConnect({ flags: "03" }));
  await client.expectConnectRefusal(0x81);
});

test("3.1.1 [MQTT-3.1.2-3] [MQTT-3.1.4-1] closes on the reserved Connect Flag, without CONNACK", async () => {
  const client = await broker.open(4);
  client.sendBytes(rawConnect({ level: 4, flags: "03" }));
  await client.expectClose();
});

const ID = field("combination");
const WILL = [field("will/topic"), field("gone")];

/** Flags and payloads that do not fit; `will5` is the empty property list that 5.0 has before the Will Topic. */
const COMBINATIONS = [
  {
    five: "5.0 [MQTT-3.1.2-11] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.4-1]",
    name: "Will QoS 1 without the Will Flag",
    flags: "0a",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-11] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.4-1]",
    name: "Will QoS 2 without the Will Flag",
    flags: "12",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-13] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-15] [MQTT-3.1.4-1]",
    name: "Will Retain without the Will Flag",
    flags: "22",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-12] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-14] [MQTT-3.1.4-1]",
    name: "Will QoS 3",
    flags: "1e",
    payload: [ID, "will5", ...WILL],
  },
  {
    five: "5.0 [MQTT-3.1.2-9] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.4-1]",
    name: "the Will Flag without a will",
    flags: "06",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-9] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.4-1]",
    name: "the Will Flag without a Will Payload",
    flags: "06",
    payload: [ID, "will5", WILL[0]!],
  },
  {
    five: "5.0 [MQTT-3.1.2-16] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-18] [MQTT-3.1.4-1]",
    name: "a User Name without its flag",
    flags: "02",
    payload: [ID, field("user")],
  },
  {
    five: "5.0 [MQTT-3.1.2-17] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-19] [MQTT-3.1.4-1]",
    name: "the User Name Flag without a User Name",
    flags: "82",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-18] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-20] [MQTT-3.1.4-1]",
    name: "a Password without its flag",
    flags: "82",
    payload: [ID, field("user"), field("secret")],
  },
  {
    five: "5.0 [MQTT-3.1.2-19] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.2-21] [MQTT-3.1.4-1]",
    name: "the Password Flag without a Password",
    flags: "c2",
    payload: [ID, field("user")],
  },
  {
    five: "5.0 [MQTT-3.1.3-3] [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.3-3] [MQTT-3.1.4-1]",
    name: "no client identifier",
    flags: "02",
    payload: [],
  },
  {
    five: "5.0 [MQTT-3.1.4-1]",
    three: "3.1.1 [MQTT-3.1.4-1]",
    name: "bytes after the payload",
    flags: "02",
    payload: [ID, "00"],
  },
];

for (const { five, three, name, flags, payload } of COMBINATIONS) {
  const withWill = (list: string) => payload.map((part) => (part === "will5" ? list : part));

  test(`${five} refuses ${name}`, async () => {
    const client = await broker.open();
    client.sendBytes(rawConnect({ flags, payload: withWill("00") }), "c000");
    await client.expectConnectRefusal(0x81);
  });

  test(`${three} closes on ${name}, without CONNACK`, async () => {
    const client = await broker.open(4);
    client.sendBytes(rawConnect({ level: 4, flags, payload: withWill("") }), "c000");
    await client.expectClose();
  });
}

test("3.1.1 [MQTT-3.1.2-22] closes on a password without a user name", async () => {
  const client = await broker.open(4);
  client.sendBytes(rawConnect({ level: 4, flags: "42", payload: [ID, field("secret")] }));
  await client.expectClose();
});

test("5.0 §3.1.2.9 accepts a Password without a User Name", async () => {
  const client = await broker.open();
  client.sendBytes(rawConnect({ flags: "42", payload: [field(unique("c")), field("secret")] }));
  await client.expect("connack", { reasonCode: 0 });
  await client.disconnect();
});

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.1.3-1]" },
  { version: 4, ids: "3.1.1 [MQTT-3.1.3-1]" },
] as const) {
  test(`${ids} reads the payload's fields in their order`, async () => {
    const seen: unknown[] = [];
    const watched = await startBroker({
      hooks: [
        {
          name: "watch",
          onConnect(_client, { clientId, will, userName, password }) {
            seen.push(
              clientId,
              will?.topicName,
              Buffer.from(will?.payload ?? []).toString(),
              userName,
              Buffer.from(password ?? []).toString(),
            );
          },
        },
      ],
    });
    try {
      const client = await watched.open(version);
      const will = version === 5 ? [properties("01 01"), ...WILL] : WILL;
      client.sendBytes(
        rawConnect({
          level: version,
          flags: "c6",
          payload: [field("identifier"), ...will, field("user"), field("secret")],
        }),
      );
      await client.expect("connack", { reasonCode: 0, returnCode: 0 });
      assert.deepEqual(seen, ["identifier", "will/topic", "gone", "user", "secret"]);
    } finally {
      await watched.stop();
    }
  });
}

/** Each is well formed up to the one mistake. */
const BAD_PROPERTIES = [
  { name: "Receive Maximum 0", list: "21 0000", code: 0x82 },
  { name: "Receive Maximum twice", list: "21 0001 21 0002", code: 0x82 },
  { name: "Maximum Packet Size 0", list: "27 00000000", code: 0x82 },
  { name: "Maximum Packet Size twice", list: "27 00001000 27 00001000", code: 0x82 },
  { name: "Session Expiry Interval twice", list: "11 00000001 11 00000001", code: 0x82 },
  { name: "Topic Alias Maximum twice", list: "22 0001 22 0001", code: 0x82 },
  { name: "Request Response Information 2", list: "19 02", code: 0x82 },
  { name: "Request Problem Information 2", list: "17 02", code: 0x82 },
  { name: "Request Problem Information twice", list: "17 01 17 01", code: 0x82 },
  { name: "Authentication Data without a Method", list: "16 0001 61", code: 0x82 },
  { name: "a property that exists nowhere", list: "7f 00", code: 0x81 },
  { name: "a property that CONNECT does not have", list: "23 0001", code: 0x81 },
  { name: "a property that breaks off", list: "21 00", code: 0x81 },
];

for (const { name, list, code } of BAD_PROPERTIES) {
  test(`5.0 [MQTT-3.1.4-1] [MQTT-4.13.1-1] refuses ${name}`, async () => {
    const client = await broker.open();
    client.sendBytes(rawConnect({ properties: properties(list) }));
    await client.expectConnectRefusal(code);
  });
}

test("5.0 [MQTT-3.1.4-1] refuses a Property Length beyond the packet", async () => {
  const client = await broker.open();
  client.sendBytes(rawConnect({ properties: Buffer.from([0x7f]) }));
  await client.expectConnectRefusal(0x81);
});

test("5.0 [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-3.2.2-6] [MQTT-3.2.2-7], 3.1.1 [MQTT-3.1.4-5] [MQTT-3.2.2-4] [MQTT-3.2.2-5] lets nothing of a refused client through", async () => {
  const guarded = await startBroker({
    hooks: [
      {
        name: "guard",
        onConnectAuthenticate: (_client, { userName }) => (userName === "friend" ? true : new Refusal(0x86)),
      },
    ],
  });
  try {
    const friend = await guarded.connect({ username: "friend" });
    await friend.subscribe("#");
    for (const { version, code } of [
      { version: 5, code: 0x86 },
      { version: 4, code: 4 },
      { version: 3, code: 4 },
    ] as const) {
      const client = await guarded.open(version);
      const publish = packet("30", field("intrusion"), version === 5 ? "00" : "");
      client.sendBytes(connectBytes({ version, username: "stranger" }), publish, "c000");
      await client.expectConnackRefusal(code);
    }
    await friend.expectNothing();
  } finally {
    await guarded.stop();
  }
});

for (const { code, three, name } of [
  { code: 0x85, three: 2, name: "Client Identifier not valid" },
  { code: 0x86, three: 4, name: "Bad User Name or Password" },
  { code: 0x87, three: 5, name: "Not authorized" },
  { code: 0x88, three: 3, name: "Server unavailable" },
  { code: 0x89, three: 3, name: "Server busy" },
  { code: 0x8a, three: 5, name: "Banned" },
] as const) {
  test(`5.0 [MQTT-3.2.2-8], 3.1.1 [MQTT-3.2.2-5] says ${name} in the codes that each version has`, async () => {
    const closed = await startBroker({ hooks: [{ name: "closed", onConnect: () => new Refusal(code) }] });
    try {
      await (await closed.dial()).expectConnackRefusal(code);
      for (const version of [4, 3] as const) await (await closed.dial({ version })).expectConnackRefusal(three);
    } finally {
      await closed.stop();
    }
  });
}

test("3.1.1 [MQTT-3.2.2-6] closes without CONNACK when no return code fits: a will that is not supported", async () => {
  const plain = await startBroker({ mqtt: { retain: false, maximumQos: 1 } });
  try {
    const retained = await plain.dial({ version: 4, will: { topic: "w", payload: "gone", retain: true } });
    await retained.expectClose();
    const exact = await plain.dial({ version: 4, will: { topic: "w", payload: "gone", qos: 2 } });
    await exact.expectClose();
  } finally {
    await plain.stop();
  }
});

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.1.4-1]" },
  { version: 4, ids: "3.1.1 [MQTT-3.1.4-1]" },
] as const) {
  test(`${ids} closes when a CONNECT never becomes complete`, async () => {
    const client = await broker.open(version);
    client.sendBytes(connectBytes({ version }).subarray(0, 8));
    await broker.advance(10_001);
    await client.expectClose();
  });
}
