import { shownPath } from "../auth/auth-file.ts";
import { verify } from "../auth/login/password.ts";
import type { Files } from "../config/files.ts";
import { suggest } from "../text/suggest.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { addPasswdUser } from "./passwd-add.ts";
import { deleteUser, findUser, listUsers } from "./passwd-entry.ts";
import { type AuthText, findAuthFile } from "./passwd-file.ts";
import { importUsers } from "./passwd-import.ts";
import { userTable } from "./passwd-list.ts";
import { parsePasswdOptions, passwdHelp } from "./passwd-options.ts";
import { givenPassword, Interrupted } from "./passwd-prompt.ts";
import { demandPasswordEntry, existing, type PasswdRun, save, TAKEN_UP } from "./passwd-run.ts";

/**
 * `mqtt-broker passwd …`; `argv` begins after that word. Returns the exit code: 0, 1 when it failed or is not the
 * password, 2 for usage, 130 when it was interrupted. Never throws for what the user did or the file holds.
 */
export async function runPasswd(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const options = parsePasswdOptions(argv);
    if (options === "help") {
      await output.write(passwdHelp());
      return ExitCode.Ok;
    }
    const path = await findAuthFile(options, io.env, files);
    return await COMMANDS[options.command]({
      options,
      io,
      files,
      output,
      path,
      name: shownPath(path, files.workingDirectory),
    });
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof Interrupted) return error.exitCode;
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

const COMMANDS = {
  add: addPasswdUser,
  list,
  del,
  verify: verifyPassword,
  import: importUsers,
} as const;

async function list(run: PasswdRun): Promise<number> {
  const { text } = await existing(run);
  const users = listUsers(text);
  const shown = run.options.json ? `${JSON.stringify(users, undefined, 2)}\n` : userTable(users);
  await run.output.write(shown);
  return ExitCode.Ok;
}

async function del(run: PasswdRun): Promise<number> {
  const { options, output, name } = run;
  const user = options.subject;
  const before = await existing(run);
  demandUser(before, user);
  const naming = before.auth.rules.filter(({ sub, pub }) => sub?.names.includes(user) || pub?.names.includes(user));
  if (naming.length > 0 && !options.force) {
    const places = naming.map(
      ({ number, place }) => `  ${name}:${place.line}:${place.column}: rule ${number}: ${place.text}`,
    );
    const count = naming.length === 1 ? "1 rule" : `${naming.length} rules`;
    throw new Error(
      [
        `${user} is named by ${count}:`,
        ...places,
        "--force removes the name there too, and rules that then name nobody",
      ].join("\n"),
    );
  }
  save(run, deleteUser(before.text, user), before);
  const rules = naming.length === 0 ? "" : " and from its rules";
  await output.write(`Removed ${user} from ${name}${rules}\n${TAKEN_UP}\n`);
  return ExitCode.Ok;
}

async function verifyPassword(run: PasswdRun): Promise<number> {
  const { options, io, output } = run;
  const user = options.subject;
  const before = await existing(run);
  demandPasswordEntry(user, demandUser(before, user).entry.method, "there is nothing to verify");
  const { secret, expiresMs } = before.auth.users.findLast(({ name }) => name === user)!;
  const password = await givenPassword(io, options.passwordStdin, user);
  const isRight = secret !== undefined && (await verify(secret, Buffer.from(password)));
  await output.write(isRight ? `That is ${user}'s password\n` : `That is not ${user}'s password\n`);
  if (isRight && expiresMs <= Date.now()) io.stderr.write(`Warning: the entry has expired: ${user} is not let in\n`);
  return isRight ? ExitCode.Ok : ExitCode.Failed;
}

function demandUser({ text, name }: AuthText, user: string): NonNullable<ReturnType<typeof findUser>> {
  const found = findUser(text, user);
  if (found !== undefined) return found;
  const nearest = suggest(
    user,
    listUsers(text).map((line) => line.name),
  );
  const hint = nearest === undefined ? "mqtt-broker passwd list shows who is" : `did you mean ${nearest}?`;
  throw new Error(`${user} is not in ${name}: ${hint}`);
}
