import { resolve } from "node:path";
import { findOption, type Option } from "../cli/options.ts";
import type { EntranceLimits } from "../core/entrance.ts";
import type { Problem } from "../text/problem.ts";
import { entranceOf, METHOD_TYPE, VERSION_TYPE } from "./entrance.ts";
import { chosenSocket } from "./given-sockets.ts";
import type { Assignment, Origin } from "./layer.ts";
import { proxiesOf } from "./proxies.ts";
import type {
  ClientCert,
  GivenChoice,
  GivenListenerSettings,
  ListenerSettings,
  TcpListenerSettings,
  TlsSettings,
  UnixListenerSettings,
} from "./settings.ts";
import { type TlsDefaults, tlsOf } from "./tls.ts";
import type { ValueType } from "./value.ts";
import { type WebSocketDefaults, webSocketOf } from "./web-socket.ts";

/** A listener as a source gave it; what it leaves out comes from `bind` and the socket options. */
export interface ListenerEntry {
  origin: Origin;
  name?: string;
  type: string;
  host?: string;
  /** In place of `host`: a network interface, on each of whose addresses it listens. */
  interface?: string;
  port?: number;
  noDelay?: boolean;
  keepAliveSeconds?: number;
  reusePort?: boolean;
  path?: string;
  mode?: number;
  owner?: string;
  group?: string;
  /** Files of its own, in place of those that the options give. */
  cert?: string;
  key?: string;
  clientCa?: string;
  clientCrl?: string;
  clientCert?: ClientCert;
  pskFile?: string;
  /** Connections come through `trustedProxies`, and begin with a PROXY header. */
  proxyProtocol?: boolean;
  /** A socket that was opened before the broker started: its number, or systemd's name of it. */
  fd?: number;
  fdName?: string;
  /** Of a WebSocket. */
  origins?: string[];
  trustedProxies?: string[];
  /** What it asks of its clients: see Entrance. Protocol versions as people write them, "3.1.1". */
  versions?: string[];
  authMethods?: string[];
  mountPoint?: string;
  limits?: EntranceLimits;
  /** Directory that relative paths start from; undefined: the working directory. */
  directory?: string | undefined;
}

/** Types of `listeners` entries, and the option that opens one: its `notYet` tells which are not built. */
const OPTION_OF_TYPE: ReadonlyMap<string, Option> = new Map(
  [
    ["tcp", "tcp-port"],
    ["tls", "tls-port"],
    ["ws", "ws-port"],
    ["wss", "ws-tls-port"],
    ["quic", "quic-port"],
    ["unix", "unix-socket"],
  ].map(([type, name]) => [type!, findOption(name!)!]),
);

/** A key of an entry of `listeners`: the field that it fills, and the types of listener that have it; undefined: all. */
export interface ListenerKey {
  field: keyof ListenerEntry;
  type: ValueType;
  of?: readonly ListenerSettings["type"][];
  /** The field is a list of values of the type. */
  isList?: true;
  /** Nobody could connect when the list is empty. */
  needsOne?: true;
}

/** Listeners with a host and a port of TCP. */
const ON_PORTS = ["tcp", "tls", "ws", "wss"] as const;
const WITH_PORT = [...ON_PORTS, "quic"] as const;
const BEHIND_PROXIES = [...ON_PORTS, "fd"] as const;
const WITH_TLS = ["tls", "wss"] as const;
const WITH_CERTIFICATE = [...WITH_TLS, "quic"] as const;
const WEB_SOCKETS = ["ws", "wss"] as const;
const MAY_BE_GIVEN = ["fd", ...WITH_TLS, "ws"] as const;
/** What a given socket has already, or cannot have. */
const NOT_IF_GIVEN = ["host", "interface", "port", "reusePort"] as const;

