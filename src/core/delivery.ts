import { PacketType, type Qos } from "../codec/constants.ts";
import { ReasonCode } from "../codec/reason.ts";
import type { Archive } from "./archive.ts";
import type { Broker } from "./broker.ts";
import type { Connection } from "./connection.ts";
import { watchStall } from "./connection-deadlines.ts";
import type { DropReason } from "./counters.ts";
import { handOver } from "./hand-over.ts";
import { Inflight } from "./inflight.ts";
import type { DurableWaiter } from "./journal.ts";
import type { Place } from "./keep-last.ts";
import type { Message } from "./message.ts";
import { Outgoing, OutgoingState } from "./outgoing.ts";
import { packetOf } from "./publish.ts";
import { makeRoom, trim } from "./queue-bounds.ts";
import { recover, resendFound } from "./recovery.ts";
import { Resends } from "./resends.ts";
import { type RetainedBacklog, sendBacklogs } from "./retained-backlog.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";
import { WaitingMessages } from "./waiting.ts";
import { isDenied, isTooOld, withhold } from "./withheld.ts";

/** The way of messages to one client: under way, waiting in memory, waiting on disk. §4.3, §4.4, §4.6. */
export class Delivery implements DurableWaiter {
  awaitsStore = false;
  inflight: Inflight | undefined = undefined;
  /** Made when it is first needed. */
  queued: WaitingMessages | undefined = undefined;
  /** Retained messages that are still to be sent, by the subscription that asked for them, in the order of asking. */
  backlogs: Map<Subscription, RetainedBacklog> | undefined = undefined;
  /** Key of the last queue record that was sent. */
  sentKey = 0;
  /** After a cut: messages with records up to this key may have been sent, even if they count as not sent. */
  duplicateKey = 0;
  /** Records that the disk may still have though their messages are acknowledged, until that batch is on it. */
  private untrimmed = 0;
  private untrimmedBatch = 0;
  readonly session: Session;
  readonly broker: Broker;
  /** Those of the last connection that were not acknowledged, until they are sent again. */
  resends: Resends | undefined = undefined;
  /** Counted against the receiver's Receive Maximum on this connection, 5.0 [MQTT-3.3.4-9]. */
  underWay = 0;
  private dropsLogged = false;

  constructor(session: Session, broker: Broker) {
    this.session = session;
    this.broker = broker;
  }

  /** Messages that were not sent yet, on disk too. */
  get waiting(): number {
    return this.queued === undefined ? 0 : this.queued.length;
  }

  /** Messages that its client has not acknowledged, sent or not. */
  get unacknowledged(): number {
    return this.waiting + (this.inflight?.count ?? 0);
  }

  /** Nothing waits, and nothing is under way. */
  get isEmpty(): boolean {
    return this.waiting === 0 && (this.inflight === undefined || this.inflight.count === 0);
  }

  /** Takes a message at once. */
  get ready(): boolean {
    const { connection } = this.session;
    return connection?.writable === true && this.waiting === 0 && this.mayStart(connection);
  }

  /** Sends the message, or keeps it until it can be sent, or drops it and counts why. `qos` is already the lower one. */
  deliver(
    message: Message,
    qos: Qos,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    group: Outgoing["group"],
  ): void {
    const { session, broker } = this;
    if (session.connection?.mount?.point.hides(message)) return;
    const connection = session.connection?.asleep ? undefined : session.connection;
    if (qos === 0) {
      // 5.0 [MQTT-4.6.0-6]: what was kept while the client was away is not overtaken.
      const queues =
        connection === undefined
          ? broker.options.queue.qos0 && session.keepsWhileAway
          : this.queued !== undefined && this.queued.queue.qos0 > 0;
      if (queues) this.enqueue(new Outgoing(message, 0, retain, subscriptionIdentifiers, group, broker.nowMs));
      else if (connection !== undefined) this.deliverQos0(connection, message, retain, subscriptionIdentifiers);
      return;
    }
    if (connection === undefined && !session.keepsWhileAway) return;
    const outgoing = new Outgoing(message, qos, retain, subscriptionIdentifiers, group, broker.nowMs);
    if (
      connection === undefined ||
      this.waiting !== 0 ||
      this.resends !== undefined ||
      !connection.writable ||
      !this.mayStart(connection) ||
      // It waits for the disk, see `pump`.
      (qos === 2 && session.stored)
    ) {
      this.enqueue(outgoing);
    } else {
      if (session.stored) broker.archive!.queues.keep(session, outgoing);
      message.keep();
      this.start(outgoing, connection);
    }
  }

