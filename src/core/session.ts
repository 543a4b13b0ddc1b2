import { PacketType, type Qos } from "../codec/constants.ts";
import type { Will } from "../codec/packet.ts";
import { type PubackReasonCode, ReasonCode } from "../codec/reason.ts";
import type { Broker } from "./broker.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { DropReason } from "./counters.ts";
import type { Timed } from "./deadlines.ts";
import { Inflight } from "./inflight.ts";
import type { Message } from "./message.ts";
import { Outgoing, OutgoingState } from "./outgoing.ts";
import { packetOf } from "./publish.ts";
import { Queue } from "./queue.ts";
import type { RetainedBacklog } from "./retained.ts";
import { sendAck } from "./send.ts";
import type { Subscription } from "./subscription.ts";

export const NEVER_EXPIRES = 0xffff_ffff;

/**
 * What the broker remembers of a client beyond its connection, §4.1: subscriptions, messages under
 * way and waiting, incoming QoS 2 identifiers, a delayed will. Most clients need few of these, so
 * each is made when it is first used.
 */
export class Session implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly key: string;
  /** Of the present connection, or of the last one. */
  client: Client;
  connection: Connection | undefined = undefined;
  /** Seconds it outlives its connection. */
  expiryIntervalSeconds = 0;
  readonly subscriptions = new Map<string, Subscription>();
  /** Packet Identifiers of QoS 2 messages that were received and not released yet, 5.0 [MQTT-4.3.3-10]. */
  incoming: Set<number> | undefined = undefined;
  inflight: Inflight | undefined = undefined;
  queue: Queue | undefined = undefined;
  /** Retained messages that are still to be sent, by the subscription that asked for them, in the order of asking. */
  backlogs: Map<Subscription, RetainedBacklog> | undefined = undefined;
  /** Response Information it was given; only this session may subscribe below it. */
  responseTopic: string | undefined = undefined;
  delayedWill: { will: Will; dueMs: number } | undefined = undefined;
  private expiresAtMs = Number.POSITIVE_INFINITY;
  /** Those of the last connection that were not acknowledged, in order, and how many of them were sent again. */
  private resends: Outgoing[] | undefined = undefined;
  private resent = 0;
  /** Counted against the receiver's Receive Maximum on this connection, 5.0 [MQTT-3.3.4-9]. */
  private underWay = 0;
  private dropsLogged = false;
  private readonly broker: Broker;

  constructor(broker: Broker, key: string, client: Client) {
    this.broker = broker;
    this.key = key;
    this.client = client;
  }

  get live(): boolean {
    return this.connection !== undefined;
  }

  /** Takes a message at once. */
  get ready(): boolean {
    const { connection } = this;
    return connection?.writable === true && this.waiting === 0 && this.canStart(connection);
  }

  get keepsWhileAway(): boolean {
    return this.expiryIntervalSeconds > 0;
  }

  get waiting(): number {
    return this.queue === undefined ? 0 : this.queue.length;
  }

  /** Sends the message, or keeps it until it can be sent, or drops it and counts why. `qos` is already the lower one. */
  deliver(
    message: Message,
    qos: Qos,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    group: Outgoing["group"],
  ): void {
    const { connection, broker } = this;
    if (qos === 0) {
      // 5.0 [MQTT-4.6.0-6]: what was kept while the client was away is not overtaken.
      const queues =
        connection === undefined
          ? broker.options.queue.qos0 && this.keepsWhileAway
          : this.queue !== undefined && this.queue.qos0 > 0;
      if (queues) this.enqueue(new Outgoing(message, 0, retain, subscriptionIdentifiers, group, broker.nowMs));
      else if (connection !== undefined) this.deliverQos0(connection, message, retain, subscriptionIdentifiers);
      return;
    }
    if (connection === undefined && !this.keepsWhileAway) return;
    const outgoing = new Outgoing(message, qos, retain, subscriptionIdentifiers, group, broker.nowMs);
    if (
      connection === undefined ||
      this.waiting !== 0 ||
      this.resends !== undefined ||
      !connection.writable ||
      !this.canStart(connection)
    ) {
      this.enqueue(outgoing);
    } else {
      message.keep();
      this.start(outgoing, connection);
    }
  }

  /**
   * Everything that can go out now: first what must be sent again, then what waits, then retained messages. Hooks hear
   * of each message and may end the connection, so that is asked again and again.
   */
  pump(): void {
    const { connection } = this;
    if (connection === undefined) return;
    if (this.resends !== undefined) this.pumpResends(connection, this.resends);
    if (this.resends !== undefined) return;
    const { queue } = this;
    while (queue !== undefined && queue.length > 0 && connection.writable && this.connection === connection) {
      const next = queue.peek()!;
      if (next.qos !== 0 && !this.canStart(connection)) break;
      this.dequeue(queue);
      if (this.tooOld(next)) continue;
      if (next.qos === 0) this.deliverQos0(connection, next.message, next.retain, next.subscriptionIdentifiers);
      else this.start(next, connection);
    }
    this.pumpBacklogs(connection);
    // What is left waits for a peer that may never take anything again.
    if (!connection.writable) connection.watchStall();
  }

  /** The session goes on over a new connection, 5.0 [MQTT-4.4.0-1]: resending is gated by the new Receive Maximum. */
  resume(connection: Connection): void {
    this.connection = connection;
    this.underWay = 0;
    this.dropsLogged = false;
    this.resends = undefined;
    if (this.inflight !== undefined && this.inflight.count > 0) {
      this.resends = this.inflight.inOrder();
      this.resent = 0;
      for (const outgoing of this.resends) outgoing.sentOnConnection = false;
    }
    this.delayedWill = undefined;
    this.expiresAtMs = Number.POSITIVE_INFINITY;
    this.broker.deadlines.cancel(this);
  }

  /**
   * The connection is gone. `will` is what is to be published because of it. Ends the session when it does not outlive
   * the connection. 5.0 [MQTT-3.1.2-8] [MQTT-3.1.3-9].
   */
  detach(will: Will | undefined): void {
    const { broker } = this;
    this.connection = undefined;
    this.resends = undefined;
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
    this.handOverWaiting((outgoing) => outgoing.group !== undefined);
  }

  /** Ends for good: a delayed will is published, shared messages go to other members, the rest is dropped. */
  end(): void {
    const { broker, delayedWill } = this;
    this.delayedWill = undefined;
    this.connection = undefined;
    // From now on nothing is kept for it, whoever still holds on to it.
    this.expiryIntervalSeconds = 0;
    this.backlogs = undefined;
    broker.deadlines.cancel(this);
    broker.forgetSession(this);
    for (const subscription of this.subscriptions.values()) broker.removeSubscription(subscription);
    this.subscriptions.clear();
    this.dropInflight();
    this.handOverWaiting(() => true);
    if (this.responseTopic !== undefined) broker.router.responseTopics.delete(this.responseTopic);
    if (delayedWill !== undefined) broker.publishWill(this, delayedWill.will);
  }

  /** The subscription is gone or was replaced: what it was still to be sent of retained messages is not sent. */
  dropBacklog(subscription: Subscription): void {
    this.backlogs?.delete(subscription);
  }

  onDue(nowMs: number): void {
    if (this.connection !== undefined) return;
    if (this.expiresAtMs <= nowMs) {
      this.broker.counters.clientsExpired++;
      this.broker.log.info("Session expired", this.client.logFields());
      this.end();
      this.broker.hooks.notify("onClientExpired", this.client);
      return;
    }
    const { delayedWill } = this;
    if (delayedWill !== undefined && delayedWill.dueMs <= nowMs) {
      this.delayedWill = undefined;
      this.broker.publishWill(this, delayedWill.will);
    }
    this.schedule();
  }

  onPuback(packetIdentifier: number, reasonCode: PubackReasonCode): void {
    const outgoing = this.inflight?.get(packetIdentifier);
    if (outgoing === undefined || outgoing.state !== OutgoingState.AwaitPuback) {
      this.logUnexpected("PUBACK", packetIdentifier);
      return;
    }
    this.complete(outgoing, reasonCode);
  }

  onPubrec(connection: Connection, packetIdentifier: number, reasonCode: PubackReasonCode): void {
    const outgoing = this.inflight?.get(packetIdentifier);
    if (outgoing === undefined || outgoing.state === OutgoingState.AwaitPuback) {
      this.logUnexpected("PUBREC", packetIdentifier);
      // 5.0 [MQTT-4.3.3-4] wants a PUBREL for every PUBREC; 3.1.1 has no code to say more.
      if (reasonCode < 0x80)
        sendAck(connection, PacketType.PUBREL, packetIdentifier, ReasonCode.PacketIdentifierNotFound);
      return;
    }
    if (reasonCode >= 0x80) {
      this.complete(outgoing, reasonCode);
      return;
    }
    outgoing.state = OutgoingState.AwaitPubcomp;
    sendAck(connection, PacketType.PUBREL, packetIdentifier, ReasonCode.Success);
  }

  onPubcomp(packetIdentifier: number): void {
    const outgoing = this.inflight?.get(packetIdentifier);
    if (outgoing === undefined || outgoing.state !== OutgoingState.AwaitPubcomp) {
      this.logUnexpected("PUBCOMP", packetIdentifier);
      return;
    }
    this.complete(outgoing, ReasonCode.Success);
  }

  /** Gives the waiting messages for which `wanted` holds to other members of their share, in order, or drops them. */
  handOverWaiting(wanted: (outgoing: Outgoing) => boolean): void {
    const { queue } = this;
    if (queue === undefined || queue.length === 0) return;
    const before = queue.length;
    const bytesBefore = queue.bytes;
    const taken = queue.extract(wanted);
    this.broker.counters.queuedMessages -= before - queue.length;
    this.broker.counters.queuedBytes -= bytesBefore - queue.bytes;
    for (const outgoing of taken) this.handOver(outgoing);
  }

  /** Takes up a message of an earlier run; false when its packet identifier is in use. */
  restore(outgoing: Outgoing, packetIdentifier: number | undefined, released: boolean): boolean {
    outgoing.message.keep();
    if (packetIdentifier === undefined) {
      this.enqueue(outgoing);
      return true;
    }
    this.inflight ??= new Inflight();
    if (!this.inflight.restore(outgoing, packetIdentifier)) return false;
    outgoing.state =
      outgoing.qos === 1
        ? OutgoingState.AwaitPuback
        : released
          ? OutgoingState.AwaitPubcomp
          : OutgoingState.AwaitPubrec;
    outgoing.sendings = 1;
    this.broker.counters.inflight++;
    return true;
  }

  /** Starts the clock of a session that was restored, or whose client is gone. */
  expireIn(seconds: number): void {
    this.expiresAtMs = seconds === NEVER_EXPIRES ? Number.POSITIVE_INFINITY : this.broker.nowMs + seconds * 1000;
    this.schedule();
  }

  dropped(message: Message, reason: DropReason): void {
    const { broker } = this;
    broker.counters.dropped(reason);
    if (!this.dropsLogged) {
      this.dropsLogged = true;
      broker.log.warn("Dropping messages for a client", {
        ...this.client.logFields(),
        reason,
        topic: message.topicName,
      });
    }
    if (broker.hooks.present.onPublishDropped) {
      broker.hooks.notify("onPublishDropped", this.client, packetOf(message), reason);
    }
  }

  private deliverQos0(
    connection: Connection,
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
  ): void {
    if (!connection.writable) {
      connection.watchStall();
      this.dropped(message, "slowReader");
      return;
    }
    connection.pendingPackets++;
    const { broker } = this;
    if (!broker.writer.write(connection, message, 0, retain, false, 0, subscriptionIdentifiers, broker.nowMs)) {
      this.dropped(message, "tooLarge");
    }
  }

  /** The receiver's Receive Maximum and our own bound allow one more, and a packet identifier is free. */
  private canStart(connection: Connection): boolean {
    return this.underWay < connection.sendQuota && this.inflight?.full !== true;
  }

  /** Sends a message for the first time. */
  private start(outgoing: Outgoing, connection: Connection): void {
    this.inflight ??= new Inflight();
    this.inflight.add(outgoing);
    this.broker.counters.inflight++;
    outgoing.state = outgoing.qos === 1 ? OutgoingState.AwaitPuback : OutgoingState.AwaitPubrec;
    this.transmit(outgoing, connection);
  }

  private transmit(outgoing: Outgoing, connection: Connection): void {
    const { broker } = this;
    outgoing.sentOnConnection = true;
    this.underWay++;
    connection.pendingPackets++;
    const { message, qos, retain, packetIdentifier, subscriptionIdentifiers } = outgoing;
    const dup = outgoing.sendings > 0;
    if (
      !broker.writer.write(
        connection,
        message,
        qos,
        retain,
        dup,
        packetIdentifier,
        subscriptionIdentifiers,
        broker.nowMs,
      )
    ) {
      // 5.0 [MQTT-3.1.2-25]: acts as if it had been sent and acknowledged.
      this.release(outgoing);
      this.dropped(message, "tooLarge");
      return;
    }
    outgoing.sendings++;
    if (broker.hooks.present.onQosPublish) {
      broker.hooks.notify(
        "onQosPublish",
        this.client,
        packetOf(message, outgoing),
        broker.nowMs,
        outgoing.sendings - 1,
      );
    }
  }

  private pumpResends(connection: Connection, resends: Outgoing[]): void {
    while (this.resent < resends.length) {
      const outgoing = resends[this.resent]!;
      // One that was acknowledged meanwhile has left.
      if (this.inflight?.get(outgoing.packetIdentifier) === outgoing) {
        if (this.underWay >= connection.sendQuota || !connection.writable) return;
        if (outgoing.state === OutgoingState.AwaitPubcomp) {
          outgoing.sentOnConnection = true;
          this.underWay++;
          sendAck(connection, PacketType.PUBREL, outgoing.packetIdentifier, ReasonCode.Success);
        } else {
          this.transmit(outgoing, connection);
        }
      }
      this.resent++;
    }
    this.resends = undefined;
  }

  private pumpBacklogs(connection: Connection): void {
    const { backlogs } = this;
    if (backlogs === undefined) return;
    for (const [subscription, backlog] of backlogs) {
      // A hook may have dropped it from inside the loop.
      while (backlogs.has(subscription)) {
        if (!connection.writable || this.connection !== connection) return;
        if (subscription.qos !== 0 && (this.waiting !== 0 || !this.canStart(connection))) return;
        const message = backlog.next(this);
        if (message === undefined) break;
        this.deliver(
          message,
          Math.min(subscription.qos, message.qos) as Qos,
          true,
          subscription.subscriptionIdentifiers,
          undefined,
        );
        if (this.broker.hooks.present.onRetainPublished) {
          this.broker.hooks.notify("onRetainPublished", this.client, packetOf(message));
        }
      }
      backlogs.delete(subscription);
    }
    if (this.backlogs === backlogs) this.backlogs = undefined;
  }

  private complete(outgoing: Outgoing, reasonCode: PubackReasonCode): void {
    const { broker } = this;
    this.release(outgoing);
    if (reasonCode >= 0x80) {
      // 5.0 [MQTT-4.8.2-6]: what one member refuses goes to no other.
      this.dropped(outgoing.message, "refusedByReceiver");
      if (broker.hooks.present.onQosDropped) {
        broker.hooks.notify("onQosDropped", this.client, packetOf(outgoing.message, outgoing));
      }
    } else if (broker.hooks.present.onQosComplete) {
      broker.hooks.notify("onQosComplete", this.client, packetOf(outgoing.message, outgoing));
    }
    if (this.waiting !== 0 || this.resends !== undefined || this.backlogs !== undefined) this.pump();
  }

  private release(outgoing: Outgoing): void {
    // A hook may have ended the session from inside the sending, and all that was under way with it.
    if (this.inflight?.get(outgoing.packetIdentifier) !== outgoing) return;
    this.inflight.remove(outgoing);
    this.broker.counters.inflight--;
    if (outgoing.sentOnConnection) this.underWay--;
  }

  private enqueue(outgoing: Outgoing): void {
    const { broker } = this;
    const { limits, counters, options } = broker;
    const { message } = outgoing;
    this.queue ??= new Queue();
    const { queue } = this;
    const bytes = message.countedBytes;
    for (;;) {
      const tooMany = queue.length >= limits.queuedMessages;
      if (!tooMany && queue.bytes + bytes <= limits.queuedBytes) break;
      const reason = tooMany ? "queueFull" : "queueBytes";
      if (options.queue.overflow === "drop-newest" || queue.length === 0 || bytes > limits.queuedBytes) {
        this.dropped(message, reason);
        return;
      }
      this.dropped(this.dequeue(queue).message, reason);
    }
    message.keep();
    queue.push(outgoing);
    counters.queuedMessages++;
    counters.queuedBytes += bytes;
    if (this.inflight?.full === true && broker.hooks.present.onPacketIDExhausted) {
      broker.hooks.notify("onPacketIDExhausted", this.client, packetOf(message, outgoing));
    }
    // A slow reader may never ask for more; a quick one pumps when it has drained or acknowledged.
    this.connection?.watchStall();
  }

  private dequeue(queue: Queue): Outgoing {
    const outgoing = queue.shift()!;
    this.broker.counters.queuedMessages--;
    this.broker.counters.queuedBytes -= outgoing.message.countedBytes;
    return outgoing;
  }

  /** 5.0 [MQTT-3.3.2-5]: what has expired before its delivery began is deleted. */
  private tooOld(outgoing: Outgoing): boolean {
    const { nowMs, limits } = this.broker;
    if (outgoing.message.expiresAtMs <= nowMs) this.dropped(outgoing.message, "expired");
    else if (limits.queuedAgeMs > 0 && nowMs - outgoing.queuedAtMs > limits.queuedAgeMs) {
      this.dropped(outgoing.message, "queueAge");
    } else return false;
    return true;
  }

  /** QoS 1 messages of a share go to another member; QoS 2 ones must not, 5.0 [MQTT-4.8.2-5]. */
  private dropInflight(): void {
    const { broker, inflight } = this;
    if (inflight === undefined) return;
    this.inflight = undefined;
    for (const outgoing of inflight.inOrder()) {
      broker.counters.inflight--;
      if (outgoing.qos === 1 && outgoing.group !== undefined) this.handOver(outgoing);
      else if (broker.hooks.present.onQosDropped) {
        broker.hooks.notify("onQosDropped", this.client, packetOf(outgoing.message, outgoing));
      }
    }
  }

  private handOver(outgoing: Outgoing): void {
    const { message, group, qos } = outgoing;
    const mayReceive = this.broker.mayReceive(message.topicName);
    const member = group?.select(this.broker.hooks, () => packetOf(message), mayReceive);
    if (member === undefined) {
      this.dropped(message, "sessionEnded");
      return;
    }
    const lower = Math.min(message.qos, member.qos, qos) as Qos;
    member.session.deliver(message, lower, outgoing.retain, member.subscriptionIdentifiers, group);
  }

  private schedule(): void {
    const dueMs = Math.min(this.expiresAtMs, this.delayedWill?.dueMs ?? Number.POSITIVE_INFINITY);
    if (dueMs === Number.POSITIVE_INFINITY) this.broker.deadlines.cancel(this);
    else this.broker.deadlines.set(this, dueMs);
  }

  private logUnexpected(packet: string, packetIdentifier: number): void {
    if (!this.broker.log.enabled("debug")) return;
    this.broker.log.debug(`Unexpected ${packet}`, { ...this.client.logFields(), packetIdentifier });
  }
}
