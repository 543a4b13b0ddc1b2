import type { Will } from "../../codec/packet.ts";
import { isTopicName } from "../../topic/name.ts";
import type { RetryRules } from "./attempts.ts";
import type { SnConnect, SnPacket } from "./codec/packet.ts";
import { SnReturnCode, SnType } from "./codec/types.ts";
import { WillDialogue } from "./will-dialogue.ts";

export interface AdmissionEvents {
  send(packet: SnPacket): void;
  /** The client is asked for its will again, see `Route.retried`. */
  resent(): void;
  /** All is known: the broker is asked whether it lets the client in. */
  complete(): void;
  /** The client is not let in, and is told so by `farewell`. */
  turnedAway(what: string, reason: string, farewell: SnPacket): void;
  /** The client goes by itself, and is told that this was heard. */
  left(): void;
}

/** What comes between CONNECT and the broker's answer, 1.2 §6.2: the will, and nothing but the will. */
export class Admission {
  /** `will` asks for the will, `opening` waits for the broker. */
  stage: "will" | "opening";
  /** What the client will have as its will, if it is let in. */
  will: Will | undefined;
  private readonly dialogue: WillDialogue;
  private readonly events: AdmissionEvents;

  /** `kept`: the will of before. */
  constructor(connect: SnConnect, kept: Will | undefined, rules: RetryRules, events: AdmissionEvents) {
    this.stage = connect.will ? "will" : "opening";
    this.will = connect.cleanSession ? undefined : kept;
    this.events = events;
    this.dialogue = new WillDialogue(rules, events);
  }

  /** When `tick` is wanted; Infinity: not at all. */
  get dueMs(): number {
    return this.dialogue.dueMs;
  }

  begin(nowMs: number): void {
    if (this.stage === "will") this.dialogue.begin(nowMs);
    else this.events.complete();
  }

  receive(packet: SnPacket, nowMs: number): void {
    if (packet.type === SnType.Disconnect) {
      this.events.send({ type: SnType.Disconnect, durationSeconds: undefined });
      this.events.left();
      return;
    }
    if (packet.type !== SnType.WillTopic && packet.type !== SnType.WillMsg) return;
    if (this.stage !== "will" || !this.dialogue.take(packet, nowMs)) return;
    this.will = this.dialogue.will;
    if (this.will === undefined || isTopicName(this.will.topicName)) {
      this.stage = "opening";
      this.events.complete();
      return;
    }
    const farewell: SnPacket = { type: SnType.Connack, returnCode: SnReturnCode.NotSupported };
    this.events.turnedAway("MQTT-SN client refused", "its will topic is not a topic name", farewell);
  }

  tick(nowMs: number): void {
    if (this.stage !== "will" || this.dialogue.tick(nowMs) !== "over") return;
    const farewell: SnPacket = { type: SnType.Disconnect, durationSeconds: undefined };
    this.events.turnedAway("MQTT-SN client let go", "no will came", farewell);
  }
}
