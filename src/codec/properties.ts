import type { ProtocolVersion } from "./constants.ts";
import type { AuthProperties, UserProperty } from "./packet.ts";
import {
  type DataType,
  type PropertiesAt,
  type PropertiesPlace,
  type PropertyRow,
  placeName,
  propertiesAt,
  propertyAt,
  type Value,
} from "./property-table.ts";
import { malformed, type Reader, violation } from "./reader.ts";
import { Writer } from "./writer.ts";

/**
 * Reads a Property Length and the properties behind it, 5.0 §2.2.2; in 3.x there are none and nothing is read.
 * Throws ProtocolError: 0x81 for one that does not belong here, 0x82 for one that is repeated or has a forbidden value.
 */
export function readProperties<P extends PropertiesPlace>(reader: Reader, place: P): PropertiesAt[P] {
  const properties: Record<string, Value> = {};
  if (reader.version === 5) {
    reader.rule = "5.0 [MQTT-2.2.2-1]";
    const length = reader.variableByteInteger();
    if (length > reader.remaining) {
      throw malformed("5.0 §2.2.2.1", `Property Length is ${length}, and ${reader.remaining} bytes are left`);
    }
    const end = reader.position + length;
    reader.rule = "5.0 §2.2.2.2";
    while (reader.position < end) {
      readProperty(reader, place, properties);
    }
    if (reader.position > end) {
      throw malformed("5.0 §2.2.2.1", `The last property ends ${reader.position - end} bytes after Property Length`);
    }
    reader.rule = "";
  }
  // Names, types and places are those of the interfaces: the table says so, and the tests compare them.
  return properties as PropertiesAt[P];
}

/** Writes the Property Length and the properties; nothing in 3.x. */
export function writeProperties<P extends PropertiesPlace>(
  writer: Writer,
  place: P,
  properties: PropertiesAt[P],
  version: ProtocolVersion,
): void {
  if (version === 5) {
    const encoded = encodeProperties(place, properties);
    writer.variableByteInteger(encoded.length);
    writer.raw(encoded);
  }
}

/**
 * The properties without the length before them. Those that this place does not know are left out, so that a will's
 * properties can be written as those of its message.
 */
export function encodeProperties<P extends PropertiesPlace>(place: P, properties: PropertiesAt[P]): Uint8Array {
  const values = properties as Readonly<Record<string, Value | undefined>>;
  if (isEmpty(values)) {
    return NO_BYTES;
  }
  scratch.clear();
  for (const each of propertiesAt(place)) {
    const value = values[each.name];
    if (value !== undefined) {
      writeProperty(scratch, each, value);
    }
  }
  return scratch.body();
}

/** True when there is nothing to write, so that a packet may leave out its Property Length. */
export function isEmpty(properties: object): boolean {
  for (const _ in properties) {
    return false;
  }
  return true;
}

/** 5.0 §3.1.2.11.10 and its likes: Authentication Data means nothing without a method. */
export function checkAuthentication(properties: AuthProperties, rule: string): void {
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw violation(rule, "Authentication Data without an Authentication Method");
  }
}

/** PUBLISH packets with an expiry, an alias or an identifier need one each: a new writer would be most of their cost. */
const scratch = new Writer();
const NO_BYTES = new Uint8Array(0);

function readProperty(reader: Reader, place: PropertiesPlace, properties: Record<string, Value>): void {
  const identifier = reader.uint8();
  const found = propertyAt(place, identifier);
  if (found === undefined) {
    const hex = `0x${identifier.toString(16).padStart(2, "0")}`;
    throw malformed("5.0 §2.2.2.2", `${placeName(place)} cannot carry the property ${hex}`);
  }
  const known = properties[found.name];
  if (known !== undefined && !found.repeats) {
    throw violation("5.0 §2.2.2.2", `${placeName(place)} carries ${found.name} more than once`);
  }
  const value = READ[found.type](reader);
  found.check?.(value);
  if (!found.repeats) {
    properties[found.name] = value;
  } else if (known === undefined) {
    properties[found.name] = [value] as Value;
  } else {
    (known as Value[]).push(value);
  }
}

const READ: Readonly<Record<DataType, (reader: Reader) => Value>> = {
  byte: (reader) => reader.uint8(),
  uint16: (reader) => reader.uint16(),
  uint32: (reader) => reader.uint32(),
  variable: (reader) => reader.variableByteInteger(),
  text: (reader) => reader.utf8String(),
  binary: (reader) => reader.binaryData(),
  pair: (reader) => [reader.utf8String(), reader.utf8String()],
};

function writeProperty(writer: Writer, { identifier, type, repeats }: PropertyRow, value: Value): void {
  for (const each of repeats ? (value as readonly Value[]) : [value]) {
    writer.uint8(identifier);
    WRITE[type](writer, each);
  }
}

const WRITE: Readonly<Record<DataType, (writer: Writer, value: Value) => void>> = {
  byte: (writer, value) => writer.uint8(value as number),
  uint16: (writer, value) => writer.uint16(value as number),
  uint32: (writer, value) => writer.uint32(value as number),
  variable: (writer, value) => writer.variableByteInteger(value as number),
  text: (writer, value) => writer.utf8String(value as string),
  binary: (writer, value) => writer.binaryData(value as Uint8Array),
  pair: (writer, value) => {
    const [name, text] = value as UserProperty;
    writer.utf8String(name);
    writer.utf8String(text);
  },
};
