import { findOptionByKey, type Option } from "../cli/options.ts";
import type { Document, Path } from "../text/document.ts";
import { type Problem, placelessProblem } from "../text/problem.ts";
import type { ListenerEntry } from "./listener.ts";
import type { Value } from "./value.ts";

/** Where a value was given: its name for messages, and how to complain about it there. */
export interface Origin {
  /** "--tcp-port", "MQTT_BROKER_TCP_PORT", or "mqtt-broker.json5:3:5". */
  readonly name: string;
  problem(severity: Problem["severity"], message: string, hint?: string): Problem;
}

export interface Assignment {
  value: Value | null;
  origin: Origin;
  /** Directory that a relative path starts from; undefined: the working directory. */
  directory?: string | undefined;
}

/**
 * What one source gives: the command line, the environment, or one file. Values by configuration key, by
 * "limits.NAME" for limits, by "store.durability.FILTER" for policies, and by the option's name where it has no key. Only repeatable options have several.
 */
export interface Layer {
  values: Map<string, Assignment[]>;
  /** undefined: the source says nothing about listeners. */
  listeners: ListenerEntry[] | undefined;
}

/** What the command line and the environment gave, and what was wrong with them. */
export interface GivenLayers {
  options: Layer;
  environment: Layer;
  problems: Problem[];
}

export function emptyLayer(): Layer {
  return { values: new Map(), listeners: undefined };
}

/** The name of an option's values in a layer. */
export function layerKey(option: Option): string {
  return option.key ?? option.name;
}

/** Policies of durability stand in a layer one by one, by their filters, so that a stronger source replaces just those it names. */
export const DURABILITY_KEY = "store.durability";

/** Sets the policy of one filter, or of "default". */
export function assignDurability(layer: Layer, topicFilter: string, value: number, origin: Origin): void {
  layer.values.set(`${DURABILITY_KEY}.${topicFilter}`, [{ value, origin }]);
}

/** Adds a value: of a repeatable option one more, of another the only one. */
export function assign(layer: Layer, option: Option, assignment: Assignment): void {
  const key = layerKey(option);
  const before = option.repeatable === true ? layer.values.get(key) : undefined;
  layer.values.set(key, [...(before ?? []), assignment]);
}

/** Lays a drop-in file over what was before: lists append, of single values the last wins. */
export function append(under: Layer, over: Layer): Layer {
  const values = new Map(under.values);
  for (const [key, assignments] of over.values) {
    const before = findOptionByKey(key)?.repeatable === true ? under.values.get(key) : undefined;
    values.set(key, [...(before ?? []), ...assignments]);
  }
  const lists = [under.listeners, over.listeners].filter((list) => list !== undefined);
  return { values, listeners: lists.length === 0 ? undefined : lists.flat() };
}

/** Lays a stronger source over a weaker one: what it gives replaces what was before, lists too. */
export function override(under: Layer, over: Layer): Layer {
  return { values: new Map([...under.values, ...over.values]), listeners: over.listeners ?? under.listeners };
}

/** An option or an environment variable. */
export function wordOrigin(name: string): Origin {
  return { name, problem: (severity, message, hint) => placelessProblem(severity, `${name}: ${message}`, hint) };
}

/** The value at `path` of a file. */
export function documentOrigin(document: Document, path: Path): Origin {
  const position = document.at(path);
  return {
    name: `${document.file}:${position.line}:${position.column}`,
    problem: (severity, message, hint) => document.problem(severity, position, message, hint),
  };
}
