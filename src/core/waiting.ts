import type { Broker } from "./broker.ts";
import { Place } from "./keep-last.ts";
import type { Outgoing } from "./outgoing.ts";
import { Queue } from "./queue.ts";
import { readQueue } from "./queue-reader.ts";
import { Tail } from "./tail.ts";

/** What a stored session holds in memory of its queue, where there is a store: the rest is on disk only. */
const WINDOW_MESSAGES = 1024;
const WINDOW_BYTES = 256 * 1024;
/**
 * While its client takes messages, the next page is read as soon as less than this is left, since reading takes a while
 * and the store has other things to do: more as long as all queues that are read hold little.
 */
const FILL_BYTES = 256 * 1024;
const FILL_BYTES_MAX = 4 * 1024 * 1024;
const READ_BYTES_MAX = 32 * 1024 * 1024;
const PAGE_BYTES = 512 * 1024;

/** Messages of one session that were not sent yet, oldest first: those in memory, and behind them those on disk only. */
export class WaitingMessages {
  readonly queue = new Queue();
  /** Undefined when there is nothing on disk only. */
  tail: Tail | undefined = undefined;
  private readonly broker: Broker;
  /** Of each topic of which only the newest message waits, that one. */
  private readonly latest: Map<string, Outgoing | Place> | undefined;
  /** Something was read, and is in the queue now. */
  private readonly onRead: () => void;
  /** What was read is not wanted any more, and in no queue. */
  private readonly onSuperseded: (outgoing: Outgoing) => void;
  private reading = false;
  /** Of those in memory, the bytes of such as were read from disk. */
  private readBytes = 0;
  /** Everything up to this key may have been sent in an earlier run, which is to be found out; 0 when it is known. */
  private unknownUpTo = 0;
  private finding: Promise<void> | undefined = undefined;

  constructor(broker: Broker, onRead: () => void, onSuperseded: (outgoing: Outgoing) => void) {
    this.broker = broker;
    this.onRead = onRead;
    this.onSuperseded = onSuperseded;
    this.latest = broker.keepLast.isOn ? new Map() : undefined;
  }

  get length(): number {
    return this.queue.length + (this.tail === undefined ? 0 : this.tail.count);
  }

  /** Sum of the counted bytes. */
  get bytes(): number {
    return this.queue.bytes + (this.tail === undefined ? 0 : this.tail.bytes);
  }

  /** The one that waits whose place `outgoing` is to take. */
  earlier(outgoing: Outgoing): Outgoing | Place | undefined {
    const { latest, broker } = this;
    if (latest === undefined || !broker.keepLast.appliesTo(outgoing)) return undefined;
    const { topicName } = outgoing.message;
    const earlier = latest.get(topicName);
    if (!(earlier instanceof Place) || this.tail?.has(earlier.key) === true) return earlier;
    // The store has lost it.
    latest.delete(topicName);
    return undefined;
  }

  /** Takes the youngest. One without a record in the store can only be in memory. */
  push(outgoing: Outgoing): void {
    const { queue, tail, latest, broker } = this;
    const { message, key } = outgoing;
    const bytes = message.countedBytes;
    const fits = queue.length < WINDOW_MESSAGES && queue.bytes + bytes <= WINDOW_BYTES;
    if (key === 0 || (tail === undefined && (fits || queue.length === 0))) {
      message.keep();
      queue.push(outgoing);
      if (latest !== undefined && broker.keepLast.appliesTo(outgoing)) latest.set(message.topicName, outgoing);
    } else {
      this.tail ??= new Tail();
      this.tail.push(key, bytes, outgoing.batch);
      if (latest !== undefined && broker.keepLast.appliesTo(outgoing)) {
        latest.set(message.topicName, broker.archive!.queues.placeOf(outgoing));
      }
    }
    broker.counters.queuedMessages++;
    broker.counters.queuedBytes += bytes;
  }

  /** The oldest of those in memory. */
  shift(): Outgoing | undefined {
    const outgoing = this.queue.shift();
    if (outgoing !== undefined) {
      const bytes = outgoing.message.countedBytes;
      this.left(1, bytes);
      this.forgetRead(bytes);
      this.forgetLatest(outgoing);
    }
    return outgoing;
  }

  /** Takes out the newest of a topic, in memory or on disk only. */
  remove(topicName: string, waiting: Outgoing | Place): void {
    this.latest?.delete(topicName);
    if (waiting instanceof Place) {
      const { tail } = this;
      tail!.remove(waiting.key, waiting.bytes);
      if (tail!.count === 0) this.tail = undefined;
      this.left(1, waiting.bytes);
      return;
    }
    const bytes = waiting.message.countedBytes;
    this.queue.remove(waiting);
    this.left(1, bytes);
    this.forgetRead(bytes);
  }

  /** Takes out those in memory for which `wanted` holds, in order. */
  extract(wanted: (outgoing: Outgoing) => boolean): Outgoing[] {
    const { queue } = this;
    const bytesBefore = queue.bytes;
    const taken = queue.extract(wanted);
    const bytes = bytesBefore - queue.bytes;
    this.left(taken.length, bytes);
    this.forgetRead(bytes);
    for (const outgoing of taken) this.forgetLatest(outgoing);
    return taken;
  }

  /** Gives up what is on disk only: the caller deals with it. */
  takeTail(): Tail | undefined {
    const { tail } = this;
    this.tail = undefined;
    this.latest?.clear();
    if (tail !== undefined) this.left(tail.count, tail.bytes);
    return tail;
  }

