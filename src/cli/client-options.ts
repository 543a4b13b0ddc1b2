import { randomBytes } from "node:crypto";
import type { ProtocolVersion, Qos } from "../codec/constants.ts";
import { suggest } from "../text/suggest.ts";
import { hasWildcard, isTopicFilter, isTopicName } from "../topic/name.ts";
import { UsageError } from "./client-io.ts";
import { CLIENT_OPTIONS, type ClientCommand, type ClientOption } from "./client-option-table.ts";
import { type ClientProperties, noProperties } from "./client-properties.ts";
import type { TlsSettings } from "./client-stream.ts";
import type { compileFormat } from "./message-format.ts";
import type { ConnectSettings } from "./mqtt-client.ts";

/** Where the payload of pub and rr comes from. */
export type PayloadSource =
  | { from: "text"; text: string }
  | { from: "file"; path: string }
  | { from: "stdin" }
  | { from: "stdin-lines" }
  | { from: "nothing" };

/** What the command line says, before the parts are checked against each other. */
export interface ClientOptions {
  host?: string;
  port?: number;
  unixPath?: string;
  webSocketUrl?: string;
  proxy?: string;
  bindAddress?: string;
  noDelay: boolean;
  tls?: TlsSettings;
  pskKey?: Buffer;
  pskIdentity?: string;
  version?: ProtocolVersion;
  clientId?: string;
  clientIdPrefix?: string;
  clean: boolean;
  sessionExpiry?: number;
  keepAliveSeconds: number;
  userName?: string;
  password?: string;
  willTopic?: string;
  willPayload?: string;
  willQos?: Qos;
  willRetain: boolean;
  properties: ClientProperties;
  /** True after the first -D, which makes the client one of 5.0. */
  propertiesGiven: boolean;
  debug: boolean;
  quiet: boolean;
  help: boolean;
  topics: string[];
  qos: Qos;
  retain: boolean;
  source?: PayloadSource;
  repeat: number;
  repeatDelayMs: number;
  inflightMax: number;
  responseTopic?: string;
  filtersOut: string[];
  unsubscribe: string[];
  countMax?: number;
  exitAfterSuback: boolean;
  format?: ReturnType<typeof compileFormat>;
  pretty: boolean;
  verbose: boolean;
  lineEnd: boolean;
  skipRetained: boolean;
  retainedOnly: boolean;
  removeRetained: boolean;
  retainAsPublished: boolean;
  /** Percentage of messages that are printed. */
  randomFilter: number;
  timeoutSeconds?: number;
}

function initialOptions(): ClientOptions {
  return {
    noDelay: false,
    clean: true,
    keepAliveSeconds: 60,
    willRetain: false,
    properties: noProperties(),
    propertiesGiven: false,
    debug: false,
    quiet: false,
    help: false,
    topics: [],
    qos: 0,
    retain: false,
    repeat: 1,
    repeatDelayMs: 0,
    inflightMax: 20,
    filtersOut: [],
    unsubscribe: [],
    exitAfterSuback: false,
    pretty: false,
    verbose: false,
    lineEnd: true,
    skipRetained: false,
    retainedOnly: false,
    removeRetained: false,
    retainAsPublished: false,
    randomFilter: 100,
  };
}

/**
 * Reads the command line of pub, sub or rr, in the form of mosquitto's clients; `--name=VALUE` is taken too.
 * Throws a UsageError that names the option. With `--help` nothing else is checked.
 */
export function parseClientOptions(command: ClientCommand, argv: readonly string[]): ClientOptions {
  const options = initialOptions();
  const known = CLIENT_OPTIONS.filter((option) => option.commands.includes(command));
  for (let at = 0; at < argv.length; ) {
    const word = argv[at]!;
    const [name, joined] = splitLong(word);
    const option = known.find(({ names }) => names.includes(name));
    if (option === undefined) throw new UsageError(unknownOption(word, command, known));
    const rest = joined === undefined ? argv.slice(at + 1) : [joined];
    at += joined === undefined ? 1 : 0;
    if (option.takes === undefined && joined !== undefined) throw new UsageError(`Option ${name} takes no value`);
    if (option.takes !== undefined && rest.length === 0) {
      throw new UsageError(`Option ${name} needs a value: ${name} ${option.takes}`);
    }
    const taken = option.apply(options, rest, name);
    at += joined === undefined ? (taken ?? (option.takes === undefined ? 0 : 1)) : 1;
    if (options.help) return options;
  }
  checkTogether(command, options);
  return options;
}

