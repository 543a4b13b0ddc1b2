import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Connack } from "./packet.ts";
import { checkAuthentication, readProperties, writeProperties } from "./properties.ts";
import { malformed, Reader, violation } from "./reader.ts";
import { isConnackReasonCode, isConnectReturnCode, ReasonCode, statement } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads a CONNACK, §3.2. Throws ProtocolError. */
export function decodeConnack(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Connack {
  const reader = new Reader(bytes, bodyStart, end, version);
  const flags = reader.uint8();
  // 3.1 calls the whole byte reserved and gives it no value.
  if (flags > 1 && version !== 3) {
    throw malformed(
      version === 5 ? "5.0 [MQTT-3.2.2-1]" : "3.1.1 §3.2.2.1",
      "Reserved Connect Acknowledge Flags are set",
    );
  }
  const sessionPresent = version !== 3 && flags === 1;
  const reasonCode = reader.uint8();
  if (!(version === 5 ? isConnackReasonCode(reasonCode) : isConnectReturnCode(reasonCode))) {
    const rule = version === 5 ? "5.0 [MQTT-3.2.2-8]" : "3.1.1 §3.2.2.3";
    throw violation(rule, `CONNACK cannot carry the code ${reasonCode}`);
  }
  if (sessionPresent && reasonCode !== ReasonCode.Success) {
    throw violation(statement(version, "3.2.2-6", "3.2.2-4"), "A refusing CONNACK has Session Present set");
  }
  const properties = readProperties(reader, PacketType.CONNACK);
  checkAuthentication(properties, "5.0 §3.2.2.3.18");
  reader.finish();
  return { type: PacketType.CONNACK, sessionPresent, reasonCode: reasonCode as Connack["reasonCode"], properties };
}

/** The whole packet. 3.1 has no Session Present; the caller chooses a code of the right version. */
export function encodeConnack(connack: Connack, version: ProtocolVersion): Uint8Array {
  const writer = new Writer();
  writer.uint8(connack.sessionPresent && version !== 3 ? 1 : 0);
  writer.uint8(connack.reasonCode);
  writeProperties(writer, PacketType.CONNACK, connack.properties, version);
  return writer.packet(PacketType.CONNACK << 4);
}
