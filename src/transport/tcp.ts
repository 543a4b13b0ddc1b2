import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { StreamLink } from "./link.ts";
import { ProxyGate, type ProxyOptions } from "./proxy-protocol.ts";
import { type Reader, shareReads } from "./shared-read.ts";
import type { Turn } from "./turn.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

export interface TcpListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  turn: Turn;
  /** Send small packets at once, without waiting for the peer's acknowledgement. Default true. */
  noDelay?: boolean;
  /** Seconds of silence after which TCP asks whether the peer is alive; 0, the default, never. */
  keepAliveSeconds?: number;
  /** Let several processes share the port, where the system can. */
  reusePort?: boolean;
  /** False: read by 'data' events only, each chunk in a buffer of its own. */
  sharedRead?: boolean;
  /** Only through proxies, which say by the PROXY protocol who is behind them. */
  proxy?: ProxyOptions | undefined;
  /**
   * Told of failures to accept. Too many open files is none of them: then libuv closes new connections at once,
   * without a word, and without going round in circles.
   */
  onError?: (error: Error) => void;
}

/** MQTT over plain TCP. */
export class TcpListener implements Listener {
  readonly name: string;
  private readonly options: TcpListenerOptions;
  private server: Server | undefined;
  private host: string;
  private port: number;
  private closed = false;
  private readonly gate: ProxyGate | undefined;

  constructor(options: TcpListenerOptions) {
    this.options = options;
    this.gate = options.proxy && new ProxyGate(options.proxy, options.turn);
    this.name = options.name;
    this.host = options.host;
    this.port = options.port;
  }

  get url(): string {
    return `tcp://${formatAddress(this.host, this.port)}`;
  }

  async listen(accept: Accept): Promise<void> {
    const { options } = this;
    this.closed = false;
    let server: Server;
    try {
      server = await bind(options.host, options);
    } catch (error) {
      const fallback = fallbackHost(options.host, error as NodeJS.ErrnoException);
      if (fallback === undefined) throw explain(error as NodeJS.ErrnoException, this.url);
      server = await bind(fallback, options);
    }
    const bound = server.address() as AddressInfo;
    this.host = bound.address;
    this.port = bound.port;
    if (this.closed) {
      server.close();
      return;
    }
    this.server = server;
    server.on("error", (error) => options.onError?.(error));
    const accepted = (socket: Socket) => this.accepted(socket, accept);
    if (options.sharedRead !== false && shareReads(server, accepted)) return;
    server.on("connection", (socket) => {
      const reader = accepted(socket);
      if (reader !== undefined) socket.on("data", (chunk: Buffer) => reader.receive(chunk, 0, chunk.length));
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    this.server?.close();
    this.server = undefined;
    this.gate?.close();
  }

  private accepted(socket: Socket, accept: Accept): Reader | undefined {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      // Gone again before we looked.
      socket.destroy();
      return undefined;
    }
    const { noDelay, keepAliveSeconds, turn } = this.options;
    if (noDelay !== false) socket.setNoDelay(true);
    if (keepAliveSeconds) socket.setKeepAlive(true, keepAliveSeconds * 1000);
    const peer: Peer = {
      address: formatAddress(remoteAddress, remotePort),
      local: isLoopback(remoteAddress),
      listener: this.name,
      transport: "tcp",
    };
    if (this.gate !== undefined) return this.gate.take(socket, peer, accept);
    const link = new StreamLink(socket, peer, turn);
    link.open(accept);
    return link;
  }
}

function bind(host: string, options: TcpListenerOptions): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port: options.port, backlog: BACKLOG, reusePort: options.reusePort ?? false }, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

/** A host without IPv6 has no "::"; there, IPv4 alone is what dual stack means. */
export function fallbackHost(host: string, error: NodeJS.ErrnoException): string | undefined {
  const lacksIpv6 = error.code === "EAFNOSUPPORT" || error.code === "EADDRNOTAVAIL" || error.code === "EINVAL";
  return host === "::" && lacksIpv6 ? "0.0.0.0" : undefined;
}

const REASONS: Record<string, string> = {
  EADDRINUSE: "the port is in use by another program",
  EACCES: "no permission; ports below 1024 need CAP_NET_BIND_SERVICE",
  EADDRNOTAVAIL: "this host has no such address",
  ENOTFOUND: "the host name is not known",
  EAI_AGAIN: "the host name cannot be looked up now",
};

/** Why a server cannot listen, as people say it. */
export function explain(error: NodeJS.ErrnoException, url: string): Error {
  const reason = REASONS[error.code ?? ""] ?? error.message;
  return new Error(`Cannot listen on ${url}: ${reason}`, { cause: error });
}
