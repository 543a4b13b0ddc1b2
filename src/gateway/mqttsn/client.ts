import { PacketType } from "../../codec/constants.ts";
import type { Packet, Will } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import type { TextCache } from "../../codec/text.ts";
import { CoreLink, type Flushes } from "../../core/core-link.ts";
import type { Timed } from "../../core/deadlines.ts";
import type { Log, LogFields } from "../../core/ports.ts";
import { isTopicName } from "../../topic/name.ts";
import { encodeSn } from "./codec/encode.ts";
import type { SnConnect, SnPacket } from "./codec/packet.ts";
import { SnReturnCode, SnType, type SnWill } from "./codec/types.ts";
import { Downstream } from "./downstream.ts";
import { returnCodeOf } from "./return-codes.ts";
import type { Route } from "./route.ts";
import type { GatewaySettings } from "./settings.ts";
import { toleratedMs } from "./tolerance.ts";
import type { PredefinedTopics, TopicTable } from "./topic-table.ts";
import { Upstream } from "./upstream.ts";
import { WillDialogue } from "./will-dialogue.ts";

/** 1.2 §6.14, and before it: `will` asks for the will, `opening` waits for the broker. */
export type ClientState = "will" | "opening" | "active" | "asleep" | "awake" | "gone";

/**
 * Why a client is gone: it said so; it was silent; it was let go by us; or it is here again, by this or another way, or has
 * another connection with the broker.
 */
export type ClientEnd = "disconnected" | "lost" | "let go" | "replaced";

/** What is remembered of a client beyond its connection, 1.2 §6.3: its session, but for what the broker has of it. */
export interface Remembered {
  readonly topics: TopicTable;
  /** For this client: all predefined topics that hold for it. */
  readonly predefined: PredefinedTopics;
  will: Will | undefined;
}

/** What a client has of its gateway. */
export interface ClientWorld {
  readonly settings: GatewaySettings;
  readonly log: Log;
  readonly flushes: Flushes;
  readonly names: TextCache;
  nowMs(): number;
  /** The broker has let the client in: it is the one of its identifier from now on. */
  accepted(client: SnClient): void;
  /** The client's deadline or state is another. */
  changed(client: SnClient): void;
  /** `deadlineMs` may have come. */
  due(client: SnClient, nowMs: number): void;
  sent(): void;
  /** A mistake of ours, which costs one client and nobody else. */
  fault(error: unknown, fields: LogFields, client?: SnClient): void;
}

const NEVER = Number.POSITIVE_INFINITY;
/** The broker sends one message of QoS 1 or 2 and waits for its acknowledgement, 1.2 §6.5. */
const RECEIVE_MAXIMUM = 1;
/** Messages of QoS 0 that wait in the gateway before the broker is to keep what comes. */
const WAITING_MAX = 50;
const NEVER_EXPIRES = 0xffff_ffff;
/** A will may wait for a client that promises nothing, should the broker be cut off meanwhile. */
const WILL_DELAY_SECONDS_MAX = 86_400;

/** One client: a session of the broker at one end, MQTT-SN at the other. */
export class SnClient implements Timed {
  heapIndex = -1;
  dueMs = 0;
  readonly clientId: string;
  readonly cleanSession: boolean;
  readonly remembered: Remembered;
  route: Route;
  state: ClientState = "opening";
  /** Set with the state `gone`. */
  end: ClientEnd | undefined;
  /** Its identifier has come from another port of its host: what ends it is itself, which is not to be told to go. */
  seemsMoved = false;
  /** The broker has let it in, at least once. */
  wasAccepted = false;
  lastHeardMs: number;
  /** Seconds: of its keep-alive, or of its sleep. */
  durationSeconds: number;
  /** When it is to wake, as it said; Infinity: it is not asleep, or has missed that already. */
  nextWakeMs = NEVER;
  /** Times in a row that it did not wake as it had said, though within what is tolerated. */
  missedWakes = 0;
  /** Messages that the client was not sent, and why it never will be: once for each reason in the log. */
  dropped = 0;
  readonly downstream: Downstream;
  private readonly upstream: Upstream;
  private readonly world: ClientWorld;
  private readonly link: CoreLink;
  private readonly willDialogue: WillDialogue;
  /** What it will have as its will, if it is let in. */
  private will: Will | undefined;
  /** When it is lost, 1.2 §6.14. */
  private lostMs = NEVER;
  /** Messages that were kept when it woke: when it has had so many, its window closes. */
  private windowLeft = 0;
  /** When its window closes though something is kept, since the broker does not hand it over. */
  private windowMs = NEVER;
  private readonly logged = new Set<string>();

