import { isIP, SocketAddress } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { PeerCertificate } from "../core/ports.ts";

/** The kinds of names that rules can use, as Node.js calls them and as we do. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ["DNS", "DNS"],
  ["IP Address", "IP"],
  ["email", "email"],
  ["URI", "URI"],
]);

/** One name: its kind, then a text in JSON where that could be misread, else all up to the next comma. */
const ALT_NAME = /([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, (?=.)|$)/sy;

/**
 * The certificate that the client at the other end has proved to own, if it was verified against an authority that our
 * end of this TLS connection trusts. Undefined in every other case, also before the handshake is done.
 */
export function certificateOf(duplex: Duplex): PeerCertificate | undefined {
  if (!isTls(duplex) || duplex.authorized !== true) return undefined;
  // null is what the server's end says. Where we are the client, the other end has shown the certificate of a server,
  // which any public authority gives to anybody.
  if (duplex.getEphemeralKeyInfo() !== null) return undefined;
  const { subject, valid_to: validTo } = duplex.getPeerCertificate();
  // A session that is resumed was verified when it began; the certificate may have expired since.
  if (subject === undefined || !(Date.parse(validTo) > Date.now())) return undefined;
  return namesOf(duplex);
}

/** What the certificate at the other end says, whether it is true or not. */
export function namesOf(socket: TLSSocket): PeerCertificate {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  return { commonName: single(subject?.CN), subjectAltNames: readAltNames(subjectaltname ?? "") };
}

/** Told by a method that only TLS sockets have, since `node:tls` is slow to load and mostly not needed. */
export function isTls(duplex: Duplex): duplex is TLSSocket {
  return "getPeerCertificate" in duplex;
}

/**
 * Reads names as Node.js writes them: `DNS:a.example, DNS:"b\u002c c", IP Address:10.0.0.1`. Kinds that rules cannot use
 * are left out. A text that is not of this form gives no names at all, since any of them may be part of another.
 */
export function readAltNames(text: string): string[] {
  const names: string[] = [];
  ALT_NAME.lastIndex = 0;
  while (ALT_NAME.lastIndex < text.length) {
    const match = ALT_NAME.exec(text);
    if (match === null) return [];
    const value = match[2] === undefined ? match[3]! : unquote(match[2]);
    if (value === undefined) return [];
    const kind = KINDS.get(match[1]!);
    const name = kind === "IP" ? canonicalAddress(value) : value;
    if (kind !== undefined && name !== "") names.push(`${kind}:${name}`);
  }
  return names;
}

/** Of several common names none is the name. */
function single(commonName: string | string[] | undefined): string {
  return typeof commonName === "string" ? commonName : "";
}

function unquote(json: string): string | undefined {
  try {
    return JSON.parse(json) as string;
  } catch {
    return undefined;
  }
}

/** "FE80:0:0:0:0:0:0:1" as people write it: "fe80::1". "" when it is no address. */
function canonicalAddress(address: string): string {
  const version = isIP(address);
  return version === 6 ? new SocketAddress({ family: "ipv6", address }).address : version === 4 ? address : "";
}
