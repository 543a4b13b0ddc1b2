/** Where to listen: the host is undefined when none was given. */
export interface Address {
  host: string | undefined;
  port: number;
}

/** Reads [HOST]:PORT: ":1883", "localhost:1883", "[::1]:0". undefined when it is none; IPv6 needs its brackets. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[2]);
  if (port > 65_535) return undefined;
  if (match[1] === "") return { host: undefined, port };
  const host = parseHost(match[1]!);
  return host === undefined ? undefined : { host, port };
}

/** Reads an IP address or a host name, IPv6 with or without brackets; returns it without them. */
export function parseHost(text: string): string | undefined {
  const inBrackets = /^\[(.*)\]$/.exec(text);
  const host = inBrackets?.[1] ?? text;
  if (host.includes(":")) return /^[0-9a-f:.]+(%[\w.-]+)?$/i.test(host) ? host : undefined;
  return inBrackets === null && /^[\w]([\w.-]*[\w])?$/.test(host) && host.length <= 253 ? host : undefined;
}
