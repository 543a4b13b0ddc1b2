import { octet, SnError } from "./error.ts";
import { FieldReader } from "./fields.ts";
import { Flag, publishQosOf, qosOf, topicIdTypeOf } from "./flags.ts";
import { checkLength, typeAt } from "./length.ts";
import { nameOf } from "./names.ts";
import type { SnPacket } from "./packet.ts";
import { PROTOCOL_ID, type SnTopic, SnType, type SnWill, TopicIdType } from "./types.ts";

/**
 * Reads `bytes`, which must be exactly one message of MQTT-SN 1.2, not in a forwarder's envelope (forwarder.ts).
 * `data`, `message` and `address` are views into `bytes`: copy what has to outlive them.
 * Throws SnError for anything else, whatever the octets are.
 */
export function decodeSn(bytes: Uint8Array): SnPacket {
  checkLength(bytes);
  const type = typeAt(bytes, 0);
  const name = nameOf(type);
  if (name === undefined) throw new SnError("type", `MsgType ${octet(type)} is not one of MQTT-SN 1.2`);
  const reader = new FieldReader(bytes, name);
  const packet = read(type as SnType, reader, name);
  reader.finish();
  return packet;
}

function read(type: SnType, reader: FieldReader, name: string): SnPacket {
  switch (type) {
    case SnType.Advertise:
      return { type, gatewayId: reader.uint8("GwId"), durationSeconds: reader.uint16("Duration") };
    case SnType.SearchGw:
      return { type, radius: reader.uint8("Radius") };
    case SnType.GwInfo:
      return {
        type,
        gatewayId: reader.uint8("GwId"),
        address: reader.remaining > 0 ? reader.octets("GwAdd") : undefined,
      };
    case SnType.Connect:
      return readConnect(reader);
    case SnType.Connack:
    case SnType.WillTopicResp:
    case SnType.WillMsgResp:
      return { type, returnCode: reader.uint8("ReturnCode") };
    case SnType.WillTopic:
    case SnType.WillTopicUpd:
      return { type, will: reader.remaining > 0 ? readWill(reader, name) : undefined };
    case SnType.WillMsg:
    case SnType.WillMsgUpd:
      return { type, message: reader.octets("WillMsg") };
    case SnType.Register:
      return {
        type,
        topicId: reader.uint16("TopicId"),
        messageId: reader.uint16("MsgId"),
        topicName: reader.text("TopicName"),
      };
    case SnType.Regack:
    case SnType.Puback:
      return {
        type,
        topicId: reader.uint16("TopicId"),
        messageId: reader.uint16("MsgId"),
        returnCode: reader.uint8("ReturnCode"),
      };
    case SnType.Publish:
      return readPublish(reader, name);
    case SnType.Pubrec:
    case SnType.Pubrel:
    case SnType.Pubcomp:
    case SnType.Unsuback:
      return { type, messageId: reader.uint16("MsgId") };
    case SnType.Subscribe: {
      const flags = reader.uint8("Flags");
      const messageId = reader.uint16("MsgId");
      const topic = readTopic(reader, flags, name);
      return { type, dup: (flags & Flag.Dup) !== 0, qos: qosOf(flags, name), messageId, topic };
    }
    case SnType.Suback:
      return {
        type,
        qos: qosOf(reader.uint8("Flags"), name),
        topicId: reader.uint16("TopicId"),
        messageId: reader.uint16("MsgId"),
        returnCode: reader.uint8("ReturnCode"),
      };
    case SnType.Unsubscribe: {
      const flags = reader.uint8("Flags");
      return { type, messageId: reader.uint16("MsgId"), topic: readTopic(reader, flags, name) };
    }
    case SnType.Pingreq:
      return { type, clientId: reader.remaining > 0 ? reader.text("ClientId") : undefined };
    case SnType.Disconnect:
      return { type, durationSeconds: reader.remaining > 0 ? reader.uint16("Duration") : undefined };
    case SnType.WillTopicReq:
    case SnType.WillMsgReq:
    case SnType.Pingresp:
      return { type };
  }
}

function readConnect(reader: FieldReader): SnPacket {
  const flags = reader.uint8("Flags");
  const protocolId = reader.uint8("ProtocolId");
  if (protocolId !== PROTOCOL_ID) {
    throw new SnError("protocol", `CONNECT has the ProtocolId ${octet(protocolId)}; that of MQTT-SN 1.2 is 0x01`);
  }
  return {
    type: SnType.Connect,
    will: (flags & Flag.Will) !== 0,
    cleanSession: (flags & Flag.CleanSession) !== 0,
    durationSeconds: reader.uint16("Duration"),
    clientId: reader.text("ClientId"),
  };
}

function readPublish(reader: FieldReader, name: string): SnPacket {
  const flags = reader.uint8("Flags");
  return {
    type: SnType.Publish,
    dup: (flags & Flag.Dup) !== 0,
    qos: publishQosOf(flags),
    retain: (flags & Flag.Retain) !== 0,
    topicIdType: topicIdTypeOf(flags, name),
    topicId: reader.uint16("TopicId"),
    messageId: reader.uint16("MsgId"),
    data: reader.octets("Data"),
  };
}

function readWill(reader: FieldReader, name: string): SnWill {
  const flags = reader.uint8("Flags");
  return { qos: qosOf(flags, name), retain: (flags & Flag.Retain) !== 0, topic: reader.text("WillTopic") };
}

/** A name of two characters may come as Normal, too: the flags say what it is, not its length. */
function readTopic(reader: FieldReader, flags: number, name: string): SnTopic {
  const topicIdType = topicIdTypeOf(flags, name);
  if (topicIdType === TopicIdType.Normal) return { topicIdType, name: reader.text("TopicName") };
  return { topicIdType, topicId: reader.uint16("TopicId") };
}
