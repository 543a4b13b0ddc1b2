import { type Packet as Foreign, generate, parser } from "mqtt-packet";
import { PACKET_NAMES, PacketType, type ProtocolVersion } from "../../src/codec/constants.ts";
import { type Packet, Publish, type UserProperty } from "../../src/codec/packet.ts";

/**
 * mqtt-packet as an independent reader and writer of the same protocol. Both sides are brought to a plain form that
 * leaves out what mqtt-packet cannot express: the order of User Properties between different names.
 */
export type Plain = Record<string, unknown>;

/** What mqtt-packet reads in these bytes; throws what it reports. */
export function theyRead(bytes: Uint8Array, version: ProtocolVersion): Plain[] {
  const found: Plain[] = [];
  const failures: unknown[] = [];
  const reader = parser({ protocolVersion: version });
  reader.on("packet", (packet) => found.push(fromForeign(packet as unknown as Plain)));
  reader.on("error", (error) => failures.push(error));
  reader.parse(Buffer.from(bytes));
  if (failures.length > 0) {
    throw failures[0];
  }
  return found;
}

/** The packet as mqtt-packet writes it. */
export function theyWrite(packet: Packet, version: ProtocolVersion): Uint8Array {
  const bytes = generate(toForeign(packet, version) as unknown as Foreign, { protocolVersion: version });
  return new Uint8Array(bytes);
}

/** Our packet in the plain form of `theyRead`, with what the wire of `version` carries. */
export function expectedOf(packet: Packet, version: ProtocolVersion): Plain {
  return fromForeign(toForeign(packet, version));
}

/** What they know under other names, or as booleans. */
const BOOLEANS = new Set([
  "payloadFormatIndicator",
  "requestResponseInformation",
  "requestProblemInformation",
  "retainAvailable",
  "wildcardSubscriptionAvailable",
  "subscriptionIdentifiersAvailable",
  "sharedSubscriptionAvailable",
]);
const NAMES: Record<string, string> = { maximumQos: "maximumQoS", subscriptionIdentifiers: "subscriptionIdentifier" };

function toForeign(packet: Packet, version: ProtocolVersion): Plain {
  const v5 = version === 5;
  const cmd = PACKET_NAMES[packet.type].toLowerCase();
  const properties = v5 && "properties" in packet ? { properties: foreignProperties(packet.properties) } : {};
  switch (packet.type) {
    case PacketType.CONNECT:
      return {
        cmd,
        protocolId: version === 3 ? "MQIsdp" : "MQTT",
        protocolVersion: version,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSeconds,
        clientId: packet.clientId,
        ...(packet.bridge ? { bridgeMode: true } : {}),
        ...(packet.userName === undefined ? {} : { username: packet.userName }),
        ...(packet.password === undefined ? {} : { password: Buffer.from(packet.password) }),
        ...(packet.will === undefined
          ? {}
          : {
              will: {
                topic: packet.will.topicName,
                payload: Buffer.from(packet.will.payload),
                qos: packet.will.qos,
                retain: packet.will.retain,
                ...(v5 ? { properties: foreignProperties(packet.will.properties) } : {}),
              },
            }),
        ...properties,
      };
    case PacketType.CONNACK: {
      const code = v5 ? { reasonCode: packet.reasonCode } : { returnCode: packet.reasonCode };
      return { cmd, sessionPresent: packet.sessionPresent, ...code, ...properties };
    }
    case PacketType.PUBLISH:
      return {
        cmd,
        topic: packet.topicName,
        payload: Buffer.from(packet.payload),
        qos: packet.qos,
        retain: packet.retain,
        dup: packet.dup,
        ...(packet.qos > 0 ? { messageId: packet.packetIdentifier } : {}),
        ...properties,
      };
    case PacketType.SUBSCRIBE:
      return {
        cmd,
        messageId: packet.packetIdentifier,
        subscriptions: packet.entries.map(({ topicFilter: topic, qos, noLocal, retainAsPublished, retainHandling }) =>
          v5 ? { topic, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling } : { topic, qos },
        ),
        ...properties,
      };
    case PacketType.UNSUBSCRIBE:
      return { cmd, messageId: packet.packetIdentifier, unsubscriptions: packet.topicFilters, ...properties };
    case PacketType.SUBACK:
      return { cmd, messageId: packet.packetIdentifier, granted: packet.reasonCodes, ...properties };
    case PacketType.UNSUBACK:
      return { cmd, messageId: packet.packetIdentifier, ...(v5 ? { granted: packet.reasonCodes } : {}), ...properties };
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return { cmd };
    default:
      return {
        cmd,
        ...("packetIdentifier" in packet ? { messageId: packet.packetIdentifier } : {}),
        ...(v5 ? { reasonCode: packet.reasonCode } : {}),
        ...properties,
      };
  }
}

