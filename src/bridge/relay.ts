import { encodePacket } from "../codec/codec.ts";
import { PacketType, type Qos } from "../codec/constants.ts";
import { type Connack, type Packet, Publish } from "../codec/packet.ts";
import { ReasonCode, reasonText } from "../codec/reason.ts";
import type { TextCache } from "../codec/text.ts";
import type { Flushes } from "../core/core-link.ts";
import type { GatewayAccept, Log, Peer } from "../core/ports.ts";
import { Outbox, type Suspects } from "./outbox.ts";
import { OwnLink, ownConnect, ownSubscribe } from "./own-session.ts";
import { downward, timesBelow, upward } from "./passing.ts";
import type { PutOff } from "./put-off.ts";
import type { RetainedCopies } from "./retained-copies.ts";
import type { Wire } from "./wire.ts";

/** Messages of QoS 1 and 2 that are under way to the other broker at a time. */
const UNDER_WAY_MAX = 100;
/**
 * The same by 3.1.1, which has no Receive Maximum and no code for a refusal: some brokers acknowledge what is over theirs, and
 * throw it away. Mosquitto has 20 where nothing else is set, others 10.
 */
const UNDER_WAY_UNTOLD = 10;
/** After a message was put off, what is under way has so long to be acknowledged before the connection ends. */
const SETTLE_MS_MAX = 5_000;
/** Of packet identifiers for SUBSCRIBE: the last, since the core counts from the first. */
const LAST_IDENTIFIER = 65_535;

/** Totals since the start. */
export interface Traffic {
  sent: number;
  received: number;
  /** By the other broker, or because it could not take them. */
  refused: number;
}

export interface RelayTools {
  log: Log;
  accept: GatewayAccept;
  peer: Peer;
  flushes: Flushes;
  names: TextCache;
  traffic: Traffic;
  /** What begins the names of MQTT-SN clients here. */
  prefix: string;
  /** The largest packet that the core takes. */
  packetBytesMax: number;
  /** The highest QoS that the core takes, and whether it keeps retained messages. */
  maximumQos: Qos;
  retains: boolean;
  copies: RetainedCopies;
  suspects: Suspects;
  putOff: Readonly<Record<"up" | "down", PutOff>>;
}

export interface RelayEvents {
  /** All that waited has reached the other broker. Called once. */
  onDrained(): void;
  /** SUBACK, UNSUBACK and the like of the other broker. */
  onPacket(packet: Packet): void;
  /** Our own broker has ended it, or it cannot go on. Called once; not after `stop`. */
  onEnded(reason: string): void;
}

/**
 * Joins a session of the core with one at the other broker, for as long as both are connected. It keeps nothing itself:
 * each side's packets go to the other side under the same packet identifiers, acknowledgements too, so that a message is
 * acknowledged to where it comes from when it has been acknowledged where it goes, and what either side sends again after
 * a cut, the other side knows again.
 */
export class Relay {
  private readonly wire: Wire;
  private readonly connack: Connack;
  private readonly tools: RelayTools;
  private readonly events: RelayEvents;
  private readonly link: OwnLink;
  /** Topics of the messages under way to the other broker, by their identifiers. */
  private readonly underWay = new Map<number, string>();
  private readonly outbox: Outbox;
  /** Messages of QoS 2 that go there by QoS 1, since it takes no more. */
  private readonly lowered = new Set<number>();
  private isWireFull = false;
  private isHeldBack = false;
  /** Why this connection is about to end: a message has to come again. */
  private puttingOff: string | undefined;
  private settling: NodeJS.Timeout | undefined;
  private readonly maximumQos: number;
  private isOpen = false;
  private isDrained = false;
  private isOver = false;
  private loopsSeen = 0;

  constructor(wire: Wire, connack: Connack, tools: RelayTools, events: RelayEvents) {
    this.wire = wire;
    this.connack = connack;
    this.maximumQos = connack.properties.maximumQos ?? 2;
    this.tools = tools;
    this.events = events;
    this.link = new OwnLink(tools.peer, tools.flushes, tools.names, {
      onPacket: (packet) => this.onCorePacket(packet),
      onQuiet: () => this.look(),
      onEnded: () => this.fail("our own broker has ended it"),
      onFault: (error) => {
        tools.log.error("The connection with the other broker has failed here", {
          reason: error instanceof Error ? error.stack : String(error),
        });
        this.link.abandon();
        this.fail("a mistake of ours");
      },
    });
    this.link.onRoom = () => wire.resume();
    this.outbox = new Outbox(tools.suspects, {
      send: (packet) => {
        if (packet.qos > 0 && this.puttingOff !== undefined) {
          // It comes again in the next connection.
          tools.putOff.up.unsent(packet.packetIdentifier);
          return;
        }
        tools.traffic.sent++;
        if (packet.qos > 0) this.underWay.set(packet.packetIdentifier, packet.topicName);
        this.send(packet);
      },
      drop: (packet) => {
        const wasLowered = this.lowered.delete(packet.packetIdentifier);
        this.drop(packet, "the other broker ends the connection each time it comes", wasLowered ? 2 : packet.qos);
      },
      crowd: (isCrowded) => {
        this.isHeldBack = isCrowded;
        this.regulate();
      },
    });
  }

