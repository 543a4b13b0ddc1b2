import { existsSync } from "node:fs";
import type { Clock } from "../core/ports.ts";

/** systemd-timesyncd makes it when it has set the clock; it is gone after a restart of the machine. */
const SYNCHRONIZED = "/run/systemd/timesync/synchronized";

/** Whether the wall clock can be believed: ask the system, or as the administrator says. */
export type ClockTrust = "auto" | "trusted" | "untrusted";

/**
 * The host's clocks. Nothing is cached: reading the monotonic one takes 30 to 100 ns beside the 10 us that a received
 * chunk costs, and forgetting a cached value at the end of each turn would take more than that.
 */
export class HostClock implements Clock {
  private readonly trust: ClockTrust;

  constructor(trust: ClockTrust = "auto") {
    this.trust = trust;
  }

  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  trusted(): boolean {
    return this.trust === "auto" ? existsSync(SYNCHRONIZED) : this.trust === "trusted";
  }
}
