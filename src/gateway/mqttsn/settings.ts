import type { PredefinedTopics } from "./topic-table.ts";

/** What a gateway is told beforehand. Times are those of 1.2 §7.2. */
export interface GatewaySettings {
  /** GwId, 1 to 255, by which clients tell gateways apart. */
  readonly gatewayId: number;
  /** T_retry, in milliseconds. */
  readonly retryMs: number;
  /** N_retry. */
  readonly retries: number;
  /** T_ADV, in seconds, 1 to 65,535; 0: no ADVERTISE. */
  readonly advertiseSeconds: number;
  /** Topics with numbers that all clients know. */
  readonly predefined: PredefinedTopics;
  /** The same for single clients, by client identifier: in place of those of all where a number is the same. */
  readonly predefinedOf: ReadonlyMap<string, PredefinedTopics>;
  /** Registered topics for each client, 1 to 65,534. */
  readonly topicsPerClient: number;
  /** Clients at a time, and clients that have gone and may come back. */
  readonly clientsMax: number;
  /** Seconds for which the session of a client outlives it that asked for a clean one: so long a sleeper's buffer is kept. */
  readonly cleanSessionSeconds: number;
}

export const DEFAULT_SETTINGS: GatewaySettings = {
  gatewayId: 1,
  retryMs: 10_000,
  retries: 3,
  advertiseSeconds: 900,
  predefined: new Map(),
  predefinedOf: new Map(),
  topicsPerClient: 1000,
  clientsMax: 10_000,
  cleanSessionSeconds: 86_400,
};
