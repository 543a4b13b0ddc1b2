import { COMMANDS, type Command } from "../src/cli/arguments.ts";
import { AUTH_COMMANDS } from "../src/cli/auth.ts";
import { AUTH_IMPORT_HELP } from "../src/cli/auth-import.ts";
import { AUTH_LEARN_HELP } from "../src/cli/auth-learn.ts";
import { BANNED_HELP } from "../src/cli/banned.ts";
import { certsHelp } from "../src/cli/certs-options.ts";
import { clientHelp } from "../src/cli/client-help.ts";
import { DISCOVER_HELP } from "../src/cli/discover-options.ts";
import { EXPLAIN_HELP } from "../src/cli/explain-options.ts";
import { description, usage } from "../src/cli/help.ts";
import { INTERACTIVE_HELP } from "../src/cli/interactive-options.ts";
import { OPTION_GROUPS, OPTIONS } from "../src/cli/options.ts";
import { passwdHelp } from "../src/cli/passwd-options.ts";
import { REHEARSAL_HELP } from "../src/cli/rehearse.ts";
import { storeHelp } from "../src/cli/store.ts";
import { limitsToRoff } from "./man-configuration.ts";
import { entry, escapeRoff, helpToRoff, paragraph, titleLine, verbatim } from "./roff.ts";

/** The help of each command that has options of its own; `run` and `check` have those of the table. */
const HELPS: Readonly<Record<Exclude<Command, "run" | "check">, readonly string[]>> = {
  pub: [clientHelp("pub")],
  sub: [clientHelp("sub")],
  rr: [clientHelp("rr")],
  client: [INTERACTIVE_HELP],
  store: [storeHelp()],
  passwd: [passwdHelp()],
  auth: [authCommands(), AUTH_IMPORT_HELP, AUTH_LEARN_HELP],
  explain: [EXPLAIN_HELP],
  banned: [BANNED_HELP],
  certs: [certsHelp()],
  discover: [DISCOVER_HELP],
};

/** mqtt-broker(1), as roff, from the tables that the program itself reads. `built`: the date that it bears. */
export function renderManPage(version: string, built: Date): string {
  const lines = [
    titleLine("mqtt-broker", 1, version, built),
    ".SH NAME",
    escapeRoff("mqtt-broker - an MQTT 3.1, 3.1.1 and 5.0 broker, and clients for it"),
    ".SH SYNOPSIS",
    ".B mqtt\\-broker",
    "[\\fIcommand\\fR] [\\fIoptions\\fR]",
    ".SH DESCRIPTION",
    escapeRoff(DESCRIPTION),
    ".SH COMMANDS",
    escapeRoff("Each has a section of its own below; those of run and check have the options of the next section."),
    ...Object.entries(COMMANDS).flatMap(([name, meaning]) => entry(name, `${meaning}.`)),
    ".SH OPTIONS",
    escapeRoff(HOW_TO_WRITE),
    ...OPTION_GROUPS.flatMap(groupToRoff),
    ...Object.entries(HELPS).flatMap(([name, texts]) => [
      `.SH ${escapeRoff(`mqtt-broker ${name}`).toUpperCase()}`,
      ...texts.flatMap(helpToRoff),
    ]),
    `.SH ${escapeRoff("mqtt-broker check --against-traffic").toUpperCase()}`,
    ...helpToRoff(REHEARSAL_HELP),
    ".SH ENVIRONMENT",
    escapeRoff(ENVIRONMENT),
    ".SH FILES",
    ...Object.entries(FILES).flatMap(([name, meaning]) => entry(name, meaning)),
    ".SH SIGNALS",
    ...Object.entries(SIGNALS).flatMap(([name, meaning]) => entry(name, meaning)),
    ".SH EXIT STATUS",
    ...Object.entries(EXIT_CODES).flatMap(([name, meaning]) => entry(name, meaning)),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap(([meaning, line]) => [...paragraph(meaning), ...verbatim([line])]),
    ".SH SEE ALSO",
    ".BR mqtt\\-broker.json5 (5),",
    ".BR mosquitto_pub (1),",
    ".BR journalctl (1),",
    ".BR systemctl (1)",
  ];
  return `${lines.join("\n")}\n`;
}

function groupToRoff(group: (typeof OPTION_GROUPS)[number]): string[] {
  const options = OPTIONS.filter((option) => option.group === group);
  const lines = [`.SS ${escapeRoff(group)}`, ...options.flatMap((option) => entry(usage(option), description(option)))];
  if (group !== "Limits") return lines;
  return [...lines, ...paragraph("The limits are:"), ...limitsToRoff("")];
}

function authCommands(): string {
  const lines = Object.entries(AUTH_COMMANDS).map(([name, { help }]) => `  ${name}  ${help}.`);
  return `Commands:\n${lines.join("\n")}`;
}

const DESCRIPTION =
  "Without a command, or with run, it is a broker: on port 1883 of all addresses as long as no listener is given. Clients on " +
  "the same machine may connect without a password, and nobody else until auth.json5 says so; passwd add lets somebody in. " +
  "Sessions, what waits for absent clients and retained messages are kept on disk.";

const HOW_TO_WRITE =
  "Booleans are switched on by their name, by =true or a following true, and off by =false, false or a no- before the name. " +
  "Durations are 250ms, 10s, 1h30m or 30d, a bare number is seconds. Sizes are 64KiB, 2MiB or 1GB, a bare number is bytes. " +
  "One dash is as good as two.";

const ENVIRONMENT =
  "Every option can be given by a variable of its name in capitals, --tcp-port by MQTT_BROKER_TCP_PORT, lists with commas. An " +
  "option beats the environment, and that the file. CONFIGURATION_DIRECTORY, STATE_DIRECTORY, LISTEN_FDS and NOTIFY_SOCKET " +
  "are those of systemd.";

const FILES: Readonly<Record<string, string>> = {
  "/etc/mqtt-broker/mqtt-broker.json5":
    "The configuration of the service, and of commands that find none in the folder where they are started. Taken up when it is saved.",
  "/etc/mqtt-broker/conf.d/*.json5": "Put on top of it, in the order of their names.",
  "/etc/mqtt-broker/auth.json5": "Users, groups and rules. Taken up when it is saved, whole or not at all.",
  "/var/lib/mqtt-broker": "What the service keeps: mqtt-broker.db, an SQLite file, and traffic.jsonl.",
};

const SIGNALS: Readonly<Record<string, string>> = {
  "SIGTERM, SIGINT": "Stop in order, within five seconds; a second one ends it at once.",
  SIGHUP: "Read configuration, users, rules and certificates again.",
};

const EXIT_CODES: Readonly<Record<string, string>> = {
  "0": "Stopped as it was asked to.",
  "1": "Failed to start or while it ran, or what it wrote on standard output was lost: the disk is full.",
  "2": "A mistake in the options or in the configuration, before anything was opened.",
};

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["Let in somebody from elsewhere, with a password:", "mqtt-broker passwd add kim"],
  ["See all that is published:", "mqtt-broker sub -t '#' -v"],
  ["What is wrong with the configuration, and what would listen?", "mqtt-broker check"],
  ["A backup, while the broker runs:", "mqtt-broker store export backup.jsonl"],
];
