import { type AddressInfo, type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { certificateOf, isTls } from "./certificate.ts";
import { StreamLink } from "./link.ts";
import type { Turn } from "./turn.ts";

/**
 * Makes a link of any byte stream: one end of a `duplexPair`, a TLS or WebSocket stream, a socket of the user's.
 *
 * `name` stands for the listener in logs and rules. A TLS stream's handshake must be done, or no client certificate is
 * known. Throws a TypeError when the stream carries strings or objects. From here on the stream belongs to the link.
 */
export function attachStream(duplex: Duplex, accept: Accept, turn: Turn, name: string): StreamLink {
  if (duplex.readableObjectMode || duplex.writableObjectMode || duplex.readableEncoding !== null) {
    throw new TypeError(`Cannot attach a stream to ${name}: it carries strings or objects instead of bytes`);
  }
  return open(duplex, peerOf(duplex, name, ""), accept, turn);
}

/** Clients of a `net.Server` or `tls.Server` that the user made. It may begin to listen before or afterwards. */
export class ServerListener implements Listener {
  readonly name: string;
  private readonly server: Server;
  private readonly turn: Turn;
  private onConnection: ((socket: Socket) => void) | undefined;

  constructor(name: string, server: Server, turn: Turn) {
    this.name = name;
    this.server = server;
    this.turn = turn;
  }

  get url(): string {
    const address = this.server.address();
    if (typeof address === "string") return `unix:${address}`;
    const scheme = isTlsServer(this.server) ? "tls" : "tcp";
    return address === null ? `${scheme}:` : `${scheme}://${formatAddress(address.address, address.port)}`;
  }

  /** Resolves at once: a server that listens only later is none of our waiting. */
  async listen(accept: Accept): Promise<void> {
    if (this.onConnection !== undefined) return;
    this.onConnection = (socket) => {
      const address = this.server.address();
      const path = typeof address === "string" ? address : "";
      open(socket, peerOf(socket, this.name, path), accept, this.turn);
    };
    this.server.on(connectionEvent(this.server), this.onConnection);
  }

  /** Closes the server too: nobody would answer its connections any more. */
  async close(): Promise<void> {
    if (this.onConnection === undefined) return;
    this.server.off(connectionEvent(this.server), this.onConnection);
    this.onConnection = undefined;
    this.server.close();
  }
}

/** A `tls.Server` has a raw connection first, and the one that clients speak MQTT on after the handshake. */
function connectionEvent(server: Server): string {
  return isTlsServer(server) ? "secureConnection" : "connection";
}

/** Told by a method only TLS servers have, since `node:tls` is slow to load and mostly not needed. */
function isTlsServer(server: Server): boolean {
  return "setSecureContext" in server;
}

function open(duplex: Duplex, peer: Peer, accept: Accept, turn: Turn): StreamLink {
  const link = new StreamLink(duplex, peer, turn);
  link.open(accept);
  // After open(), so that the handler exists when data has been waiting in the stream.
  duplex.on("data", (chunk: Uint8Array) => link.receive(chunk, 0, chunk.length));
  return link;
}

/** `path` is that of the Unix socket which a server listens at. */
function peerOf(duplex: Duplex, listener: string, path: string): Peer {
  const { address, local, transport } = originOf(duplex, path);
  const certificate = certificateOf(duplex);
  return {
    address,
    local,
    listener,
    transport: isTls(duplex) ? "tls" : transport,
    ...(certificate !== undefined && { certificate }),
  };
}

/** Where the bytes come from, whatever protects them on their way. */
function originOf(duplex: Duplex, path: string): Pick<Peer, "address" | "local" | "transport"> {
  const transport = duplex instanceof Socket ? "tcp" : "stream";
  const { remoteAddress, remotePort } = duplex as Partial<Socket>;
  if (remoteAddress !== undefined && remotePort !== undefined) {
    return { address: formatAddress(remoteAddress, remotePort), local: isLoopback(remoteAddress), transport };
  }
  if (!(duplex instanceof Socket)) return { address: "", local: true, transport };
  return isUnix(duplex) ? { address: path, local: true, transport: "unix" } : { address: "", local: false, transport };
}

/**
 * A Unix socket has no address, and neither has a TCP socket whose peer is gone or not there yet: only the former is
 * local.
 */
function isUnix(socket: Socket): boolean {
  const local = socket.address() as Partial<AddressInfo>;
  return local.address === undefined && !socket.pending && !socket.destroyed;
}
