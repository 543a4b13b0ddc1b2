import { PacketType, type Qos } from "../codec/constants.ts";
import { type PubackReasonCode, ReasonCode } from "../codec/reason.ts";
import type { Archive } from "./archive.ts";
import type { Broker } from "./broker.ts";
import type { Connection } from "./connection.ts";
import type { DropReason } from "./counters.ts";
import { Inflight } from "./inflight.ts";
import type { DurableWaiter } from "./journal.ts";
import type { Message } from "./message.ts";
import { Outgoing, OutgoingState } from "./outgoing.ts";
import { packetOf } from "./publish.ts";
import type { RetainedBacklog } from "./retained.ts";
import { sendAck } from "./send.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";
import type { Tail } from "./tail.ts";
import { WaitingMessages } from "./waiting.ts";

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
  private readonly session: Session;
  private readonly broker: Broker;
  /** Those of the last connection that were not acknowledged, in order, and how many of them were sent again. */
  private resends: Outgoing[] | undefined = undefined;
  private resent = 0;
  /** Counted against the receiver's Receive Maximum on this connection, 5.0 [MQTT-3.3.4-9]. */
  private underWay = 0;
  private dropsLogged = false;

  constructor(session: Session, broker: Broker) {
    this.session = session;
    this.broker = broker;
  }

  /** Messages that were not sent yet, on disk too. */
  get waiting(): number {
    return this.queued === undefined ? 0 : this.queued.length;
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
    const { connection } = session;
    if (connection?.mount?.point.hides(message)) return;
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
    if (this.resends !== undefined) this.pumpResends(connection, this.resends);
    if (this.resends !== undefined) return;
    const { queued } = this;
    if (queued !== undefined) this.pumpQueued(connection, queued);
    this.pumpBacklogs(connection);
    // What is left waits for a peer that may never take anything again.
    if (!connection.writable) connection.watchStall();
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
    this.resends = this.inflight.inOrder();
    this.resent = 0;
    for (const outgoing of this.resends) outgoing.sentOnConnection = false;
  }

  /** The connection is gone. */
  detach(): void {
    this.resends = undefined;
    this.handOverWaiting((outgoing) => outgoing.group !== undefined);
  }

  /** The session has ended: shared messages go to other members, the rest is dropped. */
  end(): void {
    const { queued, inflight, session } = this;
    this.backlogs = undefined;
    const { archive } = this.broker;
    if (archive !== undefined) {
      const { queues } = archive;
      for (const outgoing of inflight?.inOrder() ?? []) queues.disown(outgoing);
      for (const outgoing of queued?.queue.waiting() ?? []) queues.disown(outgoing);
      const tail = queued?.takeTail();
      const { sentKey } = this;
      if (tail !== undefined) {
        queues.endTail(session, tail, (outgoing) => {
          // 5.0 [MQTT-4.8.2-5]: what was under way before a restart goes to nobody else.
          if (outgoing.qos === 2 && outgoing.key <= sentKey) this.dropped(outgoing.message, "sessionEnded");
          else this.handOver(outgoing);
        });
      }
    }
    this.dropInflight();
    this.handOverWaiting(() => true);
  }

  /** The subscription is gone or was replaced: what it was still to be sent of retained messages is not sent. */
  dropBacklog(subscription: Subscription): void {
    this.backlogs?.delete(subscription);
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
    // A second PUBREC finds it written, or waits as the first one does.
    if (outgoing.state === OutgoingState.AwaitPubrec && outgoing.key !== 0) {
      outgoing.releasedBatch = this.broker.archive!.queues.released(this.session, outgoing);
    }
    outgoing.state = OutgoingState.AwaitPubcomp;
    connection.sendAckAfter(outgoing.releasedBatch, PacketType.PUBREL, packetIdentifier, ReasonCode.Success);
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
    const { queued } = this;
    if (queued === undefined || queued.queue.length === 0) return;
    for (const outgoing of queued.extract(wanted)) {
      this.handOver(outgoing);
      this.forget(outgoing);
    }
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

  /** After a restart, before the client says anything: what may have been under way. undefined: it is known. */
  recover(): Promise<void> | undefined {
    return this.queued?.findUnderWay((outgoing) => {
      const released = outgoing.state === OutgoingState.AwaitPubcomp;
      return this.restore(outgoing, outgoing.packetIdentifier, released);
    });
  }

  /** Takes up the queue of an earlier run; packet identifiers go on after `lastIdentifier`. */
  restoreTail(tail: Tail, lastIdentifier: number): void {
    this.inflight ??= new Inflight();
    this.inflight.continueAfter(lastIdentifier);
    this.waitingMessages().restore(tail, this.sentKey);
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
  private start(outgoing: Outgoing, connection: Connection): void {
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
        this.session.client,
        packetOf(message, outgoing),
        broker.nowMs,
        outgoing.sendings - 1,
      );
    }
  }

  private transmitPubrel(outgoing: Outgoing, connection: Connection): void {
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
      if (this.tooOld(next)) this.forget(next);
      else if (this.isDenied(next, connection)) this.dropDenied(next, connection);
      else if (next.qos === 0) {
        this.forget(next);
        this.deliverQos0(connection, next.message, next.retain, next.subscriptionIdentifiers);
      } else this.start(next, connection);
    }
    if (connection.writable && queued.isLow) this.readOn(queued);
  }

  private pumpResends(connection: Connection, resends: Outgoing[]): void {
    while (this.resent < resends.length) {
      const outgoing = resends[this.resent]!;
      // One that was acknowledged meanwhile has left.
      if (this.inflight?.get(outgoing.packetIdentifier) === outgoing) {
        if (this.underWay >= connection.sendQuota || !connection.writable) return;
        if (this.isDenied(outgoing, connection)) this.abandon(outgoing);
        // Released by now, perhaps because it is denied.
        if (outgoing.state === OutgoingState.AwaitPubcomp) this.transmitPubrel(outgoing, connection);
        else if (this.inflight.get(outgoing.packetIdentifier) === outgoing) this.transmit(outgoing, connection);
      }
      this.resent++;
    }
    this.resends = undefined;
  }

  private pumpBacklogs(connection: Connection): void {
    const { backlogs, session } = this;
    if (backlogs === undefined) return;
    for (const [subscription, backlog] of backlogs) {
      // A hook may have dropped it from inside the loop.
      while (backlogs.has(subscription)) {
        if (!connection.writable || session.connection !== connection) return;
        // As many as may be under way at once: those of QoS 2 wait for the disk together.
        if (subscription.qos !== 0 && this.waiting + this.underWay >= connection.sendQuota) return;
        const message = backlog.next(session);
        if (message === undefined) break;
        const qos = Math.min(subscription.qos, message.qos) as Qos;
        this.deliver(
          message,
          this.broker.permissions.lowered(session.client, message.topicName, qos),
          true,
          subscription.subscriptionIdentifiers,
          undefined,
        );
        if (this.broker.hooks.present.onRetainPublished) {
          this.broker.hooks.notify("onRetainPublished", session.client, packetOf(message));
        }
      }
      backlogs.delete(subscription);
    }
    if (this.backlogs === backlogs) this.backlogs = undefined;
  }

  private complete(outgoing: Outgoing, reasonCode: PubackReasonCode): void {
    const { broker, session } = this;
    this.release(outgoing);
    if (reasonCode >= 0x80) {
      // 5.0 [MQTT-4.8.2-6]: what one member refuses goes to no other.
      this.dropped(outgoing.message, "refusedByReceiver");
      if (broker.hooks.present.onQosDropped) {
        broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
      }
    } else if (broker.hooks.present.onQosComplete) {
      broker.hooks.notify("onQosComplete", session.client, packetOf(outgoing.message, outgoing));
    }
    if (this.waiting !== 0 || this.resends !== undefined || this.backlogs !== undefined) this.pump();
  }

  private release(outgoing: Outgoing): void {
    // A hook may have ended the session from inside the sending, and all that was under way with it.
    if (this.inflight?.get(outgoing.packetIdentifier) !== outgoing) return;
    this.inflight.remove(outgoing);
    this.broker.counters.inflight--;
    if (outgoing.sentOnConnection) this.underWay--;
    this.forget(outgoing);
  }

  /** Its record goes. */
  private forget(outgoing: Outgoing): void {
    const { archive } = this.broker;
    if (outgoing.key === 0 || archive === undefined) return;
    archive.queues.forget(this.session, outgoing);
    if (this.untrimmed > 0 && this.untrimmedBatch <= archive.journal.durable) this.untrimmed = 0;
    this.untrimmed++;
    this.untrimmedBatch = archive.journal.sequence;
  }

  private enqueue(outgoing: Outgoing): void {
    const { broker, session } = this;
    const { message, qos } = outgoing;
    const queued = this.waitingMessages();
    if (!this.makeRoom(queued, message)) return;
    const archive: Archive | undefined = session.stored ? broker.archive : undefined;
    if (archive?.journal.writable === false && archive.journal.congested) {
      this.dropped(message, "storeFull");
      return;
    }
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
    connection.watchStall();
  }

  private waitingMessages(): WaitingMessages {
    this.queued ??= new WaitingMessages(this.broker, () => {
      this.trim();
      this.pump();
    });
    return this.queued;
  }

  /** False when there is none and the message was dropped. */
  private makeRoom(queued: WaitingMessages, message: Message): boolean {
    const { limits, options } = this.broker;
    const bytes = message.countedBytes;
    const bytesMax = this.queuedBytesMax();
    for (;;) {
      const tooMany = queued.length >= limits.queuedMessages;
      if (!tooMany && queued.bytes + bytes <= bytesMax) return true;
      const reason = tooMany ? "queueFull" : "queueBytes";
      if (options.queue.overflow === "drop-newest" || queued.length === 0 || bytes > bytesMax) {
        this.dropped(message, reason);
        return false;
      }
      if (queued.queue.length === 0) {
        // The oldest are on disk only: one more than allowed waits until they have been read, see `trim`.
        this.readOn(queued);
        return true;
      }
      this.dropOldest(queued, reason);
    }
  }

  /** What may have been under way is neither sent nor dropped as new, so that is found out first. */
  private readOn(queued: WaitingMessages): void {
    const { broker } = this;
    const finding = this.recover();
    if (finding === undefined) {
      queued.readOn();
      return;
    }
    finding.then(
      () => {
        broker.turn();
        this.trim();
        this.resendFound();
        this.pump();
        broker.reschedule();
      },
      (error: Error) => {
        if (!broker.stopping) broker.log.error("Cannot read a queue", { reason: error.message });
      },
    );
  }

  /** What was found to be under way comes first, also when its client was let in before that could be read. */
  private resendFound(): void {
    if (this.session.connection === undefined || this.inflight === undefined) return;
    const found = this.inflight.inOrder().filter((outgoing) => !outgoing.sentOnConnection);
    if (found.length === 0) return;
    this.resends = found;
    this.resent = 0;
  }

  /** The limit of every session, or the lower one that the rules give its user. */
  private queuedBytesMax(): number {
    const { queuedBytes } = this.broker.limits;
    const own = this.session.client.identity?.limits.queueBytes;
    return own !== undefined && own < queuedBytes ? own : queuedBytes;
  }

  /** Drops the oldest that are beyond the bounds: they could not be while they were on disk only. */
  private trim(): void {
    const { queued } = this;
    if (queued === undefined) return;
    const { limits } = this.broker;
    const bytesMax = this.queuedBytesMax();
    while (queued.length > limits.queuedMessages || queued.bytes > bytesMax) {
      if (queued.queue.length === 0) {
        if (queued.tail !== undefined) this.readOn(queued);
        return;
      }
      this.dropOldest(queued, queued.length > limits.queuedMessages ? "queueFull" : "queueBytes");
    }
  }

  private dropOldest(queued: WaitingMessages, reason: DropReason): void {
    const oldest = queued.shift()!;
    this.forget(oldest);
    this.dropped(oldest.message, reason);
  }

  /** 5.0 [MQTT-3.3.2-5]: what has expired before its delivery began is deleted. */
  private tooOld(outgoing: Outgoing): boolean {
    const { nowMs, limits } = this.broker;
    if (outgoing.state === OutgoingState.AwaitPubcomp) return false;
    if (outgoing.message.expiresAtMs <= nowMs) this.dropped(outgoing.message, "expired");
    else if (limits.queuedAgeMs > 0 && nowMs - outgoing.queuedAtMs > limits.queuedAgeMs) {
      this.dropped(outgoing.message, "queueAge");
    } else return false;
    return true;
  }

  /** Rights are asked again for what waited: they may have changed, and so may who the client is. */
  private isDenied(outgoing: Outgoing, { mount }: Connection): boolean {
    const { permissions } = this.broker;
    const { message, state } = outgoing;
    if (mount !== undefined && state !== OutgoingState.AwaitPubcomp && mount.point.hides(message)) {
      this.dropped(message, "notAuthorized");
      return true;
    }
    if (!permissions.asked || outgoing.judged === permissions.generation || state === OutgoingState.AwaitPubcomp) {
      return false;
    }
    if (permissions.mayReceive(this.session.client, message.topicName)) return false;
    this.dropped(message, "notAuthorized");
    return true;
  }

  /** One that waits may not be sent. It may have been before a cut, and then its identifier must be freed on the other side. */
  private dropDenied(outgoing: Outgoing, connection: Connection): void {
    if (outgoing.qos === 2 && outgoing.key !== 0 && outgoing.key <= this.duplicateKey) {
      this.giveUp(outgoing);
      this.start(outgoing, connection);
    } else this.forget(outgoing);
  }

  /** One that was under way may not be sent again. */
  private abandon(outgoing: Outgoing): void {
    const { broker, session } = this;
    if (broker.hooks.present.onQosDropped) {
      broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
    }
    if (outgoing.qos === 2) this.giveUp(outgoing);
    else this.release(outgoing);
  }

  /**
   * In place of PUBLISH comes PUBREL, as if PUBREC had come: a receiver that has the message would take the next one under
   * its identifier for this one, and one that has not says so, 5.0 §3.7.2.1.
   */
  private giveUp(outgoing: Outgoing): void {
    if (outgoing.key !== 0) {
      outgoing.releasedBatch = this.broker.archive!.queues.released(this.session, outgoing);
    }
    outgoing.state = OutgoingState.AwaitPubcomp;
  }

  /** QoS 1 messages of a share go to another member; QoS 2 ones must not, 5.0 [MQTT-4.8.2-5]. */
  private dropInflight(): void {
    const { broker, inflight, session } = this;
    if (inflight === undefined) return;
    this.inflight = undefined;
    for (const outgoing of inflight.inOrder()) {
      broker.counters.inflight--;
      if (outgoing.qos === 1 && outgoing.group !== undefined) this.handOver(outgoing);
      else if (broker.hooks.present.onQosDropped) {
        broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
      }
    }
  }

  private handOver(outgoing: Outgoing): void {
    const { message, group, qos } = outgoing;
    if (message.expiresAtMs <= this.broker.nowMs) {
      this.dropped(message, "expired");
      return;
    }
    const { permissions, hooks } = this.broker;
    const member = group?.select(hooks, () => packetOf(message), permissions.receivers(message.topicName));
    if (member === undefined) {
      this.dropped(message, "sessionEnded");
      return;
    }
    const { session } = member;
    const least = Math.min(message.qos, member.qos, qos) as Qos;
    const lowered = permissions.lowered(session.client, message.topicName, least);
    session.delivery.deliver(message, lowered, outgoing.retain, member.subscriptionIdentifiers, group);
  }

  private logUnexpected(packet: string, packetIdentifier: number): void {
    if (!this.broker.log.enabled("debug")) return;
    this.broker.log.debug(`Unexpected ${packet}`, { ...this.session.client.logFields(), packetIdentifier });
  }
}
