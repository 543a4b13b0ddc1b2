import { COMMANDS, dashed } from "../src/cli/arguments.ts";
import { AUTH_COMMANDS } from "../src/cli/auth.ts";
import { AUTH_IMPORT_OPTIONS } from "../src/cli/auth-import.ts";
import { AUTH_LEARN_OPTIONS } from "../src/cli/auth-learn.ts";
import { BANNED_COMMANDS, BANNED_OPTIONS } from "../src/cli/banned.ts";
import { CERTS_COMMANDS, CERTS_OPTIONS } from "../src/cli/certs-options.ts";
import { CLIENT_OPTIONS, type ClientCommand } from "../src/cli/client-option-table.ts";
import { DISCOVER_OPTIONS } from "../src/cli/discover-options.ts";
import { EXPLAIN_OPTIONS, OPERATIONS } from "../src/cli/explain-options.ts";
import { INTERACTIVE_NAMES } from "../src/cli/interactive-options.ts";
import { namesOf, OPTIONS, type Option } from "../src/cli/options.ts";
import { PASSWD_COMMANDS, PASSWD_OPTIONS } from "../src/cli/passwd-options.ts";
import { REHEARSAL_OPTIONS } from "../src/cli/rehearse.ts";
import { STORE_COMMANDS } from "../src/cli/store-options.ts";
import type { WordOption } from "../src/cli/words.ts";
import { PUBLIC_LIMITS } from "../src/config/limit-names.ts";

/** What may stand where a value does: a path, some words, or what nobody can guess. */
export type Completed = "file" | "folder" | "anything" | readonly string[];

/** An option with its dashes. */
export interface CompletedOption {
  names: readonly string[];
  /** undefined: it takes none. */
  value: Completed | undefined;
  /** A boolean: these follow "=", and no- may stand before the name. */
  isSwitch: boolean;
}

/** A command, or one of its own, "store export". */
export interface CompletedCommand {
  name: string;
  options: readonly CompletedOption[];
  /** The word that comes next. */
  words: readonly string[];
  /** Its further arguments are paths. */
  takesFiles: boolean;
}

/** Every command with what may follow it, from the tables by which the program reads its arguments. */
export function completedCommands(): CompletedCommand[] {
  return Object.keys(COMMANDS).flatMap((name) => OWN[name as keyof typeof COMMANDS](name));
}

const OWN: Readonly<Record<keyof typeof COMMANDS, (name: string) => CompletedCommand[]>> = {
  run: (name) => [plain(name, runOptions())],
  check: (name) => [plain(name, onlyOnce([...runOptions(), ...wordOptions(REHEARSAL_OPTIONS)]))],
  pub: (name) => [plain(name, clientOptions("pub"))],
  sub: (name) => [plain(name, clientOptions("sub"))],
  rr: (name) => [plain(name, clientOptions("rr"))],
  client: (name) => [
    plain(
      name,
      INTERACTIVE_NAMES.map((option) => withValue([`-${option}`], "anything")),
    ),
  ],
  store: (name) => withCommands(name, STORE_COMMANDS, { json: {}, "data-dir": FOLDER, config: FILE }),
  passwd: (name) => withCommands(name, PASSWD_COMMANDS, PASSWD_OPTIONS),
  auth: (name) => [
    { ...plain(name, []), words: Object.keys(AUTH_COMMANDS) },
    plain(`${name} import`, wordOptions(AUTH_IMPORT_OPTIONS)),
    plain(`${name} learn`, wordOptions(AUTH_LEARN_OPTIONS)),
  ],
  explain: (name) => [{ ...plain(name, wordOptions(EXPLAIN_OPTIONS)), words: OPERATIONS }],
  banned: (name) => [{ ...plain(name, wordOptions(BANNED_OPTIONS)), words: BANNED_COMMANDS }],
  certs: (name) => withCommands(name, CERTS_COMMANDS, CERTS_OPTIONS),
  discover: (name) => [plain(name, wordOptions(DISCOVER_OPTIONS))],
};

const FILE: WordOption = { takes: "the path of a file" };
const FOLDER: WordOption = { takes: "the path of a folder" };

function plain(name: string, options: readonly CompletedOption[]): CompletedCommand {
  return { name, options, words: [], takesFiles: false };
}

/** The first of those that share a name. */
function onlyOnce(options: readonly CompletedOption[]): CompletedOption[] {
  return options.filter(({ names }, index) => options.findIndex((other) => other.names.includes(names[0]!)) === index);
}

/** A command with commands of its own; each has the options that its entry names, or all of them. */
function withCommands(
  name: string,
  commands: Readonly<Record<string, { takes: string; options?: readonly string[] }>>,
  options: Readonly<Record<string, WordOption>>,
): CompletedCommand[] {
  const shared = ["auth-file", "config", "dir"];
  const own = Object.entries(commands).map(([word, { takes, options: known }]) => {
    const kept = Object.entries(options).filter(
      ([option]) => known === undefined || known.includes(option) || shared.includes(option),
    );
    return { ...plain(`${name} ${word}`, wordOptions(Object.fromEntries(kept))), takesFiles: takes.includes("FILE") };
  });
  return [{ ...plain(name, []), words: Object.keys(commands) }, ...own];
}

/** Those that have an effect: nobody wants to be offered the others. */
function runOptions(): CompletedOption[] {
  return OPTIONS.filter(({ ignored }) => ignored === undefined).map((option) => {
    const names = namesOf(option).map(dashed);
    if (option.group === "Other") return { names, value: undefined, isSwitch: false };
    return { names, value: valueFor(option), isSwitch: option.type.kind === "boolean" };
  });
}

function valueFor({ type, metavar }: Option): Completed {
  switch (type.kind) {
    case "boolean":
      return ["true", "false", ...(type.words ?? [])];
    case "enum":
      return type.values;
    case "file":
      return metavar === "DIRECTORY" ? "folder" : "file";
    case "line":
      return "file";
    case "limit":
      return [...PUBLIC_LIMITS.keys()].map((name) => `${name}=`);
    case "durability":
      return ["sync", "batch:", "never"];
    default:
      return "anything";
  }
}

function clientOptions(command: ClientCommand): CompletedOption[] {
  const known = CLIENT_OPTIONS.filter(
    ({ commands, help }) => commands.includes(command) && !help.startsWith("Not supported"),
  );
  return known.map(({ names, takes }) => {
    if (takes === undefined) return { names, value: undefined, isSwitch: false };
    if (takes === "QOS") return withValue(names, ["0", "1", "2"]);
    if (takes === "FOLDER") return withValue(names, "folder");
    return withValue(names, takes === "FILE" || takes === "PATH" ? "file" : "anything");
  });
}

function wordOptions(options: Readonly<Record<string, WordOption>>): CompletedOption[] {
  const own = Object.entries(options).map(([name, { takes }]) =>
    takes === undefined
      ? { names: [`--${name}`], value: undefined, isSwitch: false }
      : withValue([`--${name}`], guess(takes)),
  );
  return [...own, { names: ["--help"], value: undefined, isSwitch: false }];
}

/** By the words with which a missing value is asked for: "the path of a file", "read or all". */
function guess(takes: string): Completed {
  if (/\bfile\b|\brecord\b|\bledger\b|_file\b/.test(takes)) return "file";
  if (/\bfolder\b/.test(takes)) return "folder";
  const words = takes.replace(/^one of /, "").split(/, | or /);
  return words.length > 1 && words.every((word) => /^[\w.-]+$/.test(word)) ? words : "anything";
}

function withValue(names: readonly string[], value: Completed): CompletedOption {
  return { names, value, isSwitch: false };
}
