/** Something that wants to be called at a time. It stands in the heap at most once. */
export interface Timed {
  /** Its place in the heap; -1 when it is in none. Only `Deadlines` writes it. */
  heapIndex: number;
  /** When it is due, in the broker's milliseconds. Only `Deadlines` writes it. */
  dueMs: number;
  onDue(nowMs: number): void;
}

/**
 * One heap of all deadlines: keep alive, will delay, session expiry, sweeps.
 * A deadline that moves later (every packet moves the keep alive) is not touched: its owner finds
 * out when it is called early, and asks again.
 */
export class Deadlines {
  private readonly heap: Timed[] = [];

  /** When the next one is due; Infinity when none is. */
  get nextMs(): number {
    return this.heap[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  get size(): number {
    return this.heap.length;
  }

  set(timed: Timed, dueMs: number): void {
    timed.dueMs = dueMs;
    if (timed.heapIndex === -1) {
      timed.heapIndex = this.heap.length;
      this.heap.push(timed);
    }
    this.siftDown(this.siftUp(timed.heapIndex));
  }

  cancel(timed: Timed): void {
    const index = timed.heapIndex;
    if (index === -1) return;
    timed.heapIndex = -1;
    const last = this.heap.pop()!;
    if (last === timed) return;
    this.heap[index] = last;
    last.heapIndex = index;
    this.siftDown(this.siftUp(index));
  }

  /** Calls what is due, earliest first; each at most about once, so that a deadline set anew for now cannot hold the turn. */
  run(nowMs: number): void {
    for (let left = this.heap.length; left > 0 && this.nextMs <= nowMs; left--) {
      const timed = this.heap[0]!;
      this.cancel(timed);
      timed.onDue(nowMs);
    }
  }

  private siftUp(start: number): number {
    const { heap } = this;
    const timed = heap[start]!;
    let index = start;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex]!;
      if (parent.dueMs <= timed.dueMs) break;
      heap[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    heap[index] = timed;
    timed.heapIndex = index;
    return index;
  }

  private siftDown(start: number): void {
    const { heap } = this;
    const timed = heap[start]!;
    let index = start;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= heap.length) break;
      if (childIndex + 1 < heap.length && heap[childIndex + 1]!.dueMs < heap[childIndex]!.dueMs) childIndex++;
      const child = heap[childIndex]!;
      if (child.dueMs >= timed.dueMs) break;
      heap[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    heap[index] = timed;
    timed.heapIndex = index;
  }
}