  start(): void {
    const { receiveMaximum = 65_535 } = this.connack.properties;
    const underWayMax = this.wire.version === 5 ? UNDER_WAY_MAX : UNDER_WAY_UNTOLD;
    this.link.open(this.tools.accept);
    this.link.feed(ownConnect(Math.min(underWayMax, receiveMaximum)));
  }

  /** Messages for the other broker that wait, or are not acknowledged. */
  get backlog(): number {
    return this.link.backlog;
  }

  /** An identifier that no message under way to the other broker has. */
  freeIdentifier(): number {
    let identifier = LAST_IDENTIFIER;
    while (this.underWay.has(identifier)) identifier--;
    return identifier;
  }

  /** The stream of the other broker has room again. */
  onDrain(): void {
    this.isWireFull = false;
    this.regulate();
  }

  /** The other broker, or something on the way to it, has ended the connection. */
  cut(): void {
    this.outbox.cut();
  }

  /** A packet of the other broker, after its CONNACK. */
  onWirePacket(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PUBLISH:
        this.bringDown(packet);
        break;
      case PacketType.PUBACK:
      case PacketType.PUBREC:
        this.acknowledged(packet.type, packet.packetIdentifier, packet.reasonCode);
        break;
      case PacketType.PUBREL:
        this.feed(packet);
        break;
      case PacketType.PUBCOMP:
        this.underWay.delete(packet.packetIdentifier);
        this.feed({ ...packet, reasonCode: 0, properties: {} });
        this.lookWhetherSettled();
        break;
      default:
        this.events.onPacket(packet);
    }
  }

  /** Takes a retained message away that the core has, and tells the other broker nothing of it. */
  removeRetained(topicName: string): void {
    this.feed(new Publish(topicName, 0, true, false, 0, {}, new Uint8Array(0), 0, 0));
  }

  /** What is not acknowledged stays with the core. */
  stop(): void {
    this.isOver = true;
    clearTimeout(this.settling);
    this.outbox.stop();
    this.tools.putOff.up.ended();
    this.tools.putOff.down.ended();
    this.link.abandon();
  }

  private fail(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.events.onEnded(reason);
  }

  private feed(packet: Packet): void {
    if (this.isOver) return;
    this.link.feed(packet);
    if (this.link.paused) this.wire.pause();
  }

  private send(packet: Packet): void {
    if (this.wire.send(packet)) return;
    this.isWireFull = true;
    this.regulate();
  }

  private regulate(): void {
    this.link.crowded = this.isWireFull || this.isHeldBack || this.puttingOff !== undefined;
  }

  private onCorePacket(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode !== 0) {
          this.fail(`our own broker refuses it: ${reasonText(packet.reasonCode)}`);
          return;
        }
        this.isOpen = true;
        if (!packet.sessionPresent) this.link.feed(ownSubscribe("#"));
        break;
      case PacketType.PUBLISH:
        this.sendUp(packet);
        break;
      case PacketType.PUBREL:
        // Of a message that went there by less than QoS 2, also in an earlier connection.
        if (this.maximumQos < 2) this.answer(PacketType.PUBCOMP, packet.packetIdentifier);
        else this.send({ ...packet, properties: {} });
        break;
      case PacketType.PUBACK:
      case PacketType.PUBREC:
        if (this.isPutOff("down", packet.packetIdentifier, packet.reasonCode)) this.putOff("this broker");
        else this.send({ ...packet, properties: {} } as Packet);
        break;
      case PacketType.PUBCOMP:
        this.send({ ...packet, properties: {} });
        break;
      default:
        break;
    }
  }

  /** Whether that message, which may have been answered so, is to come again. */
  private isPutOff(way: "up" | "down", packetIdentifier: number, code: number): boolean {
    const putOff = this.tools.putOff[way];
    if (code === ReasonCode.QuotaExceeded && putOff.refuse(packetIdentifier)) return true;
    putOff.settled(packetIdentifier);
    return false;
  }

  /**
   * A message has not been answered to where it comes from, where it stays: so it comes again in the next connection. What is
   * under way is settled first, or it would come twice.
   */
  private putOff(who: string): void {
    if (this.puttingOff !== undefined) return;
    this.puttingOff = `${who} has no room for a message at present: ${reasonText(ReasonCode.QuotaExceeded)}`;
    this.settling = setTimeout(() => this.fail(this.puttingOff!), SETTLE_MS_MAX);
    this.regulate();
    this.lookWhetherSettled();
  }

  private lookWhetherSettled(): void {
    // Not from within what the core is just doing.
    if (this.puttingOff !== undefined && this.underWay.size === 0) setImmediate(() => this.fail(this.puttingOff!));
  }

  /** Everything up to now has been handled. */
  private look(): void {
    if (!this.isOpen || this.isDrained || this.isOver || this.link.backlog > 0) return;
    this.isDrained = true;
    // Not from within what the core is just doing.
    setImmediate(() => {
      if (!this.isOver) this.events.onDrained();
    });
  }

  private sendUp(publish: Publish): void {
    const { retainAvailable = 1, maximumPacketSize } = this.connack.properties;
    const { topicName, packetIdentifier } = publish;
    const qos = Math.min(publish.qos, this.maximumQos) as Qos;
    const { retain } = publish;
    const packet = upward(publish, qos, this.tools.putOff.up.beginsAnew(packetIdentifier));
    if (retain) this.tools.copies.heard(topicName, publish.payload);
    if (retain && retainAvailable === 0) {
      this.drop(publish, "the other broker keeps no retained messages");
    } else if (maximumPacketSize !== undefined && this.wire.sizeOf(packet) > maximumPacketSize) {
      this.drop(publish, `the other broker takes no packet over ${maximumPacketSize} bytes`);
    } else {
      if (qos === 1 && publish.qos === 2) this.lowered.add(packetIdentifier);
      this.outbox.add(packet);
      if (qos === 0 && publish.qos > 0) this.settle(publish.qos, packetIdentifier);
    }
  }

  /** The message is done with, though nobody there has acknowledged it. */
  private settle(qos: Qos, packetIdentifier: number, reasonCode: 0 | 0x83 = 0): void {
    const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC;
    if (qos > 0) this.answer(type, packetIdentifier, reasonCode);
  }

  private drop({ topicName, packetIdentifier, qos: sent }: Publish, reason: string, qos = sent): void {
    this.refused(topicName, reason);
    this.settle(qos, packetIdentifier, ReasonCode.ImplementationSpecificError);
  }

  private refused(topic: string | undefined, reason: string): void {
    this.tools.traffic.refused++;
    this.tools.log.warn("A message of MQTT-SN clients is dropped, which the other broker does not take", {
      topic,
      reason,
    });
  }

  private acknowledged(
    type: typeof PacketType.PUBACK | typeof PacketType.PUBREC,
    packetIdentifier: number,
    code: number,
  ): void {
    if (this.isPutOff("up", packetIdentifier, code)) {
      this.underWay.delete(packetIdentifier);
      this.putOff("the other broker");
      this.outbox.acknowledged(packetIdentifier);
      return;
    }
    const isRefused = code >= 0x80;
    if (isRefused) this.refused(this.underWay.get(packetIdentifier), reasonText(code));
    if (type === PacketType.PUBACK || isRefused) this.underWay.delete(packetIdentifier);
    const reasonCode = isRefused ? ReasonCode.ImplementationSpecificError : 0;
    this.outbox.acknowledged(packetIdentifier);
    const wasLowered = type === PacketType.PUBACK && this.lowered.has(packetIdentifier);
    if (wasLowered) this.lowered.delete(packetIdentifier);
    this.answer(wasLowered ? PacketType.PUBREC : type, packetIdentifier, reasonCode);
    this.lookWhetherSettled();
  }

  private answer(
    type: typeof PacketType.PUBACK | typeof PacketType.PUBREC | typeof PacketType.PUBCOMP,
    packetIdentifier: number,
    reasonCode: 0 | 0x83 = 0,
  ): void {
    this.feed({ type, packetIdentifier, reasonCode, properties: {} } as Packet);
  }

  private bringDown(publish: Publish): void {
    const { tools } = this;
    const { topicName, qos, packetIdentifier } = publish;
    tools.traffic.received++;
    // The core would end our connection for what it does not take, again and again.
    const retain = publish.retain && tools.retains;
    const isLowered = qos > tools.maximumQos;
    if (retain && tools.copies.heard(topicName, publish.payload)) {
      this.acknowledgeDown(qos, packetIdentifier);
      return;
    }
    const packet = downward(publish, isLowered ? 0 : qos, retain);
    const objection = this.objectionTo(packet);
    if (objection === undefined) {
      this.feed(packet);
      if (isLowered) this.acknowledgeDown(qos, packetIdentifier);
      return;
    }
    if (objection !== "") {
      tools.log.warn("A message of the other broker is dropped", { topic: topicName, reason: objection });
    }
    this.acknowledgeDown(qos, packetIdentifier);
  }

  /** Why the core cannot have a message; "" where that was said before. */
  private objectionTo(publish: Publish): string | undefined {
    const { prefix, packetBytesMax } = this.tools;
    if (encodePacket(publish, 5).length > packetBytesMax) {
      return `its packet is over the limit of ${packetBytesMax} bytes (--mqtt-maximum-packet-size)`;
    }
    // Two brokers that fetch from each other give a topic one prefix more at each turn.
    if (timesBelow(prefix, publish.topicName) < 2) return undefined;
    return this.loopsSeen++ === 0 ? "it has been here before: the other broker fetches from this one" : "";
  }

  private acknowledgeDown(qos: Qos, packetIdentifier: number): void {
    if (qos === 0) return;
    const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC;
    this.send({ type, packetIdentifier, reasonCode: 0, properties: {} } as Packet);
  }
}