export const LISTENER_KEYS: ReadonlyMap<string, ListenerKey> = new Map<string, ListenerKey>([
  ["name", { field: "name", type: { kind: "string" } }],
  ["type", { field: "type", type: { kind: "enum", values: [...OPTION_OF_TYPE.keys(), "fd"] } }],
  ["host", { field: "host", type: { kind: "host" }, of: WITH_PORT }],
  ["interface", { field: "interface", type: { kind: "string" }, of: WITH_PORT }],
  ["port", { field: "port", type: { kind: "integer", min: 0, max: 65_535 }, of: WITH_PORT }],
  ["noDelay", { field: "noDelay", type: { kind: "boolean" }, of: ON_PORTS }],
  [
    "keepAliveTime",
    { field: "keepAliveSeconds", type: { kind: "duration", unit: "s", min: 0, max: 32_767 }, of: ON_PORTS },
  ],
  ["reusePort", { field: "reusePort", type: { kind: "boolean" }, of: ON_PORTS }],
  ["cert", { field: "cert", type: { kind: "file" }, of: WITH_CERTIFICATE }],
  ["key", { field: "key", type: { kind: "file" }, of: WITH_CERTIFICATE }],
  ["clientCa", { field: "clientCa", type: { kind: "file" }, of: WITH_CERTIFICATE }],
  ["clientCrl", { field: "clientCrl", type: { kind: "file" }, of: WITH_TLS }],
  ["clientCert", { field: "clientCert", type: findOption("client-cert")!.type, of: WITH_CERTIFICATE }],
  ["pskFile", { field: "pskFile", type: { kind: "file" }, of: WITH_TLS }],
  ["path", { field: "path", type: { kind: "file" }, of: ["unix", ...WEB_SOCKETS] }],
  ["origins", { field: "origins", type: { kind: "string" }, of: WEB_SOCKETS, isList: true }],
  ["trustedProxies", { field: "trustedProxies", type: { kind: "string" }, of: BEHIND_PROXIES, isList: true }],
  ["proxyProtocol", { field: "proxyProtocol", type: { kind: "boolean" }, of: BEHIND_PROXIES }],
  ["versions", { field: "versions", type: VERSION_TYPE, isList: true, needsOne: true }],
  ["authMethods", { field: "authMethods", type: METHOD_TYPE, isList: true, needsOne: true }],
  ["mountPoint", { field: "mountPoint", type: { kind: "string" } }],
  ["fd", { field: "fd", type: { kind: "integer", min: 3, max: 65_535 }, of: MAY_BE_GIVEN }],
  ["fdName", { field: "fdName", type: { kind: "string" }, of: MAY_BE_GIVEN }],
  ["mode", { field: "mode", type: { kind: "fileMode" }, of: ["unix"] }],
  ["owner", { field: "owner", type: { kind: "account", of: "user" }, of: ["unix"] }],
  ["group", { field: "group", type: { kind: "account", of: "group" }, of: ["unix"] }],
]);

const DEFAULT_PORT = 1883;
const DEFAULT_TLS_PORT = 8883;
const DEFAULT_WS_PORT = 8083;
const DEFAULT_WSS_PORT = 8084;
const DEFAULT_QUIC_PORT = 14_567;

/** What entries that leave something out get. */
export type ListenerDefaults = Pick<TcpListenerSettings, "host" | "noDelay" | "keepAliveSeconds" | "reusePort"> & {
  tls: TlsDefaults;
  webSocket: WebSocketDefaults;
};

/** Why a type of listener is refused; undefined when it is built. */
export function listenerNotYet(type: string): string | undefined {
  return OPTION_OF_TYPE.get(type)?.notYet;
}

/** The entries of the options that open listeners, such as `--tcp-port`; undefined when none was given. */
export function listenersOfOptions(values: ReadonlyMap<string, Assignment[]>): ListenerEntry[] | undefined {
  const entries: ListenerEntry[] = [];
  for (const { value, origin } of values.get("tcp-port") ?? []) {
    if (typeof value === "number") entries.push({ origin, type: "tcp", port: value });
  }
  for (const { value, origin } of values.get("addr") ?? []) {
    if (value === null || typeof value !== "object" || "object" in value) continue;
    entries.push({ origin, type: "tcp", port: value.port, ...(value.host === undefined ? {} : { host: value.host }) });
  }
  for (const type of ["tls", "ws", "wss", "quic"]) {
    for (const { value, origin } of values.get(OPTION_OF_TYPE.get(type)!.name) ?? []) {
      if (typeof value === "number") entries.push({ origin, type, port: value });
    }
  }
  for (const { value, origin, directory } of values.get("unix-socket") ?? []) {
    if (typeof value === "string") entries.push({ origin, type: "unix", path: value, directory });
  }
  return entries.length === 0 ? undefined : entries;
}

/**
 * Fills in what the entries leave out. Problems: types not built yet, Unix sockets without a path, names and addresses
 * given twice. Relative paths of the command line start from `workingDirectory`.
 */
