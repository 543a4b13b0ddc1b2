import type { Qos } from "../codec/constants.ts";
import { ReasonCode } from "../codec/reason.ts";
import type { Budget } from "./budget.ts";
import type { Connection } from "./connection.ts";
import type { Timed } from "./deadlines.ts";
import { holdReading, readOn } from "./reading.ts";
import { TokenBucket } from "./token-bucket.ts";

/** A client that has sent so much more than its rate lets pass is disconnected: so long would it have to be silent. */
const DEBT_MAX_MS = 10_000;
const LOG_INTERVAL_MS = 60_000;

/**
 * Counts the PUBLISH packets of one connection against the rates it stands under. There is one only where there is such
 * a rate.
 *
 * Above a rate QoS 0 is dropped, and QoS 1 and 2 of 5.0 clients are refused. 3.x clients have no such answer: their
 * messages of QoS 1 and 2 are taken, and then they are not read from until the budget has filled up again.
 */
export class RateMeter implements Timed {
  heapIndex = -1;
  dueMs = 0;
  /** Of the PUBLISH that is being handled; 0 for one that did not come off the wire, which is not counted. */
  packetBytes = 0;
  private readonly connection: Connection;
  private readonly messages: readonly TokenBucket[];
  private readonly bytes: readonly TokenBucket[];
  /** All that came from this connection, taken or not, against the lowest of its rates. */
  private readonly sentMessages: TokenBucket;
  private readonly sentBytes: TokenBucket;
  private dropped = 0;
  private loggedMs = Number.NEGATIVE_INFINITY;

  constructor(connection: Connection, budgets: readonly Budget[]) {
    this.connection = connection;
    this.messages = budgets.map((budget) => budget.messages).filter(isBounded);
    this.bytes = budgets.map((budget) => budget.bytes).filter(isBounded);
    this.sentMessages = lowest("messages", this.messages);
    this.sentBytes = lowest("bytes", this.bytes);
  }

  /** Some rate of PUBLISH packets is bounded. */
  get counts(): boolean {
    return this.messages.length > 0 || this.bytes.length > 0;
  }

  /**
   * Takes the PUBLISH from the budgets. undefined: it goes on. Else why not, and then its connection may have been ended
   * too.
   */
  excess(qos: Qos): string | undefined {
    const { connection, packetBytes } = this;
    if (packetBytes === 0) return undefined;
    this.packetBytes = 0;
    const { nowMs } = connection.broker;
    this.sentMessages.take(1, nowMs);
    // One large message alone is no reason to end anything: it counts as a second's worth.
    this.sentBytes.take(Math.min(packetBytes, this.sentBytes.perSecond), nowMs);
    const empty = firstEmpty(this.messages, nowMs) ?? firstEmpty(this.bytes, nowMs);
    if (empty === undefined || (qos > 0 && connection.protocolVersion < 5)) {
      for (const bucket of this.messages) bucket.take(1, nowMs);
      for (const bucket of this.bytes) bucket.take(packetBytes, nowMs);
      if (empty !== undefined) this.hold(nowMs);
      return undefined;
    }
    const { excess } = empty;
    if (this.sentMessages.debtMs(nowMs) > DEBT_MAX_MS || this.sentBytes.debtMs(nowMs) > DEBT_MAX_MS) {
      connection.disconnect(ReasonCode.MessageRateTooHigh, `sends on above its rate: ${excess}`);
    } else this.noteDrop(excess, nowMs);
    return excess;
  }

  /** There is room again. */
  onDue(): void {
    readOn(this.connection);
  }

  private hold(nowMs: number): void {
    const { connection } = this;
    let roomMs = nowMs;
    for (const bucket of this.messages) roomMs = Math.max(roomMs, bucket.refilledAtMs());
    for (const bucket of this.bytes) roomMs = Math.max(roomMs, bucket.refilledAtMs());
    holdReading(connection);
    connection.broker.deadlines.set(this, roomMs);
  }

  private noteDrop(excess: string, nowMs: number): void {
    const { broker, client } = this.connection;
    this.dropped++;
    if (nowMs - this.loggedMs < LOG_INTERVAL_MS) return;
    broker.log.warn("Refusing messages above a rate", {
      ...client.logFields(),
      reason: excess,
      messages: this.dropped,
    });
    this.dropped = 0;
    this.loggedMs = nowMs;
  }
}

function isBounded(bucket: TokenBucket): boolean {
  return bucket.perSecond > 0;
}

function firstEmpty(buckets: readonly TokenBucket[], nowMs: number): TokenBucket | undefined {
  for (let index = 0; index < buckets.length; index++) if (buckets[index]!.isEmpty(nowMs)) return buckets[index];
  return undefined;
}

function lowest(unit: string, buckets: readonly TokenBucket[]): TokenBucket {
  const bucket = new TokenBucket(unit);
  if (buckets.length > 0) bucket.bound(Math.min(...buckets.map(({ perSecond }) => perSecond)), "");
  return bucket;
}
