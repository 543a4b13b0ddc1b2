import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { createSecureContext } from "node:tls";
import { type PskKeys, readPskKeys } from "./psk.ts";
import { listsOf, listTexts, trustOf } from "./tls-chain.ts";
import type { TlsSettings } from "./tls-files.ts";

/** A certificate of a file, or a list of revoked ones, for names and dates. */
export interface DatedCertificate {
  readonly file: string;
  readonly kind: "server" | "authority" | "revoked";
  /** The common name, else the first of its other names; of a list that of its authority, "" when it is not known. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** What one certificate of the server is made of, checked. */
export interface ServerIdentity {
  /** The server's own, which is the first of its file. */
  readonly certificate: X509Certificate;
  /** PEM, the whole chain. */
  readonly cert: string;
  readonly key: string;
}

/** The files' contents, each of which can be used. */
export interface TlsContents {
  readonly identities: readonly ServerIdentity[];
  /** PEM; undefined when clients are not asked for certificates. */
  readonly ca: string | undefined;
  readonly crl: string | undefined;
  /** Keys of clients, and the text that they were read from; undefined when there is no file of them. */
  readonly psk: { readonly text: string; readonly keys: PskKeys } | undefined;
  /** Every certificate that was read. */
  readonly dated: readonly DatedCertificate[];
}

/** What is wrong with a file, in a sentence that names it. */
export class TlsFileError extends Error {}

/** One certificate in PEM, or a list of revoked ones. */
const CERTIFICATES =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/;
const ENCRYPTED_KEY = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/** Reads all files and checks that they fit together. Rejects with a TlsFileError for the first that cannot be used. */
export async function readTlsFiles(settings: TlsSettings): Promise<TlsContents> {
  const { certificates, clientCa, clientCrl, clientCert } = settings;
  const dated: DatedCertificate[] = [];
  const identities: ServerIdentity[] = [];
  for (const files of certificates) identities.push(await readIdentity(files.cert, files.key, dated));
  // Files that nobody would be checked against are not read: a mistake in them is no reason not to start.
  const asks = clientCert !== "off";
  const ca = asks && clientCa !== undefined ? await readAuthorities(clientCa, dated) : undefined;
  const crl = asks && clientCrl !== undefined ? await readRevoked(clientCrl, ca ?? "", dated) : undefined;
  const psk = settings.pskFile === undefined ? undefined : await readKeys(settings.pskFile);
  await checkSettings(settings);
  return { identities, ca, crl, psk, dated };
}

/**
 * Which of the server's own certificates has expired, in a sentence; undefined: none. It is no reason not to start: the
 * machine's clock may be wrong, and whether to take it is for the clients to say.
 */
export function expiredOf({ certificates }: TlsSettings, { dated }: TlsContents, nowMs: number): string | undefined {
  const own = new Set(certificates.map(({ cert }) => cert));
  const expired = dated.find(({ file, validToMs }) => own.has(file) && validToMs <= nowMs);
  if (expired === undefined) return undefined;
  const { file, name, validToMs } = expired;
  const validTo = new Date(validToMs).toISOString();
  return `The certificate ${file} has expired: ${JSON.stringify(name)} was valid until ${validTo}; renew it, or set this machine's clock if it is wrong`;
}

async function readIdentity(certFile: string, keyFile: string, dated: DatedCertificate[]): Promise<ServerIdentity> {
  const cert = await readText(certFile, "the certificate");
  const chain = parseCertificates(cert, certFile, "certificate");
  const key = await readText(keyFile, "the private key");
  const privateKey = parseKey(key, keyFile);
  const [certificate] = chain as [X509Certificate, ...X509Certificate[]];
  if (!certificate.checkPrivateKey(privateKey)) {
    const message = chain.some((other) => other.checkPrivateKey(privateKey))
      ? `The certificate ${certFile} is not in order: the one that belongs to the key ${keyFile} must stand first, its authorities after it`
      : `The private key ${keyFile} does not belong to the certificate ${certFile}: give the key that the certificate was requested with`;
    throw new TlsFileError(message);
  }
  dated.push(...chain.map((each) => datedOf(each, certFile, "server")));
  await tryContext(certFile, "The certificate", { cert, key });
  return { certificate, cert, key };
}

async function readAuthorities(file: string, dated: DatedCertificate[]): Promise<string> {
  const ca = await readText(file, "the authorities of clients");
  dated.push(...parseCertificates(ca, file, "file of authorities").map((each) => datedOf(each, file, "authority")));
  await tryContext(file, "The file of authorities", { ca });
  return ca;
}

async function readRevoked(file: string, ca: string, dated: DatedCertificate[]): Promise<string> {
  const crl = await readText(file, "the revoked certificates");
  const texts = listTexts(crl);
  if (texts.length === 0) {
    throw new TlsFileError(
      `${file} has no list of revoked certificates: it must have lines "-----BEGIN X509 CRL-----"`,
    );
  }
  await tryContext(file, "The list of revoked certificates", { crl: texts });
  const { authorities } = trustOf(ca, undefined);
  for (const { issuer, fromMs: validFromMs, untilMs: validToMs = Number.POSITIVE_INFINITY } of listsOf(crl)) {
    const authority = authorities.find(({ subject }) => Buffer.compare(subject, issuer) === 0);
    const name = authority === undefined ? "" : nameOf(authority.x509);
    dated.push({ file, kind: "revoked", name, validFromMs, validToMs });
  }
  return crl;
}

async function readKeys(file: string): Promise<NonNullable<TlsContents["psk"]>> {
  const text = await readText(file, "the keys of clients", "utf8");
  try {
    return { text, keys: readPskKeys(text) };
  } catch (error) {
    throw new TlsFileError(`The file of keys ${file} cannot be used: ${(error as Error).message}`);
  }
}

async function readText(file: string, what: string, encoding: "latin1" | "utf8" = "latin1"): Promise<string> {
  try {
    return await readFile(file, encoding);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = REASONS[code ?? ""] ?? message;
    throw new TlsFileError(`Cannot read ${what} ${file}: ${reason}`, { cause: error });
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "this user may not read it; give its group the right, or run the broker as its owner",
  EISDIR: "it is a folder",
};

function parseCertificates(pem: string, file: string, what: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATES);
  if (blocks === null) {
    throw new TlsFileError(
      `The ${what} ${file} is not PEM: it must have lines "-----BEGIN CERTIFICATE-----"; openssl x509 -inform DER makes it of a DER file`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new TlsFileError(`The ${what} ${file} is damaged: certificate ${index + 1} in it cannot be read`);
    }
  });
}

