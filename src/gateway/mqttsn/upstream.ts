import { PacketType, type Qos } from "../../codec/constants.ts";
import { type Packet, Publish as PublishPacket, RetainHandling } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import type { CoreLink } from "../../core/core-link.ts";
import { isTopicFilter, isTopicName } from "../../topic/name.ts";
import type { SnPacket, SnPublish, SnRegister, SnSubscribe, SnUnsubscribe } from "./codec/packet.ts";
import { SnReturnCode, type SnTopic, SnType, TopicIdType } from "./codec/types.ts";
import { topicWithoutNumber } from "./connectionless.ts";
import type { OwedAnswers } from "./owed-answers.ts";
import { returnCodeOf } from "./return-codes.ts";
import type { PredefinedTopics, TopicTable } from "./topic-table.ts";

/** SUBSCRIBE of one client that the broker has not answered. */
const SUBSCRIBING_MAX = 16;

export interface UpstreamEvents {
  send(packet: SnPacket): void;
  /** The client says that it sends something again, and no answer to it is on the way, see `Route.retried`. */
  resent(): void;
}

/** What one client publishes, registers and subscribes to, and the broker's answers to it. */
export class Upstream {
  private readonly topics: TopicTable;
  private readonly predefined: PredefinedTopics;
  private readonly link: CoreLink;
  private readonly owed: OwedAnswers;
  private readonly events: UpstreamEvents;
  /** SUBSCRIBE that the broker has not answered, by message identifier, and of what number the answer is. */
  private readonly subscribing = new Map<number, { topic: SnTopic; name: string }>();
  /** Topic ids of PUBLISH that the broker has not answered: PUBACK names them. */
  private readonly publishing = new Map<number, number>();

  constructor(
    topics: TopicTable,
    predefined: PredefinedTopics,
    link: CoreLink,
    owed: OwedAnswers,
    events: UpstreamEvents,
  ) {
    this.topics = topics;
    this.predefined = predefined;
    this.link = link;
    this.owed = owed;
    this.events = events;
  }

  /** A message of the client's; those that are not for this end are left. */
  receive(packet: SnPacket, nowMs: number): void {
    switch (packet.type) {
      case SnType.Register:
        this.onRegister(packet);
        break;
      case SnType.Publish:
        this.onPublish(packet, nowMs);
        break;
      case SnType.Pubrel:
        this.onPubrel(packet.messageId, nowMs);
        break;
      case SnType.Subscribe:
        this.onSubscribe(packet, nowMs);
        break;
      case SnType.Unsubscribe:
        this.onUnsubscribe(packet, nowMs);
        break;
      default:
        // PINGRESP says that the client lives, and the rest is not for gateways.
        break;
    }
  }

  /** What the broker says to it. */
  onAnswer(packet: Packet): void {
    switch (packet.type) {
      case PacketType.PUBACK:
        this.onPublished(packet.packetIdentifier, packet.reasonCode);
        break;
      case PacketType.PUBREC:
        this.onReceived(packet.packetIdentifier, packet.reasonCode);
        break;
      case PacketType.PUBCOMP:
        this.onCompleted(packet.packetIdentifier);
        break;
      case PacketType.SUBACK:
        this.onSuback(packet.packetIdentifier, packet.reasonCodes[0] ?? ReasonCode.UnspecifiedError);
        break;
      case PacketType.UNSUBACK:
        this.onUnsuback(packet.packetIdentifier);
        break;
      default:
        break;
    }
  }

  private onRegister({ messageId, topicName }: SnRegister): void {
    const isName = isTopicName(topicName);
    const topicId = isName ? this.topics.register(topicName) : undefined;
    if (topicId !== undefined) this.topics.confirm(topicId);
    const refusal = isName ? SnReturnCode.Congestion : SnReturnCode.NotSupported;
    const returnCode = topicId === undefined ? refusal : SnReturnCode.Accepted;
    this.events.send({ type: SnType.Regack, topicId: topicId ?? 0, messageId, returnCode });
  }

  private onPublish(packet: SnPublish, nowMs: number): void {
    const { topicIdType, topicId, messageId, data, retain, dup, qos } = packet;
    if (qos === -1) {
      this.publishUnanswered(packet);
      return;
    }
    if (qos !== 0 && dup && !this.owed.has("publish", messageId)) this.events.resent();
    const topicName = this.topics.nameOf(topicIdType, topicId);
    const answer = (returnCode: SnReturnCode): void =>
      this.events.send({ type: SnType.Puback, topicId, messageId, returnCode });
    if (topicName === undefined) answer(SnReturnCode.InvalidTopicId);
    else if (!isTopicName(topicName) || (qos !== 0 && messageId === 0)) answer(SnReturnCode.NotSupported);
    // Its answer is on the way.
    else if (qos === 1 && dup && this.publishing.has(messageId)) return;
    else if (this.link.paused) answer(SnReturnCode.Congestion);
    else {
      if (qos !== 0) {
        this.publishing.set(messageId, topicId);
        this.owed.add("publish", messageId, nowMs);
      }
      this.publish(topicName, qos, retain, qos !== 0 && dup, messageId, data);
    }
  }

