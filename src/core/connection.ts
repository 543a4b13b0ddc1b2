import { ackIdentifier } from "../codec/ack.ts";
import { decodePacket } from "../codec/codec.ts";
import { UnsupportedVersion } from "../codec/connect.ts";
import { PACKET_NAMES, PacketType, type ProtocolVersion } from "../codec/constants.ts";
import { type FrameSink, FrameSplitter } from "../codec/frame.ts";
import type { Disconnect, Packet, Publish, Will } from "../codec/packet.ts";
import { decodePublish } from "../codec/publish.ts";
import {
  type DisconnectReasonCode,
  ProtocolError,
  type PubackReasonCode,
  type PubrelReasonCode,
  ReasonCode,
  reasonText,
} from "../codec/reason.ts";
import type { Verdict } from "./access.ts";
import { type Authentication, handleAuth } from "./authentication.ts";
import type { Broker } from "./broker.ts";
import type { Budget } from "./budget.ts";
import { Client } from "./client.ts";
import { handleConnect, refuseConnection, refuseMalformedConnect } from "./connect.ts";
import type { Timed } from "./deadlines.ts";
import type { Entrance } from "./entrance.ts";
import { Refusal } from "./hooks.ts";
import type { DurableWaiter } from "./journal.ts";
import type { Mount } from "./mount.ts";
import { Parked } from "./parked.ts";
import type { Link, LinkHandler } from "./ports.ts";
import { handlePublish } from "./publish.ts";
import type { RateMeter } from "./rate-meter.ts";
import { connackCode, disconnectCode } from "./reason-mapping.ts";
import type { Route } from "./router.ts";
import { type AckType, sendAck, sendPacket, sendPingresp, tracePacket } from "./send.ts";
import type { Session } from "./session.ts";
import { handleSubscribe, handleUnsubscribe } from "./subscribe.ts";
import type { Terms } from "./terms.ts";
import { IncomingAliases, type OutgoingAliases } from "./topic-alias.ts";

/** Where a connection stands, §4.1 and §4.12. */
export const ConnectionState = { AwaitConnect: 0, Authenticating: 1, Connected: 2, Closed: 3, Opening: 4 } as const;
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

const bits = (...types: PacketType[]): number => types.reduce((all, type) => all | (1 << type), 0);

/** The packets a client may send in each state, as bits by type. Anything else is a Protocol Error. */
const ALLOWED: readonly number[] = [
  // 5.0 [MQTT-3.1.0-1]: CONNECT comes first.
  bits(PacketType.CONNECT),
  // 5.0 [MQTT-3.1.2-30]: before CONNACK only AUTH and DISCONNECT.
  bits(PacketType.AUTH, PacketType.DISCONNECT),
  bits(
    PacketType.PUBLISH,
    PacketType.PUBACK,
    PacketType.PUBREC,
    PacketType.PUBREL,
    PacketType.PUBCOMP,
    PacketType.SUBSCRIBE,
    PacketType.UNSUBSCRIBE,
    PacketType.PINGREQ,
    PacketType.DISCONNECT,
    PacketType.AUTH,
  ),
  0,
  // Its session waits for the disk; nothing is read meanwhile.
  0,
];

/** Receivers of a topic that a connection remembers by itself; the route to more costs more than finding it again. */
const LAST_ROUTE_TARGETS_MAX = 16;

/** Output beyond the budget for messages can only be answers: then we stop reading until the peer takes them. */
const ANSWER_BYTES_MAX = 64 * 1024;

/** Why a connection ended that simply ended. */
export const CLOSED_BY_CLIENT = "closed by the client";

