import { resolve } from "node:path";
import type { Problem } from "../text/problem.ts";
import type { ListenerEntry } from "./listener.ts";
import type { ClientCert, TlsSettings, TlsVersion } from "./settings.ts";

/** What the options of TLS say, for the listeners that do not say it themselves. Paths are absolute. */
export interface TlsDefaults {
  certs: readonly string[];
  keys: readonly string[];
  clientCa: string | undefined;
  clientCrl: string | undefined;
  /** undefined: "required" where there is an authority, else "off". */
  clientCert: ClientCert | undefined;
  minVersion: TlsVersion;
  ciphers: string | undefined;
  pskFile: string | undefined;
  pskHint: string | undefined;
}

/**
 * Joins what a listener says of TLS with what the options say. Certificate and key belong together, so a listener that
 * gives one gives both; one with a file of keys needs neither. Whether the files are there is looked at when they are read.
 */
export function tlsOf(
  { origin, cert, key, directory = "", ...entry }: ListenerEntry,
  defaults: TlsDefaults,
  workingDirectory: string,
  problems: Problem[],
): TlsSettings | undefined {
  const path = (given: string | undefined): string | undefined =>
    given === undefined ? undefined : resolve(workingDirectory, directory, given);
  const own = cert !== undefined || key !== undefined;
  const certs = own ? [path(cert)] : defaults.certs;
  const keys = own ? [path(key)] : defaults.keys;
  const clientCa = path(entry.clientCa) ?? defaults.clientCa;
  const clientCrl = path(entry.clientCrl) ?? defaults.clientCrl;
  const clientCert = entry.clientCert ?? defaults.clientCert ?? (clientCa === undefined ? "off" : "required");
  const pskFile = path(entry.pskFile) ?? defaults.pskFile;
  const before = problems.length;
  const complain = (message: string, hint?: string) => problems.push(origin.problem("error", message, hint));
  if (own && (cert === undefined || key === undefined)) {
    complain("a listener with a certificate of its own needs both cert and key");
  } else if ((certs.length === 0 || keys.length === 0) && (pskFile === undefined || certs.length !== keys.length)) {
    const missing = certs.length > 0 ? "--server-key FILE" : keys.length > 0 ? "--server-crt FILE" : undefined;
    complain(`TLS needs ${missing ?? "a certificate: --server-crt FILE and --server-key FILE"}`);
  } else if (certs.length !== keys.length) {
    const counts = `${certs.length} of --server-crt and ${keys.length} of --server-key`;
    complain(`each certificate needs its key, in the same order; there are ${counts}`);
  }
  if (clientCert !== "off" && clientCa === undefined) {
    complain(`client certificates are ${clientCert}, but there is no authority to check them: give --client-ca FILE`);
  }
  if (clientCrl !== undefined && clientCa === undefined) {
    complain("revoked certificates need an authority that issued them: give --client-ca FILE");
  }
  const { minVersion, ciphers, pskHint } = defaults;
  if (pskFile !== undefined) checkKeys({ minVersion, clientCert, hasCertificate: certs.length > 0 }, complain);
  if (problems.length > before) return undefined;
  const certificates = certs.map((each, index) => ({ cert: each!, key: keys[index]! }));
  const psk = pskFile === undefined ? {} : { pskFile, ...(pskHint !== undefined && { pskHint }) };
  return { certificates, clientCa, clientCrl, clientCert, minVersion, ciphers, ...psk };
}

/** What does not go together with a file of keys. */
function checkKeys(
  {
    minVersion,
    clientCert,
    hasCertificate,
  }: Pick<TlsSettings, "minVersion" | "clientCert"> & { hasCertificate: boolean },
  complain: (message: string, hint?: string) => void,
): void {
  if (minVersion !== "TLSv1.2") {
    complain(`keys of --psk-file are for TLS 1.2, and the oldest version that is spoken is ${minVersion}`);
  }
  if (clientCert === "required") {
    const hint = "Give --client-cert optional, or the keys to a listener of their own";
    complain("client certificates are required, and who has a key of --psk-file shows none", hint);
  } else if (clientCert !== "off" && !hasCertificate) {
    const message = "clients can show certificates only to a server that has one: give --server-crt and --server-key";
    complain(message, "Or --client-cert off, when --psk-file is all that is wanted");
  }
}
