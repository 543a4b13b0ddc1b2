import { readFileSync } from "node:fs";
import { controlPath } from "./admin/control-path.ts";
import { ControlSocket } from "./admin/control-socket.ts";
import { operations } from "./admin/operations.ts";
import { AuthFile } from "./auth/auth-file.ts";
import { BookMaker } from "./auth/book-maker.ts";
import { Guard } from "./auth/guard.ts";
import { TrafficFile } from "./auth/traffic/traffic-file.ts";
import { TrafficRecord } from "./auth/traffic/traffic-record.ts";
import { givenSockets } from "./config/given-sockets.ts";
import type { ListenerSettings, Settings, TcpListenerSettings, TlsSettings } from "./config/settings.ts";
import type { Limits } from "./core/limits.ts";
import type { Clock, Listener, Log } from "./core/ports.ts";
import type { Store } from "./core/store.ts";
import { watchFiles } from "./os/file-watch.ts";
import { loadPlugin } from "./plugin/load.ts";
import { type Companion, RunningBroker } from "./running-broker.ts";
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

/** File descriptors that are not clients: listeners, log, standard streams, epoll and the like. */
const DESCRIPTORS_RESERVED = 48;
/** A WebSocket message may hold the largest packet, and small ones that were joined to it. */
const JOINED_BYTES = 256 * 1024;

/** What runs, as far as somebody outside has to do with it. */
export interface Composed {
  broker: RunningBroker;
  auth: AuthFile;
  guard: Guard;
  traffic: TrafficRecord;
  /** Makes a listener; to open it is the broker's. */
  listenerFor(settings: ListenerSettings): Listener;
  /** Reads the certificates, keys and lists of all listeners again. Never rejects. */
  reloadTls(): Promise<void>;
}

/**
 * Joins the parts that the settings ask for; `start()` is the caller's. Rejects with a message for the user when a
 * plugin or a store's module cannot be used. `onStoreFailed`: the store ended for a mistake of its own; see RunningBroker.
 */
export async function composeBroker(
  settings: Settings,
  log: Log,
  clock: Clock,
  onStoreFailed: (error: Error) => void,
): Promise<Composed> {
  const auth = authOf(settings, log, clock);
  const guard = new Guard({ nowMs: () => clock.nowMs(), wallMs: () => clock.wallMs(), log, limits: settings.limits });
  const traffic = new TrafficRecord(() => clock.wallMs());
  auth.guard = guard;
  auth.observer = traffic;
  const hooks = await Promise.all(settings.plugins.map(loadPlugin));
  const broker = new RunningBroker({
    options: { ...settings.options, dailyBudgetBytes: settings.store.dailyBudgetBytes },
    limits: withinDescriptors(settings.limits, log),
    access: auth,
    // Without a folder of its own the broker keeps nothing.
    companions: settings.store.type === "sqlite" ? [auth, new TrafficFile(traffic, settings.dataDir, log)] : [auth],
    hooks,
    log,
    clock,
    ticks: true,
    store: await storeOf(settings, log),
    storeRequired: settings.store.required,
    onStoreFailed,
  });
  const tls = new SharedTlsFiles(log, clock);
  const maxPayload = settings.options.maximumPacketSize + JOINED_BYTES;
  const doors = { turn: broker.turn, log, limits: settings.limits, maxPayload, tls };
  const listenerFor = (listener: ListenerSettings): Listener => listenerOf(listener, doors);
  for (const listener of settings.listeners) await broker.addListener(listenerFor(listener));
  return { broker, auth, guard, traffic, listenerFor, reloadTls: () => tls.reload() };
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

/** What commands such as `mqtt-broker banned` ask. To be started when the broker has, which makes the folder. */
export function composeControl(
  { store, dataDir }: Settings,
  { guard, traffic }: Composed,
  reload: () => Promise<void>,
  log: Log,
): Companion {
  const folder = store.type === "sqlite" ? dataDir : undefined;
  return new ControlSocket({
    path: controlPath(folder, process.env.RUNTIME_DIRECTORY),
    operations: operations({
      traffic: () => traffic.lines(),
      banned: () => guard.list(),
      lift: (address) => guard.lift(address),
      reload,
    }),
    log,
  });
}

/** Each kind is loaded when it is asked for. */
async function storeOf({ store, dataDir }: Settings, log: Log): Promise<Store | undefined> {
  switch (store.type) {
    case "memory":
      return undefined;
    case "sqlite": {
      const { SqliteStore } = await import("./store/sqlite/store.ts");
      return new SqliteStore({ folder: dataDir, log });
    }
    case "module": {
      const { loadStore } = await import("./store/module.ts");
      return loadStore(store.module!, { dataDir, log });
    }
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

/** What listeners need beside their settings. */
interface Doors {
  turn: Turn;
  log: Log;
  limits: Limits;
  /** Bytes of a WebSocket message. */
  maxPayload: number;
  tls: SharedTlsFiles;
}

function listenerOf(settings: ListenerSettings, { turn, log, limits, maxPayload, tls }: Doors): Listener {
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

function proxyOf({ name, proxies }: TcpListenerSettings, limits: Limits, log: Log): ProxyOptions | undefined {
  if (proxies === undefined) return undefined;
  const { connectTimeoutMs: headerTimeoutMs, connecting: waitingMax } = limits;
  const onRefused = (address: string, reason: string, more: number): void => {
    const others = more === 0 ? undefined : more;
    log.warn("Connection closed: not from a proxy as it should be", { listener: name, address, reason, others });
  };
  return { trusted: proxies, headerTimeoutMs, waitingMax, onRefused };
}

function authOf(settings: Settings, log: Log, clock: Clock): AuthFile {
  const { auth } = settings;
  const wallMs = (): number => clock.wallMs();
  const books = new BookMaker(wallMs, auth.hashWorkers);
  return new AuthFile(auth, {
    log,
    wallMs,
    workingDirectory: process.cwd(),
    watch: (paths, changed) => watchFiles(paths, changed, log),
    bookOf: (read, anonymous) => books.make(read, anonymous),
    certificatesVerified: verifiesCertificates(settings),
  });
}

/**
 * Fewer clients when the system allows fewer open files: it would turn connections away itself, and could not say why.
 * A fifth is left to connections that have not sent their CONNECT yet.
 */
function withinDescriptors(limits: Limits, log: Log): Limits {
  const descriptors = openFilesMax();
  if (descriptors === undefined) return limits;
  const available = Math.max(2, descriptors - DESCRIPTORS_RESERVED);
  if (limits.clients + limits.connecting <= available) return limits;
  const connecting = Math.min(limits.connecting, Math.max(1, Math.floor(available / 5)));
  const clients = Math.min(limits.clients, available - connecting);
  if (clients < limits.clients) {
    log.warn(`At most ${clients} clients: the system allows ${descriptors} open files (LimitNOFILE=, ulimit -n)`);
  }
  return { ...limits, clients, connecting };
}

/** The soft limit of this process; undefined where it cannot be read. */
function openFilesMax(): number | undefined {
  try {
    const match = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    return undefined;
  }
}
