import { resolve } from "node:path";
import { allowLocal } from "./auth/anonymous.ts";
import { AuthAccess } from "./auth/auth-access.ts";
import { AuthFile } from "./auth/auth-file.ts";
import { BookMaker } from "./auth/book-maker.ts";
import { Guard } from "./auth/guard.ts";
import type { LedgerAccess } from "./auth/ledger/ledger.ts";
import type { Access } from "./core/access.ts";
import { ENTRANCE_OPTIONS } from "./core/entrance.ts";
import type { Hook } from "./core/hooks.ts";
import { defaultLimits, LIMITS, type LimitName, type Limits } from "./core/limits.ts";
import { type BrokerOptions, defaultOptions } from "./core/options.ts";
import type { Clock, Log } from "./core/ports.ts";
import type { Store } from "./core/store.ts";
import { HostClock } from "./os/clock.ts";
import { watchFiles } from "./os/file-watch.ts";
import { type Parts, RunningBroker } from "./running-broker.ts";
import type { Problem } from "./text/problem.ts";
import { isShared, isTopicFilter } from "./topic/name.ts";
import { TlsFiles, type TlsSettings } from "./transport/tls-files.ts";

// The public face of the package: what a program that embeds the broker needs, and nothing else.
export { allowAll, allowLocal, denyAll } from "./auth/anonymous.ts";
export type {
  AuthRules,
  Conditions,
  GroupEntry,
  Method,
  RuleEntry,
  RuleNames,
  UserEntry,
} from "./auth/auth-rules.ts";
export { type LedgerAccess, ledger, ledgerFrom } from "./auth/ledger/ledger.ts";
export { LedgerError } from "./auth/ledger/ledger-document.ts";
export type {
  LedgerAclRule,
  LedgerAuthRule,
  LedgerFilters,
  LedgerPermission,
  LedgerRules,
  LedgerUser,
} from "./auth/ledger/ledger-rules.ts";
export { AuthRulesError, authRules, type RulesAccess } from "./auth/rules-access.ts";
export { PacketType, type ProtocolVersion, type Qos } from "./codec/constants.ts";
export { type Packet, Publish, type PublishProperties, type Will } from "./codec/packet.ts";
export { ReasonCode } from "./codec/reason.ts";
export type { Access, AuthMethod, Grant, Identity, UserLimits, Verdict } from "./core/access.ts";
export { BATCH_HEAD_BYTES, Batch, BatchOp, BatchReader } from "./core/batch.ts";
export type { Client } from "./core/client.ts";
export type { SysInfo } from "./core/counters.ts";
export type { Entrance, EntranceLimits } from "./core/entrance.ts";
export { type Admission, type AuthAnswer, type Hook, IGNORE, type Refusal, refuse } from "./core/hooks.ts";
export type { Accept, Clock, Link, LinkHandler, Listener, Log, Peer, PeerCertificate } from "./core/ports.ts";
export {
  STORE_KEY_MAX,
  STORE_TABLES,
  type Store,
  type StoreEvents,
  type StoreFigures,
  StoreInUse,
  type StoreLoss,
  type StoreTable,
  type StoreTrouble,
  Table,
} from "./core/store.ts";
export type { StoredClient, StoredMessage, StoredRetained, StoredSubscription } from "./core/stored.ts";
export type { PluginTools } from "./plugin/load.ts";
export type { RunningBroker, SessionInfo } from "./running-broker.ts";
export { sqliteStore } from "./store/embedded.ts";
export type { HookOperations } from "./store/hook-operations.ts";
export { MemoryStore, MemoryTables } from "./store/memory.ts";
export type { StoreTools } from "./store/module.ts";
export type { NineOperations, NineOptions, OperationsMessage, OperationsSession } from "./store/nine-operations.ts";
export { type StoreOperations, storeFromOperations } from "./store/operations.ts";
export type { SqliteStoreOptions } from "./store/sqlite/store.ts";
export type { Problem } from "./text/problem.ts";
export { attachStream } from "./transport/stream.ts";
export { TcpListener, type TcpListenerOptions } from "./transport/tcp.ts";
export { TlsListener, type TlsListenerOptions } from "./transport/tls.ts";
export type { TlsFiles, TlsSettings } from "./transport/tls-files.ts";
export type { Turn } from "./transport/turn.ts";
export { UnixListener, type UnixListenerOptions } from "./transport/unix.ts";
export { WebSocketListener, type WebSocketListenerOptions } from "./transport/websocket.ts";

