import { isIPv4, isIPv6 } from "node:net";

/** Who is behind the proxy, as its header says. */
export type ProxySource =
  /** A client with an address of its own. `port`: 0 to 65,535. */
  | { kind: "client"; host: string; port: number }
  /** The proxy itself, which asks whether we are alive. */
  | { kind: "proxy" }
  /** Somebody of whom the proxy tells nothing that we could use. */
  | { kind: "unknown" };

export interface ProxyHeader {
  /** Length of the header: the client's bytes begin there. */
  length: number;
  source: ProxySource;
}

/** The most that is read of a header: what fits into any network's first packet. */
export const PROXY_HEADER_BYTES_MAX = 536;

const SIGNATURE_1 = Buffer.from("PROXY ");
const SIGNATURE_2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n");
/** Of version 1, with the CRLF at its end. */
const LINE_BYTES_MAX = 107;
/** Of version 2, before the addresses. */
const HEAD_BYTES = 16;

/**
 * Reads a header of the PROXY protocol, version 1 or 2, at the start of `bytes`. Undefined: more bytes are needed, of
 * which a header has PROXY_HEADER_BYTES_MAX at most. Throws an Error that says what is wrong with anything else.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (startsLike(bytes, SIGNATURE_1)) return bytes.length < SIGNATURE_1.length ? undefined : readLine(bytes);
  if (startsLike(bytes, SIGNATURE_2)) return bytes.length < HEAD_BYTES ? undefined : readBinary(bytes);
  throw new Error("it begins without a PROXY header");
}

/** Whether `bytes` are the signature, or as much of it as has come. */
function startsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.subarray(0, length).equals(signature.subarray(0, length));
}

function readLine(bytes: Buffer): ProxyHeader | undefined {
  const end = bytes.subarray(0, LINE_BYTES_MAX).indexOf("\r\n");
  if (end === -1) {
    if (bytes.length >= LINE_BYTES_MAX) throw new Error(`its PROXY line does not end within ${LINE_BYTES_MAX} bytes`);
    return undefined;
  }
  const length = end + 2;
  const [, protocol, host = "", to = "", port = "", toPort = "", ...more] = bytes.toString("latin1", 0, end).split(" ");
  if (protocol === "UNKNOWN") return { length, source: { kind: "unknown" } };
  const isAddress = protocol === "TCP4" ? isIPv4 : protocol === "TCP6" ? isPlainIpv6 : undefined;
  const isWhole = isAddress?.(host) && isAddress(to) && isPort(port) && isPort(toPort) && more.length === 0;
  if (!isWhole) throw new Error("its PROXY line is malformed");
  return { length, source: { kind: "client", host, port: Number(port) } };
}

/** Zones belong to a host, and mean nothing on another one. */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function readBinary(bytes: Buffer): ProxyHeader | undefined {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 15;
  if (version !== 2) throw new Error(`its PROXY header is of version ${version}`);
  if (command > 1) throw new Error(`its PROXY header has the unknown command ${command}`);
  const length = HEAD_BYTES + bytes.readUInt16BE(14);
  if (length > PROXY_HEADER_BYTES_MAX) {
    throw new Error(`its PROXY header has ${length} bytes, and ${PROXY_HEADER_BYTES_MAX} are the most that is read`);
  }
  if (bytes.length < length) return undefined;
  // Whatever follows the addresses (TLVs) is for others.
  const source =
    command === 0 ? ({ kind: "proxy" } as const) : readSource(bytes[13]!, bytes.subarray(HEAD_BYTES, length));
  return { length, source };
}

/** `family`: of addresses in the high half, of transport in the low half. */
function readSource(family: number, block: Buffer): ProxySource {
  const needed = [0, 12, 36, 216][family >> 4];
  if (needed === undefined || (family & 15) > 2) throw new Error(`its PROXY header has the unknown family ${family}`);
  if (block.length < needed) throw new Error("its PROXY header is too short for its addresses");
  if (family === 0x11) return { kind: "client", host: block.subarray(0, 4).join("."), port: block.readUInt16BE(8) };
  if (family === 0x21) return { kind: "client", host: ipv6Text(block), port: block.readUInt16BE(32) };
  // Unix sockets of the proxy's machine, datagrams, and "unspecified".
  return { kind: "unknown" };
}

/** As people write it: "2001:db8::7", and IPv4-mapped ones as "::ffff:192.168.1.7". */
function ipv6Text(block: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => block.readUInt16BE(2 * index));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${block.subarray(12, 16).join(".")}`;
  }
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]`).hostname.slice(1, -1);
}
