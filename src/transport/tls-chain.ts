import { type KeyObject, verify, X509Certificate } from "node:crypto";
import { type CertificateFacts, factsOf, type RevocationList, revocationListOf, Usage } from "./tls-facts.ts";

/** What certificates of clients are checked against. */
export interface Trust {
  readonly authorities: readonly CertificateFacts[];
  /** Undefined: nobody is asked whether a certificate was revoked. */
  readonly lists: readonly RevocationList[] | undefined;
}

const CLIENT = "1.3.6.1.5.5.7.3.2";
/** Netscape's kinds. */
const NETSCAPE_CLIENT = 0x80;
/** Authorities in a chain; real ones have one or two. */
const AUTHORITIES_MAX = 8;
/** As OpenSSL asks of TLS from level 2 on: a key that is as hard to guess as one of 112 bits. */
const RSA_BITS_MIN = 2048;
const CURVES: ReadonlySet<string> = new Set([
  "prime256v1",
  "secp384r1",
  "secp521r1",
  "secp256k1",
  "brainpoolP256r1",
  "brainpoolP384r1",
  "brainpoolP512r1",
]);
/** Ways to sign that are not broken, by object identifier, and the hash to verify them with; null: it has its own. */
const SIGNATURES: ReadonlyMap<string, string | null> = new Map([
  ["1.2.840.113549.1.1.11", "sha256"],
  ["1.2.840.113549.1.1.12", "sha384"],
  ["1.2.840.113549.1.1.13", "sha512"],
  ["1.2.840.10045.4.3.2", "sha256"],
  ["1.2.840.10045.4.3.3", "sha384"],
  ["1.2.840.10045.4.3.4", "sha512"],
  ["1.3.101.112", null],
  ["1.3.101.113", null],
]);

const CERTIFICATES = /-----BEGIN (X509 )?CERTIFICATE-----[\s\S]*?-----END (X509 )?CERTIFICATE-----/g;
const LIST_BEGIN = /(?=^-----BEGIN X509 CRL-----)/m;
const LIST = /^-----BEGIN X509 CRL-----([\s\S]*?)-----END X509 CRL-----/;

/**
 * Reads PEM. An authority that cannot be understood, or is trusted for some purposes only ("TRUSTED CERTIFICATE"), is left
 * out; for such a list nobody gets in at all, since it may be the one that counts. `crl` undefined: none is asked for.
 */
export function trustOf(ca: string, crl: string | undefined): Trust {
  const authorities = (ca.match(CERTIFICATES) ?? []).flatMap((pem) => {
    try {
      return [factsOf(new X509Certificate(pem))];
    } catch {
      return [];
    }
  });
  if (crl === undefined) return { authorities, lists: undefined };
  const lists = listsOf(crl);
  return { authorities, lists: lists.length === listTexts(crl).length ? lists : [] };
}

/** The lists in a text of PEM, each from its first line to that of the next: Node.js reads but the first of a text. */
export function listTexts(crl: string): string[] {
  return crl.split(LIST_BEGIN).filter((text) => LIST_BEGIN.test(text));
}

/** The lists in a text of PEM that can be understood. */
export function listsOf(crl: string): RevocationList[] {
  return listTexts(crl).flatMap((text) => {
    try {
      return [revocationListOf(Buffer.from(LIST.exec(text)![1]!, "base64"))];
    } catch {
      return [];
    }
  });
}

/**
 * What OpenSSL would have against a client's certificate if its clock could be set, as the code that Node.js has for it;
 * undefined: nothing. RFC 5280, section 6.1, without policies; what is not understood is refused.
 *
 * `knownMs` is the earliest that it can be (milliseconds since 1970). A certificate or list that begins later shows that
 * it is later: all must be good at one moment that is not before any of them. `sent`: what else the client has shown.
 */
export function chainProblem(
  shown: X509Certificate,
  sent: readonly X509Certificate[],
  trust: Trust,
  knownMs: number,
): string | undefined {
  try {
    const others = sent.slice(0, AUTHORITIES_MAX).map(factsOf);
    const chain = chainOf(factsOf(shown), others, trust.authorities);
    if (typeof chain === "string") return chain;
    const problem = chain.map((each, index) => problemOf(each, index, chain)).find((found) => found !== undefined);
    if (problem !== undefined) return problem;
    const lists = trust.lists === undefined ? [] : listsFor(chain, trust.lists);
    if (typeof lists === "string") return lists;
    return dateProblem(chain, lists, knownMs);
  } catch {
    // Whatever is damaged in it.
    return "CERT_REJECTED";
  }
}

