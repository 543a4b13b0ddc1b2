import { resolve } from "node:path";
import { BookMaker } from "../auth/book-maker.ts";
import { loadAuth } from "../auth/load-auth.ts";
import type { ReadAuth } from "../auth/reading/read-auth.ts";
import { RuleBook } from "../auth/rules/rule-book.ts";
import type { Candidate } from "../auth/traffic/recorded-login.ts";
import { hasLosses, rehearse } from "../auth/traffic/rehearsal.ts";
import { rehearsalReport } from "../auth/traffic/rehearsal-report.ts";
import type { Files } from "../config/files.ts";
import type { Anonymous } from "../config/settings.ts";
import { formatProblem, hasErrors } from "../text/problem.ts";
import { UsageError } from "./client-io.ts";
import { FOLDER_OPTIONS, findDataFolder, findTraffic } from "./traffic-source.ts";
import { readWords } from "./words.ts";

/** The options of `check --against-traffic`. */
export const REHEARSAL_OPTIONS = {
  "against-traffic": { takes: "the new file of users and rules" },
  traffic: { takes: "a record of traffic, such as traffic.jsonl of a data folder" },
  ...FOLDER_OPTIONS,
} as const;

export const REHEARSAL_HELP = `Usage: mqtt-broker check --against-traffic FILE [--traffic RECORD | --data-dir DIR | --config FILE]

Says whom a new file of users and rules would newly deny or allow something, before it is saved in place: everything that
the broker has recorded (who used which topic, in which direction) is tried against it. The record is that of the running
broker, or what the last one has left in its data folder.

  --against-traffic FILE   The new file
  --traffic RECORD         A record of traffic, such as a copy of traffic.jsonl
  --data-dir DIR           The data folder of the broker that is meant
  --config FILE            The configuration of the broker that is meant

Exit codes: 0 nobody would lose anything, 1 somebody would, 2 the file or the command is not right.
`;

/**
 * `mqtt-broker check --against-traffic FILE`; `argv` begins after `check`. Returns the exit code: 0 nobody would lose anything,
 * 1 somebody would, 2 the file is bad, or there is nothing to try it with.
 */
export async function rehearseFile(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
  write: (text: string) => void,
): Promise<number> {
  try {
    const words = readWords("check", argv, REHEARSAL_OPTIONS);
    if (words.help) {
      write(REHEARSAL_HELP);
      return 0;
    }
    if (words.plain.length > 0) throw new UsageError(`Unexpected argument ${JSON.stringify(words.plain[0])}`);
    const name = words.value("against-traffic")!;
    const { auth, problems, missing } = await loadAuth(resolve(files.workingDirectory, name), {
      name,
      certificatesVerified: true,
    });
    for (const problem of problems) write(`${formatProblem(problem)}\n`);
    if (missing) throw new UsageError(`There is no file ${name}`);
    if (auth === undefined || hasErrors(problems)) {
      write(`${name} has errors: put them right first\n`);
      return 2;
    }
    const folder = await findDataFolder(words, environment, files);
    const traffic = await findTraffic(words.value("traffic"), folder, files);
    const rehearsal = rehearse(traffic, candidateOf(auth, folder.settings?.auth.anonymous));
    write(rehearsalReport(rehearsal, traffic, name));
    return hasLosses(rehearsal) ? 1 : 0;
  } catch (error) {
    write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
}

/** The file's rules, to be tried out now. */
export function candidateOf(auth: ReadAuth, anonymous: Anonymous | undefined): Candidate {
  const nowMs = Date.now();
  const book = new BookMaker(() => nowMs).make(auth, anonymous);
  return { book, users: book instanceof RuleBook ? book.users : undefined, anonymous, nowMs };
}