  constructor(connect: SnConnect, route: Route, remembered: Remembered, world: ClientWorld) {
    this.clientId = connect.clientId;
    this.cleanSession = connect.cleanSession;
    this.route = route;
    this.remembered = remembered;
    this.world = world;
    this.will = connect.cleanSession ? undefined : remembered.will;
    this.durationSeconds = connect.durationSeconds;
    this.lastHeardMs = world.nowMs();
    if (connect.will) this.state = "will";
    const send = (packet: SnPacket): void => this.send(packet);
    this.link = new CoreLink(route.peer, world.flushes, world.names, {
      onPacket: (packet) => this.onCorePacket(packet),
      onQuiet: () => this.onCoreQuiet(),
      onEnded: () => this.onCoreEnded(),
      onFault: (error) => world.fault(error, this.logFields(), this),
    });
    this.upstream = new Upstream(remembered.topics, remembered.predefined, this.link, send);
    this.downstream = new Downstream(remembered.topics, world.settings, () => this.route.maxBytes, {
      send,
      acknowledged: (messageId, qos) => this.acknowledge(messageId, qos, ReasonCode.Success),
      refused: (messageId, qos) => this.acknowledge(messageId, qos, ReasonCode.ImplementationSpecificError),
      completed: (messageId) => this.complete(messageId),
      passed: () => this.passed(),
      dropped: (topic, why) => this.onDropped(topic, why),
      silent: () => this.onSilent(),
    });
    this.willDialogue = new WillDialogue(world.settings, send);
  }

  /** When `tick` is wanted. */
  get deadlineMs(): number {
    return Math.min(this.lostMs, this.nextWakeMs, this.windowMs, this.downstream.dueMs, this.willDialogue.dueMs);
  }

  /** Messages for it that it has not acknowledged. */
  get buffered(): number {
    return this.link.backlog;
  }

  /** It was let in, and is not gone. */
  get isPresent(): boolean {
    return this.state === "active" || this.state === "asleep" || this.state === "awake";
  }

  logFields(): LogFields {
    const { address, listener, nodeId } = this.route.peer;
    return { client: this.clientId, address, listener, ...(nodeId !== undefined && { nodeId }) };
  }

  /** Its CONNECT is taken up: it is asked for its will, or the broker is asked for it. */
  begin(): void {
    if (this.state === "will") this.willDialogue.begin(this.lastHeardMs);
    else this.open();
  }

  onDue(nowMs: number): void {
    this.world.due(this, nowMs);
  }

  /** Time has passed. */
  tick(nowMs: number): void {
    if (this.state === "gone") return;
    if (this.state === "will" && this.willDialogue.tick(nowMs) === "over") {
      this.leave("no will came");
      return;
    }
    this.downstream.tick(nowMs);
    if (this.state === "awake" && nowMs >= this.windowMs) this.closeWindow();
    if (this.state === "asleep" && nowMs >= this.nextWakeMs) {
      this.nextWakeMs = NEVER;
      this.missedWakes++;
    }
    if (nowMs >= this.lostMs) this.lose(this.state === "asleep" ? "it did not wake" : "it was silent");
  }