/** One network connection: takes its bytes apart, knows what is allowed when, and ends it properly. */
export class Connection implements LinkHandler, FrameSink, Timed, DurableWaiter {
  heapIndex = -1;
  dueMs = 0;
  readonly broker: Broker;
  readonly link: Link;
  /** What its listener makes of the broker's options. */
  readonly terms: Terms;
  /** Set with its session, where its listener has a mount point. */
  mount: Mount | undefined = undefined;
  state: ConnectionState = ConnectionState.AwaitConnect;
  /** Until CONNECT tells: 4, whose answers are the most widely understood. */
  protocolVersion: ProtocolVersion = 4;
  /** Set with CONNECT; before, it names the address alone. */
  client: Client;
  /** Set before anything that needs one can be received. */
  session!: Session;
  will: Will | undefined = undefined;
  /**
   * What it was refused for when it was accepted, which it is told as soon as it says CONNECT; or why it is one too many.
   * Such refusals come in floods, and are logged once in a while.
   */
  refusal: Refusal | undefined = undefined;
  /** What it is counted under, and its PUBLISH packets: undefined where no limit asks for it. */
  budgets: readonly Budget[] | undefined = undefined;
  meter: RateMeter | undefined = undefined;
  /** It is counted among those of its listener. */
  isPresent = false;
  /** What it is counted under until it has its session, or is gone. */
  waitsUnder: readonly Budget[] | undefined = undefined;
  keepAliveMs = 0;
  /** The smaller of the client's Receive Maximum and our own bound. */
  sendQuota = 0;
  /** What the client accepts, 5.0 [MQTT-3.1.2-24]. */
  maximumPacketSize = Number.POSITIVE_INFINITY;
  requestProblemInformation = true;
  readonly incomingAliases = new IncomingAliases();
  outgoingAliases: OutgoingAliases | undefined = undefined;
  authentication: Authentication | undefined = undefined;
  /** A 3.x bridge that said so in its protocol level. */
  bridge = false;
  /** It goes on with an earlier session, and the client may still send again what we know to be complete. */
  recovering = false;
  /** QoS 2 messages received here and not released yet: what Receive Maximum counts, 5.0 [MQTT-3.3.4-7]. */
  unreleased = 0;
  /** PUBLISH packets handed to the link since it last took everything. */
  pendingPackets = 0;
  awaitsStore = false;
  /** What it is to be told once the disk has what that promises. */
  private parked: Parked | undefined = undefined;
  /** The Topic Name that was last found acceptable from this client. */
  checkedTopic = "";
  readonly splitter: FrameSplitter;
  /** The last verdict on publishing. */
  private judged: Verdict = false;
  private judgedTopic: string | undefined = undefined;
  private judgedGeneration = -1;
  private lastRoute: Route | undefined = undefined;
  private lastRouteName = "";
  private lastReceivedMs: number;
  private readingPaused = false;
  private waits = false;
  private held = false;
  private stalledSinceMs = 0;
  private stalledAtBytes = 0;
  /** When its right to be here ends, as that of a token does. */
  private endsAtMs = Number.POSITIVE_INFINITY;

  constructor(broker: Broker, link: Link, entrance: Entrance, terms: Terms) {
    this.broker = broker;
    this.link = link;
    this.terms = terms;
    this.client = new Client("", undefined, 4, true, 0, link.peer, false, entrance);
    this.splitter = new FrameSplitter(this, broker.limits.connectBytes);
    this.lastReceivedMs = broker.nowMs;
    broker.deadlines.set(this, broker.nowMs + broker.limits.connectTimeoutMs);
  }

  /** More output is welcome: what the peer has not taken is within the budget for slow readers. */
  get writable(): boolean {
    if (!this.link.blocked) {
      this.pendingPackets = 0;
      return true;
    }
    const { limits } = this.broker;
    return this.link.pendingBytes < limits.linkPendingBytes && this.pendingPackets < limits.linkPendingPackets;
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    if (this.state === ConnectionState.Closed) return;
    const { broker } = this;
    broker.turn();
    broker.counters.bytesReceived += end - start;
    try {
      this.splitter.push(bytes, start, end);
    } catch (error) {
      this.fail(error);
    }
    this.limitAnswers();
    this.limitJournal();
    broker.reschedule();
  }

  onDrain(): void {
    this.broker.turn();
    this.pendingPackets = 0;
    this.stalledSinceMs = 0;
    if (this.readingPaused) {
      this.readingPaused = false;
      this.lastReceivedMs = this.broker.nowMs;
      if (!this.waits && !this.held) this.link.resumeReading();
    }
    if (this.state === ConnectionState.Connected) this.session.delivery.pump();
    this.broker.reschedule();
  }

  onClose(error: Error | undefined): void {
    this.broker.turn();
    this.close(error === undefined ? CLOSED_BY_CLIENT : error.message, error);
    this.broker.reschedule();
  }

