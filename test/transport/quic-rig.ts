import { once } from "node:events";
import { Duplex } from "node:stream";
import type { Accept, LinkHandler, Listener, Log } from "../../src/core/ports.ts";
import { QuicListener, type QuicListenerOptions } from "../../src/transport/quic.ts";
import { loadQuicLibrary } from "../../src/transport/quic-library.ts";
import { TlsFiles, type TlsSettings } from "../../src/transport/tls-files.ts";
import { Turn } from "../../src/transport/turn.ts";
import type { CertificateFolder } from "../support/certificates.ts";
import type { Opened } from "./suite.ts";
import { HandWatch, NotedLog, settingsOf } from "./tls-rig.ts";

const LOOPBACK = "127.0.0.1";

/** What of the library only clients use. */
export interface ClientSession {
  openStream(): Duplex & { close(code?: number): void };
  close(code?: number, reason?: string): Promise<void>;
  on(event: "close", listener: (info: { errorCode: number; reason: string }) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  readonly closed: boolean;
  readonly _eventLoop: { worker: { localAddress(): { port: number } } } | null;
}

interface ClientLibrary {
  connectQuicAsync(authority: string, options: object): Promise<ClientSession>;
}

/** A connection with its handshake done at the client's end. Rejects when that fails. */
export async function connectQuic(port: number, options: object): Promise<ClientSession> {
  const { connectQuicAsync } = (await loadQuicLibrary()) as unknown as ClientLibrary;
  const common = { servername: "localhost", alpn: ["mqtt"], runtimeMode: "portable", maxIdleTimeoutMs: 60_000 };
  const session = await connectQuicAsync(`${LOOPBACK}:${port}`, { ...common, connectTimeoutMs: 5000, ...options });
  session.on("error", () => {});
  return session;
}

/** MQTT's stream of a connection as a byte stream. Its destruction closes the connection, as a program's end does. */
export class QuicClient extends Duplex {
  readonly session: ClientSession;
  readonly localPort: number;
  private readonly stream: Duplex;

  constructor(session: ClientSession) {
    super({ allowHalfOpen: true });
    this.session = session;
    this.localPort = session._eventLoop?.worker.localAddress().port ?? 0;
    this.stream = session.openStream();
    this.stream.on("data", (bytes: Buffer) => {
      if (!this.push(bytes)) this.stream.pause();
    });
    this.stream.pause();
    this.stream.on("end", () => this.push(null));
    this.stream.on("error", () => this.destroy());
    this.stream.on("close", () => {
      if (!this.stream.readableEnded) this.destroy();
    });
  }

  override _read(): void {
    this.stream.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.stream.write(bytes, () => written());
  }

  override _final(ended: () => void): void {
    this.stream.end(() => ended());
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    void this.session.close().then(() => destroyed(error));
  }
}

/** A listener with all that happens to it. */
export class QuicDoor {
  readonly log = new NotedLog();
  readonly hand = new HandWatch();
  readonly turn = new Turn();
  readonly listener: QuicListener;
  private readonly settings: TlsSettings;
  private readonly options: Partial<QuicListenerOptions>;

  constructor(settings: TlsSettings, options: Partial<QuicListenerOptions> = {}) {
    this.settings = settings;
    this.options = options;
    this.listener = this.at(0);
  }

  /** Another listener of the same kind; `port` 0 takes a free one. */
  at(port: number): QuicListener {
    const log: Log = this.log;
    const files = new TlsFiles(this.settings, { log, watch: this.hand.watch });
    const { turn, settings } = this;
    const common = { name: "main", host: LOOPBACK, turn, maximumPacketSize: 16 * 1024 * 1024 };
    return new QuicListener({ ...common, port, log, files, clientCert: settings.clientCert, ...this.options });
  }

  get port(): number {
    return portOfQuic(this.listener);
  }
}

export function portOfQuic(listener: Listener): number {
  return Number(new URL(listener.url.replace(/^quic:/, "http:")).port);
}

/**
 * Takes a client's first byte for itself: a stream of QUIC is not there before a byte is sent on it, and the contract
 * suite expects links of clients that have sent nothing.
 */
class Knocked implements Listener {
  readonly inner: QuicListener;
  /** How many have knocked. */
  count = 0;

  constructor(inner: QuicListener) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get url(): string {
    return this.inner.url;
  }

  listen(accept: Accept): Promise<void> {
    return this.inner.listen((link) => {
      this.count++;
      const handler = accept(link);
      let knocks = 1;
      const without: LinkHandler = {
        onData(bytes, start, end) {
          const from = start + knocks;
          knocks = 0;
          if (from < end) handler.onData(bytes, from, end);
        },
        onDrain: () => handler.onDrain(),
        onClose: (error) => handler.onClose(error),
      };
      return without;
    });
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** For the contract suite. */
export function openQuic(folder: CertificateFolder): Opened {
  const door = new QuicDoor(settingsOf(folder));
  const listener = new Knocked(door.listener);
  const options = { ca: folder.text("ca.crt") };
  const clients: QuicClient[] = [];
  return {
    listener,
    turn: door.turn,
    async dial() {
      const session = await connectQuic(door.port, options);
      const client = new QuicClient(session);
      clients.push(client);
      client.on("error", () => {});
      const before = listener.count;
      client.write("!");
      // A listener that has closed lets the handshake succeed, and then says so.
      while (listener.count === before && !session.closed) await new Promise((resolve) => setImmediate(resolve));
      if (session.closed) throw new Error("The connection was closed");
      return client;
    },
    url: /^quic:\/\/127\.0\.0\.1:[1-9]\d*$/,
    peer: (client) => ({
      address: `${LOOPBACK}:${(client as QuicClient).localPort}`,
      local: true,
      listener: "main",
      transport: "quic",
    }),
    rival: () => ({
      listener: door.at(door.port),
      message: `Cannot listen on ${listener.url}: the port is in use by another program`,
    }),
    async close() {
      for (const client of clients) if (!client.closed) await Promise.all([once(client, "close"), client.destroy()]);
    },
  };
}
