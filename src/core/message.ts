import { ownBytes } from "../codec/bytes.ts";
import type { Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, type Publish, type PublishProperties } from "../codec/packet.ts";

/** The key stays with the topic as long as it retains something; batch and place are those of its last put. */
export interface RetainedRecord {
  key: number;
  batch: number;
  batchAt: number;
}

/**
 * An Application Message on its way through the broker. One object serves all its receivers.
 * Until `keep()` the payload is a range of the publisher's receive buffer and valid only while the
 * PUBLISH is handled; whoever stores a message keeps it first.
 */
export class Message {
  readonly topicName: string;
  /** As published. */
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: PublishProperties;
  /** `broker.nowMs` of the end of its Message Expiry Interval; Infinity when it has none. */
  readonly expiresAtMs: number;
  bytes: Uint8Array;
  payloadStart: number;
  payloadEnd: number;
  /** The Topic Name in UTF-8, shared with the route it took. */
  topicBytes: Uint8Array | undefined;
  /** Greater than 0 while it is what its topic retains, and then greater than that of all retained before it. */
  retainedSequence: number;
  /** Of its record among the store's messages, when several sessions wait for it; else 0. */
  recordKey: number;
  /** The journal's batch that this record was put into, and the place there. */
  recordBatch: number;
  recordAt: number;
  /** Where the store has it as the retained message of its topic. */
  retainedRecord: RetainedRecord | undefined;
  private kept: boolean;

  constructor(
    topicName: string,
    qos: Qos,
    retain: boolean,
    properties: PublishProperties,
    expiresAtMs: number,
    bytes: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
  ) {
    this.topicName = topicName;
    this.qos = qos;
    this.retain = retain;
    this.properties = properties;
    this.expiresAtMs = expiresAtMs;
    this.bytes = bytes;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.topicBytes = undefined;
    this.retainedSequence = 0;
    this.recordKey = 0;
    this.recordBatch = 0;
    this.recordAt = 0;
    this.retainedRecord = undefined;
    this.kept = false;
  }

  /** A message whose bytes are nobody else's to change: it needs no copy to be kept. */
  static owned(
    topicName: string,
    qos: Qos,
    retain: boolean,
    properties: PublishProperties,
    expiresAtMs: number,
    bytes: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
  ): Message {
    const message = new Message(topicName, qos, retain, properties, expiresAtMs, bytes, payloadStart, payloadEnd);
    message.kept = true;
    return message;
  }

  /** Copies the payload out of the receive buffer, once. */
  keep(): void {
    if (this.kept) return;
    this.bytes = ownBytes(this.bytes, this.payloadStart, this.payloadEnd);
    this.payloadEnd -= this.payloadStart;
    this.payloadStart = 0;
    this.kept = true;
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  /** What a waiting or retained message is counted as: payload and topic name, not the properties. */
  get countedBytes(): number {
    return this.payloadEnd - this.payloadStart + this.topicName.length;
  }

  /** Seconds that remain of the Message Expiry Interval, at least 1: what a receiver is told, 5.0 [MQTT-3.3.2-6]. */
  remainingSeconds(nowMs: number): number {
    return Math.max(1, Math.ceil((this.expiresAtMs - nowMs) / 1000));
  }
}

/**
 * The message of a PUBLISH. Topic Alias and Subscription Identifiers belong to one connection and are left behind.
 * `expiryMaxSeconds` caps the lifetime and sets it where the publisher set none.
 */
export function messageOf(publish: Publish, nowMs: number, expiryMaxSeconds: number | undefined): Message {
  let properties = publish.properties;
  let expirySeconds = Number.POSITIVE_INFINITY;
  if (properties !== NO_PROPERTIES) {
    const { topicAlias, subscriptionIdentifiers, messageExpiryInterval, ...forwarded } = properties;
    if (messageExpiryInterval !== undefined) expirySeconds = messageExpiryInterval;
    properties = hasKeys(forwarded) ? forwarded : NO_PROPERTIES;
  }
  if (expiryMaxSeconds !== undefined && expirySeconds > expiryMaxSeconds) expirySeconds = expiryMaxSeconds;
  return new Message(
    publish.topicName,
    publish.qos,
    publish.retain,
    properties,
    nowMs + expirySeconds * 1000,
    publish.bytes,
    publish.payloadStart,
    publish.payloadEnd,
  );
}

function hasKeys(object: object): boolean {
  for (const _ in object) return true;
  return false;
}
