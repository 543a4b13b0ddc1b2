import type { Will } from "../../codec/packet.ts";
import type { CoreLink } from "../../core/core-link.ts";
import type { SnPacket } from "./codec/packet.ts";
import { SnReturnCode, SnType, type SnWill } from "./codec/types.ts";
import { returnCodeOf } from "./return-codes.ts";

/** Changes of a client's will while it is connected, 1.2 §6.4. */
export class WillUpdates {
  private readonly kept: { will: Will | undefined };
  private readonly link: CoreLink;
  private readonly graceSeconds: () => number;
  private readonly send: (packet: SnPacket) => void;

  /** `kept` is where the will is remembered; `graceSeconds` see `delayed`. */
  constructor(
    kept: { will: Will | undefined },
    link: CoreLink,
    graceSeconds: () => number,
    send: (packet: SnPacket) => void,
  ) {
    this.kept = kept;
    this.link = link;
    this.graceSeconds = graceSeconds;
    this.send = send;
  }

  onTopic(will: SnWill | undefined): void {
    // An empty one deletes topic and message, 1.2 §5.4.22.
    let next: Will | undefined;
    if (will !== undefined && will.topic !== "") {
      const payload = this.kept.will?.payload ?? new Uint8Array(0);
      next = { topicName: will.topic, payload, qos: will.qos, retain: will.retain, properties: {} };
    }
    this.send({ type: SnType.WillTopicResp, returnCode: this.change(next) });
  }

  onMessage(message: Uint8Array): void {
    const { will } = this.kept;
    const returnCode =
      will === undefined ? SnReturnCode.NotSupported : this.change({ ...will, payload: message.slice() });
    this.send({ type: SnType.WillMsgResp, returnCode });
  }

  private change(will: Will | undefined): SnReturnCode {
    const objection = this.link.changeWill(delayed(will, this.graceSeconds()));
    if (objection !== undefined) return returnCodeOf(objection);
    this.kept.will = will;
    return SnReturnCode.Accepted;
  }
}

/**
 * When the broker itself is cut off, the client has so long to come back as it would have had: it cannot know before it
 * next speaks. A client that is lost has its will published at once, since its connection ends then.
 */
export function delayed(will: Will | undefined, graceSeconds: number): Will | undefined {
  return will && { ...will, properties: { ...will.properties, willDelayInterval: graceSeconds } };
}