export function completeListeners(
  entries: readonly ListenerEntry[] | undefined,
  defaults: ListenerDefaults,
  workingDirectory: string,
  problems: Problem[],
): ListenerSettings[] {
  if (entries === undefined) return [{ ...onPort({}, defaults), name: "tcp", type: "tcp", port: DEFAULT_PORT }];
  const complete: ListenerSettings[] = [];
  const taken = new Set(entries.flatMap((entry) => entry.name ?? []));
  const seen = new Set<string>();
  for (const entry of entries) {
    const notYet = listenerNotYet(entry.type);
    if (notYet !== undefined) {
      problems.push(entry.origin.problem("error", notYet));
      continue;
    }
    if (entry.name !== undefined && seen.has(entry.name)) {
      problems.push(entry.origin.problem("error", `Two listeners are called ${JSON.stringify(entry.name)}`));
    }
    seen.add(entry.name ?? "");
    const listener = listenerOf(entry, defaults, workingDirectory, problems);
    if (listener === undefined) continue;
    if (entry.name === undefined) listener.name = freeName(listener.type, taken);
    const entrance = entranceOf(entry, problems);
    if (entrance !== undefined) listener.entrance = entrance;
    const clash = complete.map((other) => clashOf(other, listener)).find((said) => said !== undefined);
    if (clash !== undefined) problems.push(entry.origin.problem("error", `Two listeners have ${clash}`));
    complete.push(listener);
  }
  return complete;
}

function listenerOf(
  entry: ListenerEntry,
  defaults: ListenerDefaults,
  workingDirectory: string,
  problems: Problem[],
): ListenerSettings | undefined {
  const { name = "", port } = entry;
  if (entry.interface !== undefined && entry.host !== undefined) {
    const message = "A listener has either a host or an interface, whose addresses it follows";
    problems.push(entry.origin.problem("error", message));
  }
  if (entry.type === "unix") return unixOf(entry, workingDirectory, problems);
  if (entry.type === "fd") return givenOf(entry, defaults, problems);
  const given = choiceOf(entry, problems);
  const common = { name, ...onPort(entry, defaults), ...(given !== undefined && { given }) };
  if (entry.type === "ws") {
    const webSocket = webSocketOf(entry, defaults.webSocket, problems);
    const proxies = proxiesOf(entry, problems, webSocket.trustedProxies);
    return { ...common, type: "ws", port: port ?? DEFAULT_WS_PORT, webSocket, ...proxies };
  }
  if (entry.type === "quic") {
    const tls = tlsOfQuic(entry, defaults.tls, workingDirectory, problems);
    return tls && { ...common, type: "quic", port: port ?? DEFAULT_QUIC_PORT, reusePort: false, tls };
  }
  if (entry.type !== "tls" && entry.type !== "wss") {
    return { ...common, type: "tcp", port: port ?? DEFAULT_PORT, ...proxiesOf(entry, problems) };
  }
  const tls = tlsOf(entry, defaults.tls, workingDirectory, problems);
  if (tls === undefined) return undefined;
  if (entry.type === "tls") {
    return { ...common, type: "tls", port: port ?? DEFAULT_TLS_PORT, tls, ...proxiesOf(entry, problems) };
  }
  const webSocket = webSocketOf(entry, defaults.webSocket, problems);
  const proxies = proxiesOf(entry, problems, webSocket.trustedProxies);
  return { ...common, type: "wss", port: port ?? DEFAULT_WSS_PORT, webSocket, tls, ...proxies };
}

/** What QUIC has of TLS: version 1.3 alone, so no keys in place of certificates, and no list of revoked ones. */
function tlsOfQuic(
  entry: ListenerEntry,
  defaults: TlsDefaults,
  workingDirectory: string,
  problems: Problem[],
): TlsSettings | undefined {
  const tls = tlsOf(entry, { ...defaults, pskFile: undefined, pskHint: undefined }, workingDirectory, problems);
  if (tls === undefined || tls.clientCert === "off" || tls.clientCrl === undefined) return tls;
  const message = "QUIC cannot check whether a client's certificate is revoked, and --client-crl asks for that";
  const hint =
    'Give --client-crl\'s file to the listeners of TLS alone (clientCrl), or the QUIC listener clientCert: "off"';
  problems.push(entry.origin.problem("error", message, hint));
  return undefined;
}

