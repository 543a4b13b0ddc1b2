import type { IncomingMessage, Server, ServerOptions } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { formatAddress } from "./address.ts";
import { certificateOf } from "./certificate.ts";
import { ForwardedPeers } from "./forwarded.ts";
import { StreamLink } from "./link.ts";
import { explain, fallbackHost } from "./tcp.ts";
import type { TlsFiles } from "./tls-files.ts";
import type { Handshakes } from "./tls-handshakes.ts";
import type { Turn } from "./turn.ts";
import { plainAnswer, type Refusal, refusalOf, refusalText, type WebSocketPlace } from "./websocket-request.ts";
import type { WebSocketHandshake, WebSocketStream } from "./websocket-stream.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;
const DEFAULT_PATH = "/mqtt";
/** An opening handshake is some 500 bytes; cookies of the page's host may come with it. */
const HEADER_BYTES_MAX = 16 * 1024;
/** Milliseconds from the connection to the end of the request's headers, looked after every second. */
const HEADERS_TIMEOUT_MS = 10_000;
const TIMEOUT_CHECK_MS = 1000;
/** Milliseconds between two pings; proxies mostly cut what is silent for a minute. */
const PING_MS = 30_000;

/** Connections that may be on their way to a WebSocket at a time; whoever comes then is turned away. */
const HANDSHAKES_MAX = 1000;

/** What a listener with TLS needs. */
export interface WebSocketTls {
  files: TlsFiles;
  handshakes: Handshakes;
}

export interface WebSocketListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  turn: Turn;
  /** Path of the URL; without one it is "/mqtt", and "/" is taken too. */
  path?: string | undefined;
  /** Origins of pages that may connect, in lower case: "https://example.org"; none: all. Programs send no origin. */
  origins?: readonly string[];
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  trustedProxies?: readonly string[];
  /** Bytes that one message may have; a larger one closes its connection with 1009. */
  maxPayload: number;
  /** With it the listener speaks TLS. */
  tls?: WebSocketTls;
  /** As of TcpListener. */
  noDelay?: boolean;
  keepAliveSeconds?: number;
  reusePort?: boolean;
  /** Told of failures to accept. */
  onError?: (error: Error) => void;
  /** Told why a peer that asked for a WebSocket got none. */
  onRefused?: (address: string, reason: string) => void;
  /** Connections that may be on their way to a WebSocket at a time, 1 or more; default 1000. */
  handshakesMax?: number;
}

/** MQTT over WebSocket: RFC 6455, and section 6 of MQTT 5.0 and 3.1.1. */
export class WebSocketListener implements Listener {
  readonly name: string;
  private readonly options: WebSocketListenerOptions;
  private readonly place: WebSocketPlace;
  private readonly peers: ForwardedPeers;
  private readonly streams = new Set<WebSocketStream>();
  /** Connections that have not become a WebSocket, by their address. */
  private readonly pending = new Map<string, Socket>();
  private server: Server | undefined;
  private pings: NodeJS.Timeout | undefined;
  private host: string;
  private port: number;
  private closed = false;

  /** Throws a RangeError for what is no trusted proxy's address. */
  constructor(options: WebSocketListenerOptions) {
    const { name, host, port, path, origins = [], trustedProxies = [] } = options;
    this.options = options;
    this.name = name;
    this.host = host;
    this.port = port;
    this.place = { paths: path === undefined ? [DEFAULT_PATH, "/"] : [path], origins };
    this.peers = new ForwardedPeers(trustedProxies);
  }

  get url(): string {
    const scheme = this.options.tls === undefined ? "ws" : "wss";
    return `${scheme}://${formatAddress(this.host, this.port)}${this.place.paths[0]}`;
  }

