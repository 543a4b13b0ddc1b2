import type { Server, Socket } from "node:net";
import type { Accept, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { StreamLink } from "./link.ts";
import { Networks } from "./networks.ts";
import { PROXY_HEADER_BYTES_MAX, type ProxyHeader, type ProxySource, readProxyHeader } from "./proxy-header.ts";
import type { Reader } from "./shared-read.ts";
import type { Turn } from "./turn.ts";

/** One report of a refused connection in so long; what is not reported is counted. */
const REPORT_MS = 60_000;

export interface ProxyOptions {
  /** Addresses and networks of the proxies, "192.168.1.2", "10.0.0.0/8", "fd00::/8": nobody else may connect. */
  trusted: readonly string[];
  /** Milliseconds that a connection has to send its header. */
  headerTimeoutMs: number;
  /** Connections that may wait for their header at a time. */
  waitingMax: number;
  /** Told of a connection that was closed: who, why, and how many more since the last report. Once a minute at most. */
  onRefused?: (address: string, reason: string, more: number) => void;
}

/**
 * Connections that come through proxies, which say in a header of the PROXY protocol (version 1 or 2) for whom.
 *
 * A header says who somebody is, so only those may send one whom the user trusts; and a client on this machine is one
 * that the proxy calls so and that also comes from a proxy on this machine.
 */
export class ProxyGate {
  private readonly options: ProxyOptions;
  private readonly turn: Turn;
  private readonly trusted: Networks;
  private readonly waiting = new Set<Socket>();
  /** By the proxy's address and port. */
  private readonly origins = new Map<string, Origin>();
  private reportedMs = -Infinity;
  private unreported = 0;

  /** Throws a RangeError that names what is neither an address nor a network. */
  constructor(options: ProxyOptions, turn: Turn) {
    this.options = options;
    this.turn = turn;
    this.trusted = new Networks(options.trusted);
  }

  /** Who takes the bytes of a connection from `peer`; undefined when it was refused, and destroyed. */
  take(socket: Socket, peer: Peer, accept: Accept): Reader | undefined {
    return this.hold(socket, peer.address, (source) => {
      const { host, port, local } = originBehind({ host: "", port: 0, local: peer.local }, source);
      const known = host === "" ? peer.address : formatAddress(host, port);
      const link = new StreamLink(socket, { ...peer, address: known, local }, this.turn);
      link.open(accept);
      return link;
    });
  }

  /**
   * Puts the gate before all that the server does with a connection: TLS or HTTP begins behind the header. To be called
   * when the server's own listeners are in place. `originOf` knows whom each connection is for until it closes.
   */
  guard(server: Server): void {
    const inner = server.rawListeners("connection") as ((socket: Socket) => void)[];
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const { remoteAddress: host, remotePort: port } = socket;
      if (host === undefined || port === undefined) {
        // Gone again before we looked.
        socket.destroy();
        return;
      }
      const place = formatAddress(host, port);
      const reader = this.hold(socket, place, (source) => {
        const origin = originBehind({ host, port, local: isLoopback(host) }, source);
        this.origins.set(place, origin);
        // A moment later, so that whoever hears of the end can still say whose it was.
        const forget = (): void => {
          if (this.origins.get(place) === origin) this.origins.delete(place);
        };
        socket.once("close", () => setImmediate(forget));
        // Nothing more is read until the server looks, which finds the rest as if it had just come.
        socket.off("data", read);
        socket.pause();
        process.nextTick(() => handOver(socket, server, inner));
        return { receive: (bytes, start, end) => socket.unshift(Buffer.from(bytes.subarray(start, end))) };
      });
      if (reader === undefined) return;
      const read = (chunk: Buffer): void => reader.receive(chunk, 0, chunk.length);
      socket.on("data", read);
    });
  }

  /** Whom a connection of a guarded server is for; undefined: it has closed. */
  originOf(remoteAddress: string, remotePort: number): Origin | undefined {
    return this.origins.get(formatAddress(remoteAddress, remotePort));
  }

  /** For the log: the address of who is behind the proxy's connection from `place`, else `place` itself. */
  readonly shown = (place: string): string => {
    const origin = this.origins.get(place);
    return origin === undefined ? place : formatAddress(origin.host, origin.port);
  };

  /** Waits for the header. `settled` says who takes what follows it. */
  private hold(socket: Socket, address: string, settled: (source: ProxySource) => Reader): Reader | undefined {
    const refusal = this.refusalOf(socket.remoteAddress ?? "");
    if (refusal !== undefined) {
      // What becomes of it is nobody's concern any more.
      socket.on("error", () => {});
      socket.destroy();
      this.report(address, refusal);
      return undefined;
    }
    this.waiting.add(socket);
    return new HeaderReader(socket, this.options.headerTimeoutMs, (outcome) => {
      this.waiting.delete(socket);
      if (typeof outcome === "string") this.report(address, outcome);
      return typeof outcome === "object" ? settled(outcome) : undefined;
    });
  }

  /** Closes the connections that still wait: nobody knows of them. */
  close(): void {
    for (const socket of this.waiting) socket.destroy();
  }

  private refusalOf(host: string): string | undefined {
    if (!this.trusted.has(host)) return "it is none of the trusted proxies";
    return this.waiting.size < this.options.waitingMax ? undefined : "too many wait for their PROXY header";
  }

  private report(address: string, reason: string): void {
    const nowMs = performance.now();
    if (nowMs - this.reportedMs < REPORT_MS) {
      this.unreported++;
      return;
    }
    this.reportedMs = nowMs;
    this.options.onRefused?.(address, reason, this.unreported);
    this.unreported = 0;
  }
}