function foreignProperties(properties: object): Plain {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => {
      if (name === "userProperties") {
        return [name, grouped(value as UserProperty[])];
      }
      if (BOOLEANS.has(name)) {
        return [name, value === 1];
      }
      return [NAMES[name] ?? name, value instanceof Uint8Array ? Buffer.from(value) : value];
    }),
  );
}

/** They keep User Properties in an object: several values of a name become a list. */
function grouped(pairs: readonly UserProperty[]): Plain {
  const groups: Plain = Object.create(null);
  for (const [name, value] of pairs) {
    const known = groups[name] as string[] | undefined;
    groups[name] = known === undefined ? [value] : [...known, value];
  }
  return groups;
}

/** Leaves out what is empty or says nothing, sorts what has no order, and makes plain arrays of Buffers. */
function fromForeign(packet: Plain): Plain {
  const { length: _, payload, password, will, properties, ...rest } = packet;
  const plain: Plain = { ...rest };
  if (packet.cmd !== "publish") {
    // They set these on every packet, from bits that mean nothing there.
    delete plain.qos;
    delete plain.retain;
    delete plain.dup;
    delete plain.topic;
  } else {
    plain.payload = [...(payload as Buffer)];
  }
  if (plain.messageId === undefined) {
    delete plain.messageId;
  }
  if (password !== undefined) {
    plain.password = [...(password as Buffer)];
  }
  if (will !== undefined) {
    const { properties: willProperties, payload: willPayload, ...willRest } = will as Plain;
    const found = plainProperties(willProperties as Plain | undefined);
    plain.will = { ...willRest, payload: [...(willPayload as Buffer)], properties: found };
  }
  return { ...plain, properties: plainProperties(properties as Plain | undefined) };
}

function plainProperties(properties: Plain | undefined): Plain {
  const plain: Plain = {};
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name === "userProperties") {
      const groups = Object.entries(value as Plain).map(([key, each]) => [key, [each].flat()] as const);
      plain[name] = groups.toSorted(([one], [other]) => (one < other ? -1 : 1));
    } else if (name === "subscriptionIdentifier") {
      plain[name] = [value].flat();
    } else {
      plain[name] = value instanceof Uint8Array ? [...value] : value;
    }
  }
  return plain;
}

/** True when mqtt-packet reads and writes this packet as the specification has it; each case says where it does not. */
export function theyKnow(packet: Packet): boolean {
  switch (packet.type) {
    case PacketType.CONNECT:
      // It refuses to write a password without user name, which 5.0 [MQTT-3.1.2-22] of 3.1.1 no longer forbids in 5.0,
      // and an empty client identifier unless Clean Start is 1 and the version at least 3.1.1, which is the server's
      // choice to refuse, 5.0 [MQTT-3.1.3-8].
      if (packet.password !== undefined && packet.userName === undefined) {
        return false;
      }
      if (packet.clientId === "" && !(packet.cleanStart && packet.protocolVersion > 3)) {
        return false;
      }
      return hasFullPairs(packet.properties.userProperties) && hasFullPairs(packet.will?.properties.userProperties);
    case PacketType.DISCONNECT:
      // Table 2-6 of 5.0 gives 0x8C (Bad authentication method) to DISCONNECT too; its list lacks it.
      return packet.reasonCode !== 0x8c && hasFullPairs(packet.properties.userProperties);
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return true;
    default:
      return hasFullPairs(packet.properties.userProperties);
  }
}

/** It forgets an empty value when the same name comes again; 5.0 §3.1.2.11.8 allows both. */
function hasFullPairs(pairs: readonly UserProperty[] | undefined): boolean {
  return pairs === undefined || pairs.every(([, value]) => value !== "");
}

/** For comparing packets that we read with packets that were meant: the order that they cannot keep does not count. */
export function withoutOrder(packet: Packet, version: ProtocolVersion): Plain {
  const copy = packet instanceof Publish ? packet : { ...packet };
  return expectedOf(copy, version);
}
