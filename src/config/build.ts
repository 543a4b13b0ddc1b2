import { join, resolve } from "node:path";
import { findOption, OPTIONS, type Option } from "../cli/options.ts";
import { defaultLimits, type Limits } from "../core/limits.ts";
import { type BrokerOptions, defaultOptions } from "../core/options.ts";
import type { LogLevel } from "../core/ports.ts";
import { formatPlaced, type Problem } from "../text/problem.ts";
import { isTopicName } from "../topic/name.ts";
import { DEFAULT_FILTER, filterMistake, inOrder } from "./durability.ts";
import type { Files } from "./files.ts";
import { chosenSocket, type GivenSocket, givenSockets } from "./given-sockets.ts";
import { type Assignment, DURABILITY_KEY, type Layer, layerKey, type Origin, wordOrigin } from "./layer.ts";
import { PUBLIC_LIMITS } from "./limit-names.ts";
import { completeListeners, type ListenerEntry } from "./listener.ts";
import { mountPointOf, objectionToGroup, predefinedTopics, serialLines } from "./mqtt-sn.ts";
import type {
  Anonymous,
  AuthSettings,
  ClientCert,
  ListenerSettings,
  LogFormat,
  MqttSnSettings,
  Settings,
  StoreSettings,
  TlsVersion,
} from "./settings.ts";
import type { TlsDefaults } from "./tls.ts";
import { upstreamSettings } from "./upstream.ts";
import type { Value } from "./value.ts";

const MDNS_NAME_BYTES_MAX = 63;
const DEFAULT_STATE_PREFIX = "$SYS/broker/clients";

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
    options: optionsOf(pick, problems),
    limits: limitsOf(pick),
    listeners,
    tlsReissue: reissueOf(pick, listeners, problems),
    workers: { threads: pick.value("workers.threads", 0), stackBytes: pick.optional("workers.stackSize") },
    mqttSn: mqttSnOf(pick, files, problems),
    mdns: {
      provider: pick.value<Settings["mdns"]["provider"]>("mdns.provider", "auto"),
      name: mdnsNameOf(pick, problems),
    },
    serial: serialLines(pick.assignments("serial"), problems),
    auth: authOf(pick, context),
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

/** Values by key. The type parameter states what the option's type has ensured. */
class Picker {
  private readonly values: ReadonlyMap<string, Assignment[]>;
  private readonly workingDirectory: string;

  constructor(values: ReadonlyMap<string, Assignment[]>, workingDirectory: string) {
    this.values = values;
    this.workingDirectory = workingDirectory;
  }

  value<T extends Value | undefined>(key: string, otherwise: T): T {
    return (this.values.get(key)?.at(-1)?.value as T | null | undefined) ?? otherwise;
  }

  optional(key: string): number | undefined {
    return (this.values.get(key)?.at(-1)?.value as number | null | undefined) ?? undefined;
  }

  /** Where the value came from; only for keys that have one. */
  origin(key: string): Origin {
    return this.values.get(key)!.at(-1)!.origin;
  }

  /** All values whose key begins with `prefix`, by the rest of it. */
  within<T extends Value>(prefix: string): [name: string, value: T][] {
    return [...this.values].flatMap(([key, assignments]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), assignments.at(-1)!.value as T]] : [],
    );
  }

  path(key: string): string | undefined {
    const assignment = this.values.get(key)?.at(-1);
    return assignment === undefined ? undefined : this.resolve(assignment);
  }

  /** Absolute paths of files, each of which must exist. */
  paths(key: string, files: Files, problems: Problem[]): string[] {
    return (this.values.get(key) ?? []).map((assignment) => {
      const path = this.resolve(assignment);
      try {
        if (files.read(path) === undefined) problems.push(assignment.origin.problem("error", `${path} does not exist`));
      } catch (error) {
        problems.push(assignment.origin.problem("error", `Cannot be read: ${(error as Error).message}`));
      }
      return path;
    });
  }

  /** All values of a repeatable option that takes texts. */
  texts(key: string): string[] {
    return (this.values.get(key) ?? []).map(({ value }) => String(value));
  }

  assignments(key: string): readonly Assignment[] {
    return this.values.get(key) ?? [];
  }

  /** Absolute paths of files that need not exist yet. */
  filesOf(key: string): string[] {
    return (this.values.get(key) ?? []).map((assignment) => this.resolve(assignment));
  }

  private resolve({ value, directory }: Assignment): string {
    return resolve(this.workingDirectory, directory ?? "", String(value));
  }
}

