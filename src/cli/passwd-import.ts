import { resolve } from "node:path";
import { shownPath } from "../auth/auth-file.ts";
import { checkMosquittoUser, hashMethod, readPasswordFile, secretOf } from "../auth/convert/mosquitto-files.ts";
import { formatProblem } from "../text/problem.ts";
import { ExitCode } from "./client-io.ts";
import { addUsers, listUsers, NEW_FILE, type NewUser, replaceSecret } from "./passwd-entry.ts";
import { readAuthText, readGiven } from "./passwd-file.ts";
import { demandEditable, describeNewFile, hasPassword, type PasswdRun, save, TAKEN_UP } from "./passwd-run.ts";

/** `passwd import`: the users of Mosquitto's password_file, with the hashes that they have. Returns the exit code. */
export async function importUsers(run: PasswdRun): Promise<number> {
  const { options, io, files, output, path, name } = run;
  const file = resolve(files.workingDirectory, options.subject);
  const text = readGiven(options.subject, files).toString("utf8");
  const source = shownPath(file, files.workingDirectory);
  const { users, problems } = readPasswordFile(text, source);
  for (const problem of problems) io.stderr.write(`${formatProblem(problem)}\n`);
  const before = await readAuthText(path, files);
  demandEditable(before, path);
  const start = before?.text ?? NEW_FILE;
  const known = new Map(listUsers(start).map((user) => [user.name, user.method]));
  const [fresh, again]: [NewUser[], NewUser[]] = [[], []];
  for (const user of users) {
    const method = known.get(user.name);
    const objection = checkMosquittoUser(user) ?? inTheWay(run, method);
    if (objection !== undefined) {
      io.stderr.write(`Left out: ${user.name} (${source}:${user.line}) ${objection}\n`);
      continue;
    }
    if (hashMethod(user) === undefined) {
      io.stderr.write(`Warning: ${user.name} (${source}:${user.line}) had its password in the clear: a hash is kept\n`);
    }
    (method === undefined ? fresh : again).push({ name: user.name, ...(await secretOf(user)) });
  }
  const imported = [...fresh, ...again].map((user) => user.name);
  if (imported.length === 0) {
    io.stderr.write(`Nothing to import from ${options.subject}\n`);
    return ExitCode.Failed;
  }
  save(run, again.reduce(replaceSecret, addUsers(start, fresh)), before);
  if (before === undefined) await output.write(describeNewFile(name));
  const count = imported.length === 1 ? "1 user" : `${imported.length} users`;
  await output.write(`Imported ${count} into ${name}: ${imported.join(", ")}\n${TAKEN_UP}\n`);
  return ExitCode.Ok;
}

/** `method`: that of the user's entry, where there is one. */
function inTheWay({ options, name }: PasswdRun, method: string | undefined): string | undefined {
  if (method === undefined) return undefined;
  if (!hasPassword(method)) return `is in ${name} with the method ${method}, without a password of its own`;
  return options.force ? undefined : `is in ${name} already: --force replaces the password`;
}
