import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Unsuback } from "./packet.ts";
import { readProperties, writeProperties } from "./properties.ts";
import { Reader, violation } from "./reader.ts";
import { isUnsubackReasonCode, statement, type UnsubackReasonCode } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads an UNSUBACK, §3.11; in 3.x it has no reason codes. Throws ProtocolError. */
export function decodeUnsuback(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Unsuback {
  const reader = new Reader(bytes, bodyStart, end, version);
  reader.rule = statement(version, "2.2.1-6", "2.3.1-7");
  const packetIdentifier = reader.packetIdentifier();
  const properties = readProperties(reader, PacketType.UNSUBACK);
  const reasonCodes: UnsubackReasonCode[] = [];
  if (version === 5) {
    while (reader.remaining > 0) {
      const code = reader.uint8();
      if (!isUnsubackReasonCode(code)) {
        throw violation("5.0 [MQTT-3.11.3-2]", `UNSUBACK cannot carry the code ${code}`);
      }
      reasonCodes.push(code);
    }
    if (reasonCodes.length === 0) {
      throw violation("5.0 [MQTT-3.11.3-1]", "UNSUBACK has no reason code");
    }
  }
  reader.finish();
  return { type: PacketType.UNSUBACK, packetIdentifier, reasonCodes, properties };
}

/** The whole packet; the reason codes are left out in 3.x. */
export function encodeUnsuback(unsuback: Unsuback, version: ProtocolVersion): Uint8Array {
  const writer = new Writer();
  writer.uint16(unsuback.packetIdentifier);
  if (version === 5) {
    writeProperties(writer, PacketType.UNSUBACK, unsuback.properties, version);
    for (const code of unsuback.reasonCodes) {
      writer.uint8(code);
    }
  }
  return writer.packet(PacketType.UNSUBACK << 4);
}
