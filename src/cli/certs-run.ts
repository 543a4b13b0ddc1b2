import { dirname, join, resolve } from "node:path";
import { shownPath } from "../auth/auth-file.ts";
import { CertificateFolder } from "../certs/folder.ts";
import type { Machine } from "../certs/machine.ts";
import { DAY_MS, dateOf, daysUntil, isClockSet, type Validity } from "../certs/validity.ts";
import type { NewFile } from "../certs/write-file.ts";
import { type KeptAuthority, newRevocationList, type Revoked } from "../certs/x509.ts";
import type { Files } from "../config/files.ts";
import { configurationPlaces } from "../config/load.ts";
import type { CertsOptions } from "./certs-options.ts";
import type { ClientIo, Output } from "./client-io.ts";

/** What a command works with. */
export interface CertsRun {
  options: CertsOptions;
  io: ClientIo;
  files: Files;
  output: Output;
  machine: Machine;
  folder: CertificateFolder;
}

/** The folder that is named, else `certs` beside the configuration, else in the working directory. */
export function findCertificateFolder(
  { dir, config }: CertsOptions,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
): CertificateFolder {
  const path = resolve(files.workingDirectory, dir ?? join(configurationFolder(config, environment, files), "certs"));
  return new CertificateFolder(path, shownPath(path, files.workingDirectory));
}

/** The configuration need not be right, nor read: it may name certificates that are still to be made. */
function configurationFolder(
  config: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
): string {
  const named = config ?? environment.MQTT_BROKER_CONFIG?.trim();
  if (named !== undefined && named !== "") return dirname(named);
  const found = configurationPlaces(environment).find((file) => files.exists(resolve(files.workingDirectory, file)));
  return found === undefined ? "." : dirname(found);
}

/** Throws Error on a clock that is not set: what is made now would seem to have expired once it is. */
export function demandClock({ machine, options, io }: CertsRun): void {
  if (isClockSet(machine.nowMs)) return;
  const says = `The clock of this machine says ${dateOf(machine.nowMs)}`;
  if (!options.force) {
    throw new Error(
      `${says}: what is made now will have expired when it is set right. Set the clock first (date -s "YYYY-MM-DD HH:MM"), ` +
        "or make it all the same with --force",
    );
  }
  io.stderr.write(`Warning: ${says}: make the certificates anew when it is set right\n`);
}

/** Says so when the authority ends before what was asked for. */
export function warnOfShorter({ io, options }: CertsRun, { untilMs }: Validity, nowMs: number): void {
  if (untilMs - nowMs > (options.days - 1) * DAY_MS) return;
  const days = daysUntil(untilMs, nowMs);
  io.stderr.write(
    `Warning: it is good for ${days} days, not ${options.days}, since the authority (ca.crt) ends then\n`,
  );
}

/** The file ca.crl. It ends with the authority: a list that has ended would shut everybody out. */
export async function revocationFile(
  { folder, machine }: CertsRun,
  authority: KeptAuthority,
  revoked: readonly Revoked[],
): Promise<NewFile> {
  const validity = {
    fromMs: Math.max(authority.validity.fromMs, machine.nowMs - 3_600_000),
    untilMs: authority.validity.untilMs,
  };
  // Each list has more than the one before.
  const content = await newRevocationList(authority, revoked, validity, revoked.length + 1);
  return { path: folder.file("ca.crl"), content, isSecret: false };
}

/** A word as shells read it back. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
