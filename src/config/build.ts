import { join, resolve } from "node:path";
import { findOption, OPTIONS, type Option } from "../cli/options.ts";
import { defaultLimits, type Limits } from "../core/limits.ts";
import type { LogLevel } from "../core/ports.ts";
import { formatPlaced, type Problem } from "../text/problem.ts";
import { authSettings } from "./auth.ts";
import { brokerOptions } from "./broker-options.ts";
import type { Files } from "./files.ts";
import { chosenSocket, type GivenSocket, givenSockets } from "./given-sockets.ts";
import { type Assignment, type Layer, layerKey, wordOrigin } from "./layer.ts";
import { PUBLIC_LIMITS } from "./limit-names.ts";
import { completeListeners, type ListenerEntry } from "./listener.ts";
import { mqttSnSettings, serialLines } from "./mqtt-sn.ts";
import { Picker } from "./picker.ts";
import type { ClientCert, ListenerSettings, LogFormat, Settings, StoreSettings, TlsVersion } from "./settings.ts";
import type { TlsDefaults } from "./tls.ts";

const MDNS_NAME_BYTES_MAX = 63;

export interface BuildContext {
  environment: Readonly<Record<string, string | undefined>>;
  files: Files;
  /** The configuration files that were read. */
  read: string[];
  /** Absolute paths where configuration was looked for. */
  places: string[];
  /** Where a file of users and rules may be when none is named. */
  authPlaces: string[];
  /** Gets what is refused, and what is accepted without effect. */
  problems: Problem[];
}

/** Makes the settings of what all sources together give. Values are of their types already. */
export function buildSettings(merged: Layer, context: BuildContext): Settings {
  const { environment, files, problems } = context;
  const { values } = merged;
  for (const option of OPTIONS) judge(option, values.get(layerKey(option)) ?? [], problems);
  const pick = new Picker(values, files.workingDirectory);
  const listeners = completeListeners(
    merged.listeners ?? givenEntries(environment),
    {
      host: pick.value("bind", "::"),
      noDelay: pick.value("socket.noDelay", true),
      keepAliveSeconds: pick.value("socket.keepAliveTime", 0),
      reusePort: pick.value("socket.reusePort", false),
      tls: tlsDefaultsOf(pick),
      webSocket: {
        path: pick.value<string | undefined>("ws.path", undefined),
        origins: pick.texts("ws.origins"),
        trustedProxies: pick.texts("ws.trustedProxies"),
      },
    },
    files.workingDirectory,
    problems,
  );
  warnOfUnused(givenSockets(environment, process.pid), listeners, problems);
  const plugins = pick.paths("plugins", files, problems);
  const dataDir = pick.path("dataDir") ?? defaultDataDir(context);
  return {
    options: brokerOptions(pick, problems),
    limits: limitsOf(pick),
    listeners,
    tlsReissue: reissueOf(pick, listeners, problems),
    workers: { threads: pick.value("workers.threads", 0), stackBytes: pick.optional("workers.stackSize") },
    mqttSn: mqttSnSettings(pick, files, problems),
    mdns: {
      provider: pick.value<Settings["mdns"]["provider"]>("mdns.provider", "auto"),
      name: mdnsNameOf(pick, problems),
    },
    serial: serialLines(pick.assignments("serial"), problems),
    auth: authSettings(pick, files, context.authPlaces, problems),
    log: { level: pick.value<LogLevel>("log.level", "info"), format: pick.value<LogFormat>("log.format", "auto") },
    plugins,
    dataDir,
    store: storeOf(pick, files, problems),
    files: context.read,
    places: context.places,
    warnings: problems
      .filter(({ severity }) => severity === "warning")
      .map((problem) => formatPlaced(problem, problem.message)),
    sources: sourcesOf(merged),
    given: givenOf(merged),
  };
}

/** Refuses what is not built yet, and warns once of what is accepted without effect. */
function judge(option: Option, assignments: readonly Assignment[], problems: Problem[]): void {
  const { ignored, notYet, notYetValues } = option;
  const refused = assignments.find(({ value }) => notYetValues === undefined || notYetValues.includes(String(value)));
  if (notYet !== undefined && refused !== undefined) problems.push(refused.origin.problem("error", notYet));
  const last = assignments.at(-1);
  if (ignored !== undefined && last !== undefined) {
    problems.push(last.origin.problem("warning", `accepted without effect: ${ignored}`));
  }
}

function mdnsNameOf(pick: Picker, problems: Problem[]): string | undefined {
  const name = pick.value<string | undefined>("mdns.name", undefined);
  const objection = name === undefined ? undefined : objectionToMdnsName(name);
  if (objection === undefined) return name;
  const message = `${JSON.stringify(name)} cannot be a name for mDNS: it ${objection}`;
  problems.push(pick.origin("mdns.name").problem("error", message));
  return undefined;
}

/** RFC 6763, 4.1.1: it is one label of DNS, made for people. */
function objectionToMdnsName(name: string): string | undefined {
  if (name.trim() === "") return "has nothing that people could read";
  if (/\p{Cc}/u.test(name)) return "has a control character";
  const bytes = new TextEncoder().encode(name).length;
  return bytes > MDNS_NAME_BYTES_MAX ? `has ${bytes} bytes in UTF-8, of at most ${MDNS_NAME_BYTES_MAX}` : undefined;
}

