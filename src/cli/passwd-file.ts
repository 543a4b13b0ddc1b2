import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { shownPath } from "../auth/auth-file.ts";
import { loadAuth } from "../auth/load-auth.ts";
import type { ReadAuth } from "../auth/reading/read-auth.ts";
import { readText } from "../auth/reading/read-text.ts";
import type { Files } from "../config/files.ts";
import { loadSettings } from "../config/load.ts";
import type { Anonymous } from "../config/settings.ts";
import { formatProblem, hasErrors, type Problem } from "../text/problem.ts";
import { parseCommandLine } from "./arguments.ts";
import { UsageError } from "./client-io.ts";

const READABLE_BY_OTHERS = 0o004;
const OWNER_ONLY = 0o600;

/** A file of users and rules that was read and found right. */
export interface AuthText {
  path: string;
  /** As users call it. */
  name: string;
  text: string;
  auth: ReadAuth;
}

/** The file is not right, or cannot be read. The message has one paragraph for each problem. */
export class AuthFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AuthFileError";
  }
}

/** Where the file of users and rules is, and what the configuration says beside it. */
export interface FoundAuth {
  /** Absolute; need not exist. */
  path: string;
  anonymous: Anonymous | undefined;
}

/**
 * The file of users and rules: the one that is named, else the one that a broker would use which is started here, else
 * where it would look first. Rejects with UsageError when the configuration is not valid.
 */
export async function findAuth(
  { authFile, config }: { authFile: string | undefined; config: string | undefined },
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
): Promise<FoundAuth> {
  const named = authFile ?? environment.MQTT_BROKER_AUTH_FILE?.trim();
  if (named !== undefined && named !== "") {
    return { path: resolve(files.workingDirectory, named), anonymous: undefined };
  }
  const words = config === undefined ? [] : [`--config=${config}`];
  const line = parseCommandLine(["check", ...words], environment);
  const { settings, problems } = await loadSettings(line, environment, files);
  if (settings === undefined) {
    const found = problems.filter(({ severity }) => severity === "error").map(formatProblem);
    throw new UsageError([...found, "With --auth-file the configuration is not read"].join("\n"));
  }
  const { file, candidates, anonymous } = settings.auth;
  return { path: file ?? candidates[0]!, anonymous };
}

/** The same, where only the path is of interest. */
export async function findAuthFile(...given: Parameters<typeof findAuth>): Promise<string> {
  return (await findAuth(...given)).path;
}

/** undefined: there is no file. Rejects with AuthFileError when it has errors: what is wrong is not edited. */
export async function readAuthText(path: string, files: Files): Promise<AuthText | undefined> {
  const name = shownPath(path, files.workingDirectory);
  const { auth, problems, missing } = await loadAuth(path, { name });
  if (missing) return undefined;
  if (auth === undefined || hasErrors(problems)) throw new AuthFileError(errorsOf(problems));
  // As it is, with its byte order mark and its line ends.
  return { path, name, text: readFileSync(path, "utf8"), auth };
}

/** Reads a text that was made just now, and is to be saved as `path`. Throws AuthFileError when it has errors. */
export function demandRight(text: string, path: string, name: string): ReadAuth {
  const { auth, problems } = readText({ text, path, name, certificatesVerified: true });
  if (auth === undefined || hasErrors(problems)) throw new AuthFileError(errorsOf(problems));
  return auth;
}

/** A file that the user named. Throws Error that says so when it cannot be read. */
export function readGiven(file: string, files: Files): Buffer {
  try {
    return readFileSync(resolve(files.workingDirectory, file));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new Error(`There is no file ${file}`);
    throw new Error(code === "EISDIR" ? `${file} is a folder, a file is needed` : `Cannot read ${file}: ${message}`);
  }
}

function errorsOf(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === "error");
  const command = `mqtt-broker check --auth-file ${errors[0]?.file ?? "FILE"}`;
  return `${errors.map(formatProblem).join("\n")}\nNothing is done before this is put right; ${command} shows it all`;
}

/**
 * Puts `text` in the place of the file at once: whoever reads it sees the old text or the new one, also after a power cut.
 * Owner and mode stay; a new file is for its owner alone. Links are followed. `before`: what was read of it, undefined for
 * a new file; throws Error when it is something else by now, or cannot be written. Returns what is to be told.
 */
export function writeAuthText(path: string, text: string, before: string | undefined): string[] {
  const target = before === undefined ? path : realpathSync(path);
  const kind = before === undefined ? undefined : statSync(target);
  const part = join(dirname(target), `.${basename(target)}.${process.pid}.part`);
  try {
    const file = openSync(part, "wx", OWNER_ONLY);
    try {
      giveToOwner(file, kind, dirname(target));
      fchmodSync(file, kind === undefined ? OWNER_ONLY : kind.mode & 0o7777);
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    demandUnchanged(target, before);
    renameSync(part, target);
    syncFolder(dirname(target));
  } catch (error) {
    rmSync(part, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`Cannot write ${path}: ${code === "ENOENT" ? "its folder does not exist" : message}`);
  }
  return kind !== undefined && (kind.mode & READABLE_BY_OTHERS) !== 0
    ? [`Warning: every user of this machine can read ${path}, and guess at passwords: chmod o-r ${path}`]
    : [];
}

/** The old file's owner keeps the new one; what root makes new belongs to whom its folder belongs, such as a service. */
function giveToOwner(file: number, kind: Stats | undefined, folder: string): void {
  if (kind === undefined && process.getuid?.() !== 0) return;
  const { uid, gid } = kind ?? statSync(folder);
  try {
    fchownSync(file, uid, gid);
  } catch {
    throw new Error(
      "it belongs to another user or group, who could not read it any more: do this as its owner, or root",
    );
  }
}

function demandUnchanged(target: string, before: string | undefined): void {
  const now = currentText(target);
  if (now === before) return;
  throw new Error(
    before === undefined ? "it was made meanwhile: try again" : "somebody else has changed it meanwhile: try again",
  );
}

function currentText(target: string): string | undefined {
  try {
    return readFileSync(target, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The new name is on the disk too. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
