import type { ProtocolVersion, Qos } from "../codec/constants.ts";
import { UsageError } from "./client-io.ts";
import type { ClientOptions, PayloadSource } from "./client-options.ts";
import { addProperty } from "./client-properties.ts";
import type { TlsSettings } from "./client-stream.ts";
import { compileFormat } from "./message-format.ts";

export type ClientCommand = "pub" | "sub" | "rr";

/** One option: what the parser does with it, and its line in --help. */
export interface ClientOption {
  names: readonly string[];
  /** Name of the value for --help; undefined when the option takes none. */
  takes?: string;
  commands: readonly ClientCommand[];
  help: string;
  /** `rest` begins with the value. Returns how many words it took where that isn't one. Throws a UsageError. */
  apply(options: ClientOptions, rest: readonly string[], name: string): number | undefined;
}

const ALL: readonly ClientCommand[] = ["pub", "sub", "rr"];
const PUBLISHING: readonly ClientCommand[] = ["pub", "rr"];
const PRINTING: readonly ClientCommand[] = ["sub", "rr"];

function flag(
  names: string,
  commands: readonly ClientCommand[],
  help: string,
  set: (options: ClientOptions) => void,
): ClientOption {
  return {
    names: names.split(" "),
    commands,
    help,
    apply(options) {
      set(options);
      return undefined;
    },
  };
}

function value(
  names: string,
  takes: string,
  commands: readonly ClientCommand[],
  help: string,
  set: (options: ClientOptions, text: string, name: string) => void,
): ClientOption {
  return {
    names: names.split(" "),
    takes,
    commands,
    help,
    apply(options, rest, name) {
      set(options, rest[0]!, name);
      return undefined;
    },
  };
}

function refused(names: string, takes: string | undefined, reason: string): ClientOption {
  return {
    names: names.split(" "),
    ...(takes === undefined ? {} : { takes }),
    commands: ALL,
    help: `Not supported: ${reason}.`,
    apply(_, __, name) {
      throw new UsageError(`${name} is not supported: ${reason}`);
    },
  };
}

const NO_ENGINES = "Node.js has no OpenSSL engines";