  /** A message from the client. */
  receive(packet: SnPacket): void {
    const nowMs = this.world.nowMs();
    this.lastHeardMs = nowMs;
    if (this.isPresent) this.take(packet, nowMs);
    else this.takeBefore(packet, nowMs);
    this.closeWindowAtEnd();
    this.world.changed(this);
  }

  /** It comes by another way: what is sent goes there from now on. */
  moveTo(route: Route): void {
    this.route = route;
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
    if (this.state === "gone") return;
    this.state = "gone";
    this.end = "let go";
    this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    this.link.abandon();
  }

  private take(packet: SnPacket, nowMs: number): void {
    // Whatever it says, it lives; in its window something else watches over it.
    if (this.state !== "awake") this.lostMs = nowMs + toleratedMs(this.durationSeconds);
    const { upstream, downstream } = this;
    switch (packet.type) {
      case SnType.Register:
        upstream.onRegister(packet);
        break;
      case SnType.Publish:
        upstream.onPublish(packet);
        break;
      case SnType.Pubrel:
        upstream.onPubrel(packet.messageId);
        break;
      case SnType.Subscribe:
        downstream.forgive();
        upstream.onSubscribe(packet);
        break;
      case SnType.Unsubscribe:
        upstream.onUnsubscribe(packet);
        break;
      case SnType.Pingreq:
        this.onPingreq(packet.clientId !== undefined, nowMs);
        break;
      case SnType.Disconnect:
        this.onDisconnect(packet.durationSeconds, nowMs);
        break;
      case SnType.WillTopicUpd:
        this.onWillTopicUpd(packet.will);
        break;
      case SnType.WillMsgUpd:
        this.onWillMsgUpd(packet.message);
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
        // PINGRESP says that it lives, and the rest is not for gateways.
        break;
    }
  }

  /** 1.2 §6.2: until CONNACK there is nothing but the will, and going away again. */
  private takeBefore(packet: SnPacket, nowMs: number): void {
    if (packet.type === SnType.WillTopic || packet.type === SnType.WillMsg) {
      if (this.state !== "will" || !this.willDialogue.take(packet, nowMs)) return;
      this.will = this.willDialogue.will;
      if (this.will === undefined || isTopicName(this.will.topicName)) this.open();
      else this.refuse("its will topic is not a topic name");
    } else if (packet.type === SnType.Disconnect) {
      this.send({ type: SnType.Disconnect, durationSeconds: undefined });
      this.quit("disconnected");
    }
  }

  private refuse(reason: string): void {
    this.world.log.info("MQTT-SN client refused", { ...this.logFields(), reason });
    this.send({ type: SnType.Connack, returnCode: SnReturnCode.NotSupported });
    this.quit("let go");
  }

  /** The client is told to go. */
  private leave(reason: string): void {
    this.world.log.info("MQTT-SN client let go", { ...this.logFields(), reason });
    this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    this.quit("let go");
  }

  /** A will is published, the session goes on or not. */
  private lose(reason: string): void {
    if (this.state === "gone") return;
    this.world.log.info("MQTT-SN client lost", { ...this.logFields(), reason });
    this.link.sleep(0);
    if (this.cleanSession) {
      const properties = { sessionExpiryInterval: 0 };
      this.link.feed({ type: PacketType.DISCONNECT, reasonCode: ReasonCode.DisconnectWithWill, properties });
    }
    this.quit("lost");
  }

  private quit(end: ClientEnd): void {
    this.over(end);
    this.link.abandon();
    this.world.changed(this);
  }

  private over(end: ClientEnd): void {
    this.state = "gone";
    this.end ??= end;
  }

  private open(): void {
    this.state = "opening";
    const { cleanSession, clientId, link, world } = this;
    link.open(this.route.accept);
    link.feed({
      type: PacketType.CONNECT,
      protocolVersion: 5,
      cleanStart: cleanSession,
      // The gateway knows better when a client is lost: sleepers are silent.
      keepAliveSeconds: 0,
      clientId,
      will: this.delayed(this.will),
      userName: undefined,
      password: undefined,
      properties: {
        receiveMaximum: RECEIVE_MAXIMUM,
        sessionExpiryInterval: cleanSession ? world.settings.cleanSessionSeconds : NEVER_EXPIRES,
      },
      bridge: false,
    });
  }

