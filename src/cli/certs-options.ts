import { RESERVED_NAMES } from "../certs/folder.ts";
import { COMMON_NAME_MAX, parseServerName, type ServerName } from "../certs/names.ts";
import { UsageError } from "./client-io.ts";
import { choose, readWords, type WordOption, type Words } from "./words.ts";

/** What `mqtt-broker certs` can do, in the order of its help. */
export const CERTS_COMMANDS = {
  init: {
    takes: "",
    help: "Make an authority (CA) and a certificate for this machine's names and addresses",
    options: ["name", "days", "ca-days", "force"],
  },
  client: {
    takes: "NAME",
    help: "Make a certificate by which a client logs in without a password",
    options: ["days", "password-stdin", "force"],
  },
  show: { takes: "[FILE…]", help: "What certificates say; exit 1 when one is not valid now", options: [] },
  renew: {
    takes: "",
    help: "Make the server's certificate anew, for new names and addresses too",
    options: ["name", "days", "new-key", "if-needed", "force"],
  },
  revoke: { takes: "NAME", help: "Take a client's certificates back, by the list ca.crl", options: ["force"] },
} as const;
export type CertsCommand = keyof typeof CERTS_COMMANDS;

interface CertsOption extends WordOption {
  metavar?: string;
  help: string;
}

/** Beside --dir and --config, which all commands have. */
export const CERTS_OPTIONS: Readonly<Record<string, CertsOption>> = {
  dir: { takes: "a folder", metavar: "DIR", help: "Where the files are; else certs beside the configuration" },
  config: { takes: "the path of a file", metavar: "FILE", help: "The configuration beside which they are" },
  name: { takes: "a host name or address", metavar: "HOST", help: "init, renew: one more name; repeatable" },
  days: { takes: "a number of days", metavar: "N", help: "How long it is good; 825 for the server, 1825 for clients" },
  "ca-days": { takes: "a number of days", metavar: "N", help: "init: how long the authority is good; 3650" },
  "password-stdin": { help: "client: read the password of NAME.p12 from standard input" },
  "new-key": { help: "renew: with a new key too" },
  "if-needed": {
    takes: "a number of days",
    metavar: "DAYS",
    help: "renew: only when it ends in DAYS or lacks a name or address",
  },
  force: { help: "Replace files that exist; go by a clock that is not set" },
};

const DEFAULT_DAYS = { server: 825, client: 1825, authority: 3650 } as const;
const DAYS_MAX = 36_500;

export interface CertsOptions {
  command: CertsCommand;
  /** The client's name, or the files of `show`. */
  subjects: readonly string[];
  dir: string | undefined;
  config: string | undefined;
  names: readonly ServerName[];
  days: number;
  authorityDays: number;
  passwordStdin: boolean;
  newKey: boolean;
  /** Days; undefined: in any case. */
  ifNeeded: number | undefined;
  force: boolean;
}

/** Reads the words after `certs`. Returns "help" when that is asked for; throws UsageError. */
export function parseCertsOptions(argv: readonly string[]): CertsOptions | "help" {
  const words = readWords("certs", argv, CERTS_OPTIONS);
  const [word, ...subjects] = words.plain;
  if (words.help || word === undefined || word === "help") return "help";
  const commands = Object.keys(CERTS_COMMANDS) as CertsCommand[];
  const command = choose("command certs", word, commands, "mqtt-broker certs --help lists them");
  const { takes, options } = CERTS_COMMANDS[command];
  const known: readonly string[] = ["dir", "config", ...options];
  const other = Object.keys(CERTS_OPTIONS).find((name) => words.has(name) && !known.includes(name));
  if (other !== undefined) throw new UsageError(`--${other} is no option of certs ${command}`);
  const extra = takes === "" ? subjects[0] : takes === "NAME" ? subjects[1] : undefined;
  if (extra !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(extra)}`);
  if (takes === "NAME") demandClientName(command, subjects[0]);
  return {
    command,
    subjects,
    dir: words.value("dir"),
    config: words.value("config"),
    names: words.values("name").map(demandServerName),
    days: days(words, "days", command === "client" ? DEFAULT_DAYS.client : DEFAULT_DAYS.server),
    authorityDays: days(words, "ca-days", DEFAULT_DAYS.authority),
    passwordStdin: words.has("password-stdin"),
    newKey: words.has("new-key"),
    ifNeeded: words.has("if-needed") ? days(words, "if-needed", 0) : undefined,
    force: words.has("force"),
  };
}

function days(words: Words, name: string, otherwise: number): number {
  const text = words.value(name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= DAYS_MAX) return value;
  throw new UsageError(`--${name} needs a number of days from 1 to ${DAYS_MAX}, not ${JSON.stringify(text)}`);
}

function demandServerName(text: string): ServerName {
  const name = parseServerName(text);
  if (name !== undefined) return name;
  throw new UsageError(`--name needs a host name such as box.example.org, or an address, not ${JSON.stringify(text)}`);
}

/** It is a common name and, with an ending, the name of files. */
function demandClientName(command: string, name: string | undefined): void {
  if (name === undefined || name === "") throw new UsageError(`certs ${command} needs a NAME, that of the client`);
  if ([...name].length > COMMON_NAME_MAX) {
    throw new UsageError(`The name has more than the ${COMMON_NAME_MAX} characters that a certificate takes`);
  }
  if (/[/\\]|^[.@*]|\p{Cc}/u.test(name)) {
    const reason = 'it is also the name of files and of a user: no "/" or "\\", no ".", "@" or "*" in front';
    throw new UsageError(`${JSON.stringify(name)} cannot be a client's name: ${reason}`);
  }
  if (RESERVED_NAMES.includes(name.toLowerCase())) {
    throw new UsageError(`${name} is the name of other files in that folder: give the client another one`);
  }
}

export function certsHelp(): string {
  const commands = Object.entries(CERTS_COMMANDS).map(([name, { takes, help }]) => {
    return `  ${`${name} ${takes}`.padEnd(20)}${help}`;
  });
  const options = Object.entries(CERTS_OPTIONS).map(([name, { metavar, help }]) => {
    const value = metavar === undefined ? "" : ` ${metavar}`;
    return `  ${`--${name}${value}`.padEnd(20)}${help}`;
  });
  return `Usage: mqtt-broker certs COMMAND [OPTIONS]

Makes and shows what TLS needs, without any other program: an authority of your own, the certificate of this machine,
those of clients.

Commands:
${commands.join("\n")}

Options:
${options.join("\n")}

Exit codes: 0, 1 failed or not valid, 2 usage.
`;
}
