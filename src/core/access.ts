import type { Qos } from "../codec/constants.ts";
import type { Connect } from "../codec/packet.ts";
import type { Client } from "./client.ts";
import type { Admission, Refusal } from "./hooks.ts";
import type { Peer } from "./ports.ts";

/** The ways to prove who one is, by their names in auth.json5. */
export const AUTH_METHODS = [
  "sha256",
  "plain_password",
  "scrypt",
  "argon2id",
  "mosquitto",
  "client_cert",
  "psk",
  "jwt",
  "unix_socket",
  "serial",
  "mqtt_sn",
  "anonymous",
  "unauthenticated",
] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/**
 * Who is let in and what they may do, where no hook has an opinion. Implementations live in `auth`.
 * `authenticate` may be asynchronous; nothing else is, because PUBLISH never waits.
 */
export interface Access {
  /** Never throws for bad credentials; a rejected promise refuses with Server unavailable. */
  authenticate(client: Client, connect: Connect): Admission | Promise<Admission>;
  /**
   * May the client publish to (`write`) or receive from (`!write`) the topic? For subscriptions `topic` is
   * the filter, without `$share/…/`. Absent when every topic is allowed to everybody, which then costs nothing per message.
   */
  check?: ((client: Client, topic: string, write: boolean) => Verdict) | undefined;
  /** Which rule said no, in one sentence with file and line: for the log. */
  why?: ((client: Client, topic: string, write: boolean) => string) | undefined;
  /** Whether 5.0 clients are told as Reason String what `why` says. Default: no. */
  readonly explainsToClients?: boolean | undefined;
  /**
   * May this peer connect at all? Asked when it is accepted, before it has sent anything. A Refusal is kept until CONNECT,
   * so that the client can be told.
   */
  admits?: ((peer: Peer) => Refusal | undefined) | undefined;
  /** How many addresses are banned at present: for `$SYS`. */
  banned?: (() => number) | undefined;
  /** What holds for a connected client now: called after each change. A Refusal ends its connection with that code. */
  review?: ((client: Client) => Identity | Refusal | undefined) | undefined;
  /** After each change: true when a client is to be disconnected that has a subscription which it would not be granted now. */
  readonly endsLostSubscriptions?: boolean | undefined;
  /**
   * Registers the one listener for changes, called as soon as `check` may answer otherwise than before: between two calls
   * its answers for one client (the same object) are remembered. Absent: each answer may differ from the last one, and
   * `check` is asked for each message.
   */
  onChange?: ((changed: () => void) => void) | undefined;
}

/** true: allowed without conditions. A grant: allowed within bounds. */
export type Verdict = boolean | Grant;

/** What a rule allows of a topic, beside using it at all. */
export interface Grant {
  /** Publishing with more is refused, delivery and subscriptions are lowered to it. */
  readonly maximumQos: Qos;
  /** May publish with RETAIN. */
  readonly retain: boolean;
}

/** Who a client is by the access rules. What implements it keeps there what it needs to answer `check`. */
export interface Identity {
  /** As rules name it; for the log. */
  readonly name: string;
  /** How it proved who it is; undefined: it had to prove nothing, as "anonymous". */
  readonly method?: AuthMethod | undefined;
  /** What the log line of its connection says beside its name, such as why it is nobody better known. */
  readonly remark?: string | undefined;
  /** Milliseconds since 1970 at which its connection ends, as the end of a token; undefined: never. */
  readonly expiresMs?: number | undefined;
  /** The user name its session belongs to; undefined: no user's, as of anonymous clients. */
  readonly userName: string | undefined;
  readonly limits: UserLimits;
}

/** Bounds for all connections of one user together; undefined: none but those that hold for everybody. */
export interface UserLimits {
  readonly maxConnections?: number | undefined;
  /** PUBLISH packets it sends. */
  readonly messagesPerSecond?: number | undefined;
  /** Bytes of PUBLISH packets it sends. */
  readonly bytesPerSecond?: number | undefined;
  /** Payload and topic bytes waiting for one session, in place of the limit `queuedBytes` where it is lower. */
  readonly queueBytes?: number | undefined;
}

export const NO_USER_LIMITS: UserLimits = {};
