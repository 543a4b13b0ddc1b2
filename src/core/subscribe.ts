import { PacketType, type Qos } from "../codec/constants.ts";
import { type Packet, RetainHandling, type Subscribe, type SubscribeEntry, type Unsubscribe } from "../codec/packet.ts";
import { ProtocolError, ReasonCode, type SubackReasonCode, type UnsubackReasonCode } from "../codec/reason.ts";
import { hasWildcard, isShared, isTopicFilter, levelCount, parseShared } from "../topic/name.ts";
import type { Broker } from "./broker.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import { Refusal } from "./hooks.ts";
import type { MountPoint } from "./mount.ts";
import { lower } from "./permissions.ts";
import { subackCode } from "./reason-mapping.ts";
import { RetainedBacklog } from "./retained-backlog.ts";
import type { Session } from "./session.ts";
import type { SharedGroup } from "./shared-group.ts";
import { Subscription } from "./subscription.ts";

/** SUBSCRIBE, §3.8: each entry is granted or refused by itself; retained messages follow the SUBACK. */
export function handleSubscribe(connection: Connection, incoming: Subscribe): void {
  const { broker, client, session } = connection;
  let subscribe = connection.mount === undefined ? incoming : mounted(incoming, connection.mount.point);
  let refusedAll: SubackReasonCode | undefined;
  if (broker.hooks.present.onSubscribe) {
    const verdict = broker.hooks.pass("onSubscribe", subscribe, (hook, value) => hook.onSubscribe!(client, value));
    if (verdict instanceof Refusal) refusedAll = subackCode(verdict.reasonCode);
    else subscribe = verdict as Subscribe;
  }
  const identifier = subscribe.properties.subscriptionIdentifier;
  if (identifier !== undefined && !broker.options.subscriptionIdentifiers) {
    refusedAll ??= ReasonCode.SubscriptionIdentifiersNotSupported;
  }
  const backlogs = new Map<Subscription, RetainedBacklog>();
  /** Why the first of them was denied: there is one for all. */
  let reasonString: string | undefined;
  const reasonCodes = subscribe.entries.map((entry) => {
    const code = refusedAll ?? grant(connection, entry, identifier, backlogs);
    if (code >= 0x80) {
      const filter = parseShared(entry.topicFilter)?.filter ?? entry.topicFilter;
      broker.permissions.logDenied(client, "subscribe", filter, code);
      if (code === ReasonCode.NotAuthorized) reasonString ??= broker.permissions.reasonFor(client, filter, false);
    }
    return code;
  });
  const suback: Packet = {
    type: PacketType.SUBACK,
    packetIdentifier: incoming.packetIdentifier,
    reasonCodes: broker.options.compat.obscureNotAuthorized ? reasonCodes.map(obscured) : reasonCodes,
    // 5.0 [MQTT-3.1.2-29]
    properties: reasonString === undefined || !connection.requestProblemInformation ? {} : { reasonString },
  };
  connection.sendPacketAfter(lastSequence(broker, session), suback, () => {
    if (broker.hooks.present.onSubscribed) broker.hooks.notify("onSubscribed", client, subscribe, reasonCodes);
    if (backlogs.size === 0 || connection.state === ConnectionState.Closed) return;
    const { delivery } = session;
    if (delivery.backlogs === undefined) delivery.backlogs = backlogs;
    else for (const [subscription, backlog] of backlogs) delivery.backlogs.set(subscription, backlog);
    delivery.pump();
  });
}

/** What a stored session is told about its subscriptions leaves when the disk has them; 0 for others. */
function lastSequence(broker: Broker, session: Session): number {
  return session.stored ? broker.archive!.journal.lastSequence : 0;
}

/** UNSUBSCRIBE, §3.10: what is under way is completed, what waits of a share goes to its other members. */
export function handleUnsubscribe(connection: Connection, incoming: Unsubscribe): void {
  const { broker, client, session } = connection;
  const { mount } = connection;
  let unsubscribe = incoming;
  if (mount !== undefined) {
    const topicFilters = incoming.topicFilters.map((topicFilter) => mountedFilter(topicFilter, mount.point));
    unsubscribe = { ...incoming, topicFilters };
  }
  if (broker.hooks.present.onUnsubscribe) {
    const verdict = broker.hooks.pass("onUnsubscribe", unsubscribe, (hook, value) =>
      hook.onUnsubscribe!(client, value),
    );
    // Nobody can be kept from unsubscribing: when a hook throws, the packet holds as it came.
    if (!(verdict instanceof Refusal || typeof verdict === "symbol")) unsubscribe = verdict;
  }
  const groups = new Set<SharedGroup>();
  const reasonCodes = unsubscribe.topicFilters.map((topicFilter): UnsubackReasonCode => {
    if (mount === undefined) demandTopicFilter(topicFilter);
    const subscription = session.subscriptions.get(topicFilter);
    // 5.0 [MQTT-3.10.4-1]: compared character by character.
    if (subscription === undefined) return ReasonCode.NoSubscriptionExisted;
    session.subscriptions.delete(topicFilter);
    broker.removeSubscription(subscription);
    if (subscription.group !== undefined) groups.add(subscription.group);
    return ReasonCode.Success;
  });
  // Once for all of them, since each time the whole queue is gone through.
  if (groups.size > 0) {
    session.delivery.handOverWaiting((outgoing) => outgoing.group !== undefined && groups.has(outgoing.group));
  }
  connection.sendPacketAfter(lastSequence(broker, session), {
    type: PacketType.UNSUBACK,
    packetIdentifier: incoming.packetIdentifier,
    reasonCodes,
    properties: {},
  });
  if (broker.hooks.present.onUnsubscribed) broker.hooks.notify("onUnsubscribed", client, unsubscribe);
}

