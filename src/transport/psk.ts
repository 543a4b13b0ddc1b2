import { randomBytes } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** Keys that both ends know beforehand, by identity. */
export type PskKeys = ReadonlyMap<string, Buffer>;

/**
 * What TLS 1.2 speaks with such keys: all authenticated encryption. Forward secrecy comes first, and an elliptic curve
 * before the slower DHE; microcontrollers that can do neither get the last four. (OpenSSL has no ECDHE-PSK with AES-GCM.)
 */
export const PSK_CIPHERS =
  "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES128-GCM-SHA256:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-CHACHA20-POLY1305:" +
  "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-CHACHA20-POLY1305:PSK-AES128-CCM";

/** RFC 4279, section 5.3: at least so long an identity must be supported; OpenSSL's clients send no longer one. */
const IDENTITY_BYTES_MAX = 128;
/** OpenSSL's own bound is 512; no key needs half of that. */
const KEY_BYTES_MAX = 256;
/** Of an identity, in a message. */
const CHARACTERS_SHOWN = 64;

/**
 * Reads lines of `identity:key`, the key in hexadecimal, as Mosquitto's psk_file has them; empty lines and those that
 * begin with "#" are passed over. Throws an Error that names the first line that is wrong, and never quotes it: it may be
 * a key.
 */
export function readPskKeys(text: string): PskKeys {
  const keys = new Map<string, Buffer>();
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const mistake = readLine(line, keys);
    if (mistake !== undefined) throw new Error(`line ${index + 1} ${mistake}`);
  }
  return keys;
}

/** Adds what the line has, or says what is wrong with it. */
function readLine(line: string, keys: Map<string, Buffer>): string | undefined {
  const colon = line.indexOf(":");
  if (colon === -1) return "has no colon: write IDENTITY:KEY, the key in hexadecimal";
  const identity = line.slice(0, colon);
  const key = line.slice(colon + 1).trim();
  if (identity === "") return "has no identity before its colon";
  if (Buffer.byteLength(identity) > IDENTITY_BYTES_MAX) {
    return `has an identity of more than ${IDENTITY_BYTES_MAX} bytes`;
  }
  if (identity.includes("\0") || identity.includes("\uFFFD")) return "has an identity that no client can send";
  if (keys.has(identity)) return "has an identity that an earlier line has too";
  if (key === "") return "has no key behind its colon";
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(key)) return "has a key that is not pairs of hexadecimal digits";
  if (key.length > 2 * KEY_BYTES_MAX) return `has a key of more than ${KEY_BYTES_MAX} bytes`;
  keys.set(identity, Buffer.from(key, "hex"));
  return undefined;
}

/** What a client named in its handshake, and whether there is a key of it. */
const named = new WeakMap<object, { identity: string; isKnown: boolean }>();

/**
 * The key that the handshake goes on with; null where keys are not spoken. RFC 4279, section 2: who names an identity
 * that nobody has gets a key that nobody knows, so that whoever tries names learns nothing of which there are.
 *
 * TLS 1.3 would ask here too, but goes on with the certificate when the client's key does not fit its cipher: there an
 * identity would be named and not proved. So keys are for TLS 1.2, where the one cannot be without the other.
 */
export function keyFor(socket: TLSSocket, identity: string, keys: PskKeys): Buffer | null {
  if (socket.getProtocol() !== "TLSv1.2") return null;
  const key = keys.get(identity);
  named.set(socket, { identity, isKnown: key !== undefined });
  return key ?? randomBytes(32);
}

/** The identity whose key the client has proved to know; undefined in every other case. The handshake must be done. */
export function pskIdentityOf(socket: object): string | undefined {
  const proof = named.get(socket);
  if (proof === undefined || !proof.isKnown) return undefined;
  const cipher: { standardName: string } | undefined = (socket as TLSSocket).getCipher();
  return cipher?.standardName.includes("_PSK_WITH_") ? proof.identity : undefined;
}

/** Why the handshake of a client that named an identity failed, in one clause; undefined: that was not the reason. */
export function pskFailureOf(socket: object, code: string | undefined): string | undefined {
  const proof = named.get(socket);
  if (proof === undefined || code !== "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC") return undefined;
  const { identity, isKnown } = proof;
  const shown = JSON.stringify(
    identity.length > CHARACTERS_SHOWN ? `${identity.slice(0, CHARACTERS_SHOWN)}…` : identity,
  );
  return isKnown
    ? `the client's key is not the one of its identity ${shown}`
    : `the identity ${shown} is not in the file of keys`;
}