  /** The broker's PUBACK, or a PUBREC that refuses. */
  private onPublished(messageId: number, reasonCode: number): void {
    const topicId = this.publishing.get(messageId) ?? 0;
    this.publishing.delete(messageId);
    this.owed.settle("publish", messageId);
    this.events.send({ type: SnType.Puback, topicId, messageId, returnCode: returnCodeOf(reasonCode) });
  }

  private onReceived(messageId: number, reasonCode: number): void {
    if (returnCodeOf(reasonCode) !== SnReturnCode.Accepted) this.onPublished(messageId, reasonCode);
    else {
      this.owed.settle("publish", messageId);
      this.events.send({ type: SnType.Pubrec, messageId });
    }
  }

  private onCompleted(messageId: number): void {
    this.publishing.delete(messageId);
    this.owed.settle("pubrel", messageId);
    this.events.send({ type: SnType.Pubcomp, messageId });
  }

  private onPubrel(messageId: number, nowMs: number): void {
    // What cannot be taken now comes again.
    if (messageId === 0 || this.link.paused) return;
    const { Success } = ReasonCode;
    this.owed.add("pubrel", messageId, nowMs);
    this.link.feed({ type: PacketType.PUBREL, packetIdentifier: messageId, reasonCode: Success, properties: {} });
  }

  private onSubscribe({ messageId, topic, qos, dup }: SnSubscribe, nowMs: number): void {
    // A second of the same number is the first again, and its answer on the way.
    if (this.subscribing.has(messageId)) return;
    if (dup) this.events.resent();
    const name = this.filterOf(topic);
    const refuse = (returnCode: SnReturnCode): void =>
      this.events.send({ type: SnType.Suback, qos: 0, topicId: idIn(topic), messageId, returnCode });
    if (name === undefined) refuse(SnReturnCode.InvalidTopicId);
    else if (!isTopicFilter(name) || messageId === 0) refuse(SnReturnCode.NotSupported);
    // 1.2 §6.9: one at a time. Paho's client sends all at once when it connects, and never asks again for one refused.
    else if (this.link.paused || this.subscribing.size >= SUBSCRIBING_MAX) refuse(SnReturnCode.Congestion);
    else {
      this.subscribing.set(messageId, { topic, name });
      this.owed.add("subscribe", messageId, nowMs);
      const entry = {
        topicFilter: name,
        qos,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: RetainHandling.SendAtSubscribe,
      };
      this.link.feed({ type: PacketType.SUBSCRIBE, packetIdentifier: messageId, entries: [entry], properties: {} });
    }
  }

  private onSuback(messageId: number, reasonCode: number): void {
    const subscribing = this.subscribing.get(messageId);
    if (subscribing === undefined) return;
    this.subscribing.delete(messageId);
    this.owed.settle("subscribe", messageId);
    const { topic, name } = subscribing;
    const returnCode = returnCodeOf(reasonCode);
    let topicId = idIn(topic);
    // Of wildcards the number says nothing, 1.2 §5.4.16.
    if (returnCode === SnReturnCode.Accepted && topic.topicIdType === TopicIdType.Normal && isTopicName(name)) {
      topicId = this.topics.register(name) ?? 0;
      this.topics.confirm(topicId);
    }
    const qos = returnCode === SnReturnCode.Accepted ? (reasonCode as Qos) : 0;
    this.events.send({ type: SnType.Suback, qos, topicId, messageId, returnCode });
  }

  private onUnsubscribe({ messageId, topic }: SnUnsubscribe, nowMs: number): void {
    const name = this.filterOf(topic);
    if (name === undefined || !isTopicFilter(name) || messageId === 0) {
      // UNSUBACK has no return code: what was never subscribed to is not subscribed to.
      this.events.send({ type: SnType.Unsuback, messageId });
      return;
    }
    if (this.link.paused) return;
    this.owed.add("unsubscribe", messageId, nowMs);
    this.link.feed({ type: PacketType.UNSUBSCRIBE, packetIdentifier: messageId, topicFilters: [name], properties: {} });
  }

  private onUnsuback(messageId: number): void {
    this.owed.settle("unsubscribe", messageId);
    this.events.send({ type: SnType.Unsuback, messageId });
  }

  /** 1.2 §6.8: whatever is wrong with it, nobody is told. */
  private publishUnanswered(packet: SnPublish): void {
    const topic = topicWithoutNumber(packet, this.predefined);
    if (topic === undefined || !isTopicName(topic.name) || this.link.paused) return;
    this.publish(topic.name, 0, packet.retain, false, 0, topic.data);
  }

  private publish(topic: string, qos: Qos, retain: boolean, dup: boolean, messageId: number, data: Uint8Array): void {
    this.link.feed(new PublishPacket(topic, qos, retain, dup, qos === 0 ? 0 : messageId, {}, data, 0, data.length));
  }

  private filterOf(topic: SnTopic): string | undefined {
    if (topic.topicIdType === TopicIdType.Normal) return topic.name;
    return this.topics.nameOf(topic.topicIdType, topic.topicId);
  }
}

function idIn(topic: SnTopic): number {
  return topic.topicIdType === TopicIdType.Normal ? 0 : topic.topicId;
}
