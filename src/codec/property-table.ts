import { PACKET_NAMES, PacketType } from "./constants.ts";
import type {
  AcknowledgementProperties,
  AuthProperties,
  ConnackProperties,
  ConnectProperties,
  DisconnectProperties,
  PublishProperties,
  SubscribeProperties,
  UnsubscribeProperties,
  UserProperty,
  WillProperties,
} from "./packet.ts";
import { violation } from "./reader.ts";
import { ProtocolError, ReasonCode } from "./reason.ts";
import { hasWildcard } from "./text.ts";

/** Properties stand in a packet or, here under type 0, before the will of a CONNECT. */
export const WILL = 0;

/** What each place's properties are called in packet.ts. */
export interface PropertiesAt {
  [WILL]: WillProperties;
  [PacketType.CONNECT]: ConnectProperties;
  [PacketType.CONNACK]: ConnackProperties;
  [PacketType.PUBLISH]: PublishProperties;
  [PacketType.PUBACK]: AcknowledgementProperties;
  [PacketType.PUBREC]: AcknowledgementProperties;
  [PacketType.PUBREL]: AcknowledgementProperties;
  [PacketType.PUBCOMP]: AcknowledgementProperties;
  [PacketType.SUBSCRIBE]: SubscribeProperties;
  [PacketType.SUBACK]: AcknowledgementProperties;
  [PacketType.UNSUBSCRIBE]: UnsubscribeProperties;
  [PacketType.UNSUBACK]: AcknowledgementProperties;
  [PacketType.DISCONNECT]: DisconnectProperties;
  [PacketType.AUTH]: AuthProperties;
}
export type PropertiesPlace = keyof PropertiesAt;

export type Value = number | string | Uint8Array | UserProperty | readonly number[] | readonly UserProperty[];
export type DataType = "byte" | "uint16" | "uint32" | "variable" | "text" | "binary" | "pair";

export interface PropertyRow {
  readonly identifier: number;
  readonly name: string;
  readonly type: DataType;
  readonly places: readonly PropertiesPlace[];
  /** A list on our side; on the wire once for each element. */
  readonly repeats: boolean;
  /** Refuses a value that the data type holds but the property does not. */
  readonly check: ((value: Value) => void) | undefined;
}

const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType;
const { SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PacketType;
const MESSAGE = [PUBLISH, WILL] as const;
const REASONED = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH] as const;
const ALL = [WILL, CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, ...REASONED] as const;

/** 5.0 §2.2.2.2. Written in this order, so that equal packets have equal bytes. */
const ROWS: readonly PropertyRow[] = [
  row(0x01, "payloadFormatIndicator", "byte", MESSAGE, atMostOne("5.0 §3.3.2.3.2")),
  row(0x02, "messageExpiryInterval", "uint32", MESSAGE),
  row(0x03, "contentType", "text", MESSAGE),
  row(0x08, "responseTopic", "text", MESSAGE, noWildcard("5.0 [MQTT-3.3.2-14]")),
  row(0x09, "correlationData", "binary", MESSAGE),
  row(0x0b, "subscriptionIdentifier", "variable", [SUBSCRIBE], notZero("5.0 §3.8.2.1.2")),
  list(0x0b, "subscriptionIdentifiers", "variable", [PUBLISH], notZero("5.0 §3.3.2.3.8")),
  row(0x11, "sessionExpiryInterval", "uint32", [CONNECT, CONNACK, DISCONNECT]),
  row(0x12, "assignedClientIdentifier", "text", [CONNACK]),
  row(0x13, "serverKeepAlive", "uint16", [CONNACK]),
  row(0x15, "authenticationMethod", "text", [CONNECT, CONNACK, AUTH]),
  row(0x16, "authenticationData", "binary", [CONNECT, CONNACK, AUTH]),
  row(0x17, "requestProblemInformation", "byte", [CONNECT], atMostOne("5.0 §3.1.2.11.7")),
  row(0x18, "willDelayInterval", "uint32", [WILL]),
  row(0x19, "requestResponseInformation", "byte", [CONNECT], atMostOne("5.0 §3.1.2.11.6")),
  row(0x1a, "responseInformation", "text", [CONNACK]),
  row(0x1c, "serverReference", "text", [CONNACK, DISCONNECT]),
  row(0x1f, "reasonString", "text", REASONED),
  row(0x21, "receiveMaximum", "uint16", [CONNECT, CONNACK], notZero("5.0 §3.1.2.11.3")),
  row(0x22, "topicAliasMaximum", "uint16", [CONNECT, CONNACK]),
  row(0x23, "topicAlias", "uint16", [PUBLISH], aliasNotZero),
  row(0x24, "maximumQos", "byte", [CONNACK], atMostOne("5.0 §3.2.2.3.4")),
  row(0x25, "retainAvailable", "byte", [CONNACK], atMostOne("5.0 §3.2.2.3.5")),
  list(0x26, "userProperties", "pair", ALL),
  row(0x27, "maximumPacketSize", "uint32", [CONNECT, CONNACK], notZero("5.0 §3.1.2.11.4")),
  row(0x28, "wildcardSubscriptionAvailable", "byte", [CONNACK], atMostOne("5.0 §3.2.2.3.11")),
  row(0x29, "subscriptionIdentifiersAvailable", "byte", [CONNACK], atMostOne("5.0 §3.2.2.3.12")),
  row(0x2a, "sharedSubscriptionAvailable", "byte", [CONNACK], atMostOne("5.0 §3.2.2.3.13")),
];

/** By place. */
const ROWS_AT: readonly (readonly PropertyRow[])[] = Array.from({ length: AUTH + 1 }, (_, place) =>
  ROWS.filter((each) => each.places.some((at) => at === place)),
);

/** The properties that may stand in this place, in the order of writing. */
export function propertiesAt(place: PropertiesPlace): readonly PropertyRow[] {
  return ROWS_AT[place] ?? [];
}

/** The property with this identifier in this place; undefined when it may not stand there. */
export function propertyAt(place: PropertiesPlace, identifier: number): PropertyRow | undefined {
  return propertiesAt(place).find((each) => each.identifier === identifier);
}

/** For messages. */
export function placeName(place: PropertiesPlace): string {
  return place === WILL ? "A will" : PACKET_NAMES[place];
}

function row(
  identifier: number,
  name: string,
  type: DataType,
  places: readonly PropertiesPlace[],
  check?: (value: Value) => void,
): PropertyRow {
  return { identifier, name, type, places, repeats: false, check };
}

function list(
  identifier: number,
  name: string,
  type: DataType,
  places: readonly PropertiesPlace[],
  check?: (value: Value) => void,
): PropertyRow {
  return { identifier, name, type, places, repeats: true, check };
}

function atMostOne(rule: string): (value: Value) => void {
  return (value) => {
    if (value !== 0 && value !== 1) {
      throw violation(rule, `A property that is 0 or 1 is ${value}`);
    }
  };
}

function notZero(rule: string): (value: Value) => void {
  return (value) => {
    if (value === 0) {
      throw violation(rule, "A property that is never 0 is 0");
    }
  };
}

function noWildcard(rule: string): (value: Value) => void {
  return (value) => {
    if (hasWildcard(value as string)) {
      throw violation(rule, "The Response Topic contains a wildcard character");
    }
  };
}

function aliasNotZero(value: Value): void {
  if (value === 0) {
    throw new ProtocolError(ReasonCode.TopicAliasInvalid, "5.0 [MQTT-3.3.2-8]", "The Topic Alias is 0");
  }
}
