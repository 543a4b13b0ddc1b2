import type { Will } from "../../codec/packet.ts";
import type { RetryRules } from "./attempts.ts";
import type { SnPacket, SnWillMsg, SnWillTopic } from "./codec/packet.ts";
import { SnType } from "./codec/types.ts";

export interface WillDialogueEvents {
  send(packet: SnPacket): void;
  /** The client is asked again, see `Route.retried`. */
  resent(): void;
}

/** WILLTOPICREQ, WILLTOPIC, WILLMSGREQ, WILLMSG: what a client with a will is asked before it is let in, 1.2 §6.2. */
export class WillDialogue {
  /** When the client is asked again; Infinity: it is not being asked. */
  dueMs = Number.POSITIVE_INFINITY;
  /** Once `take` has said that it is known: undefined when the client wants none after all. */
  will: Will | undefined;
  private readonly rules: RetryRules;
  private readonly events: WillDialogueEvents;
  private question: SnPacket = { type: SnType.WillTopicReq };
  private attempts = 0;

  constructor(rules: RetryRules, events: WillDialogueEvents) {
    this.rules = rules;
    this.events = events;
  }

  begin(nowMs: number): void {
    this.ask({ type: SnType.WillTopicReq }, nowMs);
  }

  /** True when the will is known. */
  take(packet: SnWillTopic | SnWillMsg, nowMs: number): boolean {
    if (this.dueMs === Number.POSITIVE_INFINITY) return false;
    if (packet.type === SnType.WillTopic) {
      const { will } = packet;
      if (will === undefined || will.topic === "") {
        this.will = undefined;
        this.dueMs = Number.POSITIVE_INFINITY;
        return true;
      }
      const { topic, qos, retain } = will;
      this.will = { topicName: topic, payload: new Uint8Array(0), qos, retain, properties: {} };
      this.ask({ type: SnType.WillMsgReq }, nowMs);
      return false;
    }
    if (this.will === undefined) return false;
    this.will.payload = packet.message.slice();
    this.dueMs = Number.POSITIVE_INFINITY;
    return true;
  }

  /** "over": the client has not answered. */
  tick(nowMs: number): "over" | undefined {
    if (nowMs < this.dueMs) return undefined;
    if (this.attempts > this.rules.retries) return "over";
    this.events.resent();
    this.ask(this.question, nowMs);
    return undefined;
  }

  private ask(question: SnPacket, nowMs: number): void {
    this.attempts = question.type === this.question.type ? this.attempts + 1 : 1;
    this.question = question;
    this.dueMs = nowMs + this.rules.retryMs;
    this.events.send(question);
  }
}
