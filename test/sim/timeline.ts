/** Something that happens at its time; `cancel` keeps it from happening. */
export class Happening {
  readonly atMs: number;
  readonly sequence: number;
  run: (() => void) | undefined;

  constructor(atMs: number, sequence: number, run: () => void) {
    this.atMs = atMs;
    this.sequence = sequence;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

/** Virtual time: a heap of what is to happen. What is due at the same time happens in the order of asking. */
export class Timeline {
  /** Milliseconds, whole ones. */
  nowMs = 0;
  happened = 0;
  private readonly heap: Happening[] = [];
  private sequence = 0;

  /** `delayMs` is rounded down; what is asked for with 0 happens after all that is due now. */
  after(delayMs: number, run: () => void): Happening {
    return this.at(this.nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): Happening {
    const happening = new Happening(Math.max(this.nowMs, Math.floor(atMs)), this.sequence++, run);
    const { heap } = this;
    let index = heap.length;
    heap.push(happening);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(happening, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = happening;
    return happening;
  }

  /** When the next happens; Infinity when nothing will. */
  get nextMs(): number {
    while (this.heap.length > 0 && this.heap[0]!.run === undefined) this.removeFirst();
    return this.heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Lets the next one happen; false when there is none. */
  step(): boolean {
    if (this.nextMs === Number.POSITIVE_INFINITY) return false;
    const { run, atMs } = this.removeFirst();
    this.nowMs = atMs;
    this.happened++;
    run!();
    return true;
  }

  private removeFirst(): Happening {
    const { heap } = this;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: Happening, b: Happening): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
