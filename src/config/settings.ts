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
export type ListenerSettings =
  | TcpListenerSettings
  | TlsListenerSettings
  | WsListenerSettings
  | WssListenerSettings
  | UnixListenerSettings
  | GivenListenerSettings;

export interface TcpListenerSettings {
  name: string;
  type: "tcp";
  /** An address or host name without brackets; "::" is every address of both families. */
  host: string;
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

/** A socket that was open before the process started. */
export interface GivenListenerSettings {
  name: string;
  type: "fd";
  /** The descriptor's number, from 3 on; undefined when it is named. */
  fd: number | undefined;
  /** What systemd calls it. */
  fdName: string | undefined;
  noDelay: boolean;
  keepAliveSeconds: number;
}

/** MQTT over TLS. */
export interface TlsListenerSettings extends Omit<TcpListenerSettings, "type"> {
  type: "tls";
  tls: TlsSettings;
}

/** MQTT over WebSocket. */
export interface WsListenerSettings extends Omit<TcpListenerSettings, "type"> {
  type: "ws";
  webSocket: WebSocketSettings;
}

/** MQTT over WebSocket over TLS. */
export interface WssListenerSettings extends Omit<TcpListenerSettings, "type"> {
  type: "wss";
  webSocket: WebSocketSettings;
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
  /** At least one; the first is for clients that name no host, or one that no certificate is for. */
  certificates: { cert: string; key: string }[];
  /** Authorities of the clients' certificates; there unless `clientCert` is "off". */
  clientCa: string | undefined;
  clientCrl: string | undefined;
  /** Whether clients show a certificate; "optional" lets in those without, too. */
  clientCert: ClientCert;
  minVersion: TlsVersion;
  /** OpenSSL's list; undefined: our own. */
  ciphers: string | undefined;
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

/** Everything that was configured, whole and in range: what `run` starts the broker with. */
export interface Settings {
  options: BrokerOptions;
  limits: Limits;
  /** At least one. */
  listeners: ListenerSettings[];
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
