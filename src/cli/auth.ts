import type { Files } from "../config/files.ts";
import { runAuthImport } from "./auth-import.ts";
import { runAuthLearn } from "./auth-learn.ts";
import { type ClientIo, ExitCode, UsageError } from "./client-io.ts";
import { choose } from "./words.ts";

/** What `mqtt-broker auth` can do, in the order of its help. */
export const AUTH_COMMANDS = {
  import: { help: "Make a file of users and rules from Mosquitto's files or a mochi ledger", run: runAuthImport },
  learn: { help: "Propose a file of users and rules that allows what was used, and nothing else", run: runAuthLearn },
} as const;

/**
 * `mqtt-broker auth …`; `argv` begins after that word. Returns the exit code: 0, 1 when it failed, 2 for usage. Never
 * throws for what the user did or files hold.
 */
export async function runAuth(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const [word, ...rest] = argv;
  if (word === undefined || /^(?:help|--?h(?:elp)?)$/.test(word)) {
    io.stdout.write(authHelp());
    return ExitCode.Ok;
  }
  try {
    const names = Object.keys(AUTH_COMMANDS) as (keyof typeof AUTH_COMMANDS)[];
    const command = choose("command auth", word, names, "mqtt-broker auth --help lists them");
    return await AUTH_COMMANDS[command].run(rest, io, files);
  } catch (error) {
    io.stderr.write(`${(error as Error).message}\n`);
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  }
}

export function authHelp(): string {
  const commands = Object.entries(AUTH_COMMANDS).map(([name, { help }]) => `  ${name.padEnd(20)}${help}\n`);
  return `Usage: mqtt-broker auth COMMAND [OPTIONS]

Commands; each has a --help of its own:
${commands.join("")}
Exit codes: 0, 1 failed, 2 usage.
`;
}
