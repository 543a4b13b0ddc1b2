import { RetainedIndex } from "../topic/retained.ts";
import type { Broker } from "./broker.ts";
import type { Timed } from "./deadlines.ts";
import type { Message } from "./message.ts";

const SWEEP_INTERVAL_MS = 60_000;

/** The retained messages, one a topic, within a count and a size. 5.0 §3.3.1.3. */
export class Retained implements Timed {
  heapIndex = -1;
  dueMs = 0;
  /** Payload and topic bytes of all of them but the broker's own figures. */
  bytes = 0;
  /** Of the message that was retained last. */
  sequence = 0;
  /** Those under `$SYS`, which are the broker's own and count towards no limit. */
  private ownCount = 0;
  private readonly index = new RetainedIndex<Message>();
  private readonly broker: Broker;

  constructor(broker: Broker) {
    this.broker = broker;
  }

  get size(): number {
    return this.index.size;
  }

  /** The present message of the topic; an expired one is not there, 5.0 [MQTT-3.3.2-5]. */
  get(topicName: string): Message | undefined {
    const message = this.index.get(topicName);
    return message !== undefined && message.expiresAtMs > this.broker.nowMs ? message : undefined;
  }

  /**
   * Stores the message or, when its payload is empty, removes the topic's. 5.0 [MQTT-3.3.1-5] [-6] [-7].
   * Returns undefined when a limit forbids it, else 1 stored, -1 removed, 0 nothing to remove.
   */
  store(message: Message): -1 | 0 | 1 | undefined {
    const { topicName } = message;
    if (message.payloadEnd === message.payloadStart) return this.remove(topicName, message) ? -1 : 0;
    const { limits } = this.broker;
    const before = this.index.get(topicName);
    if (isOwn(topicName)) {
      message.keep();
      this.put(message, before);
      if (before === undefined) this.ownCount++;
      return 1;
    }
    const bytes = this.bytes + message.countedBytes - (before?.countedBytes ?? 0);
    const count = this.index.size - this.ownCount + (before === undefined ? 1 : 0);
    const payloadBytes = message.payloadEnd - message.payloadStart;
    if (count > limits.retained || bytes > limits.retainedBytes || payloadBytes > limits.retainedMessageBytes) {
      return undefined;
    }
    message.keep();
    this.put(message, before);
    this.broker.archive?.retainedStored(message, before);
    this.bytes = bytes;
    if (message.expiresAtMs !== Number.POSITIVE_INFINITY && this.heapIndex === -1) {
      this.broker.deadlines.set(this, this.broker.nowMs + SWEEP_INTERVAL_MS);
    }
    return 1;
  }

  /** Takes up what the store has; the limits were asked when it was stored. */
  restore(message: Message, key: number): void {
    const before = this.index.get(message.topicName);
    if (before !== undefined) this.remove(message.topicName);
    message.retainedRecord = { key, batch: 0, batchAt: 0 };
    this.put(message, undefined);
    this.bytes += message.countedBytes;
    if (message.expiresAtMs !== Number.POSITIVE_INFINITY && this.heapIndex === -1) {
      this.broker.deadlines.set(this, this.broker.nowMs + SWEEP_INTERVAL_MS);
    }
  }

  private put(message: Message, before: Message | undefined): void {
    if (before !== undefined) before.retainedSequence = 0;
    message.retainedSequence = ++this.sequence;
    this.index.set(message.topicName, message);
  }

  /** `because`: the empty message that asked for it. */
  remove(topicName: string, because?: Message): boolean {
    const removed = this.index.delete(topicName);
    if (removed === undefined) return false;
    this.broker.archive?.retainedRemoved(removed, because);
    removed.retainedSequence = 0;
    if (isOwn(topicName)) this.ownCount--;
    else this.bytes -= removed.countedBytes;
    return true;
  }

  match(topicFilter: string): Message[] {
    const { nowMs } = this.broker;
    const found: Message[] = [];
    this.index.match(topicFilter, (message) => {
      if (message.expiresAtMs > nowMs) found.push(message);
    });
    return found;
  }

  /** Frees what has expired; goes on as long as there is something that can expire. */
  onDue(nowMs: number): void {
    const expired: string[] = [];
    let canExpire = false;
    for (const { topicName, expiresAtMs } of this.index.values()) {
      if (expiresAtMs <= nowMs) expired.push(topicName);
      else if (expiresAtMs !== Number.POSITIVE_INFINITY) canExpire = true;
    }
    for (const topicName of expired) {
      this.remove(topicName);
      this.broker.counters.dropped("expired");
      this.broker.hooks.notify("onRetainedExpired", topicName);
    }
    if (canExpire) this.broker.deadlines.set(this, nowMs + SWEEP_INTERVAL_MS);
  }
}

function isOwn(topicName: string): boolean {
  return topicName.startsWith("$SYS/");
}
