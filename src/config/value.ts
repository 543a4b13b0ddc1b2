import { formatDuration, parseDuration } from "../text/duration.ts";
import { formatSize, parseSize } from "../text/size.ts";
import { type Address, parseAddress, parseHost } from "./address.ts";
import { DURABILITY_NEEDED, formatDurability, parseDurability } from "./durability.ts";

/** What an option or a configuration key takes. Ranges are inclusive. */
export type ValueType =
  /** true or false; `words` are further values, such as "local". */
  | { kind: "boolean"; words?: readonly string[] }
  | { kind: "integer"; min: number; max: number }
  /** A value in `unit`; texts as in parseDuration, bare numbers are seconds. */
  | { kind: "duration"; unit: "ms" | "s"; min: number; max: number }
  /** Bytes; texts as in parseSize. */
  | { kind: "size"; min: number; max: number }
  | { kind: "enum"; values: readonly string[] }
  | { kind: "string" }
  | { kind: "file" }
  /** Permission bits, "0660": in octal digits, as chmod takes them. */
  | { kind: "fileMode" }
  /** Name or number of a user or group of this machine. */
  | { kind: "account"; of: "user" | "group" }
  /** A host name or address to listen on. */
  | { kind: "host" }
  /** [HOST]:PORT. */
  | { kind: "address" }
  /** NAME=VALUE of the table of limits. */
  | { kind: "limit" }
  /** A serial line: a text, or in a file an object too; what it says is checked where all lines are known. */
  | { kind: "line" }
  /** A policy, which stands for a delay in ms; Infinity is never. On the command line also FILTER=POLICY. */
  | { kind: "durability" };

export type Value = boolean | number | string | Address | ObjectValue;

/** An object of a file, as it stands there. */
export interface ObjectValue {
  readonly object: object;
}

/** Longest text of a user's that a message repeats. */
const SHOWN_MAX = 60;

/**
 * Reads a value as it is typed or stands in the environment. Limits, and the filters of policies, are not read here.
 * undefined: it is not of the type or out of range, which `describeType` explains.
 */
export function parseValue(type: ValueType, text: string): Value | undefined {
  switch (type.kind) {
    case "boolean":
      if (text === "true" || text === "1") return true;
      if (text === "false" || text === "0") return false;
      return type.words?.includes(text) ? text : undefined;
    case "integer":
      return /^-?\d+$/.test(text) ? inRange(Number(text), type) : undefined;
    case "duration":
      return durationIn(type, parseDuration(text));
    case "size":
      return inRange(parseSize(text), type);
    case "enum":
      return type.values.includes(text) ? text : undefined;
    case "address":
      return parseAddress(text);
    case "host":
      return parseHost(text);
    case "durability":
      return parseDurability(text);
    case "fileMode":
      return /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined;
    default:
      return text === "" || text.includes("\0") ? undefined : text;
  }
}

/** Reads a value as it stands in a configuration file, where numbers and booleans are none of them texts. */
export function readValue(type: ValueType, value: unknown): Value | undefined {
  if (typeof value === "string") {
    // "true" in quotes is a mistake worth reporting; "10s" and "2MiB" can only be written as texts.
    return type.kind === "boolean" || type.kind === "integer" ? wordOf(type, value) : parseValue(type, value);
  }
  if (type.kind === "line" && typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { object: value };
  }
  if (typeof value === "boolean") return type.kind === "boolean" ? value : undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  switch (type.kind) {
    case "account":
      return Number.isSafeInteger(value) && value >= 0 ? String(value) : undefined;
    case "integer":
    case "size":
      return inRange(value, type);
    case "duration":
      return durationIn(type, Math.round(value * 1000));
    default:
      return undefined;
  }
}

/** "a whole number from 1 to 65,535": what a message says is needed. */
export function describeType(type: ValueType): string {
  switch (type.kind) {
    case "boolean":
      return ["true", "false", ...(type.words ?? [])].join(", ").replace(/, ([^,]*)$/, " or $1");
    case "integer":
      return `a whole number ${describeRange(type)}`;
    case "duration":
      return `a duration such as 10s or 1h30m, ${describeRange(type)}`;
    case "size":
      return `a size such as 64KiB or 2MiB, ${describeRange(type)}`;
    case "enum":
      return `one of ${type.values.join(", ")}`;
    case "string":
      return "a text";
    case "file":
      return "the path of a file";
    case "fileMode":
      return 'permissions in octal digits and quotes, such as "0660"';
    case "account":
      return `the name or number of a ${type.of}`;
    case "host":
      return "an IP address or a host name";
    case "address":
      return "[HOST]:PORT, such as :1883 or 127.0.0.1:1883, with a port from 0 to 65,535";
    case "limit":
      return "NAME=VALUE";
    case "line":
      return "the path of a serial line, or an object with a path";
    case "durability":
      return DURABILITY_NEEDED;
  }
}

/** "from 1 to 65,535"; "" for types that have no range. */
export function describeRange(type: ValueType): string {
  if (!("min" in type)) return "";
  return `from ${formatValue(type, type.min)} to ${formatValue(type, type.max)}`;
}

/** Writes a value as a person would: 30 days in seconds as "30d", 2097152 bytes as "2MiB", 65535 as "65,535". */
export function formatValue(type: ValueType, value: Value): string {
  if (typeof value === "object")
    return "object" in value ? quoteValue(value.object) : `${value.host ?? ""}:${value.port}`;
  if (typeof value !== "number") return String(value);
  if (type.kind === "durability") return formatDurability(value);
  if (type.kind === "duration") {
    const text = formatDuration(type.unit === "s" ? value * 1000 : value);
    // 49710d6h28m15s says less than the number that the specification has.
    return text.replace(/[^a-z]/g, "").length <= 2 ? text : `${groupDigits(value)}${type.unit}`;
  }
  const size = type.kind === "size" ? formatSize(value) : "";
  return /[a-z]$/i.test(size) ? size : groupDigits(value);
}

/** 4294967295 is "4,294,967,295". */
export function groupDigits(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A user's value as a message repeats it: in quotes when it is a text, short, on one line. */
export function quoteValue(value: unknown): string {
  const text = (typeof value === "number" ? undefined : JSON.stringify(value)) ?? String(value);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}

function wordOf(type: ValueType, text: string): string | undefined {
  return type.kind === "boolean" && type.words?.includes(text) ? text : undefined;
}

function durationIn(type: { unit: "ms" | "s"; min: number; max: number }, ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : inRange(type.unit === "s" ? ms / 1000 : ms, type);
}

function inRange(value: number | undefined, range: { min: number; max: number }): number | undefined {
  return Number.isSafeInteger(value) && value! >= range.min && value! <= range.max ? value : undefined;
}
