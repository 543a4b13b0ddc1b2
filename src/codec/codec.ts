import { decodeAck, encodeAck } from "./ack.ts";
import { decodeAuth, encodeAuth } from "./auth.ts";
import { decodeConnack, encodeConnack } from "./connack.ts";
import { decodeConnect, encodeConnect } from "./connect.ts";
import { PacketType, type ProtocolVersion } from "./constants.ts";
import { decodeDisconnect, encodeDisconnect } from "./disconnect.ts";
import { checkFixedHeader } from "./frame.ts";
import type { AcknowledgementProperties, Packet, Publish } from "./packet.ts";
import { decodePingreq, decodePingresp, encodePingreq, encodePingresp } from "./ping.ts";
import { decodePublish, encodePublishProperties, publishSize, writePublish } from "./publish.ts";
import { byteAt } from "./reader.ts";
import { decodeSuback, encodeSuback } from "./suback.ts";
import { decodeSubscribe, encodeSubscribe } from "./subscribe.ts";
import { encodeUtf8, type TextCache } from "./text.ts";
import { decodeUnsuback, encodeUnsuback } from "./unsuback.ts";
import { decodeUnsubscribe, encodeUnsubscribe } from "./unsubscribe.ts";

type Decode = (
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
  names: TextCache,
) => Packet;

/** By packet type; `checkFixedHeader` has refused 0. */
const DECODERS: readonly Decode[] = [
  unreachable,
  (bytes, _start, bodyStart, end) => decodeConnect(bytes, bodyStart, end),
  (bytes, _start, bodyStart, end, version) => decodeConnack(bytes, bodyStart, end, version),
  decodePublish,
  decodeAck,
  decodeAck,
  decodeAck,
  decodeAck,
  (bytes, _start, bodyStart, end, version) => decodeSubscribe(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodeSuback(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodeUnsubscribe(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodeUnsuback(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodePingreq(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodePingresp(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodeDisconnect(bytes, bodyStart, end, version),
  (bytes, _start, bodyStart, end, version) => decodeAuth(bytes, bodyStart, end, version),
];

/**
 * Reads any packet as a FrameSink gets it; a CONNECT brings its own version, and `version` is ignored.
 * A PUBLISH refers to `bytes`; all other packets own what they hold. Throws ProtocolError and nothing else.
 */
export function decodePacket(
  bytes: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
  names: TextCache,
): Packet {
  const firstByte = byteAt(bytes, start);
  checkFixedHeader(firstByte, version);
  return (DECODERS[firstByte >> 4] ?? unreachable)(bytes, start, bodyStart, end, version, names);
}

/** The whole packet; a CONNECT in the version that it names. Throws RangeError for what no packet can hold. */
export function encodePacket(packet: Packet, version: ProtocolVersion): Uint8Array {
  switch (packet.type) {
    case PacketType.CONNECT:
      return encodeConnect(packet);
    case PacketType.CONNACK:
      return encodeConnack(packet, version);
    case PacketType.PUBLISH:
      return encodePublish(packet, version);
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return encodeAck(packet, version);
    case PacketType.SUBSCRIBE:
      return encodeSubscribe(packet, version);
    case PacketType.SUBACK:
      return encodeSuback(packet, version);
    case PacketType.UNSUBSCRIBE:
      return encodeUnsubscribe(packet, version);
    case PacketType.UNSUBACK:
      return encodeUnsuback(packet, version);
    case PacketType.PINGREQ:
      return encodePingreq();
    case PacketType.PINGRESP:
      return encodePingresp();
    case PacketType.DISCONNECT:
      return encodeDisconnect(packet, version);
    case PacketType.AUTH:
      return encodeAuth(packet, version);
  }
}

/**
 * As `encodePacket`, in at most `packetBytesMax` bytes: what only explains is left out if it must be, first the User
 * Properties, then the Reason String too, as 5.0 [MQTT-3.2.2-19], [MQTT-3.2.2-20], [MQTT-3.4.2-2], [MQTT-3.4.2-3] and
 * their likes of the other answers demand. undefined when the packet does not fit even then.
 */
export function encodeWithin(packet: Packet, version: ProtocolVersion, packetBytesMax: number): Uint8Array | undefined {
  const whole = encodePacket(packet, version);
  if (whole.length <= packetBytesMax) {
    return whole;
  }
  if (!explains(packet)) {
    return undefined;
  }
  const { userProperties, ...reasoned } = packet.properties as AcknowledgementProperties;
  if (userProperties !== undefined) {
    const shorter = encodePacket({ ...packet, properties: reasoned } as Packet, version);
    if (shorter.length <= packetBytesMax) {
      return shorter;
    }
  }
  const { reasonString, ...bare } = reasoned;
  if (reasonString === undefined) {
    return undefined;
  }
  const shortest = encodePacket({ ...packet, properties: bare } as Packet, version);
  return shortest.length <= packetBytesMax ? shortest : undefined;
}

/** Whether this packet's User Properties explain an answer, and are not a client's message, 5.0 [MQTT-3.3.2-17]. */
function explains(packet: Packet): packet is Extract<Packet, { properties: { reasonString?: string } }> {
  switch (packet.type) {
    case PacketType.CONNECT:
    case PacketType.PUBLISH:
    case PacketType.SUBSCRIBE:
    case PacketType.UNSUBSCRIBE:
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return false;
    default:
      return true;
  }
}

function encodePublish(publish: Publish, version: ProtocolVersion): Uint8Array {
  const { qos, bytes, payloadStart, payloadEnd, packetIdentifier } = publish;
  const topic = encodeUtf8(publish.topicName);
  const properties = version === 5 ? encodePublishProperties(publish.properties) : NO_BYTES;
  const packet = new Uint8Array(publishSize(version, topic.length, qos, properties.length, payloadEnd - payloadStart));
  const flags = (publish.dup ? 0x08 : 0) | (qos << 1) | (publish.retain ? 0x01 : 0);
  writePublish(packet, 0, version, flags, topic, packetIdentifier, properties, bytes, payloadStart, payloadEnd);
  return packet;
}

const NO_BYTES = new Uint8Array(0);

function unreachable(): never {
  throw new Error("checkFixedHeader let an unknown packet type pass");
}
