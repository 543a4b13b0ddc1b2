/**
 * What the broker needs of the world, and what the world may ask of the broker.
 * The core imports no `node:` module: sockets, clock, randomness and the log come in through here.
 */

import type { Will } from "../codec/packet.ts";
import type { ReasonCode } from "../codec/reason.ts";

/** Time as the broker sees it. The host reads its clock once per turn of the event loop. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start: for every deadline. */
  nowMs(): number;
  /** Milliseconds since 1970 of the wall clock: for $SYS and logs only, since it may jump. */
  wallMs(): number;
  /** True when the wall clock is known to be right: what was stored then can be compared with what is stored now. */
  trusted(): boolean;
}

export interface Random {
  /** 128 random bits as 32 hexadecimal digits. */
  hex128(): string;
}

export type LogLevel = "error" | "warn" | "info" | "debug" | "trace";

/** Facts of a log line beside its message; undefined fields are left out. */
export interface LogFields {
  [name: string]: string | number | boolean | undefined;
}

export interface Log {
  /** Ask before building an expensive line: a line is only built when it will be printed. */
  enabled(level: LogLevel): boolean;
  /** `below`: lines that say for people what `fields` say for programs. A log has one or the other. */
  error(message: string, fields?: LogFields, below?: readonly string[]): void;
  warn(message: string, fields?: LogFields, below?: readonly string[]): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
}

/** Who is at the other end, as the transport knows it. */
export interface Peer {
  /** "127.0.0.1:50312", "[::1]:50312", or a path; "" when there is none. IPv4-mapped addresses are shown as IPv4. */
  readonly address: string;
  /** True for loopback addresses, Unix sockets and in-process streams. */
  readonly local: boolean;
  /** Name of the listener that accepted it. */
  readonly listener: string;
  /** "tcp", "unix", "stream", … */
  readonly transport: string;
  /** The client's certificate, only when it was verified against an authority that the listener trusts. */
  readonly certificate?: PeerCertificate;
  /** TLS-PSK: the identity whose key the client has proved to know. */
  readonly pskIdentity?: string;
  /** MQTT-SN: the serial line it is connected to, "/dev/ttyUSB0". */
  readonly line?: string;
  /** MQTT-SN: as whom those on the line come in, when its settings say so. */
  readonly lineUser?: string;
  /** MQTT-SN: the wireless node id that a forwarder gave, in hexadecimal. */
  readonly nodeId?: string;
}

/** The host of a peer's address, without the port and an IPv6 zone: "192.168.1.7", "fe80::1"; a path as it is. */
export function hostOf(address: string): string {
  if (address.startsWith("[")) return address.slice(1, address.indexOf("]")).replace(/%.*$/, "");
  return /^[\d.]+:\d+$/.test(address) ? address.slice(0, address.lastIndexOf(":")) : address;
}

/**
 * Whom a peer's address is counted with when somebody is slowed or banned by it: an IPv6 host has a whole /64 to take
 * addresses from, "2001:db8:1:2::/64"; everybody else is `hostOf`. All link-local hosts share one /64 and are told apart.
 */
export function networkOf(address: string): string {
  const host = hostOf(address);
  if (!/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(host) || /^(?:fe[89ab]|::)/i.test(host)) return host;
  const [head = "", tail] = host.split("::", 2);
  const left = head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...new Array<string>(Math.max(0, gap)).fill("0"), ...right];
  return `${groups
    .slice(0, 4)
    .join(":")
    .replace(/(?::0)+$/, "")}::/64`;
}

/** Of a verified certificate, the names that rules can use. */
export interface PeerCertificate {
  /** CN of the subject; "" when there is none. */
  readonly commonName: string;
  /** With their kind: "DNS:sensor-1.local", "IP:192.168.1.7", "email:kim@example.org", "URI:urn:device:7". */
  readonly subjectAltNames: readonly string[];
}

/**
 * One client's byte stream. Output is gathered and written once per turn of the event loop.
 *
 * To send: `const at = link.reserve(size)`, then write exactly `size` bytes to `link.batch` from `at`.
 * `reserve` may replace `batch`, and the next call of any method may write it out, so keep neither.
 */
export interface Link {
  readonly peer: Peer;
  readonly batch: Uint8Array;
  reserve(size: number): number;
  /** Bytes reserved and not yet taken by the operating system. */
  readonly pendingBytes: number;
  /** True from a flush that the operating system did not take whole until `onDrain`. */
  readonly blocked: boolean;
  /** While blocked: not one message more, whatever else the limits allow. Of gateways. */
  readonly full?: boolean;
  /** Its gateway watches over the client, which sleeps when it likes: there is no Keep Alive. */
  readonly isWatched?: true;
  /** The broker's own: what bounds the number and the sessions of clients does not bound it. */
  readonly isOwn?: true;
  /** Bytes the operating system took since the start: tells a slow reader from one that stopped. */
  readonly takenBytes: number;
  /** Stops reading from the peer (back-pressure); bytes already read may still be delivered once. */
  pauseReading(): void;
  resumeReading(): void;
  /**
   * Writes what is gathered, half-closes, reads and discards for a moment, then closes. Idempotent. `reasonCode`: why, for
   * transports that tell their peer; below 0x80 it is a normal end. Without one the peer has said that it goes, and may be
   * given a moment to close first.
   */
  end(reasonCode?: ReasonCode): void;
  /** Closes at once, dropping what is gathered. Idempotent. */
  destroy(): void;
}

/** What the core gives for each accepted link. None of these is called after `onClose`. */
export interface LinkHandler {
  /** Bytes from the peer: `bytes[start, end)`, valid only during the call. */
  onData(bytes: Uint8Array, start: number, end: number): void;
  /** `pendingBytes` fell to zero after having been above zero at the end of a flush. */
  onDrain(): void;
  /** The peer half-closed, or the stream failed (`error`), or the link was ended or destroyed. Called exactly once. */
  onClose(error: Error | undefined): void;
}

/** What the core gives a gateway for each of its clients, which sleep, and change their wills. */
export interface GatewayHandler extends LinkHandler {
  /** Messages for the client that wait, or are not acknowledged yet. */
  readonly backlog: number;
  /**
   * From now on what is meant for the client is kept, as if it were away. Its will waits for so many seconds after the
   * connection, or after a restart when the broker is cut off meanwhile. After CONNACK only.
   */
  sleep(willDelaySeconds: number): void;
  /** The client is sent what was kept, and what comes is kept as before; until `sleep`. Of one that sleeps only. */
  wake(): void;
  /** In place of the will that it has. Returns why it cannot have this one, as CONNACK would say. After CONNACK only. */
  changeWill(will: Will | undefined): ReasonCode | undefined;
}

/** What a gateway hands the link of each client to. */
export type GatewayAccept = (link: Link) => GatewayHandler;

/** What a listener hands each accepted link to; the core answers with the link's handler. */
export type Accept = (link: Link) => LinkHandler;

/** A way in. Implementations live in `transport` and `gateway`, and users write their own. */
export interface Listener {
  /** Unique among the broker's listeners. */
  readonly name: string;
  /** "tcp://[::]:1883"; with the real port once `listen` has resolved. */
  readonly url: string;
  /** Resolves when connections are accepted; rejects with a message that names the address and the reason. */
  listen(accept: Accept): Promise<void>;
  /** Stops accepting; links already accepted live on. Idempotent. */
  close(): Promise<void>;
}
