import { PacketType, type Qos } from "../codec/constants.ts";
import { Publish, type PublishProperties } from "../codec/packet.ts";
import { ProtocolError, type PubackReasonCode, ReasonCode } from "../codec/reason.ts";
import { isUtf8 } from "../codec/text.ts";
import { isTopicName, levelCount } from "../topic/name.ts";
import type { Broker } from "./broker.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import type { DropReason } from "./counters.ts";
import { HookFailure, IGNORE, Refusal } from "./hooks.ts";
import { type Message, messageOf } from "./message.ts";
import type { Outgoing } from "./outgoing.ts";
import { lower, permits } from "./permissions.ts";
import { pubackCode } from "./reason-mapping.ts";
import type { Route } from "./router.ts";
import { ackWith } from "./send.ts";
import type { Subscription } from "./subscription.ts";

/**
 * An inbound PUBLISH, §3.3: alias, name, rights, hooks, retain, route, acknowledge.
 * Runs to the end without waiting, which is what keeps the order of each publisher and topic, 5.0 [MQTT-4.6.0-5].
 */
export function handlePublish(connection: Connection, incoming: Publish): void {
  const { broker, session } = connection;
  let publish = incoming;
  const { archive } = broker;
  if (archive !== undefined) archive.promised = false;
  connection.mount?.mountPublish(publish);
  if (connection.protocolVersion === 5) resolveTopicAlias(connection, publish);
  checkCapabilities(connection, publish);
  // What is acknowledged is what the client sent, whatever a hook makes of the message.
  const { qos, packetIdentifier, properties } = publish;
  if (qos === 2) {
    // 5.0 [MQTT-4.3.3-10]: the same identifier before its PUBREL is the same message.
    if (session.incoming?.has(packetIdentifier) === true) {
      const sequence = session.stored ? broker.archive!.journal.lastSequence : 0;
      connection.sendAckAfter(sequence, PacketType.PUBREC, packetIdentifier, ReasonCode.Success);
      return;
    }
    checkReceiveMaximum(connection);
  }
  const excess = connection.meter?.excess(qos);
  if (excess !== undefined) {
    // When that has ended its connection it keeps the message, as far as it is to be acknowledged.
    if (connection.state === ConnectionState.Closed) return;
    broker.counters.dropped("rate");
    acknowledge(connection, qos, packetIdentifier, properties, ReasonCode.QuotaExceeded, excess);
    return;
  }
  const refused = refusalOf(connection, publish);
  if (refused !== undefined) {
    noteRefusal(connection, publish, refused);
    const reason =
      refused === ReasonCode.NotAuthorized
        ? broker.permissions.reasonFor(connection.client, publish.topicName, true)
        : undefined;
    acknowledge(connection, qos, packetIdentifier, properties, refused, reason);
    return;
  }
  if (broker.hooks.present.onPublish) {
    const verdict = broker.hooks.pass("onPublish", publish, (hook, value) => hook.onPublish!(connection.client, value));
    if (verdict instanceof HookFailure && connection.protocolVersion < 5) {
      // 3.1.1 [MQTT-4.8.0-2]: it has no code that would tell the client that its message is lost.
      connection.disconnect(ReasonCode.ImplementationSpecificError, "a hook failed");
      return;
    }
    if (verdict instanceof Refusal) {
      const code = pubackCode(verdict.reasonCode);
      noteRefusal(connection, publish, code);
      acknowledge(connection, qos, packetIdentifier, properties, code, verdict.reasonString);
      return;
    }
    if (verdict === IGNORE) {
      acknowledge(connection, qos, packetIdentifier, properties, ReasonCode.Success);
      return;
    }
    publish = verdict;
  }
  const route = connection.routeOf(publish.topicName);
  if (archive?.journal.writable === false && qos > 0 && mustBeKept(connection, publish, route)) {
    refuseUnkept(connection, publish, qos, packetIdentifier, properties);
    return;
  }
  const message = messageOf(publish, broker.nowMs, broker.options.messageExpiryMax);
  const removes = publish.payloadEnd === publish.payloadStart;
  const retains = publish.retain && (qos > 0 || removes || archive?.journal.writable !== false);
  if (publish.retain && !retains) broker.counters.dropped("storeFull");
  const retained = retains ? broker.retain(connection.client, message) : true;
  if (!retained) {
    noteRefusal(connection, publish, ReasonCode.QuotaExceeded);
    acknowledge(connection, qos, packetIdentifier, properties, ReasonCode.QuotaExceeded);
    return;
  }
  const receivers = broker.send(message, route, session.key);
  const code = receivers === 0 ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success;
  acknowledge(connection, qos, packetIdentifier, properties, code);
  if (broker.hooks.present.onPublished) broker.hooks.notify("onPublished", connection.client, publish);
}

