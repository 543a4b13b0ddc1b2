import { SnError } from "./error.ts";
import { FieldWriter, view } from "./fields.ts";
import { checkLength, ENCAPSULATED, headerLength, typeAt } from "./length.ts";

/**
 * A message in the envelope of a forwarder, §5.5: Length, MsgType 0xFE, Ctrl, Wireless Node Id, then the whole message.
 * Its Length covers the envelope alone, and has one octet.
 */
export interface Encapsulated {
  /** Hops that the forwarder should broadcast it, 0 to 3; 0 reaches all. It means something only from the gateway. */
  radius: number;
  /** 1 octet or more, which only the forwarder understands: the answer goes back with the same. A view. */
  nodeId: Uint8Array;
  /** One message as its Length says, for `decodeSn`; not in an envelope itself. A view. */
  message: Uint8Array;
}

const RADIUS_BITS = 0x03;
/** Length, MsgType and Ctrl. */
const BEFORE_NODE_ID = 3;
/** What a Length of one octet leaves for it. */
export const NODE_ID_OCTETS_MAX = 0xff - BEFORE_NODE_ID;

/** Whether the message has a forwarder's envelope: `decodeEncapsulated` reads it, `decodeSn` does not. Never throws. */
export function isEncapsulated(bytes: Uint8Array): boolean {
  return bytes.length >= headerLength(bytes, 0) && typeAt(bytes, 0) === ENCAPSULATED;
}

/**
 * Opens an envelope. `bytes` must be exactly that and its message. The reserved bits of Ctrl are not looked at.
 * Throws SnError.
 */
export function decodeEncapsulated(bytes: Uint8Array): Encapsulated {
  if (!isEncapsulated(bytes)) throw new SnError("type", "The message has no envelope of a forwarder");
  checkLength(bytes);
  const length = bytes[0]!;
  return {
    radius: bytes[2]! & RADIUS_BITS,
    nodeId: view(bytes, BEFORE_NODE_ID, length),
    message: view(bytes, length, bytes.length),
  };
}

/**
 * Puts `message`, whole as `encodeSn` writes it, in an envelope. `radius`: 0 to 255 hops, as SEARCHGW has it; Ctrl has two
 * bits for it, so that more than 3 are written as 3. Throws RangeError for a node id of no octets or more than 252.
 */
export function encodeEncapsulated(radius: number, nodeId: Uint8Array, message: Uint8Array): Uint8Array {
  if (nodeId.length === 0 || nodeId.length > NODE_ID_OCTETS_MAX) {
    throw new RangeError(`A node id has 1 to ${NODE_ID_OCTETS_MAX} octets, not ${nodeId.length}`);
  }
  const envelope = new FieldWriter(ENCAPSULATED, 1 + nodeId.length).uint8(Math.min(radius, RADIUS_BITS)).octets(nodeId);
  const bytes = new Uint8Array(envelope.bytes.length + message.length);
  bytes.set(envelope.bytes);
  bytes.set(message, envelope.bytes.length);
  return bytes;
}
