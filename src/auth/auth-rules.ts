import type { Qos } from "../codec/constants.ts";
import { AUTH_METHODS, type AuthMethod } from "../core/access.ts";
import type { LedgerRules } from "./ledger/ledger-rules.ts";

/**
 * What `auth.json5` holds: who may connect (`authentication`), who belongs together (`group`), and what they may do
 * (`authorization`); or a ledger in their place. README.md has the manual.
 */
export interface AuthRules {
  authentication?: readonly UserEntry[];
  /** `groups` is the same; a file has one of them. */
  group?: readonly GroupEntry[];
  groups?: readonly GroupEntry[];
  /** From wide to narrow: of the rules that match, the last one wins; none: denied. */
  authorization?: readonly RuleEntry[];
  /** In place of the three above. */
  ledger?: LedgerRules;
  /** 5.0 clients are told which rule refused them. Default false. */
  explainToClients?: boolean;
  /**
   * Clients whose user is gone, or whose subscriptions would not be granted any more, after a change of the rules:
   * "disconnect" (the default), or "filter", which keeps them connected and delivers nothing that they may not have.
   */
  whenRevoked?: "disconnect" | "filter";
}

/** Conditions that both users and rules may have. All that are given must hold. */
export interface Conditions {
  /**
   * Where the client connects from, one of: "local" (this machine), an address "192.168.1.7" or "fe80::1", a network
   * "192.168.1.0/24", "listener:NAME", "transport:tcp" ("tls", "unix", "websocket", "mqtt-sn", …).
   */
  from?: string | readonly string[];
  /** Its Client Identifier, where `*` stands for any characters. */
  clientId?: string | readonly string[];
  /** The entry holds before this time: "2027-03-31", "2027-03-31T18:00:00Z". A date ends with its day, in UTC. */
  expires?: string;
  /** For people. */
  note?: string;
}

export const METHODS = AUTH_METHODS;
export type Method = AuthMethod;

export interface UserEntry extends Conditions {
  /**
   * Not empty, not beginning with "@". "*" stands for every name that a certificate, key or token brings, and only
   * `client_cert`, `psk` and `jwt` may have it.
   */
  name: string;
  method: Method;
  /** sha256: in hexadecimal, of the salt and the password. (`plain_password` takes it for `password`, as tokio does.) */
  digest?: string;
  salt?: string;
  /** plain_password. */
  password?: string;
  /** scrypt, argon2id: "$scrypt$ln=15,r=8,p=1$SALT$HASH", "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH"; mosquitto: "$6$…", "$7$…". */
  hash?: string;
  /** client_cert: "CN" (the default), "subjectAltName" (any of them), or one kind: "DNS", "IP", "email", "URI". */
  verify_field?: string;
  /** psk: the identity whose key it has proved to know; default: its name. */
  identity?: string;
  /** jwt: the secret of HS256, or a public key in PEM. One of key, keyFile and jwksFile. */
  key?: string;
  /** jwt: file with a public key in PEM, or with the secret; beside this file when relative. */
  keyFile?: string;
  /** jwt: file with a JSON Web Key Set. */
  jwksFile?: string;
  /** jwt: of HS256, RS256, ES256, EdDSA; default: those that fit the key. */
  algorithms?: readonly string[];
  audience?: string | readonly string[];
  issuer?: string;
  /** jwt: the claim that holds the user's name, default "sub", and the one that lists groups (without "@"), default none. */
  claims?: { user?: string; groups?: string };
  /** serial: the line, "/dev/ttyUSB0"; `*` stands for any characters. */
  port?: string;
  /** mqtt_sn: the wireless node id in hexadecimal; `*` stands for any characters. */
  nodeId?: string;
  /** May use the administration: see it, or change things too. */
  admin?: "read" | "all";
  maxConnections?: number;
  messagesPerSecond?: number;
  /** A number of bytes, or a size such as "64KiB". */
  bytesPerSecond?: number | string;
  queueBytes?: number | string;
}

export interface GroupEntry {
  /** Begins with "@"; "@any" is there without being written. */
  name: string;
  /** Users, no groups. */
  members?: readonly string[];
  note?: string;
}

/** Names of users and groups. */
export interface RuleNames {
  sub?: readonly string[];
  pub?: readonly string[];
}

export interface RuleEntry extends Conditions {
  /** A Topic Filter. "%u" stands for the user's name, "%c" for the Client Identifier. Topics that begin with "$" are allowed only by a filter that names their first level. */
  topic: string;
  allow?: RuleNames;
  deny?: RuleNames;
  /** With `allow`: the highest QoS. */
  maxQos?: Qos;
  /** With `allow`: false refuses to publish with RETAIN. */
  retain?: boolean;
}
