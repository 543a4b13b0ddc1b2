import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { getSystemErrorName } from "node:util";
import type { Accept, Listener, Log, Peer } from "../core/ports.ts";
import { formatAddress, isLoopback } from "./address.ts";
import { StreamLink } from "./link.ts";
import type { QuicBytes } from "./quic-bytes.ts";
import { clientCertificateOf, hasExpired, type QuicCertificate, QuicCertificates } from "./quic-certificate.ts";
import { QuicConnection } from "./quic-connection.ts";
import { inPrivateFolder } from "./quic-folder.ts";
import { loadQuicLibrary, type QuicLibrary, type QuicServer, type QuicSession } from "./quic-library.ts";
import { explain, fallbackHost } from "./tcp.ts";
import type { TlsFiles, TlsSettings } from "./tls-files.ts";
import type { Turn } from "./turn.ts";

const DEADLINE_MS = 10_000;
const WAITING_MAX = 1000;
/** Handshakes and connections at a time; the library's own default, and beyond what a gateway serves. */
const CONNECTIONS_MAX = 10_000;
/** After so much silence a client is gone, in milliseconds; who is there answers pings, which also keep a router's way open. */
const IDLE_MS = 60_000;
const PING_MS = 15_000;
/**
 * Bytes of a stream that a client may have on their way at first; the library allows more to who is quick. The window of
 * the whole connection stays as wide as the library has it: a connection that fills a small one never goes on.
 */
const STREAM_WINDOW = 512 * 1024;
/** One for MQTT, and one that is refused with a word in the log. */
const STREAMS = 2;
/** Bytes that a client may send beyond the largest packet while it is not read from. */
const WAITING_BYTES = 8 * 1024 * 1024;

const CLIENT_AUTH = { off: "none", optional: "request", required: "require" } as const;

export interface QuicListenerOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** Of UDP, 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  turn: Turn;
  log: Log;
  /** Opened while this listens. Of several certificates the first is shown. Revoked ones cannot be checked. */
  files: TlsFiles;
  /** Whether clients show a certificate, as of TLS; but who shows one that fails the check is never let in. */
  clientCert: TlsSettings["clientCert"];
  /** Bytes of the largest packet. */
  maximumPacketSize: number;
  /** From the end of the handshake to the client's stream, in milliseconds; 10 s when it is left out. */
  streamDeadlineMs?: number;
  /** Connections without a stream at a time, 1 or more; 1000 when it is left out. */
  waitingMax?: number;
  /** Closed listeners that have connections left, shared by those which may want their ports. */
  retired?: Set<QuicListener>;
  load?: () => Promise<QuicLibrary>;
}

/** MQTT over QUIC as EMQX has it: ALPN `mqtt`, one stream for both directions that the client opens. */
export class QuicListener implements Listener {
  readonly name: string;
  private readonly options: QuicListenerOptions;
  private readonly certificates: QuicCertificates;
  private readonly connections = new Set<QuicConnection>();
  private library: QuicLibrary | undefined;
  private server: QuicServer | undefined;
  private used: QuicCertificate | undefined;
  private accept: Accept | undefined;
  private pings: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  private host: string;
  private port: number;
  private closed = false;
  private isRenewing = false;

  constructor(options: QuicListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.host = options.host;
    this.port = options.port;
    this.certificates = new QuicCertificates(options.files, CLIENT_AUTH[options.clientCert], () => this.changed());
  }

  get url(): string {
    return `quic://${formatAddress(this.host, this.port)}`;
  }

  async listen(accept: Accept): Promise<void> {
    this.closed = false;
    this.accept = accept;
    this.library = await (this.options.load ?? loadQuicLibrary)().catch((error: Error) => {
      throw new Error(`Cannot listen on ${this.url}: ${error.message}`, { cause: error });
    });
    const certificate = await this.certificates.open();
    try {
      this.server = await this.bindAnyway(certificate);
    } catch (error) {
      this.certificates.close();
      throw error;
    }
    this.used = certificate;
    // It was closed meanwhile, and nothing to be closed was there.
    if (this.closed) await this.close();
    else this.pings = setInterval(() => this.ping(), PING_MS).unref();
  }

  /** The port is free when the last connection has gone, or when another listener of the same `retired` asks for it. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.server === undefined || this.options.retired?.has(this)) return;
    if (this.pings !== undefined) this.certificates.close();
    for (const connection of this.connections) if (connection.isWaiting) connection.destroy();
    if (this.connections.size > 0) this.options.retired?.add(this);
    else await this.stop();
  }

  /** Ends what a closed listener has left, so that its port is free. */
  async drop(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await this.stop();
  }

  private async bindAnyway(certificate: QuicCertificate): Promise<QuicServer> {
    const { host } = this.options;
    try {
      const { address } = await lookup(host);
      return await this.bind(address, certificate).catch(async (error: NodeJS.ErrnoException) => {
        if (codeOf(error) !== "EADDRINUSE" || !(await this.dropRetired())) throw error;
        return this.bind(address, certificate);
      });
    } catch (error) {
      const known = Object.assign(error as NodeJS.ErrnoException, { code: codeOf(error as Error) });
      const fallback = fallbackHost(host, known);
      if (fallback === undefined) throw explain(known, this.url);
      return await this.bind(fallback, certificate);
    }
  }

  /** Ends the connections of closed listeners that hold our port. Whether there were such. */
  private async dropRetired(): Promise<boolean> {
    const { retired } = this.options;
    const inTheWay = [...(retired ?? [])].filter(({ port }) => port === this.port);
    for (const listener of inTheWay) await listener.drop();
    return inTheWay.length > 0;
  }