/** BrokerOptions with every part optional. */
export type MqttOptions = Partial<Omit<BrokerOptions, "compat" | "queue" | "sys">> & {
  compat?: Partial<BrokerOptions["compat"]>;
  queue?: Partial<BrokerOptions["queue"]>;
  sys?: Partial<BrokerOptions["sys"]>;
};

export interface CreateBrokerOptions {
  mqtt?: MqttOptions;
  limits?: Partial<Limits>;
  /** Who may connect and do what. Default: clients on this machine, everything. */
  auth?: Access;
  /** In the order in which they are asked. */
  hooks?: readonly Hook[];
  /** Default: silent. */
  log?: Log;
  /** Default: the machine's. With a clock of your own, call `tick()` when its time has moved. */
  clock?: Clock;
  /**
   * Where sessions, queues and retained messages outlive this broker: `sqliteStore({ folder })`, or one of your own. It
   * is opened by `start()` and closed by `stop()`, for one broker only. Default: nothing does.
   */
  store?: Store;
  /** `start()` rejects when the store cannot be opened. Default: the broker serves from memory and logs an error. */
  storeRequired?: boolean;
  /**
   * The store has ended for a mistake of its own. What it had not answered for may be lost and nothing more is kept:
   * your program should end. Default: the log alone says so.
   */
  onStoreFailed?: (error: Error) => void;
}

/**
 * Makes a broker without any listener: add some, then `start()` it.
 * Throws RangeError for an option or limit that does not exist or is out of its range.
 */
export function createBroker(given: CreateBrokerOptions = {}): RunningBroker {
  const defaults = defaultOptions();
  const { log = SILENT } = given;
  const mqtt = withoutUndefined(given.mqtt ?? {});
  const access: Access & Partial<LedgerAccess> = given.auth ?? allowLocal();
  const parts: Parts = {
    options: {
      ...defaults,
      ...mqtt,
      compat: { ...defaults.compat, ...withoutUndefined(mqtt.compat ?? {}) },
      queue: { ...defaults.queue, ...withoutUndefined(mqtt.queue ?? {}) },
      sys: { ...defaults.sys, ...withoutUndefined(mqtt.sys ?? {}) },
    },
    limits: checkedLimits(given.limits ?? {}),
    access,
    hooks: given.hooks ?? [],
    log,
    clock: given.clock ?? new HostClock(),
    ticks: given.clock === undefined,
    companions: access instanceof AuthFile ? [access] : [],
    store: given.store,
    storeRequired: given.storeRequired ?? false,
    onStoreFailed: given.onStoreFailed ?? nothing,
  };
  checkOptions(parts.options, defaults);
  for (const warning of access.warnings ?? []) log.warn(warning);
  if (access instanceof AuthFile) access.log = log;
  if (access instanceof AuthAccess) {
    const { clock, limits } = parts;
    access.guard ??= new Guard({ nowMs: () => clock.nowMs(), wallMs: () => clock.wallMs(), log, limits });
  }
  return new RunningBroker(parts);
}

/** The access rules of a file, followed while the broker runs. */
export interface FileAccess extends Access {
  /** What the last reading found: errors, warnings and notes. Empty before the broker starts. */
  readonly problems: readonly Problem[];
  /** Reads the file again, as after a change; not needed where the system tells of changes. Never rejects. */
  reload(): Promise<void>;
}

/**
 * The access rules of an `auth.json5`. The broker reads it when it starts and follows it from then on: what is changed holds
 * within a second, what is wrong is logged and changes nothing. A file that is wrong at the start lets in only clients on Unix
 * sockets, and without a file only clients on this machine get in until there is one. For one broker.
 */
