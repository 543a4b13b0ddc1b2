import { PUBLIC_LIMITS } from "../config/limit-names.ts";
import { describeRange, formatValue, type ValueType } from "../config/value.ts";
import { COMMANDS, dashed } from "./arguments.ts";
import { OPTION_GROUPS, OPTIONS, type Option } from "./options.ts";

/** Columns of the help, and of its left side with the options. */
const WIDTH = 100;
const LEFT = 34;

/** Where the README's list of options begins and ends. */
const MARKERS = { begin: "<!-- options -->", end: "<!-- /options -->" };

/** The text of --help: at most 100 columns, from the table of options. Ends with a newline. */
export function renderHelp(): string {
  const lines = [
    "mqtt-broker: an MQTT 3.1, 3.1.1 and 5.0 broker",
    "",
    "Usage: mqtt-broker [COMMAND] [OPTIONS]",
    "",
    "Commands (all but run and check have a --help of their own):",
    ...Object.entries(COMMANDS).flatMap(([name, help]) => entry(`  ${name}`, help)),
  ];
  for (const group of OPTION_GROUPS) {
    lines.push("", `${group}:`);
    for (const option of OPTIONS) {
      if (option.group === group) lines.push(...entry(`  ${usage(option)}`, description(option)));
    }
    if (group !== "Limits") continue;
    for (const [name, { type, default: value, reason }] of PUBLIC_LIMITS) {
      lines.push(...entry(`    ${name}`, `${capital(reason)} ${inBrackets([defaultOf(type, value), range(type)])}`));
    }
  }
  lines.push("", ...wrap(NOTES, WIDTH));
  return `${lines.join("\n")}\n`;
}

const NOTES =
  "Every option can be given in the environment, --tcp-port as MQTT_BROKER_TCP_PORT, lists with commas; and nearly " +
  "every one in the configuration file. An option beats the environment, that beats the file. Booleans: --sys, " +
  "--sys=false, --sys false or --no-sys. Durations: 250ms, 10s, 1h30m, 30d; a bare number is seconds. Sizes: 64KiB, " +
  "2MiB, 1GB; a bare number is bytes. Exit codes: 0 stopped in order, 1 failed while running, 2 bad usage or " +
  "configuration.";

/** The options as tables for the README. Ends with a newline. */
export function renderOptionsMarkdown(): string {
  const lines: string[] = [];
  for (const group of OPTION_GROUPS) {
    lines.push(`**${group}**`, "", "| Option | Configuration | Meaning |", "|---|---|---|");
    for (const option of OPTIONS) {
      if (option.group !== group) continue;
      const key = option.key === undefined ? "" : `\`${option.key}\``;
      lines.push(`| \`${cell(usage(option))}\` | ${key} | ${cell(markdownMeaning(option))} |`);
    }
    lines.push("");
    if (group === "Limits") lines.push(...limitsTable(), "");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

/**
 * The README with its list of options made anew between the markers.
 * undefined when the text has not both markers in their order.
 */
export function withOptions(readme: string): string | undefined {
  const begin = readme.indexOf(MARKERS.begin);
  const end = readme.indexOf(MARKERS.end, begin);
  if (begin < 0 || end < 0) return undefined;
  const before = readme.slice(0, begin + MARKERS.begin.length);
  return `${before}\n${renderOptionsMarkdown()}${readme.slice(end)}`;
}

function limitsTable(): string[] {
  const rows = [...PUBLIC_LIMITS].map(([name, { type, default: value, reason }]) => {
    return `| \`${name}\` | ${formatValue(type, value)} | ${range(type)} | ${cell(capital(reason))} |`;
  });
  return ["| Limit | Default | Range | Meaning |", "|---|---|---|---|", ...rows];
}

/** "--log-level, --log LEVEL". */
export function usage(option: Option): string {
  const names = [...(option.aliases ?? []).filter((name) => name.length === 1), option.name].map(dashed);
  for (const alias of option.aliases ?? []) if (alias.length > 1) names.push(dashed(alias));
  const value = metavar(option);
  return value === "" ? names.join(", ") : `${names.join(", ")} ${value}`;
}

function metavar({ type, metavar: own }: Option): string {
  if (own !== undefined) return own;
  switch (type.kind) {
    case "boolean":
      return "";
    case "enum":
      return type.values.join("|");
    case "integer":
      return "NUMBER";
    default:
      return type.kind.toUpperCase();
  }
}

/** What it does, with default, range and further facts in brackets. */
export function description(option: Option): string {
  if (option.ignored !== undefined) return option.help;
  return `${option.help} ${inBrackets(facts(option))}`.trimEnd();
}

function markdownMeaning(option: Option): string {
  const why = option.ignored ?? option.notYet;
  const reason =
    why === undefined ? "" : ` ${option.ignored === undefined ? notBuilt(option) : "Without effect"}: ${why}.`;
  const known = facts(option).filter((fact) => !fact.startsWith("not built yet"));
  return `${option.help}${known.length === 0 ? "" : ` (${known.join("; ")})`}.${reason}`;
}

/** What stands in brackets after an option's sentence. */
function facts(option: Option): string[] {
  const { type } = option;
  return [
    option.default === undefined ? "" : defaultOf(type, option.default),
    option.defaultText === undefined ? "" : `default: ${option.defaultText}`,
    type.kind === "boolean" && type.words !== undefined ? ["true", "false", ...type.words].join(", ") : "",
    range(type),
    option.repeatable === true ? "repeatable" : "",
    option.notYet === undefined ? "" : notBuilt(option).toLowerCase(),
  ].filter((fact) => fact !== "");
}

function notBuilt({ notYetValues }: Option): string {
  return `Not built yet${notYetValues === undefined ? "" : ` (${notYetValues.join(", ")})`}`;
}

function defaultOf(type: ValueType, value: Parameters<typeof formatValue>[1]): string {
  return `default: ${formatValue(type, value)}`;
}

function range(type: ValueType): string {
  return describeRange(type).replace("from ", "");
}

function inBrackets(parts: readonly string[]): string {
  return parts.length === 0 ? "" : `[${parts.join("; ")}]`;
}

/** One entry of a list: the name at the left, the text beside it, or below when the name is long. */
function entry(left: string, text: string): string[] {
  const [first = "", ...others] = wrap(text, WIDTH - LEFT);
  const rest = others.map((line) => " ".repeat(LEFT) + line);
  if (left.length + 2 > LEFT) return [left, " ".repeat(LEFT) + first, ...rest];
  return [left.padEnd(LEFT) + first, ...rest];
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** A bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
