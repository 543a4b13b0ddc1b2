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
}

/**
 * Joins what a listener says of TLS with what the options say. Certificate and key belong together, so a listener that
 * gives one gives both. Whether the files are there is looked at when they are read.
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
  const before = problems.length;
  const complain = (message: string, hint?: string) => problems.push(origin.problem("error", message, hint));
  if (own && (cert === undefined || key === undefined)) {
    complain("a listener with a certificate of its own needs both cert and key");
  } else if (certs.length === 0 || keys.length === 0) {
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
  if (problems.length > before) return undefined;
  const { minVersion, ciphers } = defaults;
  const certificates = certs.map((each, index) => ({ cert: each!, key: keys[index]! }));
  return { certificates, clientCa, clientCrl, clientCert, minVersion, ciphers };
}
