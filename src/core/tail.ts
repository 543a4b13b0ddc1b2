/**
 * The keys of what waits for one session on disk only: everything younger than what its queue holds in memory. Keys
 * grow, and mostly by one, so they are kept as runs: a queue of a million messages costs two numbers.
 */
export class Tail {
  count = 0;
  /** Sum of the counted bytes, as far as they are known. */
  bytes = 0;
  /** The journal's batch that the youngest was put into. */
  lastBatch = 0;
  /** First and last key of each run, in turn. */
  private runs: number[] = [];
  /** Where the first run begins that is not taken yet. */
  private head = 0;

  /** Undefined when there is nothing. */
  get firstKey(): number | undefined {
    return this.runs[this.head];
  }

  /** The greatest key that is not above `limit`; there is one, since the first key is not. */
  lastKeyUpTo(limit: number): number {
    const { runs } = this;
    let last = this.runs[this.head]!;
    for (let index = this.head; index < runs.length && runs[index]! <= limit; index += 2) {
      last = Math.min(limit, runs[index + 1]!);
    }
    return last;
  }

  /** `key` is greater than all before it; `batch` is the journal's that it was put into. */
  push(key: number, bytes: number, batch: number): void {
    const { runs } = this;
    this.lastBatch = batch;
    this.count++;
    this.bytes += bytes;
    if (runs.length > this.head && runs[runs.length - 1] === key - 1) runs[runs.length - 1] = key;
    else runs.push(key, key);
  }

  /** Takes out all keys up to and with `key`, and returns how many they were. `bytes` is the caller's to correct. */
  takeUpTo(key: number): number {
    const { runs } = this;
    let taken = 0;
    while (this.head < runs.length && runs[this.head]! <= key) {
      const first = runs[this.head]!;
      const last = Math.min(key, runs[this.head + 1]!);
      taken += last - first + 1;
      if (last < runs[this.head + 1]!) runs[this.head] = last + 1;
      else this.head += 2;
    }
    if (this.head > 64 && this.head * 2 > runs.length) {
      this.runs = runs.slice(this.head);
      this.head = 0;
    }
    this.count -= taken;
    return taken;
  }
}
