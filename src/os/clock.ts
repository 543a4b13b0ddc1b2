import type { Clock } from "../core/ports.ts";

/**
 * The host's clocks. Nothing is cached: reading the monotonic one takes some 30 ns, once per received chunk,
 * and forgetting a cached value at the end of each turn would cost more.
 */
export class HostClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}
