import { decodeSn } from "../../../src/gateway/mqttsn/codec/decode.ts";
import { SnError } from "../../../src/gateway/mqttsn/codec/error.ts";
import { decodeEncapsulated, isEncapsulated } from "../../../src/gateway/mqttsn/codec/forwarder.ts";
import {
  ENCAPSULATED,
  headerLength,
  isKnownType,
  messageLength,
  typeAt,
} from "../../../src/gateway/mqttsn/codec/length.ts";
import { SnType } from "../../../src/gateway/mqttsn/codec/types.ts";

/** Whether `bytes[start, end)` is one message of MQTT-SN, or one in a forwarder's envelope, as its Lengths and types say. */
export function isWholeMessage(bytes: Uint8Array, start: number, end: number): boolean {
  return messageLength(bytes, start, end) === end - start && isKnownType(typeAt(bytes, innerStart(bytes, start)));
}

/**
 * How long the message is that begins at `start`. undefined: too few octets to tell. 0: nothing that a reader without any
 * other sign should take for a message: its type is unknown, its length is none that this type can have, or it is
 * longer than `max`. Stricter than the codec, since here a wrong guess loses the messages that follow.
 */
export function plausibleLength(bytes: Uint8Array, start: number, end: number, max: number): number | undefined {
  const length = messageLength(bytes, start, end);
  if (length === undefined) return isHopeless(bytes, start, end, max) ? 0 : undefined;
  if (length === 0 || length > max) return 0;
  const inner = innerStart(bytes, start);
  const body = length - (inner - start) - headerLength(bytes, inner);
  const [least, most] = BODY_OCTETS[typeAt(bytes, inner)] ?? NONE;
  return body >= least && body <= most ? length : 0;
}

/**
 * Whether the codec can read a whole message, envelope or not: flags, texts and all. Noise with a right Length mostly
 * fails here.
 */
export function isReadable(message: Uint8Array): boolean {
  try {
    decodeSn(isEncapsulated(message) ? decodeEncapsulated(message).message : message);
    return true;
  } catch (error) {
    if (error instanceof SnError) return false;
    throw error;
  }
}

/** An envelope is known to be too long before its message has arrived. */
function isHopeless(bytes: Uint8Array, start: number, end: number, max: number): boolean {
  return end - start >= 2 && typeAt(bytes, start) === ENCAPSULATED && bytes[start]! >= max;
}

/** Where the message itself begins: behind the envelope, if there is one. The head must have arrived. */
function innerStart(bytes: Uint8Array, start: number): number {
  return typeAt(bytes, start) === ENCAPSULATED ? start + bytes[start]! : start;
}

/** Impossible to fulfil. */
const NONE = [1, 0] as const;
const ANY = 65_535;
/** An IPv6 address and a port; §5.4.3 leaves the address of a gateway to the network. */
const ADDRESS_OCTETS_MAX = 18;

/** Least and most octets behind MsgType, §5.4. Where clients are known to stretch the text, the table lets them. */
const BODY_OCTETS: { readonly [type: number]: readonly [number, number] } = {
  [SnType.Advertise]: [3, 3],
  [SnType.SearchGw]: [1, 1],
  [SnType.GwInfo]: [1, 1 + ADDRESS_OCTETS_MAX],
  // An empty client id is against §5.3.1, but sent.
  [SnType.Connect]: [4, ANY],
  [SnType.Connack]: [1, 1],
  [SnType.WillTopicReq]: [0, 0],
  [SnType.WillTopic]: [0, ANY],
  [SnType.WillMsgReq]: [0, 0],
  [SnType.WillMsg]: [0, ANY],
  [SnType.Register]: [4, ANY],
  [SnType.Regack]: [5, 5],
  [SnType.Publish]: [5, ANY],
  [SnType.Puback]: [5, 5],
  [SnType.Pubcomp]: [2, 2],
  [SnType.Pubrec]: [2, 2],
  [SnType.Pubrel]: [2, 2],
  [SnType.Subscribe]: [3, ANY],
  [SnType.Suback]: [6, 6],
  [SnType.Unsubscribe]: [3, ANY],
  [SnType.Unsuback]: [2, 2],
  [SnType.Pingreq]: [0, ANY],
  [SnType.Pingresp]: [0, 0],
  [SnType.Disconnect]: [0, 2],
  [SnType.WillTopicUpd]: [0, ANY],
  [SnType.WillTopicResp]: [1, 1],
  [SnType.WillMsgUpd]: [0, ANY],
  [SnType.WillMsgResp]: [1, 1],
};
