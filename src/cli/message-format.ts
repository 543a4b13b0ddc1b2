import type { PublishProperties } from "../codec/packet.ts";
import { UsageError } from "./client-io.ts";
import { formatJson } from "./json-text.ts";
import { isoSeconds, strftime } from "./strftime.ts";

/** An Application Message as it arrived. */
export interface ReceivedMessage {
  topicName: string;
  payload: Uint8Array;
  qos: number;
  retain: boolean;
  /** 0 for QoS 0. */
  packetIdentifier: number;
  properties: PublishProperties;
}

/** When the message came: milliseconds since 1970, and nanoseconds of its second. */
export interface Arrival {
  date: Date;
  nanoseconds: number;
}

export interface FormatContext {
  pretty: boolean;
  /** Told of a payload that `%J` cannot print. */
  onProblem(message: string): void;
}

interface Field {
  align: "left" | "right";
  pad: " " | "0";
  /** Characters at least; 0 sets none. */
  width: number;
  /** Characters at most; undefined sets none. */
  precision: number | undefined;
}

/** Prints one message. The text has one character per byte (latin1), so that any payload passes through. */
type Part = (message: ReceivedMessage, arrival: Arrival, context: FormatContext) => string;

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\",
  "0": "\0",
  a: "\x07",
  e: "\x1b",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/**
 * Compiles a format of `sub -F`, with the sequences of mosquitto_sub(1) "Output format".
 * Returns what prints one message, as bytes without a line end. Throws a UsageError that names the sequence.
 */
export function compileFormat(
  format: string,
): (message: ReceivedMessage, arrival: Arrival, context: FormatContext) => Buffer {
  const text = toBytesText(format);
  const parts: Part[] = [];
  let at = 0;
  while (at < text.length) {
    const found = text.slice(at).search(/[%@\\]/);
    const literal = found === -1 ? text.slice(at) : text.slice(at, at + found);
    if (literal !== "") parts.push(() => literal);
    at += literal.length;
    if (at < text.length) at = compileSequence(text, at, parts);
  }
  return (message, arrival, context) =>
    Buffer.from(parts.map((part) => part(message, arrival, context)).join(""), "latin1");
}

function compileSequence(text: string, start: number, parts: Part[]): number {
  if (text[start] === "%") {
    const [whole, flags, width, precision, letter] = /^%([-0]*)(\d*)(?:\.(\d*))?(.?)/s.exec(text.slice(start))!;
    if (letter === "" || letter === undefined) throw new UsageError(`-F: the format ends in the middle of "${whole}"`);
    const part = Object.hasOwn(SEQUENCES, letter) ? SEQUENCES[letter] : undefined;
    if (part === undefined) throw new UsageError(`-F: unknown sequence "%${letter}"`);
    const left = flags?.includes("-") === true;
    const field: Field = {
      align: left ? "left" : "right",
      pad: flags?.includes("0") && !left ? "0" : " ",
      width: Number(width),
      precision: precision === undefined ? undefined : Number(precision),
    };
    parts.push((message, arrival, context) => part(message, field, arrival, context));
    return start + whole.length;
  }
  const letter = text[start + 1];
  if (letter === undefined) throw new UsageError(`-F: the format ends in the middle of "${text[start]}"`);
  if (text[start] === "@") parts.push((_, arrival) => timePart(letter, arrival));
  else {
    const character = ESCAPES[letter];
    if (character === undefined) throw new UsageError(`-F: unknown sequence "\\${letter}"`);
    parts.push(() => character);
  }
  return start + 2;
}

type FieldPart = (message: ReceivedMessage, field: Field, arrival: Arrival, context: FormatContext) => string;

const SEQUENCES: Readonly<Record<string, FieldPart>> = {
  "%": () => "%",
  A: ({ properties }, field) => integer(properties.topicAlias, field),
  C: ({ properties }, field) => string(properties.contentType, field),
  D: ({ properties }) => Buffer.from(properties.correlationData ?? []).toString("latin1"),
  E: ({ properties }, field) => integer(properties.messageExpiryInterval, field),
  F: ({ properties }, field) => integer(properties.payloadFormatIndicator, field),
  I: (_, field, arrival) => string(isoSeconds(arrival.date), field),
  j: (message, _, arrival, context) =>
    formatJson(`${toBytesText(jsonHead(message, arrival))}${payloadString(message)}}`, context.pretty),
  J: (message, _, arrival, context) => rawJson(message, arrival, context),
  l: ({ payload }, field) => integer(payload.length, field),
  m: ({ packetIdentifier }, field) => integer(packetIdentifier, field),
  p: ({ payload }, field) => payloadField(payload, "latin1", field),
  P: ({ properties }) =>
    toBytesText((properties.userProperties ?? []).map(([name, value]) => `${name}:${value}`).join(" ")),
  q: ({ qos }) => String(qos),
  r: ({ retain }) => (retain ? "1" : "0"),
  // An absent response topic is not padded, unlike all others: as mosquitto_sub.
  R: ({ properties: { responseTopic } }, field) => (responseTopic === undefined ? "" : string(responseTopic, field)),
  S: ({ properties }, field) => integer(properties.subscriptionIdentifiers?.[0], field),
  t: ({ topicName }, field) => string(topicName, field),
  U: (_, __, { date, nanoseconds }) => `${Math.floor(date.getTime() / 1000)}.${String(nanoseconds).padStart(9, "0")}`,
  x: ({ payload }, field) => payloadField(payload, "hex", field),
  X: ({ payload }, field) => payloadField(payload, "hex", field).toUpperCase(),
};

