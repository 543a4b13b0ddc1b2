import { readFileSync } from "node:fs";

/**
 * Bytes that this process, with all its threads, has caused to be written to block devices since it started, as Linux
 * counts them; undefined where it does not. Reading takes some 10 us.
 */
export function bytesWritten(): number | undefined {
  try {
    const match = /^write_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "latin1"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}
