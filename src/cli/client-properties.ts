import type {
  ConnectProperties,
  DisconnectProperties,
  PublishProperties,
  SubscribeProperties,
  UnsubscribeProperties,
  UserProperty,
  WillProperties,
} from "../codec/packet.ts";
import { suggest } from "../text/suggest.ts";
import { UsageError } from "./client-io.ts";

/** What `-D` gathered, by the packet that carries it. */
export interface ClientProperties {
  connect: ConnectProperties;
  publish: PublishProperties;
  subscribe: SubscribeProperties;
  unsubscribe: UnsubscribeProperties;
  disconnect: DisconnectProperties;
  will: WillProperties;
}

export type PropertyCommand = keyof ClientProperties;

export function noProperties(): ClientProperties {
  return { connect: {}, publish: {}, subscribe: {}, unsubscribe: {}, disconnect: {}, will: {} };
}

type ValueType = "bit" | "uint16" | "uint32" | "identifier" | "text" | "bytes" | "pair";

interface Property {
  key: string;
  type: ValueType;
  /** Smallest value; 0 where nothing is said. */
  min?: number;
  on: readonly PropertyCommand[];
}

const APPLICATION_MESSAGE = ["publish", "will"] as const;

/** The names of `-D`, which are the specification's in lower case with dashes, §2.2.2.2. */
const PROPERTIES: Readonly<Record<string, Property>> = {
  "authentication-data": { key: "authenticationData", type: "bytes", on: ["connect"] },
  "authentication-method": { key: "authenticationMethod", type: "text", on: ["connect"] },
  "content-type": { key: "contentType", type: "text", on: APPLICATION_MESSAGE },
  "correlation-data": { key: "correlationData", type: "bytes", on: APPLICATION_MESSAGE },
  "maximum-packet-size": { key: "maximumPacketSize", type: "uint32", min: 1, on: ["connect"] },
  "message-expiry-interval": { key: "messageExpiryInterval", type: "uint32", on: APPLICATION_MESSAGE },
  "payload-format-indicator": { key: "payloadFormatIndicator", type: "bit", on: APPLICATION_MESSAGE },
  "receive-maximum": { key: "receiveMaximum", type: "uint16", min: 1, on: ["connect"] },
  "request-problem-information": { key: "requestProblemInformation", type: "bit", on: ["connect"] },
  "request-response-information": { key: "requestResponseInformation", type: "bit", on: ["connect"] },
  "response-topic": { key: "responseTopic", type: "text", on: APPLICATION_MESSAGE },
  "session-expiry-interval": { key: "sessionExpiryInterval", type: "uint32", on: ["connect", "disconnect"] },
  "subscription-identifier": { key: "subscriptionIdentifier", type: "identifier", min: 1, on: ["subscribe"] },
  "topic-alias": { key: "topicAlias", type: "uint16", min: 1, on: ["publish"] },
  "topic-alias-maximum": { key: "topicAliasMaximum", type: "uint16", on: ["connect"] },
  "user-property": {
    key: "userProperties",
    type: "pair",
    on: ["connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"],
  },
  "will-delay-interval": { key: "willDelayInterval", type: "uint32", on: ["will"] },
};

const MAXIMA = { bit: 1, uint16: 0xffff, uint32: 0xffff_ffff, identifier: 268_435_455 } as const;

/**
 * Takes one `-D COMMAND NAME VALUE` (for user-property `-D COMMAND user-property NAME VALUE`) from the front of
 * `words` into `properties`; throws a UsageError. Returns how many words it took.
 */
export function addProperty(properties: ClientProperties, words: readonly string[]): number {
  const command = words[0]?.toLowerCase();
  const [, name, value, pairValue] = words;
  if (command === undefined || name === undefined || value === undefined) {
    throw new UsageError("-D needs a packet, a property and a value, such as: -D publish content-type text/plain");
  }
  if (!isCommand(command)) throw new UsageError(`-D: no properties for "${words[0]}"${hint(command, COMMANDS)}`);
  const property = Object.hasOwn(PROPERTIES, name) ? PROPERTIES[name] : undefined;
  if (property === undefined) {
    throw new UsageError(`-D: unknown property "${name}"${hint(name, Object.keys(PROPERTIES))}`);
  }
  if (!property.on.includes(command)) {
    throw new UsageError(`-D: ${command} has no property ${name}; it belongs to ${property.on.join(" and ")}`);
  }
  const target = properties[command] as Record<string, unknown>;
  if (property.type === "pair") {
    if (pairValue === undefined) throw new UsageError(`-D ${command} user-property needs a name and a value`);
    const before = (target[property.key] ?? []) as UserProperty[];
    target[property.key] = [...before, [value, pairValue]];
    return 4;
  }
  target[property.key] = parseValue(name, property, value);
  return 3;
}

function parseValue(name: string, property: Property, value: string): string | number | Uint8Array {
  if (property.type === "text") return value;
  if (property.type === "bytes") return Buffer.from(value);
  const max = MAXIMA[property.type as keyof typeof MAXIMA];
  const min = property.min ?? 0;
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) throw new UsageError(`-D: ${name} must be ${min} to ${max}, not "${value}"`);
  return number;
}

const COMMANDS: readonly PropertyCommand[] = ["connect", "publish", "subscribe", "unsubscribe", "disconnect", "will"];

function isCommand(word: string): word is PropertyCommand {
  return (COMMANDS as readonly string[]).includes(word);
}

function hint(word: string, names: readonly string[]): string {
  const nearest = suggest(word, names);
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
}
