import type { Clock } from "../core/ports.ts";

/**
 * The host's clocks. Nothing is cached: reading the monotonic one takes 30 to 100 ns beside the 10 us that a received
 * chunk costs, and forgetting a cached value at the end of each turn would take more than that.
 */
export class HostClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}
