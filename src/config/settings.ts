import type { LineSettings } from "../../device/serial/line-spec.ts";
import type { UpstreamSettings } from "../bridge/settings.ts";
import type { Entrance } from "../core/entrance.ts";
import type { Limits } from "../core/limits.ts";
import type { BrokerOptions } from "../core/options.ts";
import type { LogLevel } from "../core/ports.ts";

export type LogFormat = "auto" | "text" | "json";

/** Who may connect without a user name: clients on this machine only, everybody, or nobody. */
export type Anonymous = "local" | "all" | "none";

/** The file of users and rules, and what an option says beside it. Paths are absolute. */
export interface AuthSettings {
  /** The one to be used; undefined: none exists. */
  file: string | undefined;
  /** It was asked for; then it is the only candidate, and it existed. */
  named: boolean;
  /** Where it may be, the most important first. What appears there later is used from then on. */
  candidates: string[];
  /** undefined: as the file says, and without one "local". */
  anonymous: Anonymous | undefined;
  /** Slow hashes that are computed at a time. */
  hashWorkers: number;
}

/** One way in. `name` is unique: the user's, else the type, with a number from the second on: "tcp", "tcp-2". */
export type ListenerSettings = ListenerKind & {
  /** What it asks of its clients; undefined: nothing. */
  entrance?: Entrance;
};

type ListenerKind =
  | TcpListenerSettings
  | TlsListenerSettings
  | WsListenerSettings
  | WssListenerSettings
  | QuicListenerSettings
  | UnixListenerSettings
  | GivenListenerSettings;

/** Those that listen at a port. */
export type PortListenerSettings = Extract<ListenerSettings, { port: number }>;

/** Threads that serve the connections of TLS and WebSocket beside the broker's own. */
export interface WorkerSettings {
  /** 0: none, the broker's own serves them. */
  threads: number;
  /** Of each one's stack; undefined: as Node.js has it. */
  stackBytes: number | undefined;
}

export interface TcpListenerSettings {
  name: string;
  type: "tcp";
  /** An address or host name without brackets; "::" is every address of both families. */
  host: string;
  /** In place of `host`, which is not looked at then: a network interface, on each of whose addresses it listens. */
  interface?: string;
  /** 0 takes a free port. */
  port: number;
  /** Send small packets at once (TCP_NODELAY). */
  noDelay: boolean;
  /** Idle seconds before the operating system probes the peer; 0 sends no probes. */
  keepAliveSeconds: number;
  /** Let several processes listen on the same port (SO_REUSEPORT). */
  reusePort: boolean;
  /** Only these addresses and networks may connect, and say by the PROXY protocol for whom; undefined: everybody may. */
  proxies?: string[];
}

/** Which of the sockets that were open before the process started. */
export interface GivenChoice {
  /** The descriptor's number, from 3 on; undefined when it is named. */
  fd: number | undefined;
  /** What systemd calls it. */
  fdName: string | undefined;
}

/** Of listeners on a port that may have such a socket. */
interface MayBeGiven {
  /** In place of `host`, `interface`, `port` and `reusePort`, which are not looked at then. */
  given?: GivenChoice;
}

/** Plain MQTT over such a socket. */
export interface GivenListenerSettings extends GivenChoice {
  name: string;
  type: "fd";
  noDelay: boolean;
  keepAliveSeconds: number;
  /** As of a TCP listener. */
  proxies?: string[];
}

/** MQTT over TLS. */
export interface TlsListenerSettings extends Omit<TcpListenerSettings, "type">, MayBeGiven {
  type: "tls";
  tls: TlsSettings;
}

/** MQTT over WebSocket. */
export interface WsListenerSettings extends Omit<TcpListenerSettings, "type">, MayBeGiven {
  type: "ws";
  webSocket: WebSocketSettings;
}

/** MQTT over WebSocket over TLS. */
export interface WssListenerSettings extends Omit<TcpListenerSettings, "type">, MayBeGiven {
  type: "wss";
  webSocket: WebSocketSettings;
  tls: TlsSettings;
}

/** MQTT over QUIC, on a port of UDP. */
export interface QuicListenerSettings extends Omit<TcpListenerSettings, "type"> {
  type: "quic";
  /** Without a list of revoked certificates, which QUIC cannot check. */
  tls: TlsSettings;
}

/** Who may open a WebSocket, and where. */
export interface WebSocketSettings {
  /** Path of the URL; undefined: "/mqtt", and "/" too. */
  path: string | undefined;
  /** Origins of the pages that may connect, as browsers send them; empty: all. */
  origins: string[];
  /** Addresses and networks of the proxies whose X-Forwarded-For is believed. */
  trustedProxies: string[];
}

