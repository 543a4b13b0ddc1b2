import type { Publish } from "../../codec/packet.ts";
import { utf8Length } from "../../codec/text.ts";
import { type AttemptEvents, Attempts, type RetryRules } from "./attempts.ts";
import type { SnPacket, SnPublish } from "./codec/packet.ts";
import { SnReturnCode, SnType, TopicIdType } from "./codec/types.ts";
import type { TopicId, TopicTable } from "./topic-table.ts";

/** A message on its way to the client. */
interface Waiting {
  readonly topicName: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly messageId: number;
  readonly data: Uint8Array;
  dup: boolean;
  /** The client has said that it does not know the topic's number, whatever it was told. */
  isDoubted: boolean;
}

/** What the client has to answer before anything else is sent to it, 1.2 §6.3, §6.5: one at a time. */
type Step =
  | { kind: "register"; messageId: number; topicId: number; packet: SnPacket }
  | { kind: "publish"; messageId: number; used: TopicId; packet: SnPublish }
  | { kind: "pubrel"; messageId: number; packet: SnPacket };

/** What the ways of a message end in. */
export interface DownstreamEvents extends AttemptEvents {
  send(packet: SnPacket): void;
  /** The client has a message of QoS 1, or has said so of one of QoS 2. */
  acknowledged(messageId: number, qos: 1 | 2): void;
  /** The client will never have a message of QoS 1 or 2, and is not asked again. */
  refused(messageId: number, qos: 1 | 2): void;
  /** The client has released a message of QoS 2. */
  completed(messageId: number): void;
  /**
   * A message is done with: it went to the client, which has said so where it has to, or never will. Before the broker is
   * told, which then sends the next.
   */
  passed(): void;
  dropped(topicName: string, why: string): void;
  /** The client has not answered: 1.2 §6.13, after N_retry attempts T_retry apart. */
  silent(): void;
  /** The client is waiting for an answer of its own: nothing new begins, and `proceed` is called when it has it. */
  isClientWaiting(): boolean;
}

/**
 * Messages for one client, oldest first and one after the other: a topic that it has no number for is registered before,
 * and the answer to each is waited for.
 */
export class Downstream {
  /** Answers that did not come in time, since the beginning. */
  retried = 0;
  private readonly topics: TopicTable;
  private readonly attempts: Attempts;
  private readonly maxBytes: () => number;
  private readonly events: DownstreamEvents;
  private readonly waiting: Waiting[] = [];
  private step: Step | undefined;
  private nextMessageId = 1;
  private held = true;
  /** Topics that the client refuses to have a number for: to be without them is what it wants, 1.2 §6.10. */
  private readonly refused = new Set<string>();

  /** `maxBytes`: of a whole message, as far as its way goes now. */
  constructor(topics: TopicTable, rules: RetryRules, maxBytes: () => number, events: DownstreamEvents) {
    this.topics = topics;
    this.attempts = new Attempts(rules, events);
    this.maxBytes = maxBytes;
    this.events = events;
  }

  /** When an answer is overdue, in milliseconds of the gateway's clock; Infinity when none is due. */
  get dueMs(): number {
    return this.attempts.dueMs;
  }

  /** Messages that the client does not have, and one that it may have. */
  get length(): number {
    return this.waiting.length;
  }

  /** Of these, messages of QoS 0: the broker does not have them any more. */
  get waitingQos0(): number {
    let count = 0;
    for (const { qos } of this.waiting) if (qos === 0) count++;
    return count;
  }

  /** Nothing waits, and no answer is due. */
  get isIdle(): boolean {
    return this.step === undefined && this.waiting.length === 0;
  }

  /** Keeps a message of the core's. */
  push(publish: Publish, nowMs: number): void {
    const { topicName, qos, retain, dup, packetIdentifier } = publish;
    const data = publish.payload.slice();
    this.waiting.push({ topicName, qos, retain, dup, messageId: packetIdentifier, data, isDoubted: false });
    this.advance(nowMs);
  }

