/**
 * Why octets are no message of MQTT-SN 1.2:
 * - `truncated`: they end before their Length, or before a field that this type has;
 * - `overlong`: more follows than the Length or the last field allows;
 * - `length`: no message has this Length, and no envelope of a forwarder this one, or another envelope within;
 * - `type`: the MsgType is reserved, or belongs elsewhere;
 * - `protocol`: a CONNECT with a Protocol Id other than 1, which a gateway may answer with "not supported";
 * - `flags`: a reserved TopicIdType, or QoS -1 outside a PUBLISH;
 * - `text`: a name that is not UTF-8, or holds U+0000;
 * - `version`: another version of MQTT-SN, for which there is no codec.
 */
export type SnErrorReason = "truncated" | "overlong" | "length" | "type" | "protocol" | "flags" | "text" | "version";

/** The peer's octets are no message. Never thrown for our own mistakes: those are RangeErrors. */
export class SnError extends Error {
  readonly reason: SnErrorReason;

  constructor(reason: SnErrorReason, message: string) {
    super(message);
    this.name = "SnError";
    this.reason = reason;
  }
}

/** "0x0c", as the tables of the standard write octets. */
export function octet(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}
