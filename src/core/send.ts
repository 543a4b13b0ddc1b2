import { writeAck } from "../codec/ack.ts";
import { copyBytes } from "../codec/bytes.ts";
import { encodePacket, encodeWithin } from "../codec/codec.ts";
import { PACKET_NAMES, PacketType } from "../codec/constants.ts";
import type { AcknowledgementProperties, Packet, UserProperty } from "../codec/packet.ts";
import type { PubackReasonCode, PubrelReasonCode } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { Refusal } from "./hooks.ts";
import { describePacket } from "./packet-log.ts";

// What goes out on a connection, but for messages, which publish-writer.ts writes.

export type AckType =
  | typeof PacketType.PUBACK
  | typeof PacketType.PUBREC
  | typeof PacketType.PUBREL
  | typeof PacketType.PUBCOMP;

/** An acknowledgement without properties: the form that nearly all have. */
export function sendAck(
  connection: Connection,
  type: AckType,
  packetIdentifier: number,
  reasonCode: PubackReasonCode | PubrelReasonCode,
): void {
  const { broker, link, protocolVersion } = connection;
  if (broker.watchesPackets) {
    sendPacket(connection, { type, packetIdentifier, reasonCode, properties: {} } as Packet);
    return;
  }
  const size = reasonCode === 0 || protocolVersion < 5 ? 4 : 5;
  const at = link.reserve(size);
  writeAck(link.batch, at, type, packetIdentifier, reasonCode, protocolVersion);
  broker.counters.packetsSent++;
  broker.counters.bytesSent += size;
}

/** An acknowledgement with properties, as far as the client wants them, 5.0 [MQTT-3.1.2-29]. */
export function ackWith(
  connection: Connection,
  type: typeof PacketType.PUBACK | typeof PacketType.PUBREC,
  packetIdentifier: number,
  reasonCode: PubackReasonCode,
  reasonString: string | undefined,
  userProperties: readonly UserProperty[] | undefined,
): Packet {
  const properties: AcknowledgementProperties = {};
  if (connection.requestProblemInformation) {
    if (reasonString !== undefined) properties.reasonString = reasonString;
    if (userProperties !== undefined) properties.userProperties = userProperties;
  }
  return { type, packetIdentifier, reasonCode, properties } as Packet;
}

export function sendPingresp(connection: Connection): void {
  const { broker, link } = connection;
  if (broker.watchesPackets) {
    sendPacket(connection, { type: PacketType.PINGRESP });
    return;
  }
  const at = link.reserve(2);
  link.batch[at] = PacketType.PINGRESP << 4;
  link.batch[at + 1] = 0;
  broker.counters.packetsSent++;
  broker.counters.bytesSent += 2;
}

/**
 * Any packet but the hot ones. What is too large for the client loses its User Properties and Reason String; if that
 * is not enough it is not sent at all, 5.0 [MQTT-3.1.2-24], and false returned.
 */
export function sendPacket(connection: Connection, packet: Packet): boolean {
  const { broker, link, maximumPacketSize, protocolVersion } = connection;
  const outgoing = broker.hooks.present.onPacketEncode ? passToEncodeHooks(connection, packet) : packet;
  const bytes =
    maximumPacketSize === Number.POSITIVE_INFINITY
      ? encodePacket(outgoing, protocolVersion)
      : encodeWithin(outgoing, protocolVersion, maximumPacketSize);
  if (bytes === undefined) return false;
  const at = link.reserve(bytes.length);
  copyBytes(link.batch, at, bytes, 0, bytes.length);
  broker.counters.packetsSent++;
  broker.counters.bytesSent += bytes.length;
  tracePacket(connection, "sent", outgoing);
  if (broker.hooks.present.onPacketSent) broker.hooks.notify("onPacketSent", connection.client, outgoing, bytes);
  return true;
}

export function passToEncodeHooks(connection: Connection, packet: Packet): Packet {
  const verdict = connection.broker.hooks.pass("onPacketEncode", packet, (hook, value) =>
    hook.onPacketEncode!(connection.client, value),
  );
  // A hook that throws cannot unsend: the packet goes out as it is.
  return verdict instanceof Refusal || typeof verdict === "symbol" ? packet : verdict;
}

export function tracePacket(connection: Connection, direction: "received" | "sent", packet: Packet): void {
  const { log, options } = connection.broker;
  if (!log.enabled("debug")) return;
  log.debug(`${PACKET_NAMES[packet.type]} ${direction}`, {
    ...connection.client.logFields(),
    ...describePacket(packet, options.logPayloadBytes),
  });
}
