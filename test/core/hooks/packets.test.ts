import assert from "node:assert/strict";
import { test } from "node:test";
import { PACKET_NAMES, PacketType } from "../../../src/codec/constants.ts";
import { type Packet, Publish } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import { type Hook, refuse } from "../../../src/core/hooks.ts";
import { Stage } from "../stage.ts";

const nameOf = (packet: Packet): string => PACKET_NAMES[packet.type];

/** The PUBLISH with another payload. */
function withPayload(packet: Publish, payload: string): Publish {
  const { topicName, qos, retain, dup, packetIdentifier, properties } = packet;
  const bytes = Buffer.from(payload);
  return new Publish(topicName, qos, retain, dup, packetIdentifier, properties, bytes, 0, bytes.length);
}

test("onPacketRead, onPacketProcessed, onPacketEncode and onPacketSent see every packet of a conversation", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketRead: (client, packet) => void heard.push(`read ${client.clientId} ${nameOf(packet)}`),
        onPacketProcessed: (client, packet, error) =>
          void heard.push(`processed ${client.clientId} ${nameOf(packet)} ${error === undefined}`),
        onPacketEncode: (client, packet) => void heard.push(`encode ${client.clientId} ${nameOf(packet)}`),
        onPacketSent: (client, packet, bytes) =>
          void heard.push(`sent ${client.clientId} ${nameOf(packet)} ${bytes[0]! >> 4 === packet.type}`),
      },
    ],
  });
  const client = stage.connect("a", { acknowledges: true });
  client.subscribe("t", 2);
  client.publish("t", "x", { qos: 2 });
  client.acknowledge("pubrel", 1);
  client.send({ cmd: "pingreq" });
  client.unsubscribe("t");
  client.disconnect();
  const dialogue: [string, string[]][] = [
    ["CONNECT", ["CONNACK"]],
    ["SUBSCRIBE", ["SUBACK"]],
    ["PUBLISH", ["PUBLISH", "PUBREC"]],
    ["PUBREC", ["PUBREL"]],
    ["PUBCOMP", []],
    ["PUBREL", ["PUBCOMP"]],
    ["PINGREQ", ["PINGRESP"]],
    ["UNSUBSCRIBE", ["UNSUBACK"]],
    ["DISCONNECT", []],
  ];
  const expected = dialogue.flatMap(([read, answers]) => [
    // Before its CONNECT is handled a client has no name.
    `read ${read === "CONNECT" ? "" : "a"} ${read}`,
    ...answers.flatMap((answer) => [`encode a ${answer}`, `sent a ${answer} true`]),
    `processed a ${read} true`,
  ]);
  assert.deepEqual(heard, expected);
});

test("onPacketRead changes a packet for the hooks after it and for the broker", () => {
  const seen: string[] = [];
  const changing = (name: string): Hook => ({
    name,
    onPacketRead(_, packet) {
      if (!(packet instanceof Publish)) return undefined;
      seen.push(`${name} ${Buffer.from(packet.payload)}`);
      return withPayload(packet, `${Buffer.from(packet.payload)}+${name}`);
    },
  });
  const stage = new Stage({ hooks: [changing("1"), changing("2")] });
  const client = stage.connect("a").subscribed("t");
  client.publish("t", "x");
  assert.deepEqual(client.take(), ['PUBLISH t "x+1+2"']);
  assert.deepEqual(seen, ["1 x", "2 x+1"]);
});

test("onPacketRead changes a CONNECT before the client is known by it", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketRead: (_, packet) =>
          packet.type === PacketType.CONNECT ? { ...packet, clientId: `site-${packet.clientId}` } : undefined,
      },
    ],
  });
  stage.connect("a");
  assert.deepEqual([...stage.broker.sessions.keys()], ["site-a"]);
});

test("onPacketRead refuses: a connected 5.0 client gets DISCONNECT with the code, and the packet is not handled", () => {
  const published: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketRead: (_, packet) =>
          packet.type === PacketType.PUBLISH ? refuse(ReasonCode.MessageRateTooHigh, "slow down") : undefined,
        onPublish: (_, packet) => void published.push(packet.topicName),
      },
    ],
  });
  const client = stage.connect("a");
  client.publish("t", "x");
  assert.deepEqual(client.take(), ['DISCONNECT 96 {"reasonString":"slow down"}']);
  assert.equal(client.state, "ended");
  assert.deepEqual(published, []);
});

