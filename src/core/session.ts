import type { Will } from "../codec/packet.ts";
import type { Broker } from "./broker.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { Timed } from "./deadlines.ts";
import { Delivery } from "./delivery.ts";
import { handOverAll } from "./hand-over.ts";
import type { Subscription } from "./subscription.ts";

export const NEVER_EXPIRES = 0xffff_ffff;

/**
 * What the broker remembers of a client beyond its connection, §4.1: subscriptions, messages under
 * way and waiting (see `delivery`), incoming QoS 2 identifiers, a delayed will. Most clients need few of these, so
 * each is made when it is first used.
 */
export class Session implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly key: string;
  /** Of the present connection, or of the last one. */
  client: Client;
  connection: Connection | undefined = undefined;
  /** A connection that waits for the disk before it is told that the session is its own. */
  opening: Connection | undefined = undefined;
  /** Seconds it outlives its connection. */
  expiryIntervalSeconds = 0;
  readonly subscriptions = new Map<string, Subscription>();
  readonly delivery: Delivery;
  /** Packet Identifiers of QoS 2 messages that were received and not released yet, 5.0 [MQTT-4.3.3-10]. */
  incoming: Set<number> | undefined = undefined;
  /** Response Information it was given; only this session may subscribe below it. */
  responseTopic: string | undefined = undefined;
  delayedWill: { will: Will; dueMs: number } | undefined = undefined;
  expiresAtMs = Number.POSITIVE_INFINITY;
  /** Its records in the store stand under this number; 0: it has none. */
  number = 0;
  /** All of it is in the store, and not only the will of its connection. */
  stored = false;
  /** The blocks of keys that its queue has in the store, the one it takes keys from, and the next of these. */
  blocks: number[] = [];
  block = 0;
  slot = 0;
  /** The deletion that stands last in the journal's batch `trimBatch`, up to `trimKey`: the next one may prolong it. */
  trimBatch = 0;
  trimAt = 0;
  trimKey = 0;
  private readonly broker: Broker;

  constructor(broker: Broker, key: string, client: Client) {
    this.broker = broker;
    this.key = key;
    this.client = client;
    this.delivery = new Delivery(this, broker);
  }

  get live(): boolean {
    return this.connection !== undefined;
  }

  get keepsWhileAway(): boolean {
    return this.expiryIntervalSeconds > 0;
  }

  /** A new connection claims it: until it is open, or gone again, nothing of it ends or is published. */
  claim(connection: Connection): void {
    this.opening = connection;
    this.delayedWill = undefined;
    this.expiresAtMs = Number.POSITIVE_INFINITY;
    this.broker.deadlines.cancel(this);
  }

  /** The session goes on over a new connection. */
  resume(connection: Connection): void {
    this.connection = connection;
    this.opening = undefined;
    this.delayedWill = undefined;
    this.expiresAtMs = Number.POSITIVE_INFINITY;
    this.broker.deadlines.cancel(this);
    this.delivery.resume();
  }

  /**
   * The connection is gone. `will` is what is to be published because of it. Ends the session when it does not outlive
   * the connection. 5.0 [MQTT-3.1.2-8] [MQTT-3.1.3-9].
   */
  detach(will: Will | undefined): void {
    const { broker } = this;
    this.connection = undefined;
    this.opening = undefined;
    const lifetimeMs =
      this.expiryIntervalSeconds === NEVER_EXPIRES ? Number.POSITIVE_INFINITY : this.expiryIntervalSeconds * 1000;
    const delayMs = Math.min((will?.properties.willDelayInterval ?? 0) * 1000, lifetimeMs);
    if (will !== undefined && delayMs === 0) broker.publishWill(this, will);
    if (lifetimeMs === 0) {
      this.end();
      return;
    }
    this.expiresAtMs = broker.nowMs + lifetimeMs;
    this.delayedWill = will !== undefined && delayMs > 0 ? { will, dueMs: broker.nowMs + delayMs } : undefined;
    this.schedule();
    this.delivery.detach();
    if (this.number !== 0) broker.archive?.sessionDetached(this);
  }

  /** Ends for good: a delayed will is published, shared messages go to other members, the rest is dropped. */
  end(): void {
    const { broker, delayedWill } = this;
    this.delayedWill = undefined;
    this.connection = undefined;
    this.opening = undefined;
    // From now on nothing is kept for it, whoever still holds on to it.
    this.expiryIntervalSeconds = 0;
    broker.deadlines.cancel(this);
    broker.forgetSession(this);
    for (const subscription of this.subscriptions.values()) broker.removeSubscription(subscription);
    this.subscriptions.clear();
    handOverAll(this.delivery);
    if (this.number !== 0) broker.archive?.sessionEnded(this);
    if (this.responseTopic !== undefined) broker.router.responseTopics.delete(this.responseTopic);
    if (delayedWill !== undefined) broker.publishWill(this, delayedWill.will);
  }

  onDue(nowMs: number): void {
    const { broker } = this;
    if (this.connection !== undefined) return;
    if (this.expiresAtMs <= nowMs) {
      broker.counters.clientsExpired++;
      broker.log.info("Session expired", this.client.logFields());
      this.end();
      broker.hooks.notify("onClientExpired", this.client);
      return;
    }
    const { delayedWill } = this;
    if (delayedWill !== undefined && delayedWill.dueMs <= nowMs) {
      this.delayedWill = undefined;
      broker.publishWill(this, delayedWill.will);
      if (this.number !== 0) broker.archive?.sessionDetached(this);
    }
    this.schedule();
  }

  /** Starts the clock of a session that was restored, or whose client is gone. */
  expireIn(seconds: number): void {
    this.expiresAtMs = seconds === NEVER_EXPIRES ? Number.POSITIVE_INFINITY : this.broker.nowMs + seconds * 1000;
    this.schedule();
  }

  /** Its deadlines were set from outside. */
  schedule(): void {
    const dueMs = Math.min(this.expiresAtMs, this.delayedWill?.dueMs ?? Number.POSITIVE_INFINITY);
    if (dueMs === Number.POSITIVE_INFINITY) this.broker.deadlines.cancel(this);
    else this.broker.deadlines.set(this, dueMs);
  }
}
