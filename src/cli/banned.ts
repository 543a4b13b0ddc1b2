import type { Files } from "../config/files.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { askAt, FOLDER_OPTIONS, type Folder, findDataFolder } from "./traffic-source.ts";
import { choose, readWords } from "./words.ts";

/** The options of `banned`. */
export const BANNED_OPTIONS = { json: {}, ...FOLDER_OPTIONS } as const;
/** What `banned` can do. */
export const BANNED_COMMANDS = ["list", "lift"] as const;

export const BANNED_HELP = `Usage: mqtt-broker banned [list] [--json] [--data-dir DIR | --config FILE]
       mqtt-broker banned lift ADDRESS [--data-dir DIR | --config FILE]

Shows the addresses that the running broker has banned for too many failed logins, or lifts a ban.

  --json           One line of JSON for each
  --data-dir DIR   The data folder of the broker that is meant
  --config FILE    The configuration of the broker that is meant

Exit codes: 0 done, 1 no broker runs there or the address is not banned, 2 usage.
`;

/** `mqtt-broker banned …`; `argv` begins after that word. Returns the exit code. */
export async function runBanned(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const words = readWords("banned", argv, BANNED_OPTIONS);
    if (words.help) {
      await output.write(BANNED_HELP);
      return ExitCode.Ok;
    }
    const [word = "list", address, extra] = words.plain;
    const command = choose("command banned", word, BANNED_COMMANDS, "mqtt-broker banned --help lists them");
    const tooMany = command === "list" ? address : extra;
    if (tooMany !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(tooMany)}`);
    const folder = await findDataFolder(words, io.env, files);
    if (command === "list") return await list(folder, words.has("json"), output);
    if (address === undefined) throw new UsageError("Whose ban? mqtt-broker banned lift ADDRESS");
    return await lift(folder, address, output);
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

/** As the broker's guard lists them. */
interface Ban {
  address: string;
  untilMs: number;
  failures: number;
  lastUser?: string;
}

async function list(folder: Folder, isJson: boolean, output: Output): Promise<number> {
  const bans = (await demand(folder, "banned")) as Ban[];
  if (isJson) await output.write(bans.map((ban) => `${JSON.stringify(ban)}\n`).join(""));
  else if (bans.length === 0) await output.write("No address is banned\n");
  else await output.write(bans.map((ban) => `${lineOf(ban)}\n`).join(""));
  return ExitCode.Ok;
}

function lineOf({ address, untilMs, failures, lastUser }: Ban): string {
  const until = new Date(untilMs).toISOString().slice(0, 19).replace("T", " ");
  const user =
    lastUser === undefined
      ? ""
      : `, the last one ${lastUser === "" ? "without a user name" : `as ${JSON.stringify(lastUser)}`}`;
  return `${address}: until ${until} UTC, after ${failures} failed logins${user}`;
}

async function lift(folder: Folder, address: string, output: Output): Promise<number> {
  const [answer] = (await demand(folder, "lift", { address })) as { lifted?: boolean }[];
  if (answer?.lifted === true) {
    await output.write(`The ban of ${address} is lifted\n`);
    return ExitCode.Ok;
  }
  await output.write(`${address} is not banned: mqtt-broker banned lists those that are\n`);
  return ExitCode.Failed;
}

async function demand(folder: Folder, operation: string, given: Record<string, string> = {}): Promise<unknown[]> {
  const items = await askAt(folder, operation, given);
  if (items !== undefined) return items;
  throw new Error(`No broker runs with the data folder ${folder.path}: name that of yours with --data-dir`);
}