  /**
   * When the broker itself is cut off, the client has so long to come back as it would have had: it cannot know before it
   * next speaks. One that is lost has its will published at once, see `lose`.
   */
  private delayed(will: Will | undefined): Will | undefined {
    return will && { ...will, properties: { ...will.properties, willDelayInterval: this.graceSeconds } };
  }

  private get graceSeconds(): number {
    return Math.min(WILL_DELAY_SECONDS_MAX, Math.ceil(toleratedMs(this.durationSeconds) / 1000));
  }

  private onCorePacket(packet: Packet): void {
    const nowMs = this.world.nowMs();
    switch (packet.type) {
      case PacketType.CONNACK:
        this.onConnack(packet.reasonCode, nowMs);
        break;
      case PacketType.PUBLISH:
        if (this.state === "awake") this.windowMs = nowMs + this.world.settings.retryMs;
        this.downstream.push(packet, nowMs);
        this.link.crowded = this.downstream.length >= WAITING_MAX;
        break;
      case PacketType.PUBREL:
        this.downstream.onPubrel(packet.packetIdentifier, nowMs);
        break;
      case PacketType.PUBACK:
        this.upstream.onPublished(packet.packetIdentifier, packet.reasonCode);
        break;
      case PacketType.PUBREC:
        this.upstream.onReceived(packet.packetIdentifier, packet.reasonCode);
        break;
      case PacketType.PUBCOMP:
        this.upstream.onCompleted(packet.packetIdentifier);
        break;
      case PacketType.SUBACK:
        this.upstream.onSuback(packet.packetIdentifier, packet.reasonCodes[0] ?? ReasonCode.UnspecifiedError);
        break;
      case PacketType.UNSUBACK:
        this.send({ type: SnType.Unsuback, messageId: packet.packetIdentifier });
        break;
      case PacketType.DISCONNECT:
        this.onCoreDisconnect(packet.reasonCode);
        break;
      default:
        break;
    }
  }

  private onCoreQuiet(): void {
    this.closeWindowAtEnd();
    this.world.changed(this);
  }

