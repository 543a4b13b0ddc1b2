import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Auth, AuthProperties } from "./packet.ts";
import { isEmpty, readProperties, writeProperties } from "./properties.ts";
import { malformed, Reader, violation } from "./reader.ts";
import { isAuthReasonCode, ReasonCode } from "./reason.ts";
import { Writer } from "./writer.ts";

/** Reads an AUTH, 5.0 §3.15. Throws ProtocolError; always in 3.x, where this packet type is reserved. */
export function decodeAuth(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Auth {
  if (version !== 5) {
    throw malformed("3.1.1 §2.2.1", "AUTH does not exist before MQTT 5.0");
  }
  const reader = new Reader(bytes, bodyStart, end, version);
  // Empty means Success without properties, §3.15.2.1: the one form in which the method may be missing.
  if (reader.remaining === 0) {
    return { type: PacketType.AUTH, reasonCode: ReasonCode.Success, properties: {} };
  }
  const reasonCode = reader.uint8();
  const properties: AuthProperties = readProperties(reader, PacketType.AUTH);
  reader.finish();
  if (!isAuthReasonCode(reasonCode)) {
    throw violation("5.0 [MQTT-3.15.2-1]", `AUTH cannot carry the reason code ${reasonCode}`);
  }
  const bare = reasonCode === ReasonCode.Success && isEmpty(properties);
  if (properties.authenticationMethod === undefined && !bare) {
    throw violation("5.0 §3.15.2.2.2", "AUTH has no Authentication Method");
  }
  return { type: PacketType.AUTH, reasonCode, properties };
}

/** The whole packet. Throws RangeError in 3.x: to send it there is our mistake. */
export function encodeAuth(auth: Auth, version: ProtocolVersion): Uint8Array {
  if (version !== 5) {
    throw new RangeError("AUTH does not exist before MQTT 5.0");
  }
  const writer = new Writer();
  if (auth.reasonCode !== ReasonCode.Success || !isEmpty(auth.properties)) {
    writer.uint8(auth.reasonCode);
    writeProperties(writer, PacketType.AUTH, auth.properties, version);
  }
  return writer.packet(PacketType.AUTH << 4);
}