/** What systemd handed over is what it is there for, when nothing else was asked for. */
function givenEntries(environment: BuildContext["environment"]): ListenerEntry[] | undefined {
  const entries = givenSockets(environment, process.pid).map(({ fd }) => ({
    origin: wordOrigin("LISTEN_FDS"),
    type: "fd",
    fd,
  }));
  return entries.length === 0 ? undefined : entries;
}

/** Clients of a socket that nobody serves would wait in its queue for ever. */
function warnOfUnused(
  given: readonly GivenSocket[],
  listeners: readonly ListenerSettings[],
  problems: Problem[],
): void {
  const used = new Set(
    listeners.flatMap((listener) => {
      const { fd, fdName } = chosenSocket(listener) ?? {};
      return [fd, fdName];
    }),
  );
  for (const { fd, name } of given) {
    if (used.has(fd) || used.has(name)) continue;
    const todo = `add { type: "fd", fd: ${fd} } to listeners (or type "tls", "ws" or "wss"), or stop its .socket unit`;
    const message = `the socket ${JSON.stringify(name)} (file descriptor ${fd}) was handed over, and no listener uses it, so its clients wait in vain: ${todo}`;
    problems.push(wordOrigin("LISTEN_FDS").problem("warning", message));
  }
}

function tlsDefaultsOf(pick: Picker): TlsDefaults {
  return {
    certs: pick.filesOf("tls.certificates"),
    keys: pick.filesOf("tls.keys"),
    clientCa: pick.path("tls.clientCa"),
    clientCrl: pick.path("tls.clientCrl"),
    clientCert: pick.value<ClientCert | undefined>("tls.clientCert", undefined),
    minVersion: pick.value<TlsVersion>("tls.minimumVersion", "TLSv1.2"),
    ciphers: pick.value<string | undefined>("tls.ciphers", undefined),
    pskFile: pick.path("tls.pskFile"),
    pskHint: pick.value<string | undefined>("tls.pskHint", undefined),
  };
}

function reissueOf(pick: Picker, listeners: readonly ListenerSettings[], problems: Problem[]): boolean {
  const reissue = pick.value("tls.reissue", false);
  if (reissue && !listeners.some((listener) => "tls" in listener)) {
    problems.push(pick.origin("tls.reissue").problem("warning", "not used, since no listener has a certificate"));
  }
  return reissue;
}

function limitsOf(pick: Picker): Limits {
  const limits = defaultLimits();
  for (const [publicName, { name }] of PUBLIC_LIMITS) limits[name] = pick.value(`limits.${publicName}`, limits[name]);
  return limits;
}

/** A module of its own is reason enough to use it; a type that was given all the same wins, and that is said. */
function storeOf(pick: Picker, files: Files, problems: Problem[]): StoreSettings {
  const [module] = pick.paths("store.module", files, problems);
  const type = pick.value<StoreSettings["type"]>("store.type", module === undefined ? "sqlite" : "module");
  if (type === "module" && module === undefined) {
    problems.push(pick.origin("store.type").problem("error", "a store of type module needs --store-module FILE"));
  }
  if (type !== "module" && module !== undefined) {
    problems.push(pick.origin("store.module").problem("warning", `not used, since the type of the store is ${type}`));
  }
  const required = pick.value("store.required", false);
  if (required && type === "memory") {
    const message = "the store is memory, which keeps nothing beyond the end of the process";
    problems.push(pick.origin("store.required").problem("error", message));
  }
  return {
    type,
    module: type === "module" ? module : undefined,
    required,
    clock: pick.value<StoreSettings["clock"]>("store.clock", "auto"),
    dailyBudgetBytes: pick.optional("store.dailyBudget"),
  };
}

function defaultDataDir({ environment, files }: BuildContext): string {
  const fromSystemd = environment.STATE_DIRECTORY?.split(":")[0];
  return fromSystemd ? resolve(fromSystemd) : join(files.workingDirectory, "data");
}

function sourcesOf({ values, listeners }: Layer): Map<string, string> {
  const sources = new Map<string, string>();
  for (const [key, assignments] of values) sources.set(key, assignments.map(({ origin }) => origin.name).join(", "));
  if (listeners !== undefined) sources.set("listeners", listeners.map(({ origin }) => origin.name).join(", "));
  for (const option of ["config", "tcp-port", "addr", "tls-port", "ws-port", "ws-tls-port", "unix-socket"])
    sources.delete(layerKey(findOption(option)!));
  return sources;
}

function givenOf({ values, listeners }: Layer): Map<string, string> {
  const given = new Map<string, string>();
  for (const [key, assignments] of values) given.set(key, JSON.stringify(assignments.map(({ value }) => value)));
  const entries = listeners?.map(({ origin: _, ...entry }) => entry);
  if (entries !== undefined) given.set("listeners", JSON.stringify(entries));
  return given;
}
