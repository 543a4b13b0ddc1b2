import assert from "node:assert/strict";
import { test } from "node:test";
import { PacketType } from "../../../src/codec/constants.ts";
import type { Auth, Connect } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import { type AuthAnswer, type Hook, type Refusal, refuse } from "../../../src/core/hooks.ts";
import type { TestPeer } from "../peer.ts";
import { Stage } from "../stage.ts";

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

/** Challenge and response: "1" is answered with "2?", "3" is the proof, anything else is refused. */
function challenge(packet: Connect | Auth): AuthAnswer | Refusal | undefined {
  if (packet.properties.authenticationMethod !== "M") return undefined;
  switch (text(packet.properties.authenticationData)) {
    case "1":
      return {
        reasonCode: ReasonCode.ContinueAuthentication,
        authenticationData: Buffer.from("2?"),
        reasonString: "go on",
        userProperties: [["step", "2"]],
      };
    case "3":
      return { reasonCode: ReasonCode.Success, authenticationData: Buffer.from("proof"), userName: "proven" };
    default:
      return refuse(ReasonCode.NotAuthorized, "wrong answer");
  }
}

const synchronous: Hook = { name: "challenge", onAuthPacket: (_, packet) => challenge(packet) };
const asynchronous: Hook = { name: "challenge", onAuthPacket: async (_, packet) => challenge(packet) };

const CHALLENGE =
  'AUTH 18 {"authenticationMethod":"M","authenticationData":"2?","reasonString":"go on","userProperties":{"step":"2"}}';
const REST = '"receiveMaximum":1024,"topicAliasMaximum":64,"maximumPacketSize":2097152';

function authProperties(data: string, method = "M") {
  return { authenticationMethod: method, authenticationData: Buffer.from(data) };
}

function answer(client: TestPeer, data: string, reasonCode = 0x18, method = "M"): void {
  client.send({ cmd: "auth", reasonCode, properties: authProperties(data, method) });
}

for (const [how, hook] of [
  ["at once", synchronous],
  ["later", asynchronous],
] as const) {
  test(`onAuthPacket goes on asking and then accepts, ${how}`, async () => {
    const stage = new Stage({ hooks: [hook], access: { authenticate: () => false } });
    const client = stage.dial({ clientId: "a", properties: authProperties("1") });
    await stage.settle();
    assert.deepEqual(client.take(), [CHALLENGE]);
    answer(client, "3");
    await stage.settle();
    const line = client.take().join();
    assert.ok(line.startsWith("CONNACK 00 "), line);
    assert.deepEqual(JSON.parse(line.slice(11)), {
      ...JSON.parse(`{${REST}}`),
      authenticationMethod: "M",
      authenticationData: "proof",
    });
    assert.deepEqual([...stage.broker.sessions.keys()], ["a\u0000proven"]);
  });

  test(`5.0 [MQTT-4.12.0-4] onAuthPacket refuses with CONNACK, ${how}`, async () => {
    const stage = new Stage({ hooks: [hook] });
    const client = stage.dial({ properties: authProperties("1") });
    await stage.settle();
    client.take();
    answer(client, "wrong");
    await stage.settle();
    assert.deepEqual(client.take(), ['CONNACK 87 {"reasonString":"wrong answer"}']);
    assert.equal(client.state, "ended");
  });

  test(`5.0 §4.12.1 a client authenticates anew and is answered with AUTH, ${how}`, async () => {
    const stage = new Stage({ hooks: [hook] });
    const client = stage.dial({ properties: authProperties("3") });
    await stage.settle();
    client.take();
    answer(client, "1", 0x19);
    await stage.settle();
    assert.deepEqual(client.take(), [CHALLENGE]);
    answer(client, "3");
    await stage.settle();
    assert.deepEqual(client.take(), ['AUTH 00 {"authenticationMethod":"M","authenticationData":"proof"}']);
    assert.equal(client.state, "open");
  });

  test(`5.0 [MQTT-4.12.1-2] a client that fails to authenticate anew is disconnected, ${how}`, async () => {
    const stage = new Stage({ hooks: [hook] });
    const client = stage.dial({ properties: authProperties("3") });
    await stage.settle();
    client.take();
    answer(client, "wrong", 0x19);
    await stage.settle();
    assert.deepEqual(client.take(), ['DISCONNECT 87 {"reasonString":"wrong answer"}']);
  });
}

test("5.0 [MQTT-4.12.0-1] a method that no hook knows is refused with Bad authentication method", () => {
  const stage = new Stage({ hooks: [synchronous] });
  assert.deepEqual(stage.dial({ properties: authProperties("1", "other") }).take(), [
    'CONNACK 8c {"reasonString":"no hook knows the method other"}',
  ]);
});

