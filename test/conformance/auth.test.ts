import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type AuthAnswer, type Hook, Refusal } from "../../src/core/hooks.ts";
import { startBroker } from "../support/broker.ts";
import { connectBytes, type RawClient, unique } from "../support/raw-client.ts";
import { field, packet, properties } from "./wire.ts";

const LONG = "x".repeat(200);

/**
 * A method of two steps: the client's data is "open" and then "sesame"; "wrong" is refused, "wordy" is asked back at
 * length.
 */
const riddle: Hook = {
  name: "riddle",
  onAuthPacket(_client, packet): AuthAnswer | Refusal | undefined {
    if (packet.properties.authenticationMethod !== "RIDDLE") return undefined;
    const data = Buffer.from(packet.properties.authenticationData ?? []).toString();
    const authenticationData = Buffer.from(`after ${data}`);
    if (data === "open") return { reasonCode: 0x18, authenticationData };
    if (data === "wordy") return { reasonCode: 0x18, reasonString: LONG, userProperties: [["k", LONG]] };
    if (data === "sesame") return { reasonCode: 0, authenticationData };
    return new Refusal(0x87);
  },
};

const broker = await startBroker({ hooks: [riddle] });
after(() => broker.stop());

const METHOD = { authenticationMethod: "RIDDLE" };
const withData = (text: string) => ({ ...METHOD, authenticationData: Buffer.from(text) });

/** An AUTH of the client's. */
function auth(client: RawClient, reasonCode: number, list: Record<string, unknown>): void {
  client.send({ cmd: "auth", reasonCode, properties: list });
}

async function authenticated(): Promise<RawClient> {
  const client = await broker.dial({ properties: withData("open") });
  await client.expect("auth", { reasonCode: 0x18, properties: withData("after open") });
  auth(client, 0x18, withData("sesame"));
  client.connack = await client.expect("connack", { reasonCode: 0 });
  return client;
}

test("5.0 [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.15.2-1] [MQTT-3.2.0-1] asks on by AUTH 0x18, and accepts by CONNACK, all of the same method", async () => {
  const client = await authenticated();
  assert.equal(client.connack.properties.authenticationMethod, "RIDDLE");
  assert.deepEqual(client.connack.properties.authenticationData, Buffer.from("after sesame"));
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-4.12.0-5] accepts at once where one step is enough, naming the method", async () => {
  const client = await broker.connect({ properties: withData("sesame") });
  assert.equal(client.connack.properties.authenticationMethod, "RIDDLE");
  await client.disconnect();
});

for (const data of ["open", "nothing"]) {
  test(`5.0 [MQTT-4.12.0-4] [MQTT-3.1.4-2] refuses by CONNACK and closes, after ${data === "open" ? "two steps" : "one step"}`, async () => {
    const client = await broker.dial({ properties: withData(data) });
    if (data === "open") {
      await client.expect("auth", { reasonCode: 0x18 });
      auth(client, 0x18, withData("wrong"));
    }
    await client.expectConnackRefusal(0x87);
  });
}

test("5.0 [MQTT-4.12.0-1] refuses a method that it does not know with 0x8C", async () => {
  const client = await broker.dial({ properties: { authenticationMethod: "NO SUCH METHOD" } });
  await client.expectConnackRefusal(0x8c);
  const plain = await startBroker();
  try {
    await (await plain.dial({ properties: METHOD })).expectConnackRefusal(0x8c);
  } finally {
    await plain.stop();
  }
});

test("5.0 [MQTT-4.12.0-6] sends no AUTH and no method to who named none", async () => {
  const client = await broker.connect();
  assert.equal(client.connack.properties.authenticationMethod, undefined);
  assert.equal(client.connack.properties.authenticationData, undefined);
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-4.12.0-7] takes AUTH from who named no method for a Protocol Error", async () => {
  for (const reasonCode of [0x18, 0x19]) {
    const client = await broker.connect();
    auth(client, reasonCode, METHOD);
    await client.expectDisconnect(0x82);
  }
});

for (const { name, bytes } of [
  { name: "PINGREQ", bytes: "c000" },
  { name: "PUBLISH", bytes: "30 04 0001 61 00" },
  { name: "SUBSCRIBE", bytes: "82 07 0001 00 0001 61 00" },
  { name: "a second CONNECT", bytes: connectBytes({}).toString("hex") },
]) {
  test(`5.0 [MQTT-3.1.2-30] [MQTT-3.14.0-1] closes on ${name} during the authentication, without DISCONNECT`, async () => {
    const client = await broker.dial({ properties: withData("open") });
    await client.expect("auth", { reasonCode: 0x18 });
    client.sendBytes(bytes);
    await client.expectConnectRefusal(0x82);
  });
}

