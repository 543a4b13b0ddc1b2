import { PacketType, type ProtocolVersion } from "./constants.ts";
import type { Pingreq, Pingresp } from "./packet.ts";
import { Reader } from "./reader.ts";

/** Reads a PINGREQ, §3.12. Throws ProtocolError (0x81) when it has a body. */
export function decodePingreq(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Pingreq {
  new Reader(bytes, bodyStart, end, version).finish();
  return { type: PacketType.PINGREQ };
}

/** Reads a PINGRESP, §3.13. Throws ProtocolError (0x81) when it has a body. */
export function decodePingresp(bytes: Uint8Array, bodyStart: number, end: number, version: ProtocolVersion): Pingresp {
  new Reader(bytes, bodyStart, end, version).finish();
  return { type: PacketType.PINGRESP };
}

export function encodePingreq(): Uint8Array {
  return Uint8Array.of(PacketType.PINGREQ << 4, 0);
}

export function encodePingresp(): Uint8Array {
  return Uint8Array.of(PacketType.PINGRESP << 4, 0);
}
