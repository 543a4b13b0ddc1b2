import { givenSockets } from "./config/given-sockets.ts";
import type { ListenerSettings, Settings, TcpListenerSettings, TlsSettings } from "./config/settings.ts";
import type { Limits } from "./core/limits.ts";
import type { Clock, Listener, Log } from "./core/ports.ts";
import { watchFiles } from "./os/file-watch.ts";
import { GivenListener } from "./transport/given.ts";
import type { ProxyOptions } from "./transport/proxy-protocol.ts";
import { TcpListener } from "./transport/tcp.ts";
import { TlsListener } from "./transport/tls.ts";
import { TlsFiles } from "./transport/tls-files.ts";
import { Handshakes } from "./transport/tls-handshakes.ts";
import { expiredOf, readTlsFiles } from "./transport/tls-read.ts";
import type { Turn } from "./transport/turn.ts";
import { UnixListener } from "./transport/unix.ts";
import { WebSocketListener } from "./transport/websocket.ts";

/** A WebSocket message may hold the largest packet, and small ones that were joined to it. */
const JOINED_BYTES = 256 * 1024;

/** What listeners need beside their settings. */
export interface DoorTools {
  /** Shared by all links of the broker. */
  turn: Turn;
  log: Log;
  clock: Clock;
  limits: Limits;
  /** Bytes of a packet. */
  maximumPacketSize: number;
}

/** Makes the listeners that the settings ask for, and keeps what several of them have in common. */
export class Doors {
  private readonly tools: DoorTools;
  private readonly tls: SharedTlsFiles;

  constructor(tools: DoorTools) {
    this.tools = tools;
    this.tls = new SharedTlsFiles(tools.log, tools.clock);
  }

  /** Reads the certificates, keys and lists of all listeners again. Never rejects. */
  reloadTls(): Promise<void> {
    return this.tls.reload();
  }

  /** To open it is the broker's. */
  make(settings: ListenerSettings): Listener {
    const { tls } = this;
    const { turn, log, limits } = this.tools;
    const maxPayload = this.tools.maximumPacketSize + JOINED_BYTES;
    const { name } = settings;
    const onError = (error: Error): void => log.error("Cannot accept", { listener: name, reason: error.message });
    if (settings.type === "unix") {
      const { path, mode, owner, group } = settings;
      return new UnixListener({ name, path, mode, owner, group, turn, onError });
    }
    if (settings.type === "fd") {
      const given = givenSockets(process.env, process.pid);
      return new GivenListener({ ...settings, given, turn, onError });
    }
    const { host, port, noDelay, keepAliveSeconds, reusePort } = settings;
    const onPort = { name, host, port, turn, noDelay, keepAliveSeconds, reusePort, onError };
    if (settings.type === "tcp") return new TcpListener({ ...onPort, proxy: proxyOf(settings, limits, log) });
    const { connectTimeoutMs: handshakeMs, connecting: handshakesMax } = limits;
    if (settings.type === "ws" || settings.type === "wss") {
      const onRefused = (address: string, reason: string): void =>
        log.info("WebSocket refused", { listener: name, address, reason });
      const options = { ...onPort, ...settings.webSocket, maxPayload, handshakesMax, onRefused };
      if (settings.type === "ws") return new WebSocketListener(options);
      const handshakes = new Handshakes(name, handshakesMax, log);
      return new WebSocketListener({ ...options, tls: { files: tls.get(settings.tls), handshakes } });
    }
    return new TlsListener({ ...onPort, log, files: tls.get(settings.tls), handshakeMs, handshakesMax });
  }
}

/** The files of TLS, by what is asked of them: listeners that ask for the same have them together. */
class SharedTlsFiles {
  private readonly files = new Map<string, TlsFiles>();
  private readonly log: Log;
  private readonly clock: Clock;

  constructor(log: Log, clock: Clock) {
    this.log = log;
    this.clock = clock;
  }

  get(settings: TlsSettings): TlsFiles {
    const { log, clock } = this;
    const key = JSON.stringify(settings);
    const known = this.files.get(key);
    if (known !== undefined) return known;
    const watch = (paths: readonly string[], changed: () => void) => watchFiles(paths, changed, log);
    const files = new TlsFiles(settings, { log, watch, nowMs: () => clock.wallMs() });
    this.files.set(key, files);
    return files;
  }

  async reload(): Promise<void> {
    await Promise.all([...this.files.values()].map((files) => files.reload()));
  }
}

function proxyOf({ name, proxies }: TcpListenerSettings, limits: Limits, log: Log): ProxyOptions | undefined {
  if (proxies === undefined) return undefined;
  const { connectTimeoutMs: headerTimeoutMs, connecting: waitingMax } = limits;
  const onRefused = (address: string, reason: string, more: number): void => {
    const others = more === 0 ? undefined : more;
    log.warn("Connection closed: not from a proxy as it should be", { listener: name, address, reason, others });
  };
  return { trusted: proxies, headerTimeoutMs, waitingMax, onRefused };
}

/** Why the files of these listeners' TLS cannot be used, and which have expired; each sentence once. */
export async function checkTls({ listeners }: Settings): Promise<{ unusable: string[]; expired: string[] }> {
  const unusable = new Set<string>();
  const expired = new Set<string>();
  for (const listener of listeners) {
    if (!("tls" in listener)) continue;
    try {
      const end = expiredOf(listener.tls, await readTlsFiles(listener.tls), Date.now());
      if (end !== undefined) expired.add(end);
    } catch (error) {
      unusable.add((error as Error).message);
    }
  }
  return { unusable: [...unusable], expired: [...expired] };
}

/** Whether a listener checks the certificates of its clients, so that rules may believe them. */
export function verifiesCertificates({ listeners }: Pick<Settings, "listeners">): boolean {
  return listeners.some((listener) => "tls" in listener && listener.tls.clientCert !== "off");
}
