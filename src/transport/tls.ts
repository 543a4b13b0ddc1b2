import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import type { Accept, Listener, Log, Peer } from "../core/ports.ts";
import { beneath, formatAddress, isLoopback } from "./address.ts";
import type { GivenPlace, GivenSocket } from "./given-socket.ts";
import { StreamLink } from "./link.ts";
import { ProxyGate, type ProxyOptions } from "./proxy-protocol.ts";
import { pskIdentityOf } from "./psk.ts";
import { explain, fallbackHost } from "./tcp.ts";
import type { TlsFiles } from "./tls-files.ts";
import { Handshakes } from "./tls-handshakes.ts";
import type { Turn } from "./turn.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;
const HANDSHAKE_MS = 10_000;
const HANDSHAKES_MAX = 1000;

export interface TlsListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  /** In place of `host` and `port`, which are not looked at then. */
  given?: GivenPlace | undefined;
  turn: Turn;
  log: Log;
  /** Opened while this listens. */
  files: TlsFiles;
  /** What a handshake may take, in milliseconds; 10 s when it is left out. */
  handshakeMs?: number;
  /** Handshakes at a time, 1 or more; 1000 when it is left out. */
  handshakesMax?: number;
  /** Send small packets at once, without waiting for the peer's acknowledgement. Default true. */
  noDelay?: boolean;
  /** Seconds of silence after which TCP asks whether the peer is alive; 0, the default, never. */
  keepAliveSeconds?: number;
  /** Let several processes share the port, where the system can. */
  reusePort?: boolean;
  /** As of TcpListener: TLS begins behind the header. */
  proxy?: ProxyOptions | undefined;
  /** Told of failures to accept. */
  onError?: (error: Error) => void;
}

/** MQTT over TLS. A client whose handshake fails never becomes a link. */
export class TlsListener implements Listener {
  readonly name: string;
  private readonly options: TlsListenerOptions;
  private readonly handshakes: Handshakes;
  private readonly gate: ProxyGate | undefined;
  private server: Server | undefined;
  private socket: GivenSocket | undefined;
  private place: string | undefined;
  private host: string;
  private port: number;
  private holdsFiles = false;
  private closed = false;

  constructor(options: TlsListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.host = options.host;
    this.port = options.port;
    this.place = options.given?.url;
    this.handshakes = new Handshakes(options.name, options.handshakesMax ?? HANDSHAKES_MAX, options.log);
    this.gate = options.proxy && new ProxyGate(options.proxy, options.turn);
  }

  get url(): string {
    return this.place ?? `tls://${formatAddress(this.host, this.port)}`;
  }

  async listen(accept: Accept): Promise<void> {
    const { options } = this;
    this.closed = false;
    await options.files.open();
    this.holdsFiles = true;
    let server: Server;
    let given: GivenSocket | undefined;
    try {
      given = await options.given?.take(this.gate !== undefined);
      server = given === undefined ? await this.bindAnyway() : await make(options);
    } catch (error) {
      given?.release();
      this.letGoOfFiles();
      throw error;
    }
    if (given === undefined) {
      const bound = server.address() as AddressInfo;
      this.host = bound.address;
      this.port = bound.port;
    } else this.place = given.url("tls");
    if (this.closed) {
      server.close();
      given?.release();
      this.letGoOfFiles();
      return;
    }
    this.server = server;
    this.socket = given;
    options.files.attach(server);
    const path = given?.path;
    this.handshakes.follow(server, options.files.clients, path === undefined ? this.gate?.shown : () => path);
    this.gate?.guard(server);
    server.on("error", (error) => options.onError?.(error));
    server.on("secureConnection", (socket) => this.accepted(socket, path, accept));
    const connected = (socket: Socket): void => void server.emit("connection", socket);
    given?.serve({ ...options, allowHalfOpen: false, shared: undefined, connected });
  }

  async close(): Promise<void> {
    this.closed = true;
    // While it is still to be bound, `listen` lets go of them.
    if (this.server !== undefined) this.letGoOfFiles();
    this.server?.close();
    this.server = undefined;
    this.socket?.release();
    this.socket = undefined;
    this.handshakes.close();
    this.gate?.close();
  }

  private async bindAnyway(): Promise<Server> {
    const { options } = this;
    try {
      return await bind(options.host, options);
    } catch (error) {
      const fallback = fallbackHost(options.host, error as NodeJS.ErrnoException);
      if (fallback === undefined) throw explain(error as NodeJS.ErrnoException, this.url);
      return await bind(fallback, options);
    }
  }

  private letGoOfFiles(): void {
    if (this.holdsFiles) this.options.files.close();
    this.holdsFiles = false;
  }

  /** `path`: of a Unix socket. */
  private accepted(socket: TLSSocket, path: string | undefined, accept: Accept): void {
    const end = path === undefined ? this.endOf(socket) : { address: path, local: true };
    if (end === undefined || socket.destroyed || this.closed) {
      // Gone again before we looked, or its certificate does not count, or we are gone.
      socket.destroy();
      return;
    }
    const certificate = this.options.files.clients.of(socket);
    const pskIdentity = pskIdentityOf(socket);
    const peer: Peer = {
      ...end,
      listener: this.name,
      transport: "tls",
      ...(certificate !== undefined && { certificate }),
      ...(pskIdentity !== undefined && { pskIdentity }),
    };
    // Not before: who goes away in the handshake is gone at once.
    socket.allowHalfOpen = true;
    const link = new StreamLink(socket, peer, this.options.turn);
    link.open(accept);
    socket.on("data", (chunk: Buffer) => link.receive(chunk, 0, chunk.length));
  }

  /** Who is at the far end, behind proxies too; undefined: nobody any more. */
  private endOf(socket: TLSSocket): Pick<Peer, "address" | "local"> | undefined {
    const { remoteAddress, remotePort } = beneath(socket);
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    const origin = this.gate?.originOf(remoteAddress, remotePort);
    const { host, port, local } = origin ?? { host: remoteAddress, port: remotePort, local: isLoopback(remoteAddress) };
    return { address: formatAddress(host, port), local };
  }
}

async function make({ files, handshakeMs, noDelay, keepAliveSeconds = 0 }: TlsListenerOptions): Promise<Server> {
  // Slow to load, and mostly not needed.
  const { createServer } = await import("node:tls");
  return createServer({
    ...files.serverOptions(),
    handshakeTimeout: handshakeMs ?? HANDSHAKE_MS,
    noDelay: noDelay !== false,
    ...(keepAliveSeconds > 0 && { keepAlive: true, keepAliveInitialDelay: keepAliveSeconds * 1000 }),
  });
}

async function bind(host: string, options: TlsListenerOptions): Promise<Server> {
  const { port, reusePort = false } = options;
  const server = await make(options);
  return await new Promise((resolve, reject) => {
    server.once("error", reject);
    (server as NetServer).listen({ host, port, backlog: BACKLOG, reusePort }, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}
