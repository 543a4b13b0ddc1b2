import { ackIdentifier } from "../codec/ack.ts";
import { decodePacket } from "../codec/codec.ts";
import { UnsupportedVersion } from "../codec/connect.ts";
import { PacketType, type ProtocolVersion } from "../codec/constants.ts";
import { type FrameSink, FrameSplitter } from "../codec/frame.ts";
import type { Packet, Will } from "../codec/packet.ts";
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
import { handleAck } from "./acknowledgements.ts";
import type { Authentication } from "./authentication.ts";
import type { Broker } from "./broker.ts";
import type { Budget } from "./budget.ts";
import { Client } from "./client.ts";
import { refuseConnection, refuseMalformedConnect } from "./connack.ts";
import { checkDeadlines, scheduleDeadline, scheduleEnd } from "./connection-deadlines.ts";
import { allows, ConnectionState, refuseType } from "./connection-state.ts";
import type { Timed } from "./deadlines.ts";
import { dispatch, receive } from "./dispatch.ts";
import type { Entrance } from "./entrance.ts";
import type { Refusal } from "./hooks.ts";
import type { DurableWaiter } from "./journal.ts";
import type { Mount } from "./mount.ts";
import { Parked } from "./parked.ts";
import type { GatewayHandler, Link } from "./ports.ts";
import { handlePublish } from "./publish.ts";
import type { RateMeter } from "./rate-meter.ts";
import { limitReading, readAfterDrain } from "./reading.ts";
import { connackCode, disconnectCode } from "./reason-mapping.ts";
import type { Route } from "./router.ts";
import { type AckType, sendAck, sendPacket, sendPingresp } from "./send.ts";
import type { Session } from "./session.ts";
import { changeWill, sleep, wake } from "./sleep.ts";
import type { Terms } from "./terms.ts";
import { IncomingAliases, type OutgoingAliases } from "./topic-alias.ts";

/** Receivers of a topic that a connection remembers by itself; the route to more costs more than finding it again. */
const LAST_ROUTE_TARGETS_MAX = 16;

/** Why a connection ended that simply ended. */
export const CLOSED_BY_CLIENT = "closed by the client";

/** One network connection: takes its bytes apart, tells its client when it may, and ends it properly. */
export class Connection implements GatewayHandler, FrameSink, Timed, DurableWaiter {
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
  lastReceivedMs: number;
  /** It is not read from, since the peer does not read or the store cannot keep up. */
  readingPaused = false;
  /** It waits for an answer, and handles nothing meanwhile. */
  waits = false;
  /** It handles nothing until its rate allows more. */
  held = false;
  /** What is meant for it is kept: see `GatewayHandler`. */
  asleep = false;
  /** Though asleep, it is sent what was kept. */
  awake = false;
  /** Since when the peer has taken nothing, and what it had taken by then; 0: nothing waits for it. */
  stalledSinceMs = 0;
  stalledAtBytes = 0;
  /** When its right to be here ends, as that of a token does. */
  endsAtMs = Number.POSITIVE_INFINITY;

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
    if (this.asleep && !this.awake) return false;
    if (!this.link.blocked) {
      this.pendingPackets = 0;
      return true;
    }
    if (this.link.full === true) return false;
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
    limitReading(this);
    broker.reschedule();
  }

  onDrain(): void {
    this.broker.turn();
    this.pendingPackets = 0;
    this.stalledSinceMs = 0;
    readAfterDrain(this);
    if (this.state === ConnectionState.Connected) this.session.delivery.pump();
    this.broker.reschedule();
  }

  get backlog(): number {
    return this.state === ConnectionState.Connected ? this.session.delivery.unacknowledged : 0;
  }

  sleep(willDelaySeconds: number): void {
    sleep(this, willDelaySeconds);
  }

  wake(): void {
    wake(this);
  }

  changeWill(will: Will | undefined): ReasonCode | undefined {
    return changeWill(this, will);
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
    if (!allows(this.state, type)) refuseType(this.state, type);
    if (broker.stopping && type === PacketType.PUBLISH) return;
    if (this.meter !== undefined) this.meter.packetBytes = end - start;
    if (broker.watchesPackets) {
      receive(this, decodePacket(bytes, start, bodyStart, end, this.protocolVersion, broker.topicNames));
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
        handleAck(this, type as AckType, packetIdentifier, ReasonCode.Success);
        return;
      }
    }
    if (type === PacketType.PINGREQ && bodyStart === end) {
      sendPingresp(this);
      return;
    }
    dispatch(this, decodePacket(bytes, start, bodyStart, end, this.protocolVersion, broker.topicNames));
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
    scheduleEnd(this);
    scheduleDeadline(this);
  }

  onDue(nowMs: number): void {
    checkDeadlines(this, nowMs);
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
}
