import { PacketType, type ProtocolVersion, type Qos } from "./constants.ts";
import type {
  AuthReasonCode,
  ConnackReasonCode,
  ConnectReturnCode,
  DisconnectReasonCode,
  PubackReasonCode,
  PubrelReasonCode,
  SubackReasonCode,
  UnsubackReasonCode,
} from "./reason.ts";

/** Name and value; a name may appear more than once and the order is kept, 5.0 [MQTT-3.3.2-18]. */
export type UserProperty = readonly [name: string, value: string];

/** Properties of an Application Message, 5.0 §3.3.2.3; a will carries all but the alias and the identifiers. */
export interface PublishProperties {
  payloadFormatIndicator?: 0 | 1;
  /** Seconds, 0 to 4,294,967,295. */
  messageExpiryInterval?: number;
  topicAlias?: number;
  responseTopic?: string;
  correlationData?: Uint8Array;
  subscriptionIdentifiers?: readonly number[];
  userProperties?: readonly UserProperty[];
  contentType?: string;
}

export interface WillProperties extends Omit<PublishProperties, "topicAlias" | "subscriptionIdentifiers"> {
  /** Seconds, 0 to 4,294,967,295, §3.1.3.2.2. */
  willDelayInterval?: number;
}

export interface ConnectProperties {
  /** Seconds; 4,294,967,295 never expires, §3.1.2.11.2. */
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
  maximumPacketSize?: number;
  topicAliasMaximum?: number;
  requestResponseInformation?: 0 | 1;
  requestProblemInformation?: 0 | 1;
  userProperties?: readonly UserProperty[];
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
}

export interface ConnackProperties {
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
  maximumQos?: 0 | 1;
  retainAvailable?: 0 | 1;
  maximumPacketSize?: number;
  assignedClientIdentifier?: string;
  topicAliasMaximum?: number;
  reasonString?: string;
  userProperties?: readonly UserProperty[];
  wildcardSubscriptionAvailable?: 0 | 1;
  subscriptionIdentifiersAvailable?: 0 | 1;
  sharedSubscriptionAvailable?: 0 | 1;
  serverKeepAlive?: number;
  responseInformation?: string;
  serverReference?: string;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
}

/** Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK. */
export interface AcknowledgementProperties {
  reasonString?: string;
  userProperties?: readonly UserProperty[];
}

export interface SubscribeProperties {
  /** 1 to 268,435,455. */
  subscriptionIdentifier?: number;
  userProperties?: readonly UserProperty[];
}

export interface UnsubscribeProperties {
  userProperties?: readonly UserProperty[];
}

export interface DisconnectProperties {
  sessionExpiryInterval?: number;
  reasonString?: string;
  userProperties?: readonly UserProperty[];
  serverReference?: string;
}

export interface AuthProperties {
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  reasonString?: string;
  userProperties?: readonly UserProperty[];
}

export interface Will {
  topicName: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: WillProperties;
}

export interface Connect {
  type: typeof PacketType.CONNECT;
  protocolVersion: ProtocolVersion;
  /** Clean Session in 3.1 and 3.1.1. */
  cleanStart: boolean;
  keepAliveSeconds: number;
  clientId: string;
  will: Will | undefined;
  userName: string | undefined;
  password: Uint8Array | undefined;
  properties: ConnectProperties;
  /** Bit 7 of the level byte, by which bridges of some brokers announce themselves to a 3.x server. */
  bridge: boolean;
}

export interface Connack {
  type: typeof PacketType.CONNACK;
  sessionPresent: boolean;
  /** A Reason Code for 5.0, a Connect Return code for 3.x. */
  reasonCode: ConnackReasonCode | ConnectReturnCode;
  properties: ConnackProperties;
}

/** What all PUBLISH packets and messages without properties share, so that one test tells there are none. */
export const NO_PROPERTIES: Readonly<Record<string, never>> = Object.freeze({});

