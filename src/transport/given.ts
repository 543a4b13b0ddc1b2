import type { Socket } from "node:net";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import type { GivenPlace, GivenSocket } from "./given-socket.ts";
import { StreamLink } from "./link.ts";
import { ProxyGate, type ProxyOptions } from "./proxy-protocol.ts";
import type { Reader } from "./shared-read.ts";
import type { Turn } from "./turn.ts";

export interface GivenListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** A bound TCP or Unix stream socket. */
  given: GivenPlace;
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
  private socket: GivenSocket | undefined;
  private place: string;
  private closed = false;

  constructor(options: GivenListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.gate = options.proxy && new ProxyGate(options.proxy, options.turn);
    this.place = options.given.url;
  }

  /** "fd:3"; once it listens where that leads to: "tcp://[::]:1883", "unix:/run/mqtt.sock". */
  get url(): string {
    return this.place;
  }

  async listen(accept: Accept): Promise<void> {
    const { given, noDelay, keepAliveSeconds, sharedRead, onError } = this.options;
    this.closed = false;
    const socket = await given.take(this.gate !== undefined);
    this.place = socket.url("tcp");
    if (this.closed) {
      socket.release();
      return;
    }
    this.socket = socket;
    const accepted = (client: Socket) => this.accepted(client, socket.path, accept);
    const connected = (client: Socket): void => {
      const reader = accepted(client);
      if (reader !== undefined) client.on("data", (chunk: Buffer) => reader.receive(chunk, 0, chunk.length));
    };
    const shared = sharedRead === false ? undefined : accepted;
    socket.serve({ noDelay, keepAliveSeconds, allowHalfOpen: true, shared, connected, onError });
  }

  async close(): Promise<void> {
    this.closed = true;
    this.socket?.release();
    this.socket = undefined;
    this.gate?.close();
  }

  private accepted(client: Socket, path: string | undefined, accept: Accept): Reader | undefined {
    const peer = path === undefined ? this.tcpPeer(client) : this.unixPeer(path);
    if (peer === undefined) {
      // Gone again before we looked.
      client.destroy();
      return undefined;
    }
    if (this.gate !== undefined) return this.gate.take(client, peer, accept);
    const link = new StreamLink(client, peer, this.options.turn);
    link.open(accept);
    return link;
  }

  private tcpPeer({ remoteAddress, remotePort }: Socket): Peer | undefined {
    if (remoteAddress === undefined || remotePort === undefined) return undefined;
    const address = formatAddress(remoteAddress, remotePort);
    return { address, local: isLoopback(remoteAddress), listener: this.name, transport: "tcp" };
  }

  private unixPeer(path: string): Peer {
    return { address: path, local: true, listener: this.name, transport: "unix" };
  }
}
