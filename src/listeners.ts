import { randomBytes } from "node:crypto";
import { basename, extname, join } from "node:path";
import { givenSockets } from "./config/given-sockets.ts";
import type {
  ListenerSettings,
  PortListenerSettings,
  Settings,
  TcpListenerSettings,
  TlsSettings,
  WorkerSettings,
} from "./config/settings.ts";
import type { Limits } from "./core/limits.ts";
import type { Listener, Log } from "./core/ports.ts";
import type { ClockTrust } from "./os/clock.ts";
import { watchFiles } from "./os/file-watch.ts";
import type { KnownTime } from "./os/known-time.ts";
import { GivenListener } from "./transport/given.ts";
import { GivenSockets } from "./transport/given-socket.ts";
import { InterfaceListener } from "./transport/interface.ts";
import type { ProxyOptions } from "./transport/proxy-protocol.ts";
import { QuicListener } from "./transport/quic.ts";
import { loadQuicLibrary } from "./transport/quic-library.ts";
import { TcpListener } from "./transport/tcp.ts";
import { TlsListener } from "./transport/tls.ts";
import type { DatedState } from "./transport/tls-expiry.ts";
import { TlsFiles, type TlsFilesTools } from "./transport/tls-files.ts";
import { expiredOf, readTlsFiles } from "./transport/tls-read.ts";
import type { Turn } from "./transport/turn.ts";
import { UnixListener } from "./transport/unix.ts";
import { WebSocketListener } from "./transport/websocket.ts";
import { FarListener } from "./transport/workers/far-listener.ts";
import { Workers } from "./transport/workers/workers.ts";

const TICKET_SECRET_BYTES = 48;
/** What the heap of a thread that serves connections may be, several times what it is. */
const THREAD_HEAP_BYTES = 64 * 1024 * 1024;
const CONNECTION_HEAP_BYTES = 64 * 1024;
const SILENT: Log = { enabled: () => false, error() {}, warn() {}, info() {}, debug() {}, trace() {} };

/** A WebSocket message may hold the largest packet, and small ones that were joined to it. */
const JOINED_BYTES = 256 * 1024;

/** What listeners need beside their settings. */
export interface DoorTools {
  /** Shared by all links of the broker. */
  turn: Turn;
  log: Log;
  /** Certificates are judged by it. */
  time: KnownTime;
  limits: Limits;
  /** Bytes of a packet. */
  maximumPacketSize: number;
  /** Connections of TLS and WebSocket are served by threads of their own. */
  workers?: WorkerSettings & { clockTrust: ClockTrust };
  /** In such a thread: what the core gave it. */
  core?: FromCore;
}

/** What all threads have in common. */
export interface FromCore {
  /** Whoever has it resumes the TLS sessions of the others. */
  ticketSecret: Uint8Array;
  /** What time it is at least, in milliseconds since 1970. */
  leastMs: number;
}

/** What a thread that serves connections makes its listeners of. */
export interface WorkerDoors extends Pick<DoorTools, "limits" | "maximumPacketSize"> {
  clockTrust: ClockTrust;
  core: FromCore;
}

/** Makes the listeners that the settings ask for, and keeps what several of them have in common. */
export class Doors {
  private readonly tools: DoorTools;
  private readonly tls: SharedTlsFiles;
  private readonly workers: Workers | undefined;
  private readonly given = new GivenSockets(givenSockets(process.env, process.pid));
  private readonly made = new Map<string, ListenerSettings>();
  /** Closed listeners whose clients are still there. */
  private readonly retiredQuic = new Set<QuicListener>();

  constructor(tools: DoorTools) {
    const { log, time, core, workers } = tools;
    this.tools = tools;
    if (core !== undefined) {
      // The core follows the files, says what becomes of them, and when they are to be read again.
      const watch = () => ({ close: () => {} });
      this.tls = new SharedTlsFiles({ log: SILENT, clientsLog: log, watch, time, ticketSecret: core.ticketSecret });
      return;
    }
    const watch = (paths: readonly string[], changed: () => void) => watchFiles(paths, changed, log);
    if (workers === undefined || workers.threads === 0) {
      this.tls = new SharedTlsFiles({ log, watch, time });
      return;
    }
    const ticketSecret = randomBytes(TICKET_SECRET_BYTES);
    this.workers = workersOf(tools, workers, ticketSecret);
    this.tls = new SharedTlsFiles({ log, watch, time, ticketSecret, spread: () => this.workers!.reload() });
  }

  /** No listener is made again: sockets that systemd handed over are left to it as soon as nobody uses them here. */
  letGoOfGiven(): void {
    this.given.close();
  }

  /** Ends the threads, when what was sent is written. */
  async stop(): Promise<void> {
    this.letGoOfGiven();
    await this.workers?.stop();
  }