  /**
   * Everything that can go out now: first what must be sent again, then what waits, then retained messages. Hooks hear
   * of each message and may end the connection, so that is asked again and again.
   */
  pump(): void {
    const { session } = this;
    const { connection } = session;
    if (connection === undefined) return;
    if (this.resends?.pump(this, connection) === true) this.resends = undefined;
    if (this.resends !== undefined) return;
    const { queued } = this;
    if (queued !== undefined) this.pumpQueued(connection, queued);
    if (this.backlogs !== undefined) sendBacklogs(this, this.backlogs, connection);
    // What is left waits for a peer that may never take anything again.
    if (!connection.writable) watchStall(connection);
  }

  /** What a QoS 2 message waited for is on disk. */
  onDurable(): void {
    this.pump();
  }

  /** The session goes on over a new connection, 5.0 [MQTT-4.4.0-1]: resending is gated by the new Receive Maximum. */
  resume(): void {
    this.underWay = 0;
    this.dropsLogged = false;
    this.resends = undefined;
    if (this.inflight === undefined || this.inflight.count === 0) return;
    const left = this.inflight.inOrder();
    for (const outgoing of left) outgoing.sentOnConnection = false;
    this.resends = new Resends(left);
  }

  /** The connection is gone. */
  detach(): void {
    this.resends = undefined;
    this.handOverWaiting((outgoing) => outgoing.group !== undefined);
  }

  /** The subscription is gone or was replaced: what it was still to be sent of retained messages is not sent. */
  dropBacklog(subscription: Subscription): void {
    this.backlogs?.delete(subscription);
  }

  /** Gives the waiting messages for which `wanted` holds to other members of their share, in order, or drops them. */
  handOverWaiting(wanted: (outgoing: Outgoing) => boolean): void {
    const { queued } = this;
    if (queued === undefined || queued.queue.length === 0) return;
    for (const outgoing of queued.extract(wanted)) {
      handOver(this, outgoing);
      this.forget(outgoing);
    }
  }

  /** For a message that is written before it is sent. Wraps around, so it may be in use until its turn comes. */
  nextIdentifier(): number {
    this.inflight ??= new Inflight();
    return this.inflight.full ? 1 : this.inflight.nextIdentifier();
  }

  dropped(message: Message, reason: DropReason): void {
    const { broker, session } = this;
    broker.counters.dropped(reason);
    if (!this.dropsLogged) {
      this.dropsLogged = true;
      broker.log.warn("Dropping messages for a client", {
        ...session.client.logFields(),
        reason,
        topic: message.topicName,
      });
    }
    if (broker.hooks.present.onPublishDropped) {
      broker.hooks.notify("onPublishDropped", session.client, packetOf(message), reason);
    }
  }

  private deliverQos0(
    connection: Connection,
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
  ): void {
    if (!connection.writable) {
      watchStall(connection);
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
  private mayStart(connection: Connection): boolean {
    return this.underWay < connection.sendQuota && this.inflight?.full !== true;
  }

  /** As `mayStart`, for one that may have a packet identifier already. */
  private canStart(outgoing: Outgoing, connection: Connection): boolean {
    if (!this.mayStart(connection)) return false;
    return outgoing.packetIdentifier === 0 || this.inflight?.get(outgoing.packetIdentifier) === undefined;
  }

  /**
   * A stored session is sent a QoS 2 message only when the disk has it under its identifier, and when it would be known
   * after a cut that it may have been sent: it must be among the oldest on disk, as many as may be under way. Else its
   * identifier could be given to another message, which its receiver would take for this one.
   */
  private isSafeToSend(outgoing: Outgoing): boolean {
    if (this.awaitDurable(outgoing.batch)) return false;
    if (this.untrimmed === 0) return true;
    const { journal } = this.broker.archive!;
    if (this.untrimmedBatch <= journal.durable) {
      this.untrimmed = 0;
      return true;
    }
    const older = this.untrimmed + (this.inflight?.count ?? 0);
    return older < this.broker.limits.inflight || !this.awaitDurable(this.untrimmedBatch);
  }

  /** True when the batch is not on disk yet; then `pump` is called once it is. */
  private awaitDurable(batch: number): boolean {
    const { journal } = this.broker.archive!;
    if (batch <= journal.durable) return false;
    journal.press();
    journal.await(this);
    return true;
  }

  /** Sends a message for the first time. */
  start(outgoing: Outgoing, connection: Connection): void {
    this.inflight ??= new Inflight();
    this.inflight.add(outgoing);
    this.broker.counters.inflight++;
    if (outgoing.key !== 0) {
      this.sentKey = outgoing.key;
      // 5.0 [MQTT-3.3.1-1]: it might be sent again.
      if (outgoing.key <= this.duplicateKey) outgoing.sendings = 1;
    }
    if (outgoing.state === OutgoingState.AwaitPubcomp) {
      this.transmitPubrel(outgoing, connection);
      return;
    }
    outgoing.state = outgoing.qos === 1 ? OutgoingState.AwaitPuback : OutgoingState.AwaitPubrec;
    this.transmit(outgoing, connection);
  }

  /** PUBLISH, for the first time or again. */
  transmit(outgoing: Outgoing, connection: Connection): void {
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
        this.session.client,
        packetOf(message, outgoing),
        broker.nowMs,
        outgoing.sendings - 1,
      );
    }
  }

