import "reflect-metadata";
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509Crl,
  type X509CrlEntryParams,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";
import { integer } from "./der.ts";
import type { ServerName } from "./names.ts";
import type { Validity } from "./validity.ts";

// Node.js 18 has none among its globals.
cryptoProvider.set(webcrypto as unknown as ReturnType<typeof cryptoProvider.get>);

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };
const USAGES = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;
const CRL_NUMBER = "2.5.29.20";
const SERIAL_BYTES = 16;

/** Who signs: certificate and key in PEM. */
export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of which it is known until when it is good. */
export interface KeptAuthority extends Authority {
  readonly validity: Validity;
}

/** What shall stand in a certificate. */
export interface CertificateOrder {
  /** 1 to 64 characters. */
  readonly commonName: string;
  readonly purpose: "server" | "client";
  /** Empty for clients. */
  readonly names: readonly ServerName[];
  /** The private key that it belongs to, in PEM: only its public half gets into the certificate. */
  readonly key: string;
  readonly validity: Validity;
}

/** A certificate that is no longer good. */
export interface Revoked {
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** A new P-256 key in PEM (PKCS#8). */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** A new authority that may sign certificates of servers and clients, but none of other authorities. */
export async function newAuthority(commonName: string, validity: Validity): Promise<Authority> {
  const key = newKey();
  const name = nameOf(commonName);
  const made = await X509CertificateGenerator.create({
    ...common(validity),
    subject: name,
    issuer: name,
    publicKey: publicKeyOf(key),
    signingKey: await signingKeyOf(key),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKeyOf(key)),
    ],
  });
  return { certificate: pemOf(made), key };
}

/** A certificate in PEM, signed by the authority, whose key must be P-256. */
export async function issue(authority: Authority, order: CertificateOrder): Promise<string> {
  const issuer = new X509Certificate(authority.certificate);
  const made = await X509CertificateGenerator.create({
    ...common(order.validity),
    subject: nameOf(order.commonName),
    issuer: issuer.subjectName,
    publicKey: publicKeyOf(order.key),
    signingKey: await signingKeyOf(authority.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([USAGES[order.purpose]]),
      await SubjectKeyIdentifierExtension.create(publicKeyOf(order.key)),
      await AuthorityKeyIdentifierExtension.create(publicKeyOf(authority.key)),
      ...alternativeNames(order.names),
    ],
  });
  return pemOf(made);
}

/**
 * The list of revoked certificates in PEM, signed by the authority. It holds until `validity` ends: whoever checks against
 * a list that has ended lets nobody in. `number`: higher than that of the list before.
 */
export async function newRevocationList(
  authority: Authority,
  revoked: readonly Revoked[],
  validity: Validity,
  number: number,
): Promise<string> {
  const made = await X509CrlGenerator.create({
    issuer: new X509Certificate(authority.certificate).subjectName,
    thisUpdate: new Date(validity.fromMs),
    nextUpdate: new Date(validity.untilMs),
    signingAlgorithm: SIGNATURE,
    signingKey: await signingKeyOf(authority.key),
    entries: revoked.map(entryOf),
    extensions: [
      await AuthorityKeyIdentifierExtension.create(publicKeyOf(authority.key)),
      new Extension(CRL_NUMBER, false, Buffer.from(integer(number))),
    ],
  });
  // The package calls the block CRL, which OpenSSL does not know.
  return pemOf(made).replace(/^(-----(?:BEGIN|END)) CRL-----$/gm, "$1 X509 CRL-----");
}

/** What a list of that authority has; undefined when it is not signed by it. Throws when the text is no such list. */
export async function readRevocationList(pem: string, authority: string): Promise<Revoked[] | undefined> {
  const list = new X509Crl(pem);
  const isOurs = await list.verify({ publicKey: new X509Certificate(authority) });
  if (!isOurs) return undefined;
  return list.entries.map(({ serialNumber, revocationDate }) => ({
    serial: plainSerial(serialNumber),
    atMs: revocationDate.getTime(),
  }));
}

/** As all of this program writes serial numbers: lower case, without zeros before. */
export function plainSerial(serial: string): string {
  return serial.toLowerCase().replace(/^0+(?=.)/, "");
}

/** With a reason, or the package writes an empty list of further facts, which no entry may have. */
function entryOf({ serial, atMs }: Revoked): X509CrlEntryParams {
  return { serialNumber: serial, revocationDate: new Date(atMs), reason: X509CrlReason.privilegeWithdrawn };
}

function common({ fromMs, untilMs }: Validity): { [key: string]: unknown; signingAlgorithm: typeof SIGNATURE } {
  return {
    serialNumber: randomBytes(SERIAL_BYTES).toString("hex"),
    notBefore: new Date(fromMs),
    notAfter: new Date(untilMs),
    signingAlgorithm: SIGNATURE,
  };
}

/** As text of one attribute: in a name that is written as one text, some characters would mean something. */
function nameOf(commonName: string): Name {
  return new Name([{ CN: [{ utf8String: commonName }] }]);
}

function alternativeNames(names: readonly ServerName[]): Extension[] {
  if (names.length === 0) return [];
  return [new SubjectAlternativeNameExtension(names.map(({ kind, value }) => ({ type: kind, value })))];
}

function publicKeyOf(key: string): Buffer<ArrayBuffer> {
  return Buffer.from(createPublicKey(key).export({ type: "spki", format: "der" }));
}

async function signingKeyOf(key: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", Buffer.from(der), CURVE, false, ["sign"]);
}

function pemOf(made: { toString(format: "pem"): string }): string {
  return `${made.toString("pem").trimEnd()}\n`;
}
