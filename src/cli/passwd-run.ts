import type { ReadAuth } from "../auth/reading/read-auth.ts";
import type { Files } from "../config/files.ts";
import type { ClientIo, Output } from "./client-io.ts";
import { type AuthText, demandRight, readAuthText, writeAuthText } from "./passwd-file.ts";
import type { PasswdOptions } from "./passwd-options.ts";

const SECRET_METHODS: readonly unknown[] = ["sha256", "plain_password", "scrypt", "argon2id", "mosquitto"];

/** What a command works with. */
export interface PasswdRun {
  options: PasswdOptions;
  io: ClientIo;
  files: Files;
  output: Output;
  path: string;
  /** The path as users call it. */
  name: string;
}

export const TAKEN_UP = "A running broker that uses this file takes it up within a second";

export function describeNewFile(name: string): string {
  return `Made ${name}: clients on this machine still need no password, others do; every user may use every topic\n`;
}

/** The file as it is now. Rejects when there is none, or none that can be edited. */
export async function existing({ path, files, name }: PasswdRun): Promise<AuthText> {
  const text = await readAuthText(path, files);
  if (text === undefined) throw new Error(`There is no ${name}: mqtt-broker passwd add NAME makes one`);
  demandEditable(text, path);
  return text;
}

/** What this program can edit. */
export function demandEditable(before: AuthText | undefined, path: string): void {
  if (/\.ya?ml$/i.test(path)) throw new Error(`${path} is YAML, and only JSON5 is edited: edit it yourself`);
  if (before?.auth.ledger === undefined) return;
  const advice = `mqtt-broker auth import --ledger ${path} makes users and rules of it`;
  throw new Error(`${before.name} holds a ledger, which has no users of this kind: ${advice}`);
}

/** Writes what was checked to be right. Returns how it reads. */
export function save({ path, name, io }: PasswdRun, text: string, before: AuthText | undefined): ReadAuth {
  const auth = demandRight(text, path, name);
  for (const line of writeAuthText(path, text, before?.text)) io.stderr.write(`${line}\n`);
  if (before === undefined && process.getuid?.() === 0) {
    io.stderr.write(`The file is its owner's alone: if the broker runs as another user, chown USER ${name}\n`);
  }
  return auth;
}

/** Another method would lose what the entry says about certificates, keys and lines. */
export function demandPasswordEntry(user: string, method: unknown, advice: string): void {
  if (hasPassword(method)) return;
  throw new Error(`${user} logs in by the method ${String(method)}, without a password of its own: ${advice}`);
}

/** Do entries of this method have a secret that `passwd` can replace? */
export function hasPassword(method: unknown): boolean {
  return SECRET_METHODS.includes(method);
}
