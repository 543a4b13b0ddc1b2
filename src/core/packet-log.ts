import { PacketType } from "../codec/constants.ts";
import type { Packet } from "../codec/packet.ts";
import { reasonText } from "../codec/reason.ts";
import type { LogFields } from "./ports.ts";

/** A packet as facts for the log. Passwords and authentication data never appear, payloads only up to `payloadBytes`. */
export function describePacket(packet: Packet, payloadBytes: number): LogFields {
  switch (packet.type) {
    case PacketType.CONNECT:
      return {
        version: packet.protocolVersion,
        cleanStart: packet.cleanStart,
        keepAlive: packet.keepAliveSeconds,
        connectingAs: packet.clientId,
        will: packet.will?.topicName,
        sessionExpiry: packet.properties.sessionExpiryInterval,
      };
    case PacketType.PUBLISH:
      return {
        topic: packet.topicName,
        qos: packet.qos,
        retain: packet.retain,
        dup: packet.dup,
        packetIdentifier: packet.packetIdentifier === 0 ? undefined : packet.packetIdentifier,
        bytes: packet.payloadLength,
        payload: payloadBytes === 0 ? undefined : payloadText(packet.payload, payloadBytes),
      };
    case PacketType.SUBSCRIBE:
      return {
        packetIdentifier: packet.packetIdentifier,
        filters: packet.entries.map((entry) => `${entry.topicFilter}:${entry.qos}`).join(" "),
      };
    case PacketType.UNSUBSCRIBE:
      return { packetIdentifier: packet.packetIdentifier, filters: packet.topicFilters.join(" ") };
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      return {
        packetIdentifier: packet.packetIdentifier,
        codes: packet.reasonCodes.map((code) => code.toString(16).padStart(2, "0")).join(" "),
      };
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return {};
    case PacketType.CONNACK:
      return { sessionPresent: packet.sessionPresent, code: reasonText(packet.reasonCode) };
    case PacketType.DISCONNECT:
    case PacketType.AUTH:
      return { code: reasonText(packet.reasonCode), reason: packet.properties.reasonString };
    default:
      return { packetIdentifier: packet.packetIdentifier, code: reasonText(packet.reasonCode) };
  }
}

function payloadText(payload: Uint8Array, payloadBytes: number): string {
  const shown = new TextDecoder().decode(payload.subarray(0, payloadBytes));
  return payload.length > payloadBytes ? `${shown}…` : shown;
}
