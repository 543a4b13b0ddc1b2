import type { ProtocolVersion } from "./constants.ts";

/** Reason Codes of MQTT 5.0, §2.4. One name for each meaning; 0x00 has three names, by the packet that carries it. */
export const ReasonCode = {
  Success: 0x00,
  NormalDisconnection: 0x00,
  GrantedQos0: 0x00,
  GrantedQos1: 0x01,
  GrantedQos2: 0x02,
  DisconnectWithWill: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QosNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const;
export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode];

type ReasonName = keyof typeof ReasonCode;
type Code<Name extends ReasonName> = (typeof ReasonCode)[Name];

/** Makes the test of one packet: may it carry this number? From the same list as its type, so the two agree. */
function carries<Name extends ReasonName>(names: readonly Name[]): (code: number) => code is Code<Name> {
  const codes = new Set<number>(names.map((name) => ReasonCode[name]));
  return (code): code is Code<Name> => codes.has(code);
}

/** §3.2.2.2 */
const CONNACK_NAMES = [
  "Success",
  "UnspecifiedError",
  "MalformedPacket",
  "ProtocolError",
  "ImplementationSpecificError",
  "UnsupportedProtocolVersion",
  "ClientIdentifierNotValid",
  "BadUserNameOrPassword",
  "NotAuthorized",
  "ServerUnavailable",
  "ServerBusy",
  "Banned",
  "BadAuthenticationMethod",
  "TopicNameInvalid",
  "PacketTooLarge",
  "QuotaExceeded",
  "PayloadFormatInvalid",
  "RetainNotSupported",
  "QosNotSupported",
  "UseAnotherServer",
  "ServerMoved",
  "ConnectionRateExceeded",
] as const;
export type ConnackReasonCode = Code<(typeof CONNACK_NAMES)[number]>;
export const isConnackReasonCode = carries(CONNACK_NAMES);

/** §3.4.2.1 and §3.5.2.1: PUBACK and PUBREC allow the same codes. */
const PUBACK_NAMES = [
  "Success",
  "NoMatchingSubscribers",
  "UnspecifiedError",
  "ImplementationSpecificError",
  "NotAuthorized",
  "TopicNameInvalid",
  "PacketIdentifierInUse",
  "QuotaExceeded",
  "PayloadFormatInvalid",
] as const;
export type PubackReasonCode = Code<(typeof PUBACK_NAMES)[number]>;
export const isPubackReasonCode = carries(PUBACK_NAMES);

/** §3.6.2.1 and §3.7.2.1: PUBREL and PUBCOMP allow the same codes. */
const PUBREL_NAMES = ["Success", "PacketIdentifierNotFound"] as const;
export type PubrelReasonCode = Code<(typeof PUBREL_NAMES)[number]>;
export const isPubrelReasonCode = carries(PUBREL_NAMES);

/** §3.9.3 */
const SUBACK_NAMES = [
  "GrantedQos0",
  "GrantedQos1",
  "GrantedQos2",
  "UnspecifiedError",
  "ImplementationSpecificError",
  "NotAuthorized",
  "TopicFilterInvalid",
  "PacketIdentifierInUse",
  "QuotaExceeded",
  "SharedSubscriptionsNotSupported",
  "SubscriptionIdentifiersNotSupported",
  "WildcardSubscriptionsNotSupported",
] as const;
export type SubackReasonCode = Code<(typeof SUBACK_NAMES)[number]>;
export const isSubackReasonCode = carries(SUBACK_NAMES);

/** §3.11.3 */
const UNSUBACK_NAMES = [
  "Success",
  "NoSubscriptionExisted",
  "UnspecifiedError",
  "ImplementationSpecificError",
  "NotAuthorized",
  "TopicFilterInvalid",
  "PacketIdentifierInUse",
] as const;
export type UnsubackReasonCode = Code<(typeof UNSUBACK_NAMES)[number]>;
export const isUnsubackReasonCode = carries(UNSUBACK_NAMES);

