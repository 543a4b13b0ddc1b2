import { decodeSn } from "./decode.ts";
import { encodeSn } from "./encode.ts";
import { SnError } from "./error.ts";
import { headerLength, messageLength, typeAt } from "./length.ts";
import type { SnPacket } from "./packet.ts";
import { PROTOCOL_ID, SnType } from "./types.ts";

/** 2.0 is the committee specification draft 01 of OASIS, which renumbered the messages. */
export type SnVersion = "1.2" | "2.0";

/** How the messages of one version are read and written. */
export interface SnCodec {
  decode(bytes: Uint8Array): SnPacket;
  encode(packet: SnPacket): Uint8Array;
}

const CODECS: Partial<Record<SnVersion, SnCodec>> = { "1.2": { decode: decodeSn, encode: encodeSn } };

/** Throws SnError (`version`) for a version that has no codec. */
export function codecOf(version: SnVersion): SnCodec {
  const codec = CODECS[version];
  if (codec !== undefined) return codec;
  throw new SnError("version", `MQTT-SN ${version} is not spoken here: set the client to MQTT-SN 1.2`);
}

/** 1.2's SEARCHGW and 2.0's CONNECT have this MsgType. */
const SEARCHGW_OR_CONNECT = SnType.SearchGw;
/** 2.0's PUBACK has at most three octets there; 1.2's CONNECT has Flags, ProtocolId and Duration before any client id. */
const CONNECT_OCTETS_MIN = 4;

/**
 * Which version a message is of, as far as one message can say: undefined when both have it, or it is none. What its
 * sender spoke before then holds, and 1.2 for a sender that is new, since QoS -1 needs no beginning.
 * A forwarder's envelope must be off. Never throws.
 */
export function versionOf(bytes: Uint8Array): SnVersion | undefined {
  if (messageLength(bytes, 0, bytes.length) !== bytes.length) return undefined;
  const body = headerLength(bytes, 0);
  const octets = bytes.length - body;
  switch (typeAt(bytes, 0)) {
    case SEARCHGW_OR_CONNECT:
      if (octets === 0) return undefined;
      return octets === 1 ? "1.2" : "2.0";
    case SnType.Connect:
      return octets >= CONNECT_OCTETS_MIN && bytes[body + 1] === PROTOCOL_ID ? "1.2" : undefined;
    default:
      return undefined;
  }
}