  /** What takes the place of PUBLISH once the receiver has the message. */
  transmitPubrel(outgoing: Outgoing, connection: Connection): void {
    outgoing.sentOnConnection = true;
    this.underWay++;
    connection.sendAckAfter(outgoing.releasedBatch, PacketType.PUBREL, outgoing.packetIdentifier, ReasonCode.Success);
  }

  private pumpQueued(connection: Connection, queued: WaitingMessages): void {
    const { session } = this;
    const { queue } = queued;
    while (queue.length > 0 && connection.writable && session.connection === connection) {
      const next = queue.peek()!;
      if (next.qos !== 0 && !this.canStart(next, connection)) break;
      if (next.qos === 2 && session.stored && !this.isSafeToSend(next)) break;
      queued.shift();
      if (isTooOld(this, next)) this.forget(next);
      else if (isDenied(this, next, connection)) withhold(this, next, connection);
      else if (next.qos === 0) {
        this.forget(next);
        this.deliverQos0(connection, next.message, next.retain, next.subscriptionIdentifiers);
      } else this.start(next, connection);
    }
    if (connection.writable && queued.isLow) this.readOn(queued);
  }

  /** Was sent, and its packet identifier is not free again. */
  isUnderWay(outgoing: Outgoing): boolean {
    return this.inflight?.get(outgoing.packetIdentifier) === outgoing;
  }

  /** Its packet identifier is free again. */
  release(outgoing: Outgoing): void {
    // A hook may have ended the session from inside the sending, and all that was under way with it.
    if (!this.isUnderWay(outgoing)) return;
    this.inflight!.remove(outgoing);
    this.broker.counters.inflight--;
    if (outgoing.sentOnConnection) this.underWay--;
    this.forget(outgoing);
  }

  /** A newer message takes the place of one that waits. */
  supersede(queued: WaitingMessages, topicName: string, earlier: Outgoing | Place): void {
    queued.remove(topicName, earlier);
    this.forgetSuperseded(earlier);
  }

  private forgetSuperseded(earlier: Outgoing | Place): void {
    this.forget(earlier);
    this.broker.counters.superseded();
  }

  /** Its record goes. */
  forget(outgoing: Outgoing | Place): void {
    const { archive } = this.broker;
    if (outgoing.key === 0 || archive === undefined) return;
    archive.queues.forget(this.session, outgoing);
    if (this.untrimmed > 0 && this.untrimmedBatch <= archive.journal.durable) this.untrimmed = 0;
    this.untrimmed++;
    this.untrimmedBatch = archive.journal.sequence;
  }

  /** It waits, or is dropped where no room can be made for it. */
  enqueue(outgoing: Outgoing): void {
    const { broker, session } = this;
    const { message, qos } = outgoing;
    const queued = this.waitingMessages();
    const archive: Archive | undefined = session.stored ? broker.archive : undefined;
    if (archive?.journal.writable === false && archive.journal.congested) {
      this.dropped(message, "storeFull");
      return;
    }
    if (!makeRoom(this, queued, message, queued.earlier(outgoing))) return;
    archive?.queues.keep(session, outgoing);
    if (broker.permissions.remembered) outgoing.judged = broker.permissions.generation;
    queued.push(outgoing);
    if (this.inflight?.full === true && broker.hooks.present.onPacketIDExhausted) {
      broker.hooks.notify("onPacketIDExhausted", session.client, packetOf(message, outgoing));
    }
    const { connection } = session;
    if (connection === undefined) return;
    if (qos === 2 && archive !== undefined) this.awaitDurable(outgoing.batch);
    if (connection.writable && queued.isLow) this.readOn(queued);
    // A slow reader may never ask for more; a quick one pumps when it has drained or acknowledged.
    watchStall(connection);
  }

  waitingMessages(): WaitingMessages {
    this.queued ??= new WaitingMessages(
      this.broker,
      () => {
        trim(this);
        this.pump();
      },
      (outgoing) => this.forgetSuperseded(outgoing),
    );
    return this.queued;
  }

  /** What may have been under way is neither sent nor dropped as new, so that is found out first. */
  readOn(queued: WaitingMessages): void {
    const { broker } = this;
    const finding = recover(this);
    if (finding === undefined) {
      queued.readOn();
      return;
    }
    finding.then(
      () => {
        broker.turn();
        trim(this);
        resendFound(this);
        this.pump();
        broker.reschedule();
      },
      (error: Error) => {
        if (!broker.stopping) broker.log.error("Cannot read a queue", { reason: error.message });
      },
    );
  }
}
