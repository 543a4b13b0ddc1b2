import type { X509Certificate } from "node:crypto";
import { DerReader, Tag } from "./tls-der.ts";

/** Bits of the key usage: RFC 5280, section 4.2.1.3. */
export const Usage = { DigitalSignature: 0x80, KeyAgreement: 0x08, KeyCertSign: 0x04, CrlSign: 0x02 } as const;

/** What a chain of certificates is judged by, of one of them. */
export interface CertificateFacts {
  readonly x509: X509Certificate;
  /** 1 to 3. */
  readonly version: number;
  /** Hexadecimal, as it stands in the certificate. */
  readonly serial: string;
  /** DER. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly signatureAlgorithm: string;
  /** Undefined: it does not say whether it is one of an authority. */
  readonly isAuthority: boolean | undefined;
  /** How many authorities may stand between it and a client; undefined: any number. */
  readonly pathLength: number | undefined;
  /** Undefined: for everything. */
  readonly keyUsage: number | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Netscape's kind of certificate, which OpenSSL heeds where it is given. */
  readonly netscapeType: number | undefined;
  /** It has a rule that only somebody who knows more than this program could apply. */
  readonly hasUnknownRule: boolean;
}

/** A list of revoked certificates. */
export interface RevocationList {
  /** DER. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  /** Undefined: it never runs out. */
  readonly untilMs: number | undefined;
  /** Serial numbers, hexadecimal as they stand. */
  readonly serials: ReadonlySet<string>;
  readonly signatureAlgorithm: string;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly hasUnknownRule: boolean;
}

const OID = {
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  nameConstraints: "2.5.29.30",
  netscapeType: "2.16.840.1.113730.1.1",
  proxy: "1.3.6.1.5.5.7.1.14",
} as const;
/** What may be marked as critical: applied here, or, like OpenSSL without a wish for policies, not asked for. */
const APPLIED: ReadonlySet<string> = new Set([
  OID.basicConstraints,
  OID.keyUsage,
  OID.extendedKeyUsage,
  OID.netscapeType,
  // Other names, policies (four of them), and where lists of revoked certificates are.
  "2.5.29.17",
  "2.5.29.32",
  "2.5.29.33",
  "2.5.29.36",
  "2.5.29.54",
  "2.5.29.31",
]);
/** Rules for names are not applied here, whether they are critical or not; proxies are not taken. */
const NEVER: ReadonlySet<string> = new Set([OID.nameConstraints, OID.proxy]);

interface Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** Throws a RangeError for what is not DER as RFC 5280, section 4.1, has it. */
export function factsOf(x509: X509Certificate): CertificateFacts {
  const certificate = new DerReader(x509.raw).into(Tag.Sequence);
  const body = certificate.into(Tag.Sequence);
  const version = body.isNext(Tag.Context0) ? body.into(Tag.Context0).count() + 1 : 1;
  const serial = body.hex();
  const signatureAlgorithm = body.into(Tag.Sequence).oid();
  const issuer = body.whole(Tag.Sequence);
  const validity = body.into(Tag.Sequence);
  const fromMs = validity.time();
  const untilMs = validity.time();
  const subject = body.whole(Tag.Sequence);
  body.whole(Tag.Sequence);
  // Two kinds of unique identifiers, which nobody uses.
  for (const tag of [0x81, 0x82]) if (body.isNext(tag)) body.whole(tag);
  const extensions = body.isNext(Tag.Context3)
    ? extensionsOf(body.into(Tag.Context3).into(Tag.Sequence))
    : new Map<string, Extension>();
  const inside = (oid: string): DerReader | undefined => {
    const extension = extensions.get(oid);
    return extension === undefined ? undefined : new DerReader(extension.value);
  };
  const constraints = inside(OID.basicConstraints)?.into(Tag.Sequence);
  const isAuthority = constraints?.flag();
  return {
    x509,
    version,
    serial,
    issuer,
    subject,
    fromMs,
    untilMs,
    signatureAlgorithm,
    isAuthority,
    pathLength: constraints?.more === true ? constraints.count() : undefined,
    keyUsage: firstByte(inside(OID.keyUsage)),
    extendedKeyUsage: oids(inside(OID.extendedKeyUsage)?.into(Tag.Sequence)),
    netscapeType: firstByte(inside(OID.netscapeType)),
    hasUnknownRule: [...extensions].some(([oid, { critical }]) => NEVER.has(oid) || (critical && !APPLIED.has(oid))),
  };
}

/** Throws a RangeError for what is not DER as RFC 5280, section 5.1, has it. */
export function revocationListOf(der: Uint8Array): RevocationList {
  const list = new DerReader(der).into(Tag.Sequence);
  const signed = list.whole(Tag.Sequence);
  const outerAlgorithm = list.into(Tag.Sequence).oid();
  const signature = list.bits();
  const body = new DerReader(signed).into(Tag.Sequence);
  if (body.isNext(Tag.Integer)) body.count();
  const signatureAlgorithm = body.into(Tag.Sequence).oid();
  if (signatureAlgorithm !== outerAlgorithm) throw new RangeError("A list names two ways in which it was signed");
  const issuer = body.whole(Tag.Sequence);
  const fromMs = body.time();
  const untilMs = body.isNext(Tag.UtcTime) || body.isNext(Tag.GeneralizedTime) ? body.time() : undefined;
  const serials = new Set<string>();
  let hasUnknownRule = false;
  const entries = body.isNext(Tag.Sequence) ? body.into(Tag.Sequence) : undefined;
  while (entries?.more === true) {
    const entry = entries.into(Tag.Sequence);
    serials.add(entry.hex());
    entry.time();
    if (entry.more && hasCritical(extensionsOf(entry.into(Tag.Sequence)))) hasUnknownRule = true;
  }
  // A list of changes, or of some certificates only, says so by one that is critical.
  if (body.more && hasCritical(extensionsOf(body.into(Tag.Context0).into(Tag.Sequence)))) hasUnknownRule = true;
  return { issuer, fromMs, untilMs, serials, signatureAlgorithm, signed, signature, hasUnknownRule };
}

function extensionsOf(list: DerReader): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  while (list.more) {
    const extension = list.into(Tag.Sequence);
    const oid = extension.oid();
    if (extensions.has(oid)) throw new RangeError(`The extension ${oid} is there twice`);
    extensions.set(oid, { critical: extension.flag(), value: extension.content(Tag.OctetString) });
  }
  return extensions;
}

function hasCritical(extensions: ReadonlyMap<string, Extension>): boolean {
  return [...extensions.values()].some(({ critical }) => critical);
}

function firstByte(bits: DerReader | undefined): number | undefined {
  return bits === undefined ? undefined : (bits.bits()[0] ?? 0);
}

function oids(list: DerReader | undefined): string[] | undefined {
  if (list === undefined) return undefined;
  const found: string[] = [];
  while (list.more) found.push(list.oid());
  return found;
}