  private async bind(address: string, certificate: QuicCertificate): Promise<QuicServer> {
    // A server of the library that fails to listen never ends, and keeps the process from ending.
    await tryPort(address, this.port);
    const server = this.makeServer(certificate);
    const bound = await inPrivateFolder(() => server.listen(this.port, address));
    this.host = bound.address;
    this.port = bound.port;
    return server;
  }

  private makeServer({ cert, key, ca, clientAuth }: QuicCertificate): QuicServer {
    const server = this.library!.createQuicServer({
      runtimeMode: "portable",
      cert,
      key,
      ...(ca !== undefined && { ca }),
      clientAuth,
      alpn: ["mqtt"],
      maxIdleTimeoutMs: IDLE_MS,
      initialMaxStreamDataBidiLocal: STREAM_WINDOW,
      initialMaxStreamsBidi: STREAMS,
      maxConnections: CONNECTIONS_MAX,
      // Who comes must show that its address is its own before anything is kept of it.
      disableRetry: false,
    });
    server.on("session", (session) => this.began(session));
    const { log, name } = this.options;
    server.on("error", ({ message: reason }) => log.error("Cannot accept", { listener: name, reason }));
    return server;
  }

  private began(session: QuicSession): void {
    const { log, name: listener, maximumPacketSize, streamDeadlineMs = DEADLINE_MS } = this.options;
    const { waitingMax = WAITING_MAX } = this.options;
    const connection = new QuicConnection(session, streamDeadlineMs, maximumPacketSize + WAITING_BYTES, {
      opened: (bytes, from) => this.serve(bytes, from),
      refused: (address, reason) => log.info("QUIC refused", { listener, address, reason }),
      gone: (one) => this.gone(one),
    });
    this.connections.add(connection);
    if (this.closed) connection.destroy();
    else if (this.waitingCount > waitingMax) connection.refuse("too many clients have opened no stream yet");
  }

  private get waitingCount(): number {
    let count = 0;
    for (const { isWaiting } of this.connections) if (isWaiting) count++;
    return count;
  }

  private serve(bytes: QuicBytes, session: QuicSession): void {
    const { remoteAddress, remotePort } = session;
    const certificate = clientCertificateOf(session);
    const peer: Peer = {
      address: formatAddress(remoteAddress, remotePort),
      local: isLoopback(remoteAddress),
      listener: this.name,
      transport: "quic",
      ...(certificate !== undefined && { certificate }),
    };
    const link = new StreamLink(bytes, peer, this.options.turn);
    link.open(this.accept!);
    bytes.on("data", (chunk: Uint8Array) => link.receive(chunk, 0, chunk.length));
  }

  private gone(connection: QuicConnection): void {
    this.connections.delete(connection);
    if (this.connections.size > 0) return;
    if (this.closed) void this.stop();
    else void this.renewIfDue();
  }

  private stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    clearInterval(this.pings);
    this.pings = undefined;
    if (server !== undefined) {
      this.stopping = server.close().then(() => void this.options.retired?.delete(this));
    }
    return this.stopping ?? Promise.resolve();
  }

  private ping(): void {
    for (const connection of this.connections) connection.ping();
    void this.renewIfDue();
  }

  private changed(): void {
    if (this.used === undefined || this.closed) return;
    if (this.connections.size > 0) {
      const { log, name } = this.options;
      const message =
        "QUIC shows the certificate of before until no QUIC client is connected, or that one expires; a restart of the broker changes it now";
      log.warn(message, { listener: name });
    }
    void this.renewIfDue();
  }

  /** A server of the library keeps its certificate, and connections their server: so both are replaced when nobody minds. */
  private async renewIfDue(): Promise<void> {
    const { server, used } = this;
    const next = this.certificates.current;
    if (server === undefined || used === undefined || next === undefined || next === used) return;
    if (this.closed || this.isRenewing) return;
    if (this.connections.size > 0 && !hasExpired(used, Date.now())) return;
    this.isRenewing = true;
    // Whether it can be used at all is found out elsewhere before the port is given up.
    const reason = await this.reasonAgainst(next);
    if (reason !== undefined) this.complain(reason);
    else if (!this.closed) await this.replace(server, next);
    this.used = next;
    this.isRenewing = false;
    if (this.closed && this.connections.size === 0) await this.stop();
    else if (reason === undefined) await this.renewIfDue();
  }

  private async reasonAgainst(certificate: QuicCertificate): Promise<string | undefined> {
    try {
      const trial = this.makeServer(certificate);
      await inPrivateFolder(() => trial.listen(0, "127.0.0.1"));
      await trial.close();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  private async replace(server: QuicServer, next: QuicCertificate): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await server.close();
    try {
      this.server = await this.bind(this.host, next);
      this.options.log.info("New QUIC connections use the new certificate", { listener: this.name });
    } catch (error) {
      this.server = undefined;
      const { message } = explain(Object.assign(error as Error, { code: codeOf(error as Error) }), this.url);
      this.options.log.error(`${message}. Restart the broker to listen again`, { listener: this.name });
    }
  }

  private complain(reason: string): void {
    const message = `The new certificate cannot be used for QUIC: ${reason}. What was in force stays in force`;
    this.options.log.error(message, { listener: this.name });
  }
}

/** Rejects as Node.js does when the port of UDP cannot be had. */
async function tryPort(address: string, port: number): Promise<void> {
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4" });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address, port, exclusive: true }, resolve);
    });
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}

/** The library's errors have the number of the system's in their text: "[h3:io|errno=98] …". */
function codeOf(error: NodeJS.ErrnoException): string | undefined {
  const errno = /^\[h3:io\|errno=(\d+)\]/.exec(error.message)?.[1];
  return errno === undefined ? error.code : getSystemErrorName(-Number(errno));
}
