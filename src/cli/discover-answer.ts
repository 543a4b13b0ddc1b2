import { isIPv6 } from "node:net";

/** What a broker tells a client without any credentials. */
export interface MqttAnswer {
  /** "other": it refuses for a reason that no credentials change. */
  asks: "nothing" | "password" | "certificate" | "other";
  /** For people: "answers, and lets anonymous clients in". */
  says: string;
  certificate?: SeenCertificate;
}

export interface SeenCertificate {
  commonName: string;
  issuer: string;
  /** Host names and addresses for which it is. */
  names: readonly string[];
  /** "2028-02-24" */
  until: string;
  isExpired: boolean;
  /** SHA-256, "AB:CD:…". */
  fingerprint: string;
}

/** It does not speak what it says it does, or says nothing at all. */
export class NoAnswer extends Error {
  readonly seen: { certificate?: SeenCertificate };

  constructor(message: string, seen: { certificate?: SeenCertificate } = {}) {
    super(message);
    this.seen = seen;
  }
}

export function noAnswerInTime(): NoAnswer {
  return new NoAnswer("does not answer in time");
}

export function interrupted(): NoAnswer {
  return new NoAnswer("was not waited for");
}

/** Of a request by HTTP. A name that somebody on the network has made up may have any characters in it. */
export function hostHeader(host: string | undefined, address: string, port: number): string {
  const plain = address.replace(/%.*$/, "");
  const numeric = isIPv6(plain) ? `[${plain}]` : plain;
  return `${host !== undefined && /^[\w.-]+$/.test(host) ? host : numeric}:${port}`;
}
