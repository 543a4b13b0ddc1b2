import { makeHash } from "../auth/login/password.ts";
import type { ReadAuth } from "../auth/reading/read-auth.ts";
import { type ClientIo, ExitCode } from "./client-io.ts";
import { addUsers, findUser, joinGroup, meantGroup, NEW_FILE, type NewUser, replaceSecret } from "./passwd-entry.ts";
import { readAuthText } from "./passwd-file.ts";
import { confirm, isTerminal, newPassword } from "./passwd-prompt.ts";
import { demandEditable, demandPasswordEntry, describeNewFile, type PasswdRun, save, TAKEN_UP } from "./passwd-run.ts";

/** Shorter passwords are warned of: they are found by trying. */
const PASSWORD_LENGTH_GOOD = 8;

/** `passwd add`: a new user, or a new password for one that exists. Returns the exit code. */
export async function addPasswdUser(run: PasswdRun): Promise<number> {
  const { options, io, files, path, name } = run;
  const user = options.subject;
  const before = await readAuthText(path, files);
  demandEditable(before, path);
  const found = before && findUser(before.text, user);
  if (found !== undefined) {
    demandPasswordEntry(user, found.entry.method, "take another name");
    if (!options.force && !(await mayReplace(run))) return ExitCode.Failed;
  }
  for (const group of options.groups) demandMeant(before?.text ?? NEW_FILE, group);
  const password = await newPassword(io, options.passwordStdin, user);
  if (password.length < PASSWORD_LENGTH_GOOD) {
    io.stderr.write(`Warning: passwords under ${PASSWORD_LENGTH_GOOD} characters are found by trying\n`);
  }
  const { method, admin, note } = options;
  const entry: NewUser = { name: user, method, hash: await makeHash(method, password), admin, note };
  let text = before?.text ?? NEW_FILE;
  text = found === undefined ? addUsers(text, [entry]) : replaceSecret(text, entry);
  const told: string[] = [];
  for (const group of options.groups) {
    const joined = joinGroup(text, user, group);
    text = joined.text;
    if (joined.isNew) told.push(`The group ${group} is new: no rule names it yet`);
  }
  const auth = save(run, text, before);
  if (before === undefined) await run.output.write(describeNewFile(name));
  const what = found === undefined ? `Added ${user} to ${name}` : `${user} has a new password in ${name}`;
  await run.output.write([`${what} (${method})`, ...told, TAKEN_UP].map((line) => `${line}\n`).join(""));
  warnOfNoRights(io, auth, user, name);
  return ExitCode.Ok;
}

async function mayReplace({ options, io, name }: PasswdRun): Promise<boolean> {
  if (options.passwordStdin || !isTerminal(io)) {
    throw new Error(`${options.subject} is in ${name} already: --force gives a new password`);
  }
  if (await confirm(io, `${options.subject} is in ${name} already. Give a new password?`)) return true;
  io.stderr.write("Nothing was changed\n");
  return false;
}

function demandMeant(text: string, group: string): void {
  const meant = meantGroup(text, group);
  if (meant !== undefined) throw new Error(`There is no group ${group}: did you mean ${meant}?`);
}

function warnOfNoRights(io: ClientIo, { rules, groups }: ReadAuth, user: string, name: string): void {
  const names = ["@any", user, ...groups.filter(({ members }) => members.includes(user)).map((group) => group.name)];
  const isNamed = rules.some(({ sub, pub }) =>
    [sub, pub].some((side) => side?.allow === true && side.names.some((one) => names.includes(one))),
  );
  if (isNamed) return;
  const quoted = JSON.stringify(user);
  const line = `{ topic: "#", allow: { sub: [${quoted}], pub: [${quoted}] } },`;
  io.stderr.write(
    `Warning: no rule lets ${user} do anything yet. To allow every topic, add to authorization in ${name}:\n  ${line}\n`,
  );
}
