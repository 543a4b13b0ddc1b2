import { UsageError } from "./client-io.ts";
import { choose, readWords, type WordOption, type Words } from "./words.ts";

/** What `mqtt-broker passwd` can do, in the order of its help. */
export const PASSWD_COMMANDS = {
  add: {
    takes: "NAME",
    help: "Add a user, or give one that exists a new password",
    options: ["method", "group", "note", "admin", "password-stdin", "force"],
  },
  list: { takes: "", help: "List the users, without their passwords", options: ["json"] },
  del: { takes: "NAME", help: "Remove a user, also from its groups; with --force from rules too", options: ["force"] },
  verify: { takes: "NAME", help: "Is this the user's password? Exit 0: yes, 1: no", options: ["password-stdin"] },
  import: { takes: "FILE", help: "Take over the users of Mosquitto's password_file", options: ["force"] },
} as const;
export type PasswdCommand = keyof typeof PASSWD_COMMANDS;

/** Beside --auth-file and --config, which all commands have. */
export const PASSWD_OPTIONS: Readonly<Record<string, WordOption & { help: string }>> = {
  "auth-file": {
    takes: "the path of a file",
    help: "The file of users and rules; else the one that `run` would use here",
  },
  config: { takes: "the path of a file", help: "The configuration that says where that file is" },
  method: { takes: "argon2id or scrypt", help: "add: how the password is kept; default argon2id" },
  group: { takes: "the name of a group, @family", help: "add: put the user into this group; repeatable" },
  note: { takes: "a text", help: "add: a note for people" },
  admin: { takes: "read or all", help: "add: the user may see the administration, or change things too" },
  "password-stdin": { help: "add, verify: read the password from standard input, for scripts" },
  force: { help: "add, import: replace passwords without asking; del: remove the user from rules too" },
  json: { help: "list: as JSON" },
};

export interface PasswdOptions {
  command: PasswdCommand;
  /** The user, or the file of `import`; "" for `list`. */
  subject: string;
  authFile: string | undefined;
  config: string | undefined;
  method: "argon2id" | "scrypt";
  /** With "@". */
  groups: readonly string[];
  note: string | undefined;
  admin: "read" | "all" | undefined;
  passwordStdin: boolean;
  force: boolean;
  json: boolean;
}

/** Reads the words after `passwd`. Returns "help" when that is asked for; throws UsageError. */
export function parsePasswdOptions(argv: readonly string[]): PasswdOptions | "help" {
  if (argv.some((word) => /^--?password(?:=|$)/.test(word))) {
    throw new UsageError("A password on the command line is seen by everybody on this machine: use --password-stdin");
  }
  const words = readWords("passwd", argv, PASSWD_OPTIONS);
  const [word, subject, extra] = words.plain;
  if (words.help || word === undefined || word === "help") return "help";
  const names = Object.keys(PASSWD_COMMANDS) as PasswdCommand[];
  const command = choose("command passwd", word, names, "mqtt-broker passwd --help lists them");
  const { takes, options } = PASSWD_COMMANDS[command];
  const tooMany = takes === "" ? subject : extra;
  if (tooMany !== undefined) throw new UsageError(tooManyWords(command, tooMany));
  if (takes !== "" && subject === undefined) throw new UsageError(`passwd ${command} needs a ${takes}`);
  const known: readonly string[] = ["auth-file", "config", ...options];
  const other = Object.keys(PASSWD_OPTIONS).find((name) => words.has(name) && !known.includes(name));
  if (other !== undefined) throw new UsageError(`--${other} is no option of passwd ${command}`);
  if (command !== "import" && takes !== "") demandUserName(subject!);
  return { command, subject: subject ?? "", ...readValues(words) };
}

function readValues(words: Words): Omit<PasswdOptions, "command" | "subject"> {
  const method = choose("method", words.value("method") ?? "argon2id", ["argon2id", "scrypt"], "argon2id or scrypt");
  const admin = words.value("admin");
  return {
    authFile: words.value("auth-file"),
    config: words.value("config"),
    method,
    groups: [...new Set(words.values("group").map(groupName))],
    note: words.value("note"),
    admin:
      admin === undefined
        ? undefined
        : choose<"read" | "all">("value of --admin", admin, ["read", "all"], "read or all"),
    passwordStdin: words.has("password-stdin"),
    force: words.has("force"),
    json: words.has("json"),
  };
}

/** The word is not shown: most likely it is a password. */
function tooManyWords(command: PasswdCommand, word: string): string {
  if (command !== "add" && command !== "verify") return `Unexpected argument ${JSON.stringify(word)}`;
  return "One argument too many. A password is never given as an argument: it is asked for, or --password-stdin reads it";
}

function demandUserName(name: string): void {
  if (name === "") throw new UsageError("The name of a user is not empty");
  if (name.startsWith("@")) throw new UsageError(`${name} is the name of a group: users' names do not begin with "@"`);
  if (name === "*")
    throw new UsageError("* stands for every name that a certificate or token brings, and has no password");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no client can send U+0000, and no person can read the others
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) throw new UsageError("The name has control characters");
  if (Buffer.byteLength(name) > 65_535) throw new UsageError("The name is longer than MQTT's 65,535 bytes");
}

/** "family" is as good as "@family", which some shells want in quotes. */
function groupName(text: string): string {
  const name = text.startsWith("@") ? text : `@${text}`;
  if (name === "@any") throw new UsageError("Everybody is in @any without being put there");
  if (name === "@") throw new UsageError("--group needs the name of a group, such as @family");
  return name;
}

export function passwdHelp(): string {
  const commands = Object.entries(PASSWD_COMMANDS).map(([name, { takes, help }]) => {
    return `  ${`${name} ${takes}`.padEnd(20)}${help}`;
  });
  const options = Object.entries(PASSWD_OPTIONS).map(([name, { takes, help }]) => {
    const value = takes === undefined ? "" : ` ${METAVARS[name]}`;
    return `  ${`--${name}${value}`.padEnd(24)}${help}`;
  });
  return `Usage: mqtt-broker passwd COMMAND [OPTIONS]

Works on the users in auth.json5, the file that says who may connect and do what. Comments and layout of the file stay
as they are. A running broker takes changes up within a second.

Commands:
${commands.join("\n")}

Options:
${options.join("\n")}

Exit codes: 0, 1 failed or not the password, 2 usage.
`;
}

const METAVARS: Readonly<Record<string, string>> = {
  "auth-file": "FILE",
  config: "FILE",
  method: "METHOD",
  group: "@GROUP",
  note: "TEXT",
  admin: "read|all",
};
