import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import type { Peer } from "../../core/ports.ts";
import { suggest } from "../../text/suggest.ts";

/** What a peer's transport may be called. */
export const TRANSPORTS = ["tcp", "tls", "unix", "websocket", "websocket-tls", "quic", "mqtt-sn", "stream"] as const;

/** What a `from` may be, for hints. */
export const FROM_FORMS =
  '"local" (this machine), "192.168.1.7", "192.168.1.0/24", "fe80::1", "fd00::/8", "listener:NAME" or "transport:tls"';

/** What is wrong with one element of a `from`: a clause, for behind its quoted text. Undefined: nothing. */
export function parseFrom(text: string): string | undefined {
  if (text === "local") return undefined;
  if (text.startsWith("listener:")) return text === "listener:" ? "has no listener's name behind the colon" : undefined;
  if (text.startsWith("transport:")) return parseTransport(text.slice("transport:".length));
  const slash = text.indexOf("/");
  return slash === -1 ? parseAddress(text) : parseNetwork(text.slice(0, slash), text.slice(slash + 1));
}

function parseTransport(name: string): string | undefined {
  if ((TRANSPORTS as readonly string[]).includes(name)) return undefined;
  const nearest = suggest(name, TRANSPORTS);
  const known = nearest === undefined ? `known are ${TRANSPORTS.join(", ")}` : `did you mean "transport:${nearest}"?`;
  return `names no transport (${known})`;
}

function parseAddress(text: string): string | undefined {
  if (text.includes("%")) return `has a zone: write it without "${text.slice(text.indexOf("%"))}"`;
  if (isIPv4Mapped(text)) return "is an IPv4 address in IPv6 form: write it as 192.168.1.7";
  if (isIP(text) !== 0) return undefined;
  if (text === "localhost") return 'is no address: write "local"';
  if (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(text) || /^\[.*\]/.test(text))
    return "is to be written without brackets and port";
  if (/^[\d.*]+$/.test(text)) return "is no whole address: write a network as 192.168.1.0/24";
  return text === "" ? "is empty" : "is no address, and names of hosts are not looked up";
}

function parseNetwork(address: string, bits: string): string | undefined {
  if (isIP(address) === 0 || address.includes("%")) return "has no address before the slash";
  if (isIPv4Mapped(address)) return "is an IPv4 network in IPv6 form: write it as 192.168.1.0/24";
  const most = isIPv4(address) ? 32 : 128;
  const length = /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(length <= most)) return `needs a number from 0 to ${most} behind the slash`;
  return hasHostBits(address, length)
    ? `is no network: bits behind the first ${length} are set; for this one host leave out /${length}`
    : undefined;
}

function isIPv4Mapped(text: string): boolean {
  return isIPv6(text) && MAPPED.check(text.replace(/%.*/, ""), "ipv6");
}

const MAPPED = new BlockList();
MAPPED.addSubnet("::ffff:0.0.0.0", 96, "ipv6");

function hasHostBits(address: string, length: number): boolean {
  const bits = bitsOf(address);
  return bits.slice(length).includes("1");
}

function bitsOf(address: string): string {
  if (isIPv4(address)) return binary(address.split("."), 10, 8);
  // The host part of a URL is the address in its shortest form, without the dotted tail that IPv6 may have.
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = short.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const between = Array<string>(8 - before.length - after.length).fill("0");
  return binary([...before, ...between, ...after], 16, 16);
}

function binary(groups: readonly string[], radix: number, width: number): string {
  return groups.map((group) => Number.parseInt(group, radix).toString(2).padStart(width, "0")).join("");
}

/** Where a client must connect from: any one of a list that `parseFrom` had nothing against. */
export class FromConditions {
  private readonly local: boolean;
  private readonly listeners: ReadonlySet<string>;
  private readonly transports: ReadonlySet<string>;
  private readonly networks4: BlockList | undefined;
  private readonly networks6: BlockList | undefined;

  constructor(conditions: readonly string[]) {
    const after = (prefix: string): Set<string> =>
      new Set(conditions.filter((text) => text.startsWith(prefix)).map((text) => text.slice(prefix.length)));
    this.local = conditions.includes("local");
    this.listeners = after("listener:");
    this.transports = after("transport:");
    this.networks4 = networksOf(conditions, 4);
    this.networks6 = networksOf(conditions, 6);
  }

  matches({ address, local, listener, transport }: Peer): boolean {
    if ((this.local && local) || this.listeners.has(listener) || this.transports.has(transport)) return true;
    if (this.networks4 === undefined && this.networks6 === undefined) return false;
    const host = hostOf(address);
    const version = isIP(host);
    if (version === 4) return this.networks4?.check(host, "ipv4") ?? false;
    return version === 6 && (this.networks6?.check(host, "ipv6") ?? false);
  }
}

/** One list for each version: a list of both would find IPv4 addresses in "::/0" too. */
function networksOf(conditions: readonly string[], version: 4 | 6): BlockList | undefined {
  let list: BlockList | undefined;
  for (const text of conditions) {
    const [address = "", bits] = text.split("/");
    if (isIP(address) !== version) continue;
    list ??= new BlockList();
    if (bits === undefined) list.addAddress(address, `ipv${version}`);
    else list.addSubnet(address, Number(bits), `ipv${version}`);
  }
  return list;
}

/** The IP address of "1.2.3.4:50312" or "[fe80::1%eth0]:50312"; something else for paths and what else has none. */
function hostOf(address: string): string {
  const host = address.startsWith("[") ? address.slice(1, address.indexOf("]")) : address.replace(/:\d*$/, "");
  return host.replace(/%.*/, "").replace(/^::ffff:(?=[\d.]+$)/i, "");
}

/** Texts in which `*` stands for any characters, none included; any one of the list suffices. */
export class ClientIdPatterns {
  private readonly exact: ReadonlySet<string>;
  /** What stands between the asterisks of the others. */
  private readonly patterns: readonly (readonly string[])[];

  constructor(patterns: readonly string[]) {
    this.exact = new Set(patterns.filter((pattern) => !pattern.includes("*")));
    this.patterns = patterns.filter((pattern) => pattern.includes("*")).map((pattern) => pattern.split(/\*+/));
  }

  matches(text: string): boolean {
    return this.exact.has(text) || this.patterns.some((parts) => fits(parts, text));
  }
}

/** Each part as early as it goes, so that nothing is tried twice: no pattern takes long, whoever wrote it. */
function fits(parts: readonly string[], text: string): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (!text.startsWith(first)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= end && text.endsWith(last);
}
