import type { Qos } from "../codec/constants.ts";
import { Publish } from "../codec/packet.ts";
import { COPY_MARK } from "./retained-copies.ts";

/** A message of our clients as the other broker gets it. `isNew`: it was refused there before, and so is not sent again. */
export function upward(publish: Publish, qos: Qos, isNew: boolean): Publish {
  const { topicName, retain, dup, packetIdentifier, properties, bytes, payloadStart, payloadEnd } = publish;
  const { topicAlias, subscriptionIdentifiers, ...kept } = properties;
  const identifier = qos === 0 ? 0 : packetIdentifier;
  return new Publish(
    topicName,
    qos,
    retain,
    dup && qos > 0 && !isNew,
    identifier,
    kept,
    bytes,
    payloadStart,
    payloadEnd,
  );
}

/** A message of the other broker as our clients get it. What is retained is marked as a copy. */
export function downward(publish: Publish, qos: Qos, retain: boolean): Publish {
  const { topicName, dup, packetIdentifier, properties, bytes, payloadStart, payloadEnd } = publish;
  const { topicAlias, subscriptionIdentifiers, ...kept } = properties;
  if (retain) kept.userProperties = [...(kept.userProperties ?? []), COPY_MARK];
  const identifier = qos === 0 ? 0 : packetIdentifier;
  return new Publish(topicName, qos, retain, dup && qos > 0, identifier, kept, bytes, payloadStart, payloadEnd);
}

/** How often the levels of the prefix stand in the topic. */
export function timesBelow(prefix: string, topicName: string): number {
  let times = 0;
  for (let at = topicName.indexOf(prefix); at !== -1; at = topicName.indexOf(prefix, at + 1)) {
    if (at === 0 || topicName[at - 1] === "/") times++;
  }
  return times;
}