test("onPacketRead refuses: a connected 3.1.1 client is cut off", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketRead: (_, packet) => (packet.type === PacketType.PINGREQ ? refuse(ReasonCode.Banned) : undefined),
      },
    ],
  });
  const client = stage.connect("a", { version: 4 });
  client.send({ cmd: "pingreq" });
  assert.deepEqual(client.take(), []);
  assert.equal(client.state, "ended");
});

test("onPacketRead refuses: a code that DISCONNECT does not have becomes the nearest", () => {
  const codes: [ReasonCode, string][] = [
    [ReasonCode.Banned, "87"],
    [ReasonCode.BadUserNameOrPassword, "87"],
    [ReasonCode.ServerUnavailable, "89"],
    [ReasonCode.ClientIdentifierNotValid, "82"],
    [ReasonCode.PacketIdentifierNotFound, "82"],
    [ReasonCode.Success, "80"],
  ];
  for (const [code, shown] of codes) {
    const stage = new Stage({
      hooks: [
        {
          name: "h",
          onPacketRead: (_, packet) => (packet.type === PacketType.PINGREQ ? refuse(code, "r") : undefined),
        },
      ],
    });
    const client = stage.connect("a");
    client.send({ cmd: "pingreq" });
    assert.deepEqual(client.take(), [`DISCONNECT ${shown} {"reasonString":"r"}`]);
  }
});

test("onPacketRead that throws ends the connection with Implementation specific error", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketRead(_, packet) {
          if (packet.type === PacketType.PINGREQ) throw new Error("x");
          return undefined;
        },
      },
    ],
  });
  const client = stage.connect("a");
  client.send({ cmd: "pingreq" });
  assert.deepEqual(client.take(), ['DISCONNECT 83 {"reasonString":"a hook failed"}']);
});

test("onPacketProcessed is given the error that ended the connection", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketProcessed: (_, packet, error) => void heard.push([nameOf(packet), error?.message]),
      },
    ],
  });
  stage.connect("a").publish("t", "x", { properties: { topicAlias: 65 } });
  assert.deepEqual(heard, [
    ["CONNECT", undefined],
    ["PUBLISH", "Topic Alias 65 is greater than 64"],
  ]);
});

test("onPacketEncode changes what one client is sent, for the hooks after it too", () => {
  const changing = (name: string): Hook => ({
    name,
    onPacketEncode: (client, packet) =>
      packet instanceof Publish && client.clientId === "b"
        ? withPayload(packet, `${Buffer.from(packet.payload)}+${name}`)
        : undefined,
  });
  const stage = new Stage({ hooks: [changing("1"), changing("2")] });
  const a = stage.connect("a").subscribed("t");
  const b = stage.connect("b").subscribed("t", 1);
  const c = stage.connect("c").subscribed("t");
  a.publish("t", "x", { qos: 1 });
  assert.deepEqual(a.take(), ['PUBLISH t "x"', "PUBACK #1"]);
  assert.deepEqual(b.take(), ['PUBLISH t "x+1+2" qos1 #1']);
  assert.deepEqual(c.take(), ['PUBLISH t "x"']);
});

test("onPacketEncode changes an answer", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketEncode: (_, packet) =>
          packet.type === PacketType.CONNACK
            ? { ...packet, properties: { reasonString: "welcome", userProperties: [["site", "7"]] as const } }
            : undefined,
      },
    ],
  });
  assert.deepEqual(stage.dial().take(), ['CONNACK 00 {"reasonString":"welcome","userProperties":{"site":"7"}}']);
});

test("onPacketEncode that throws changes nothing", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketEncode() {
          throw new Error("x");
        },
      },
    ],
  });
  const client = stage.connect("a").subscribed("t");
  client.publish("t", "x");
  assert.deepEqual(client.take(), ['PUBLISH t "x"']);
  assert.equal(client.state, "open");
});

test("onPacketSent is given the bytes as they go out", () => {
  const sent: string[] = [];
  const stage = new Stage({
    hooks: [{ name: "h", onPacketSent: (_, __, bytes) => void sent.push(Buffer.from(bytes).toString("hex")) }],
  });
  const client = stage.connect("a", { version: 4 });
  client.subscribe("t");
  client.publish("t", "x");
  client.send({ cmd: "pingreq" });
  assert.deepEqual(sent, ["20020000", "9003000100", "300400017478", "d000"]);
});

test("onPacketSent does not hear of a packet that was too large for its client", () => {
  const sent: string[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onPacketSent: (_, packet) => void sent.push(nameOf(packet)) }] });
  const client = stage.connect("a", { properties: { maximumPacketSize: 30 } }).subscribed("t");
  sent.length = 0;
  client.publish("t", "x".repeat(40));
  assert.deepEqual(sent, []);
});
