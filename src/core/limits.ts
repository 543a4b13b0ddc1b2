/** A bound of something in each second; unset unless somebody asks for it. */
function rate<Unit extends "count" | "bytes">(unit: Unit, reason: string) {
  return { unit, default: 0, min: 0, max: 2 ** 40, reason: `${reason}, each second; 0 sets none` } as const;
}

/**
 * Every bound of the broker in one table: a queue without an entry here does not exist.
 * Settable as `--limit NAME=VALUE` and under `limits` in the configuration.
 */
export const LIMITS = {
  clients: {
    unit: "count",
    default: 20_000,
    min: 1,
    max: 10_000_000,
    reason: "open connections, each a file descriptor and some 10 kB",
  },
  connecting: {
    unit: "count",
    default: 1024,
    min: 1,
    max: 1_000_000,
    reason: "connections beyond `clients`: they have not sent their CONNECT yet, or are told that there is no place",
  },
  connectBytes: {
    unit: "bytes",
    default: 24 * 1024,
    min: 64,
    max: 268_435_460,
    reason: "size of a CONNECT packet, before anybody is known",
  },
  connectTimeoutMs: {
    unit: "ms",
    default: 10_000,
    min: 100,
    max: 3_600_000,
    reason: "from accept to a complete CONNECT, and to the end of authentication",
  },
  inflight: {
    unit: "count",
    default: 100,
    min: 1,
    max: 65_535,
    reason: "unacknowledged PUBLISH packets to one client; 5.0 clients may ask for fewer",
  },
  queuedMessages: {
    unit: "count",
    default: 10_000,
    min: 0,
    max: 100_000_000,
    reason: "messages waiting for one session",
  },
  queuedBytes: {
    unit: "bytes",
    default: 16 * 1024 * 1024,
    min: 0,
    max: 2 ** 40,
    reason: "payload and topic bytes waiting for one session",
  },
  queuedAgeMs: { unit: "ms", default: 0, min: 0, max: 2 ** 45, reason: "age of a waiting message; 0 sets none" },
  linkPendingBytes: {
    unit: "bytes",
    default: 1024 * 1024,
    min: 4096,
    max: 2 ** 31,
    reason: "output that a slow reader has not taken: then QoS 0 is dropped, QoS 1 and 2 wait",
  },
  linkPendingPackets: {
    unit: "count",
    default: 8_192,
    min: 1,
    max: 10_000_000,
    reason: "PUBLISH packets that a slow reader has not taken",
  },
  linkStallMs: {
    unit: "ms",
    default: 60_000,
    min: 100,
    max: 3_600_000,
    reason: "a peer that takes no byte of waiting output for so long is disconnected",
  },
  journalBytes: {
    unit: "bytes",
    default: 16 * 1024 * 1024,
    min: 64 * 1024,
    max: 2 ** 31,
    reason: "changes that the store has not written yet: beyond, publishers are not read from",
  },
  subscriptionsPerSession: {
    unit: "count",
    default: 100_000,
    min: 1,
    max: 100_000_000,
    reason: "Topic Filters of one session",
  },
  subscriptions: {
    unit: "count",
    default: 1_000_000,
    min: 1,
    max: 100_000_000,
    reason: "Topic Filters of all sessions",
  },
  topicLevels: { unit: "count", default: 200, min: 1, max: 65_535, reason: "levels of a Topic Name or Topic Filter" },
  clientIdBytes: { unit: "bytes", default: 65_535, min: 23, max: 65_535, reason: "length of a client identifier" },
  retained: { unit: "count", default: 250_000, min: 0, max: 100_000_000, reason: "retained messages" },
  retainedBytes: {
    unit: "bytes",
    default: 256 * 1024 * 1024,
    min: 0,
    max: 2 ** 40,
    reason: "payload and topic bytes of all retained messages",
  },
  retainedMessageBytes: {
    unit: "bytes",
    default: 2 * 1024 * 1024,
    min: 0,
    max: 268_435_455,
    reason: "payload bytes of one retained message",
  },
  sessions: { unit: "count", default: 100_000, min: 1, max: 100_000_000, reason: "sessions, connected or not" },
  clientConnectionsPerSecond: rate("count", "connections of one client to its session"),
  clientMessagesPerSecond: rate("count", "PUBLISH packets from one client"),
  clientBytesPerSecond: rate("bytes", "bytes of PUBLISH packets from one client"),
  userConnectionsPerSecond: rate("count", "connections of one user"),
  userMessagesPerSecond: rate("count", "PUBLISH packets from one user"),
  userBytesPerSecond: rate("bytes", "bytes of PUBLISH packets from one user"),
  addressConnections: {
    unit: "count",
    default: 0,
    min: 0,
    max: 10_000_000,
    reason: "open connections from one address, or one /64 of IPv6; 0 sets none",
  },
  addressConnectionsPerSecond: rate("count", "connections from one address, or one /64 of IPv6"),
  addressMessagesPerSecond: rate("count", "PUBLISH packets from one address"),
  addressBytesPerSecond: rate("bytes", "bytes of PUBLISH packets from one address"),
  listenerConnectionsPerSecond: rate("count", "connections to one listener"),
  listenerMessagesPerSecond: rate("count", "PUBLISH packets over one listener"),
  listenerBytesPerSecond: rate("bytes", "bytes of PUBLISH packets over one listener"),
  takeoverHoldMs: {
    unit: "ms",
    default: 0,
    min: 0,
    max: 86_400_000,
    reason: "for so long the holder keeps a session that clients take from each other; 0: the newest has it",
  },
  loginFailures: {
    unit: "count",
    default: 10,
    min: 0,
    max: 100,
    reason: "failed logins from one address within 10 minutes, then it is banned; 0 bans nobody",
  },
  loginDelayMs: {
    unit: "ms",
    default: 250,
    min: 0,
    max: 1000,
    reason: "from the first failed login to its answer; doubles with each, up to 16 times; 0 sets none",
  },
  loginBanMs: {
    unit: "ms",
    default: 60_000,
    min: 1000,
    max: 7 * 86_400_000,
    reason: "how long the first ban of an address lasts; doubles with each",
  },
  loginBanMaxMs: {
    unit: "ms",
    default: 3_600_000,
    min: 1000,
    max: 7 * 86_400_000,
    reason: "the longest ban of an address",
  },
} as const satisfies Record<string, Limit>;

export interface Limit {
  unit: "count" | "bytes" | "ms";
  default: number;
  min: number;
  max: number;
  reason: string;
}

export type LimitName = keyof typeof LIMITS;
export type Limits = Record<LimitName, number>;

export function defaultLimits(): Limits {
  return Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, limit.default])) as Limits;
}
