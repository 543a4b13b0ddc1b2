import { X509Certificate } from "node:crypto";
import { readServerNames, type ServerName } from "./names.ts";
import type { Validity } from "./validity.ts";
import { plainSerial } from "./x509.ts";

/** What people ask of a certificate. */
export interface CertificateFacts {
  /** "" when its subject has none. */
  readonly commonName: string;
  /** Who signed it; "" when that has no common name. */
  readonly issuer: string;
  readonly names: readonly ServerName[];
  readonly validity: Validity;
  /** SHA-256, "AB:CD:…". */
  readonly fingerprint: string;
  /** Hexadecimal, lower case. */
  readonly serial: string;
  readonly purposes: readonly ("authority" | "server" | "client")[];
}

const PURPOSES: ReadonlyMap<string, "server" | "client"> = new Map([
  ["1.3.6.1.5.5.7.3.1", "server"],
  ["1.3.6.1.5.5.7.3.2", "client"],
]);
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates in a text of PEM blocks, in their order. Throws Error when there is none, or one cannot be read. */
export function readCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) throw new Error("there is no certificate in it (no line BEGIN CERTIFICATE)");
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Error(`certificate ${index + 1} in it is damaged`);
    }
  });
}

export function factsOf(certificate: X509Certificate): CertificateFacts {
  // Without a list it is good for everything, as the RFC has it.
  const usages = certificate.keyUsage ?? [...PURPOSES.keys()];
  const ends = usages.map((usage) => PURPOSES.get(usage)).filter((purpose) => purpose !== undefined);
  return {
    commonName: commonNameOf(certificate.subject),
    issuer: commonNameOf(certificate.issuer),
    names: readServerNames(certificate.subjectAltName),
    validity: { fromMs: Date.parse(certificate.validFrom), untilMs: Date.parse(certificate.validTo) },
    fingerprint: certificate.fingerprint256,
    serial: plainSerial(certificate.serialNumber),
    purposes: certificate.ca ? ["authority"] : ends,
  };
}

/** Of a name as Node.js writes it: a line for each part, and no character that would drive a terminal. */
function commonNameOf(name: string | undefined): string {
  return /^CN=(.*)$/m.exec(name ?? "")?.[1] ?? "";
}
