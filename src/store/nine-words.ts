import { decodeMessage, type MessageRecord } from "../core/message-record.ts";
import { decodeSession, decodeSubscription, type SessionRecord, type SubscriptionRecord } from "../core/records.ts";
import { firstPut, joined } from "./keeper.ts";
import type { OperationsSession } from "./nine-operations.ts";

/** What the broker keeps for itself begins so. */
export const OWN = "$mqtt-broker/";

/** A session that has a place among the sessions. */
export interface KeptSession {
  /** What the operations know it by. */
  name: string;
  put: Uint8Array;
  subscriptions: Map<number, Uint8Array>;
}

/** A session in the words of the interface, with one subscription more, that has the records themselves. */
export function sayOf({ put, subscriptions }: KeptSession): OperationsSession {
  const { clientId, stored } = sessionOf(put);
  const said = [...subscriptions.values()].map((one) => {
    const { topicFilter, qos } = subscriptionOf(one);
    return { topic: topicFilter, qos };
  });
  const own = { topic: inText(joined([put, ...subscriptions.values()])), qos: 0 as const };
  return { clientId, cleanSession: !stored, subscriptions: [...said, own] };
}

export function sessionOf(put: Uint8Array): SessionRecord {
  const { name, value } = firstPut(put);
  return decodeSession(name, value);
}

export function subscriptionOf(put: Uint8Array): SubscriptionRecord {
  const { name, value } = firstPut(put);
  return decodeSubscription(name, value);
}

export function messageOf(put: Uint8Array): MessageRecord {
  const { name, bytes, valueStart, valueEnd } = firstPut(put);
  return decodeMessage(name, bytes, valueStart, valueEnd);
}

/** undefined: it stays bytes. */
export function understood<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

/** What clients retain under the broker's own names stands elsewhere. */
export function topicOf(topicName: string): string {
  return topicName.startsWith(OWN) ? `${OWN}topic/${topicName}` : topicName;
}

export function inText(bytes: Uint8Array): string {
  return OWN + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

export function fromText(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.slice(OWN.length), "base64"));
}
