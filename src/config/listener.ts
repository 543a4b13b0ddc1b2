import { resolve } from "node:path";
import { findOption, type Option } from "../cli/options.ts";
import type { Problem } from "../text/problem.ts";
import type { Assignment, Origin } from "./layer.ts";
import type { ListenerSettings, TcpListenerSettings, UnixListenerSettings } from "./settings.ts";
import type { ValueType } from "./value.ts";

/** A listener as a source gave it; what it leaves out comes from `bind` and the socket options. */
export interface ListenerEntry {
  origin: Origin;
  name?: string;
  type: string;
  host?: string;
  port?: number;
  noDelay?: boolean;
  keepAliveSeconds?: number;
  reusePort?: boolean;
  path?: string;
  mode?: number;
  owner?: string;
  group?: string;
  /** Directory that a relative `path` starts from; undefined: the working directory. */
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

/** A key of an entry of `listeners`: the field that it fills, and the only type of listener that has it. */
export interface ListenerKey {
  field: keyof ListenerEntry;
  type: ValueType;
  of?: ListenerSettings["type"];
}

export const LISTENER_KEYS: ReadonlyMap<string, ListenerKey> = new Map<string, ListenerKey>([
  ["name", { field: "name", type: { kind: "string" } }],
  ["type", { field: "type", type: { kind: "enum", values: [...OPTION_OF_TYPE.keys()] } }],
  ["host", { field: "host", type: { kind: "host" }, of: "tcp" }],
  ["port", { field: "port", type: { kind: "integer", min: 0, max: 65_535 }, of: "tcp" }],
  ["noDelay", { field: "noDelay", type: { kind: "boolean" }, of: "tcp" }],
  [
    "keepAliveTime",
    { field: "keepAliveSeconds", type: { kind: "duration", unit: "s", min: 0, max: 32_767 }, of: "tcp" },
  ],
  ["reusePort", { field: "reusePort", type: { kind: "boolean" }, of: "tcp" }],
  ["path", { field: "path", type: { kind: "file" }, of: "unix" }],
  ["mode", { field: "mode", type: { kind: "fileMode" }, of: "unix" }],
  ["owner", { field: "owner", type: { kind: "account", of: "user" }, of: "unix" }],
  ["group", { field: "group", type: { kind: "account", of: "group" }, of: "unix" }],
]);

const DEFAULT_PORT = 1883;

/** What entries that leave something out get. */
export type ListenerDefaults = Pick<TcpListenerSettings, "host" | "noDelay" | "keepAliveSeconds" | "reusePort">;

/** Why a type of listener is refused; undefined when it is built. */
export function listenerNotYet(type: string): string | undefined {
  return OPTION_OF_TYPE.get(type)?.notYet;
}

/** The entries of `--tcp-port`, `--addr` and `--unix-socket`; undefined when none was given. */
export function listenersOfOptions(values: ReadonlyMap<string, Assignment[]>): ListenerEntry[] | undefined {
  const entries: ListenerEntry[] = [];
  for (const { value, origin } of values.get("tcp-port") ?? []) {
    if (typeof value === "number") entries.push({ origin, type: "tcp", port: value });
  }
  for (const { value, origin } of values.get("addr") ?? []) {
    if (value === null || typeof value !== "object") continue;
    entries.push({ origin, type: "tcp", port: value.port, ...(value.host === undefined ? {} : { host: value.host }) });
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
  if (entries === undefined) return [{ name: "tcp", type: "tcp", port: DEFAULT_PORT, ...defaults }];
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
    const listener = entry.type === "unix" ? unixOf(entry, workingDirectory, problems) : tcpOf(entry, defaults);
    if (listener === undefined) continue;
    if (entry.name === undefined) listener.name = freeName(listener.type, taken);
    const clash = complete.map((other) => clashOf(other, listener)).find((said) => said !== undefined);
    if (clash !== undefined) problems.push(entry.origin.problem("error", `Two listeners have ${clash}`));
    complete.push(listener);
  }
  return complete;
}

function tcpOf(entry: ListenerEntry, defaults: ListenerDefaults): TcpListenerSettings {
  return {
    name: entry.name ?? "",
    type: "tcp",
    host: entry.host ?? defaults.host,
    port: entry.port ?? DEFAULT_PORT,
    noDelay: entry.noDelay ?? defaults.noDelay,
    keepAliveSeconds: entry.keepAliveSeconds ?? defaults.keepAliveSeconds,
    reusePort: entry.reusePort ?? defaults.reusePort,
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

/** What two listeners cannot both have; undefined when they get along. */
function clashOf(one: ListenerSettings, other: ListenerSettings): string | undefined {
  if (one.type === "unix") return other.type === "unix" && one.path === other.path ? `the path ${one.path}` : undefined;
  if (other.type === "unix") return undefined;
  const isShared = one.port === 0 || (one.reusePort && other.reusePort);
  if (isShared || one.port !== other.port || one.host !== other.host) return undefined;
  return `the host ${one.host} and the port ${one.port}`;
}

function freeName(type: string, taken: Set<string>): string {
  let name = type;
  for (let number = 2; taken.has(name); number++) name = `${type}-${number}`;
  taken.add(name);
  return name;
}
