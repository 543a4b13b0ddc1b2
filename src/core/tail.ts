/** So many keys may be gone before it is worth to make the runs anew. */
const GONE_MIN = 64;

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
  /** Keys within the runs that were removed one by one, until they are more than those that are there. */
  private readonly gone = new Set<number>();

  /** Undefined when there is nothing. */
  get firstKey(): number | undefined {
    return this.runs[this.head];
  }

  /** The greatest key that is not above `limit`, or was removed; there is one, since the first key is not. */
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

  has(key: number): boolean {
    return this.isInRun(key) && !this.gone.has(key);
  }

  /** Takes out one key that is there, of a message of so many bytes. */
  remove(key: number, bytes: number): void {
    this.count--;
    this.bytes -= bytes;
    this.gone.add(key);
    this.forgetFirst();
    if (this.gone.size > GONE_MIN && this.gone.size > this.count) this.rebuild();
  }

  /** Takes out all keys up to and with `key`, and returns how many they were. `bytes` is the caller's to correct. */
  takeUpTo(key: number): number {
    const { runs, gone } = this;
    let taken = 0;
    while (this.head < runs.length && runs[this.head]! <= key) {
      const first = runs[this.head]!;
      const last = Math.min(key, runs[this.head + 1]!);
      taken += last - first + 1;
      for (let each = first; each <= last && gone.size > 0; each++) if (gone.delete(each)) taken--;
      if (last < runs[this.head + 1]!) runs[this.head] = last + 1;
      else this.head += 2;
    }
    if (this.head > 64 && this.head * 2 > runs.length) {
      this.runs = runs.slice(this.head);
      this.head = 0;
    }
    this.forgetFirst();
    this.count -= taken;
    return taken;
  }

  private isInRun(key: number): boolean {
    const { runs } = this;
    let low = this.head >> 1;
    let high = (runs.length >> 1) - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (key < runs[2 * middle]!) high = middle - 1;
      else if (key > runs[2 * middle + 1]!) low = middle + 1;
      else return true;
    }
    return false;
  }

  /** The first key is one that is there. */
  private forgetFirst(): void {
    const { runs, gone } = this;
    while (gone.size > 0 && gone.delete(runs[this.head]!)) {
      if (runs[this.head] === runs[this.head + 1]) this.head += 2;
      else runs[this.head]!++;
    }
  }

  /** Runs without what is gone. */
  private rebuild(): void {
    const { runs, gone, head } = this;
    const left: number[] = [];
    for (let at = head; at < runs.length; at += 2) {
      for (let key = runs[at]!; key <= runs[at + 1]!; key++) {
        if (gone.has(key)) continue;
        if (left.length > 0 && left[left.length - 1] === key - 1) left[left.length - 1] = key;
        else left.push(key, key);
      }
    }
    this.runs = left;
    this.head = 0;
    gone.clear();
  }
}
