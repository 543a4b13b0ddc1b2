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
    five: "5.0 [MQTT-3.1.2-11]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13]",
    name: "Will QoS 1 without the Will Flag",
    flags: "0a",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-11]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-13]",
    name: "Will QoS 2 without the Will Flag",
    flags: "12",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-13]",
    three: "3.1.1 [MQTT-3.1.2-11] [MQTT-3.1.2-15]",
    name: "Will Retain without the Will Flag",
    flags: "22",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-12]",
    three: "3.1.1 [MQTT-3.1.2-14]",
    name: "Will QoS 3",
    flags: "1e",
    payload: [ID, "will5", ...WILL],
  },
  {
    five: "5.0 [MQTT-3.1.2-9]",
    three: "3.1.1 [MQTT-3.1.2-9]",
    name: "the Will Flag without a will",
    flags: "06",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-9]",
    three: "3.1.1 [MQTT-3.1.2-9]",
    name: "the Will Flag without a Will Payload",
    flags: "06",
    payload: [ID, "will5", WILL[0]!],
  },
  {
    five: "5.0 [MQTT-3.1.2-16]",
    three: "3.1.1 [MQTT-3.1.2-18]",
    name: "a User Name without its flag",
    flags: "02",
    payload: [ID, field("user")],
  },
  {
    five: "5.0 [MQTT-3.1.2-17]",
    three: "3.1.1 [MQTT-3.1.2-19]",
    name: "the User Name Flag without a User Name",
    flags: "82",
    payload: [ID],
  },
  {
    five: "5.0 [MQTT-3.1.2-18]",
    three: "3.1.1 [MQTT-3.1.2-20]",
    name: "a Password without its flag",
    flags: "82",
    payload: [ID, field("user"), field("secret")],
  },
  {
    five: "5.0 [MQTT-3.1.2-19]",
    three: "3.1.1 [MQTT-3.1.2-21]",
    name: "the Password Flag without a Password",
    flags: "c2",
    payload: [ID, field("user")],
  },
  { five: "5.0 [MQTT-3.1.3-3]", three: "3.1.1 [MQTT-3.1.3-3]", name: "no client identifier", flags: "02", payload: [] },
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

  test(`${five} [MQTT-3.1.4-1] refuses ${name}`, async () => {
    const client = await broker.open();
    client.sendBytes(rawConnect({ flags, payload: withWill("00") }), "c000");
    await client.expectConnectRefusal(0x81);
  });

  test(`${three} [MQTT-3.1.4-1] closes on ${name}, without CONNACK`, async () => {
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

const ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-3.1.3-5] [MQTT-3.1.4-5]" },
  { version: 4, ids: "3.1.1 [MQTT-3.1.3-5] [MQTT-3.1.4-4]" },
  { version: 3, ids: "3.1 §3.1" },
] as const) {
  test(`${ids} accepts client identifiers of 1 to 23 letters and digits`, async () => {
    const identifiers = ["0", "z", ...(ALPHANUMERIC.match(/.{1,23}/g) ?? [])];
    for (const clientId of identifiers) {
      const client = await broker.dial({ version, clientId });
      const connack = await client.expect("connack", { reasonCode: 0, returnCode: 0, sessionPresent: false });
      if (version < 5) assert.equal(connack.bytes.toString("hex"), "20020000");
      await client.disconnect();
    }
  });
}

test("5.0 [MQTT-3.1.3-5] accepts longer identifiers and other characters too", async () => {
  for (const clientId of ["a/b+c#$ ", "x".repeat(1_000), "größe-温度"]) {
    const client = await broker.connect({ clientId });
    assert.equal(client.connack.properties.assignedClientIdentifier, undefined);
    await client.disconnect();
  }
});

