import { fstatSync, readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { formatAddress, setPlace } from "./address.ts";
import { type Reader, shareReads, unshareReads } from "./shared-read.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

const ADVICE = "start the broker by a .socket unit of systemd, or give the number that its parent left open";

/** Which socket: its descriptor's number, 3 or more, or else systemd's name of it. */
export interface GivenChoice {
  fd?: number | undefined;
  fdName?: string | undefined;
}

/** What a listener does with the connections of a socket. */
export interface GivenUse {
  /** Of TCP: send small packets at once, without waiting for the peer's acknowledgement. Default true. */
  noDelay?: boolean | undefined;
  /** Of TCP: seconds of silence after which it asks whether the peer is alive; 0, the default, never. */
  keepAliveSeconds?: number | undefined;
  allowHalfOpen: boolean;
  /** Takes a connection that is read into the shared buffer, where the system can; undefined: none is. */
  shared?: ((socket: Socket) => Reader | undefined) | undefined;
  /** Takes any other one. */
  connected: (socket: Socket) => void;
  /** Told of failures to accept. */
  onError?: ((error: Error) => void) | undefined;
}

/**
 * The sockets that were opened before the broker started, by systemd or another parent process. A descriptor that is
 * closed is gone for good, so each stays open when its listener closes, for the next one that asks for it; who connects
 * while it has none is cut off at once.
 */
export class GivenSockets {
  private readonly named: readonly { fd: number; name: string }[];
  private readonly open = new Map<number, GivenSocket>();
  private isEnding = false;

  /** `named`: those that systemd handed over, by the names of their units. */
  constructor(named: readonly { fd: number; name: string }[] = []) {
    this.named = named;
  }

  /** One of them, for a listener; whether it is there is found out when it is taken. */
  place(choice: GivenChoice): GivenPlace {
    const { fd, fdName } = choice;
    return { url: `fd:${fd ?? fdName}`, take: (isProxied) => this.take(choice, isProxied) };
  }

  /** Closes those without a listener, and each other one with its listener: the sockets' parent may serve them again. */
  close(): void {
    this.isEnding = true;
    for (const socket of this.open.values()) this.release(socket);
  }

  private async take(choice: GivenChoice, isProxied: boolean): Promise<GivenSocket> {
    try {
      const fd = this.descriptorOf(choice);
      const known = this.open.get(fd);
      if (known?.isTaken) throw new Error("another listener has this socket: give each to one only");
      const socket = known ?? (await this.adopt(fd));
      if (isProxied && socket.path !== undefined) {
        throw new Error("it is a Unix socket, and proxyProtocol is for TCP ones");
      }
      socket.isTaken = true;
      return socket;
    } catch (error) {
      const url = this.place(choice).url;
      throw new Error(`Cannot listen on ${url}: ${reasonOf(error as NodeJS.ErrnoException)}`, { cause: error });
    }
  }

  private async adopt(fd: number): Promise<GivenSocket> {
    // Looked at before it is touched: what is no socket may be Node's own.
    const found = fstatSync(fd, { bigint: true });
    if (!found.isSocket()) throw new Error(`it is no socket: ${ADVICE}`);
    const server = createServer();
    await listen(server, fd);
    const socket = new GivenSocket(server, fd, found.ino, () => this.release(socket));
    this.open.set(fd, socket);
    return socket;
  }

  private release(socket: GivenSocket): void {
    if (!this.isEnding || socket.isTaken) return;
    this.open.delete(socket.fd);
    socket.shut();
  }

  /** Throws what is wrong with the name. */
  private descriptorOf({ fd, fdName }: GivenChoice): number {
    if (fd !== undefined) return fd;
    const [found, ...others] = this.named.filter(({ name }) => name === fdName);
    if (others.length > 0) {
      throw new Error(
        `systemd handed over ${others.length + 1} sockets of that name: give their numbers as fd instead`,
      );
    }
    if (found !== undefined) return found.fd;
    const names = this.named.map(({ name }) => name).join(", ");
    const known =
      names === "" ? "systemd handed over no sockets" : `of systemd's sockets none is called so, but ${names}`;
    throw new Error(`${known}: FileDescriptorName= of a .socket unit gives a name`);
  }
}

/** Where a listener finds its socket. */
export interface GivenPlace {
  /** "fd:3", "fd:mqtt.socket" */
  readonly url: string;
  /** Rejects with a message for the user. `isProxied`: there will be PROXY headers, which Unix sockets cannot have. */
  take(isProxied: boolean): Promise<GivenSocket>;
}

/** One socket, listening. */
export class GivenSocket {
  readonly fd: number;
  /** A listener has it. */
  isTaken = false;
  /** Of a Unix socket, "@name" for one without a file; "" when it is not known. undefined: it is one of TCP. */
  readonly path: string | undefined;
  /** "127.0.0.1:8883" */
  private readonly address: string;
  private readonly server: Server;
  private readonly onReleased: () => void;
  private use: GivenUse | undefined;
  private accepted = 0;

  constructor(server: Server, fd: number, inode: bigint, onReleased: () => void) {
    const address = server.address();
    const isTcp = address !== null && typeof address === "object";
    this.server = server;
    this.fd = fd;
    this.path = isTcp ? undefined : pathOf(inode);
    this.address = isTcp ? formatAddress(address.address, address.port) : "";
    this.onReleased = onReleased;
    server.on("error", (error) => this.use?.onError?.(error));
    server.on("connection", (socket) => {
      if (this.use === undefined) socket.destroy();
      else {
        this.prepare(socket, this.use);
        this.use.connected(socket);
      }
    });
  }

  /** "tls://127.0.0.1:8883", "unix:/run/mqtt.sock", "ws+unix:/run/mqtt.sock:/mqtt", "fd:3". `path`: of a WebSocket. */
  url(scheme: "tcp" | "tls" | "ws" | "wss", path = ""): string {
    if (this.path === undefined) return `${scheme}://${this.address}${path}`;
    if (this.path === "") return `fd:${this.fd}`;
    return `${scheme === "tcp" ? "" : `${scheme}+`}unix:${this.path}${path && `:${path}`}`;
  }

  /** Clients that came meanwhile have been waiting in its queue, and are served now. */
  serve(use: GivenUse): void {
    const { server } = this;
    const { shared } = use;
    this.use = use;
    server.ref();
    if (shared === undefined) return;
    shareReads(server, (socket) => {
      this.prepare(socket, use);
      return shared(socket);
    });
  }

  /** Whoever opened the socket may keep a descriptor of their own, and its file: those are not ours to take away. */
  release(): void {
    unshareReads(this.server);
    this.use = undefined;
    this.server.unref();
    this.isTaken = false;
    this.onReleased();
  }

  shut(): void {
    this.server.close();
  }

  private prepare(socket: Socket, { noDelay = true, keepAliveSeconds = 0, allowHalfOpen }: GivenUse): void {
    socket.allowHalfOpen = allowHalfOpen;
    if (this.path !== undefined) {
      this.accepted++;
      setPlace(socket, `${this.path}#${this.accepted}`);
      return;
    }
    if (noDelay) socket.setNoDelay(true);
    if (keepAliveSeconds > 0) socket.setKeepAlive(true, keepAliveSeconds * 1000);
  }
}

function listen(server: Server, fd: number): Promise<void> {
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
