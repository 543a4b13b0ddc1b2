import { VARIABLE_BYTE_INTEGER_MAX } from "../codec/constants.ts";
import { NO_PROPERTIES, type PublishProperties, RetainHandling } from "../codec/packet.ts";
import { isShared, isTopicFilter, isTopicName, parseShared } from "../topic/name.ts";
import type { Broker } from "./broker.ts";
import { Client, NO_PEER } from "./client.ts";
import type { SysInfo } from "./counters.ts";
import { Message } from "./message.ts";
import { Outgoing } from "./outgoing.ts";
import type { LogFields } from "./ports.ts";
import { restoreOutgoing } from "./recovery.ts";
import { Session } from "./session.ts";
import type { StoredClient, StoredMessage, StoredRetained, StoredSubscription } from "./stored.ts";
import { Subscription } from "./subscription.ts";

/**
 * Takes up what the Stored hooks kept of an earlier run. It comes from outside, so nothing is taken for granted: what
 * cannot be used is named in the log and left out, and the broker always starts.
 */
export function restore(broker: Broker): void {
  const { lists } = broker.hooks;
  for (const hook of lists.storedClients) {
    takeUp(broker, hook.name, "client", () => hook.storedClients(), restoreClient);
  }
  for (const hook of lists.storedSubscriptions) {
    takeUp(broker, hook.name, "subscription", () => hook.storedSubscriptions(), restoreSubscription);
  }
  for (const hook of lists.storedRetainedMessages) {
    takeUp(broker, hook.name, "retained message", () => hook.storedRetainedMessages(), restoreRetained);
  }
  for (const hook of lists.storedInflightMessages) {
    takeUp(broker, hook.name, "message", () => hook.storedInflightMessages(), restoreMessage);
  }
  for (const hook of lists.storedSysInfo) {
    takeUp(broker, hook.name, "totals", () => [hook.storedSysInfo()].filter((info) => info !== undefined), restoreInfo);
  }
}

/** `each` throws when an entry cannot be used. */
function takeUp<T>(
  broker: Broker,
  hook: string,
  what: string,
  call: () => readonly T[],
  each: (broker: Broker, stored: T) => void,
): void {
  let all: readonly T[];
  try {
    all = [...call()];
  } catch (error) {
    broker.log.error("A hook threw while handing over what it stored", { hook, reason: reasonOf(error) });
    return;
  }
  for (const stored of all) {
    try {
      each(broker, stored);
    } catch (error) {
      broker.log.warn(`Stored ${what} left out`, { hook, ...nameOf(stored), reason: (error as Error).message });
    }
  }
}

function restoreClient(broker: Broker, stored: StoredClient): void {
  const { clientId, userName, protocolVersion, sessionExpiryInterval } = stored;
  demand(typeof clientId === "string" && clientId !== "", "it has no client identifier");
  demand([3, 4, 5].includes(protocolVersion), "its protocol version is unknown");
  demand(sessionExpiryInterval >= 0, "its session expiry is not a number of seconds");
  const key = broker.sessionKey(clientId, userName);
  demand(!broker.sessions.has(key), "its session is there already");
  const session = new Session(broker, key, new Client(clientId, userName, protocolVersion, false, 0, NO_PEER));
  session.expiryIntervalSeconds = sessionExpiryInterval;
  session.expireIn(sessionExpiryInterval);
  broker.sessions.set(key, session);
}

function restoreSubscription(broker: Broker, stored: StoredSubscription): void {
  const { topicFilter, qos, subscriptionIdentifier } = stored;
  const session = sessionOf(broker, stored);
  const shared = parseShared(topicFilter);
  const filter = shared?.filter ?? topicFilter;
  demand(isTopicFilter(filter) && isShared(topicFilter) === (shared !== undefined), "not a valid Topic Filter");
  demand(isQos(qos), "not a QoS");
  const identifiers = subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier];
  demand(areIdentifiers(identifiers), "not a Subscription Identifier");
  const subscription = new Subscription(
    session,
    filter,
    qos,
    stored.noLocal ?? false,
    stored.retainAsPublished ?? false,
    stored.retainHandling ?? RetainHandling.SendAtSubscribe,
    identifiers,
    shared === undefined ? undefined : broker.router.group(shared.group, shared.filter),
  );
  broker.addSubscription(topicFilter, subscription, session.subscriptions.get(topicFilter));
}

function restoreRetained(broker: Broker, stored: StoredRetained): void {
  const message = messageOfStored(broker, stored, true);
  demand(message.payloadEnd > 0, "it has no payload");
  demand(broker.retained.store(message) !== undefined, "over the retained limits");
}

function restoreMessage(broker: Broker, stored: StoredMessage): void {
  const { qos, packetIdentifier, subscriptionIdentifiers } = stored;
  const session = sessionOf(broker, stored);
  const retain = stored.retain ?? false;
  const message = messageOfStored(broker, stored, retain);
  demand(areIdentifiers(subscriptionIdentifiers), "not a Subscription Identifier");
  demand(packetIdentifier === undefined || qos > 0, "QoS 0 has no packet identifier");
  demand(packetIdentifier === undefined || isInteger(packetIdentifier, 1, 65_535), "not a packet identifier");
  const outgoing = new Outgoing(message, qos, retain, subscriptionIdentifiers, undefined, broker.nowMs);
  demand(
    restoreOutgoing(session.delivery, outgoing, packetIdentifier, stored.released ?? false),
    "its packet identifier is in use",
  );
}

function restoreInfo(broker: Broker, stored: Partial<SysInfo>): void {
  if (!broker.options.sys.restore) return;
  const figures = Object.entries(stored).filter(([name]) => name !== "version");
  for (const [name, value] of figures) demand(Number.isFinite(value), `${name} is not a number`);
  broker.sys.restore(stored);
}

/** Exactly the session that is named: a stored message must not reach another user's client of the same id. */
function sessionOf(broker: Broker, stored: { clientId: string; userName?: string | undefined }): Session {
  const session = broker.sessions.get(broker.sessionKey(stored.clientId, stored.userName));
  demand(session !== undefined, "it has no session");
  return session;
}

function messageOfStored(broker: Broker, stored: StoredRetained, retain: boolean): Message {
  const { topicName, payload, qos, expirySeconds } = stored;
  demand(typeof topicName === "string" && isTopicName(topicName), "not a valid Topic Name");
  demand(payload instanceof Uint8Array, "its payload is not bytes");
  demand(isQos(qos), "not a QoS");
  demand(expirySeconds === undefined || expirySeconds >= 0, "its expiry is not a number of seconds");
  const properties: PublishProperties = stored.properties ?? NO_PROPERTIES;
  const expiresAtMs = broker.nowMs + (expirySeconds ?? Number.POSITIVE_INFINITY) * 1000;
  return new Message(topicName, qos, retain, properties, expiresAtMs, payload, 0, payload.length);
}

function areIdentifiers(identifiers: readonly number[] | undefined): boolean {
  return identifiers === undefined || identifiers.every((one) => isInteger(one, 1, VARIABLE_BYTE_INTEGER_MAX));
}

function isInteger(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function isQos(qos: number): boolean {
  return isInteger(qos, 0, 2);
}

function demand(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new Error(reason);
}

/** What names an entry in the log, whatever it is. */
function nameOf(stored: unknown): LogFields {
  const { clientId, topicFilter, topicName } = (stored ?? {}) as Partial<StoredSubscription & StoredRetained>;
  return { client: clientId, filter: topicFilter, topic: topicName };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