/** What all listeners on a port have. */
function onPort(
  entry: Partial<ListenerEntry>,
  defaults: ListenerDefaults,
): Omit<TcpListenerSettings, "name" | "type" | "port"> {
  return {
    host: entry.host ?? defaults.host,
    noDelay: entry.noDelay ?? defaults.noDelay,
    keepAliveSeconds: entry.keepAliveSeconds ?? defaults.keepAliveSeconds,
    reusePort: entry.reusePort ?? defaults.reusePort,
    ...(entry.interface !== undefined && { interface: entry.interface }),
  };
}

function unixOf(
  { origin, name = "", path, directory = "", mode, owner, group }: ListenerEntry,
  workingDirectory: string,
  problems: Problem[],
): UnixListenerSettings | undefined {
  if (path === undefined) {
    const hint = 'Such as { type: "unix", path: "/run/mqtt-broker/mqtt.sock" }';
    problems.push(origin.problem("error", "A listener of type unix needs a path", hint));
    return undefined;
  }
  const isAbstract = path.startsWith("@");
  if (isAbstract && (mode ?? owner ?? group) !== undefined) {
    const message = `${path} is a name without a file: mode, owner and group can only be given to a file`;
    problems.push(origin.problem("error", message, "Every program of this machine may connect to such a name"));
  }
  const place = isAbstract ? path : resolve(workingDirectory, directory, path);
  return { name, type: "unix", path: place, mode, owner, group };
}

function givenOf(
  entry: ListenerEntry,
  defaults: ListenerDefaults,
  problems: Problem[],
): GivenListenerSettings | undefined {
  const { origin, name = "", fd, fdName } = entry;
  if ((fd === undefined) === (fdName === undefined)) {
    const hint = 'Such as { type: "fd", fd: 3 }, or { type: "fd", fdName: "mqtt.socket" } with systemd';
    problems.push(origin.problem("error", "A listener of type fd needs either fd or fdName", hint));
    return undefined;
  }
  const { noDelay, keepAliveSeconds } = defaults;
  return { name, type: "fd", fd, fdName, noDelay, keepAliveSeconds, ...proxiesOf(entry, problems) };
}

/** The given socket that a listener of another type than `fd` asks for in place of one of its own. */
function choiceOf(entry: ListenerEntry, problems: Problem[]): GivenChoice | undefined {
  const { origin, type, fd, fdName } = entry;
  if (fd === undefined && fdName === undefined) return undefined;
  if (fd !== undefined && fdName !== undefined) {
    const hint = `Such as { type: "${type}", fd: 3 }, or { type: "${type}", fdName: "mqtt.socket" } with systemd`;
    problems.push(origin.problem("error", `A listener of type ${type} can have fd or fdName, not both`, hint));
  }
  const more = NOT_IF_GIVEN.filter((key) => entry[key] !== undefined);
  if (more.length > 0) {
    const message = `A listener on a given socket (${fd === undefined ? "fdName" : "fd"}) cannot have ${more.join(" and ")}: who opened the socket has said where it listens`;
    problems.push(origin.problem("error", message, `Leave out ${more.join(" and ")}, or the given socket`));
  }
  return { fd, fdName };
}

/** What two listeners cannot both have; undefined when they get along. */
function clashOf(one: ListenerSettings, other: ListenerSettings): string | undefined {
  if (one.type === "unix") return other.type === "unix" && one.path === other.path ? `the path ${one.path}` : undefined;
  if (other.type === "unix") return undefined;
  const given = chosenSocket(one);
  const otherGiven = chosenSocket(other);
  if (given !== undefined && otherGiven !== undefined) {
    const socket = given.fd ?? given.fdName;
    return socket === (otherGiven.fd ?? otherGiven.fdName) ? `the file descriptor ${socket}` : undefined;
  }
  if (given !== undefined || otherGiven !== undefined || one.type === "fd" || other.type === "fd") return undefined;
  // Ports of UDP are others than those of TCP.
  if ((one.type === "quic") !== (other.type === "quic")) return undefined;
  const isShared = one.port === 0 || (one.reusePort && other.reusePort);
  if (isShared || one.port !== other.port || one.interface !== other.interface) return undefined;
  if (one.interface !== undefined) return `the interface ${one.interface} and the port ${one.port}`;
  if (one.host !== other.host) return undefined;
  return `the host ${one.host} and the port ${one.port}`;
}

function freeName(type: string, taken: Set<string>): string {
  let name = type;
  for (let number = 2; taken.has(name); number++) name = `${type}-${number}`;
  taken.add(name);
  return name;
}
