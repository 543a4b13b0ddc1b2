import { BufferPool } from "./buffer-pool.ts";

/** What a turn flushes. `flush` calls nobody back and never throws. */
export interface Flushable {
  flush(): void;
}

/** All batches of one turn together: what fits a second-level cache, so that a fan-out's bytes are still warm. */
const HELD_BYTES_MAX = 2 * 1024 * 1024;
/** From one socket of a turn to the next it takes some 10 us; a gap of this length means that nothing was waiting. */
const QUIET_MS = 0.05;

/**
 * Collects the links that have output and writes each once, when the sockets of this turn of the event loop have
 * all been read. One per broker, shared by its listeners.
 *
 * `setImmediate`, not a microtask: microtasks run after each socket's callback, the check phase after all of them.
 */
export class Turn {
  readonly pool = new BufferPool();
  private readonly heldBytesMax: number;
  /** Slots from `count` on are empty; the array is kept, since truncating it would free its store each turn. */
  private readonly dirty: (Flushable | undefined)[] = [];
  private count = 0;
  /** What is to be done once at the end of this turn. */
  private tasks: (() => void)[] = [];
  private heldBytes = 0;
  private scheduled = false;
  private flushing = false;
  private reading = false;
  private lastReadMs = 0;

  /** `heldBytesMax`: bytes of batch buffers that a turn may gather before it writes early. */
  constructor(heldBytesMax: number = HELD_BYTES_MAX) {
    this.heldBytesMax = heldBytesMax;
  }

  /** Has `link` flushed in this turn. To be called once per link and turn. */
  add(link: Flushable): void {
    this.dirty[this.count++] = link;
    if (!this.reading) this.schedule();
  }

  /** Has `task` called once, when everything that came in this turn has been handled; before the links are written. */
  atEnd(task: () => void): void {
    this.tasks.push(task);
    if (!this.reading) this.schedule();
  }

  /** A link is about to handle what it read. */
  beginRead(): void {
    this.reading = true;
  }

  /**
   * It is done. After a quiet moment its bytes came alone, and what they led to is written now: waiting for others that
   * are not coming would cost a round of the event loop. Under load the next socket follows at once, and all wait.
   */
  endRead(): void {
    this.reading = false;
    const nowMs = performance.now();
    const alone = nowMs - this.lastReadMs > QUIET_MS;
    this.lastReadMs = nowMs;
    if ((this.count === 0 && this.tasks.length === 0) || this.scheduled) return;
    if (alone) this.end();
    else this.schedule();
  }

  /** Counts a batch buffer that a link took in this turn. */
  hold(bytes: number): void {
    this.heldBytes += bytes;
  }

  /** The turn has gathered so much that it is better written now. */
  get full(): boolean {
    return this.heldBytes > this.heldBytesMax;
  }

  /** Writes what every link has gathered; also in the middle of a turn that gathers too much. */
  flush(): void {
    // An in-process stream may answer from inside a write. What that adds is flushed by the loop already running.
    if (this.flushing) return;
    this.flushing = true;
    this.heldBytes = 0;
    const { dirty } = this;
    for (let index = 0; index < this.count; index++) {
      const link = dirty[index];
      if (link === undefined) continue;
      dirty[index] = undefined;
      link.flush();
    }
    this.count = 0;
    this.flushing = false;
  }

  private end(): void {
    if (this.tasks.length > 0) {
      const { tasks } = this;
      this.tasks = [];
      for (const task of tasks) task();
    }
    this.flush();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.onImmediate);
  }

  private readonly onImmediate = (): void => {
    this.scheduled = false;
    this.end();
  };
}
