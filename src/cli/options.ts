import type { Value, ValueType } from "../config/value.ts";
import { OPTION_TABLE } from "./option-table.ts";

/** Headings of the help, in its order. */
export const OPTION_GROUPS = [
  "Files",
  "Listeners",
  "MQTT-SN",
  "Discovery",
  "TLS",
  "Sockets",
  "Who may connect",
  "MQTT",
  "Compatibility",
  "Sessions and queues",
  "Limits",
  "Storage",
  "System topics",
  "Log",
  "Extensions",
  "Options of other brokers, without effect here",
  "Other",
] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

/** One option of `run` and `check`: parser, help, README, environment and configuration keys all come from here. */
export interface Option {
  /** Without dashes: "tcp-port" is --tcp-port and MQTT_BROKER_TCP_PORT. */
  name: string;
  /** Further names; one of a single letter has one dash. */
  aliases?: readonly string[];
  group: OptionGroup;
  /** Key of the configuration file, "mqtt.retain"; an option without one exists on the command line only. */
  key?: string;
  type: ValueType;
  metavar?: string;
  /** May be given several times, and is a list in the configuration. */
  repeatable?: true;
  /** "none" (null in a file) takes the value away. */
  nullable?: true;
  default?: Value;
  /** What holds without the option, where that is not a value. */
  defaultText?: string;
  /** One sentence for a person, without a full stop. */
  help: string;
  /** Why it is accepted and changes nothing, and what to do instead: shown once as a warning. */
  ignored?: string;
  /** Why starting is refused: the feature is not built yet. Without it the option works. */
  notYet?: string;
  /** Only these values are not built yet. */
  notYetValues?: readonly string[];
}

/** All options, in the order of the help. */
export const OPTIONS: readonly Option[] = OPTION_TABLE;

const BY_NAME = new Map(OPTIONS.flatMap((option) => namesOf(option).map((name) => [name, option] as const)));
const BY_KEY = new Map(OPTIONS.filter((option) => option.key !== undefined).map((option) => [option.key!, option]));

/** The option called `name` (without dashes), also by an alias. */
export function findOption(name: string): Option | undefined {
  return BY_NAME.get(name);
}

/** The option of the configuration key `key`, such as "mqtt.retain". */
export function findOptionByKey(key: string): Option | undefined {
  return BY_KEY.get(key);
}

/** Every configuration key that is an option's. */
export function optionKeys(): string[] {
  return [...BY_KEY.keys()];
}

/** Name and aliases, without dashes. */
export function namesOf(option: Option): string[] {
  return [option.name, ...(option.aliases ?? [])];
}

/** "MQTT_BROKER_TCP_PORT"; help and version have no environment name. */
export function environmentName(option: Option): string | undefined {
  if (option.name === "help" || option.name === "version") return undefined;
  return `MQTT_BROKER_${option.name.toUpperCase().replaceAll("-", "_")}`;
}
