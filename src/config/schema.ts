import { dirname } from "node:path";
import { findOption, findOptionByKey, OPTIONS, type Option, optionKeys } from "../cli/options.ts";
import type { Document, Path } from "../text/document.ts";
import type { Problem } from "../text/problem.ts";
import { suggest } from "../text/suggest.ts";
import { DEFAULT_FILTER, durabilityHint, filterMistake } from "./durability.ts";
import { OWN_LIMITS } from "./entrance.ts";
import { assign, assignDurability, documentOrigin, emptyLayer, type Layer } from "./layer.ts";
import { PUBLIC_LIMITS } from "./limit-names.ts";
import { LISTENER_KEYS, type ListenerEntry, listenerNotYet } from "./listener.ts";
import { describeType, quoteValue, readValue, type Value, type ValueType } from "./value.ts";

/** Objects of the configuration, by their path: "mqtt", "mqtt.compat", … Values of an option are not among them. */
const SECTIONS: ReadonlySet<string> = new Set([
  "limits",
  ...optionKeys().flatMap((key) => {
    const steps = key.split(".");
    return steps.slice(1).map((_, index) => steps.slice(0, index + 1).join("."));
  }),
]);

/** Reads a configuration in JSON5. Returns what it gives, and every mistake. */
export function readConfiguration(document: Document): { layer: Layer; problems: Problem[] } {
  const reading: Reading = { document, layer: emptyLayer(), problems: [] };
  if (isObject(document.value)) readSection(reading, [], document.value);
  else complain(reading, [], `A configuration is an object in braces, not ${quoteValue(document.value)}`);
  return { layer: reading.layer, problems: reading.problems };
}

interface Reading {
  document: Document;
  layer: Layer;
  problems: Problem[];
}

function readSection(reading: Reading, path: Path, section: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(section)) {
    const at = [...path, name];
    const key = at.join(".");
    // A dot within a key would otherwise pass for two keys.
    const option = name.includes(".") ? undefined : findOptionByKey(key);
    if (option !== undefined) readOptionValue(reading, at, option, value);
    else if (key === "listeners") readListeners(reading, value);
    else if (path[0] === "limits") readLimit(reading, name, value);
    else if (!SECTIONS.has(key)) complainUnknown(reading, at, siblings(path), elsewhere(name));
    else if (isObject(value)) readSection(reading, at, value);
    else complain(reading, at, `${key} must be an object in braces, not ${quoteValue(value)}`);
  }
}

function readOptionValue(reading: Reading, path: Path, option: Option, value: unknown): void {
  if (option.type.kind === "durability") {
    readDurability(reading, path, option, value);
  } else if (option.repeatable !== true) {
    give(reading, path, option, value);
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) give(reading, [...path, index], option, item);
  } else {
    complain(reading, path, `${path.join(".")} must be a list in square brackets, not ${quoteValue(value)}`);
  }
}

function give(reading: Reading, path: Path, option: Option, raw: unknown): void {
  const value = raw === null && option.nullable ? null : readValue(option.type, raw);
  if (value === undefined) {
    const needed = `${describeType(option.type)}${option.nullable ? ", or null" : ""}`;
    const message = `${pathText(path)} must be ${needed}, not ${quoteValue(raw)}`;
    complain(reading, path, message, `As the option --${option.name}: ${option.help}`);
    return;
  }
  const origin = documentOrigin(reading.document, path);
  assign(reading.layer, option, { value, origin, directory: dirname(reading.document.file) });
}

/** One policy for all topics, or an object of policies by topic filter. */
function readDurability(reading: Reading, path: Path, option: Option, value: unknown): void {
  if (!isObject(value)) {
    readPolicy(reading, path, option, DEFAULT_FILTER, value);
    return;
  }
  for (const [topicFilter, policy] of Object.entries(value)) {
    const at = [...path, topicFilter];
    const mistake = filterMistake(topicFilter);
    if (mistake === undefined) readPolicy(reading, at, option, topicFilter, policy);
    else {
      const { document, problems } = reading;
      problems.push(document.problem("error", document.atKey(at), mistake.message, mistake.hint));
    }
  }
}

function readPolicy(reading: Reading, path: Path, { type }: Option, topicFilter: string, raw: unknown): void {
  const value = readValue(type, raw);
  if (value !== undefined) {
    assignDurability(reading.layer, topicFilter, Number(value), documentOrigin(reading.document, path));
    return;
  }
  const message = `${pathText(path)} must be ${describeType(type)}, not ${quoteValue(raw)}`;
  complain(reading, path, message, typeof raw === "string" ? durabilityHint(raw) : undefined);
}

function readLimit(reading: Reading, name: string, raw: unknown): void {
  const limit = PUBLIC_LIMITS.get(name);
  if (limit === undefined) {
    complainUnknown(reading, ["limits", name], [...PUBLIC_LIMITS.keys()], undefined);
    return;
  }
  const value = readValue(limit.type, raw);
  if (value === undefined) {
    const message = `limits.${name} must be ${describeType(limit.type)}, not ${quoteValue(raw)}`;
    complain(reading, ["limits", name], message, `It bounds ${limit.reason}`);
    return;
  }
  const origin = documentOrigin(reading.document, ["limits", name]);
  reading.layer.values.set(`limits.${name}`, [{ value, origin }]);
}