/**
 * A PUBLISH. Always built by this constructor, so that all of them have one shape.
 * The payload is a range of `bytes`: of the receive buffer while the packet is handled, of its own
 * bytes after `keep()`.
 */
export class Publish {
  readonly type = PacketType.PUBLISH;
  /** "" when only a Topic Alias names the topic. */
  topicName: string;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  /** 0 for QoS 0. */
  packetIdentifier: number;
  properties: PublishProperties;
  bytes: Uint8Array;
  payloadStart: number;
  payloadEnd: number;

  constructor(
    topicName: string,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetIdentifier: number,
    properties: PublishProperties,
    bytes: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
  ) {
    this.topicName = topicName;
    this.qos = qos;
    this.retain = retain;
    this.dup = dup;
    this.packetIdentifier = packetIdentifier;
    this.properties = properties;
    this.bytes = bytes;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
  }

  /** A view, valid as long as `bytes` is. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  set payload(payload: Uint8Array) {
    this.bytes = payload;
    this.payloadStart = 0;
    this.payloadEnd = payload.length;
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }
}

export interface Puback {
  type: typeof PacketType.PUBACK;
  packetIdentifier: number;
  reasonCode: PubackReasonCode;
  properties: AcknowledgementProperties;
}

export interface Pubrec {
  type: typeof PacketType.PUBREC;
  packetIdentifier: number;
  reasonCode: PubackReasonCode;
  properties: AcknowledgementProperties;
}

export interface Pubrel {
  type: typeof PacketType.PUBREL;
  packetIdentifier: number;
  reasonCode: PubrelReasonCode;
  properties: AcknowledgementProperties;
}

export interface Pubcomp {
  type: typeof PacketType.PUBCOMP;
  packetIdentifier: number;
  reasonCode: PubrelReasonCode;
  properties: AcknowledgementProperties;
}

/** Retain Handling, 5.0 §3.8.3.1. */
export const RetainHandling = { SendAtSubscribe: 0, SendIfNew: 1, DoNotSend: 2 } as const;
export type RetainHandling = (typeof RetainHandling)[keyof typeof RetainHandling];

/** One Topic Filter and its Subscription Options; 3.x has the QoS alone, the rest are then false and 0. */
export interface SubscribeEntry {
  topicFilter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: RetainHandling;
}

export interface Subscribe {
  type: typeof PacketType.SUBSCRIBE;
  packetIdentifier: number;
  entries: SubscribeEntry[];
  properties: SubscribeProperties;
}

export interface Suback {
  type: typeof PacketType.SUBACK;
  packetIdentifier: number;
  /** For 3.x every code from 0x80 on is written as 0x80. */
  reasonCodes: SubackReasonCode[];
  properties: AcknowledgementProperties;
}

export interface Unsubscribe {
  type: typeof PacketType.UNSUBSCRIBE;
  packetIdentifier: number;
  topicFilters: string[];
  properties: UnsubscribeProperties;
}

export interface Unsuback {
  type: typeof PacketType.UNSUBACK;
  packetIdentifier: number;
  /** Not on the wire of 3.x. */
  reasonCodes: UnsubackReasonCode[];
  properties: AcknowledgementProperties;
}

export interface Pingreq {
  type: typeof PacketType.PINGREQ;
}

export interface Pingresp {
  type: typeof PacketType.PINGRESP;
}

export interface Disconnect {
  type: typeof PacketType.DISCONNECT;
  /** Not on the wire of 3.x. */
  reasonCode: DisconnectReasonCode;
  properties: DisconnectProperties;
}

/** 5.0 only. */
export interface Auth {
  type: typeof PacketType.AUTH;
  reasonCode: AuthReasonCode;
  properties: AuthProperties;
}

export type Packet =
  | Connect
  | Connack
  | Publish
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Suback
  | Unsubscribe
  | Unsuback
  | Pingreq
  | Pingresp
  | Disconnect
  | Auth;