/** §3.14.2.1 */
const DISCONNECT_NAMES = [
  "NormalDisconnection",
  "DisconnectWithWill",
  "UnspecifiedError",
  "MalformedPacket",
  "ProtocolError",
  "ImplementationSpecificError",
  "NotAuthorized",
  "ServerBusy",
  "ServerShuttingDown",
  "BadAuthenticationMethod",
  "KeepAliveTimeout",
  "SessionTakenOver",
  "TopicFilterInvalid",
  "TopicNameInvalid",
  "ReceiveMaximumExceeded",
  "TopicAliasInvalid",
  "PacketTooLarge",
  "MessageRateTooHigh",
  "QuotaExceeded",
  "AdministrativeAction",
  "PayloadFormatInvalid",
  "RetainNotSupported",
  "QosNotSupported",
  "UseAnotherServer",
  "ServerMoved",
  "SharedSubscriptionsNotSupported",
  "ConnectionRateExceeded",
  "MaximumConnectTime",
  "SubscriptionIdentifiersNotSupported",
  "WildcardSubscriptionsNotSupported",
] as const;
export type DisconnectReasonCode = Code<(typeof DISCONNECT_NAMES)[number]>;
export const isDisconnectReasonCode = carries(DISCONNECT_NAMES);

/** §3.15.2.1 */
const AUTH_NAMES = ["Success", "ContinueAuthentication", "ReAuthenticate"] as const;
export type AuthReasonCode = Code<(typeof AUTH_NAMES)[number]>;
export const isAuthReasonCode = carries(AUTH_NAMES);

/** Connect Return code of 3.1 and 3.1.1, §3.2.2.3. */
export const ConnectReturnCode = {
  Accepted: 0,
  UnacceptableProtocolVersion: 1,
  IdentifierRejected: 2,
  ServerUnavailable: 3,
  BadUserNameOrPassword: 4,
  NotAuthorized: 5,
} as const;
export type ConnectReturnCode = (typeof ConnectReturnCode)[keyof typeof ConnectReturnCode];

export function isConnectReturnCode(code: number): code is ConnectReturnCode {
  return code >= ConnectReturnCode.Accepted && code <= ConnectReturnCode.NotAuthorized;
}

/** "Not authorized (0x87)": for logs. Unknown numbers come back as "0x..". */
export function reasonText(code: number): string {
  const name = NAMES.get(code);
  const hex = `0x${code.toString(16).padStart(2, "0")}`;
  return name === undefined ? hex : `${name} (${hex})`;
}

const NAMES = new Map<number, string>(
  Object.entries(ReasonCode)
    .reverse()
    .map(([name, code]) => [code, name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)]),
);

/**
 * The peer broke the protocol. The connection answers with `reasonCode` and closes, 5.0 §4.13.
 * Never thrown for our own mistakes: those are assertions.
 */
export class ProtocolError extends Error {
  readonly reasonCode: DisconnectReasonCode | ConnackReasonCode;
  /** The normative statement that was broken, such as "5.0 [MQTT-3.3.1-4]"; "" when none names it. */
  readonly statement: string;

  constructor(reasonCode: DisconnectReasonCode | ConnackReasonCode, statement: string, message: string) {
    super(message);
    this.name = "ProtocolError";
    this.reasonCode = reasonCode;
    this.statement = statement;
  }
}

/**
 * Cites a normative statement in the version in use: `v5` and `v311` are the numbers there, such as "3.3.1-4".
 * 3.1 numbers no statements: where it says the same, 3.1.1's number stands for it.
 * Before the CONNECT, when the version is still unknown (0), 5.0 is cited.
 */
export function statement(version: ProtocolVersion | 0, v5: string, v311 = v5): string {
  return version === 3 || version === 4 ? `3.1.1 [MQTT-${v311}]` : `5.0 [MQTT-${v5}]`;
}