  onFrame(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const { broker } = this;
    const type = (bytes[start] as number) >> 4;
    broker.counters.packetsReceived++;
    this.lastReceivedMs = broker.nowMs;
    if (!this.allows(type)) this.refuseType(type);
    if (broker.stopping && type === PacketType.PUBLISH) return;
    if (this.meter !== undefined) this.meter.packetBytes = end - start;
    if (broker.watchesPackets) {
      this.receive(decodePacket(bytes, start, bodyStart, end, this.protocolVersion, broker.topicNames));
      return;
    }
    // The packets of the hot path are handled without building an object where they need none.
    if (type === PacketType.PUBLISH) {
      broker.counters.publishReceived++;
      const publish = decodePublish(bytes, start, bodyStart, end, this.protocolVersion, broker.topicNames);
      broker.counters.publishBytesReceived += publish.payloadEnd - publish.payloadStart;
      handlePublish(this, publish);
      return;
    }
    if (type >= PacketType.PUBACK && type <= PacketType.PUBCOMP) {
      const packetIdentifier = ackIdentifier(bytes, bodyStart, end, this.protocolVersion);
      if (packetIdentifier > 0) {
        this.handleAck(type as AckType, packetIdentifier, ReasonCode.Success);
        return;
      }
    }
    if (type === PacketType.PINGREQ && bodyStart === end) {
      sendPingresp(this);
      return;
    }
    this.handle(decodePacket(bytes, start, bodyStart, end, this.protocolVersion, broker.topicNames));
  }

  /** As `receive`, for a packet that nobody has asked about yet whether it may come now. */
  receiveAllowed(packet: Packet): void {
    if (!this.allows(packet.type)) this.refuseType(packet.type);
    this.receive(packet);
  }

  /** A decoded packet on its way through the hooks of reading: off the wire while somebody watches, or injected. */
  receive(packet: Packet): void {
    const { broker } = this;
    tracePacket(this, "received", packet);
    let accepted = packet;
    if (broker.hooks.present.onPacketRead) {
      const verdict = broker.hooks.pass("onPacketRead", packet, (hook, value) =>
        hook.onPacketRead!(this.client, value),
      );
      if (verdict instanceof Refusal) {
        throw new ProtocolError(disconnectCode(verdict.reasonCode), "", verdict.reasonString ?? "Refused by a hook");
      }
      accepted = verdict as Packet;
    }
    if (accepted.type === PacketType.PUBLISH) {
      broker.counters.publishReceived++;
      broker.counters.publishBytesReceived += accepted.payloadLength;
    }
    let failure: Error | undefined;
    try {
      this.handle(accepted);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      if (broker.hooks.present.onPacketProcessed) {
        broker.hooks.notify("onPacketProcessed", this.client, accepted, failure);
      }
    }
  }