function timePart(letter: string, { date, nanoseconds }: Arrival): string {
  if (letter === "@") return "@";
  return letter === "N" ? String(nanoseconds).padStart(9, "0") : strftime(letter, date);
}

/** One character per byte of UTF-8. */
function toBytesText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function padded(text: string, field: Field, pad: string): string {
  return field.align === "left" ? text.padEnd(field.width) : text.padStart(field.width, pad);
}

/** What is absent is printed as padding of the field's width. */
function integer(value: number | undefined, field: Field): string {
  if (value === undefined) return padded("", field, field.pad);
  return padded(String(value), field, field.pad);
}

function string(value: string | undefined, field: Field): string {
  if (value === undefined) return padded("", field, " ");
  return padded(toBytesText(value).slice(0, field.precision), field, " ");
}

/**
 * A width also cuts the payload. In hexadecimal it counts bytes first and halves them then, which prints less than
 * the width has room for: scripts rely on what mosquitto_sub prints, so this prints the same.
 */
function payloadField(payload: Uint8Array, encoding: "latin1" | "hex", field: Field): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (field.width === 0) return bytes.toString(encoding);
  const shown = Math.min(bytes.length, field.width);
  const text = bytes.subarray(0, encoding === "hex" ? Math.floor(shown / 2) : shown).toString(encoding);
  return padded(text, field, field.pad);
}

function rawJson(message: ReceivedMessage, arrival: Arrival, context: FormatContext): string {
  const payload = message.payload.length === 0 ? "null" : Buffer.from(message.payload).toString();
  try {
    JSON.parse(payload);
  } catch {
    context.onProblem(`Error: Message payload is not valid JSON on topic ${message.topicName}.`);
    return "";
  }
  return toBytesText(formatJson(`${jsonHead(message, arrival)}${payload}}`, context.pretty));
}

/** A string of one character per byte. mosquitto_sub ends it at the first zero byte; here all of it is kept. */
function payloadString({ payload }: ReceivedMessage): string {
  return payload.length === 0 ? "null" : JSON.stringify(Buffer.from(payload).toString("latin1"));
}

/** All of a message's JSON up to the payload. */
function jsonHead(message: ReceivedMessage, { date, nanoseconds }: Arrival): string {
  const microseconds = String(Math.floor(nanoseconds / 1000)).padStart(6, "0");
  const iso = isoSeconds(date);
  const members = [
    `"tst":"${iso.slice(0, 19)}.${microseconds}Z${iso.slice(19)}"`,
    `"topic":${JSON.stringify(message.topicName)}`,
    `"qos":${message.qos}`,
    `"retain":${message.retain ? 1 : 0}`,
    `"payloadlen":${message.payload.length}`,
  ];
  if (message.qos > 0) members.push(`"mid":${message.packetIdentifier}`);
  const properties = propertyMembers(message.properties);
  if (properties.length > 0) members.push(`"properties":{${properties.join()}}`);
  return `{${members.join()},"payload":`;
}

const PROPERTY_NAMES: Readonly<Record<keyof PublishProperties, string>> = {
  contentType: "content-type",
  correlationData: "correlation-data",
  messageExpiryInterval: "message-expiry-interval",
  payloadFormatIndicator: "payload-format-indicator",
  responseTopic: "response-topic",
  subscriptionIdentifiers: "subscription-identifier",
  topicAlias: "topic-alias",
  userProperties: "user-properties",
};

/** In the order in which they came. */
function propertyMembers(properties: PublishProperties): string[] {
  return (Object.keys(properties) as (keyof PublishProperties)[]).flatMap((key) => {
    const name = JSON.stringify(PROPERTY_NAMES[key]);
    if (key === "userProperties") {
      const pairs = properties.userProperties ?? [];
      return `${name}:{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`;
    }
    if (key === "subscriptionIdentifiers") return (properties[key] ?? []).map((value) => `${name}:${value}`);
    if (key === "correlationData") {
      return `${name}:${JSON.stringify(Buffer.from(properties.correlationData ?? []).toString())}`;
    }
    return `${name}:${JSON.stringify(properties[key])}`;
  });
}