/** While nothing can be written: would the message have to be? */
function mustBeKept(connection: Connection, publish: Publish, route: Route): boolean {
  if ((publish.retain && publish.payloadEnd > publish.payloadStart) || (publish.qos === 2 && connection.session.stored))
    return true;
  const keeps = ({ session, qos }: Subscription): boolean => session.stored && qos > 0;
  return route.targets.some(keeps) || route.groups.some((group) => group.members.some(keeps));
}

/**
 * An acknowledgement would promise what cannot be kept. 3.x clients cannot be told so, and end: what is not acknowledged
 * they send again, 3.1.1 [MQTT-4.4.0-1].
 */
function refuseUnkept(
  connection: Connection,
  publish: Publish,
  qos: Qos,
  packetIdentifier: number,
  properties: PublishProperties,
): void {
  const { broker, client } = connection;
  broker.counters.dropped("storeFull");
  broker.permissions.logDenied(client, "publish", publish.topicName, ReasonCode.QuotaExceeded);
  const reason = "the disk takes nothing at present";
  if (connection.protocolVersion < 5) connection.disconnect(ReasonCode.QuotaExceeded, reason);
  else acknowledge(connection, qos, packetIdentifier, properties, ReasonCode.QuotaExceeded, reason);
}

/** A message as hooks see it. */
export function packetOf(message: Message, outgoing?: Outgoing): Publish {
  return new Publish(
    message.topicName,
    outgoing?.qos ?? message.qos,
    outgoing?.retain ?? message.retain,
    (outgoing?.sendings ?? 0) > 1,
    outgoing?.packetIdentifier ?? 0,
    message.properties,
    message.bytes,
    message.payloadStart,
    message.payloadEnd,
  );
}

/** 5.0 §3.3.2.3.4. */
function resolveTopicAlias(connection: Connection, publish: Publish): void {
  const alias = publish.properties.topicAlias;
  if (alias === undefined) return;
  if (alias > connection.terms.topicAliasMaximum) {
    throw new ProtocolError(
      ReasonCode.TopicAliasInvalid,
      "5.0 [MQTT-3.3.2-9]",
      `Topic Alias ${alias} is greater than ${connection.terms.topicAliasMaximum}`,
    );
  }
  if (publish.topicName !== "") {
    connection.incomingAliases.set(alias, publish.topicName);
    return;
  }
  const topicName = connection.incomingAliases.get(alias);
  if (topicName === undefined) {
    throw new ProtocolError(ReasonCode.ProtocolError, "5.0 §3.3.2.3.4", `Topic Alias ${alias} has no Topic Name yet`);
  }
  publish.topicName = topicName;
}

/** What CONNACK told the client it must not send. */
function checkCapabilities(connection: Connection, publish: Publish): void {
  const { options } = connection.broker;
  const { maximumQos } = connection.terms;
  if (publish.qos > maximumQos) {
    throw new ProtocolError(
      ReasonCode.QosNotSupported,
      "5.0 [MQTT-3.2.2-11]",
      `QoS ${publish.qos} is above the Maximum QoS ${maximumQos}`,
    );
  }
  // QoS 1 and 2 have an acknowledgement to say it in: see refusalOf.
  if (publish.retain && !options.retain && publish.qos === 0) {
    throw new ProtocolError(
      ReasonCode.RetainNotSupported,
      "5.0 [MQTT-3.2.2-14]",
      "Retained messages are not available",
    );
  }
  if (publish.properties.subscriptionIdentifiers !== undefined) {
    throw new ProtocolError(
      ReasonCode.ProtocolError,
      "5.0 [MQTT-3.3.4-6]",
      "A client must not send a Subscription Identifier in PUBLISH",
    );
  }
}

/**
 * 5.0 [MQTT-3.3.4-7] [-8]: a 3.x client was not told a maximum and is bounded by its packet identifiers alone. What an
 * earlier connection left unreleased does not count, 5.0 §4.9.
 */
function checkReceiveMaximum(connection: Connection): void {
  const { receiveMaximum } = connection.terms;
  if (connection.protocolVersion !== 5 || connection.unreleased < receiveMaximum) return;
  throw new ProtocolError(
    ReasonCode.ReceiveMaximumExceeded,
    "5.0 [MQTT-3.3.4-7]",
    `More than ${receiveMaximum} QoS 2 messages are unreleased`,
  );
}

/** Why a well-formed PUBLISH is not accepted. The verdict of the last topic is remembered by the connection. */
function refusalOf(connection: Connection, publish: Publish): PubackReasonCode | undefined {
  const { broker, mount } = connection;
  const { topicName } = publish;
  const objection = mount?.objectionTo(topicName, publish.properties.responseTopic);
  if (objection !== undefined) return objection;
  if (topicName !== connection.checkedTopic) {
    if (topicName === "$SYS" || topicName.startsWith("$SYS/")) return ReasonCode.NotAuthorized;
    if (levelCount(topicName) > broker.limits.topicLevels) return ReasonCode.TopicNameInvalid;
    connection.checkedTopic = topicName;
  }
  if (broker.permissions.asked && !permits(connection.mayPublish(topicName), publish.qos, publish.retain)) {
    return ReasonCode.NotAuthorized;
  }
  if (publish.retain && !broker.options.retain) return ReasonCode.ImplementationSpecificError;
  if (publish.properties.payloadFormatIndicator === 1) {
    if (!isUtf8(publish.bytes, publish.payloadStart, publish.payloadEnd)) return ReasonCode.PayloadFormatInvalid;
  }
  return undefined;
}