export const CLIENT_OPTIONS: readonly ClientOption[] = [
  value("-h --host", "HOST", ALL, "Host of the broker (localhost).", (o, text) => {
    o.host = text;
  }),
  value("-p --port", "PORT", ALL, "Port (1883, with TLS 8883).", (o, text, name) => {
    o.port = integer(name, text, 1, 65_535);
  }),
  value(
    "-L --url",
    "URL",
    ALL,
    "mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], or ws[s]://HOST[:PORT]/PATH.",
    setUrl,
  ),
  value("--unix", "PATH", ALL, "Unix socket of the broker.", (o, text) => {
    o.unixPath = text;
  }),
  value("-A", "ADDRESS", ALL, "Local address to connect from.", (o, text) => {
    o.bindAddress = text;
  }),
  value("--proxy", "URL", ALL, "SOCKS5 proxy: socks5h://[USER[:PASSWORD]@]HOST[:PORT].", (o, text) => {
    if (!text.startsWith("socks5h://")) throw new UsageError(`--proxy must begin with socks5h://, not "${text}"`);
    o.proxy = text;
  }),
  flag("--nodelay", ALL, "Switch off Nagle's algorithm.", (o) => {
    o.noDelay = true;
  }),
  refused("-S", undefined, "there is no SRV lookup; give the host with -h"),

  value("-V --protocol-version", "VERSION", ALL, "31, 311 or 5, or mqttv31 … (311; rr: 5).", setVersion),
  value("-i --id", "ID", ALL, "Client identifier (the broker chooses one).", (o, text) => {
    if (text === "") throw new UsageError("-i: the client identifier is empty; leave -i out to let the broker choose");
    o.clientId = text;
  }),
  value("-I --id-prefix", "PREFIX", ALL, "Client identifier of this and the process id.", (o, text) => {
    o.clientIdPrefix = text;
  }),
  value("-u --username", "NAME", ALL, "User Name.", (o, text) => {
    o.userName = text;
  }),
  value("-P --pw", "PASSWORD", ALL, "Password.", (o, text) => {
    o.password = text;
  }),
  flag("-c --disable-clean-session", ALL, "Keep the session of -i on the broker.", (o) => {
    o.clean = false;
  }),
  value("-x", "SECONDS", ALL, "Session Expiry Interval, 5.0; -1 or ∞ never ends.", (o, text, name) => {
    o.sessionExpiry = text === "-1" || text === "∞" ? 0xffff_ffff : integer(name, text, 0, 0xffff_ffff);
  }),
  value("-k --keepalive", "SECONDS", ALL, "Keep Alive, 5 to 65535 (60).", (o, text, name) => {
    o.keepAliveSeconds = integer(name, text, 5, 65_535);
  }),
  {
    names: ["-D", "--property"],
    takes: "PACKET PROPERTY VALUE",
    commands: ALL,
    help: "A property of connect, publish, subscribe, unsubscribe, disconnect or will; 5.0.",
    apply(options, rest) {
      options.propertiesGiven = true;
      return addProperty(options.properties, rest);
    },
  },
  value("--will-topic", "TOPIC", ALL, "Topic of the Will Message.", (o, text) => {
    o.willTopic = text;
  }),
  value("--will-payload", "TEXT", ALL, "Payload of the Will Message.", (o, text) => {
    o.willPayload = text;
  }),
  value("--will-qos", "QOS", ALL, "QoS of the Will Message (0).", (o, text, name) => {
    o.willQos = qos(name, text);
  }),
  flag("--will-retain", ALL, "Retain the Will Message.", (o) => {
    o.willRetain = true;
  }),

  value("-t --topic", "TOPIC", ALL, "Topic; sub takes several Topic Filters.", (o, text) => {
    o.topics.push(text);
  }),
  value("-q --qos", "QOS", ALL, "QoS, 0 to 2 (0).", (o, text, name) => {
    o.qos = qos(name, text);
  }),
  value("-m --message", "TEXT", PUBLISHING, "Send this text.", (o, text) => setSource(o, { from: "text", text })),
  value("-f --file", "FILE", PUBLISHING, "Send the contents of a file.", (o, path) =>
    setSource(o, { from: "file", path }),
  ),
  flag("-l --stdin-line", PUBLISHING, "Send each line of standard input.", (o) =>
    setSource(o, { from: "stdin-lines" }),
  ),
  flag("-n --null-message", PUBLISHING, "Send an empty message.", (o) => setSource(o, { from: "nothing" })),
  flag("-s --stdin-file", PUBLISHING, "Send all of standard input as one message.", (o) =>
    setSource(o, { from: "stdin" }),
  ),
  flag("-r --retain", PUBLISHING, "Set RETAIN.", (o) => {
    o.retain = true;
  }),
  value("-M", "COUNT", ["pub"], "Unacknowledged messages at most, with QoS 1 and 2 (20).", (o, text, name) => {
    o.inflightMax = integer(name, text, 1, 65_535);
  }),
  value("--repeat", "COUNT", ["pub"], "Send the message so often (1).", (o, text, name) => {
    o.repeat = integer(name, text, 1, Number.MAX_SAFE_INTEGER);
  }),
  value("--repeat-delay", "SECONDS", ["pub"], "Wait between two sends (0).", (o, text, name) => {
    o.repeatDelayMs = decimal(name, text, 0, 1_000_000) * 1000;
  }),
  value("-e", "TOPIC", ["rr"], "Topic of the response.", (o, text) => {
    o.responseTopic = text;
  }),

  value("-C", "COUNT", ["sub"], "Exit after so many messages.", (o, text, name) => {
    o.countMax = integer(name, text, 1, Number.MAX_SAFE_INTEGER);
  }),
  flag("-E", ["sub"], "Exit when the broker has answered the subscriptions.", (o) => {
    o.exitAfterSuback = true;
  }),
  value("-W", "SECONDS", PRINTING, "Exit with code 27 after so long.", (o, text, name) => {
    o.timeoutSeconds = integer(name, text, 1, 2_000_000);
  }),
  value("-T --filter-out", "FILTER", ["sub"], "Leave out what this Topic Filter matches; repeatable.", (o, text) => {
    o.filtersOut.push(text);
  }),
  value("-U --unsubscribe", "FILTER", ["sub"], "Unsubscribe from this, after subscribing; repeatable.", (o, text) => {
    o.unsubscribe.push(text);
  }),
  flag("-R", PRINTING, "Leave out retained messages.", (o) => {
    o.skipRetained = true;
  }),
  flag("--retained-only", ["sub"], "Print retained messages, exit at the first other one.", (o) => {
    o.retainedOnly = true;
  }),
  flag("--remove-retained", ["sub"], "Clear the retained messages that come.", (o) => {
    o.removeRetained = true;
  }),
  flag("--retain-as-published", ["sub"], "Keep RETAIN as the publisher set it, 5.0.", (o) => {
    o.retainAsPublished = true;
  }),
  value("--random-filter", "PERCENT", ["sub"], "Print so many of a hundred messages, 0.1 to 100.", (o, text, name) => {
    o.randomFilter = decimal(name, text, 0.1, 100);
  }),
  value("-F", "FORMAT", PRINTING, "Print in this format; see the sequences below.", (o, text) => {
    o.format = compileFormat(text);
  }),
  flag("--pretty", PRINTING, "Print %j and %J over several lines.", (o) => {
    o.pretty = true;
  }),
  flag("-v --verbose", PRINTING, "Print topic and payload.", (o) => {
    o.verbose = true;
  }),
  flag("-N", PRINTING, "Print no newline after a message.", (o) => {
    o.lineEnd = false;
  }),

  value("--cafile", "FILE", ALL, "Trusted certificates, PEM; switches TLS on.", tls("caFile")),
  value("--capath", "FOLDER", ALL, "Folder of trusted certificates, PEM; switches TLS on.", tls("caPath")),
  value("--cert", "FILE", ALL, "Certificate of the client, PEM.", tls("certFile")),
  value("--key", "FILE", ALL, "Key of the client, PEM.", tls("keyFile")),
  value("--ciphers", "LIST", ALL, "OpenSSL's list of ciphers.", tls("ciphers")),
  value("--tls-alpn", "PROTOCOL", ALL, "Protocol to ask for by ALPN.", tls("alpn")),
  value("--tls-version", "VERSION", ALL, "tlsv1.3, tlsv1.2 or tlsv1.1.", setTlsVersion),
  flag("--tls-use-os-certs", ALL, "Trust what the system trusts; switches TLS on.", (o) => {
    o.tls = { ...o.tls, osCertificates: true };
  }),
  flag("--insecure", ALL, "Do not compare the host with the certificate.", (o) => {
    o.tls = { ...o.tls, insecure: true };
  }),
  value("--psk", "HEX", ALL, "Pre-shared key, up to TLS 1.2; switches TLS on.", (o, text) => {
    if (!/^([0-9a-fA-F]{2})+$/.test(text)) throw new UsageError("--psk must be an even number of hexadecimal digits");
    o.pskKey = Buffer.from(text, "hex");
  }),
  value("--psk-identity", "NAME", ALL, "Identity of --psk.", (o, text) => {
    o.pskIdentity = text;
  }),
  value("--keyform", "FORM", ALL, "pem.", (_, text) => {
    if (text !== "pem") throw new UsageError(`--keyform ${text} is not supported: ${NO_ENGINES}`);
  }),
  refused("--tls-engine", "ENGINE", NO_ENGINES),
  refused("--tls-engine-kpass-sha1", "HEX", NO_ENGINES),

  flag("-d --debug", ALL, "Print every packet.", (o) => {
    o.debug = true;
  }),
  flag("--quiet", ALL, "Print no errors.", (o) => {
    o.quiet = true;
  }),
  flag("--help", ALL, "Print this text.", (o) => {
    o.help = true;
  }),
];

