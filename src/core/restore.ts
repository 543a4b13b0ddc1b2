import { NO_PROPERTIES, type PublishProperties, RetainHandling } from "../codec/packet.ts";
import { isTopicFilter, isTopicName, parseShared } from "../topic/name.ts";
import type { Broker } from "./broker.ts";
import { Client, NO_PEER } from "./client.ts";
import { Message } from "./message.ts";
import { Outgoing } from "./outgoing.ts";
import { Session } from "./session.ts";
import type { StoredMessage, StoredRetained } from "./stored.ts";
import { Subscription } from "./subscription.ts";

/** Takes up what the Stored hooks kept of an earlier run. What cannot be used is named in the log and left out. */
export function restore(broker: Broker): void {
  const { hooks } = broker;
  for (const hook of hooks.lists.storedClients) {
    for (const stored of ask(broker, hook.name, () => hook.storedClients())) {
      const client = new Client(stored.clientId, stored.userName, stored.protocolVersion, false, 0, NO_PEER);
      const key = broker.sessionKey(stored.clientId, stored.userName);
      const session = new Session(broker, key, client);
      session.expiryIntervalSeconds = stored.sessionExpiryInterval;
      session.expireIn(stored.sessionExpiryInterval);
      broker.sessions.set(key, session);
    }
  }
  for (const hook of hooks.lists.storedSubscriptions) {
    for (const stored of ask(broker, hook.name, () => hook.storedSubscriptions())) {
      const session = broker.findSession(stored.clientId, stored.userName);
      const shared = parseShared(stored.topicFilter);
      const filter = shared?.filter ?? stored.topicFilter;
      if (session === undefined || !isTopicFilter(filter)) {
        broker.log.warn("Stored subscription left out", { client: stored.clientId, filter: stored.topicFilter });
        continue;
      }
      const identifier = stored.subscriptionIdentifier;
      const subscription = new Subscription(
        session,
        filter,
        stored.qos,
        stored.noLocal ?? false,
        stored.retainAsPublished ?? false,
        stored.retainHandling ?? RetainHandling.SendAtSubscribe,
        identifier === undefined ? undefined : [identifier],
        shared === undefined ? undefined : broker.router.group(shared.group, shared.filter),
      );
      broker.addSubscription(stored.topicFilter, subscription, session.subscriptions.get(stored.topicFilter));
    }
  }
  for (const hook of hooks.lists.storedRetainedMessages) {
    for (const stored of ask(broker, hook.name, () => hook.storedRetainedMessages())) {
      if (
        !isTopicName(stored.topicName) ||
        broker.retained.store(messageOfStored(broker, stored, true)) === undefined
      ) {
        broker.log.warn("Stored retained message left out", { topic: stored.topicName });
      }
    }
  }
  for (const hook of hooks.lists.storedInflightMessages) {
    for (const stored of ask(broker, hook.name, () => hook.storedInflightMessages())) restoreMessage(broker, stored);
  }
  for (const hook of hooks.lists.storedSysInfo) {
    const info = ask(broker, hook.name, () => [hook.storedSysInfo()])[0];
    if (info !== undefined && broker.options.sys.restore) broker.sys.restore(info);
  }
}

function restoreMessage(broker: Broker, stored: StoredMessage): void {
  const session = broker.findSession(stored.clientId, stored.userName);
  if (session === undefined || !isTopicName(stored.topicName)) {
    broker.log.warn("Stored message left out", { client: stored.clientId, topic: stored.topicName });
    return;
  }
  const message = messageOfStored(broker, stored, stored.retain ?? false);
  const outgoing = new Outgoing(
    message,
    stored.qos,
    stored.retain ?? false,
    stored.subscriptionIdentifiers,
    undefined,
    broker.nowMs,
  );
  session.restore(outgoing, stored.packetIdentifier, stored.released ?? false);
}

function messageOfStored(broker: Broker, stored: StoredRetained, retain: boolean): Message {
  const { topicName, payload, qos, expirySeconds } = stored;
  const properties: PublishProperties = stored.properties ?? NO_PROPERTIES;
  const expiresAtMs = broker.nowMs + (expirySeconds ?? Number.POSITIVE_INFINITY) * 1000;
  return new Message(topicName, qos, retain, properties, expiresAtMs, payload, 0, payload.length);
}

/** A store that throws leaves its part empty: the broker always starts. */
function ask<T>(broker: Broker, hook: string, call: () => readonly T[]): readonly T[] {
  try {
    return call();
  } catch (error) {
    broker.log.error("A hook threw while handing over what it stored", {
      hook,
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    return [];
  }
}