function optionsOf(pick: Picker, problems: Problem[]): BrokerOptions {
  const otherwise = defaultOptions();
  return {
    retain: pick.value("mqtt.retain", otherwise.retain),
    sharedSubscriptions: pick.value("mqtt.sharedSubscriptions", otherwise.sharedSubscriptions),
    subscriptionIdentifiers: pick.value("mqtt.subscriptionIdentifiers", otherwise.subscriptionIdentifiers),
    wildcards: pick.value("mqtt.wildcards", otherwise.wildcards),
    maximumQos: pick.value("mqtt.maximumQos", otherwise.maximumQos),
    receiveMaximum: pick.value("mqtt.receiveMaximum", otherwise.receiveMaximum),
    maximumPacketSize: pick.value("mqtt.maximumPacketSize", otherwise.maximumPacketSize),
    topicAliasMaximum: pick.value("mqtt.topicAliasMaximum", otherwise.topicAliasMaximum),
    autoTopicAlias: pick.value("mqtt.autoTopicAlias", otherwise.autoTopicAlias),
    serverKeepAlive: pick.optional("mqtt.serverKeepAlive"),
    keepAliveMax: pick.optional("mqtt.keepAliveMax"),
    keepAliveDefault: pick.optional("mqtt.keepAliveDefault"),
    sessionExpiry: pick.optional("mqtt.sessionExpiry"),
    sessionExpiryMax: pick.value("mqtt.sessionExpiryMax", otherwise.sessionExpiryMax),
    messageExpiryMax: pick.optional("mqtt.messageExpiryMax"),
    minimumProtocolVersion: pick.value("mqtt.minimumProtocolVersion", otherwise.minimumProtocolVersion),
    responseInformation: pick.value("mqtt.responseInformation", otherwise.responseInformation),
    compat: compatOf(pick, otherwise.compat),
    sessionKey: pick.value("sessions.key", otherwise.sessionKey),
    queue: {
      overflow: pick.value("queue.overflow", otherwise.queue.overflow),
      qos0: pick.value("queue.qos0", otherwise.queue.qos0),
      keepLast: keepLastOf(pick, problems),
    },
    sys: {
      enabled: pick.value("sys.enabled", otherwise.sys.enabled),
      intervalMs: pick.value("sys.interval", otherwise.sys.intervalMs),
      restore: pick.value("sys.restore", otherwise.sys.restore),
    },
    logPayloadBytes: pick.value("log.payloadBytes", otherwise.logPayloadBytes),
    durability: durabilityOf(pick, otherwise.durability),
  };
}