  /** Reads the certificates, keys and lists of all listeners again. Never rejects. */
  reloadTls(): Promise<void> {
    return this.tls.reload();
  }

  /** What `$SYS` says of certificates, authorities and lists in use: below "certificates", numbered from 1. */
  sysValues(): [string, string | number][] {
    return this.tls.ends().flatMap((state, index) => endValues(state, index + 1));
  }

  /** Of the listener of that name, as it was last made. */
  settingsOf(name: string): ListenerSettings | undefined {
    return this.made.get(name);
  }

  /** To open it is the broker's. */
  make(settings: ListenerSettings): Listener {
    this.made.set(settings.name, settings);
    const { tls, workers } = this;
    const { turn, log, limits } = this.tools;
    const { name } = settings;
    if (settings.type === "unix") {
      const { path, mode, owner, group } = settings;
      return new UnixListener({ name, path, mode, owner, group, turn, onError: this.onErrorOf(name) });
    }
    if (settings.type === "fd") {
      const given = this.given.place(settings);
      const proxy = proxyOf(settings, limits, log);
      return new GivenListener({ ...settings, given, turn, proxy, onError: this.onErrorOf(name) });
    }
    const { interface: interfaceName, ...onHost } = settings;
    if (interfaceName !== undefined) {
      const make = (address: string): Listener => this.make({ ...onHost, host: address });
      return new InterfaceListener({ name, interface: interfaceName, make, log });
    }
    const here = this.makeHere(settings);
    if (workers === undefined || settings.type === "tcp" || settings.type === "quic") return here;
    // Several threads cannot accept from one descriptor.
    if (settings.given !== undefined) return here;
    const files = "tls" in settings ? tls.get(settings.tls) : undefined;
    // One that is never opened says where it would be.
    return new FarListener({ settings, url: here.url, turn, workers, files });
  }

  /** In this thread. */
  private makeHere(settings: PortListenerSettings): Listener {
    const { tls } = this;
    const { turn, log, limits } = this.tools;
    const maxPayload = this.tools.maximumPacketSize + JOINED_BYTES;
    const { name } = settings;
    const onError = this.onErrorOf(name);
    const proxy = proxyOf(settings, limits, log);
    const { host, port, noDelay, keepAliveSeconds, reusePort } = settings;
    const given = "given" in settings && settings.given !== undefined ? this.given.place(settings.given) : undefined;
    const onPort = { name, host, port, turn, noDelay, keepAliveSeconds, reusePort, given, proxy, onError };
    if (settings.type === "tcp") return new TcpListener(onPort);
    const { connectTimeoutMs: handshakeMs, connecting: handshakesMax } = limits;
    if (settings.type === "ws" || settings.type === "wss") {
      const onRefused = (address: string, reason: string): void =>
        log.info("WebSocket refused", { listener: name, address, reason });
      const options = { ...onPort, ...settings.webSocket, maxPayload, handshakeMs, handshakesMax, onRefused };
      if (settings.type === "ws") return new WebSocketListener(options);
      return new WebSocketListener({ ...options, tls: { files: tls.get(settings.tls), log } });
    }
    if (settings.type === "quic") {
      const { clientCert } = settings.tls;
      const waiting = { streamDeadlineMs: limits.connectTimeoutMs, waitingMax: limits.connecting };
      const { maximumPacketSize } = this.tools;
      const place = { name, host, port, turn, log, retired: this.retiredQuic };
      return new QuicListener({ ...place, ...waiting, files: tls.get(settings.tls), clientCert, maximumPacketSize });
    }
    return new TlsListener({ ...onPort, log, files: tls.get(settings.tls), handshakeMs, handshakesMax });
  }

  private onErrorOf(listener: string): (error: Error) => void {
    return (error) => this.tools.log.error("Cannot accept", { listener, reason: error.message });
  }
}

/** Each thread gets its part of what may be on its way at a time. */
function workersOf(
  { turn, log, time, limits, maximumPacketSize }: DoorTools,
  { threads, stackBytes, clockTrust }: NonNullable<DoorTools["workers"]>,
  ticketSecret: Uint8Array,
): Workers {
  const connecting = Math.ceil(limits.connecting / threads);
  const data = (): WorkerDoors => ({
    limits: { ...limits, connecting },
    maximumPacketSize,
    clockTrust,
    // A clock that is right needs no help.
    core: { ticketSecret, leastMs: time.isBehind() ? time.nowMs() : 0 },
  });
  // All clients may come to be with one of them.
  const heapBytes = THREAD_HEAP_BYTES + (limits.clients + limits.connecting) * CONNECTION_HEAP_BYTES;
  return new Workers({ count: threads, entry: workerPath(), data, stackBytes, heapBytes, turn, log });
}

