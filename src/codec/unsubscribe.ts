import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Unsubscribe } from "./packet.ts";
import { readProperties, writeProperties } from "./properties.ts";
import { Reader, violation } from "./reader.ts";
import { statement } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads an UNSUBSCRIBE, §3.10. Throws ProtocolError. Whether its Topic Filters are well formed is not decided here. */
export function decodeUnsubscribe(
  bytes: Uint8Array,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
): Unsubscribe {
  const reader = new Reader(bytes, bodyStart, end, version);
  reader.rule = statement(version, "2.2.1-3", "2.3.1-1");
  const packetIdentifier = reader.packetIdentifier();
  const properties = readProperties(reader, PacketType.UNSUBSCRIBE);
  reader.rule = statement(version, "3.10.3-1");
  const topicFilters: string[] = [];
  while (reader.remaining > 0) {
    topicFilters.push(reader.utf8String());
  }
  if (topicFilters.length === 0) {
    throw violation(statement(version, "3.10.3-2"), "UNSUBSCRIBE has no Topic Filter");
  }
  return { type: PacketType.UNSUBSCRIBE, packetIdentifier, topicFilters, properties };
}

export function encodeUnsubscribe(unsubscribe: Unsubscribe, version: ProtocolVersion): Uint8Array {
  const writer = new Writer();
  writer.uint16(unsubscribe.packetIdentifier);
  writeProperties(writer, PacketType.UNSUBSCRIBE, unsubscribe.properties, version);
  for (const topicFilter of unsubscribe.topicFilters) {
    writer.utf8String(topicFilter);
  }
  return writer.packet((PacketType.UNSUBSCRIBE << 4) | 0x02);
}
