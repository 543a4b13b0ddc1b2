import type { Outgoing } from "./outgoing.ts";

const SLOTS_MIN = 8;

/**
 * What waits for one session, oldest first: a ring that grows by doubling. What is removed from its midst leaves a hole,
 * never at the head. The bounds are the session's business.
 */
export class Queue {
  private slots: (Outgoing | undefined)[] = new Array(SLOTS_MIN).fill(undefined);
  /** Places of the oldest and behind the youngest, counted on over the end of the ring. */
  private head = 0;
  private end = 0;
  length = 0;
  /** Sum of `countedBytes` of the waiting messages. */
  bytes = 0;
  /** Those of QoS 0 among them. */
  qos0 = 0;

  push(outgoing: Outgoing): void {
    if (this.end - this.head === this.slots.length) {
      this.rebuild(this.length * 2 > this.slots.length ? this.slots.length * 2 : this.slots.length);
    }
    outgoing.sequence = this.end;
    this.slots[this.end++ & (this.slots.length - 1)] = outgoing;
    this.length++;
    this.bytes += outgoing.message.countedBytes;
    if (outgoing.qos === 0) this.qos0++;
  }

  peek(): Outgoing | undefined {
    return this.slots[this.head & (this.slots.length - 1)];
  }

  shift(): Outgoing | undefined {
    const outgoing = this.peek();
    if (outgoing !== undefined) this.remove(outgoing);
    return outgoing;
  }

  /** Takes out one that is in the queue, wherever it stands. */
  remove(outgoing: Outgoing): void {
    const mask = this.slots.length - 1;
    this.slots[outgoing.sequence & mask] = undefined;
    this.length--;
    this.bytes -= outgoing.message.countedBytes;
    if (outgoing.qos === 0) this.qos0--;
    if (this.length > 0) {
      while (this.slots[this.head & mask] === undefined) this.head++;
      return;
    }
    this.head = 0;
    this.end = 0;
    if (this.slots.length > 1024) this.slots = new Array(SLOTS_MIN).fill(undefined);
  }

  /** Oldest first. */
  *waiting(): Generator<Outgoing> {
    for (let at = this.head; at < this.end; at++) {
      const outgoing = this.slots[at & (this.slots.length - 1)];
      if (outgoing !== undefined) yield outgoing;
    }
  }

  /** Takes out all for which `wanted` holds, in order. */
  extract(wanted: (outgoing: Outgoing) => boolean): Outgoing[] {
    const taken: Outgoing[] = [];
    const total = this.length;
    for (let left = total; left > 0; left--) {
      const outgoing = this.shift()!;
      if (wanted(outgoing)) taken.push(outgoing);
      else this.push(outgoing);
    }
    return taken;
  }

  /** Without holes. */
  private rebuild(size: number): void {
    const all = [...this.waiting()];
    this.slots = new Array(size).fill(undefined);
    for (const [at, outgoing] of all.entries()) {
      outgoing.sequence = at;
      this.slots[at] = outgoing;
    }
    this.head = 0;
    this.end = all.length;
  }
}