  async listen(accept: Accept): Promise<void> {
    const { host, tls, maxPayload, onError } = this.options;
    this.closed = false;
    // Most brokers have no such listener, and what it needs takes a while to load.
    const { WebSocketHandshake } = await import("./websocket-stream.ts");
    const handshake = new WebSocketHandshake(maxPayload);
    await tls?.files.open();
    const server = await this.bind(host).catch(async (error: NodeJS.ErrnoException) => {
      const fallback = fallbackHost(host, error);
      if (fallback !== undefined) return this.bind(fallback);
      tls?.files.close();
      throw explain(error, this.url);
    });
    const bound = server.address() as AddressInfo;
    this.host = bound.address;
    this.port = bound.port;
    this.server = server;
    if (this.closed) {
      await this.close();
      return;
    }
    if (tls !== undefined) {
      tls.files.attach(server as unknown as TlsServer);
      tls.handshakes.follow(server as unknown as TlsServer);
    }
    server.prependListener("connection", (socket: Socket) => this.begun(socket));
    server.on("error", (error) => onError?.(error));
    server.on("request", (request) => refuse(request.socket, plainAnswer(request, this.place)));
    server.on("upgrade", (request, socket, head) => this.asked(request, socket as Socket, head, handshake, accept));
    this.pings = setInterval(() => this.ping(), PING_MS).unref();
  }

  /** Connections that have not become a WebSocket yet are closed too; the others get 1001 when they are ended. */
  async close(): Promise<void> {
    this.closed = true;
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    this.stopPings();
    server.close();
    for (const socket of this.pending.values()) socket.destroy();
    this.options.tls?.files.close();
  }

  private async bind(host: string): Promise<Server> {
    const { port, reusePort = false, noDelay = true, keepAliveSeconds = 0, tls } = this.options;
    const options: ServerOptions = {
      noDelay,
      keepAlive: keepAliveSeconds > 0,
      keepAliveInitialDelay: keepAliveSeconds * 1000,
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    };
    const server =
      tls === undefined
        ? (await import("node:http")).createServer(options)
        : (await import("node:https")).createServer({
            ...options,
            ...tls.files.serverOptions(["http/1.1"]),
            handshakeTimeout: HEADERS_TIMEOUT_MS,
          });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, backlog: BACKLOG, reusePort }, () => {
        server.off("error", reject);
        resolve(server);
      });
    });
  }

  private begun(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    const { handshakesMax = HANDSHAKES_MAX, onRefused } = this.options;
    // Gone again before we looked.
    if (remoteAddress === undefined || remotePort === undefined) return;
    const place = formatAddress(remoteAddress, remotePort);
    if (this.pending.size >= handshakesMax) {
      onRefused?.(place, "too many clients are on their way to a WebSocket");
      socket.destroy();
      return;
    }
    this.pending.set(place, socket);
    socket.once("close", () => {
      if (this.pending.get(place) === socket) this.pending.delete(place);
    });
  }

  private asked(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    handshake: WebSocketHandshake,
    accept: Accept,
  ): void {
    const { remoteAddress, remotePort } = socket;
    // Gone again before we looked.
    if (remoteAddress === undefined || remotePort === undefined || this.closed) {
      socket.destroy();
      return;
    }
    const origin = this.peers.of(remoteAddress, remotePort, request.headers);
    const refusal = refusalOf(request, this.place);
    if (refusal !== undefined) {
      this.options.onRefused?.(origin.address, refusal.reason);
      refuse(socket, refusal);
      return;
    }
    const certificate = certificateOf(socket);
    const peer: Peer = {
      ...origin,
      listener: this.name,
      transport: this.options.tls === undefined ? "websocket" : "websocket-tls",
      ...(certificate !== undefined && { certificate }),
    };
    const opened = (stream: WebSocketStream): void => {
      this.pending.delete(formatAddress(remoteAddress, remotePort));
      // The library has switched it on, whatever was asked for.
      if (this.options.noDelay === false) socket.setNoDelay(false);
      this.serve(stream, peer, accept);
    };
    handshake.answer(request, socket, head, () => this.closed, opened);
  }

  private serve(stream: WebSocketStream, peer: Peer, accept: Accept): void {
    this.streams.add(stream);
    stream.on("close", () => {
      this.streams.delete(stream);
      if (this.closed) this.stopPings();
    });
    const link = new StreamLink(stream, peer, this.options.turn);
    link.open(accept);
    stream.on("data", (chunk: Uint8Array) => link.receive(chunk, 0, chunk.length));
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
