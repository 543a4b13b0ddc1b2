/** What other implementations really wrote: each is read as they meant it, and written the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSn } from "../../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../../src/gateway/mqttsn/codec/encode.ts";
import { decodeEncapsulated, encodeEncapsulated } from "../../../../src/gateway/mqttsn/codec/forwarder.ts";
import type { SnPacket } from "../../../../src/gateway/mqttsn/codec/packet.ts";
import { bytesOf, hexOf } from "../../../codec/kit.ts";

/** Eclipse Paho's MQTTSNPacket, called with these values; types in decimal. */
const PAHO: readonly [name: string, octets: string, packet: SnPacket][] = [
  ["ADVERTISE", "05001103e8", { type: 0, gatewayId: 17, durationSeconds: 1000 }],
  ["SEARCHGW", "030105", { type: 1, radius: 5 }],
  ["GWINFO", "0302c8", { type: 2, gatewayId: 200, address: undefined }],
  [
    "GWINFO with an address",
    "0702c8c0a80001",
    { type: 2, gatewayId: 200, address: Uint8Array.of(0xc0, 0xa8, 0x00, 0x01) },
  ],
  [
    "CONNECT with will, kept session",
    "0e040801012c476572c3a4742d37",
    { type: 4, will: true, cleanSession: false, durationSeconds: 300, clientId: "Gerät-7" },
  ],
  [
    "CONNECT, clean, 30 characters",
    "240404010000612d636c69656e742d776974682d33302d636861726163746572732d6964",
    { type: 4, will: false, cleanSession: true, durationSeconds: 0, clientId: "a-client-with-30-characters-id" },
  ],
  ["CONNACK", "030502", { type: 5, returnCode: 2 }],
  ["WILLTOPICREQ", "0206", { type: 6 }],
  ["WILLTOPIC", "0d072077696c6c2f746f706963", { type: 7, will: { qos: 1, retain: false, topic: "will/topic" } }],
  ["WILLTOPIC without a topic", "030710", { type: 7, will: { qos: 0, retain: true, topic: "" } }],
  ["WILLMSGREQ", "0208", { type: 8 }],
  ["WILLMSG", "0609676f6e65", { type: 9, message: Uint8Array.of(0x67, 0x6f, 0x6e, 0x65) }],
  [
    "REGISTER",
    "140a0000020173656e736f72732fe6b8a9e5baa6",
    { type: 10, topicId: 0, messageId: 513, topicName: "sensors/温度" },
  ],
  ["REGACK", "070b0102020100", { type: 11, topicId: 258, messageId: 513, returnCode: 0 }],
  [
    "PUBLISH, QoS 0, retained",
    "0b0c100102000032312e35",
    {
      type: 12,
      dup: false,
      qos: 0,
      retain: true,
      topicIdType: 0,
      topicId: 258,
      messageId: 0,
      data: Uint8Array.of(0x32, 0x31, 0x2e, 0x35),
    },
  ],
  [
    "PUBLISH, QoS 1, again",
    "0b0ca10003ffff32312e35",
    {
      type: 12,
      dup: true,
      qos: 1,
      retain: false,
      topicIdType: 1,
      topicId: 3,
      messageId: 65535,
      data: Uint8Array.of(0x32, 0x31, 0x2e, 0x35),
    },
  ],
  [
    "PUBLISH, QoS 2, short name",
    "070c427a481234",
    {
      type: 12,
      dup: false,
      qos: 2,
      retain: false,
      topicIdType: 2,
      topicId: 31304,
      messageId: 4660,
      data: Uint8Array.of(),
    },
  ],
  [
    "PUBLISH, QoS -1",
    "090c710009000000ff",
    {
      type: 12,
      dup: false,
      qos: -1,
      retain: true,
      topicIdType: 1,
      topicId: 9,
      messageId: 0,
      data: Uint8Array.of(0x00, 0xff),
    },
  ],
  ["PUBACK", "070d0102020103", { type: 13, topicId: 258, messageId: 513, returnCode: 3 }],
  ["PUBCOMP", "040e1234", { type: 14, messageId: 4660 }],
  ["PUBREC", "040f1235", { type: 15, messageId: 4661 }],
  ["PUBREL", "04101236", { type: 16, messageId: 4662 }],
  [
    "SUBSCRIBE to a name",
    "0e12c0004d2b2f616c61726d2f23",
    { type: 18, dup: true, qos: 2, messageId: 77, topic: { topicIdType: 0, name: "+/alarm/#" } },
  ],
  [
    "SUBSCRIBE to a predefined topic id",
    "071221004e012c",
    { type: 18, dup: false, qos: 1, messageId: 78, topic: { topicIdType: 1, topicId: 300 } },
  ],
  [
    "SUBSCRIBE to a short name",
    "071202004f7a48",
    { type: 18, dup: false, qos: 0, messageId: 79, topic: { topicIdType: 2, topicId: 31304 } },
  ],
  ["SUBACK", "081340012c004e00", { type: 19, qos: 2, topicId: 300, messageId: 78, returnCode: 0 }],
  [
    "UNSUBSCRIBE from a name",
    "0e140000502b2f616c61726d2f23",
    { type: 20, messageId: 80, topic: { topicIdType: 0, name: "+/alarm/#" } },
  ],
  [
    "UNSUBSCRIBE from a predefined topic id",
    "0714010051012c",
    { type: 20, messageId: 81, topic: { topicIdType: 1, topicId: 300 } },
  ],
  [
    "UNSUBSCRIBE from a short name",
    "07140200527a48",
    { type: 20, messageId: 82, topic: { topicIdType: 2, topicId: 31304 } },
  ],
  ["UNSUBACK", "04150050", { type: 21, messageId: 80 }],
  ["PINGREQ", "0216", { type: 22, clientId: undefined }],
  ["PINGREQ with a client id", "0a16476572c3a4742d37", { type: 22, clientId: "Gerät-7" }],
  ["PINGRESP", "0217", { type: 23 }],
  ["DISCONNECT", "0218", { type: 24, durationSeconds: undefined }],
  ["DISCONNECT to sleep", "04180056", { type: 24, durationSeconds: 86 }],
  ["WILLTOPICUPD", "0d1a506f746865722f77696c6c", { type: 26, will: { qos: 2, retain: true, topic: "other/will" } }],
  ["WILLTOPICRESP", "031b01", { type: 27, returnCode: 1 }],
  ["WILLMSGUPD", "061c6c6f7374", { type: 28, message: Uint8Array.of(0x6c, 0x6f, 0x73, 0x74) }],
  ["WILLMSGRESP", "031d02", { type: 29, returnCode: 2 }],
];

