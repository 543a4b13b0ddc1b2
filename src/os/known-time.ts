import { statSync } from "node:fs";
import type { Clock } from "../core/ports.ts";

/** Clocks that are set by a network are put back a little now and then. */
const PUT_BACK_MS = 60_000;

/**
 * What time it is at least, on a machine that may have no clock of its own and begin in 1970, or at the time of its image,
 * at each start: nothing that is known to have happened can be yet to come. Where the clock is known to be right, it counts.
 */
export class KnownTime {
  private readonly clock: Clock;
  private readonly kept: () => number;
  /** The latest of what was learned, less the monotonic clock. */
  private offsetMs: number;

  /** `kept`: what earlier runs and their store know, in milliseconds since 1970; 0 for nothing. */
  constructor(clock: Clock, kept: () => number, programMs = programTimeMs()) {
    this.clock = clock;
    this.kept = kept;
    this.offsetMs = programMs - clock.nowMs();
  }

  /** Milliseconds since 1970. */
  nowMs(): number {
    const { clock } = this;
    return clock.trusted() ? clock.wallMs() : Math.max(clock.wallMs(), this.leastMs());
  }

  /** By more than a minute. */
  isBehind(): boolean {
    const { clock } = this;
    return !clock.trusted() && clock.wallMs() + PUT_BACK_MS < this.leastMs();
  }

  isTrusted(): boolean {
    return this.clock.trusted();
  }

  /** It is that late at least: milliseconds since 1970. */
  learn(ms: number): void {
    this.offsetMs = Math.max(this.offsetMs, ms - this.clock.nowMs());
  }

  private leastMs(): number {
    return Math.max(this.kept(), this.clock.nowMs() + this.offsetMs);
  }
}

/** When this program was made or unpacked; 0 where nobody knows. The program may be one file, or many. */
export function programTimeMs(files: readonly string[] = [process.argv[1] ?? "", process.execPath]): number {
  return Math.max(...files.map(modifiedMs));
}

function modifiedMs(file: string): number {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}
