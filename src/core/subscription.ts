import type { Qos } from "../codec/constants.ts";
import type { RetainHandling } from "../codec/packet.ts";
import type { Verdict } from "./access.ts";
import type { Session } from "./session.ts";
import type { SharedGroup } from "./shared-group.ts";

/** One Topic Filter of one session with its options; also what overlapping ones are merged into for a route. */
export class Subscription {
  readonly session: Session;
  /** Without `$share/{ShareName}/`. */
  readonly topicFilter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: RetainHandling;
  readonly subscriptionIdentifiers: readonly number[] | undefined;
  /** The share it belongs to; undefined for an ordinary subscription. */
  readonly group: SharedGroup | undefined;
  /** The subscriptions a merged one stands for, where No Local makes the publisher matter; else undefined. */
  readonly parts: readonly Subscription[] | undefined;
  /** Of its record in the store; 0 when it has none. */
  key = 0;
  /** Of a member of a share: the last verdict on what it may receive, see Permissions.ofMember. */
  verdict: Verdict = false;
  verdictTopic = "";
  verdictGeneration = -1;

  constructor(
    session: Session,
    topicFilter: string,
    qos: Qos,
    noLocal: boolean,
    retainAsPublished: boolean,
    retainHandling: RetainHandling,
    subscriptionIdentifiers: readonly number[] | undefined,
    group: SharedGroup | undefined,
    parts: readonly Subscription[] | undefined = undefined,
  ) {
    this.session = session;
    this.topicFilter = topicFilter;
    this.qos = qos;
    this.noLocal = noLocal;
    this.retainAsPublished = retainAsPublished;
    this.retainHandling = retainHandling;
    this.subscriptionIdentifiers = subscriptionIdentifiers;
    this.group = group;
    this.parts = parts;
  }
}

/**
 * Overlapping subscriptions of one session give one copy, with the highest QoS and all Subscription
 * Identifiers, 5.0 [MQTT-3.3.4-2] [MQTT-3.3.4-3]. At least one is given.
 */
export function mergeSubscriptions(parts: readonly Subscription[]): Subscription {
  const first = parts[0]!;
  if (parts.length === 1) return first;
  let qos: Qos = 0;
  let noLocal = false;
  let retainAsPublished = false;
  const identifiers: number[] = [];
  for (const part of parts) {
    if (part.qos > qos) qos = part.qos;
    noLocal ||= part.noLocal;
    retainAsPublished ||= part.retainAsPublished;
    if (part.subscriptionIdentifiers !== undefined) identifiers.push(...part.subscriptionIdentifiers);
  }
  return new Subscription(
    first.session,
    first.topicFilter,
    qos,
    noLocal,
    retainAsPublished,
    first.retainHandling,
    identifiers.length === 0 ? undefined : identifiers,
    undefined,
    noLocal ? parts : undefined,
  );
}