/** From the client's certificate to one that is trusted for itself. */
function chainOf(
  shown: CertificateFacts,
  sent: readonly CertificateFacts[],
  authorities: readonly CertificateFacts[],
): CertificateFacts[] | string {
  const chain = [shown];
  for (let last = shown; !isRoot(last, authorities); ) {
    if (chain.length > AUTHORITIES_MAX) return "CERT_CHAIN_TOO_LONG";
    const open = (each: CertificateFacts): boolean => !chain.includes(each) && last.x509.checkIssued(each.x509);
    const candidates = [...preferred(authorities.filter(open)), ...preferred(sent.filter(open))];
    const issuer = candidates.find((each) => isSignedBy(last, each));
    if (issuer === undefined) return missing(chain, candidates.length > 0);
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}

/** Those that end a chain first, then those that are good longest: of a renewed authority the old one may be there too. */
function preferred(candidates: readonly CertificateFacts[]): CertificateFacts[] {
  const rank = (each: CertificateFacts): number => (isSelfIssued(each) ? 1 : 0);
  return [...candidates].sort((one, other) => rank(other) - rank(one) || other.untilMs - one.untilMs);
}

function missing(chain: readonly CertificateFacts[], wasForged: boolean): string {
  if (wasForged) return "CERT_SIGNATURE_FAILURE";
  if (!isSelfIssued(chain.at(-1)!)) return "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
  return chain.length === 1 ? "DEPTH_ZERO_SELF_SIGNED_CERT" : "SELF_SIGNED_CERT_IN_CHAIN";
}

function isRoot(certificate: CertificateFacts, authorities: readonly CertificateFacts[]): boolean {
  if (!isSelfIssued(certificate)) return false;
  return authorities.some(({ x509 }) => x509.raw.equals(certificate.x509.raw));
}

function isSelfIssued({ issuer, subject }: CertificateFacts): boolean {
  return isSame(issuer, subject);
}

function isSignedBy(certificate: CertificateFacts, issuer: CertificateFacts): boolean {
  try {
    return certificate.x509.verify(issuer.x509.publicKey);
  } catch {
    return false;
  }
}

/** What is wrong with the certificate at this place of the chain, whatever the time. */
function problemOf(
  certificate: CertificateFacts,
  index: number,
  chain: readonly CertificateFacts[],
): string | undefined {
  const { keyUsage, extendedKeyUsage, netscapeType, signatureAlgorithm, pathLength } = certificate;
  const isLast = index === chain.length - 1;
  if (certificate.hasUnknownRule) return "UNHANDLED_CRITICAL_EXTENSION";
  if (!isStrong(certificate.x509.publicKey)) return index === 0 ? "EE_KEY_TOO_SMALL" : "CA_KEY_TOO_SMALL";
  // Nobody believes the last one for its signature.
  if (!isLast && !SIGNATURES.has(signatureAlgorithm)) return "CA_MD_TOO_WEAK";
  if (extendedKeyUsage !== undefined && !extendedKeyUsage.includes(CLIENT)) return "INVALID_PURPOSE";
  if (index === 0) {
    const canSign = keyUsage === undefined || (keyUsage & (Usage.DigitalSignature | Usage.KeyAgreement)) !== 0;
    const isForClients = netscapeType === undefined || (netscapeType & NETSCAPE_CLIENT) !== 0;
    return canSign && isForClients ? undefined : "INVALID_PURPOSE";
  }
  // Of the first version, which could not say it, one is an authority because somebody has put it into our file.
  const isAuthority = certificate.isAuthority ?? (certificate.version === 1 && isLast);
  if (!isAuthority || !allows(keyUsage, Usage.KeyCertSign)) return "INVALID_CA";
  // One that was issued to itself, as for a new key, does not count.
  const between = chain.slice(1, index).filter((each) => !isSelfIssued(each)).length;
  return pathLength !== undefined && between > pathLength ? "PATH_LENGTH_EXCEEDED" : undefined;
}

/** The newest list of the issuer of each in the chain, or what is wrong. */
function listsFor(
  chain: readonly CertificateFacts[],
  lists: readonly RevocationList[],
): readonly RevocationList[] | string {
  const found: RevocationList[] = [];
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? certificate;
    const named = lists.filter((each) => isSame(each.issuer, certificate.issuer));
    if (named.length === 0) return "UNABLE_TO_GET_CRL";
    if (!allows(issuer.keyUsage, Usage.CrlSign)) return "KEYUSAGE_NO_CRL_SIGN";
    const signed = named.filter((each) => isListOf(each, issuer.x509.publicKey));
    if (signed.length === 0) return "CRL_SIGNATURE_FAILURE";
    const newest = signed.reduce((one, other) => (other.fromMs > one.fromMs ? other : one));
    if (newest.hasUnknownRule) return "UNHANDLED_CRITICAL_CRL_EXTENSION";
    if (newest.serials.has(certificate.serial)) return "CERT_REVOKED";
    found.push(newest);
  }
  return found;
}

function isListOf({ signatureAlgorithm, signed, signature }: RevocationList, key: KeyObject): boolean {
  const hash = SIGNATURES.get(signatureAlgorithm);
  if (hash === undefined) return false;
  try {
    return verify(hash, signed, key, signature);
  } catch {
    return false;
  }
}

function dateProblem(
  chain: readonly CertificateFacts[],
  lists: readonly RevocationList[],
  knownMs: number,
): string | undefined {
  const atMs = Math.max(knownMs, ...chain.map(({ fromMs }) => fromMs), ...lists.map(({ fromMs }) => fromMs));
  if (chain.some(({ untilMs }) => untilMs <= atMs)) return "CERT_HAS_EXPIRED";
  return lists.some(({ untilMs }) => untilMs !== undefined && untilMs <= atMs) ? "CRL_HAS_EXPIRED" : undefined;
}

function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === "rsa") return (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN;
  if (asymmetricKeyType === "ec") return CURVES.has(asymmetricKeyDetails?.namedCurve ?? "");
  return asymmetricKeyType === "ed25519" || asymmetricKeyType === "ed448";
}

function allows(keyUsage: number | undefined, usage: number): boolean {
  return keyUsage === undefined || (keyUsage & usage) !== 0;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