test("5.0 [MQTT-3.1.2-30] takes DISCONNECT during the authentication, and closes", async () => {
  const client = await broker.dial({ properties: withData("open") });
  await client.expect("auth");
  client.sendBytes("e000");
  await client.expectClose();
});

test("5.0 [MQTT-4.12.0-3] refuses an answer that is not 0x18", async () => {
  for (const reasonCode of [0x00, 0x19]) {
    const client = await broker.dial({ properties: withData("open") });
    await client.expect("auth", { reasonCode: 0x18 });
    auth(client, reasonCode, withData("sesame"));
    await client.expectConnectRefusal(0x82);
  }
});

test("5.0 [MQTT-4.12.0-5] refuses an AUTH of another method", async () => {
  const client = await broker.dial({ properties: withData("open") });
  await client.expect("auth");
  auth(client, 0x18, { authenticationMethod: "OTHER", authenticationData: Buffer.from("sesame") });
  const answer = await client.next();
  assert.equal(answer.cmd, "connack");
  assert.ok([0x82, 0x8c].includes(answer.reasonCode), `0x${answer.reasonCode.toString(16)}`);
  await client.expectClose();
});

test("5.0 [MQTT-4.12.1-1] [MQTT-4.12.0-2] [MQTT-4.12.0-5] authenticates a client anew when it asks, and goes on meanwhile", async () => {
  const client = await authenticated();
  const topic = unique("t");
  await client.subscribe(topic);
  auth(client, 0x19, withData("open"));
  await client.expect("auth", { reasonCode: 0x18, properties: withData("after open") });
  await client.publish(topic, "meanwhile");
  await client.expect("publish", { payload: "meanwhile" });
  auth(client, 0x18, withData("sesame"));
  await client.expect("auth", { reasonCode: 0, properties: withData("after sesame") });
  await client.expectNothing();
  await client.disconnect();
});

test("5.0 [MQTT-4.12.1-1] refuses to change the method when authenticating anew", async () => {
  const client = await authenticated();
  auth(client, 0x19, { authenticationMethod: "OTHER" });
  await client.expectDisconnect(0x82, 0x8c);
});

test("5.0 [MQTT-4.12.1-2] ends the connection with DISCONNECT when authenticating anew fails", async () => {
  const client = await authenticated();
  auth(client, 0x19, withData("wrong"));
  await client.expectDisconnect(0x87);
});

test("5.0 [MQTT-4.12.0-3] refuses 0x18 from a client that nothing was asked of", async () => {
  const client = await authenticated();
  auth(client, 0x18, withData("sesame"));
  await client.expectDisconnect(0x82);
});

test("5.0 [MQTT-3.15.1-1] refuses AUTH whose reserved flags are set, during and after the authentication", async () => {
  const client = await authenticated();
  client.sendBytes(packet("f1", "19", properties("15", field("RIDDLE"))));
  await client.expectDisconnect(0x81);
  const early = await broker.dial({ properties: withData("open") });
  await early.expect("auth");
  early.sendBytes(packet("f2", "18", properties("15", field("RIDDLE"))));
  await early.expectConnectRefusal(0x81);
});

for (const code of ["01", "10", "80", "ff"]) {
  test(`5.0 [MQTT-3.15.2-1] refuses AUTH with the code 0x${code}, which does not exist`, async () => {
    const client = await authenticated();
    client.sendBytes(packet("f0", code, properties("15", field("RIDDLE"))));
    await client.expectDisconnect(0x81, 0x82);
  });
}

test("5.0 [MQTT-3.15.2-2] [MQTT-3.15.2-3] leaves what would be too large out of AUTH", async () => {
  for (const { maximumPacketSize, expected } of [
    { maximumPacketSize: 1_000, expected: { ...METHOD, reasonString: LONG, userProperties: { k: LONG } } },
    { maximumPacketSize: 300, expected: { ...METHOD, reasonString: LONG } },
    { maximumPacketSize: 100, expected: METHOD },
  ]) {
    const client = await broker.dial({ properties: { ...withData("wordy"), maximumPacketSize } });
    assert.deepEqual((await client.expect("auth", { reasonCode: 0x18 })).properties, expected);
    client.socket.destroy();
  }
});

test("5.0 [MQTT-3.1.2-29] sends a client that wants no problem information an AUTH without any", async () => {
  const client = await broker.dial({ properties: { ...withData("wordy"), requestProblemInformation: false } });
  assert.deepEqual((await client.expect("auth", { reasonCode: 0x18 })).properties, METHOD);
  client.socket.destroy();
});

test("5.0 [MQTT-4.12.0-4] closes on a client that never finishes its authentication", async () => {
  const client = await broker.dial({ properties: withData("open") });
  await client.expect("auth");
  await broker.advance(10_001);
  await client.expectConnectRefusal(0x87);
});
