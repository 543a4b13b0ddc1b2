import { fstatSync, readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { StreamLink } from "./link.ts";
import { ProxyGate, type ProxyOptions } from "./proxy-protocol.ts";
import { type Reader, shareReads } from "./shared-read.ts";
import type { Turn } from "./turn.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

const ADVICE = "start the broker by a .socket unit of systemd, or give the number that its parent left open";

export interface GivenListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** File descriptor of a bound TCP or Unix stream socket, 3 or more. It belongs to the listener, which closes it. */
  fd?: number | undefined;
  /** In place of `fd`: which of `given` it is. */
  fdName?: string | undefined;
  /** The sockets that systemd handed over, by the names of their units. */
  given?: readonly { fd: number; name: string }[];
  turn: Turn;
  /** Of TCP: send small packets at once, without waiting for the peer's acknowledgement. Default true. */
  noDelay?: boolean;
  /** Of TCP: seconds of silence after which it asks whether the peer is alive; 0, the default, never. */
  keepAliveSeconds?: number;
  /** Of TCP: as of TcpListener. A Unix socket cannot have it. */
  proxy?: ProxyOptions | undefined;
  /** False: read by 'data' events only, each chunk in a buffer of its own. */
  sharedRead?: boolean;
  /** Told of failures to accept. */
  onError?: (error: Error) => void;
}

/**
 * MQTT over a socket that was opened before the broker started, by systemd or another parent process. Clients that came
 * meanwhile have been waiting in its queue, and are served now.
 */
export class GivenListener implements Listener {
  readonly name: string;
  private readonly options: GivenListenerOptions;
  private readonly gate: ProxyGate | undefined;
  private server: Server | undefined;
  /** Of a Unix socket; "" when it is not known. undefined: TCP, or not known yet. */
  private path: string | undefined;
  private place: string;

  constructor(options: GivenListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.gate = options.proxy && new ProxyGate(options.proxy, options.turn);
    this.place = `fd:${options.fd ?? options.fdName}`;
  }

  /** "fd:3"; once it listens where that leads to: "tcp://[::]:1883", "unix:/run/mqtt.sock". */
  get url(): string {
    return this.place;
  }

  async listen(accept: Accept): Promise<void> {
    const { onError, sharedRead } = this.options;
    const server = createServer({ allowHalfOpen: true });
    let inode: bigint;
    try {
      const fd = descriptorOf(this.options);
      inode = inodeOf(fd);
      await open(server, fd);
    } catch (error) {
      throw new Error(`Cannot listen on ${this.url}: ${reasonOf(error as NodeJS.ErrnoException)}`, { cause: error });
    }
    const address = server.address();
    const isTcp = address !== null && typeof address === "object";
    if (this.gate !== undefined && !isTcp) {
      server.close();
      throw new Error(`Cannot listen on ${this.url}: it is a Unix socket, and proxyProtocol is for TCP ones`);
    }
    this.server = server;
    if (isTcp) {
      this.place = `tcp://${formatAddress(address.address, address.port)}`;
    } else {
      this.path = pathOf(inode);
      this.place = this.path === "" ? this.place : `unix:${this.path}`;
    }
    server.on("error", (error) => onError?.(error));
    const accepted = (socket: Socket) => this.accepted(socket, accept);
    if (sharedRead !== false && shareReads(server, accepted)) return;
    server.on("connection", (socket) => {
      const reader = accepted(socket);
      if (reader !== undefined) socket.on("data", (chunk: Buffer) => reader.receive(chunk, 0, chunk.length));
    });
  }

  /** Whoever opened the socket may keep a descriptor of their own, and its file: those are not ours to take away. */
  async close(): Promise<void> {
    this.server?.close();
    this.server = undefined;
    this.gate?.close();
  }

  private accepted(socket: Socket, accept: Accept): Reader | undefined {
    const peer = this.path === undefined ? this.tcpPeer(socket) : this.unixPeer(this.path);
    if (peer === undefined) {
      // Gone again before we looked.
      socket.destroy();
      return undefined;
    }
    if (this.gate !== undefined) return this.gate.take(socket, peer, accept);
    const link = new StreamLink(socket, peer, this.options.turn);
    link.open(accept);
    return link;
  }

  private tcpPeer(socket: Socket): Peer | undefined {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    const { noDelay, keepAliveSeconds } = this.options;
    if (noDelay !== false) socket.setNoDelay(true);
    if (keepAliveSeconds) socket.setKeepAlive(true, keepAliveSeconds * 1000);
    const address = formatAddress(remoteAddress, remotePort);
    return { address, local: isLoopback(remoteAddress), listener: this.name, transport: "tcp" };
  }

  private unixPeer(path: string): Peer {
    return { address: path, local: true, listener: this.name, transport: "unix" };
  }
}

/** Throws what is wrong with the name. */
function descriptorOf({ fd, fdName, given = [] }: GivenListenerOptions): number {
  if (fd !== undefined) return fd;
  const [found, ...others] = given.filter(({ name }) => name === fdName);
  if (others.length > 0) {
    throw new Error(`systemd handed over ${others.length + 1} sockets of that name: give their numbers as fd instead`);
  }
  if (found !== undefined) return found.fd;
  const names = given.map(({ name }) => name).join(", ");
  const known =
    names === "" ? "systemd handed over no sockets" : `of systemd's sockets none is called so, but ${names}`;
  throw new Error(`${known}: FileDescriptorName= of a .socket unit gives a name`);
}

/** Looked at before it is touched: what is no socket may be Node's own. Throws what is wrong. */
function inodeOf(fd: number): bigint {
  const found = fstatSync(fd, { bigint: true });
  if (!found.isSocket()) throw new Error(`it is no socket: ${ADVICE}`);
  return found.ino;
}

function open(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd, backlog: BACKLOG }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** The path of a Unix socket as Linux lists it, "@name" for one without a file; "" when it has none or cannot be read. */
function pathOf(inode: bigint): string {
  try {
    // Num RefCount Protocol Flags Type St Inode Path
    const line = new RegExp(`^(?:\\S+ +){6}${inode} (.+)$`, "m").exec(readFileSync("/proc/net/unix", "utf8"));
    return line?.[1] ?? "";
  } catch {
    return "";
  }
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === "EBADF") return `no such file descriptor is open: ${ADVICE}`;
  if (code === "EINVAL") return `it is no TCP or Unix stream socket that can listen: ${ADVICE}`;
  return message;
}
