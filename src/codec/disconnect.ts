import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Disconnect, DisconnectProperties } from "./packet.ts";
import { isEmpty, readProperties, writeProperties } from "./properties.ts";
import { Reader, violation } from "./reader.ts";
import { isDisconnectReasonCode, ReasonCode } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads a DISCONNECT, §3.14; in 3.x it is empty and means a normal disconnection. Throws ProtocolError. */
export function decodeDisconnect(
  bytes: Uint8Array,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
): Disconnect {
  const reader = new Reader(bytes, bodyStart, end, version);
  let reasonCode: number = ReasonCode.NormalDisconnection;
  let properties: DisconnectProperties = {};
  if (version === 5 && reader.remaining > 0) {
    reasonCode = reader.uint8();
    // With a Remaining Length below 2 the Property Length is left out, §3.14.2.2.1.
    if (reader.remaining > 0) {
      properties = readProperties(reader, PacketType.DISCONNECT);
    }
  }
  reader.finish();
  if (!isDisconnectReasonCode(reasonCode)) {
    throw violation("5.0 [MQTT-3.14.2-1]", `DISCONNECT cannot carry the reason code ${reasonCode}`);
  }
  return { type: PacketType.DISCONNECT, reasonCode, properties };
}

/** The whole packet in its shortest form; 3.x has neither reason code nor properties. */
export function encodeDisconnect(disconnect: Disconnect, version: ProtocolVersion): Uint8Array {
  const { reasonCode, properties } = disconnect;
  const writer = new Writer();
  if (version === 5 && !(reasonCode === ReasonCode.NormalDisconnection && isEmpty(properties))) {
    writer.uint8(reasonCode);
    if (!isEmpty(properties)) {
      writeProperties(writer, PacketType.DISCONNECT, properties, version);
    }
  }
  return writer.packet(PacketType.DISCONNECT << 4);
}
