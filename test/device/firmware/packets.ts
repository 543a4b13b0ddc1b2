import type { SnPacket, SnPublish } from "../../../src/gateway/mqttsn/codec/packet.ts";
import { SnType } from "../../../src/gateway/mqttsn/codec/types.ts";
import { converse } from "./conversation.ts";

export const CONNACK: SnPacket = { type: SnType.Connack, returnCode: 0 };
export const PINGRESP: SnPacket = { type: SnType.Pingresp };
export const DISCONNECT: SnPacket = { type: SnType.Disconnect, durationSeconds: undefined };
/** Active, with nothing said that matters. */
export const ACTIVE = ["init node", "connect", "poll", CONNACK, "poll"] as const;
const ACTIVE_SAYS = 5;

export function connect(
  more: Partial<Extract<SnPacket, { clientId: string; durationSeconds: number }>> = {},
): SnPacket {
  return { type: SnType.Connect, will: false, cleanSession: false, durationSeconds: 60, clientId: "node", ...more };
}

export function publish(data: string, more: Partial<SnPublish> = {}): SnPublish {
  return {
    type: SnType.Publish,
    dup: false,
    qos: 0,
    retain: false,
    topicIdType: 0,
    topicId: 1,
    messageId: 0,
    data: new Uint8Array(Buffer.from(data)),
    ...more,
  };
}

export function register(topicId: number, messageId: number, topicName: string): SnPacket {
  return { type: SnType.Register, topicId, messageId, topicName };
}

export function regack(topicId: number, messageId: number, returnCode = 0): SnPacket {
  return { type: SnType.Regack, topicId, messageId, returnCode };
}

export function puback(topicId: number, messageId: number, returnCode = 0): SnPacket {
  return { type: SnType.Puback, topicId, messageId, returnCode };
}

export function id(type: "Pubrec" | "Pubrel" | "Pubcomp" | "Unsuback", messageId: number): SnPacket {
  return { type: SnType[type], messageId };
}

export function subscribe(name: string, messageId: number, qos: 0 | 1 | 2 = 1, dup = false): SnPacket {
  return { type: SnType.Subscribe, dup, qos, messageId, topic: { topicIdType: 0, name } };
}

export function suback(topicId: number, messageId: number, qos: 0 | 1 | 2 = 1, returnCode = 0): SnPacket {
  return { type: SnType.Suback, qos, topicId, messageId, returnCode };
}

/** "hi" in hex, as the driver's commands want it. */
export const HI = Buffer.from("hi").toString("hex");

export async function afterActive(script: Parameters<typeof converse>[0]) {
  return (await converse([...ACTIVE, ...script])).slice(ACTIVE_SAYS + 1);
}