  /** The client listens; what was not answered before is sent again at once. */
  release(nowMs: number): void {
    this.held = false;
    this.attempts.renew();
    if (this.step !== undefined) this.again(nowMs);
    else this.advance(nowMs);
  }

  /** The client has its own answer: what was kept back for that begins. */
  proceed(nowMs: number): void {
    this.advance(nowMs);
  }

  /** The client does not listen: nothing is sent, and no answer is overdue. */
  hold(): void {
    this.held = true;
    this.attempts.pause();
  }

  /** The client asks for topics again. */
  forgive(): void {
    this.refused.clear();
  }

  onRegack(messageId: number, returnCode: number, nowMs: number): void {
    const { step } = this;
    if (step?.kind !== "register" || step.messageId !== messageId) return;
    this.attempts.onAnswer(nowMs);
    if (returnCode === SnReturnCode.Congestion) {
      this.waitForRoom(nowMs);
      return;
    }
    this.settle();
    if (returnCode === SnReturnCode.Accepted) this.topics.confirm(step.topicId);
    else {
      this.refused.add(this.waiting[0]!.topicName);
      this.drop("the client refuses its topic");
    }
    this.advance(nowMs);
  }

  onPuback(topicId: number, messageId: number, returnCode: number, nowMs: number): void {
    const { step } = this;
    if (step?.kind !== "publish" || step.messageId !== messageId) {
      // The answer to a message of QoS 0, which only those have that were not understood, 1.2 §5.4.13.
      if (returnCode === SnReturnCode.InvalidTopicId) {
        this.topics.doubt({ topicIdType: TopicIdType.Normal, topicId });
      }
      return;
    }
    const head = this.waiting[0]!;
    // A message of QoS 2 is not accepted like this.
    if (returnCode === SnReturnCode.Accepted && head.qos === 2) return;
    this.attempts.onAnswer(nowMs);
    if (returnCode === SnReturnCode.Congestion) {
      this.waitForRoom(nowMs);
      return;
    }
    this.settle();
    if (returnCode === SnReturnCode.Accepted) this.finish();
    else if (returnCode === SnReturnCode.InvalidTopicId && !head.isDoubted) {
      // 1.2 §6.10: it is registered again, once for each message.
      head.isDoubted = true;
      this.topics.doubt(step.used);
    } else {
      this.drop(
        returnCode === SnReturnCode.InvalidTopicId ? "the client does not know its topic" : "the client refuses it",
      );
    }
    this.advance(nowMs);
  }

  onPubrec(messageId: number, nowMs: number): void {
    const { step } = this;
    // The core answers with PUBREL, to a second PUBREC too.
    if (step?.messageId !== messageId || step.kind === "register") return;
    if (step.kind === "publish" && step.packet.qos !== 2) return;
    if (step.kind === "publish") this.attempts.onAnswer(nowMs);
    this.postpone(nowMs);
    this.events.acknowledged(messageId, 2);
  }

  /** The core releases a message of QoS 2; perhaps one of an earlier connection, which is not here. */
  onPubrel(messageId: number, nowMs: number): void {
    const packet: SnPacket = { type: SnType.Pubrel, messageId };
    if (this.step !== undefined && this.step.messageId !== messageId) {
      // The answer to a stray PUBREC: the client's PUBCOMP is handed on whenever it comes.
      if (!this.held) this.events.send(packet);
      return;
    }
    if (this.step?.kind !== "pubrel") this.begin({ kind: "pubrel", messageId, packet }, nowMs);
    else this.transmit(nowMs);
  }

  onPubcomp(messageId: number, nowMs: number): void {
    const { step } = this;
    if (step?.kind === "pubrel" && step.messageId === messageId) {
      this.attempts.onAnswer(nowMs);
      this.settle();
      if (this.waiting[0]?.messageId === messageId) this.waiting.shift();
      this.events.passed();
    }
    this.events.completed(messageId);
    this.advance(nowMs);
  }

