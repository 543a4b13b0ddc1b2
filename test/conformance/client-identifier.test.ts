import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { field, properties, rawConnect } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

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
