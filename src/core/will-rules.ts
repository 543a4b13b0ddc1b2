import type { Will } from "../codec/packet.ts";
import { type ConnackReasonCode, ReasonCode } from "../codec/reason.ts";
import { isUtf8 } from "../codec/text.ts";
import { isTopicName, levelCount } from "../topic/name.ts";
import type { Connection } from "./connection.ts";
import { Refusal } from "./hooks.ts";

// Which wills a client may have, at CONNECT and later.

/** Why the will cannot be taken; what it would do is asked when it is published. */
export function objectionToWill(
  { broker, terms }: Connection,
  will: Will,
): { code: ConnackReasonCode; reason: string } | undefined {
  const { options, limits } = broker;
  if (!isTopicName(will.topicName))
    return { code: ReasonCode.TopicNameInvalid, reason: "will topic is not a topic name" };
  if (levelCount(will.topicName) > limits.topicLevels) {
    return { code: ReasonCode.TopicNameInvalid, reason: `will topic has more than ${limits.topicLevels} levels` };
  }
  if (will.qos > terms.maximumQos) {
    return { code: ReasonCode.QosNotSupported, reason: `will QoS ${will.qos} is above ${terms.maximumQos}` };
  }
  if (will.retain && !options.retain) return { code: ReasonCode.RetainNotSupported, reason: "retained will" };
  if (will.properties.payloadFormatIndicator === 1 && !isUtf8(will.payload, 0, will.payload.length)) {
    return { code: ReasonCode.PayloadFormatInvalid, reason: "will payload is not UTF-8" };
  }
  return undefined;
}

/** The will below the mount point of its client's listener, when that has one; or why it cannot be there. */
export function mountWill({ mount, broker }: Connection, will: Will): Will | Refusal {
  if (mount === undefined) return will;
  const mounted = mount.mountWill(will);
  const { topicName, properties } = mounted;
  const objection = mount.objectionTo(topicName, properties.responseTopic);
  if (objection !== undefined) return new Refusal(objection, "will topic that cannot be used at this listener");
  const { topicLevels } = broker.limits;
  if (levelCount(topicName) > topicLevels) {
    return new Refusal(ReasonCode.TopicNameInvalid, `will topic has more than ${topicLevels} levels`);
  }
  return mounted;
}
