import { suggest } from "../text/suggest.ts";
import { UsageError } from "./client-io.ts";

/** An option of a command that reads its own words: what its value is called; without that it has none. */
export interface WordOption {
  takes?: string;
}

export interface Words {
  /** --help or -h was among them. */
  help: boolean;
  plain: string[];
  /** The last value of an option, undefined when it was not given. */
  value(name: string): string | undefined;
  values(name: string): readonly string[];
  has(name: string): boolean;
}

/**
 * Reads the words after a command. Options have two dashes (one will do), values follow or stand behind "="; after `--`
 * all words are plain. `command` is the command's name for messages, "passwd". Throws UsageError.
 */
export function readWords(
  command: string,
  argv: readonly string[],
  options: Readonly<Record<string, WordOption>>,
): Words {
  const plain: string[] = [];
  const given = new Map<string, string[]>();
  let help = false;
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]!;
    if (word === "--") {
      plain.push(...argv.slice(index + 1));
      break;
    }
    const [, name, inline] = /^--?([a-zA-Z][\w-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) plain.push(word);
    else if (name === "help" || name === "h") help = true;
    else {
      const option = Object.hasOwn(options, name) ? options[name] : undefined;
      if (option === undefined) throw new UsageError(unknownOption(command, name, Object.keys(options)));
      if (option.takes === undefined && inline !== undefined) throw new UsageError(`--${name} takes no value`);
      const value = option.takes === undefined ? "" : (inline ?? argv[++index]);
      if (value === undefined || (option.takes !== undefined && value === "")) {
        throw new UsageError(`--${name} needs a value: ${option.takes}`);
      }
      given.set(name, [...(given.get(name) ?? []), value]);
    }
  }
  return {
    help,
    plain,
    value: (name) => given.get(name)?.at(-1),
    values: (name) => given.get(name) ?? [],
    has: (name) => given.has(name),
  };
}

/** `names` are those that stand there; throws UsageError for another one. */
export function choose<Name extends string>(what: string, word: string, names: readonly Name[], help: string): Name {
  const found = names.find((name) => name === word);
  if (found !== undefined) return found;
  const nearest = suggest(word, names);
  const hint = nearest === undefined ? help : `did you mean ${nearest}?`;
  throw new UsageError(`Unknown ${what} ${JSON.stringify(word)}: ${hint}`);
}

function unknownOption(command: string, name: string, names: readonly string[]): string {
  const nearest = suggest(name, [...names, "help"]);
  const hint = nearest === undefined ? `mqtt-broker ${command} --help lists the options` : `did you mean --${nearest}?`;
  return `Unknown option --${name}: ${hint}`;
}
