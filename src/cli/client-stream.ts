import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect as connectNet, isIP, type Socket } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, getCACertificates } from "node:tls";
import { ConnectionError, plainReason } from "./connection-error.ts";

export interface TlsSettings {
  caFile?: string;
  /** A folder of PEM certificates. */
  caPath?: string;
  certFile?: string;
  keyFile?: string;
  ciphers?: string;
  alpn?: string;
  version?: "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  /** Do not compare the host with the names in the certificate; its chain is checked all the same. */
  insecure?: boolean;
  /** Trust what the operating system trusts, beside `caFile` and `caPath`. */
  osCertificates?: boolean;
  psk?: { identity: string; key: Buffer };
}

/** Where the broker is, and how to get there. */
export interface StreamSettings {
  host: string;
  port: number;
  /** Unix socket, instead of host and port. */
  unixPath?: string;
  bindAddress?: string;
  noDelay: boolean;
  tls?: TlsSettings;
}

/** A stream that is connecting; `tls` comes from `tlsOptions`. */
export function openStream(settings: StreamSettings, tls: ConnectionOptions | undefined): Socket {
  const where =
    settings.unixPath === undefined ? { host: settings.host, port: settings.port } : { path: settings.unixPath };
  const local = settings.bindAddress === undefined ? {} : { localAddress: settings.bindAddress };
  const socket =
    tls === undefined
      ? connectNet({ ...where, ...local, noDelay: settings.noDelay })
      : connectTls({ ...where, ...local, ...tls } as ConnectionOptions);
  if (tls !== undefined) socket.setNoDelay(settings.noDelay);
  return socket;
}

/** Reads the files `tls` names. Throws a ConnectionError that names the one that cannot be read. */
export function tlsOptions(tls: TlsSettings, host: string): ConnectionOptions {
  const authorities: string[] = [];
  if (tls.caFile !== undefined) authorities.push(readText(tls.caFile));
  if (tls.caPath !== undefined) authorities.push(...readFolder(tls.caPath));
  if (tls.osCertificates === true || authorities.length === 0) {
    authorities.push(...getCACertificates("system"), ...getCACertificates("default"));
  }
  const { psk } = tls;
  return {
    ca: authorities,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.certFile === undefined ? {} : { cert: readText(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readText(tls.keyFile) }),
    ...(tls.ciphers === undefined ? {} : { ciphers: tls.ciphers }),
    ...(tls.alpn === undefined ? {} : { ALPNProtocols: [tls.alpn] }),
    ...(tls.version === undefined ? {} : { minVersion: tls.version, maxVersion: tls.version }),
    ...(tls.insecure === true ? { checkServerIdentity: () => undefined } : {}),
    ...(psk === undefined
      ? {}
      : {
          // Node.js offers external keys up to TLS 1.2 only, and there is no certificate whose names could be compared.
          pskCallback: () => ({ psk: psk.key, identity: psk.identity }),
          ciphers: tls.ciphers ?? "PSK",
          maxVersion: "TLSv1.2" as const,
          checkServerIdentity: () => undefined,
        }),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConnectionError(`Error: Cannot read ${path}: ${plainReason(error)}`);
  }
}

function readFolder(path: string): string[] {
  try {
    const files = readdirSync(path).map((name) => join(path, name));
    return files.filter((file) => statSync(file).isFile()).map((file) => readText(file));
  } catch (error) {
    throw error instanceof ConnectionError
      ? error
      : new ConnectionError(`Error: Cannot read ${path}: ${plainReason(error)}`);
  }
}
