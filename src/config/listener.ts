import { findOption, type Option } from "../cli/options.ts";
import type { Problem } from "../text/problem.ts";
import type { Assignment, Origin } from "./layer.ts";
import type { ListenerSettings } from "./settings.ts";
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

/** Keys of an entry of `listeners`, and the field that each one fills. */
export const LISTENER_KEYS: ReadonlyMap<string, { field: keyof ListenerEntry; type: ValueType }> = new Map([
  ["name", { field: "name", type: { kind: "string" } }],
  ["type", { field: "type", type: { kind: "enum", values: [...OPTION_OF_TYPE.keys()] } }],
  ["host", { field: "host", type: { kind: "host" } }],
  ["port", { field: "port", type: { kind: "integer", min: 0, max: 65_535 } }],
  ["noDelay", { field: "noDelay", type: { kind: "boolean" } }],
  ["keepAliveTime", { field: "keepAliveSeconds", type: { kind: "duration", unit: "s", min: 0, max: 32_767 } }],
  ["reusePort", { field: "reusePort", type: { kind: "boolean" } }],
]);

const DEFAULT_PORT = 1883;

/** What entries that leave something out get. */
export type ListenerDefaults = Pick<ListenerSettings, "host" | "noDelay" | "keepAliveSeconds" | "reusePort">;

/** Why a type of listener is refused; undefined when it is built. */
export function listenerNotYet(type: string): string | undefined {
  return OPTION_OF_TYPE.get(type)?.notYet;
}

/** The entries of `--tcp-port` and `--addr`; undefined when neither was given. */
export function listenersOfOptions(values: ReadonlyMap<string, Assignment[]>): ListenerEntry[] | undefined {
  const entries: ListenerEntry[] = [];
  for (const { value, origin } of values.get("tcp-port") ?? []) {
    if (typeof value === "number") entries.push({ origin, type: "tcp", port: value });
  }
  for (const { value, origin } of values.get("addr") ?? []) {
    if (value === null || typeof value !== "object") continue;
    entries.push({ origin, type: "tcp", port: value.port, ...(value.host === undefined ? {} : { host: value.host }) });
  }
  return entries.length === 0 ? undefined : entries;
}

/** Fills in what the entries leave out. Problems: types not built yet, names and addresses given twice. */
export function completeListeners(
  entries: readonly ListenerEntry[] | undefined,
  defaults: ListenerDefaults,
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
    const { origin, type: _type, ...given } = entry;
    const listener: ListenerSettings = { name: "", port: DEFAULT_PORT, ...defaults, ...given, type: "tcp" };
    if (entry.name === undefined) listener.name = freeName("tcp", taken);
    const other = complete.find(({ host, port }) => port !== 0 && port === listener.port && host === listener.host);
    if (other !== undefined && !(other.reusePort && listener.reusePort)) {
      problems.push(
        origin.problem("error", `Two listeners have the host ${listener.host} and the port ${listener.port}`),
      );
    }
    complete.push(listener);
  }
  return complete;
}

function freeName(type: string, taken: Set<string>): string {
  let name = type;
  for (let number = 2; taken.has(name); number++) name = `${type}-${number}`;
  taken.add(name);
  return name;
}
