import type { PublishProperties, UserProperty } from "../codec/packet.ts";

/** MQTT.js keeps User Properties in an object, and a truth value where the specification has a byte. */
export function toPacketProperties(properties: object): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (name === "userProperties") result[name] = groupByName(value as readonly UserProperty[]);
    else if (name === "payloadFormatIndicator" || name.startsWith("request")) result[name] = value === 1;
    else if (value instanceof Uint8Array) result[name] = Buffer.from(value);
    else result[name] = value;
  }
  return result;
}

function groupByName(pairs: readonly UserProperty[]): Record<string, string | string[]> {
  const names = [...new Set(pairs.map(([name]) => name))];
  const valuesOf = (wanted: string): string[] => pairs.filter(([name]) => name === wanted).map(([, value]) => value);
  return Object.fromEntries(names.map((name) => [name, valuesOf(name)]));
}

/** Keeps the order in which the properties came. */
export function fromPacketProperties(properties: object): PublishProperties {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (name === "userProperties") {
      result[name] = Object.entries(value as Record<string, string | string[]>).flatMap(([key, values]) =>
        [values].flat().map((one) => [key, one]),
      );
    } else if (name === "subscriptionIdentifier") result.subscriptionIdentifiers = [value].flat();
    else if (name === "payloadFormatIndicator") result[name] = Number(value);
    else result[name] = value;
  }
  return result as PublishProperties;
}
