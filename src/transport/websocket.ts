import type { IncomingMessage, Server, ServerOptions } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import type { Accept, Listener, Log, Peer } from "../core/ports.ts";
import { formatAddress, placeOf } from "./address.ts";
import { ForwardedPeers, unixPeerOf } from "./forwarded.ts";
import type { GivenPlace, GivenSocket } from "./given-socket.ts";
import { ProxyGate, type ProxyOptions } from "./proxy-protocol.ts";
import { pskIdentityOf } from "./psk.ts";
import { type Reader, shareReads } from "./shared-read.ts";
import { explain, fallbackHost } from "./tcp.ts";
import type { TlsFiles } from "./tls-files.ts";
import { Handshakes } from "./tls-handshakes.ts";
import type { Turn } from "./turn.ts";
import { WebSocketLink } from "./websocket-link.ts";
import {
  acceptanceText,
  plainAnswer,
  type Refusal,
  refusalOf,
  refusalText,
  type WebSocketPlace,
} from "./websocket-request.ts";
import { WebSocketStream } from "./websocket-stream.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;
const DEFAULT_PATH = "/mqtt";
/** An opening handshake is some 500 bytes; cookies of the page's host may come with it. */
const HEADER_BYTES_MAX = 16 * 1024;
/** As of `WebSocketListenerOptions.handshakeMs`. */
const HANDSHAKE_MS = 10_000;
/** Milliseconds between two pings; proxies mostly cut what is silent for a minute. */
const PING_MS = 30_000;

/** Connections that may be on their way to a WebSocket at a time; whoever comes then is turned away. */
const HANDSHAKES_MAX = 1000;
/** The longest MQTT packet, 5.0 section 2.1.4. */
const MESSAGE_BYTES_MAX = 5 + 268_435_455;

/** What a listener with TLS needs. */
export interface WebSocketTls {
  /** Opened while this listens. */
  files: TlsFiles;
  /** Of handshakes that fail. */
  log: Log;
}

export interface WebSocketListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  /** In place of `host` and `port`, which are not looked at then. */
  given?: GivenPlace | undefined;
  turn: Turn;
  /** Path of the URL; without one it is "/mqtt", and "/" is taken too. */
  path?: string | undefined;
  /** Origins of pages that may connect, in lower case: "https://example.org"; none: all. Programs send no origin. */
  origins?: readonly string[];
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  trustedProxies?: readonly string[];
  /** Bytes that one message may have, default 256 MiB; a larger one closes its connection with 1009. */
  maxPayload?: number;
  /** With it the listener speaks TLS. */
  tls?: WebSocketTls;
  /** As of TcpListener. */
  noDelay?: boolean;
  keepAliveSeconds?: number;
  reusePort?: boolean;
  /** As of TcpListener: whom the header names is the peer whose X-Forwarded-For is believed or not. */
  proxy?: ProxyOptions | undefined;
  /** Told of failures to accept. */
  onError?: (error: Error) => void;
  /** Told why a peer that asked for a WebSocket got none. */
  onRefused?: (address: string, reason: string) => void;
  /** Connections that may be on their way to a WebSocket at a time, 1 or more; default 1000. */
  handshakesMax?: number;
  /** Milliseconds from the connection to the end of a request for a WebSocket, TLS included; default 10,000. */
  handshakeMs?: number;
}

/** MQTT over WebSocket: RFC 6455, and section 6 of MQTT 5.0 and 3.1.1. */
export class WebSocketListener implements Listener {
  readonly name: string;
  private readonly options: WebSocketListenerOptions;
  private readonly place: WebSocketPlace;
  private readonly peers: ForwardedPeers;
  private readonly gate: ProxyGate | undefined;
  private readonly streams = new Set<WebSocketStream>();
  /** Connections that have not become a WebSocket, by their address. */
  private readonly pending = new Map<string, Socket>();
  /** Of sockets that are read into the shared buffer, who takes the bytes. */
  private readonly readers = new WeakMap<Socket, Reader>();
  private readonly handshakes: Handshakes | undefined;
  private server: Server | undefined;
  private socket: GivenSocket | undefined;
  private pings: NodeJS.Timeout | undefined;
  private host: string;
  private port: number;
  /** In place of host and port. */
  private givenUrl: string | undefined;
  private closed = false;