function splitLong(word: string): [name: string, joined: string | undefined] {
  const equals = word.startsWith("--") ? word.indexOf("=") : -1;
  return equals === -1 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function unknownOption(word: string, command: ClientCommand, known: readonly ClientOption[]): string {
  const elsewhere = CLIENT_OPTIONS.find(({ names }) => names.includes(word));
  if (elsewhere !== undefined)
    return `Option ${word} belongs to ${elsewhere.commands.join(" and ")}, not to ${command}`;
  if (!word.startsWith("-")) return `Unexpected argument "${word}": topics are given with -t`;
  const nearest = suggest(
    word,
    known.flatMap(({ names }) => names.filter((name) => name.startsWith("--"))),
  );
  return `Unknown option ${word}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
}

function checkTogether(command: ClientCommand, options: ClientOptions): void {
  const { topics } = options;
  if (options.clientId !== undefined && options.clientIdPrefix !== undefined) {
    throw new UsageError("-i and -I cannot be combined");
  }
  if (!options.clean && options.clientId === undefined && options.clientIdPrefix === undefined) {
    throw new UsageError("-c needs a client identifier to find the session by: give -i");
  }
  if (options.willTopic === undefined) {
    if (options.willPayload !== undefined || options.willQos !== undefined || options.willRetain) {
      throw new UsageError("--will-payload, --will-qos and --will-retain need --will-topic");
    }
  } else if (!isTopicName(options.willTopic)) throw new UsageError(badName("--will-topic", options.willTopic));
  if ((options.pskKey === undefined) !== (options.pskIdentity === undefined)) {
    throw new UsageError("--psk and --psk-identity belong together");
  }
  if ((options.tls?.certFile === undefined) !== (options.tls?.keyFile === undefined)) {
    throw new UsageError("--cert and --key belong together");
  }
  if (command === "sub") checkSub(options);
  else checkPublishing(command, options, topics);
}

function checkSub(options: ClientOptions): void {
  if (options.topics.length === 0) throw new UsageError("No topic to subscribe to: give -t");
  for (const [name, filters] of [
    ["-t", options.topics],
    ["-T", options.filtersOut],
    ["-U", options.unsubscribe],
  ] as const) {
    const bad = filters.find((filter) => !isTopicFilter(filter));
    if (bad !== undefined) throw new UsageError(`${name}: "${bad}" is no Topic Filter; look at its wildcards`);
  }
  if (options.skipRetained && options.retainedOnly)
    throw new UsageError("-R and --retained-only leave nothing to print");
}

function checkPublishing(command: ClientCommand, options: ClientOptions, topics: readonly string[]): void {
  const { responseTopic, source } = options;
  if (topics.length === 0) throw new UsageError("No topic to publish to: give -t");
  if (topics.length > 1) throw new UsageError("-t can be given once only");
  const [topicName] = topics;
  if (topicName === undefined || !isTopicName(topicName)) throw new UsageError(badName("-t", topicName ?? ""));
  if (source === undefined) throw new UsageError("No message to publish: give -m, -f, -l, -n or -s");
  if (command === "pub") {
    if (options.repeat > 1 && source.from === "stdin-lines")
      throw new UsageError("--repeat cannot be combined with -l");
    return;
  }
  if (responseTopic === undefined) throw new UsageError("No topic for the response: give -e");
  if (!isTopicName(responseTopic)) throw new UsageError(badName("-e", responseTopic));
}

function badName(option: string, topicName: string): string {
  const reason = hasWildcard(topicName) ? "has a wildcard, so nothing can be published to it" : "is no Topic Name";
  return `${option}: "${topicName}" ${reason}`;
}

/** What openClient needs; `defaultVersion` holds where neither -V nor -D was given. */
export function connectSettings(
  options: ClientOptions,
  defaultVersion: ProtocolVersion,
  reconnectMs: number,
): ConnectSettings {
  const protocolVersion = options.propertiesGiven ? 5 : (options.version ?? defaultVersion);
  const tls = tlsSettings(options);
  const settings: ConnectSettings = {
    host: options.host ?? "localhost",
    port: options.port ?? (tls === undefined ? 1883 : 8883),
    noDelay: options.noDelay,
    protocolVersion,
    clientId: chosenClientId(options, protocolVersion),
    clean: options.clean,
    keepAliveSeconds: options.keepAliveSeconds,
    properties: withSessionExpiry(options),
    reconnectMs,
  };
  if (tls !== undefined) settings.tls = tls;
  for (const name of ["unixPath", "webSocketUrl", "proxy", "bindAddress", "userName"] as const) {
    if (options[name] !== undefined) settings[name] = options[name];
  }
  // 3.1.1 [MQTT-3.1.2-22]: no password without a user name.
  if (options.password !== undefined && (protocolVersion === 5 || options.userName !== undefined)) {
    settings.password = options.password;
  }
  if (options.willTopic !== undefined) {
    settings.will = {
      topicName: options.willTopic,
      payload: Buffer.from(options.willPayload ?? ""),
      qos: options.willQos ?? 0,
      retain: options.willRetain,
      properties: options.properties.will,
    };
  }
  return settings;
}

/** Port 8883 alone means TLS too, trusting what the system trusts. */
function tlsSettings(options: ClientOptions): TlsSettings | undefined {
  const { tls, pskKey, pskIdentity } = options;
  if (pskKey !== undefined && pskIdentity !== undefined) return { ...tls, psk: { identity: pskIdentity, key: pskKey } };
  if (tls !== undefined) return tls;
  return options.port === 8883 && options.unixPath === undefined ? { osCertificates: true } : undefined;
}

function chosenClientId({ clientId, clientIdPrefix }: ClientOptions, version: ProtocolVersion): string {
  if (clientIdPrefix !== undefined) return `${clientIdPrefix}${process.pid}`;
  // 3.1 has no empty client identifier; from 3.1.1 on the Server chooses one.
  return clientId ?? (version === 3 ? `mqtt-broker-${randomBytes(5).toString("hex")}` : "");
}

const NEVER_EXPIRES = 0xffff_ffff;

function withSessionExpiry(options: ClientOptions): ClientProperties {
  const expiry = options.sessionExpiry ?? (options.clean ? undefined : NEVER_EXPIRES);
  if (expiry === undefined) return options.properties;
  return { ...options.properties, connect: { ...options.properties.connect, sessionExpiryInterval: expiry } };
}
