import { PacketType, type Qos } from "../../codec/constants.ts";
import { Publish as PublishPacket, RetainHandling } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import type { CoreLink } from "../../core/core-link.ts";
import { isTopicFilter, isTopicName } from "../../topic/name.ts";
import type { SnPacket, SnPublish, SnRegister, SnSubscribe, SnUnsubscribe } from "./codec/packet.ts";
import { SnReturnCode, type SnTopic, SnType, TopicIdType } from "./codec/types.ts";
import { topicWithoutNumber } from "./connectionless.ts";
import { returnCodeOf } from "./return-codes.ts";
import type { PredefinedTopics, TopicTable } from "./topic-table.ts";

/** What one client publishes, registers and subscribes to, and the broker's answers to it. */
export class Upstream {
  private readonly topics: TopicTable;
  private readonly predefined: PredefinedTopics;
  private readonly link: CoreLink;
  private readonly send: (packet: SnPacket) => void;
  /** SUBSCRIBE that the broker has not answered, and of what number the answer is. */
  private subscribing: { messageId: number; topic: SnTopic; name: string } | undefined;
  /** Topic ids of PUBLISH that the broker has not answered: PUBACK names them. */
  private readonly publishing = new Map<number, number>();

  constructor(topics: TopicTable, predefined: PredefinedTopics, link: CoreLink, send: (packet: SnPacket) => void) {
    this.topics = topics;
    this.predefined = predefined;
    this.link = link;
    this.send = send;
  }

  onRegister({ messageId, topicName }: SnRegister): void {
    const isName = isTopicName(topicName);
    const topicId = isName ? this.topics.register(topicName) : undefined;
    if (topicId !== undefined) this.topics.confirm(topicId);
    const refusal = isName ? SnReturnCode.Congestion : SnReturnCode.NotSupported;
    const returnCode = topicId === undefined ? refusal : SnReturnCode.Accepted;
    this.send({ type: SnType.Regack, topicId: topicId ?? 0, messageId, returnCode });
  }

  onPublish(packet: SnPublish): void {
    const { topicIdType, topicId, messageId, data, retain, dup, qos } = packet;
    if (qos === -1) {
      this.publishUnanswered(packet);
      return;
    }
    const topicName = this.topics.nameOf(topicIdType, topicId);
    const answer = (returnCode: SnReturnCode): void =>
      this.send({ type: SnType.Puback, topicId, messageId, returnCode });
    if (topicName === undefined) answer(SnReturnCode.InvalidTopicId);
    else if (!isTopicName(topicName) || (qos !== 0 && messageId === 0)) answer(SnReturnCode.NotSupported);
    // Its answer is on the way.
    else if (qos === 1 && dup && this.publishing.has(messageId)) return;
    else if (this.link.paused) answer(SnReturnCode.Congestion);
    else {
      if (qos !== 0) this.publishing.set(messageId, topicId);
      this.publish(topicName, qos, retain, qos !== 0 && dup, messageId, data);
    }
  }

  /** The broker's PUBACK, or a PUBREC that refuses. */
  onPublished(messageId: number, reasonCode: number): void {
    const topicId = this.publishing.get(messageId) ?? 0;
    this.publishing.delete(messageId);
    this.send({ type: SnType.Puback, topicId, messageId, returnCode: returnCodeOf(reasonCode) });
  }

  onReceived(messageId: number, reasonCode: number): void {
    if (returnCodeOf(reasonCode) !== SnReturnCode.Accepted) this.onPublished(messageId, reasonCode);
    else this.send({ type: SnType.Pubrec, messageId });
  }

  onCompleted(messageId: number): void {
    this.publishing.delete(messageId);
    this.send({ type: SnType.Pubcomp, messageId });
  }

  onPubrel(messageId: number): void {
    // What cannot be taken now comes again.
    if (messageId === 0 || this.link.paused) return;
    const { Success } = ReasonCode;
    this.link.feed({ type: PacketType.PUBREL, packetIdentifier: messageId, reasonCode: Success, properties: {} });
  }

  onSubscribe({ messageId, topic, qos }: SnSubscribe): void {
    // 1.2 §6.9: one at a time. A second of the same number is the first again, and its answer on the way.
    if (this.subscribing?.messageId === messageId) return;
    const name = this.filterOf(topic);
    const refuse = (returnCode: SnReturnCode): void =>
      this.send({ type: SnType.Suback, qos: 0, topicId: idIn(topic), messageId, returnCode });
    if (name === undefined) refuse(SnReturnCode.InvalidTopicId);
    else if (!isTopicFilter(name) || messageId === 0) refuse(SnReturnCode.NotSupported);
    else if (this.link.paused || this.subscribing !== undefined) refuse(SnReturnCode.Congestion);
    else {
      this.subscribing = { messageId, topic, name };
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

  onSuback(messageId: number, reasonCode: number): void {
    const { subscribing } = this;
    if (subscribing?.messageId !== messageId) return;
    this.subscribing = undefined;
    const { topic, name } = subscribing;
    const returnCode = returnCodeOf(reasonCode);
    let topicId = idIn(topic);
    // Of wildcards the number says nothing, 1.2 §5.4.16.
    if (returnCode === SnReturnCode.Accepted && topic.topicIdType === TopicIdType.Normal && isTopicName(name)) {
      topicId = this.topics.register(name) ?? 0;
      this.topics.confirm(topicId);
    }
    const qos = returnCode === SnReturnCode.Accepted ? (reasonCode as Qos) : 0;
    this.send({ type: SnType.Suback, qos, topicId, messageId, returnCode });
  }

  onUnsubscribe({ messageId, topic }: SnUnsubscribe): void {
    const name = this.filterOf(topic);
    if (name === undefined || !isTopicFilter(name) || messageId === 0) {
      // UNSUBACK has no return code: what was never subscribed to is not subscribed to.
      this.send({ type: SnType.Unsuback, messageId });
      return;
    }
    if (this.link.paused) return;
    this.link.feed({ type: PacketType.UNSUBSCRIBE, packetIdentifier: messageId, topicFilters: [name], properties: {} });
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
