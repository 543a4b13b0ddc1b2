import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import type { Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { Networks } from "./networks.ts";

/** Headers by which proxies show that they are between. */
const PROXY_HEADERS = ["x-forwarded-for", "forwarded", "x-real-ip", "via"] as const;

/** Finds out who is at the far end of the proxies that the user trusts. */
export class ForwardedPeers {
  private readonly trusted: Networks;

  /** Addresses or networks, "127.0.0.1", "10.0.0.0/8". Throws a RangeError that names what is neither. */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = new Networks(trustedProxies);
  }

  /**
   * The peer's address, with the port where it is known. X-Forwarded-For is read from its end, where the proxy next to us
   * has written, for as long as the one who wrote is trusted.
   *
   * `local` is true only for programs that connect from this machine themselves: not for what a proxy on this machine
   * forwards, be it trusted or not, and not for pages from elsewhere that a browser on this machine shows.
   */
  of(remoteAddress: string, remotePort: number, headers: IncomingHttpHeaders): Pick<Peer, "address" | "local"> {
    const local = isLoopback(remoteAddress) && !this.trusted.has(remoteAddress) && isOfOurOwn(headers);
    const forwarded = headers["x-forwarded-for"] ?? [];
    const hops = (typeof forwarded === "string" ? forwarded : forwarded.join(",")).split(",");
    let host = remoteAddress;
    let address = formatAddress(remoteAddress, remotePort);
    while (this.trusted.has(host)) {
      const hop = parseHop(hops.pop() ?? "");
      if (hop === undefined) break;
      host = hop.host;
      address = hop.port === undefined ? host : formatAddress(host, hop.port);
    }
    return { address, local };
  }
}

/** As `of` for who comes by a Unix socket at this path. No list of proxies can name it, so what it says of others is not believed. */
export function unixPeerOf(path: string, headers: IncomingHttpHeaders): Pick<Peer, "address" | "local"> {
  return { address: path, local: isOfOurOwn(headers) };
}

/** Of a request from this machine: nothing shows that it is made for somebody elsewhere. */
function isOfOurOwn(headers: IncomingHttpHeaders): boolean {
  return PROXY_HEADERS.every((name) => headers[name] === undefined) && isFromHere(headers.origin);
}

/** "192.168.1.7", "192.168.1.7:5123", "2001:db8::7" or "[2001:db8::7]:5123"; undefined for all else. */
function parseHop(text: string): { host: string; port: number | undefined } | undefined {
  const hop = text.trim();
  const match = isIP(hop) !== 0 ? [hop, hop] : /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(hop);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || isIP(host) === 0) return undefined;
  const port = match?.[3];
  return { host, port: port === undefined ? undefined : Number(port) };
}

/** Programs send no Origin. A page's may be anything on the Web, also at a name that leads to this machine. */
function isFromHere(origin: string | undefined): boolean {
  if (origin === undefined) return true;
  try {
    const host = new URL(origin).hostname.replace(/^\[|\]$/g, "");
    return host === "localhost" || isLoopback(host);
  } catch {
    return false;
  }
}