  /** Throws a RangeError for what is no trusted proxy's address. */
  constructor(options: WebSocketListenerOptions) {
    const { name, host, port, path, origins = [], trustedProxies = [] } = options;
    this.options = options;
    this.name = name;
    this.host = host;
    this.port = port;
    this.givenUrl = options.given?.url;
    this.place = { paths: path === undefined ? [DEFAULT_PATH, "/"] : [path], origins };
    this.peers = new ForwardedPeers(trustedProxies);
    this.gate = options.proxy && new ProxyGate(options.proxy, options.turn);
    this.handshakes = options.tls && new Handshakes(name, options.handshakesMax ?? HANDSHAKES_MAX, options.tls.log);
  }

  get url(): string {
    return this.givenUrl ?? `${this.scheme}://${formatAddress(this.host, this.port)}${this.place.paths[0]}`;
  }

  private get scheme(): "ws" | "wss" {
    return this.options.tls === undefined ? "ws" : "wss";
  }

  async listen(accept: Accept): Promise<void> {
    const { tls, given, noDelay, keepAliveSeconds, onError } = this.options;
    this.closed = false;
    await tls?.files.open();
    try {
      this.socket = await given?.take(this.gate !== undefined);
      this.server = this.socket === undefined ? await this.bindAnyway() : await this.make();
    } catch (error) {
      this.socket?.release();
      this.socket = undefined;
      tls?.files.close();
      throw error;
    }
    const { server, socket } = this;
    if (socket === undefined) {
      const bound = server.address() as AddressInfo;
      this.host = bound.address;
      this.port = bound.port;
    } else this.givenUrl = socket.url(this.scheme, this.place.paths[0]);
    if (this.closed) {
      await this.close();
      return;
    }
    const shared =
      tls === undefined && this.gate === undefined ? (client: Socket) => this.readShared(client, server) : undefined;
    if (tls !== undefined) {
      const path = socket?.path;
      const shown = path === undefined ? this.gate?.shown : () => path;
      tls.files.attach(server as unknown as TlsServer);
      this.handshakes?.follow(server as unknown as TlsServer, tls.files.clients, shown);
    }
    server.prependListener("connection", (socket: Socket) => this.begun(socket));
    this.gate?.guard(server);
    server.on("error", (error) => onError?.(error));
    server.on("request", (request) => refuse(request.socket, plainAnswer(request, this.place)));
    server.on("upgrade", (request, socket, head) => this.asked(request, socket as Socket, head, accept));
    this.pings = setInterval(() => this.ping(), PING_MS).unref();
    const connected = (client: Socket): void => void server.emit("connection", client);
    // As those that node:http and node:https accept themselves.
    const allowHalfOpen = tls === undefined;
    if (socket !== undefined) socket.serve({ noDelay, keepAliveSeconds, allowHalfOpen, shared, connected, onError });
    else if (shared !== undefined) this.shareReads(server, shared);
  }

  /** Connections that have not become a WebSocket yet are closed too; the others get 1001 when they are ended. */
  async close(): Promise<void> {
    this.closed = true;
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    this.stopPings();
    server.close();
    this.socket?.release();
    this.socket = undefined;
    for (const socket of this.pending.values()) socket.destroy();
    this.gate?.close();
    this.options.tls?.files.close();
  }

  private async bindAnyway(): Promise<Server> {
    const { host } = this.options;
    try {
      return await this.bind(host);
    } catch (error) {
      const fallback = fallbackHost(host, error as NodeJS.ErrnoException);
      if (fallback === undefined) throw explain(error as NodeJS.ErrnoException, this.url);
      return await this.bind(fallback);
    }
  }

  private async make(): Promise<Server> {
    const { noDelay = true, keepAliveSeconds = 0, tls } = this.options;
    // Most brokers have no such listener, and what it needs takes a while to load.
    const options: ServerOptions = {
      noDelay,
      keepAlive: keepAliveSeconds > 0,
      keepAliveInitialDelay: keepAliveSeconds * 1000,
      maxHeaderSize: HEADER_BYTES_MAX,
      // `begun` has a deadline for all of it.
      headersTimeout: 0,
      requestTimeout: 0,
    };
    if (tls === undefined) return (await import("node:http")).createServer(options);
    return (await import("node:https")).createServer({ ...options, ...tls.files.serverOptions(["http/1.1"]) });
  }

