import { PacketType, type Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, type PublishProperties, type Will } from "../codec/packet.ts";
import { type PropertiesAt, type PropertiesPlace, propertiesAt, WILL } from "../codec/property-table.ts";
import type { MessageRecord } from "../core/message-record.ts";
import type { QueueRecord } from "../core/queue-record.ts";
import { isTopicFilter, isTopicName } from "../topic/name.ts";
import { bytesToJson, type Fields, isText, type JsonObject, timeToJson } from "./store-line.ts";

/** Messages and wills as an export has them, with their properties by the names that packet.ts gives them. */

export function describeMessage({
  topicName,
  qos,
  retain,
  properties,
  expiresAtMs,
  payload,
}: MessageRecord): JsonObject {
  const members = { topicName, qos, retain, expiresAtMs: timeToJson(expiresAtMs) };
  return { ...members, ...describeProperties(properties), payload: bytesToJson(payload) };
}

/** A message that stands in braces of its own. */
export function readMessage(fields: Fields): MessageRecord {
  const message = readMessageMembers(fields);
  fields.end();
  return message;
}

/** A message whose members stand among others. */
export function readMessageMembers(fields: Fields): MessageRecord {
  return {
    topicName: fields.text("topicName", "a topic name", isTopicName),
    qos: qosOf(fields),
    retain: fields.flag("retain"),
    expiresAtMs: fields.time("expiresAtMs"),
    properties: readProperties(fields, PacketType.PUBLISH) as PublishProperties,
    payload: fields.bytes("payload"),
  };
}

export function describeWill({ topicName, qos, retain, properties, payload }: Will): JsonObject {
  return { topicName, qos, retain, ...describeProperties(properties), payload: bytesToJson(payload) };
}

export function readWill(fields: Fields): Will {
  const will = {
    topicName: fields.text("topicName", "a topic name", isTopicName),
    qos: qosOf(fields),
    retain: fields.flag("retain"),
    properties: readProperties(fields, WILL) as Will["properties"],
    payload: fields.bytes("payload"),
  };
  fields.end();
  return will;
}

export function readShare(fields: Fields): NonNullable<QueueRecord["share"]> {
  const share = { name: fields.text("name"), topicFilter: fields.text("topicFilter", "a topic filter", isTopicFilter) };
  fields.end();
  return share;
}

/** Nothing for a message that has none, as nearly all. */
function describeProperties(properties: PropertiesAt[PropertiesPlace]): JsonObject {
  const members = Object.entries(properties).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? bytesToJson(value) : value,
  ]);
  return members.length === 0 ? {} : { properties: Object.fromEntries(members) };
}

function readProperties<P extends PropertiesPlace>(fields: Fields, place: P): PropertiesAt[P] {
  if (!fields.has("properties")) return NO_PROPERTIES as PropertiesAt[P];
  const inside = fields.inside("properties");
  const properties: Record<string, unknown> = {};
  for (const { name, type, repeats } of propertiesAt(place)) {
    if (!inside.has(name)) continue;
    if (type === "text") properties[name] = inside.text(name);
    else if (type === "binary") properties[name] = inside.bytes(name);
    else if (type === "pair") properties[name] = pairsOf(inside, name);
    else if (repeats) properties[name] = identifiersOf(inside);
    else properties[name] = inside.whole(name, 0, INTEGER_MAX[type]);
  }
  inside.end();
  return properties as PropertiesAt[P];
}

const INTEGER_MAX = { byte: 1, uint16: 65_535, uint32: 4_294_967_295, variable: 268_435_455 } as const;

function pairsOf(fields: Fields, name: string): [string, string][] {
  const value = fields.raw(name);
  const isPair = (pair: unknown): boolean => Array.isArray(pair) && pair.length === 2 && pair.every(isText);
  if (Array.isArray(value) && value.every(isPair)) return value as [string, string][];
  throw fields.mistake(name, "a list of pairs of texts");
}

export function identifiersOf(fields: Fields): number[] {
  const value = fields.raw("subscriptionIdentifiers");
  const isIdentifier = (each: unknown): boolean =>
    Number.isSafeInteger(each) && Number(each) >= 1 && Number(each) <= INTEGER_MAX.variable;
  if (Array.isArray(value) && value.every(isIdentifier)) return value as number[];
  throw fields.mistake("subscriptionIdentifiers", "a list of whole numbers");
}

export function qosOf(fields: Fields): Qos {
  return fields.whole<Qos>("qos", 0, 2);
}
