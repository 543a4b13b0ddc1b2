import { encodeUtf8 } from "../../../codec/text.ts";
import { FieldWriter } from "./fields.ts";
import { Flag, flag, qosFlags } from "./flags.ts";
import type { SnPacket } from "./packet.ts";
import { PROTOCOL_ID, type SnTopic, SnType, type SnWill, TopicIdType } from "./types.ts";

const NO_OCTETS = new Uint8Array(0);

/**
 * The octets of one message, §5.4, with a Length of one octet up to 255 octets in all and of three above.
 * Throws RangeError when the message is longer than 65,535 octets or a number does not fit its field.
 * Lone surrogates in texts, which have no encoding, become U+FFFD.
 */
export function encodeSn(packet: SnPacket): Uint8Array {
  const { type } = packet;
  switch (type) {
    case SnType.Advertise:
      return new FieldWriter(type, 3).uint8(packet.gatewayId).uint16(packet.durationSeconds).bytes;
    case SnType.SearchGw:
      return new FieldWriter(type, 1).uint8(packet.radius).bytes;
    case SnType.GwInfo: {
      const { gatewayId, address = NO_OCTETS } = packet;
      return new FieldWriter(type, 1 + address.length).uint8(gatewayId).octets(address).bytes;
    }
    case SnType.Connect: {
      const clientId = encodeUtf8(packet.clientId);
      const flags = flag(Flag.Will, packet.will) | flag(Flag.CleanSession, packet.cleanSession);
      const writer = new FieldWriter(type, 4 + clientId.length).uint8(flags).uint8(PROTOCOL_ID);
      return writer.uint16(packet.durationSeconds).octets(clientId).bytes;
    }
    case SnType.Connack:
    case SnType.WillTopicResp:
    case SnType.WillMsgResp:
      return new FieldWriter(type, 1).uint8(packet.returnCode).bytes;
    case SnType.WillTopic:
    case SnType.WillTopicUpd:
      return encodeWill(type, packet.will);
    case SnType.WillMsg:
    case SnType.WillMsgUpd:
      return new FieldWriter(type, packet.message.length).octets(packet.message).bytes;
    case SnType.Register: {
      const topicName = encodeUtf8(packet.topicName);
      const writer = new FieldWriter(type, 4 + topicName.length);
      return writer.uint16(packet.topicId).uint16(packet.messageId).octets(topicName).bytes;
    }
    case SnType.Regack:
    case SnType.Puback: {
      const { topicId, messageId, returnCode } = packet;
      return new FieldWriter(type, 5).uint16(topicId).uint16(messageId).uint8(returnCode).bytes;
    }
    case SnType.Publish: {
      const { dup, qos, retain, topicIdType, topicId, messageId, data } = packet;
      const flags = flag(Flag.Dup, dup) | qosFlags(qos) | flag(Flag.Retain, retain) | topicIdType;
      const writer = new FieldWriter(type, 5 + data.length).uint8(flags);
      return writer.uint16(topicId).uint16(messageId).octets(data).bytes;
    }
    case SnType.Pubrec:
    case SnType.Pubrel:
    case SnType.Pubcomp:
    case SnType.Unsuback:
      return new FieldWriter(type, 2).uint16(packet.messageId).bytes;
    case SnType.Subscribe:
      return encodeTopic(type, flag(Flag.Dup, packet.dup) | qosFlags(packet.qos), packet.messageId, packet.topic);
    case SnType.Suback: {
      const { qos, topicId, messageId, returnCode } = packet;
      const writer = new FieldWriter(type, 6).uint8(qosFlags(qos));
      return writer.uint16(topicId).uint16(messageId).uint8(returnCode).bytes;
    }
    case SnType.Unsubscribe:
      return encodeTopic(type, 0, packet.messageId, packet.topic);
    case SnType.Pingreq: {
      const clientId = encodeUtf8(packet.clientId ?? "");
      return new FieldWriter(type, clientId.length).octets(clientId).bytes;
    }
    case SnType.Disconnect:
      if (packet.durationSeconds === undefined) return new FieldWriter(type, 0).bytes;
      return new FieldWriter(type, 2).uint16(packet.durationSeconds).bytes;
    case SnType.WillTopicReq:
    case SnType.WillMsgReq:
    case SnType.Pingresp:
      return new FieldWriter(type, 0).bytes;
  }
}

function encodeWill(type: SnType, will: SnWill | undefined): Uint8Array {
  if (will === undefined) return new FieldWriter(type, 0).bytes;
  const topic = encodeUtf8(will.topic);
  const flags = qosFlags(will.qos) | flag(Flag.Retain, will.retain);
  return new FieldWriter(type, 1 + topic.length).uint8(flags).octets(topic).bytes;
}

/** SUBSCRIBE or UNSUBSCRIBE, §5.4.15 and §5.4.17; `flags` without the TopicIdType. */
function encodeTopic(type: SnType, flags: number, messageId: number, topic: SnTopic): Uint8Array {
  if (topic.topicIdType === TopicIdType.Normal) {
    const name = encodeUtf8(topic.name);
    return new FieldWriter(type, 3 + name.length).uint8(flags).uint16(messageId).octets(name).bytes;
  }
  const writer = new FieldWriter(type, 5).uint8(flags | topic.topicIdType);
  return writer.uint16(messageId).uint16(topic.topicId).bytes;
}