  private onConnack(reasonCode: number, nowMs: number): void {
    const returnCode = returnCodeOf(reasonCode);
    if (returnCode === SnReturnCode.Accepted) {
      this.state = "active";
      this.wasAccepted = true;
      this.remembered.topics.doubtAll();
      this.remembered.will = this.will;
      this.world.accepted(this);
      this.lostMs = nowMs + toleratedMs(this.durationSeconds);
    } else this.over("let go");
    this.send({ type: SnType.Connack, returnCode });
    if (this.state === "active") this.downstream.release(nowMs);
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

  /** 1.2 §6.14: with its identifier, a client that sleeps asks for what was kept. */
  private onPingreq(isWaking: boolean, nowMs: number): void {
    if (this.state === "awake") {
      // It has slept through what was sent. The answer comes at the end of its window.
      this.downstream.release(nowMs);
      return;
    }
    if (this.state !== "asleep" || !isWaking) {
      this.send({ type: SnType.Pingresp });
      return;
    }
    this.state = "awake";
    if (nowMs < this.nextWakeMs && this.nextWakeMs !== NEVER) this.missedWakes = 0;
    this.nextWakeMs = NEVER;
    this.lostMs = NEVER;
    this.windowMs = nowMs + this.world.settings.retryMs;
    this.windowLeft = this.link.backlog + this.downstream.waitingQos0;
    this.downstream.release(nowMs);
    this.link.wake();
  }

  private onDisconnect(durationSeconds: number | undefined, nowMs: number): void {
    this.send({ type: SnType.Disconnect, durationSeconds: undefined });
    if (durationSeconds === undefined || durationSeconds === 0) {
      const properties = this.cleanSession ? { sessionExpiryInterval: 0 } : {};
      this.over("disconnected");
      this.link.feed({ type: PacketType.DISCONNECT, reasonCode: ReasonCode.NormalDisconnection, properties });
      this.quit("disconnected");
      return;
    }
    this.durationSeconds = durationSeconds;
    this.fallAsleep(nowMs);
  }

  private fallAsleep(nowMs: number): void {
    this.state = "asleep";
    this.windowMs = NEVER;
    this.downstream.hold();
    this.link.sleep(this.graceSeconds);
    this.nextWakeMs = nowMs + this.durationSeconds * 1000;
    this.lostMs = nowMs + toleratedMs(this.durationSeconds);
  }

  /** Of what was kept when it woke, it has had one more; with the last, the broker keeps the rest for the next time. */
  private passed(): void {
    this.link.crowded = this.downstream.length >= WAITING_MAX;
    if (this.state !== "awake") return;
    this.windowMs = this.world.nowMs() + this.world.settings.retryMs;
    if (this.windowLeft === 0) return;
    this.windowLeft--;
    if (this.windowLeft === 0) this.link.sleep(this.graceSeconds);
  }

  /** It has had what was kept: PINGRESP ends its window, and not before, 1.2 §6.14. */
  private closeWindowAtEnd(): void {
    if (this.state !== "awake" || !this.downstream.isIdle) return;
    if (this.windowLeft === 0 || this.link.backlog === 0) this.closeWindow();
  }

  private closeWindow(): void {
    // An answer is still due; T_retry decides.
    if (!this.downstream.isIdle) {
      this.windowMs = NEVER;
      return;
    }
    this.fallAsleep(this.world.nowMs());
    this.send({ type: SnType.Pingresp });
  }

  /** It does not answer. In its window it has fallen asleep again; else it is gone. */
  private onSilent(): void {
    if (this.state === "awake") this.fallAsleep(this.world.nowMs());
    else this.lose("it does not answer");
  }

  private onDropped(topic: string, reason: string): void {
    this.dropped++;
    if (this.logged.has(reason)) return;
    this.logged.add(reason);
    this.world.log.warn("Messages not sent to a client", { ...this.logFields(), topic, reason });
  }

  private onWillTopicUpd(will: SnWill | undefined): void {
    const { remembered } = this;
    // An empty one deletes topic and message, 1.2 §5.4.22.
    let next: Will | undefined;
    if (will !== undefined && will.topic !== "") {
      const payload = remembered.will?.payload ?? new Uint8Array(0);
      next = { topicName: will.topic, payload, qos: will.qos, retain: will.retain, properties: {} };
    }
    this.send({ type: SnType.WillTopicResp, returnCode: this.setWill(next) });
  }

  private onWillMsgUpd(message: Uint8Array): void {
    const { will } = this.remembered;
    const returnCode =
      will === undefined ? SnReturnCode.NotSupported : this.setWill({ ...will, payload: message.slice() });
    this.send({ type: SnType.WillMsgResp, returnCode });
  }

  private setWill(will: Will | undefined): SnReturnCode {
    const objection = this.link.changeWill(this.delayed(will));
    if (objection !== undefined) return returnCodeOf(objection);
    this.remembered.will = will;
    return SnReturnCode.Accepted;
  }

  private acknowledge(messageId: number, qos: 1 | 2, reasonCode: 0 | 0x83): void {
    const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC;
    this.link.feed({ type, packetIdentifier: messageId, reasonCode, properties: {} });
  }

  private complete(packetIdentifier: number): void {
    if (packetIdentifier === 0) return;
    const { Success } = ReasonCode;
    this.link.feed({ type: PacketType.PUBCOMP, packetIdentifier, reasonCode: Success, properties: {} });
  }

  private send(packet: SnPacket): void {
    this.world.sent();
    this.route.send(encodeSn(packet));
  }
}
