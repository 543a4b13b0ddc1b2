import { writeFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { readText } from "../auth/reading/read-text.ts";
import { type Learned, learn } from "../auth/traffic/learn.ts";
import { type LearnFrame, learnedText } from "../auth/traffic/learn-text.ts";
import { rehearse } from "../auth/traffic/rehearsal.ts";
import { rehearsalReport } from "../auth/traffic/rehearsal-report.ts";
import type { Traffic } from "../auth/traffic/traffic.ts";
import type { Files } from "../config/files.ts";
import type { Document } from "../text/document.ts";
import { parseJson5 } from "../text/json5-document.ts";
import { formatProblem, hasErrors } from "../text/problem.ts";
import { parseYaml } from "../text/yaml-document.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { type AuthText, findAuthFile, readAuthText } from "./passwd-file.ts";
import { candidateOf } from "./rehearse.ts";
import { FOLDER_OPTIONS, findDataFolder, findTraffic } from "./traffic-source.ts";
import { readWords, type Words } from "./words.ts";

/** The options of `auth learn`. */
export const AUTH_LEARN_OPTIONS = {
  output: { takes: "the file to make" },
  "auth-file": { takes: "the file of users and rules in use" },
  traffic: { takes: "a record of traffic, such as traffic.jsonl of a data folder" },
  "whole-subscriptions": {},
  ...FOLDER_OPTIONS,
} as const;

export const AUTH_LEARN_HELP = `Usage: mqtt-broker auth learn [--output FILE] [--whole-subscriptions] [OPTIONS]

Proposes a file of users and rules that allows what was used and nothing else, for review: the users are those of the file in
use, the rules come from the broker's record of who used which topic in which direction. Let it run for as long as it takes until
everything has happened that has to work, then review what is proposed.

  --output FILE            Where to; it must not exist yet, and only you can read it. Default: standard output
  --whole-subscriptions    Allow all that clients subscribed to, not only the topics that came
  --auth-file FILE         The file of users and rules in use
  --traffic RECORD         A record of traffic, such as a copy of traffic.jsonl
  --data-dir DIR           The data folder of the broker that is meant
  --config FILE            The configuration of the broker that is meant

The proposal has the users with their password hashes: keep it as secret as the file in use.
Exit codes: 0 done, 1 it failed, 2 usage.
`;

/** What a file has when there is none yet: as the broker behaves without one. */
const NO_USERS = '[{ name: "anonymous", method: "anonymous", from: "local" }]';

/** `mqtt-broker auth learn …`; `argv` begins after these words. Returns the exit code. */
export async function runAuthLearn(argv: readonly string[], io: ClientIo, files: Files): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const words = readWords("auth learn", argv, AUTH_LEARN_OPTIONS);
    if (words.help) {
      await output.write(AUTH_LEARN_HELP);
      return ExitCode.Ok;
    }
    if (words.plain.length > 0) throw new UsageError(`Unexpected argument ${JSON.stringify(words.plain[0])}`);
    const folder = await findDataFolder(words, io.env, files);
    const traffic = await findTraffic(words.value("traffic"), folder, files);
    const target = words.value("output");
    const path = target === undefined ? undefined : resolve(files.workingDirectory, target);
    const { learned, text } = propose(await fileInUse(words, io, files), traffic, words, path);
    const verdict = proof(text, path ?? resolve(files.workingDirectory, "auth.json5"), traffic);
    await save(text, path, output);
    for (const warning of learned.warnings) io.stderr.write(`Warning: ${warning}\n`);
    io.stderr.write(verdict);
    if (path !== undefined) io.stderr.write(`Wrote ${path}: review it before you put it in place\n`);
    return ExitCode.Ok;
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

async function fileInUse(words: Words, io: ClientIo, files: Files): Promise<AuthText | undefined> {
  const named = { authFile: words.value("auth-file"), config: words.value("config") };
  const inUse = await readAuthText(await findAuthFile(named, io.env, files), files);
  if (inUse === undefined && named.authFile !== undefined) throw new UsageError(`There is no file ${named.authFile}`);
  if (inUse?.auth.ledger === undefined) return inUse;
  throw new UsageError(
    `${inUse.name} is a ledger, which has no users to go on with: mqtt-broker auth import --ledger ${inUse.name} makes a file of users and rules of it first`,
  );
}

function propose(
  inUse: AuthText | undefined,
  traffic: Traffic,
  words: Words,
  path: string | undefined,
): { learned: Learned; text: string } {
  const users = inUse?.auth.users ?? [];
  const learned = learn(traffic, {
    names: new Set(inUse === undefined ? ["anonymous"] : users.map(({ name }) => name).filter((name) => name !== "*")),
    hasOthers: users.some(({ name }) => name === "*"),
    anonymousName: inUse === undefined ? "anonymous" : users.find(({ method }) => method === "anonymous")?.name,
    wholeSubscriptions: words.has("whole-subscriptions"),
  });
  const warnings = [...learned.warnings, ...keyFileWarnings(inUse, path)];
  const all = { rules: learned.rules, warnings };
  return { learned: all, text: learnedText(all, frameOf(inUse, traffic)) };
}

function frameOf(inUse: AuthText | undefined, traffic: Traffic): LearnFrame {
  const times = { sinceSeconds: traffic.header.sinceSeconds, nowSeconds: Math.floor(Date.now() / 1000) };
  if (inUse === undefined) return { file: undefined, authentication: NO_USERS, groups: [], options: {}, ...times };
  const { file, text, isYaml } = { file: inUse.name, text: inUse.text, isYaml: /\.ya?ml$/i.test(inUse.path) };
  const document = isYaml ? parseYaml(text, file) : parseJson5(text, file, true);
  const value = document.value as Readonly<Record<string, unknown>>;
  const options = Object.fromEntries(
    ["explainToClients", "whenRevoked"]
      .filter((key) => value[key] !== undefined)
      .map((key) => [key, JSON.stringify(value[key])]),
  );
  const authentication = isYaml ? JSON.stringify(value.authentication, undefined, 2) : sourceOf(document);
  return { file, authentication, groups: inUse.auth.groups, options, ...times };
}

/** The list as it was written, with its comments. */
function sourceOf({ root, text }: Document): string {
  const node = root.children.get("authentication")!;
  return text.slice(node.start, node.end);
}

/** Paths in an entry are relative to its file. */
function keyFileWarnings(inUse: AuthText | undefined, path: string | undefined): string[] {
  if (inUse === undefined || (path !== undefined && dirname(path) === dirname(resolve(inUse.path)))) return [];
  const named = [...inUse.text.matchAll(/\b(?:keyFile|jwksFile)\b["']?\s*:\s*["']?([^"',\s}]+)/g)].map(
    ([, file]) => file!,
  );
  if (!named.some((file) => !isAbsolute(file))) return [];
  return [`Key files are looked for beside the file that names them: put this one into ${dirname(inUse.path)}`];
}

/** Nothing that was seen allowed may be denied by the proposal: it is tried, not believed. */
function proof(text: string, path: string, traffic: Traffic): string {
  const { auth, problems } = readText({ text, path, name: "the proposal", certificatesVerified: true });
  if (auth === undefined || hasErrors(problems)) {
    const errors = problems.filter(({ severity }) => severity === "error").map(formatProblem);
    return `Warning: the proposal has errors, to be put right by hand:\n${errors.join("\n")}\n`;
  }
  const rehearsal = rehearse(traffic, candidateOf(auth, undefined));
  const { lockedOut, newlyDenied, newlyBound } = rehearsal;
  if (lockedOut.length + newlyDenied.length + newlyBound.length > 0)
    return rehearsalReport(rehearsal, traffic, "the proposal");
  return `Tried with all ${rehearsal.uses} recorded uses: what was allowed is allowed\n`;
}

async function save(text: string, path: string | undefined, output: Output): Promise<void> {
  if (path === undefined) {
    await output.write(text);
    return;
  }
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o600 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      code === "EEXIST" ? `${path} is there already: name another file` : `Cannot write ${path}: ${message}`,
    );
  }
}
