import { type BrokerOptions, defaultOptions } from "../core/options.ts";
import type { Problem } from "../text/problem.ts";
import { DEFAULT_FILTER, filterMistake, inOrder } from "./durability.ts";
import { DURABILITY_KEY } from "./layer.ts";
import type { Picker } from "./picker.ts";

/** The options of the broker itself. Problems: topics of `--queue-keep-last` that are none. */
export function brokerOptions(pick: Picker, problems: Problem[]): BrokerOptions {
  const otherwise = defaultOptions();
  return {
    retain: pick.value("mqtt.retain", otherwise.retain),
    sharedSubscriptions: pick.value("mqtt.sharedSubscriptions", otherwise.sharedSubscriptions),
    subscriptionIdentifiers: pick.value("mqtt.subscriptionIdentifiers", otherwise.subscriptionIdentifiers),
    wildcards: pick.value("mqtt.wildcards", otherwise.wildcards),
    maximumQos: pick.value("mqtt.maximumQos", otherwise.maximumQos),
    receiveMaximum: pick.value("mqtt.receiveMaximum", otherwise.receiveMaximum),
    maximumPacketSize: pick.value("mqtt.maximumPacketSize", otherwise.maximumPacketSize),
    topicAliasMaximum: pick.value("mqtt.topicAliasMaximum", otherwise.topicAliasMaximum),
    autoTopicAlias: pick.value("mqtt.autoTopicAlias", otherwise.autoTopicAlias),
    serverKeepAlive: pick.optional("mqtt.serverKeepAlive"),
    keepAliveMax: pick.optional("mqtt.keepAliveMax"),
    keepAliveDefault: pick.optional("mqtt.keepAliveDefault"),
    sessionExpiry: pick.optional("mqtt.sessionExpiry"),
    sessionExpiryMax: pick.value("mqtt.sessionExpiryMax", otherwise.sessionExpiryMax),
    messageExpiryMax: pick.optional("mqtt.messageExpiryMax"),
    minimumProtocolVersion: pick.value("mqtt.minimumProtocolVersion", otherwise.minimumProtocolVersion),
    responseInformation: pick.value("mqtt.responseInformation", otherwise.responseInformation),
    compat: compatOf(pick, otherwise.compat),
    sessionKey: pick.value("sessions.key", otherwise.sessionKey),
    queue: {
      overflow: pick.value("queue.overflow", otherwise.queue.overflow),
      qos0: pick.value("queue.qos0", otherwise.queue.qos0),
      keepLast: keepLastOf(pick, problems),
    },
    sys: {
      enabled: pick.value("sys.enabled", otherwise.sys.enabled),
      intervalMs: pick.value("sys.interval", otherwise.sys.intervalMs),
      restore: pick.value("sys.restore", otherwise.sys.restore),
    },
    logPayloadBytes: pick.value("log.payloadBytes", otherwise.logPayloadBytes),
    durability: durabilityOf(pick, otherwise.durability),
  };
}

function keepLastOf(pick: Picker, problems: Problem[]): string[] {
  const topicFilters = new Set<string>();
  for (const { value, origin } of pick.assignments("queue.keepLast")) {
    const topicFilter = String(value);
    const mistake = filterMistake(topicFilter);
    if (mistake === undefined) topicFilters.add(topicFilter);
    else problems.push(origin.problem("error", mistake.message, mistake.hint));
  }
  return [...topicFilters];
}

function durabilityOf(pick: Picker, otherwise: BrokerOptions["durability"]): BrokerOptions["durability"] {
  const policies = new Map(pick.within<number>(`${DURABILITY_KEY}.`));
  const delayMs = policies.get(DEFAULT_FILTER) ?? otherwise.delayMs;
  policies.delete(DEFAULT_FILTER);
  return { delayMs, topics: inOrder([...policies].map(([topicFilter, delayMs]) => ({ topicFilter, delayMs }))) };
}

function compatOf(pick: Picker, otherwise: BrokerOptions["compat"]): BrokerOptions["compat"] {
  return {
    obscureNotAuthorized: pick.value("mqtt.compat.obscureNotAuthorized", otherwise.obscureNotAuthorized),
    passiveClientDisconnect: pick.value("mqtt.compat.passiveClientDisconnect", otherwise.passiveClientDisconnect),
    alwaysReturnResponseInfo: pick.value("mqtt.compat.alwaysReturnResponseInfo", otherwise.alwaysReturnResponseInfo),
    noInheritedPropertiesOnAck: pick.value(
      "mqtt.compat.noInheritedPropertiesOnAck",
      otherwise.noInheritedPropertiesOnAck,
    ),
  };
}
