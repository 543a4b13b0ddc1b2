import { resolve } from "node:path";
import type { Files } from "../config/files.ts";
import { loadSettings } from "../config/load.ts";
import { formatProblem } from "../text/problem.ts";
import { suggest } from "../text/suggest.ts";
import { parseCommandLine } from "./arguments.ts";
import { UsageError } from "./client-io.ts";

/** What `mqtt-broker store` can do, in the order of its help. */
export const STORE_COMMANDS = {
  inspect: { takes: "[--json]", help: "Show sessions, what waits for them, and retained messages" },
  verify: { takes: "", help: "Read everything and check it; exit 1 when something is damaged" },
  export: { takes: "[FILE]", help: "Back up everything as lines of JSON, to FILE or standard output" },
  import: { takes: "[FILE]", help: "Restore a backup, from FILE or standard input, where there is no store yet" },
  repair: { takes: "", help: "Save what can be read of a damaged store; the old file is kept" },
  compact: { takes: "", help: "Give back to the file system what the store does not need" },
} as const;
export type StoreCommand = keyof typeof STORE_COMMANDS;

export interface StoreOptions {
  command: StoreCommand;
  dataDir: string | undefined;
  config: string | undefined;
  json: boolean;
  /** undefined, or "-": standard input or output. */
  file: string | undefined;
}

/** Reads the words after `store`. Returns "help" when that is asked for; throws UsageError. */
export function parseStoreOptions(argv: readonly string[]): StoreOptions | "help" {
  const words: string[] = [];
  const values: Record<string, string | undefined> = {};
  let json = false;
  for (let index = 0; index < argv.length; index++) {
    const [, name, inline] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(argv[index]!) ?? [];
    if (name === undefined) words.push(argv[index]!);
    else if (name === "help" || name === "h") return "help";
    else if (name === "json" && inline === undefined) json = true;
    else if (name !== "data-dir" && name !== "config") throw new UsageError(unknownOption(name));
    else {
      const value = inline ?? argv[++index];
      if (value === undefined || value === "") throw new UsageError(`--${name} needs the path of a ${NEEDS[name]}`);
      values[name] = value;
    }
  }
  const [word, file, extra] = words;
  if (word === undefined || word === "help") return "help";
  const command = commandOf(word);
  const takesFile = STORE_COMMANDS[command].takes === "[FILE]";
  const tooMany = takesFile ? extra : file;
  if (tooMany !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(tooMany)}`);
  if (json && command !== "inspect") throw new UsageError("--json is an option of inspect");
  return { command, dataDir: values["data-dir"], config: values.config, json, file };
}

const NEEDS = { "data-dir": "folder", config: "file" } as const;

function commandOf(word: string): StoreCommand {
  if (Object.hasOwn(STORE_COMMANDS, word)) return word as StoreCommand;
  const nearest = suggest(word, Object.keys(STORE_COMMANDS));
  const hint = nearest === undefined ? "mqtt-broker store --help lists them" : `did you mean ${nearest}?`;
  throw new UsageError(`Unknown command store ${JSON.stringify(word)}: ${hint}`);
}

function unknownOption(name: string): string {
  const nearest = suggest(name, ["data-dir", "config", "json", "help"]);
  const hint = nearest === undefined ? "mqtt-broker store --help lists the options" : `did you mean --${nearest}?`;
  return `Unknown option --${name}: ${hint}`;
}

/**
 * The folder of the store: the one that is named, else the one that a broker would use which is started here.
 * Rejects with UsageError when the configuration is not valid, or has no such store.
 */
export async function findFolder(
  { dataDir, config }: StoreOptions,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
): Promise<string> {
  const named = dataDir ?? environment.MQTT_BROKER_DATA_DIR?.trim();
  if (named !== undefined && named !== "") return resolve(files.workingDirectory, named);
  const words = config === undefined ? [] : [`--config=${config}`];
  const { settings, problems } = await loadSettings(
    parseCommandLine(["check", ...words], environment),
    environment,
    files,
  );
  if (settings === undefined) {
    const found = problems.filter(({ severity }) => severity === "error").map(formatProblem);
    throw new UsageError([...found, "With --data-dir the configuration is not read"].join("\n"));
  }
  if (settings.store.type !== "module") return settings.dataDir;
  throw new UsageError(`The store is ${settings.store.module}: name another one's folder with --data-dir`);
}