export function authFile(path: string): FileAccess {
  const wallMs = Date.now;
  const books = new BookMaker(wallMs);
  const file: AuthFile = new AuthFile(
    { candidates: [resolve(path)], anonymous: undefined },
    {
      log: SILENT,
      wallMs,
      workingDirectory: process.cwd(),
      watch: (paths, changed) =>
        watchFiles(paths, changed, { warn: (message, fields) => file.log.warn(message, fields) }),
      bookOf: (auth, anonymous) => books.make(auth, anonymous),
      certificatesVerified: true,
    },
  );
  return file;
}

/** Those of the program's options, by the names of its files. */
export interface TlsFilesOptions extends Partial<TlsSettings> {
  /** Told what becomes of the files. Default: silent. */
  log?: Log;
}

/**
 * What a TlsListener, or a WebSocketListener with `tls`, shows its clients and asks of them: `tlsFiles({ certificates:
 * [{ cert: "server.crt", key: "server.key" }] })`. The files are read when a listener opens and followed while it listens.
 * Clients show certificates when there is a `clientCa`. Throws TypeError when nothing is there to show or to ask for.
 */
export function tlsFiles(given: TlsFilesOptions): TlsFiles {
  const { log = SILENT, ...files } = withoutUndefined(given);
  const { certificates = [], clientCa, clientCrl, clientCert, pskFile, ...rest } = files;
  if (certificates.length === 0 && pskFile === undefined) throw new TypeError("TLS needs certificates, or a pskFile");
  if (clientCert !== undefined && clientCert !== "off" && clientCa === undefined) {
    throw new TypeError(`clientCert is ${clientCert}, which needs a clientCa to check certificates against`);
  }
  const settings: TlsSettings = {
    minVersion: "TLSv1.2",
    ciphers: undefined,
    ...rest,
    certificates: certificates.map(({ cert, key }) => ({ cert: resolve(cert), key: resolve(key) })),
    clientCa: clientCa && resolve(clientCa),
    clientCrl: clientCrl && resolve(clientCrl),
    clientCert: clientCert ?? (clientCa === undefined ? "off" : "required"),
    pskFile: pskFile && resolve(pskFile),
  };
  return new TlsFiles(settings, { log, watch: (paths, changed) => watchFiles(paths, changed, log) });
}

function checkedLimits(given: Partial<Limits>): Limits {
  const limits = defaultLimits();
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(LIMITS, name)) throw new RangeError(`There is no limit called ${name}`);
    const { min, max } = LIMITS[name as LimitName];
    if (!(value >= min && value <= max)) throw new RangeError(`Limit ${name} is ${value}, must be ${min} to ${max}`);
    limits[name as LimitName] = value;
  }
  return limits;
}

/** JavaScript programs write `retain: undefined` for "as usual", which must not switch it off. */
function withoutUndefined<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}

/** Inclusive. Those that are not here are of a type with few values. */
const RANGES: Partial<Record<keyof BrokerOptions, readonly [min: number, max: number]>> = {
  ...ENTRANCE_OPTIONS,
  serverKeepAlive: [0, 65_535],
  keepAliveDefault: [1, 65_535],
  sessionExpiry: [0, 0xffff_ffff],
  sessionExpiryMax: [0, 0xffff_ffff],
  messageExpiryMax: [1, 0xffff_ffff],
  minimumProtocolVersion: [3, 5],
  logPayloadBytes: [0, 268_435_455],
};

function checkOptions(options: BrokerOptions, known: BrokerOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(known, name)) throw new RangeError(`There is no option called ${name}`);
    const range = RANGES[name as keyof BrokerOptions];
    if (range === undefined || value === undefined) continue;
    const [min, max] = range;
    if (!(Number.isInteger(value) && value >= min && value <= max)) {
      throw new RangeError(`Option ${name} is ${value}, must be ${min} to ${max}`);
    }
  }
  for (const topicFilter of options.queue.keepLast) {
    if (isTopicFilter(topicFilter) && !isShared(topicFilter)) continue;
    throw new RangeError(`Option queue.keepLast has ${JSON.stringify(topicFilter)}, which is no topic filter`);
  }
}

const nothing = (): void => {};
const SILENT: Log = {
  enabled: () => false,
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
  trace: nothing,
};