function integer(name: string, text: string, min: number, max: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) throw new UsageError(`${name} must be ${min} to ${max}, not "${text}"`);
  return number;
}

function decimal(name: string, text: string, min: number, max: number): number {
  const number = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) throw new UsageError(`${name} must be ${min} to ${max}, not "${text}"`);
  return number;
}

function qos(name: string, text: string): Qos {
  if (text !== "0" && text !== "1" && text !== "2") throw new UsageError(`${name} must be 0, 1 or 2, not "${text}"`);
  return Number(text) as Qos;
}

function setSource(options: ClientOptions, source: PayloadSource): void {
  if (options.source !== undefined) throw new UsageError("Only one of -m, -f, -l, -n and -s can be given");
  options.source = source;
}

const VERSIONS: Readonly<Record<string, ProtocolVersion>> = {
  "31": 3,
  "311": 4,
  "5": 5,
  mqttv31: 3,
  mqttv311: 4,
  mqttv5: 5,
};

function setVersion(options: ClientOptions, text: string): void {
  const version = Object.hasOwn(VERSIONS, text) ? VERSIONS[text] : undefined;
  if (version === undefined) throw new UsageError(`-V must be ${Object.keys(VERSIONS).join(", ")}, not "${text}"`);
  options.version = version;
}

function setTlsVersion(options: ClientOptions, text: string): void {
  const version = /^tlsv1\.([123])$/.exec(text)?.[1];
  if (version === undefined) throw new UsageError(`--tls-version must be tlsv1.1, tlsv1.2 or tlsv1.3, not "${text}"`);
  options.tls = { ...options.tls, version: `TLSv1.${version}` as NonNullable<TlsSettings["version"]> };
}

function tls(key: "caFile" | "caPath" | "certFile" | "keyFile" | "ciphers" | "alpn") {
  return (options: ClientOptions, text: string): void => {
    options.tls = { ...options.tls, [key]: text };
  };
}

/** Sets what the URL names. A WebSocket URL's path is the broker's, so it names no topic. */
function setUrl(options: ClientOptions, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "") throw new UsageError(`-L: "${text}" is no URL`);
  const scheme = url.protocol.slice(0, -1);
  if (!["mqtt", "mqtts", "ws", "wss"].includes(scheme)) {
    throw new UsageError(`-L: the URL must begin with mqtt://, mqtts://, ws:// or wss://, not ${scheme}://`);
  }
  if (url.username !== "") options.userName = decodeURIComponent(url.username);
  if (url.password !== "") options.password = decodeURIComponent(url.password);
  if (scheme === "mqtts" || scheme === "wss") options.tls ??= { osCertificates: true };
  if (scheme.startsWith("ws")) {
    url.username = "";
    url.password = "";
    options.webSocketUrl = url.href;
    return;
  }
  options.host = url.hostname.replace(/^\[|\]$/g, "");
  if (url.port !== "") options.port = Number(url.port);
  const topic = /^[a-z]+:\/\/[^/]+\/(.+)$/i.exec(text)?.[1];
  if (topic !== undefined) options.topics.push(topic);
}
