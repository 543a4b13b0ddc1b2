import { DEFAULT_FILTER, durabilityHint, filterMistake } from "../config/durability.ts";
import { assign, assignDurability, emptyLayer, type GivenLayers, type Layer, wordOrigin } from "../config/layer.ts";
import { PUBLIC_LIMITS } from "../config/limit-names.ts";
import { describeType, parseValue, quoteValue } from "../config/value.ts";
import { type Problem, placelessProblem } from "../text/problem.ts";
import { suggest } from "../text/suggest.ts";
import { environmentName, findOption, namesOf, OPTIONS, type Option } from "./options.ts";
import { isRehearsal } from "./rehearsal-words.ts";

/** Commands and what they do, in the order of the help. */
export const COMMANDS = {
  run: "Run the broker; the default",
  check:
    "Read the configuration, report every mistake, and say what would listen; with --against-traffic FILE, whom a new " +
    "auth.json5 would deny or allow something",
  pub: "Publish a message",
  sub: "Subscribe and print messages",
  rr: "Send a request and print the response",
  client: "Talk to a broker interactively",
  store: "Inspect, verify, back up, restore, repair or compact what is kept on disk",
  passwd: "Add, list, remove and verify users, or take them over from Mosquitto",
  auth: "Make a file of users and rules from Mosquitto's or mochi's, or from what was used",
  explain: "Say whether a user may use a topic, and which rule decides",
  banned: "Show the addresses that the running broker has banned, or lift a ban",
  certs: "Make, show, renew and revoke certificates for TLS",
  discover: "Find brokers in the networks of this machine, and test whether they answer",
} as const;
export type Command = keyof typeof COMMANDS;

/** With an error among the problems the command must not start (exit 2). */
export interface CommandLine extends GivenLayers {
  command: Command | "help" | "version";
  /** The arguments after a command that reads them itself: every one but `run` and `check` (but check --against-traffic). */
  rest: readonly string[];
}

/** Options of mochi and mosquitto that we call otherwise, where the spelling alone would not tell. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  ws: "ws-port",
  "tls-cert-file": "server-crt",
  "tls-key-file": "server-key",
  c: "config",
  p: "tcp-port",
  v: "log-level",
};

/**
 * Reads the arguments (without program and script) and the environment's MQTT_BROKER_… names.
 * Never throws: mistakes are `problems`, all of them. Empty environment values count as unset.
 */
export function parseCommandLine(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const line: CommandLine = {
    command: "run",
    rest: [],
    options: emptyLayer(),
    environment: emptyLayer(),
    problems: [],
  };
  let start = 0;
  const first = argv[0];
  if (first !== undefined && first !== "" && !first.startsWith("-")) {
    start = 1;
    readCommand(line, first);
  }
  // A rehearsal is another thing than checking the configuration, and has options of its own.
  const readsItself = line.command !== "run" && line.command !== "check";
  if (readsItself || (line.command === "check" && isRehearsal(argv))) {
    line.rest = argv.slice(start);
    return line;
  }
  readOptions(line, argv.slice(start));
  readEnvironment(line, environment);
  return line;
}

function readCommand(line: CommandLine, word: string): void {
  if (Object.hasOwn(COMMANDS, word) || word === "help" || word === "version") {
    line.command = word as CommandLine["command"];
    return;
  }
  const nearest = suggest(word, Object.keys(COMMANDS));
  const hint = nearest === undefined ? "mqtt-broker --help lists the commands" : `Did you mean "${nearest}"?`;
  line.problems.push(placelessProblem("error", `Unknown command ${quoteValue(word)}`, hint));
}

function readOptions(line: CommandLine, argv: readonly string[]): void {
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!;
    if (word === "--" || !/^-./.test(word)) {
      for (const extra of word === "--" ? argv.slice(index + 1) : [word]) {
        line.problems.push(placelessProblem("error", `Unexpected argument ${quoteValue(extra)}`, extraHint(extra)));
      }
      if (word === "--") return;
      continue;
    }
    if (readOption(line, word, argv[index + 1])) index++;
  }
}

/** Reads the option `word`; true when `next` was its value. */
function readOption(line: CommandLine, word: string, next: string | undefined): boolean {
  const [, dashes, typed, inline] = /^(--?)([^=]*)(?:=(.*))?$/s.exec(word)!;
  const negated = typed!.startsWith("no-") ? findOption(typed!.slice(3)) : undefined;
  const option = findOption(typed!) ?? (negated?.type.kind === "boolean" ? negated : undefined);
  // Go programs write -config, so one dash is as good as two; but --h is not -h.
  if (option === undefined || (dashes === "--" && typed!.length === 1)) {
    line.problems.push(unknownOption(word, typed!));
    return false;
  }
  const name = `${dashes}${typed}`;
  if (option.name === "help" || option.name === "version") {
    if (line.command !== "help") line.command = option.name;
    return false;
  }
  if (option === negated) {
    if (inline !== undefined) line.problems.push(placelessProblem("error", `${name} takes no value`));
    else assign(line.options, option, { value: false, origin: wordOrigin(name) });
    return false;
  }
  if (inline !== undefined) {
    give(line, line.options, option, name, inline);
    return false;
  }
  if (option.type.kind === "boolean" && !isFollowingValue(option, next)) {
    assign(line.options, option, { value: true, origin: wordOrigin(name) });
    return false;
  }
  if (next === undefined || (/^-/.test(next) && !/^-\d/.test(next))) {
    line.problems.push(placelessProblem("error", `${name} needs a value: ${describeType(option.type)}`));
    return false;
  }
  give(line, line.options, option, name, next);
  return true;
}

