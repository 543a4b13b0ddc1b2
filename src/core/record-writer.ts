import { copyBytes } from "../codec/bytes.ts";
import { NO_PROPERTIES } from "../codec/packet.ts";
import { encodePublishProperties } from "../codec/publish.ts";
import { BATCH_HEAD_BYTES, type Batch } from "./batch.ts";
import type { Message } from "./message.ts";
import { MESSAGE_HEAD_BYTES, writeMessageHead } from "./message-record.ts";
import { topicBytesOf } from "./publish-writer.ts";
import type { Table } from "./store.ts";

// Records written straight into a batch: messages are copied once, from where they were received.

const NO_BYTES = new Uint8Array(0);

export function putRecord(batch: Batch, table: Table, key: number, name: Uint8Array, value: Uint8Array): void {
  const at = batch.put(table, key, name.length, value.length) + BATCH_HEAD_BYTES;
  copyBytes(batch.bytes, at, name, 0, name.length);
  copyBytes(batch.bytes, at + name.length, value, 0, value.length);
}

/** Puts a message as a record of its own, and returns its place in the batch. */
export function putMessage(batch: Batch, table: Table, key: number, message: Message, ageOffsetMs: number): number {
  const topic = topicBytesOf(message);
  const properties = propertiesBytes(message);
  const at = batch.put(table, key, topic.length, messageBytes(message, properties));
  const nameAt = at + BATCH_HEAD_BYTES;
  copyBytes(batch.bytes, nameAt, topic, 0, topic.length);
  writeMessage(batch.bytes, nameAt + topic.length, message, properties, ageOffsetMs);
  return at;
}

/** The properties of a message as its record has them. */
export function propertiesBytes({ properties }: Message): Uint8Array {
  return properties === NO_PROPERTIES ? NO_BYTES : encodePublishProperties(properties);
}

export function messageBytes(message: Message, properties: Uint8Array): number {
  return MESSAGE_HEAD_BYTES + properties.length + message.payloadEnd - message.payloadStart;
}

/** Writes `messageBytes` bytes at `at`. `ageOffsetMs`: what a time of this run has to be added to be an age. */
export function writeMessage(
  bytes: Uint8Array,
  at: number,
  message: Message,
  properties: Uint8Array,
  ageOffsetMs: number,
): void {
  const { qos, retain, expiresAtMs } = message;
  writeMessageHead(bytes, at, qos, retain, properties.length, expiresAtMs + ageOffsetMs);
  const propertiesAt = at + MESSAGE_HEAD_BYTES;
  copyBytes(bytes, propertiesAt, properties, 0, properties.length);
  copyBytes(bytes, propertiesAt + properties.length, message.bytes, message.payloadStart, message.payloadEnd);
}
