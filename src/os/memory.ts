import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const INTERVAL_MS = 2_000;
const FIRST_LOOK_MS = 300;
/** Beyond what the last collection left: less is not worth a pause. The part bounds the pauses of a growing process. */
const GROWTH_BYTES_MIN = 12 * 1024 * 1024;
const GROWTH_PART_MIN = 0.15;
/** A collection of much live data takes long: it is followed by so many times its length without another. */
const REST_PER_PAUSE = 500;
/** Part of the time in which the event loop works: above it the memory is in use. */
const BUSY_MAX = 0.25;

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** What memory is told from and given back with; a test hands in its own. */
export interface Machine {
  collect: Collect;
  /** undefined: the system does not say it now. */
  residentBytes(): number | undefined;
  /** Part of the time since the last call in which the event loop worked. */
  utilization(): number;
  nowMs(): number;
}

/**
 * Gives memory back to the system after a busy time. V8 keeps the pages that a burst of messages has filled, for a next
 * burst that may never come; on a gateway other programs need them. When the loop is quiet and the process has grown, one
 * full collection releases them: some 10 to 30 ms, more with much to keep, and at most a 500th of the time.
 */
export class MemoryReturn {
  private readonly machine: Machine;
  private timer: NodeJS.Timeout | undefined;
  private settledBytes: number;
  private notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(machine: Machine = thisMachine()) {
    this.machine = machine;
    this.settledBytes = machine.residentBytes() ?? 0;
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
    const { machine } = this;
    const utilization = machine.utilization();
    const bytes = machine.residentBytes();
    if (bytes === undefined) return;
    const startedMs = machine.nowMs();
    if (bytes < this.settledBytes) this.settledBytes = bytes;
    const growthBytesMin = Math.max(GROWTH_BYTES_MIN, this.settledBytes * GROWTH_PART_MIN);
    if (utilization > BUSY_MAX || bytes < this.settledBytes + growthBytesMin || startedMs < this.notBeforeMs) return;
    machine.collect({ type: "major", execution: "sync", flavor: "last-resort" });
    const endedMs = machine.nowMs();
    this.notBeforeMs = endedMs + (endedMs - startedMs) * REST_PER_PAUSE;
    this.settledBytes = machine.residentBytes() ?? bytes;
  }
}

/** This process. */
export function thisMachine(): Machine {
  let last = performance.eventLoopUtilization();
  return {
    collect: exposedCollect(),
    residentBytes,
    utilization: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    nowMs: () => performance.now(),
  };
}

/** Node.js opens a file of /proc for it and throws where there is none, or where no file can be opened any more. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

/** The collector as a function, which is otherwise there only with --expose-gc on the command line. */
function exposedCollect(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}