/** Who is at the far end of a connection: a host and port, and whether it is on this machine. */
interface Origin {
  host: string;
  port: number;
  local: boolean;
}

/** How a connection's wait for its header ended: with one, refused for a reason, or gone without a word. */
type Outcome = ProxySource | string | undefined;

/** Gathers the header, and hands on what follows it. */
class HeaderReader implements Reader {
  private readonly socket: Socket;
  private readonly timeout: NodeJS.Timeout;
  private readonly decide: (outcome: Outcome) => Reader | undefined;
  private next: Reader | undefined;
  private header = Buffer.alloc(0);
  private isDecided = false;

  /** `decide` is called once, and returns whom the rest belongs to. */
  constructor(socket: Socket, timeoutMs: number, decide: (outcome: Outcome) => Reader | undefined) {
    this.socket = socket;
    this.decide = decide;
    this.timeout = setTimeout(() => this.refuse("its PROXY header did not come in time"), timeoutMs).unref();
    socket.on("end", this.onEnd);
    // Always followed by 'close'. Left in place, since one may come after the refusal too.
    socket.on("error", () => {});
    socket.on("close", this.onClose);
  }

  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.isDecided) {
      this.next?.receive(bytes, start, end);
      return;
    }
    const known = this.header.length;
    const taken = Math.min(end - start, PROXY_HEADER_BYTES_MAX - known);
    this.header = Buffer.concat([this.header, bytes.subarray(start, start + taken)]);
    let found: ProxyHeader | undefined;
    try {
      found = readProxyHeader(this.header);
    } catch (error) {
      this.refuse((error as Error).message);
    }
    if (found === undefined) return;
    this.next = this.settle(found.source);
    const rest = start + found.length - known;
    if (rest < end) this.next?.receive(bytes, rest, end);
  }

  private readonly onEnd = (): void => {
    // Port scanners and balancers that only look whether somebody listens send nothing: that is no mistake.
    if (this.header.length > 0) this.refuse("it ended within its PROXY header");
    else this.socket.destroy();
  };

  private readonly onClose = (): void => {
    if (!this.isDecided) this.settle(undefined);
  };

  private refuse(reason: string): void {
    this.settle(reason);
    this.socket.destroy();
  }

  private settle(outcome: Outcome): Reader | undefined {
    this.isDecided = true;
    this.header = Buffer.alloc(0);
    clearTimeout(this.timeout);
    this.socket.off("end", this.onEnd);
    this.socket.off("close", this.onClose);
    return this.decide(outcome);
  }
}

function originBehind(proxy: Origin, source: ProxySource): Origin {
  switch (source.kind) {
    case "client": {
      const { host, port } = source;
      return { host, port, local: proxy.local && isLoopback(host) };
    }
    case "proxy":
      return proxy;
    case "unknown":
      return { ...proxy, local: false };
  }
}

function handOver(socket: Socket, server: Server, inner: readonly ((socket: Socket) => void)[]): void {
  if (socket.destroyed) return;
  for (const listener of inner) listener.call(server, socket);
  // TLS reads from the handle beneath, and finds the rest by itself; others wait to be told.
  if (!("setSecureContext" in server)) socket.resume();
}
