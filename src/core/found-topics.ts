import { decodeUtf8 } from "../codec/text.ts";
import type { BatchReader } from "./batch.ts";
import { type KeepLast, Place } from "./keep-last.ts";
import { hasQueueExtras, QueueForm, type QueueHead } from "./queue-record.ts";
import type { Session } from "./session.ts";

/** A queue record whose topic stands in the record of its message. */
interface Unnamed {
  session: Session;
  place: Place;
}

/**
 * After a restart, where a topic's newest message waits on disk for each session, of those of which only the newest
 * waits. Of records with extras the head does not say whether a share gave them, so they wait until they are read.
 */
export class FoundTopics {
  private readonly keepLast: KeepLast;
  private readonly latest = new Map<Session, Map<string, Place>>();
  /** By the key of the message's record. */
  private readonly unnamed = new Map<number, Unnamed[]>();

  constructor(keepLast: KeepLast) {
    this.keepLast = keepLast;
  }

  /** A record of the queue: its head, and its name where it has one. */
  queued(session: Session, reader: BatchReader, head: QueueHead): void {
    const { key, bytes, valueStart } = reader;
    const { form, retain, countedBytes, message } = head;
    if (retain || form === QueueForm.Released || hasQueueExtras(bytes, valueStart)) return;
    const place = new Place(key, countedBytes, message);
    if (form === QueueForm.Whole) {
      this.put(session, reader.name, place);
      return;
    }
    const others = this.unnamed.get(message);
    if (others === undefined) this.unnamed.set(message, [{ session, place }]);
    else others.push({ session, place });
  }

  /** The record of a message that those of queues refer to. */
  named({ key, name }: BatchReader): void {
    for (const { session, place } of this.unnamed.get(key) ?? []) this.put(session, name, place);
  }

  /** What was found is what the sessions go by. */
  settle(): void {
    for (const [session, latest] of this.latest) {
      for (const [topicName, place] of latest) session.delivery.queued?.restoreLatest(topicName, place);
    }
  }

  private put(session: Session, name: Uint8Array, place: Place): void {
    const topicName = readable(name);
    if (topicName === undefined || !this.keepLast.covers(topicName)) return;
    let latest = this.latest.get(session);
    if (latest === undefined) {
      latest = new Map();
      this.latest.set(session, latest);
    }
    const before = latest.get(topicName);
    if (before === undefined || before.key < place.key) latest.set(topicName, place);
  }
}

/** Undefined for a damaged one, which is told of when the whole record is read. */
function readable(name: Uint8Array): string | undefined {
  try {
    return decodeUtf8(name, 0, name.length);
  } catch {
    return undefined;
  }
}
