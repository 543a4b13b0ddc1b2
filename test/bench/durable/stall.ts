import { spawnSync } from "node:child_process";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A disk that takes its time: every call that makes data durable waits, as long as `begin` has been called. */
export interface StallingDisk {
  /** Environment of a process whose disk is to stall. */
  env: Record<string, string>;
  begin(): void;
  /** Returns how often the disk has stalled since `begin`. */
  end(): number;
}

/**
 * Compiles `stall.c` into `folder` and returns its switch, which is off.
 * `stallMs`: how long a call waits; `restMs`: how long the disk is well after that.
 */
export function stallingDisk(folder: string, stallMs: number, restMs: number): StallingDisk {
  const library = join(folder, "stall.so");
  const flag = join(folder, "stalling");
  const source = join(import.meta.dirname, "stall.c");
  const compiled = spawnSync("cc", ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", library, source], {
    encoding: "utf8",
  });
  if (compiled.status !== 0) throw new Error(`Cannot compile the stalling disk: ${compiled.stderr}`);
  rmSync(flag, { force: true });
  return {
    env: {
      LD_PRELOAD: library,
      BENCH_STALL_FLAG: flag,
      BENCH_STALL_MS: String(stallMs),
      BENCH_STALL_REST_MS: String(restMs),
    },
    begin: () => writeFileSync(flag, ""),
    end: () => {
      const stalls = statSync(flag).size;
      rmSync(flag);
      return stalls;
    },
  };
}