/** What a server's TLS is made of. Paths are absolute. */
export interface TlsSettings {
  /** At least one unless there is a `pskFile`; the first is for clients that name no host, or one that none is for. */
  certificates: { cert: string; key: string }[];
  /** Authorities of the clients' certificates; there unless `clientCert` is "off". */
  clientCa: string | undefined;
  clientCrl: string | undefined;
  /** Whether clients show a certificate; "optional" lets in those without, too. */
  clientCert: ClientCert;
  minVersion: TlsVersion;
  /** OpenSSL's list; undefined: our own. */
  ciphers: string | undefined;
  /** Keys that clients may prove to know in place of certificates. */
  pskFile?: string;
  pskHint?: string;
}

export type ClientCert = "off" | "optional" | "required";
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

export interface UnixListenerSettings {
  name: string;
  type: "unix";
  /** Absolute path of the socket file, or "@name" for a name that Linux keeps without a file. */
  path: string;
  /** Permission bits of the file, 0o660 when undefined: who may write to it may connect. */
  mode: number | undefined;
  /** Name or number; undefined: the user and group of the process. */
  owner: string | undefined;
  group: string | undefined;
}

/** The embedded store's file in the data folder. */
export const STORE_FILE = "mqtt-broker.db";

/** What keeps sessions and messages beyond the end of the process, and how far it is trusted. */
export interface StoreSettings {
  /** `sqlite`: in `dataDir`. `module`: a user's own. */
  type: "memory" | "sqlite" | "module";
  /** Absolute path of the user's own store; undefined unless `type` is "module". */
  module: string | undefined;
  /** The broker does not start without it; else it starts all the same, and says so. */
  required: boolean;
  /**
   * Whether the wall clock is believed at start and stop, since time spent off counts only between two times that are.
   * `auto`: as the system says.
   */
  clock: "auto" | "trusted" | "untrusted";
  /** Bytes a day that may be written before batching is stretched; undefined: any number. */
  dailyBudgetBytes: number | undefined;
}

/** MQTT-SN's gateway: what 1.2 §7.2 has names for. */
export interface MqttSnSettings {
  /** Of UDP; undefined: none. 0 takes a free port. */
  port: number | undefined;
  host: string;
  /** Multicast address. */
  group: string | undefined;
  gatewayId: number;
  advertiseSeconds: number;
  retryMs: number;
  retries: number;
  /** Predefined topics of all clients, by number; and of single clients, by their identifiers. */
  predefined: Map<number, string>;
  predefinedOf: Map<string, Map<number, string>>;
  cleanSessionSeconds: number;
  /** Where the state of each client is retained: below it, by its identifier. */
  statePrefix: string;
  /** Stands before the topics of all clients; undefined: nothing does. */
  mountPoint: string | undefined;
  /** The other broker that they are clients of, all as one; there is a mount point then. */
  upstream: UpstreamSettings | undefined;
}

/** Everything that was configured, whole and in range: what `run` starts the broker with. */
export interface Settings {
  options: BrokerOptions;
  limits: Limits;
  /** At least one. */
  listeners: ListenerSettings[];
  /** Server certificates of our own authority are made anew when this machine's names and addresses change. */
  tlsReissue: boolean;
  workers: WorkerSettings;
  mqttSn: MqttSnSettings;
  serial: LineSettings[];
  /** `name`: undefined for one made of the machine's. */
  mdns: { provider: "off" | "auto" | "avahi" | "bonjour" | "mdns"; name: string | undefined };
  auth: AuthSettings;
  log: { level: LogLevel; format: LogFormat };
  /** Absolute paths, in the order in which they were given. */
  plugins: string[];
  /** Absolute path; need not exist. */
  dataDir: string;
  store: StoreSettings;
  /** The configuration files that were read, the main file first; empty when there was none. */
  files: string[];
  /** Absolute paths where configuration was looked for, found or not; one that ends with "/" stands for all that is in it. */
  places: string[];
  /** What the log should say at start: accepted without effect, or dangerous. */
  warnings: string[];
  /**
   * Where each value came from, by configuration key ("mqtt.retain", "limits.clients", "listeners"): "--tcp-port",
   * "MQTT_BROKER_TCP_PORT", "/etc/mqtt-broker/mqtt-broker.json5:3:5". A key that is missing has its default.
   */
  sources: ReadonlyMap<string, string>;
  /** What was given, in JSON by configuration key: what differs between two readings has changed. */
  given: ReadonlyMap<string, string>;
}