test("5.0 [MQTT-4.12.0-1] without any hook every method is refused with Bad authentication method", () => {
  const stage = new Stage();
  assert.deepEqual(stage.dial({ properties: authProperties("1") }).take(), [
    'CONNACK 8c {"reasonString":"no hook knows the method M"}',
  ]);
});

test("the first hook that answers decides, and onConnectAuthenticate is not asked", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "none",
        onAuthPacket(_, packet) {
          heard.push(`none ${packet.type === PacketType.CONNECT}`);
          return undefined;
        },
      },
      synchronous,
      {
        name: "never",
        onAuthPacket() {
          heard.push("never");
          return undefined;
        },
        onConnectAuthenticate() {
          heard.push("authenticate");
          return false;
        },
      },
    ],
  });
  assert.deepEqual(stage.dial({ properties: authProperties("1") }).take(), [CHALLENGE]);
  assert.deepEqual(heard, ["none true"]);
});

test("onAuthPacket that throws refuses with Implementation specific error", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onAuthPacket() {
          throw new Error("x");
        },
      },
    ],
  });
  assert.deepEqual(stage.dial({ properties: authProperties("1") }).take(), [
    'CONNACK 83 {"reasonString":"a hook failed"}',
  ]);
});

test("onAuthPacket: a rejected promise refuses with Implementation specific error", async () => {
  const stage = new Stage({ hooks: [{ name: "h", onAuthPacket: () => Promise.reject(new Error("x")) }] });
  const client = stage.dial({ properties: authProperties("1") });
  await stage.settle();
  assert.deepEqual(client.take(), ['CONNACK 83 {"reasonString":"a hook failed"}']);
});

test("5.0 [MQTT-3.1.2-29] AUTH before CONNACK has no Reason String for a client that wants none", () => {
  const stage = new Stage({ hooks: [synchronous] });
  const client = stage.dial({ properties: { ...authProperties("1"), requestProblemInformation: false } });
  assert.deepEqual(client.take(), ['AUTH 18 {"authenticationMethod":"M","authenticationData":"2?"}']);
});

test("5.0 [MQTT-4.12.0-5] AUTH with another method than CONNECT is a Protocol Error", () => {
  const stage = new Stage({ hooks: [synchronous] });
  const client = stage.dial({ properties: authProperties("1") });
  client.take();
  answer(client, "3", 0x18, "other");
  assert.deepEqual(client.take(), [
    'CONNACK 82 {"reasonString":"AUTH with another Authentication Method 5.0 [MQTT-4.12.0-5]"}',
  ]);
});

test("5.0 [MQTT-4.12.0-6] AUTH of a client that gave no method is a Protocol Error", () => {
  const stage = new Stage({ hooks: [synchronous] });
  const client = stage.connect("a");
  answer(client, "1", 0x19);
  assert.deepEqual(client.take(), [
    'DISCONNECT 82 {"reasonString":"AUTH without an Authentication Method in CONNECT 5.0 [MQTT-4.12.0-6]"}',
  ]);
});

test("5.0 [MQTT-3.1.2-30] a PUBLISH before CONNACK is a Protocol Error", () => {
  const stage = new Stage({ hooks: [synchronous] });
  const client = stage.dial({ properties: authProperties("1") });
  client.take();
  client.publish("t", "x");
  assert.deepEqual(client.take(), ['CONNACK 82 {"reasonString":"PUBLISH is not allowed here"}']);
});

test("a client that disconnects in the middle of its authentication leaves nothing behind", () => {
  const stage = new Stage({ hooks: [synchronous] });
  const client = stage.dial({ properties: authProperties("1") });
  client.take();
  client.disconnect();
  assert.deepEqual(client.take(), []);
  assert.equal(stage.broker.sessions.size, 0);
  assert.equal(stage.broker.connections.size, 0);
});

test("5.0 §4.12 AUTH with a Reason Code that does not fit the exchange is a Protocol Error", () => {
  const wrong: [beforeConnack: boolean, reasonCode: number][] = [
    [true, 0x19],
    [true, 0x00],
    [false, 0x18],
    [false, 0x00],
  ];
  for (const [beforeConnack, reasonCode] of wrong) {
    const stage = new Stage({ hooks: [synchronous] });
    const client = stage.dial({ properties: authProperties(beforeConnack ? "1" : "3") });
    client.take();
    answer(client, "3", reasonCode);
    assert.equal(client.take()[0]?.slice(0, 13), beforeConnack ? 'CONNACK 82 {"' : "DISCONNECT 82");
    assert.equal(client.state, "ended");
  }
});
