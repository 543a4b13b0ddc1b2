import type { SnQos, SnTopic, SnType, SnWill, TopicIdType } from "./types.ts";

/**
 * The messages of MQTT-SN 1.2, §5.4, as values. Numbers are what their fields hold: `gatewayId`, `radius` and
 * `returnCode` 0 to 255, the others 0 to 65,535. Reserved values among them are not the codec's to judge: topic ids 0 and
 * 0xFFFF, return codes from 4 on (no acceptance, whatever they mean), message identifier 0, names without characters.
 */
export type SnPacket =
  | SnAdvertise
  | SnSearchGw
  | SnGwInfo
  | SnConnect
  | SnConnack
  | SnWillTopicReq
  | SnWillTopic
  | SnWillMsgReq
  | SnWillMsg
  | SnRegister
  | SnRegack
  | SnPublish
  | SnPuback
  | SnPubrec
  | SnPubrel
  | SnPubcomp
  | SnSubscribe
  | SnSuback
  | SnUnsubscribe
  | SnUnsuback
  | SnPingreq
  | SnPingresp
  | SnDisconnect
  | SnWillTopicUpd
  | SnWillTopicResp
  | SnWillMsgUpd
  | SnWillMsgResp;

type TypeOf<Name extends keyof typeof SnType> = (typeof SnType)[Name];

/** §5.4.1 */
export interface SnAdvertise {
  type: TypeOf<"Advertise">;
  gatewayId: number;
  /** Until the next ADVERTISE of this gateway. */
  durationSeconds: number;
}

/** §5.4.2 */
export interface SnSearchGw {
  type: TypeOf<"SearchGw">;
  /** Hops; 0 reaches all, §5.3.9. */
  radius: number;
}

/** §5.4.3 */
export interface SnGwInfo {
  type: TypeOf<"GwInfo">;
  gatewayId: number;
  /** Of the gateway, when a client answers in its place; undefined when the gateway itself does. */
  address: Uint8Array | undefined;
}

/** §5.4.4. Its Protocol Id is 1, or it is no CONNECT of 1.2. */
export interface SnConnect {
  type: TypeOf<"Connect">;
  will: boolean;
  cleanSession: boolean;
  /** The keep-alive time. */
  durationSeconds: number;
  /** §5.3.1 has 1 to 23 characters. Clients send none and more: the gateway decides, as for MQTT 3.1.1. */
  clientId: string;
}

/** §5.4.5 */
export interface SnConnack {
  type: TypeOf<"Connack">;
  returnCode: number;
}

/** §5.4.6 */
export interface SnWillTopicReq {
  type: TypeOf<"WillTopicReq">;
}

/** §5.4.7 */
export interface SnWillTopic {
  type: TypeOf<"WillTopic">;
  /** undefined removes the will. */
  will: SnWill | undefined;
}

/** §5.4.8 */
export interface SnWillMsgReq {
  type: TypeOf<"WillMsgReq">;
}

/** §5.4.9 */
export interface SnWillMsg {
  type: TypeOf<"WillMsg">;
  message: Uint8Array;
}

/** §5.4.10 */
export interface SnRegister {
  type: TypeOf<"Register">;
  /** 0 from a client: it asks for one. */
  topicId: number;
  messageId: number;
  topicName: string;
}

/** §5.4.11 */
export interface SnRegack {
  type: TypeOf<"Regack">;
  topicId: number;
  messageId: number;
  returnCode: number;
}

/** §5.4.12 */
export interface SnPublish {
  type: TypeOf<"Publish">;
  dup: boolean;
  qos: SnQos;
  retain: boolean;
  /** With QoS -1 it should not be Normal, §6.8; Paho's clients then put a name before the data, `topicId` octets long. */
  topicIdType: TopicIdType;
  /** Of a short name its two octets, high octet first. */
  topicId: number;
  /** 0 for QoS 0 and -1, says the standard; not every client does. */
  messageId: number;
  data: Uint8Array;
}

/** §5.4.13 */
export interface SnPuback {
  type: TypeOf<"Puback">;
  topicId: number;
  messageId: number;
  returnCode: number;
}

/** §5.4.14 */
export interface SnPubrec {
  type: TypeOf<"Pubrec">;
  messageId: number;
}

/** §5.4.14 */
export interface SnPubrel {
  type: TypeOf<"Pubrel">;
  messageId: number;
}

/** §5.4.14 */
export interface SnPubcomp {
  type: TypeOf<"Pubcomp">;
  messageId: number;
}

/** §5.4.15 */
export interface SnSubscribe {
  type: TypeOf<"Subscribe">;
  dup: boolean;
  qos: 0 | 1 | 2;
  messageId: number;
  topic: SnTopic;
}

/** §5.4.16 */
export interface SnSuback {
  type: TypeOf<"Suback">;
  /** What is granted. */
  qos: 0 | 1 | 2;
  /** 0 for a filter with wildcards, §6.9. */
  topicId: number;
  messageId: number;
  returnCode: number;
}

/** §5.4.17 */
export interface SnUnsubscribe {
  type: TypeOf<"Unsubscribe">;
  messageId: number;
  topic: SnTopic;
}

/** §5.4.18 */
export interface SnUnsuback {
  type: TypeOf<"Unsuback">;
  messageId: number;
}

/** §5.4.19 */
export interface SnPingreq {
  type: TypeOf<"Pingreq">;
  /** Of a sleeping client that wakes to fetch its messages; undefined otherwise. */
  clientId: string | undefined;
}

/** §5.4.20 */
export interface SnPingresp {
  type: TypeOf<"Pingresp">;
}

/** §5.4.21 */
export interface SnDisconnect {
  type: TypeOf<"Disconnect">;
  /** For so long the client sleeps; undefined when it goes, and from a gateway. */
  durationSeconds: number | undefined;
}

/** §5.4.22 */
export interface SnWillTopicUpd {
  type: TypeOf<"WillTopicUpd">;
  /** undefined removes the will, its message too. */
  will: SnWill | undefined;
}

/** §5.4.24 */
export interface SnWillTopicResp {
  type: TypeOf<"WillTopicResp">;
  returnCode: number;
}

/** §5.4.23 */
export interface SnWillMsgUpd {
  type: TypeOf<"WillMsgUpd">;
  message: Uint8Array;
}

/** §5.4.25 */
export interface SnWillMsgResp {
  type: TypeOf<"WillMsgResp">;
  returnCode: number;
}