/** What OpenSSL says of a key is not passed on: messages go to the log. */
function parseKey(pem: string, file: string): KeyObject {
  if (ENCRYPTED_KEY.test(pem)) {
    throw new TlsFileError(
      `The private key ${file} is encrypted: nobody could type its password at a start; openssl pkey -in FILE -out PLAIN removes it`,
    );
  }
  if (!PRIVATE_KEY.test(pem)) {
    throw new TlsFileError(`The private key ${file} is not PEM: it must have a line "-----BEGIN PRIVATE KEY-----"`);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw new TlsFileError(`The private key ${file} is damaged: it cannot be read`);
  }
}

/** What nothing but OpenSSL itself can tell, such as a key too small for its level of security. */
async function tryContext(
  file: string,
  what: string,
  contents: Parameters<typeof createSecureContext>[0],
): Promise<void> {
  const tls = await import("node:tls");
  try {
    tls.createSecureContext(contents);
  } catch (error) {
    throw new TlsFileError(`${what} ${file} cannot be used: ${(error as Error).message}`);
  }
}

async function checkSettings({ ciphers }: TlsSettings): Promise<void> {
  if (ciphers === undefined) return;
  const tls = await import("node:tls");
  try {
    tls.createSecureContext({ ciphers });
  } catch (error) {
    throw new TlsFileError(
      `The ciphers "${ciphers}" cannot be used: ${(error as Error).message}; openssl ciphers -v lists names`,
    );
  }
}

function datedOf(certificate: X509Certificate, file: string, kind: DatedCertificate["kind"]): DatedCertificate {
  const validFromMs = Date.parse(certificate.validFrom);
  return { file, kind, name: nameOf(certificate), validFromMs, validToMs: Date.parse(certificate.validTo) };
}

function nameOf({ subject, subjectAltName }: X509Certificate): string {
  const commonName = /^CN=(.*)$/m.exec(subject ?? "")?.[1];
  return commonName ?? subjectAltName?.split(", ")[0] ?? "";
}