  private async bind(host: string): Promise<Server> {
    const { port, reusePort = false } = this.options;
    const server = await this.make();
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, backlog: BACKLOG, reusePort }, () => {
        server.off("error", reject);
        resolve(server);
      });
    });
  }

  private shareReads(server: Server, accepted: (socket: Socket) => Reader): void {
    const { noDelay = true, keepAliveSeconds = 0 } = this.options;
    shareReads(server, (socket) => {
      if (noDelay) socket.setNoDelay(true);
      if (keepAliveSeconds > 0) socket.setKeepAlive(true, keepAliveSeconds * 1000);
      return accepted(socket);
    });
  }

  /** What the HTTP server reads, it reads in a way of its own: only a WebSocket's bytes come to the reader. */
  private readShared(socket: Socket, server: Server): Reader {
    const reader: Reader = { receive: (bytes, start, end) => socket.push(Buffer.from(bytes.slice(start, end))) };
    this.readers.set(socket, reader);
    server.emit("connection", socket);
    return reader;
  }

  private begun(socket: Socket): void {
    const { handshakesMax = HANDSHAKES_MAX, handshakeMs = HANDSHAKE_MS, onRefused } = this.options;
    const place = placeOf(socket);
    // Gone again before we looked.
    if (place === "") return;
    const shown = this.socket?.path ?? place;
    if (this.pending.size >= handshakesMax) {
      onRefused?.(shown, "too many clients are on their way to a WebSocket");
      socket.destroy();
      return;
    }
    this.pending.set(place, socket);
    const deadline = setTimeout(() => {
      if (this.pending.get(place) !== socket) return;
      onRefused?.(shown, `it has not asked for a WebSocket within ${handshakeMs} ms`);
      socket.destroy();
    }, handshakeMs).unref();
    socket.once("close", () => {
      clearTimeout(deadline);
      if (this.pending.get(place) === socket) this.pending.delete(place);
    });
  }

  private asked(request: IncomingMessage, socket: Socket, head: Buffer, accept: Accept): void {
    const origin = this.originOf(socket, request);
    // Gone again before we looked.
    if (origin === undefined || this.closed) {
      socket.destroy();
      return;
    }
    const refusal = refusalOf(request, this.place);
    if (refusal !== undefined) {
      this.options.onRefused?.(origin.address, refusal.reason);
      refuse(socket, refusal);
      return;
    }
    const certificate = this.options.tls?.files.clients.of(socket);
    const pskIdentity = pskIdentityOf(socket);
    const peer: Peer = {
      ...origin,
      listener: this.name,
      transport: this.options.tls === undefined ? "websocket" : "websocket-tls",
      ...(certificate !== undefined && { certificate }),
      ...(pskIdentity !== undefined && { pskIdentity }),
    };
    this.pending.delete(placeOf(socket));
    socket.write(acceptanceText(request));
    const stream = new WebSocketStream(socket, this.options.maxPayload ?? MESSAGE_BYTES_MAX);
    this.streams.add(stream);
    stream.on("close", () => {
      this.streams.delete(stream);
      if (this.closed) this.stopPings();
    });
    new WebSocketLink(stream, peer, this.options.turn).open(accept);
    // TLS ends both ways otherwise, before what is to be said has been said.
    socket.allowHalfOpen = true;
    const reader = this.readers.get(socket);
    if (reader === undefined) socket.on("data", (chunk: Buffer) => stream.takeBytes(chunk, 0, chunk.length));
    else reader.receive = (bytes, start, end) => stream.takeBytes(bytes, start, end);
    if (head.length > 0) stream.takeBytes(head, 0, head.length);
    socket.resume();
  }

  /** Who is at the far end, behind proxies too; undefined: nobody any more. */
  private originOf(socket: Socket, { headers }: IncomingMessage): Pick<Peer, "address" | "local"> | undefined {
    const path = this.socket?.path;
    if (path !== undefined) return unixPeerOf(path, headers);
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    const behind = this.gate?.originOf(remoteAddress, remotePort);
    const origin = this.peers.of(behind?.host ?? remoteAddress, behind?.port ?? remotePort, headers);
    return { ...origin, local: origin.local && behind?.local !== false };
  }

  /** Those who are connected when the listener closes stay, and are asked on. */
  private stopPings(): void {
    if (this.streams.size === 0) clearInterval(this.pings);
  }

  private ping(): void {
    for (const stream of this.streams) stream.ping();
  }
}

function refuse(socket: Socket, refusal: Refusal): void {
  // It may be gone before it has read why.
  socket.on("error", () => {});
  socket.end(refusalText(refusal), () => socket.destroy());
}