function statePrefixOf(pick: Picker, problems: Problem[]): string {
  const prefix = pick.value("mqttSn.statePrefix", DEFAULT_STATE_PREFIX);
  if (isTopicName(prefix) && !prefix.endsWith("/")) return prefix;
  const message = `${JSON.stringify(prefix)} is no beginning of a topic: it needs a name without + and #, and no / at its end`;
  problems.push(pick.origin("mqttSn.statePrefix").problem("error", message));
  return DEFAULT_STATE_PREFIX;
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

function mqttSnOf(pick: Picker, files: Files, problems: Problem[]): MqttSnSettings {
  const group = pick.value<string | undefined>("mqttSn.group", undefined);
  const objection = group === undefined ? undefined : objectionToGroup(group);
  if (objection !== undefined) problems.push(pick.origin("mqttSn.group").problem("error", objection));
  const port = pick.optional("mqttSn.port");
  if (group !== undefined && port === undefined) {
    problems.push(pick.origin("mqttSn.group").problem("warning", "not used, since there is no --mqtt-sn-port"));
  }
  return {
    port,
    host: pick.value("bind", "::"),
    group,
    gatewayId: pick.value("mqttSn.gatewayId", 1),
    advertiseSeconds: pick.value("mqttSn.advertise", 900),
    retryMs: pick.value("mqttSn.retryInterval", 10_000),
    retries: pick.value("mqttSn.retryCount", 3),
    ...predefinedTopics(pick.assignments("mqttSn.topics"), problems),
    cleanSessionSeconds: pick.value("mqttSn.cleanSessionExpiry", 86_400),
    statePrefix: statePrefixOf(pick, problems),
    ...upstreamOf(pick, files, problems),
  };
}

function upstreamOf(pick: Picker, files: Files, problems: Problem[]): Pick<MqttSnSettings, "mountPoint" | "upstream"> {
  const given = (name: string): Assignment | undefined => pick.assignments(`mqttSn.upstream.${name}`).at(-1);
  const pathOf = (name: string): string | undefined => pick.paths(`mqttSn.upstream.${name}`, files, problems).at(-1);
  const upstream = upstreamSettings(given, pathOf, problems);
  const mountPoint = mountPointOf(pick.assignments("mqttSn.mountPoint").at(-1), upstream !== undefined, problems);
  return { mountPoint, upstream };
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

function keepLastOf(pick: Picker, problems: Problem[]): string[] {
  const topicFilters = new Set<string>();
  for (const { value, origin } of pick.assignments("queue.keepLast")) {
    const topicFilter = String(value);
    const mistake = filterMistake(topicFilter);
    if (mistake === undefined) topicFilters.add(topicFilter);
    else problems.push(origin.problem("error", mistake.message, mistake.hint));
  }
  return [...topicFilters];
}

function durabilityOf(pick: Picker, otherwise: BrokerOptions["durability"]): BrokerOptions["durability"] {
  const policies = new Map(pick.within<number>(`${DURABILITY_KEY}.`));
  const delayMs = policies.get(DEFAULT_FILTER) ?? otherwise.delayMs;
  policies.delete(DEFAULT_FILTER);
  return { delayMs, topics: inOrder([...policies].map(([topicFilter, delayMs]) => ({ topicFilter, delayMs }))) };
}

function compatOf(pick: Picker, otherwise: BrokerOptions["compat"]): BrokerOptions["compat"] {
  return {
    obscureNotAuthorized: pick.value("mqtt.compat.obscureNotAuthorized", otherwise.obscureNotAuthorized),
    passiveClientDisconnect: pick.value("mqtt.compat.passiveClientDisconnect", otherwise.passiveClientDisconnect),
    alwaysReturnResponseInfo: pick.value("mqtt.compat.alwaysReturnResponseInfo", otherwise.alwaysReturnResponseInfo),
    noInheritedPropertiesOnAck: pick.value(
      "mqtt.compat.noInheritedPropertiesOnAck",
      otherwise.noInheritedPropertiesOnAck,
    ),
  };
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

/** A file that was asked for must be there, or its rules would be missing without a word. */
function authOf(pick: Picker, { files, authPlaces, problems }: BuildContext): AuthSettings {
  const anonymous = anonymousOf(pick.value<boolean | string | undefined>("auth.allowAnonymous", undefined));
  const named = pick.path("auth.file");
  const places = named === undefined ? authPlaces.map((place) => resolve(files.workingDirectory, place)) : [named];
  const candidates = [...new Set(places)];
  const file = candidates.find((path) => exists(path, files, problems));
  if (named !== undefined && file === undefined) {
    const hint = `mqtt-broker passwd add NAME --auth-file ${named} makes one`;
    problems.push(pick.origin("auth.file").problem("error", `${named} does not exist`, hint));
  }
  if (anonymous === "all") warnAnonymous(pick.origin("auth.allowAnonymous"), file !== undefined, problems);
  const hashWorkers = pick.value("auth.hashWorkers", 2);
  return { file, named: named !== undefined, candidates, anonymous, hashWorkers };
}

/** What cannot be told is an error, and counts as there: to go on without its rules could let in anybody. */
function exists(path: string, files: Files, problems: Problem[]): boolean {
  try {
    return files.exists(path);
  } catch (error) {
    const message = `Cannot be read: ${(error as Error).message}`;
    problems.push({ severity: "error", file: path, line: 0, column: 0, message });
    return true;
  }
}

function anonymousOf(value: boolean | string | undefined): Anonymous | undefined {
  if (value === undefined) return undefined;
  return value === true ? "all" : value === false ? "none" : "local";
}

function warnAnonymous(origin: Origin, hasRules: boolean, problems: Problem[]): void {
  const rights = hasRules
    ? "connect without a password, and do what the rules allow to anonymous"
    : "connect, publish and subscribe";
  problems.push(origin.problem("warning", `everybody who reaches a listener may ${rights}`));
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