  /** An answer is overdue. */
  tick(nowMs: number): void {
    if (nowMs < this.dueMs) return;
    this.retried++;
    if (this.attempts.areOver) {
      this.hold();
      this.events.silent();
      return;
    }
    this.again(nowMs);
  }

  private again(nowMs: number): void {
    const { step } = this;
    if (step?.kind === "publish") {
      step.packet.dup = true;
      const head = this.waiting[0];
      if (head !== undefined) head.dup = true;
    }
    this.transmit(nowMs);
  }

  private advance(nowMs: number): void {
    while (!this.held && this.step === undefined && !this.events.isClientWaiting()) {
      const head = this.waiting[0];
      if (head === undefined) return;
      if (this.refused.has(head.topicName)) {
        this.drop("the client refuses its topic");
        continue;
      }
      const id = this.topics.idOf(head.topicName);
      if (id === undefined) this.register(head.topicName, nowMs);
      else this.publish(head, id, nowMs);
    }
  }

  private register(topicName: string, nowMs: number): void {
    const topicId = this.topics.register(topicName);
    if (topicId === undefined) {
      this.drop("the client has as many topics as it may have");
      return;
    }
    const messageId = this.messageId();
    const packet: SnPacket = { type: SnType.Register, topicId, messageId, topicName };
    // MsgType, TopicId and MsgId before the name.
    if (messageBytes(5 + utf8Length(topicName)) > this.maxBytes()) {
      this.drop("its topic is too long for the client's line");
      return;
    }
    this.begin({ kind: "register", messageId, topicId, packet }, nowMs);
  }

  private publish(message: Waiting, used: TopicId, nowMs: number): void {
    const { qos, retain, dup, messageId, data } = message;
    // MsgType, Flags, TopicId and MsgId before the data.
    if (messageBytes(6 + data.length) > this.maxBytes()) {
      this.drop("it is too long for the client's line");
      return;
    }
    const packet: SnPublish = { type: SnType.Publish, dup, qos, retain, ...used, messageId, data };
    if (qos === 0) {
      this.waiting.shift();
      this.events.send(packet);
      this.events.passed();
      return;
    }
    this.begin({ kind: "publish", messageId, used, packet }, nowMs);
  }

  private begin(step: Step, nowMs: number): void {
    this.step = step;
    this.attempts.reset();
    this.transmit(nowMs);
  }

  private transmit(nowMs: number): void {
    if (this.held || this.step === undefined) return;
    this.attempts.onSend(nowMs);
    this.events.send(this.step.packet);
  }

  /** 1.2 §6.13: the client lives, and has no room. */
  private waitForRoom(nowMs: number): void {
    this.attempts.onCongestion();
    this.postpone(nowMs);
  }

  private postpone(nowMs: number): void {
    if (this.held) this.attempts.renew();
    else this.attempts.postpone(nowMs);
  }

  /** What was waited for has come. */
  private settle(): void {
    this.step = undefined;
    this.attempts.reset();
  }

  /** The client has the first message. */
  private finish(): void {
    const { messageId, qos } = this.waiting.shift()!;
    this.events.passed();
    if (qos !== 0) this.events.acknowledged(messageId, qos);
  }

  /** The client will never have the first message: 1.2 has no words for it. */
  private drop(why: string): void {
    const { topicName, qos, messageId } = this.waiting.shift()!;
    this.events.dropped(topicName, why);
    this.events.passed();
    if (qos !== 0) this.events.refused(messageId, qos);
  }

  private messageId(): number {
    const id = this.nextMessageId;
    this.nextMessageId = id === 0xffff ? 1 : id + 1;
    return id;
  }
}

/** Of a whole message: Length has one octet up to 255 octets in all, else three. */
function messageBytes(rest: number): number {
  return rest < 255 ? 1 + rest : 3 + rest;
}
