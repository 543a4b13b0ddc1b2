import { writeFileSync } from "node:fs";

/**
 * The name by which `ps`, `top`, `pgrep` and the journal know this process, 15 octets at most. Node.js calls it MainThread;
 * `process.title` would take the arguments from what `ps` shows. Where it cannot be set the old one stays.
 */
export function nameProcess(name: string): void {
  try {
    writeFileSync("/proc/self/comm", name);
  } catch {
    // There is no /proc, or not all of it.
  }
}
