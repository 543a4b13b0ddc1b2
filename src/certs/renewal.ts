import { type CertificateFacts, factsOf } from "./facts.ts";
import type { CertificateFolder } from "./folder.ts";
import { commonNameOf, namesAfter, type ServerName } from "./names.ts";
import { type Validity, validityOf } from "./validity.ts";
import { type NewFile, writeFiles } from "./write-file.ts";
import { issue, type KeptAuthority, newKey } from "./x509.ts";

/** A server's certificate as it is in its folder, with what the next one is made of. */
export interface Renewable {
  readonly authority: KeptAuthority;
  readonly before: CertificateFacts;
  /** PEM. */
  readonly key: string;
}

export interface RenewalOrder {
  /** By these it is reached now; those of the certificate before stay. */
  readonly names: readonly ServerName[];
  readonly nowMs: number;
  /** How long it shall be good, as far as the authority lets it. */
  readonly days: number;
  readonly withNewKey: boolean;
}

/** Throws Error that names the file that is missing, damaged or of another authority. */
export function readRenewable(folder: CertificateFolder, nowMs: number): Renewable {
  const authority = folder.authority(nowMs);
  return { authority, before: factsOf(folder.certificate("server.crt")), key: folder.key("server") };
}

/** Writes server.crt anew, and before it server.key when that changes; tells until when it is good. Throws as `writeFiles`. */
export async function renewServer(
  folder: CertificateFolder,
  { authority, before, key: oldKey }: Renewable,
  { names: now, nowMs, days, withNewKey }: RenewalOrder,
): Promise<Validity> {
  const names = namesAfter(before.names, now);
  const validity = validityOf(nowMs, days, authority.validity.untilMs);
  const key = withNewKey ? newKey() : oldKey;
  const commonName = before.commonName === "" ? commonNameOf(names) : before.commonName;
  const certificate = await issue(authority, { commonName, purpose: "server", names, key, validity });
  const files: NewFile[] = [
    { path: folder.file("server.crt"), content: certificate + authority.certificate, isSecret: false },
  ];
  if (withNewKey) files.unshift({ path: folder.file("server.key"), content: key, isSecret: true });
  writeFiles(files);
  return validity;
}