/** It lies beside this file, with the same ending: TypeScript, or what was made of it. */
function workerPath(): string {
  return join(import.meta.dirname, `listener-worker${extname(import.meta.filename)}`);
}

/** The files of TLS, by what is asked of them: listeners that ask for the same have them together. */
class SharedTlsFiles {
  private readonly files = new Map<string, TlsFiles>();
  private readonly tools: TlsFilesTools;

  constructor(tools: TlsFilesTools) {
    this.tools = tools;
  }

  get(settings: TlsSettings): TlsFiles {
    const key = JSON.stringify(settings);
    const known = this.files.get(key);
    if (known !== undefined) return known;
    const files = new TlsFiles(settings, this.tools);
    this.files.set(key, files);
    return files;
  }

  /** Each once, also when several listeners ask different things of clients with the same files. */
  ends(): DatedState[] {
    const all = [...this.files.values()].flatMap(({ ends }) => ends);
    return [...new Map(all.map((end) => [`${end.file}\n${end.name}\n${end.validToMs}`, end])).values()];
  }

  async reload(): Promise<void> {
    await Promise.all([...this.files.values()].map((files) => files.reload()));
  }
}

function endValues(
  { file, kind, name, validToMs, days, stage }: DatedState,
  number: number,
): [string, string | number][] {
  const at = `certificates/${number}`;
  const isEndless = validToMs === Number.POSITIVE_INFINITY;
  return [
    [`${at}/file`, basename(file)],
    [`${at}/kind`, kind],
    [`${at}/subject`, name === "" ? "unknown" : name],
    [`${at}/expires`, isEndless ? "never" : new Date(validToMs).toISOString()],
    [`${at}/days`, isEndless ? "never" : days],
    [`${at}/warning`, stage ?? "none"],
  ];
}

function proxyOf(
  { name, proxies }: Pick<TcpListenerSettings, "name" | "proxies">,
  limits: Limits,
  log: Log,
): ProxyOptions | undefined {
  if (proxies === undefined) return undefined;
  const { connectTimeoutMs: headerTimeoutMs, connecting: waitingMax } = limits;
  const onRefused = (address: string, reason: string, more: number): void => {
    const others = more === 0 ? undefined : more;
    log.warn("Connection closed: not from a proxy as it should be", { listener: name, address, reason, others });
  };
  return { trusted: proxies, headerTimeoutMs, waitingMax, onRefused };
}

/**
 * Those that this machine can serve at all; which it cannot is logged. Rejects when none is left, since nobody could
 * connect then.
 */
export async function servable(listeners: readonly ListenerSettings[], log: Log): Promise<ListenerSettings[]> {
  const found: ListenerSettings[] = [];
  for (const listener of listeners) {
    try {
      if (listener.type === "quic") await loadQuicLibrary();
      found.push(listener);
    } catch (error) {
      if (listeners.length === 1) throw error;
      log.error((error as Error).message, { listener: listener.name });
    }
  }
  if (found.length === 0) throw new Error("There is no listener that this machine can serve: see the lines above");
  return found;
}

/** Why the files of these listeners' TLS cannot be used, or QUIC where it is asked for, and which have expired; each sentence once. */
export async function checkTls({ listeners }: Settings): Promise<{ unusable: string[]; expired: string[] }> {
  const unusable = new Set<string>();
  const expired = new Set<string>();
  for (const listener of listeners) {
    if (!("tls" in listener)) continue;
    try {
      if (listener.type === "quic") await loadQuicLibrary();
      const end = expiredOf(listener.tls, await readTlsFiles(listener.tls), Date.now());
      if (end !== undefined) expired.add(end);
    } catch (error) {
      unusable.add((error as Error).message);
    }
  }
  return { unusable: [...unusable], expired: [...expired] };
}

/** The certificates that are to be made anew by themselves where that is possible, each once. */
export function certificatesToReissue({ listeners, tlsReissue }: Settings): { cert: string; key: string }[] {
  if (!tlsReissue) return [];
  const all = listeners.flatMap((listener) => ("tls" in listener ? listener.tls.certificates : []));
  return [...new Map(all.map((files) => [files.cert, files])).values()];
}

/** Whether a listener checks the certificates of its clients, and their keys, so that rules may believe them. */
export function provenBy({ listeners }: Pick<Settings, "listeners">): {
  certificatesVerified: boolean;
  keysChecked: boolean;
} {
  const all = listeners.flatMap((listener) => ("tls" in listener ? [listener.tls] : []));
  return {
    certificatesVerified: all.some(({ clientCert }) => clientCert !== "off"),
    keysChecked: all.some(({ pskFile }) => pskFile !== undefined),
  };
}
