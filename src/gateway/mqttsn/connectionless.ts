import { PacketType } from "../../codec/constants.ts";
import { Publish } from "../../codec/packet.ts";
import { CoreLink } from "../../core/core-link.ts";
import { isTopicName } from "../../topic/name.ts";
import type { ClientWorld } from "./client-world.ts";
import type { SnPublish } from "./codec/packet.ts";
import { TopicIdType } from "./codec/types.ts";
import type { Route } from "./route.ts";
import { type PredefinedTopics, shortName } from "./topic-table.ts";

const SENDERS_MAX = 256;
/** A sender's connection with the broker is kept so long after its last message. */
const IDLE_MS = 60_000;
/** Messages that wait for the broker to say who the sender is. */
const WAITING_MAX = 16;
const TEXT = new TextDecoder("utf-8", { fatal: true });

interface Sender {
  readonly link: CoreLink;
  lastMs: number;
  state: "opening" | "open" | "refused";
  readonly waiting: { topicName: string; retain: boolean; data: Uint8Array }[];
}

/**
 * PUBLISH with QoS -1, from those who never connect, 1.2 §6.8. Who they are is known by where they are alone, so each such
 * place has a connection of its own with the broker, without a session, and the rules decide as for any other client.
 */
export class Connectionless {
  dueMs = Number.POSITIVE_INFINITY;
  private readonly world: ClientWorld;
  private readonly senders = new Map<string, Sender>();

  constructor(world: ClientWorld) {
    this.world = world;
  }

  publish(packet: SnPublish, route: Route): void {
    const topic = topicWithoutNumber(packet, this.world.settings.predefined);
    if (topic === undefined || !isTopicName(topic.name)) {
      this.world.log.debug("MQTT-SN message of QoS -1 has no topic", {
        address: route.peer.address,
        topicId: packet.topicId,
      });
      return;
    }
    const key = route.peer.nodeId === undefined ? route.origin : `${route.origin}/${route.peer.nodeId}`;
    const sender = this.senders.get(key) ?? this.open(key, route);
    // One that was refused is asked about again after a while: rules change.
    if (sender.state !== "refused") sender.lastMs = this.world.nowMs();
    const message = { topicName: topic.name, retain: packet.retain, data: topic.data.slice() };
    if (sender.state === "opening" && sender.waiting.length < WAITING_MAX) sender.waiting.push(message);
    else if (sender.state === "open" && !sender.link.paused) hand(sender.link, message);
  }

  tick(nowMs: number): void {
    if (nowMs < this.dueMs) return;
    this.dueMs = Number.POSITIVE_INFINITY;
    for (const [key, sender] of this.senders) {
      const dueMs = sender.lastMs + IDLE_MS;
      if (dueMs <= nowMs) this.close(key);
      else this.dueMs = Math.min(this.dueMs, dueMs);
    }
  }

  private close(key: string): void {
    const sender = this.senders.get(key);
    this.senders.delete(key);
    sender?.link.abandon();
  }

  private open(key: string, route: Route): Sender {
    if (this.senders.size >= SENDERS_MAX) this.close(this.senders.keys().next().value!);
    const { flushes, names } = this.world;
    const link: CoreLink = new CoreLink(route.peer, flushes, names, {
      onPacket: (packet) => {
        if (packet.type !== PacketType.CONNACK) return;
        sender.state = packet.reasonCode === 0 ? "open" : "refused";
        for (const message of sender.waiting.splice(0)) if (sender.state === "open") hand(link, message);
      },
      onQuiet: () => {},
      onEnded: () => {
        // Let in, and sent away later: the next message asks again.
        if (sender.state === "open" && this.senders.get(key) === sender) this.senders.delete(key);
        sender.state = "refused";
      },
      onFault: (error) => {
        sender.state = "refused";
        this.world.fault(error, { address: route.peer.address });
        link.abandon();
      },
    });
    const sender: Sender = { link, lastMs: this.world.nowMs(), state: "opening", waiting: [] };
    this.dueMs = Math.min(this.dueMs, sender.lastMs + IDLE_MS);
    this.senders.set(key, sender);
    link.open(route.accept);
    link.feed({
      type: PacketType.CONNECT,
      protocolVersion: 5,
      cleanStart: true,
      keepAliveSeconds: 0,
      clientId: `mqtt-sn:${key}`,
      will: undefined,
      userName: undefined,
      password: undefined,
      properties: {},
      bridge: false,
    });
    return sender;
  }
}

/** The topic and the data of a PUBLISH whose sender may know no registered numbers. */
export function topicWithoutNumber(
  { topicIdType, topicId, data }: SnPublish,
  predefined: PredefinedTopics,
): { name: string; data: Uint8Array } | undefined {
  if (topicIdType === TopicIdType.Normal) {
    // Paho's clients put the name before the data, and its length where the number would be.
    if (topicId === 0 || topicId > data.length) return undefined;
    try {
      return { name: TEXT.decode(data.subarray(0, topicId)), data: data.subarray(topicId) };
    } catch {
      return undefined;
    }
  }
  const name = topicIdType === TopicIdType.Short ? shortName(topicId) : predefined.get(topicId);
  return name === undefined ? undefined : { name, data };
}

function hand(link: CoreLink, { topicName, retain, data }: Sender["waiting"][number]): void {
  link.feed(new Publish(topicName, 0, retain, false, 0, {}, data, 0, data.length));
}
