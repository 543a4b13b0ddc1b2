import { octet, SnError } from "./error.ts";
import type { SnQos, TopicIdType } from "./types.ts";

/**
 * The Flags octet, §5.3.4. Bits that a message does not use are written as 0 and not looked at when read: the standard
 * calls them "not used", and clients in the field leave something there.
 */
export const Flag = { Dup: 0x80, Retain: 0x10, Will: 0x08, CleanSession: 0x04 } as const;

const QOS_SHIFT = 5;
const QOS_BITS = 0x03;
const QOS_MINUS_1 = 0x03;
const TOPIC_ID_TYPE_BITS = 0x03;

export function flag(bit: (typeof Flag)[keyof typeof Flag], isSet: boolean): number {
  return isSet ? bit : 0;
}

export function qosFlags(qos: SnQos): number {
  return (qos & QOS_BITS) << QOS_SHIFT;
}

/** QoS of a PUBLISH. */
export function publishQosOf(flags: number): SnQos {
  const bits = (flags >> QOS_SHIFT) & QOS_BITS;
  return bits === QOS_MINUS_1 ? -1 : (bits as 0 | 1 | 2);
}

/** QoS of all other messages; -1 makes no sense in them. `name` is for the error. Throws SnError. */
export function qosOf(flags: number, name: string): 0 | 1 | 2 {
  const qos = publishQosOf(flags);
  if (qos === -1) throw new SnError("flags", `${name} has QoS -1 in its Flags ${octet(flags)}, which only PUBLISH may`);
  return qos;
}

/** Throws SnError for the reserved 0b11. */
export function topicIdTypeOf(flags: number, name: string): TopicIdType {
  const bits = flags & TOPIC_ID_TYPE_BITS;
  if (bits === 3) throw new SnError("flags", `${name} has the reserved TopicIdType 3 in its Flags ${octet(flags)}`);
  return bits as TopicIdType;
}
