import { isIP, SocketAddress } from "node:net";
import type { Place } from "./machine.ts";

/** A name in a certificate by which clients may reach a server. */
export interface ServerName {
  readonly kind: "dns" | "ip";
  /** A host name in lower case, or an address as people write it. */
  readonly value: string;
}

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const HOST_NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);
const HOST_NAME_LENGTH_MAX = 253;
/** Some 2 kB of a certificate. */
const NAMES_MAX = 100;
export const COMMON_NAME_MAX = 64;

/** A host name (also `*.example.org`) or an address; undefined when it is neither. */
export function parseServerName(text: string): ServerName | undefined {
  const address = text.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  const version = isIP(address);
  if (version === 4) return { kind: "ip", value: address };
  if (version === 6) return { kind: "ip", value: new SocketAddress({ family: "ipv6", address }).address };
  const value = text.toLowerCase().replace(/\.$/, "");
  // Digits and dots alone are an address with a mistake in it.
  if (value.length > HOST_NAME_LENGTH_MAX || !HOST_NAME.test(value) || /^[\d.]+$/.test(value)) return undefined;
  return { kind: "dns", value };
}

/** By which names the machine can be reached: its host name, that with `.local`, `localhost`, and all its addresses. */
export function namesOfMachine({ hostName, addresses }: Place): ServerName[] {
  const [label = ""] = hostName.split(".");
  const texts = [hostName, `${label}.local`, "localhost", "127.0.0.1", "::1", ...addresses];
  // A host name that no DNS could carry is left out: nobody could ask for it.
  return withoutRepeats(texts.map(parseServerName).filter((name) => name !== undefined));
}

/** The names that Node.js found in a certificate, written `DNS:box.local, IP Address:10.0.0.1`; other kinds are left out. */
export function readServerNames(subjectAltName: string | undefined): ServerName[] {
  const texts = (subjectAltName ?? "").split(", ").flatMap((text) => {
    const [, value] = /^(?:DNS|IP Address):([^"]+)$/.exec(text) ?? [];
    return value === undefined ? [] : [value];
  });
  return withoutRepeats(texts.map(parseServerName).filter((name) => name !== undefined));
}

/** Each name once, in the order in which they came. */
export function withoutRepeats(names: readonly ServerName[]): ServerName[] {
  return [...new Map(names.map((name) => [`${name.kind}:${name.value}`, name])).values()];
}

/**
 * The names of a certificate that follows one with the names `before`: all of those, and `now`. Beyond NAMES_MAX the oldest
 * addresses go that are not among `now`: some machines have a new one every day, and handshakes carry them all.
 */
export function namesAfter(before: readonly ServerName[], now: readonly ServerName[]): ServerName[] {
  const names = withoutRepeats([...before, ...now]);
  let tooMany = names.length - NAMES_MAX;
  const gone = new Set(missingNames(names, now));
  return names.filter((name) => name.kind !== "ip" || !gone.has(name) || tooMany-- <= 0);
}

/** Those of `wanted` that are not among `names`. */
export function missingNames(wanted: readonly ServerName[], names: readonly ServerName[]): ServerName[] {
  const known = new Set(names.map(({ kind, value }) => `${kind}:${value}`));
  return wanted.filter(({ kind, value }) => !known.has(`${kind}:${value}`));
}

/** The name that stands for the server where only one can; clients look at the list of names. */
export function commonNameOf(names: readonly ServerName[]): string {
  const host = hostOf(names);
  return host.length <= COMMON_NAME_MAX ? host : "mqtt-broker";
}

/** The first that is no address. */
export function hostOf(names: readonly ServerName[]): string {
  return names.find(({ kind }) => kind === "dns")?.value ?? "mqtt-broker";
}
