/** What is no message of MQTT-SN 1.2: each with the reason that the gateway counts, and one sentence of why. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSn } from "../../../../src/gateway/mqttsn/codec/decode.ts";
import { SnError, type SnErrorReason } from "../../../../src/gateway/mqttsn/codec/error.ts";
import { bytesOf } from "../../../codec/kit.ts";

const REFUSED: readonly [name: string, line: string, reason: SnErrorReason, message: RegExp][] = [
  ["nothing", "", "truncated", /^0 octets do not hold a whole header$/],
  ["one octet", "02", "truncated", /^1 octets do not hold/],
  ["a long Length without its MsgType", "01 0004", "truncated", /^3 octets do not hold/],
  ["Length 0", "00 17", "length", /begins with these octets: 0x00 0x17$/],
  ["a long Length that does not count itself", "01 0003 17", "length", /0x01 0x00 0x03 0x17$/],
  ["a Length of more than is here", "06 16 'nod'", "truncated", /^Length says 6 octets, but only 5 are here$/],
  ["a Length of less than is here", "05 16 'node'", "overlong", /^1 octets follow the 5 that Length says$/],
  ["two messages at once", "02 17 02 17", "overlong", /^2 octets follow the 2/],
  ["the reserved MsgType 0x03", "02 03", "type", /^MsgType 0x03 is not one of MQTT-SN 1\.2$/],
  ["the reserved MsgType 0x11", "04 11 0001", "type", /0x11/],
  ["the reserved MsgType 0x19", "02 19", "type", /0x19/],
  ["the reserved MsgType 0x1e", "02 1e", "type", /0x1e/],
  ["the reserved MsgType 0xff", "02 ff", "type", /0xff/],
  ["a message in the envelope of a forwarder", "04 fe 00 01 02 17", "type", /0xfe/],

  ["ADVERTISE without its Duration", "03 00 07", "truncated", /^ADVERTISE ends before its Duration does$/],
  ["ADVERTISE with half its Duration", "04 00 07 03", "truncated", /^ADVERTISE ends before its Duration does$/],
  ["ADVERTISE that goes on", "06 00 07 0384 00", "overlong", /^1 octets follow the last field of ADVERTISE$/],
  ["SEARCHGW without its Radius", "02 01", "truncated", /SEARCHGW .* Radius/],
  ["SEARCHGW that goes on", "04 01 00 00", "overlong", /SEARCHGW/],
  ["GWINFO without its GwId", "02 02", "truncated", /GWINFO .* GwId/],

  ["CONNECT without anything", "02 04", "truncated", /CONNECT .* Flags/],
  ["CONNECT without its ProtocolId", "03 04 04", "truncated", /CONNECT .* ProtocolId/],
  ["CONNECT with half its Duration", "05 04 04 01 00", "truncated", /CONNECT .* Duration/],
  ["CONNECT with ProtocolId 0", "07 04 04 00 003c 'n'", "protocol", /^CONNECT has the ProtocolId 0x00; that of/],
  ["CONNECT with ProtocolId 2", "07 04 04 02 003c 'n'", "protocol", /ProtocolId 0x02/],
  [
    "CONNECT whose client id is not UTF-8",
    "08 04 04 01 003c ff 'n'",
    "text",
    /^ClientId of CONNECT: .*not well-formed/,
  ],
  ["CONNECT whose client id has U+0000", "08 04 04 01 003c 'n' 00", "text", /^ClientId of CONNECT: .*U\+0000$/],

  ["CONNACK without its ReturnCode", "02 05", "truncated", /CONNACK .* ReturnCode/],
  ["CONNACK that goes on", "04 05 00 00", "overlong", /CONNACK/],
  ["WILLTOPICREQ that goes on", "03 06 00", "overlong", /WILLTOPICREQ/],
  [
    "WILLTOPIC with QoS -1",
    "04 07 60 't'",
    "flags",
    /^WILLTOPIC has QoS -1 in its Flags 0x60, which only PUBLISH may$/,
  ],
  ["WILLTOPIC with half a character", "04 07 00 c3", "text", /^WillTopic of WILLTOPIC/],
  ["WILLMSGREQ that goes on", "03 08 00", "overlong", /WILLMSGREQ/],

  ["REGISTER without its MsgId", "04 0a 0000", "truncated", /REGISTER .* MsgId/],
  ["REGISTER whose name has a surrogate", "09 0a 0000 0001 eda080", "text", /^TopicName of REGISTER/],
  ["REGISTER whose name is longer than it must be", "08 0a 0000 0001 c080", "text", /^TopicName of REGISTER/],
  ["REGACK without its ReturnCode", "06 0b 0001 0001", "truncated", /REGACK .* ReturnCode/],
  ["REGACK that goes on", "08 0b 0001 0001 00 00", "overlong", /REGACK/],

  ["PUBLISH without its MsgId", "05 0c 00 0001", "truncated", /PUBLISH .* MsgId/],
  ["PUBLISH with half its MsgId", "06 0c 00 0001 00", "truncated", /PUBLISH .* MsgId/],
  ["PUBLISH with TopicIdType 3", "07 0c 23 0001 0001", "flags", /^PUBLISH has the reserved TopicIdType 3 .* 0x23$/],
  ["PUBACK without its ReturnCode", "06 0d 0001 0001", "truncated", /PUBACK .* ReturnCode/],
  ["PUBCOMP with half its MsgId", "03 0e 01", "truncated", /PUBCOMP .* MsgId/],
  ["PUBREC that goes on", "05 0f 0001 00", "overlong", /PUBREC/],
  ["PUBREL without its MsgId", "02 10", "truncated", /PUBREL .* MsgId/],

  ["SUBSCRIBE with TopicIdType 3", "07 12 03 0001 0001", "flags", /^SUBSCRIBE has the reserved TopicIdType 3/],
  ["SUBSCRIBE with QoS -1", "07 12 60 0001 'ab'", "flags", /^SUBSCRIBE has QoS -1/],
  ["SUBSCRIBE with half a topic id", "06 12 01 0001 00", "truncated", /SUBSCRIBE .* TopicId/],
  ["SUBSCRIBE with a short name of three octets", "08 12 02 0001 'abc'", "overlong", /SUBSCRIBE/],
  ["SUBSCRIBE with a short name of one octet", "06 12 02 0001 'a'", "truncated", /SUBSCRIBE .* TopicId/],
  ["SUBSCRIBE whose name is not UTF-8", "06 12 00 0001 ff", "text", /^TopicName of SUBSCRIBE/],
  ["SUBACK with QoS -1", "08 13 60 0001 0001 00", "flags", /^SUBACK has QoS -1/],
  ["SUBACK without its ReturnCode", "07 13 00 0001 0001", "truncated", /SUBACK .* ReturnCode/],
  ["UNSUBSCRIBE with TopicIdType 3", "07 14 03 0001 0001", "flags", /^UNSUBSCRIBE has the reserved TopicIdType 3/],
  ["UNSUBSCRIBE without its MsgId", "03 14 00", "truncated", /UNSUBSCRIBE .* MsgId/],
  ["UNSUBACK that goes on", "05 15 0001 00", "overlong", /UNSUBACK/],

  ["PINGREQ whose client id has U+0000", "03 16 00", "text", /^ClientId of PINGREQ/],
  ["PINGRESP that goes on", "03 17 00", "overlong", /PINGRESP/],
  ["DISCONNECT with half a Duration", "03 18 01", "truncated", /DISCONNECT .* Duration/],
  ["DISCONNECT that goes on", "05 18 0001 00", "overlong", /DISCONNECT/],
  ["WILLTOPICUPD with QoS -1", "04 1a 60 't'", "flags", /^WILLTOPICUPD has QoS -1/],
  ["WILLTOPICRESP without its ReturnCode", "02 1b", "truncated", /WILLTOPICRESP .* ReturnCode/],
  ["WILLMSGRESP that goes on", "04 1d 00 00", "overlong", /WILLMSGRESP/],
];

for (const [name, line, reason, message] of REFUSED) {
  test(`1.2 refuses ${name}`, () => {
    const error = refusalOf(bytesOf(line));
    assert.equal(error.reason, reason);
    assert.equal(error.name, "SnError");
    assert.match(error.message, message);
  });
}

function refusalOf(bytes: Uint8Array): SnError {
  try {
    decodeSn(bytes);
  } catch (error) {
    assert.ok(error instanceof SnError, `not an SnError: ${error}`);
    return error;
  }
  assert.fail("the message was accepted");
}