function grant(
  connection: Connection,
  entry: SubscribeEntry,
  identifier: number | undefined,
  backlogs: Map<Subscription, RetainedBacklog>,
): SubackReasonCode {
  const { broker, client, session, mount } = connection;
  const { options, limits } = broker;
  const { topicFilter } = entry;
  const objection = mount?.point.objectionTo(parseShared(topicFilter)?.filter ?? topicFilter);
  if (objection !== undefined) {
    return objection === ReasonCode.NotAuthorized ? objection : ReasonCode.TopicFilterInvalid;
  }
  const shared = demandTopicFilter(topicFilter);
  const filter = shared?.filter ?? topicFilter;
  if (shared !== undefined && entry.noLocal) {
    throw new ProtocolError(ReasonCode.ProtocolError, "5.0 [MQTT-3.8.3-4]", "No Local on a shared subscription");
  }
  if (shared !== undefined && !options.sharedSubscriptions) return ReasonCode.SharedSubscriptionsNotSupported;
  if (!options.wildcards && hasWildcard(filter)) return ReasonCode.WildcardSubscriptionsNotSupported;
  if (levelCount(filter) > limits.topicLevels) return ReasonCode.TopicFilterInvalid;
  const owner = broker.router.responseOwner(filter);
  if (owner !== undefined && owner !== session) return ReasonCode.NotAuthorized;
  const verdict = !broker.permissions.asked || broker.permissions.verdict(client, filter, false);
  if (verdict === false) return ReasonCode.NotAuthorized;
  const before = session.subscriptions.get(topicFilter);
  if (before === undefined) {
    if (session.subscriptions.size >= limits.subscriptionsPerSession) return ReasonCode.QuotaExceeded;
    if (broker.counters.subscriptions >= limits.subscriptions) return ReasonCode.QuotaExceeded;
  }
  if (session.stored && !broker.archive!.journal.writable) return ReasonCode.QuotaExceeded;
  // A hook has ended the connection, and with it perhaps the session: nobody would ever remove what is added now.
  if (connection.state === ConnectionState.Closed) return ReasonCode.UnspecifiedError;
  const qos = lower(verdict, Math.min(entry.qos, connection.terms.maximumQos) as Qos);
  const subscription = new Subscription(
    session,
    filter,
    qos,
    // A bridge of 3.x is treated as it treats its own subscriptions: nothing comes back, Retain is kept.
    entry.noLocal || (connection.bridge && shared === undefined),
    entry.retainAsPublished || connection.bridge,
    entry.retainHandling,
    identifier === undefined ? undefined : [identifier],
    shared === undefined ? undefined : broker.router.group(shared.group, shared.filter),
  );
  broker.addSubscription(topicFilter, subscription, before);
  if (session.stored) broker.archive!.subscriptionAdded(topicFilter, subscription, before);
  // 5.0 [MQTT-3.3.1-9] [-10] [-11]; none for shares, §4.8.2.
  const wantsRetained =
    entry.retainHandling === RetainHandling.SendAtSubscribe ||
    (entry.retainHandling === RetainHandling.SendIfNew && before === undefined);
  if (shared === undefined && wantsRetained && broker.retained.size > 0) {
    backlogs.set(subscription, new RetainedBacklog(filter, broker));
  }
  return qos;
}

/** With full filters. Throws ProtocolError for one that is none: what it becomes could be one. */
function mounted(subscribe: Subscribe, point: MountPoint): Subscribe {
  const entries = subscribe.entries.map((entry) => ({
    ...entry,
    topicFilter: mountedFilter(entry.topicFilter, point),
  }));
  return { ...subscribe, entries };
}

function mountedFilter(topicFilter: string, point: MountPoint): string {
  demandTopicFilter(topicFilter);
  return point.filter(topicFilter);
}

/** Throws ProtocolError for a filter that is none, 5.0 §4.7; returns the parts of a shared one. */
function demandTopicFilter(topicFilter: string): ReturnType<typeof parseShared> {
  const shared = parseShared(topicFilter);
  if (shared !== undefined || (isTopicFilter(topicFilter) && !isShared(topicFilter))) return shared;
  throw new ProtocolError(
    ReasonCode.TopicFilterInvalid,
    "5.0 [MQTT-4.7.1-1]",
    `Not a valid Topic Filter: ${topicFilter}`,
  );
}

function obscured(code: SubackReasonCode): SubackReasonCode {
  return code === ReasonCode.NotAuthorized ? ReasonCode.UnspecifiedError : code;
}
