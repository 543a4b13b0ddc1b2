import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Suback } from "./packet.ts";
import { readProperties, writeProperties } from "./properties.ts";
import { Reader, violation } from "./reader.ts";
import { isSubackReasonCode, ReasonCode, type SubackReasonCode, statement } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads a SUBACK, §3.9. Throws ProtocolError. */
export function decodeSuback(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Suback {
  const reader = new Reader(bytes, bodyStart, end, version);
  reader.rule = statement(version, "2.2.1-6", "2.3.1-7");
  const packetIdentifier = reader.packetIdentifier();
  const properties = readProperties(reader, PacketType.SUBACK);
  const reasonCodes: SubackReasonCode[] = [];
  while (reader.remaining > 0) {
    const code = reader.uint8();
    if (!isSubackReasonCode(code) || (version !== 5 && code > ReasonCode.UnspecifiedError)) {
      throw violation(statement(version, "3.9.3-2"), `SUBACK cannot carry the code ${code}`);
    }
    reasonCodes.push(code);
  }
  if (reasonCodes.length === 0) {
    throw violation(statement(version, "3.8.4-6", "3.8.4-5"), "SUBACK has no reason code");
  }
  return { type: PacketType.SUBACK, packetIdentifier, reasonCodes, properties };
}

/** The whole packet; 3.x knows a single code for failure, 0x80. */
export function encodeSuback(suback: Suback, version: ProtocolVersion): Uint8Array {
  const writer = new Writer();
  writer.uint16(suback.packetIdentifier);
  writeProperties(writer, PacketType.SUBACK, suback.properties, version);
  for (const code of suback.reasonCodes) {
    writer.uint8(version === 5 ? code : Math.min(code, ReasonCode.UnspecifiedError));
  }
  return writer.packet(PacketType.SUBACK << 4);
}
