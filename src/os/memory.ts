import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const INTERVAL_MS = 2_000;
const FIRST_LOOK_MS = 300;
/** Beyond what the last collection left: less is not worth a pause. */
const GROWTH_BYTES_MIN = 12 * 1024 * 1024;
/** Part of the time in which the event loop works: above it the memory is in use. */
const BUSY_MAX = 0.25;

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/**
 * Gives memory back to the system after a busy time. V8 keeps the pages that a burst of messages has filled, for a next
 * burst that may never come; on a gateway other programs need them. When the loop is quiet and the process has grown, one
 * full collection (some 10 to 30 ms) releases them.
 */
export class MemoryReturn {
  private readonly collect: Collect;
  private readonly residentBytes: () => number;
  private readonly loop: () => { utilization: number };
  private timer: NodeJS.Timeout | undefined;
  private last = performance.eventLoopUtilization();
  private settledBytes: number;

  /** The parameters are the machine's own, but for tests. */
  constructor(
    collect: Collect = exposedCollect(),
    residentBytes: () => number = () => process.memoryUsage.rss(),
    loop?: () => { utilization: number },
  ) {
    this.collect = collect;
    this.residentBytes = residentBytes;
    this.loop = loop ?? (() => this.sinceLast());
    this.settledBytes = residentBytes();
  }

  /** The first collection follows soon: what only starting needed is let go of. */
  start(): void {
    this.settledBytes = 0;
    this.lookIn(FIRST_LOOK_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private lookIn(delayMs: number): void {
    this.timer = setTimeout(() => {
      this.look();
      this.lookIn(INTERVAL_MS);
    }, delayMs);
    this.timer.unref();
  }

  /** One look, as the timer takes it. */
  look(): void {
    const { utilization } = this.loop();
    const bytes = this.residentBytes();
    if (bytes < this.settledBytes) this.settledBytes = bytes;
    if (utilization > BUSY_MAX || bytes < this.settledBytes + GROWTH_BYTES_MIN) return;
    this.collect({ type: "major", execution: "sync", flavor: "last-resort" });
    this.settledBytes = this.residentBytes();
  }

  private sinceLast(): { utilization: number } {
    const now = performance.eventLoopUtilization();
    const passed = performance.eventLoopUtilization(now, this.last);
    this.last = now;
    return passed;
  }
}

/** The collector as a function, which is otherwise there only with --expose-gc on the command line. */
function exposedCollect(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}
