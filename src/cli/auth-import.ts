import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { shownPath } from "../auth/auth-file.ts";
import { type AuthDraft, writeDraft } from "../auth/convert/auth-draft.ts";
import { ledgerRules } from "../auth/convert/ledger-convert.ts";
import {
  checkMosquittoUser,
  hashMethod,
  readAclFile,
  readPasswordFile,
  secretOf,
} from "../auth/convert/mosquitto-files.ts";
import { type MosquittoLogin, mosquittoRules } from "../auth/convert/mosquitto-rules.ts";
import { parseLedger } from "../auth/ledger/ledger-document.ts";
import type { Files } from "../config/files.ts";
import { formatProblem, hasErrors } from "../text/problem.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { demandRight, readGiven, writeAuthText } from "./passwd-file.ts";
import { readWords, type WordOption, type Words } from "./words.ts";

/** The options of `auth import`. */
export const AUTH_IMPORT_OPTIONS: Readonly<Record<string, WordOption>> = {
  acl: { takes: "the path of an acl_file" },
  passwords: { takes: "the path of a password_file" },
  ledger: { takes: "the path of a ledger" },
  "allow-anonymous": {},
  output: { takes: "the path of the file to be made" },
  stdout: {},
  force: {},
};

/** `mqtt-broker auth import …`. Returns the exit code; rejects with a message for people, UsageError for usage. */
export async function runAuthImport(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const words = readWords("auth import", argv, AUTH_IMPORT_OPTIONS);
  const output = new Output(io.stdout);
  try {
    if (words.help || argv.length === 0) {
      await output.write(AUTH_IMPORT_HELP);
      return ExitCode.Ok;
    }
    demandSense(words);
    const { draft, warnings } = await convert(words, io, files);
    for (const warning of warnings) io.stderr.write(`Warning: ${warning}\n`);
    const text = writeDraft(draft);
    const target = words.value("output");
    if (target === undefined) {
      demandRight(text, resolve(files.workingDirectory, "auth.json5"), "auth.json5");
      await output.write(text);
    } else {
      const path = resolve(files.workingDirectory, target);
      await writeTo(path, shownOf(target, files), text, words.has("force"), io, output);
    }
    return ExitCode.Ok;
  } finally {
    await output.finish();
  }
}

function demandSense(words: Words): void {
  const [extra] = words.plain;
  if (extra !== undefined) {
    throw new UsageError(`Unexpected argument ${JSON.stringify(extra)}: files follow --acl, --passwords or --ledger`);
  }
  const fromMosquitto = words.has("acl") || words.has("passwords");
  if (!fromMosquitto && !words.has("ledger"))
    throw new UsageError("Nothing to import: name --acl, --passwords or --ledger");
  if (fromMosquitto && words.has("ledger"))
    throw new UsageError("A ledger and Mosquitto's files make two files: import one");
  if (words.has("allow-anonymous") && !fromMosquitto)
    throw new UsageError("--allow-anonymous is for Mosquitto's files");
  if (words.has("output") && words.has("stdout")) throw new UsageError("--output and --stdout exclude each other");
}

async function convert(words: Words, io: ClientIo, files: Files): Promise<{ draft: AuthDraft; warnings: string[] }> {
  const ledger = words.value("ledger");
  if (ledger === undefined) return convertMosquitto(words, io, files);
  return ledgerRules(parseLedger(readGiven(ledger, files), shownOf(ledger, files)));
}

async function convertMosquitto(
  words: Words,
  io: ClientIo,
  files: Files,
): Promise<{ draft: AuthDraft; warnings: string[] }> {
  const [aclFile, passwordFile] = [words.value("acl"), words.value("passwords")];
  const read =
    aclFile === undefined
      ? undefined
      : readAclFile(readGiven(aclFile, files).toString("utf8"), shownOf(aclFile, files));
  for (const problem of read?.problems ?? []) io.stderr.write(`${formatProblem(problem)}\n`);
  if (read !== undefined && hasErrors(read.problems))
    throw new Error("Nothing was made: Mosquitto refuses this acl_file too");
  const users = passwordFile === undefined ? undefined : await loginsOf(passwordFile, io, files);
  return mosquittoRules({ users, acl: read?.acl, allowAnonymous: words.has("allow-anonymous") });
}

async function loginsOf(passwordFile: string, io: ClientIo, files: Files): Promise<MosquittoLogin[]> {
  const source = shownOf(passwordFile, files);
  const { users, problems } = readPasswordFile(readGiven(passwordFile, files).toString("utf8"), source);
  for (const problem of problems) io.stderr.write(`${formatProblem(problem)}\n`);
  const logins: MosquittoLogin[] = [];
  for (const user of users) {
    const { name, line } = user;
    const objection = checkMosquittoUser(user);
    if (objection !== undefined) {
      io.stderr.write(`Left out: ${name} (${source}:${line}) ${objection}\n`);
      continue;
    }
    if (hashMethod(user) === undefined) {
      io.stderr.write(`Warning: ${name} (${source}:${line}) had its password in the clear: a hash is kept\n`);
    }
    logins.push({ name, ...(await secretOf(user)) });
  }
  return logins;
}

async function writeTo(
  path: string,
  name: string,
  text: string,
  force: boolean,
  io: ClientIo,
  output: Output,
): Promise<void> {
  demandRight(text, path, name);
  const before = currentText(path);
  if (before !== undefined && !force) throw new Error(`${name} exists: --force replaces it, or name another --output`);
  for (const line of writeAuthText(path, text, before)) io.stderr.write(`${line}\n`);
  await output.write(`Made ${name}: mqtt-broker check --auth-file ${name} says what it means\n`);
}

function currentText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function shownOf(file: string, files: Files): string {
  return shownPath(resolve(files.workingDirectory, file), files.workingDirectory);
}

export const AUTH_IMPORT_HELP = `Usage: mqtt-broker auth import [--passwords FILE] [--acl FILE] [--output FILE]
       mqtt-broker auth import --ledger FILE [--output FILE]

Makes a file of users and rules, auth.json5, that means what the other broker's files mean. What has no equal is left
out and told; comments in the file say where each rule is from.

Options:
  --passwords FILE        Mosquitto's password_file; its hashes are kept as they are
  --acl FILE              Mosquitto's acl_file; without one everybody who is let in may use every topic
  --allow-anonymous       mosquitto.conf has allow_anonymous true: clients without a user name from everywhere
  --ledger FILE           A ledger of mochi's server, in YAML or JSON; its passwords become hashes
  --output FILE           Write it there; else to standard output, which is --stdout
  --force                 Replace a file that exists

Exit codes: 0, 1 failed, 2 usage.
`;
