/** MsgType, MQTT-SN 1.2 §5.2.2, Table 3. The encapsulation of a forwarder, 0xFE, is no message of its own: forwarder.ts. */
export const SnType = {
  Advertise: 0x00,
  SearchGw: 0x01,
  GwInfo: 0x02,
  Connect: 0x04,
  Connack: 0x05,
  WillTopicReq: 0x06,
  WillTopic: 0x07,
  WillMsgReq: 0x08,
  WillMsg: 0x09,
  Register: 0x0a,
  Regack: 0x0b,
  Publish: 0x0c,
  Puback: 0x0d,
  Pubcomp: 0x0e,
  Pubrec: 0x0f,
  Pubrel: 0x10,
  Subscribe: 0x12,
  Suback: 0x13,
  Unsubscribe: 0x14,
  Unsuback: 0x15,
  Pingreq: 0x16,
  Pingresp: 0x17,
  Disconnect: 0x18,
  WillTopicUpd: 0x1a,
  WillTopicResp: 0x1b,
  WillMsgUpd: 0x1c,
  WillMsgResp: 0x1d,
} as const;
export type SnType = (typeof SnType)[keyof typeof SnType];

/** ProtocolId of a CONNECT, §5.3.8: 1.2 has this alone. */
export const PROTOCOL_ID = 0x01;

/** TopicIdType of the Flags, §5.3.4. Normal is a registered id, but a whole name in SUBSCRIBE and UNSUBSCRIBE. */
export const TopicIdType = { Normal: 0, Predefined: 1, Short: 2 } as const;
export type TopicIdType = (typeof TopicIdType)[keyof typeof TopicIdType];

/** ReturnCode, §5.3.10, Table 5; 0x04 to 0xFF are reserved. */
export const SnReturnCode = { Accepted: 0, Congestion: 1, InvalidTopicId: 2, NotSupported: 3 } as const;
export type SnReturnCode = (typeof SnReturnCode)[keyof typeof SnReturnCode];

/** -1 is a PUBLISH that needs no connection and gets no answer, §6.8; nothing else has it. */
export type SnQos = -1 | 0 | 1 | 2;

/** What a SUBSCRIBE or UNSUBSCRIBE is about. The two octets of a short name are its number, high octet first. */
export type SnTopic = { topicIdType: 0; name: string } | { topicIdType: 1 | 2; topicId: number };

/** Of WILLTOPIC and WILLTOPICUPD; the message of the will comes on its own. */
export interface SnWill {
  qos: 0 | 1 | 2;
  retain: boolean;
  /** Some clients cannot write the empty message that removes a will, and send a topic of no characters instead. */
  topic: string;
}
