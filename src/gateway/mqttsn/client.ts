import { PacketType } from "../../codec/constants.ts";
import type { Packet } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import { CoreLink } from "../../core/core-link.ts";
import type { Timed } from "../../core/deadlines.ts";
import type { LogFields } from "../../core/ports.ts";
import { Admission } from "./admission.ts";
import { BrokerSide } from "./broker-side.ts";
import type { ClientEnd, ClientState, ClientWorld, Remembered } from "./client-world.ts";
import { encodeSn } from "./codec/encode.ts";
import type { SnConnect, SnPacket } from "./codec/packet.ts";
import { SnReturnCode, SnType } from "./codec/types.ts";
import { Downstream } from "./downstream.ts";
import { OwedAnswers } from "./owed-answers.ts";
import { placeOf } from "./place.ts";
import { returnCodeOf } from "./return-codes.ts";
import type { Route } from "./route.ts";
import { Sleep } from "./sleep.ts";
import { Upstream } from "./upstream.ts";
import { delayed, WillUpdates } from "./will-updates.ts";

/** Messages of QoS 0 that wait in the gateway before the broker is to keep what comes. */
const WAITING_MAX = 50;

/** One client: a session of the broker at one end, MQTT-SN at the other. */
export class SnClient implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly clientId: string;
  readonly cleanSession: boolean;
  readonly remembered: Remembered;
  /** It comes by this way, and what is sent goes there. */
  route: Route;
  /** Set with the state `gone`. */
  end: ClientEnd | undefined;
  /** Its identifier has come from another port of its host: what ends it is itself, which is not to be told to go. */
  seemsMoved = false;
  /** The broker has let it in, at least once. */
  wasAccepted = false;
  lastHeardMs: number;
  /** Messages that the client was not sent, and why it never will be: once for each reason in the log. */
  dropped = 0;
  readonly downstream: Downstream;
  private readonly upstream: Upstream;
  private readonly world: ClientWorld;
  private readonly link: CoreLink;
  private readonly broker: BrokerSide;
  private readonly owed: OwedAnswers;
  private readonly sleep: Sleep;
  private readonly admission: Admission;
  private readonly willUpdates: WillUpdates;
  private stage: "before" | "present" | "gone" = "before";
  private readonly logged = new Set<string>();

  constructor(connect: SnConnect, route: Route, remembered: Remembered, world: ClientWorld) {
    this.clientId = connect.clientId;
    this.cleanSession = connect.cleanSession;
    this.route = route;
    this.remembered = remembered;
    this.world = world;
    this.lastHeardMs = world.nowMs();
    const { settings } = world;
    const send = (packet: SnPacket): void => this.send(packet);
    const resent = (): void => this.route.retried?.();
    this.link = new CoreLink(route.peer, world.flushes, world.names, {
      onPacket: (packet) => this.onCorePacket(packet),
      onQuiet: () => this.onCoreQuiet(),
      onEnded: () => this.onCoreEnded(),
      onFault: (error) => world.fault(error, this.logFields(), this),
    });
    this.broker = new BrokerSide(connect.clientId, connect.cleanSession, this.link);
    this.owed = new OwedAnswers(settings.retryMs);
    this.upstream = new Upstream(remembered.topics, remembered.predefined, this.link, this.owed, { send, resent });
    this.downstream = new Downstream(remembered.topics, settings, () => this.route.maxBytes, {
      send,
      acknowledged: (messageId, qos) => this.broker.acknowledge(messageId, qos),
      refused: (messageId, qos) => this.broker.refuse(messageId, qos),
      completed: (messageId) => this.broker.complete(messageId),
      passed: () => this.passed(),
      dropped: (topic, why) => this.onDropped(topic, why),
      silent: () => this.onSilent(),
      isClientWaiting: () => this.owed.any,
      answered: (roundTripMs) => this.route.answered?.(roundTripMs),
      resent,
    });
    const { link, downstream, owed } = this;
    const pong = (): void => this.send({ type: SnType.Pingresp });
    this.sleep = new Sleep(connect.durationSeconds, { link, downstream, owed, retryMs: settings.retryMs, pong });
    this.willUpdates = new WillUpdates(remembered, link, () => this.sleep.graceSeconds, send);
    this.admission = new Admission(connect, remembered.will, settings, {
      send,
      resent,
      complete: () => this.open(),
      turnedAway: (what, reason, farewell) => this.turnAway(what, reason, farewell),
      left: () => this.quit("disconnected"),
    });
  }

  get state(): ClientState {
    if (this.stage === "present") return this.sleep.phase;
    return this.stage === "before" ? this.admission.stage : "gone";
  }

  /** Seconds: of its keep-alive, or of its sleep. */
  get durationSeconds(): number {
    return this.sleep.durationSeconds;
  }

  /** When it is to wake, as it said; Infinity: it is not asleep, or has missed that already. */
  get nextWakeMs(): number {
    return this.sleep.nextWakeMs;
  }

  /** Times in a row that it did not wake as it had said, though within what is tolerated. */
  get missedWakes(): number {
    return this.sleep.missedWakes;
  }

  /** When `tick` is wanted. */
  get deadlineMs(): number {
    return Math.min(this.sleep.deadlineMs, this.owed.dueMs, this.downstream.dueMs, this.admission.dueMs);
  }

  /** Messages for it that it has not acknowledged. */
  get buffered(): number {
    return this.link.backlog;
  }

  /** It was let in, and is not gone. */
  get isPresent(): boolean {
    return this.stage === "present";
  }

  logFields(): LogFields {
    return { client: this.clientId, ...placeOf(this.route.peer) };
  }

  /** Its CONNECT is taken up: it is asked for its will, or the broker is asked for it. */
  begin(): void {
    this.admission.begin(this.lastHeardMs);
  }

  onDue(nowMs: number): void {
    this.world.due(this, nowMs);
  }

  /** Time has passed. */
  tick(nowMs: number): void {
    if (this.stage === "gone") return;
    if (this.stage === "before") this.admission.tick(nowMs);
    if (this.owed.tick(nowMs)) {
      this.downstream.proceed(nowMs);
      this.sleep.closeAtEnd(nowMs);
    }
    this.downstream.tick(nowMs);
    if (this.sleep.tick(nowMs)) this.lose(this.state === "asleep" ? "it did not wake" : "it was silent");
  }

  /** A message from the client. */
  receive(packet: SnPacket): void {
    const nowMs = this.world.nowMs();
    this.lastHeardMs = nowMs;
    if (this.isPresent) this.take(packet, nowMs);
    else if (this.stage === "before") this.admission.receive(packet, nowMs);
    this.sleep.closeAtEnd(nowMs);
    this.world.changed(this);
  }

  /** Another connection takes its place: it is not lost, and nothing is published for it. */
  replace(): void {
    this.link.changeWill(undefined);
    this.quit("replaced");
  }

  /** Its place is another client's now: 1.2 has no other way to end it than to say that it was lost. */
  giveWay(): void {
    this.lose("another client has its place");
  }

  /** After a mistake of ours: it has to connect again. Throws when even that cannot be done. */
  fail(): void {
    if (this.stage === "gone") return;
    this.over("let go");
    this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    this.link.abandon();
  }

  private take(packet: SnPacket, nowMs: number): void {
    this.sleep.heard(nowMs);
    const { upstream, downstream } = this;
    switch (packet.type) {
      case SnType.Pingreq:
        this.sleep.onPingreq(nowMs);
        break;
      case SnType.Disconnect:
        this.onDisconnect(packet.durationSeconds, nowMs);
        break;
      case SnType.WillTopicUpd:
        this.willUpdates.onTopic(packet.will);
        break;
      case SnType.WillMsgUpd:
        this.willUpdates.onMessage(packet.message);
        break;
      case SnType.Regack:
        downstream.onRegack(packet.messageId, packet.returnCode, nowMs);
        break;
      case SnType.Puback:
        downstream.onPuback(packet.topicId, packet.messageId, packet.returnCode, nowMs);
        break;
      case SnType.Pubrec:
        downstream.onPubrec(packet.messageId, nowMs);
        break;
      case SnType.Pubcomp:
        downstream.onPubcomp(packet.messageId, nowMs);
        break;
      default:
        if (packet.type === SnType.Subscribe) downstream.forgive();
        upstream.receive(packet, nowMs);
        break;
    }
  }

  private turnAway(what: string, reason: string, farewell: SnPacket): void {
    this.world.log.info(what, { ...this.logFields(), reason });
    this.send(farewell);
    this.quit("let go");
  }

  /** A will is published, the session goes on or not. */
  private lose(reason: string): void {
    if (this.stage === "gone") return;
    this.world.log.info("MQTT-SN client lost", { ...this.logFields(), reason });
    this.broker.lose();
    this.quit("lost");
  }

  private quit(end: ClientEnd): void {
    this.over(end);
    this.link.abandon();
    this.world.changed(this);
  }

  private over(end: ClientEnd): void {
    this.stage = "gone";
    this.sleep.end();
    this.end ??= end;
  }

  private open(): void {
    const will = delayed(this.admission.will, this.sleep.graceSeconds);
    this.broker.open(this.route.accept, will, this.world.settings.cleanSessionSeconds);
  }

  private onCorePacket(packet: Packet): void {
    const nowMs = this.world.nowMs();
    switch (packet.type) {
      case PacketType.CONNACK:
        this.onConnack(packet.reasonCode, nowMs);
        break;
      case PacketType.PUBLISH:
        this.sleep.prolong(nowMs);
        this.downstream.push(packet, nowMs);
        this.link.crowded = this.downstream.length >= WAITING_MAX;
        break;
      case PacketType.PUBREL:
        this.downstream.onPubrel(packet.packetIdentifier, nowMs);
        break;
      case PacketType.DISCONNECT:
        this.onCoreDisconnect(packet.reasonCode);
        break;
      default:
        this.upstream.onAnswer(packet);
        break;
    }
    this.downstream.proceed(nowMs);
  }

  private onCoreQuiet(): void {
    this.sleep.closeAtEnd(this.world.nowMs());
    this.world.changed(this);
  }

  private onConnack(reasonCode: number, nowMs: number): void {
    const returnCode = returnCodeOf(reasonCode);
    if (returnCode === SnReturnCode.Accepted) {
      this.stage = "present";
      this.wasAccepted = true;
      this.remembered.topics.doubtAll();
      this.remembered.will = this.admission.will;
      this.world.accepted(this);
      this.sleep.heard(nowMs);
    } else this.over("let go");
    this.send({ type: SnType.Connack, returnCode });
    if (this.isPresent) this.downstream.release(nowMs);
  }

  private onCoreDisconnect(reasonCode: number): void {
    const isTakenOver = reasonCode === ReasonCode.SessionTakenOver;
    // Nobody listens while it sleeps: it is told when it wakes.
    if (this.state !== "asleep" && !(isTakenOver && this.seemsMoved)) {
      this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    }
    this.over(isTakenOver ? "replaced" : "let go");
  }

  private onCoreEnded(): void {
    // Refused before it could say who it is, 1.2 §6.2, or ended without a word.
    if (this.state === "opening") this.send({ type: SnType.Connack, returnCode: SnReturnCode.Congestion });
    else if (this.state === "active" || this.state === "awake") {
      this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    }
    this.over("let go");
    this.world.changed(this);
  }

  private onDisconnect(durationSeconds: number | undefined, nowMs: number): void {
    this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    if (durationSeconds === undefined || durationSeconds === 0) {
      this.over("disconnected");
      this.broker.disconnect();
      this.quit("disconnected");
      return;
    }
    this.sleep.begin(durationSeconds, nowMs);
  }

  private passed(): void {
    this.link.crowded = this.downstream.length >= WAITING_MAX;
    this.sleep.passed(this.world.nowMs());
  }

  /** It does not answer. In its window it has fallen asleep again; else it is gone. */
  private onSilent(): void {
    if (this.state === "awake") this.sleep.fall(this.world.nowMs());
    else this.lose("it does not answer");
  }

  private onDropped(topic: string, reason: string): void {
    this.dropped++;
    if (this.logged.has(reason)) return;
    this.logged.add(reason);
    this.world.log.warn("Messages not sent to a client", { ...this.logFields(), topic, reason });
  }

  private send(packet: SnPacket): void {
    this.world.sent();
    this.route.send(encodeSn(packet));
  }
}