for (const [name, octets, packet] of PAHO) {
  test(`Paho's ${name} is read, and written the same`, () => {
    assert.deepEqual(decodeSn(bytesOf(octets)), packet);
    assert.equal(hexOf(encodeSn(packet)), hexOf(bytesOf(octets)));
  });
}

/** Datagrams of mqtt-sn-pub and mqtt-sn-sub of mqtt-sn-tools, in the envelope of a forwarder (--fe), and what they say. */
const TOOLS: readonly [command: string, octets: string, nodeId: string, packet: SnPacket][] = [
  [
    "mqtt-sn-pub --wlnid f00d -i t3",
    "07fe006630306408040401000a7433",
    "f00d",
    { type: 0x04, will: false, cleanSession: true, durationSeconds: 10, clientId: "t3" },
  ],
  [
    "mqtt-sn-pub --wlnid f00d -T 9 -m y -q 1",
    "07fe0066303064080c210009000179",
    "f00d",
    {
      type: 0x0c,
      dup: false,
      qos: 1,
      retain: false,
      topicIdType: 1,
      topicId: 9,
      messageId: 1,
      data: Uint8Array.of(0x79),
    },
  ],
  [
    "mqtt-sn-sub -t long/topic",
    "06fe003836320f120000016c6f6e672f746f706963",
    "862",
    { type: 0x12, dup: false, qos: 0, messageId: 1, topic: { topicIdType: 0, name: "long/topic" } },
  ],
  ["mqtt-sn-sub, at its end", "06fe003836320218", "862", { type: 0x18, durationSeconds: undefined }],
];

for (const [command, octets, nodeId, packet] of TOOLS) {
  test(`what ${command} sends through a forwarder is read, and written the same`, () => {
    const { radius, nodeId: node, message } = decodeEncapsulated(bytesOf(octets));
    assert.equal(radius, 0);
    assert.equal(hexOf(node), hexOf(bytesOf(`'${nodeId}'`)));
    assert.deepEqual(decodeSn(message), packet);
    assert.equal(hexOf(encodeEncapsulated(0, node, encodeSn(packet))), hexOf(bytesOf(octets)));
  });
}

test("Paho puts the name before the data of a QoS -1 PUBLISH with a normal topic id: its length is the topic id", () => {
  assert.deepEqual(decodeSn(bytesOf("0c 0c 60 0003 0000 'a/b' 3231")), {
    type: 0x0c,
    dup: false,
    qos: -1,
    retain: false,
    topicIdType: 0,
    topicId: 3,
    messageId: 0,
    data: bytesOf("'a/b21'"),
  });
});
