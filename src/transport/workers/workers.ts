import { setTimeout as sleep } from "node:timers/promises";
import { type Door, Thread, type ThreadOptions } from "./thread.ts";

/** Links that were ended have a second until they are closed whatever their peers do. */
const STOP_MS_MAX = 1_200;
const STOP_LOOK_MS = 5;

export interface WorkersOptions extends Omit<ThreadOptions, "index"> {
  /** Threads, 1 or more. They are started when a listener needs them. */
  count: number;
}

/** The threads that serve connections beside the core's: each listens at the same ports, and the kernel spreads clients. */
export class Workers {
  private readonly threads: readonly Thread[];
  private lastDoor = 0;

  constructor({ count, ...options }: WorkersOptions) {
    this.threads = Array.from({ length: count }, (_, index) => new Thread({ ...options, index }));
  }

  /** A number for a door. */
  number(): number {
    return ++this.lastDoor;
  }

  /** Resolves with where all of them listen. Rejects with the reason when one cannot; then none does. */
  async listen(door: Door): Promise<string> {
    const results = await Promise.allSettled(this.threads.map((thread) => thread.listen(door)));
    const failed = results.find(({ status }) => status === "rejected");
    if (failed === undefined) return (results[0] as PromiseFulfilledResult<string>).value;
    await this.close(door.number);
    throw (failed as PromiseRejectedResult).reason;
  }

  async close(door: number): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close(door)));
  }

  /** Has files read again that the listeners are made of. Never rejects. */
  async reload(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.reload()));
  }

  /** For a broker, which starts its companions: threads start when they are needed. */
  async start(): Promise<void> {}

  /** Ends them, when what was sent to clients that were told to go is written. */
  async stop(): Promise<void> {
    const lastMs = performance.now() + STOP_MS_MAX;
    while (this.threads.some(({ connections }) => connections > 0) && performance.now() < lastMs) {
      await sleep(STOP_LOOK_MS);
    }
    await Promise.all(this.threads.map((thread) => thread.stop()));
  }
}