test("5.0 [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] assigns an identifier to a client without one", async () => {
  const first = await broker.connect({ clientId: "" });
  const second = await broker.connect({ clientId: "" });
  const assigned = [first, second].map(({ connack }) => connack.properties.assignedClientIdentifier as string);
  assert.match(assigned[0]!, /^.+$/);
  assert.notEqual(assigned[0], assigned[1]);
  // It is the client's own from now on: whoever connects with it takes the connection over.
  const third = await broker.connect({ clientId: assigned[0]! });
  await first.expectDisconnect(0x8e);
  await second.expectNothing();
  await second.disconnect();
  await third.disconnect();
});

test("5.0 [MQTT-3.1.3-7] keeps the session of an assigned identifier", async () => {
  const first = await broker.open();
  first.sendBytes(rawConnect({ flags: "00", payload: [field("")], properties: properties("11 00000064") }));
  const connack = await first.expect("connack", { reasonCode: 0, sessionPresent: false });
  const clientId = connack.properties.assignedClientIdentifier as string;
  await first.disconnect();
  const second = await broker.connect({ clientId, clean: false });
  assert.equal(second.connack.sessionPresent, true);
  assert.equal(second.connack.properties.assignedClientIdentifier, undefined);
  await second.disconnect();
});

test("3.1.1 [MQTT-3.1.3-6] lets in clients without an identifier, each as one of its own", async () => {
  const first = await broker.connect({ version: 4, clientId: "" });
  const second = await broker.connect({ version: 4, clientId: "" });
  await first.expectNothing();
  await second.expectNothing();
  await first.disconnect();
  await second.disconnect();
});

test("3.1.1 [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.2.2-4] [MQTT-3.2.2-5] refuses no identifier with Clean Session 0", async () => {
  const client = await broker.open(4);
  client.sendBytes(rawConnect({ level: 4, flags: "00", payload: [field("")] }), "c000");
  await client.expectBytes("20 02 00 02");
  await client.expectClose();
});

test("5.0 [MQTT-3.1.3-8], 3.1.1 [MQTT-3.1.3-9] refuses a client identifier that is longer than allowed", async () => {
  const narrow = await startBroker({ limits: { clientIdBytes: 23 } });
  try {
    const five = await narrow.dial({ clientId: "x".repeat(24) });
    await five.expectConnackRefusal(0x85);
    const four = await narrow.dial({ version: 4, clientId: "x".repeat(24) });
    await four.expectBytes("20 02 00 02");
    await four.expectClose();
    const fits = await narrow.connect({ clientId: "x".repeat(23) });
    await fits.disconnect();
  } finally {
    await narrow.stop();
  }
});

test("5.0 [MQTT-3.1.4-3] closes the older connection of a client identifier with DISCONNECT 0x8E", async () => {
  const clientId = unique("twice");
  const first = await broker.connect({ clientId });
  const second = await broker.connect({ clientId });
  await first.expectDisconnect(0x8e);
  await second.expectNothing();
  await second.disconnect();
});

for (const version of [4, 3] as const) {
  test(`3.1.1 [MQTT-3.1.4-2] closes the older connection of a client identifier, version ${version}`, async () => {
    const clientId = unique("twice");
    const first = await broker.connect({ version, clientId });
    const second = await broker.connect({ version, clientId });
    await first.expectClose();
    await second.expectNothing();
    await second.disconnect();
  });
}

test("5.0 [MQTT-3.1.4-3], 3.1.1 [MQTT-3.1.4-2] closes the older connection whatever version the new one speaks", async () => {
  const clientId = unique("twice");
  const four = await broker.connect({ version: 4, clientId });
  const five = await broker.connect({ clientId });
  await four.expectClose();
  const three = await broker.connect({ version: 3, clientId });
  await five.expectDisconnect(0x8e);
  await three.disconnect();
});

test("5.0 [MQTT-3.1.3-2], 3.1.1 [MQTT-3.1.3-2] keeps other client identifiers apart", async () => {
  const clientId = unique("case");
  const first = await broker.connect({ clientId });
  const second = await broker.connect({ clientId: clientId.toUpperCase() });
  await first.expectNothing();
  await first.disconnect();
  await second.disconnect();
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