/** The word after a boolean is its value only when it can be nothing else, as in mqtt-broker-tokio. */
function isFollowingValue({ type }: Option, next: string | undefined): boolean {
  if (type.kind !== "boolean" || next === undefined) return false;
  return next === "true" || next === "false" || (type.words?.includes(next) ?? false);
}

function unknownOption(word: string, typed: string): Problem {
  const other = Object.hasOwn(OTHER_NAMES, typed) ? OTHER_NAMES[typed] : undefined;
  const nearest = other ?? suggest(typed, OPTIONS.flatMap(namesOf));
  const hint = nearest === undefined ? "mqtt-broker --help lists the options" : `Did you mean ${dashed(nearest)}?`;
  return placelessProblem("error", `Unknown option ${word.replace(/=.*$/s, "")}`, hint);
}

function extraHint(word: string): string | undefined {
  return Object.hasOwn(COMMANDS, word) ? "A command stands before the options" : undefined;
}

/** "--log-level", "-h". */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

function give(line: CommandLine, layer: Layer, option: Option, name: string, text: string): void {
  if (option.type.kind === "limit") {
    giveLimit(line, layer, name, text);
    return;
  }
  if (option.type.kind === "durability") {
    giveDurability(line, layer, option, name, text);
    return;
  }
  const value = option.nullable && text === "none" ? null : parseValue(option.type, text);
  if (value === undefined) {
    const needed = `${describeType(option.type)}${option.nullable ? ", or none" : ""}`;
    line.problems.push(placelessProblem("error", `${name} needs ${needed}, not ${quoteValue(text)}`));
    return;
  }
  assign(layer, option, { value, origin: wordOrigin(name) });
}

function giveLimit(line: CommandLine, layer: Layer, name: string, text: string): void {
  const [, limitName, valueText] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (limitName === undefined || valueText === undefined) {
    line.problems.push(
      placelessProblem("error", `${name} needs NAME=VALUE, such as clients=500, not ${quoteValue(text)}`),
    );
    return;
  }
  const limit = PUBLIC_LIMITS.get(limitName);
  if (limit === undefined) {
    const nearest = suggest(limitName, PUBLIC_LIMITS.keys());
    const hint =
      nearest === undefined ? `Limits: ${[...PUBLIC_LIMITS.keys()].join(", ")}` : `Did you mean "${nearest}"?`;
    line.problems.push(placelessProblem("error", `${name}: Unknown limit ${quoteValue(limitName)}`, hint));
    return;
  }
  const value = parseValue(limit.type, valueText);
  if (value === undefined) {
    const message = `${name} ${limitName} needs ${describeType(limit.type)}, not ${quoteValue(valueText)}`;
    line.problems.push(placelessProblem("error", message));
    return;
  }
  layer.values.set(`limits.${limitName}`, [{ value, origin: wordOrigin(`${name} ${limitName}`) }]);
}

/** POLICY for all topics, or FILTER=POLICY; the last equals sign counts, since filters may have some. */
function giveDurability(line: CommandLine, layer: Layer, { type }: Option, name: string, text: string): void {
  const [, topicFilter = DEFAULT_FILTER, policy = text] = /^(.*)=([^=]*)$/s.exec(text) ?? [];
  const mistake = filterMistake(topicFilter);
  if (mistake !== undefined) {
    line.problems.push(placelessProblem("error", `${name}: ${mistake.message}`, mistake.hint));
    return;
  }
  const origin = topicFilter === DEFAULT_FILTER ? name : `${name} ${topicFilter}`;
  const value = parseValue(type, policy);
  if (value === undefined) {
    const message = `${origin} needs ${describeType(type)}, not ${quoteValue(policy)}`;
    line.problems.push(placelessProblem("error", message, durabilityHint(policy)));
    return;
  }
  assignDurability(layer, topicFilter, Number(value), wordOrigin(origin));
}

/** The settings of a serial line have commas too, but its path is absolute. */
function separatorOf({ type }: Option): RegExp {
  return type.kind === "line" ? /,(?=\s*\/)/ : /,/;
}

function readEnvironment(line: CommandLine, environment: Readonly<Record<string, string | undefined>>): void {
  const byName = new Map(OPTIONS.map((option) => [environmentName(option), option]));
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith("MQTT_BROKER_") || text === undefined || text === "") continue;
    const option = byName.get(name);
    if (option !== undefined) {
      // A list is one variable; commas are in no port, limit and policy, and can be kept out of a path and a filter.
      const parts = option.repeatable ? text.split(separatorOf(option)).map((part) => part.trim()) : [text.trim()];
      for (const part of parts) give(line, line.environment, option, name, part);
    } else {
      const nearest = suggest(
        name,
        [...byName.keys()].filter((known) => known !== undefined),
      );
      const hint = nearest === undefined ? undefined : `Did you mean ${nearest}?`;
      line.problems.push(placelessProblem("warning", `Environment variable ${name} is no option's: ignored`, hint));
    }
  }
}
