import { PacketType, type ProtocolVersion, type Qos } from "./constants.ts";
import type { RetainHandling, Subscribe, SubscribeEntry } from "./packet.ts";
import { readProperties, writeProperties } from "./properties.ts";
import { malformed, Reader, violation } from "./reader.ts";
import { statement } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Subscription Options, 5.0 §3.8.3.1. */
const QOS = 0x03;
const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;
const RETAIN_HANDLING_SHIFT = 4;
const RESERVED = 0xc0;
/** 3.1.1 has the QoS alone. */
const RESERVED_311 = 0xfc;

/** Reads a SUBSCRIBE, §3.8. Throws ProtocolError. Whether its Topic Filters are well formed is not decided here. */
export function decodeSubscribe(
  bytes: Uint8Array,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
): Subscribe {
  const reader = new Reader(bytes, bodyStart, end, version);
  reader.rule = statement(version, "2.2.1-3", "2.3.1-1");
  const packetIdentifier = reader.packetIdentifier();
  const properties = readProperties(reader, PacketType.SUBSCRIBE);
  const entries: SubscribeEntry[] = [];
  while (reader.remaining > 0) {
    entries.push(readEntry(reader));
  }
  if (entries.length === 0) {
    throw violation(statement(version, "3.8.3-2", "3.8.3-3"), "SUBSCRIBE has no Topic Filter");
  }
  return { type: PacketType.SUBSCRIBE, packetIdentifier, entries, properties };
}

/** The whole packet; 3.x carries the QoS of each entry alone. */
export function encodeSubscribe(subscribe: Subscribe, version: ProtocolVersion): Uint8Array {
  const writer = new Writer();
  writer.uint16(subscribe.packetIdentifier);
  writeProperties(writer, PacketType.SUBSCRIBE, subscribe.properties, version);
  for (const entry of subscribe.entries) {
    writer.utf8String(entry.topicFilter);
    writer.uint8(version === 5 ? optionsOf(entry) : entry.qos);
  }
  return writer.packet((PacketType.SUBSCRIBE << 4) | 0x02);
}

function readEntry(reader: Reader): SubscribeEntry {
  const { version } = reader;
  reader.rule = statement(version, "3.8.3-1");
  const topicFilter = reader.utf8String();
  reader.rule = statement(version, "3.8.3-2", "3.8.3-3");
  // 3.1 does not use the upper six bits and does not say what they are, its §3.8.
  const options = version === 3 ? reader.uint8() & QOS : reader.uint8();
  if ((options & (version === 5 ? RESERVED : RESERVED_311)) !== 0) {
    throw malformed(statement(version, "3.8.3-5", "3.8.3-4"), "Reserved bits of the Subscription Options are set");
  }
  const qos = options & QOS;
  if (qos === 3) {
    throw violation(version === 5 ? "5.0 §3.8.3.1" : "3.1.1 [MQTT-3.8.3-4]", "The requested QoS is 3");
  }
  const retainHandling = options >> RETAIN_HANDLING_SHIFT;
  if (retainHandling === 3) {
    throw violation("5.0 §3.8.3.1", "Retain Handling is 3");
  }
  return {
    topicFilter,
    qos: qos as Qos,
    noLocal: (options & NO_LOCAL) !== 0,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as RetainHandling,
  };
}

function optionsOf(entry: SubscribeEntry): number {
  return (
    entry.qos |
    (entry.noLocal ? NO_LOCAL : 0) |
    (entry.retainAsPublished ? RETAIN_AS_PUBLISHED : 0) |
    (entry.retainHandling << RETAIN_HANDLING_SHIFT)
  );
}