function readListeners(reading: Reading, value: unknown): void {
  if (!Array.isArray(value)) {
    complain(reading, ["listeners"], `listeners must be a list in square brackets, not ${quoteValue(value)}`);
    return;
  }
  if (value.length === 0) complain(reading, ["listeners"], "listeners is empty: nobody could connect");
  const entries = value.map((entry, index) => readListener(reading, ["listeners", index], entry));
  reading.layer.listeners = entries.filter((entry) => entry !== undefined);
}

function readListener(reading: Reading, path: Path, value: unknown): ListenerEntry | undefined {
  if (!isObject(value)) {
    complain(reading, path, `${pathText(path)} must be an object in braces, not ${quoteValue(value)}`);
    return undefined;
  }
  const origin = documentOrigin(reading.document, path);
  // Of types that are not built the other keys are not known yet either: one refusal says it all.
  if (typeof value.type === "string" && listenerNotYet(value.type) !== undefined) return { type: value.type, origin };
  const type = readValue(LISTENER_KEYS.get("type")!.type, value.type ?? "tcp");
  const fields: Record<string, Value | Value[] | Record<string, Value>> = { type: "tcp" };
  for (const [name, raw] of Object.entries(value)) {
    const known = LISTENER_KEYS.get(name);
    const at = [...path, name];
    if (name === "limits") {
      fields.limits = readOwnLimits(reading, at, raw);
      continue;
    }
    if (known === undefined) {
      complainUnknown(reading, at, [...LISTENER_KEYS.keys(), "limits"], undefined);
      continue;
    }
    if (known.of !== undefined && type !== undefined && !known.of.some((other) => other === type)) {
      const types = known.of.join(" or ");
      complain(reading, at, `${pathText(at)} is for listeners of type ${types}; this one is of type ${type}`);
      continue;
    }
    if (known.isList) {
      if (known.needsOne && Array.isArray(raw) && raw.length === 0) {
        const hint = "Leave it out to let in by all of them";
        complain(reading, at, `${pathText(at)} is empty: nobody could connect`, hint);
      }
      fields[known.field] = readList(reading, at, known.type, raw);
      continue;
    }
    const field = readValue(known.type, raw);
    if (field !== undefined) fields[known.field] = field;
    else complain(reading, at, `${pathText(at)} must be ${describeType(known.type)}, not ${quoteValue(raw)}`);
  }
  return { ...fields, origin, directory: dirname(reading.document.file) } as ListenerEntry;
}

/** The limits of one listener. */
function readOwnLimits(reading: Reading, path: Path, given: unknown): Record<string, Value> {
  const limits: Record<string, Value> = {};
  if (!isObject(given)) {
    complain(reading, path, `${pathText(path)} must be an object in braces, not ${quoteValue(given)}`);
    return limits;
  }
  for (const [name, raw] of Object.entries(given)) {
    const type = OWN_LIMITS.get(name);
    const at = [...path, name];
    if (type === undefined) {
      const other = PUBLIC_LIMITS.has(name) ? `limits.${name}` : undefined;
      complainUnknown(reading, at, [...OWN_LIMITS.keys()], other);
      continue;
    }
    const value = readValue(type, raw);
    if (value === undefined) {
      complain(reading, at, `${pathText(at)} must be ${describeType(type)}, not ${quoteValue(raw)}`);
    } else limits[name] = value;
  }
  return limits;
}

/** Those of the values that are of the type. */
function readList(reading: Reading, path: Path, type: ValueType, raw: unknown): Value[] {
  if (!Array.isArray(raw)) {
    complain(reading, path, `${pathText(path)} must be a list in square brackets, not ${quoteValue(raw)}`);
    return [];
  }
  return raw.flatMap((item, index) => {
    const value = readValue(type, item);
    const at = [...path, index];
    if (value === undefined) {
      complain(reading, at, `${pathText(at)} must be ${describeType(type)}, not ${quoteValue(item)}`);
    }
    return value ?? [];
  });
}

function complain(reading: Reading, path: Path, message: string, hint?: string): void {
  reading.problems.push(reading.document.problem("error", reading.document.at(path), message, hint));
}

function complainUnknown(reading: Reading, path: Path, names: readonly string[], other: string | undefined): void {
  const name = String(path.at(-1));
  const nearest = suggest(name, names);
  const hint =
    nearest !== undefined
      ? `Did you mean "${nearest}"?`
      : other !== undefined
        ? `Did you mean "${other}"?`
        : `Known here: ${names.join(", ")}`;
  const { document, problems } = reading;
  problems.push(document.problem("error", document.atKey(path), `Unknown key ${quoteValue(name)}`, hint));
}

/** Names that may stand beside each other at `path`. */
function siblings(path: Path): string[] {
  const prefix = path.map((step) => `${step}.`).join("");
  const inside = [...optionKeys(), ...SECTIONS, "listeners"].filter((key) => key.startsWith(prefix));
  return [...new Set(inside.map((key) => key.slice(prefix.length).split(".")[0]!))];
}

/** Where a name belongs that was put into the wrong object, or is an option's. */
function elsewhere(name: string): string | undefined {
  const option = findOption(name);
  if (option?.key !== undefined) return option.key;
  return OPTIONS.find(({ key }) => key?.split(".").at(-1) === name)?.key;
}

function pathText(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
