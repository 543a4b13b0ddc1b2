import { OPTION_GROUPS, OPTIONS, type Option } from "../src/cli/options.ts";
import { PUBLIC_LIMITS } from "../src/config/limit-names.ts";
import { describeRange, describeType, formatValue } from "../src/config/value.ts";
import { entry, escapeRoff, paragraph, titleLine, verbatim } from "./roff.ts";

/** mqtt-broker.json5(5), as roff, from the table of options. `built`: the date that it bears. */
export function renderConfigurationPage(version: string, built: Date): string {
  const lines = [
    titleLine("mqtt-broker.json5", 5, version, built),
    ".SH NAME",
    escapeRoff("mqtt-broker.json5 - configuration of the MQTT broker"),
    ".SH DESCRIPTION",
    escapeRoff(DESCRIPTION),
    ...paragraph(STRUCTURE),
    ...verbatim(EXAMPLE),
    ...paragraph("mqtt-broker check tells every mistake in it, with line and column, and what would listen."),
    ".SH KEYS",
    ...OPTION_GROUPS.flatMap(groupToRoff),
    ".SS limits",
    ...limitsToRoff("limits."),
    ".SH FILES",
    ...entry("/etc/mqtt-broker/mqtt-broker.json5", "The file of the service."),
    ...entry(
      "/etc/mqtt-broker/conf.d/*.json5",
      "Merged into it by name: lists append, of other values the last one wins.",
    ),
    ".SH SEE ALSO",
    ".BR mqtt\\-broker (1)",
  ];
  return `${lines.join("\n")}\n`;
}

/** The limits, with `prefix` before their names. */
export function limitsToRoff(prefix: string): string[] {
  return [...PUBLIC_LIMITS].flatMap(([name, { type, default: value, reason }]) =>
    entry(`${prefix}${name}`, `${reason} [default: ${formatValue(type, value)}; ${describeRange(type)}]`),
  );
}

function groupToRoff(group: (typeof OPTION_GROUPS)[number]): string[] {
  const options = OPTIONS.filter((option) => option.group === group && option.key !== undefined);
  if (options.length === 0) return [];
  return [`.SS ${escapeRoff(group)}`, ...options.flatMap((option) => entry(option.key!, meaning(option)))];
}

function meaning(option: Option): string {
  const { type, repeatable, nullable } = option;
  const taken = `${repeatable === true ? "A list; each is " : ""}${describeType(type)}${nullable === true ? ", or null" : ""}`;
  const held =
    option.default === undefined
      ? option.defaultText === undefined
        ? ""
        : ` [default: ${option.defaultText}]`
      : ` [default: ${formatValue(type, option.default)}]`;
  return `${option.help}${held}. ${taken.charAt(0).toUpperCase()}${taken.slice(1)}. As option: --${option.name}.`;
}

const DESCRIPTION =
  "The file is JSON5: JSON with comments, keys without quotes, and commas where they are convenient. A key that does not exist " +
  "is a mistake, not ignored. Paths are relative to the folder of the file. Options and the environment stand above it. A " +
  "change is taken up when the file is saved, or at SIGHUP; what needs a restart is named in the log.";

const STRUCTURE =
  "A dot in the names below leads into an object: mqtt.retain is retain in mqtt. The list listeners has one object for each way " +
  "in, with type, host and port or path, and keys of its own that hold there only.";

const EXAMPLE = [
  "{",
  '  listeners: [{ name: "main", type: "tcp", host: "::", port: 1883 }],',
  "  mqtt: { retain: true },",
  '  limits: { clients: 500, linkStall: "30s" },',
  "}",
];
