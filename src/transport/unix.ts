import { createServer, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import type { Accept, Listener, Peer } from "../core/ports.ts";
import { StreamLink } from "./link.ts";
import { shareReads } from "./shared-read.ts";
import { type FileRights, isAbstract, SocketFile } from "./socket-file.ts";
import type { Turn } from "./turn.ts";

/** Connections that may wait for `accept`; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

export interface UnixListenerOptions extends FileRights {
  /** Unique among the broker's listeners. */
  name: string;
  /** Where the socket file is made, at most 107 bytes; "@name" is a name within Linux, without a file and its rights. */
  path: string;
  turn: Turn;
  /** False: read by 'data' events only, each chunk in a buffer of its own. */
  sharedRead?: boolean;
  /** Told of failures to accept. */
  onError?: (error: Error) => void;
}

/**
 * MQTT over a Unix socket, for programs on this machine. Who may connect is said by the owner, group and mode of its
 * file; a name without a file has none, and every program on this machine may.
 */
export class UnixListener implements Listener {
  readonly name: string;
  private readonly options: UnixListenerOptions;
  /** Absolute, or "@name". */
  private readonly path: string;
  private server: Server | undefined;
  private file: SocketFile | undefined;
  private closed = false;

  constructor(options: UnixListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.path = isAbstract(options.path) ? options.path : resolve(options.path);
  }

  get url(): string {
    return `unix:${this.path}`;
  }

  async listen(accept: Accept): Promise<void> {
    this.closed = false;
    const server = createServer({ allowHalfOpen: true });
    try {
      this.file = await SocketFile.make(this.path, this.options, (path) => bind(server, path));
    } catch (error) {
      server.close();
      throw new Error(`Cannot listen on ${this.url}: ${(error as Error).message}`, { cause: error });
    }
    this.server = server;
    if (this.closed) {
      await this.close();
      return;
    }
    server.on("error", (error) => this.options.onError?.(error));
    const accepted = (socket: Socket) => this.accepted(socket, accept);
    if (this.options.sharedRead !== false && shareReads(server, accepted)) return;
    server.on("connection", (socket) => {
      const link = accepted(socket);
      socket.on("data", (chunk: Buffer) => link.receive(chunk, 0, chunk.length));
    });
  }

  /** Takes the file away too, unless another program has put its own there. */
  async close(): Promise<void> {
    this.closed = true;
    const { server, file } = this;
    this.server = undefined;
    this.file = undefined;
    await file?.remove();
    server?.close();
  }

  private accepted(socket: Socket, accept: Accept): StreamLink {
    const peer: Peer = { address: this.path, local: true, listener: this.name, transport: "unix" };
    const link = new StreamLink(socket, peer, this.options.turn);
    link.open(accept);
    return link;
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((bound, reject) => {
    server.once("error", reject);
    server.listen({ path, backlog: BACKLOG }, () => {
      server.off("error", reject);
      bound();
    });
  });
}
