import type { Outgoing } from "./outgoing.ts";

const SLOTS_MIN = 8;

/** What waits for one session, oldest first: a ring that grows by doubling. The bounds are the session's business. */
export class Queue {
  private slots: (Outgoing | undefined)[] = new Array(SLOTS_MIN).fill(undefined);
  private head = 0;
  length = 0;
  /** Sum of `countedBytes` of the waiting messages. */
  bytes = 0;
  /** Those of QoS 0 among them. */
  qos0 = 0;

  push(outgoing: Outgoing): void {
    if (this.length === this.slots.length) this.resize(this.slots.length * 2);
    this.slots[(this.head + this.length) & (this.slots.length - 1)] = outgoing;
    this.length++;
    this.bytes += outgoing.message.countedBytes;
    if (outgoing.qos === 0) this.qos0++;
  }

  peek(): Outgoing | undefined {
    return this.slots[this.head];
  }

  shift(): Outgoing | undefined {
    const outgoing = this.slots[this.head];
    if (outgoing === undefined) return undefined;
    this.slots[this.head] = undefined;
    this.head = (this.head + 1) & (this.slots.length - 1);
    this.length--;
    this.bytes -= outgoing.message.countedBytes;
    if (outgoing.qos === 0) this.qos0--;
    if (this.length === 0 && this.slots.length > 1024) this.resize(SLOTS_MIN);
    return outgoing;
  }

  /** Oldest first. */
  *waiting(): Generator<Outgoing> {
    for (let index = 0; index < this.length; index++) yield this.slots[(this.head + index) & (this.slots.length - 1)]!;
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

  private resize(size: number): void {
    const old = this.slots;
    this.slots = new Array(size).fill(undefined);
    for (let index = 0; index < this.length; index++) this.slots[index] = old[(this.head + index) & (old.length - 1)];
    this.head = 0;
  }
}