function noteRefusal(connection: Connection, publish: Publish, code: PubackReasonCode): void {
  const { broker, client } = connection;
  broker.counters.dropped(dropReason(code));
  broker.permissions.logDenied(client, "publish", publish.topicName, code);
}

function dropReason(code: PubackReasonCode): DropReason {
  if (code === ReasonCode.QuotaExceeded) return "retainedLimit";
  return code === ReasonCode.NotAuthorized ? "notAuthorized" : "refused";
}

/**
 * 5.0 clients are told a refusal by the code; 3.x ones get an ordinary acknowledgement, since they have
 * no other, 3.1.1 [MQTT-3.3.5-2].
 */
function acknowledge(
  connection: Connection,
  qos: Qos,
  packetIdentifier: number,
  properties: PublishProperties,
  code: PubackReasonCode,
  reason?: string,
): void {
  if (qos === 0) return;
  const { session, broker } = connection;
  const { archive } = broker;
  // A 3.x client goes on with PUBREL after a refusal too, since it cannot see it; then the identifier is in use.
  if (qos === 2 && (code < 0x80 || connection.protocolVersion < 5)) {
    session.incoming ??= new Set();
    session.incoming.add(packetIdentifier);
    connection.unreleased++;
    if (session.stored) archive!.incomingAdded(session, packetIdentifier);
  }
  const sequence = archive?.promised === true ? archive.journal.lastSequence : 0;
  const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC;
  if (reason === undefined && properties.userProperties === undefined) {
    connection.sendAckAfter(sequence, type, packetIdentifier, code);
    return;
  }
  // mochi's acknowledgements repeat the User Properties of the PUBLISH, unless that is switched off.
  const { noInheritedPropertiesOnAck } = broker.options.compat;
  const userProperties = noInheritedPropertiesOnAck ? undefined : properties.userProperties;
  connection.sendPacketAfter(sequence, ackWith(connection, type, packetIdentifier, code, reason, userProperties));
}

/** Sends a message to all its receivers, each session once. Returns how many sessions it was for. */
export function sendToRoute(broker: Broker, message: Message, route: Route, publisherKey: string | undefined): number {
  message.topicBytes = route.topic;
  let receivers = 0;
  const { targets } = route;
  const { permissions } = broker;
  const verdicts = permissions.remembered ? permissions.ofRoute(route, message.topicName) : undefined;
  const asks = permissions.asked && !permissions.remembered;
  for (let index = 0; index < targets.length; index++) {
    let target = targets[index]!;
    if (target.noLocal && target.session.key === publisherKey) {
      // 5.0 [MQTT-3.8.3-3]: only its subscriptions without No Local count for a publisher.
      const parts = (target.parts ?? []).filter((part) => !part.noLocal);
      if (parts.length === 0) continue;
      target = broker.merge(parts);
    }
    let qos = message.qos < target.qos ? message.qos : target.qos;
    if (verdicts !== undefined || asks) {
      const verdict = verdicts?.[index] ?? permissions.verdict(target.session.client, message.topicName, false);
      if (verdict === false) continue;
      qos = lower(verdict, qos);
    }
    const retain = message.retain && target.retainAsPublished;
    target.session.delivery.deliver(message, qos, retain, target.subscriptionIdentifiers, undefined);
    receivers++;
  }
  const { groups, inline } = route;
  const mayReceive = groups.length === 0 ? undefined : permissions.receivers(message.topicName);
  for (let index = 0; index < groups.length; index++) {
    const group = groups[index]!;
    const member = group.select(broker.hooks, () => packetOf(message), mayReceive);
    if (member === undefined) continue;
    const least = message.qos < member.qos ? message.qos : member.qos;
    const qos = permissions.asked ? lower(permissions.ofMember(member, message.topicName), least) : least;
    member.session.delivery.deliver(
      message,
      qos,
      message.retain && member.retainAsPublished,
      member.subscriptionIdentifiers,
      group,
    );
    receivers++;
  }
  for (let index = 0; index < inline.length; index++) {
    inline[index]!.handle(packetOf(message));
    receivers++;
  }
  broker.archive?.queues.settle();
  return receivers;
}

/** For messages that do not come off a wire: the library's and the broker's own. */
export function assertTopicName(topicName: string): void {
  if (!isTopicName(topicName))
    throw new TypeError(`Cannot publish to ${JSON.stringify(topicName)}: not a valid Topic Name`);
}