  private handle(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNECT:
        handleConnect(this, packet);
        return;
      case PacketType.PUBLISH:
        handlePublish(this, packet as Publish);
        return;
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBREL:
      case PacketType.PUBCOMP:
        this.handleAck(packet.type, packet.packetIdentifier, packet.reasonCode);
        return;
      case PacketType.SUBSCRIBE:
        handleSubscribe(this, packet);
        return;
      case PacketType.UNSUBSCRIBE:
        handleUnsubscribe(this, packet);
        return;
      case PacketType.PINGREQ:
        sendPingresp(this);
        return;
      case PacketType.DISCONNECT:
        this.handleDisconnect(packet);
        return;
      case PacketType.AUTH:
        handleAuth(this, packet);
        return;
      default:
        this.refuseType(packet.type);
    }
  }

  private handleAck(type: AckType, packetIdentifier: number, reasonCode: PubackReasonCode | PubrelReasonCode): void {
    const { session, broker } = this;
    const { delivery } = session;
    if (type === PacketType.PUBACK) delivery.onPuback(packetIdentifier, reasonCode as PubackReasonCode);
    else if (type === PacketType.PUBREC) delivery.onPubrec(this, packetIdentifier, reasonCode as PubackReasonCode);
    else if (type === PacketType.PUBCOMP) delivery.onPubcomp(packetIdentifier);
    else {
      // 5.0 [MQTT-4.3.3-11]: PUBCOMP answers every PUBREL; the code tells that we did not know the identifier. That is no
      // error during recovery, 5.0 §3.7.2.1, when our PUBCOMP was lost, but clients exist that report it as one. Clients
      // send again in order, so recovery is over with the first that we do know.
      const known = session.incoming?.delete(packetIdentifier) === true;
      if (known && this.unreleased > 0) this.unreleased--;
      const code = known || this.recovering ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound;
      if (known) this.recovering = false;
      // PUBCOMP lets the client use the identifier for another message, so ours must be gone for good, or that message
      // would be taken for the old one after a restart.
      let sequence = 0;
      if (session.stored) {
        if (known) broker.archive!.incomingRemoved(session, packetIdentifier);
        sequence = broker.archive!.journal.lastSequence;
      }
      this.sendAckAfter(sequence, PacketType.PUBCOMP, packetIdentifier, code);
    }
  }

  /** 5.0 §3.14. */
  private handleDisconnect(packet: Disconnect): void {
    const { sessionExpiryInterval } = packet.properties;
    if (this.state === ConnectionState.Connected && sessionExpiryInterval !== undefined) {
      if (this.session.expiryIntervalSeconds === 0 && sessionExpiryInterval !== 0) {
        throw new ProtocolError(
          ReasonCode.ProtocolError,
          "5.0 §3.14.2.2.2",
          "A session that ends with its connection cannot be given an expiry at DISCONNECT",
        );
      }
      this.session.expiryIntervalSeconds = this.broker.cappedExpiry(sessionExpiryInterval);
    }
    // 5.0 [MQTT-3.14.4-3]; only Disconnect with Will Message keeps it, as every other failure does.
    if (packet.reasonCode === ReasonCode.NormalDisconnection) this.will = undefined;
    this.close(`disconnected, ${reasonText(packet.reasonCode)}`, undefined);
    this.link.end();
  }

  /** An acknowledgement that leaves when the journal's batch `sequence` is on disk, and not before earlier ones. */
  sendAckAfter(
    sequence: number,
    type: AckType,
    packetIdentifier: number,
    code: PubackReasonCode | PubrelReasonCode,
  ): void {
    if (this.mustPark(sequence)) this.parking().addAck(sequence, type, packetIdentifier, code);
    else sendAck(this, type, packetIdentifier, code);
  }

  /** As `sendAckAfter`, for any packet; `sent` is called once it is out. */
  sendPacketAfter(sequence: number, packet: Packet, sent?: () => void): void {
    if (this.mustPark(sequence)) {
      this.parking().addPacket(sequence, packet, sent);
      return;
    }
    sendPacket(this, packet);
    sent?.();
  }

  /** More is on disk. */
  onDurable(durable: number): void {
    const { parked } = this;
    if (parked === undefined) return;
    parked.release(this, durable);
    if (parked.length > 0) this.broker.archive!.journal.await(this);
  }

  /** May it publish to the topic? The verdict on the last one is at hand, since publishers repeat themselves. */
  mayPublish(topicName: string): Verdict {
    const { permissions } = this.broker;
    if (topicName === this.judgedTopic && this.judgedGeneration === permissions.generation) return this.judged;
    const verdict = permissions.verdict(this.client, topicName, true);
    if (permissions.remembered) {
      this.judged = verdict;
      this.judgedTopic = topicName;
      this.judgedGeneration = permissions.generation;
    }
    return verdict;
  }

  /** The receivers of a topic; those of the last one are at hand, since publishers repeat themselves. */
  routeOf(topicName: string): Route {
    const { lastRoute, broker } = this;
    if (
      lastRoute !== undefined &&
      topicName === this.lastRouteName &&
      lastRoute.generation === broker.router.generation
    ) {
      return lastRoute;
    }
    const route = broker.router.route(topicName);
    // A connection that publishes no more keeps it when it holds no longer, so it has to be small.
    if (route.targets.length <= LAST_ROUTE_TARGETS_MAX) {
      this.lastRoute = route;
      this.lastRouteName = topicName;
    }
    return route;
  }

  /** CONNACK was sent: from here on the session's rules hold. */
  established(): void {
    this.state = ConnectionState.Connected;
    this.splitter.packetBytesMax = this.terms.packetBytesMax;
    this.splitter.version = this.protocolVersion;
    this.scheduleEnd();
    this.scheduleKeepAlive();
  }

  /** Handles nothing more of what the client sends until `whenAnswered`. */
  awaitAnswer(): void {
    this.waits = true;
    this.splitter.pause();
    this.link.pauseReading();
  }

  /** What the connection waited for is known; it reads on afterwards. Nothing happens when it closed meanwhile. */
  whenAnswered(next: () => void): void {
    if (this.state === ConnectionState.Closed) return;
    this.waits = false;
    // It was kept from being heard meanwhile, so its silence does not count.
    this.lastReceivedMs = this.broker.nowMs;
    try {
      next();
      if (!this.readingPaused) this.link.resumeReading();
      this.splitter.resume();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Handles nothing more of what the client sends until `readOn`: it is above a rate, and cannot be told. */
  holdReading(): void {
    this.held = true;
    this.splitter.pause();
    this.link.pauseReading();
  }

  /** The rate allows more. Nothing happens when it was not held. */
  readOn(): void {
    if (!this.held || this.state === ConnectionState.Closed) return;
    this.held = false;
    this.lastReceivedMs = this.broker.nowMs;
    try {
      this.splitter.resume();
    } catch (error) {
      this.fail(error);
    }
    this.limitAnswers();
    this.limitJournal();
    if (!this.held && !this.readingPaused) this.link.resumeReading();
  }

  /** A message could not be sent at once: from now on the peer has linkStall to take something. */
  watchStall(): void {
    if (this.stalledSinceMs !== 0 || !this.link.blocked) return;
    const { broker } = this;
    this.stalledSinceMs = broker.nowMs;
    this.stalledAtBytes = this.link.takenBytes;
    const dueMs = broker.nowMs + broker.limits.linkStallMs;
    if (this.heapIndex === -1 || dueMs < this.dueMs) broker.deadlines.set(this, dueMs);
  }

  onDue(nowMs: number): void {
    if (this.state === ConnectionState.Closed) {
      this.link.destroy();
      return;
    }
    if (this.state !== ConnectionState.Connected) {
      this.broker.counters.connectionsRefused++;
      const opening = this.state === ConnectionState.Opening;
      this.close(opening ? "the store did not answer in time" : "no complete CONNECT in time", undefined);
      this.link.destroy();
      return;
    }
    if (nowMs >= this.endsAtMs) {
      this.scheduleEnd();
      if (nowMs >= this.endsAtMs) {
        this.disconnect(ReasonCode.NotAuthorized, "its right to be here has expired");
        return;
      }
    }
    if (this.isStalled(nowMs)) {
      this.close("takes no output", undefined);
      this.link.destroy();
      return;
    }
    const keepAliveOver = this.keepAliveMs > 0 && nowMs >= this.lastReceivedMs + this.keepAliveMs;
    // While we don't read because the peer doesn't, silence is not its fault: the stall above decides.
    if (keepAliveOver && !this.readingPaused && !this.held) {
      this.disconnect(ReasonCode.KeepAliveTimeout, "no packet within one and a half times the Keep Alive");
      return;
    }
    this.scheduleKeepAlive();
  }

  /** Ends the connection for a reason of the broker's: 5.0 clients are told, 3.x ones see it close. */
  disconnect(reasonCode: DisconnectReasonCode, reason: string, error?: Error): void {
    if (this.state === ConnectionState.Closed) return;
    const passive = this.broker.options.compat.passiveClientDisconnect && error instanceof ProtocolError;
    const tell = this.state === ConnectionState.Connected && this.protocolVersion === 5;
    if (tell) {
      const properties = this.requestProblemInformation || error !== undefined ? { reasonString: reason } : {};
      sendPacket(this, { type: PacketType.DISCONNECT, reasonCode, properties });
    }
    this.close(`${reason} (${reasonText(reasonCode)})`, error);
    if (tell && passive) this.broker.deadlines.set(this, this.broker.nowMs + this.broker.limits.connectTimeoutMs);
    else this.link.end(reasonCode);
  }

  /** The handlers' way out: a broken rule ends this connection; a mistake of ours ends it too, and is logged as ours. */
  fail(error: unknown): void {
    if (error instanceof ProtocolError) {
      this.broker.counters.protocolErrors++;
      const statement = error.statement === "" ? "" : ` ${error.statement}`;
      if (this.state === ConnectionState.AwaitConnect) {
        refuseMalformedConnect(this, error, error instanceof UnsupportedVersion ? error.level : undefined);
      } else if (this.state === ConnectionState.Authenticating || this.state === ConnectionState.Opening) {
        refuseConnection(this, connackCode(error.reasonCode), `${error.message}${statement}`);
      } else this.disconnect(disconnectCode(error.reasonCode), `${error.message}${statement}`, error);
      return;
    }
    this.broker.log.error("Internal error while handling a packet", {
      ...this.client.logFields(),
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    this.disconnect(ReasonCode.ImplementationSpecificError, "internal error");
  }

  /** Leaves all tables, with or without a will. The link itself is ended by the caller. */
  close(reason: string, error: Error | undefined): void {
    if (this.state === ConnectionState.Closed) return;
    const wasConnected = this.state === ConnectionState.Connected;
    const wasOpening = this.state === ConnectionState.Opening;
    this.state = ConnectionState.Closed;
    this.parked = undefined;
    this.splitter.stop();
    this.broker.deadlines.cancel(this);
    this.broker.rates.leave(this);
    this.broker.connectionClosed(this, wasConnected, reason, error);
    // Its client was never told that it has a session: there is no will to publish either.
    if (wasOpening && this.session.opening === this) this.session.detach(undefined);
  }

  private mustPark(sequence: number): boolean {
    const { parked } = this;
    if (parked !== undefined && parked.length > 0) return true;
    return sequence !== 0 && sequence > this.broker.archive!.journal.durable;
  }

  private parking(): Parked {
    this.parked ??= new Parked();
    this.broker.archive!.journal.await(this);
    return this.parked;
  }

  private allows(type: number): boolean {
    return ((ALLOWED[this.state] as number) >> type) % 2 === 1;
  }

  private refuseType(type: number): never {
    const name = PACKET_NAMES[type] ?? String(type);
    if (this.state === ConnectionState.AwaitConnect) {
      throw new ProtocolError(ReasonCode.ProtocolError, "5.0 [MQTT-3.1.0-1]", `${name} before CONNECT`);
    }
    const statement = type === PacketType.CONNECT ? "5.0 [MQTT-3.1.0-2]" : "";
    throw new ProtocolError(ReasonCode.ProtocolError, statement, `${name} is not allowed here`);
  }

  /** Stops reading from a peer that lets our answers pile up. */
  private limitAnswers(): void {
    if (this.readingPaused || !this.link.blocked || this.state === ConnectionState.Closed) return;
    if (this.link.pendingBytes < this.broker.limits.linkPendingBytes + ANSWER_BYTES_MAX) return;
    this.readingPaused = true;
    this.link.pauseReading();
    this.watchStall();
  }

  /** Stops reading from those who publish while the store cannot keep up. */
  private limitJournal(): void {
    const { broker } = this;
    const { archive } = broker;
    if (archive === undefined || this.readingPaused || this.waits || this.state !== ConnectionState.Connected) return;
    const { journal } = archive;
    if (!journal.congested || !journal.writable) return;
    this.readingPaused = true;
    this.link.pauseReading();
    journal.awaitRoom(() => {
      if (!this.readingPaused || this.link.blocked) return;
      this.readingPaused = false;
      this.lastReceivedMs = broker.nowMs;
      if (!this.waits && !this.held && this.state !== ConnectionState.Closed) this.link.resumeReading();
    });
  }

  private isStalled(nowMs: number): boolean {
    if (this.stalledSinceMs === 0) return false;
    if (!this.link.blocked) {
      this.stalledSinceMs = 0;
      return false;
    }
    if (this.link.takenBytes !== this.stalledAtBytes) {
      this.stalledSinceMs = nowMs;
      this.stalledAtBytes = this.link.takenBytes;
      return false;
    }
    return nowMs - this.stalledSinceMs >= this.broker.limits.linkStallMs;
  }

  /** By the wall clock, which may have been set since it was last asked. */
  private scheduleEnd(): void {
    const { expiresMs } = this.client.identity ?? {};
    if (expiresMs === undefined) return;
    this.endsAtMs = this.broker.nowMs + expiresMs - this.broker.world.clock.wallMs();
  }

  private scheduleKeepAlive(): void {
    const { deadlines, limits, nowMs } = this.broker;
    let dueMs = Number.POSITIVE_INFINITY;
    if (this.keepAliveMs > 0) {
      // Not before a moment from now: with paused reading the deadline is in the past.
      dueMs = Math.max(this.lastReceivedMs + this.keepAliveMs, nowMs + 1000);
      if (this.lastReceivedMs + this.keepAliveMs > nowMs) dueMs = this.lastReceivedMs + this.keepAliveMs;
    }
    if (this.stalledSinceMs !== 0) dueMs = Math.min(dueMs, this.stalledSinceMs + limits.linkStallMs);
    dueMs = Math.min(dueMs, this.endsAtMs);
    if (dueMs === Number.POSITIVE_INFINITY) deadlines.cancel(this);
    else deadlines.set(this, dueMs);
  }
}
