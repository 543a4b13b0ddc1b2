/** Why a message or connection was given up. Each is counted: a declared loss is never silent. */
export const DROP_REASONS = [
  "queueFull",
  "queueBytes",
  "queueAge",
  "expired",
  "slowReader",
  "tooLarge",
  "notAuthorized",
  "refused",
  "retainedLimit",
  "sessionEnded",
  "refusedByReceiver",
  "storeFull",
  "rate",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
/** A newer message of its topic took its place in a queue, see BrokerOptions.queue: that is asked for, and no loss. */
const SUPERSEDED = "superseded";

/** Plain numbers, written on the hot path and read when somebody asks. Totals count from start, or from what was restored. */
export class Counters {
  bytesReceived = 0;
  bytesSent = 0;
  packetsReceived = 0;
  packetsSent = 0;
  /** PUBLISH packets, either way. */
  publishReceived = 0;
  publishSent = 0;
  publishBytesReceived = 0;
  publishBytesSent = 0;
  connectionsAccepted = 0;
  connectionsRefused = 0;
  clientsConnected = 0;
  clientsMaximum = 0;
  clientsExpired = 0;
  inflight = 0;
  queuedMessages = 0;
  queuedBytes = 0;
  subscriptions = 0;
  sharedSubscriptions = 0;
  protocolErrors = 0;
  /** Records that the store had and could not give back. */
  storeRecordsLost = 0;
  messagesDropped = 0;
  readonly droppedBy: Record<DropReason | typeof SUPERSEDED, number> = Object.fromEntries(
    [...DROP_REASONS, SUPERSEDED].map((reason) => [reason, 0]),
  ) as Record<DropReason | typeof SUPERSEDED, number>;

  /** Not among `messagesDropped`. */
  superseded(): void {
    this.droppedBy.superseded++;
  }

  dropped(reason: DropReason): void {
    this.messagesDropped++;
    this.droppedBy[reason]++;
  }
}

/** The totals that `$SYS` shows and the hook of its tick is given, by mochi's names. */
export interface SysInfo {
  version: string;
  /** Seconds since 1970. */
  started: number;
  time: number;
  /** Seconds. */
  uptime: number;
  bytesReceived: number;
  bytesSent: number;
  clientsConnected: number;
  clientsDisconnected: number;
  clientsMaximum: number;
  clientsTotal: number;
  messagesReceived: number;
  messagesSent: number;
  messagesDropped: number;
  packetsReceived: number;
  packetsSent: number;
  retained: number;
  inflight: number;
  inflightDropped: number;
  subscriptions: number;
  /** Bytes of heap in use. */
  memoryAlloc: number;
  threads: number;
}
