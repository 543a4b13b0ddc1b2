import type { Broker } from "./broker.ts";
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
  /** Something was read, and is in the queue now. */
  private readonly onRead: () => void;
  private reading = false;
  /** Of those in memory, the bytes of such as were read from disk. */
  private readBytes = 0;
  /** Everything up to this key may have been sent in an earlier run, which is to be found out; 0 when it is known. */
  private unknownUpTo = 0;
  private finding: Promise<void> | undefined = undefined;

  constructor(broker: Broker, onRead: () => void) {
    this.broker = broker;
    this.onRead = onRead;
  }

  get length(): number {
    return this.queue.length + (this.tail === undefined ? 0 : this.tail.count);
  }

  /** Sum of the counted bytes. */
  get bytes(): number {
    return this.queue.bytes + (this.tail === undefined ? 0 : this.tail.bytes);
  }

  /** Takes the youngest. One without a record in the store can only be in memory. */
  push(outgoing: Outgoing): void {
    const { queue, tail, broker } = this;
    const { message, key } = outgoing;
    const bytes = message.countedBytes;
    const fits = queue.length < WINDOW_MESSAGES && queue.bytes + bytes <= WINDOW_BYTES;
    if (key === 0 || (tail === undefined && (fits || queue.length === 0))) {
      message.keep();
      queue.push(outgoing);
    } else {
      this.tail ??= new Tail();
      this.tail.push(key, bytes, outgoing.batch);
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
    }
    return outgoing;
  }

  /** Takes out those in memory for which `wanted` holds, in order. */
  extract(wanted: (outgoing: Outgoing) => boolean): Outgoing[] {
    const { queue } = this;
    const bytesBefore = queue.bytes;
    const taken = queue.extract(wanted);
    const bytes = bytesBefore - queue.bytes;
    this.left(taken.length, bytes);
    this.forgetRead(bytes);
    return taken;
  }

  /** Gives up what is on disk only: the caller deals with it. */
  takeTail(): Tail | undefined {
    const { tail } = this;
    this.tail = undefined;
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
    this.readPage(tail, (outgoing) => this.queue.push(outgoing)).then(
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
      } else this.queue.push(outgoing);
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
    const { messages, lastKey } = await readQueue(this.broker, tail, PAGE_BYTES);
    if (this.tail !== tail || lastKey === 0) return;
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