  /** Takes up what an earlier run left on disk, of which everything up to `sentKey` may have been sent. */
  restore(tail: Tail, sentKey: number): void {
    this.tail = tail;
    if (sentKey >= tail.firstKey!) this.unknownUpTo = sentKey;
    this.broker.counters.queuedMessages += tail.count;
    this.broker.counters.queuedBytes += tail.bytes;
  }

  /** As `restore`, of those that were surely not sent: where the newest of a topic waits. */
  restoreLatest(topicName: string, place: Place): void {
    if (place.key > this.unknownUpTo) this.latest?.set(topicName, place);
  }

  /**
   * After a restart: finds what may have been under way when the broker was cut off and offers it to `take`, which
   * answers whether it took it, so that it is known before the client says anything about it. undefined when there is
   * nothing to find out.
   */
  findUnderWay(take: (outgoing: Outgoing) => boolean): Promise<void> | undefined {
    if (this.unknownUpTo === 0) return undefined;
    this.finding ??= this.readUnderWay(take);
    return this.finding;
  }

  /** What is in memory is about to end, and there is more. */
  get isLow(): boolean {
    if (this.tail === undefined) return false;
    const { readBytes } = this.broker.archive!.queues;
    return this.queue.bytes < (readBytes < READ_BYTES_MAX ? FILL_BYTES_MAX : FILL_BYTES);
  }

  /** Brings the oldest on disk into memory, by and by. `onRead` tells when. */
  readOn(): void {
    const { tail, broker } = this;
    // While it is being found out what was under way, that comes first.
    if (this.reading || tail === undefined || this.unknownUpTo !== 0) return;
    this.reading = true;
    this.readPage(tail, (outgoing) => this.takeRead(outgoing)).then(
      () => {
        broker.turn();
        this.reading = false;
        this.onRead();
        broker.reschedule();
      },
      (error: Error) => {
        this.reading = false;
        if (!broker.stopping) broker.log.error("Cannot read on in a queue", { reason: error.message });
      },
    );
  }

  private async readUnderWay(take: (outgoing: Outgoing) => boolean): Promise<void> {
    const { unknownUpTo } = this;
    const each = (outgoing: Outgoing): void => {
      if (outgoing.qos > 0 && outgoing.key <= unknownUpTo && take(outgoing)) {
        this.left(1, outgoing.message.countedBytes);
        this.forgetRead(outgoing.message.countedBytes);
      } else this.takeRead(outgoing);
    };
    for (;;) {
      const { tail } = this;
      if (tail === undefined || tail.firstKey! > unknownUpTo) {
        this.unknownUpTo = 0;
        break;
      }
      const before = tail.count;
      await this.readPage(tail, each);
      // Nothing can be read at present; it is found out with the next connection.
      if (tail.count === before) break;
    }
    this.finding = undefined;
  }

  /** The next messages of the tail, which leaves them to `each`. What the store has lost of them is named there. */
  private async readPage(tail: Tail, each: (outgoing: Outgoing) => void): Promise<void> {
    const page = await readQueue(this.broker, tail, PAGE_BYTES);
    const { lastKey } = page;
    if (this.tail !== tail || lastKey === 0) return;
    const messages = page.messages.filter(({ key }) => tail.has(key));
    this.broker.turn();
    const taken = tail.takeUpTo(lastKey);
    let bytes = 0;
    for (const outgoing of messages) bytes += outgoing.message.countedBytes;
    // What is lost had a size that nobody knows any more, but for the last ones.
    const bytesAfter = tail.count === 0 ? 0 : Math.max(0, tail.bytes - bytes);
    this.left(taken - messages.length, tail.bytes - bytesAfter - bytes);
    tail.bytes = bytesAfter;
    this.readBytes += bytes;
    this.broker.archive!.queues.readBytes += bytes;
    if (tail.count === 0) this.tail = undefined;
    for (const outgoing of messages) each(outgoing);
  }

  /** What was read waits in memory from now on, if there is no newer one whose place is its own. */
  private takeRead(outgoing: Outgoing): void {
    const { latest, broker } = this;
    if (latest !== undefined && broker.keepLast.appliesTo(outgoing)) {
      const { topicName } = outgoing.message;
      const known = latest.get(topicName);
      if (known instanceof Place && known.key > outgoing.key) {
        this.discardRead(outgoing);
        return;
      }
      // Left by a run that did not ask for the newest only, or could not know the topic of a record.
      if (known !== undefined && !(known instanceof Place)) {
        this.remove(topicName, known);
        this.onSuperseded(known);
      }
      latest.set(topicName, outgoing);
    }
    this.queue.push(outgoing);
  }

  private discardRead(outgoing: Outgoing): void {
    const bytes = outgoing.message.countedBytes;
    this.left(1, bytes);
    this.forgetRead(bytes);
    this.onSuperseded(outgoing);
  }

  private forgetLatest(outgoing: Outgoing): void {
    const { latest } = this;
    if (latest === undefined) return;
    const { topicName } = outgoing.message;
    if (latest.get(topicName) === outgoing) latest.delete(topicName);
  }

  /** Counts what was read and is gone now; what was never on disk only is not told apart from it. */
  private forgetRead(bytes: number): void {
    if (this.readBytes === 0) return;
    const gone = Math.min(bytes, this.readBytes);
    this.readBytes -= gone;
    this.broker.archive!.queues.readBytes -= gone;
  }

  private left(messages: number, bytes: number): void {
    const { counters } = this.broker;
    counters.queuedMessages -= messages;
    counters.queuedBytes -= bytes;
  }
}
