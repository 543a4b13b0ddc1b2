import type { ProtocolVersion } from "../codec/constants.ts";
import { isTopicName } from "../topic/name.ts";
import { AUTH_METHODS, type AuthMethod } from "./access.ts";
import { LIMITS, type LimitName, type Limits } from "./limits.ts";
import type { BrokerOptions } from "./options.ts";

/** A mount point must leave room for names. */
const MOUNT_POINT_MAX = 1024;
const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];

/**
 * Limits of the broker that a listener can have of its own. They narrow: where both are set the lower one holds.
 * `clients` and `address…` count what came by this listener alone.
 */
export const ENTRANCE_LIMITS = [
  "clients",
  "addressConnections",
  "addressConnectionsPerSecond",
  "addressMessagesPerSecond",
  "addressBytesPerSecond",
  "listenerConnectionsPerSecond",
  "listenerMessagesPerSecond",
  "listenerBytesPerSecond",
  "clientMessagesPerSecond",
  "clientBytesPerSecond",
] as const satisfies readonly LimitName[];

/** Options of the broker that a listener can have a lower value of: the least and the most that they can be. */
export const ENTRANCE_OPTIONS = {
  maximumQos: [0, 2],
  maximumPacketSize: [1, 0xffff_ffff],
  receiveMaximum: [1, 65_535],
  topicAliasMaximum: [0, 65_535],
  keepAliveMax: [1, 65_535],
} as const satisfies Partial<Record<keyof BrokerOptions, readonly [min: number, max: number]>>;

export type EntranceLimitName = (typeof ENTRANCE_LIMITS)[number];
export type EntranceOptionName = keyof typeof ENTRANCE_OPTIONS;
export type EntranceLimits = Partial<Pick<Limits, EntranceLimitName>> &
  Partial<Pick<BrokerOptions, Exclude<EntranceOptionName, "keepAliveMax">>> & { keepAliveMax?: number };

/** What a listener asks of those who come by it, and what it makes of them. One object for all its clients. */
export interface Entrance {
  /** The protocol versions that may connect: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. Default: those of the broker. */
  readonly versions?: readonly ProtocolVersion[] | undefined;
  /**
   * The ways to prove who one is that count here, by the names of auth.json5. Whom a hook lets in, it lets in whatever
   * stands here. Default: all.
   */
  readonly authMethods?: readonly AuthMethod[] | undefined;
  /**
   * Stands before every topic that a client of this listener names, and is taken off what it is sent: "plant1/". `%c` and
   * `%u` are the client identifier and the user name. Default: none.
   */
  readonly mountPoint?: string | undefined;
  readonly limits?: EntranceLimits | undefined;
}

/** Asks nothing: the entrance of listeners that say nothing of one. */
export const NO_ENTRANCE: Entrance = {};

/** Why a text cannot be a mount point: what completes "The mount point …"; undefined when it can. */
export function mountPointMistake(text: string): string | undefined {
  if (typeof text !== "string" || text === "") return 'is empty: it is the beginning of topics, such as "plant1/"';
  if (text.length > MOUNT_POINT_MAX) return `is longer than ${MOUNT_POINT_MAX} characters`;
  if (!isTopicName(text)) return "has +, # or a null character, which no Topic Name has";
  if (text.startsWith("$")) return "begins with $: such topics are the broker's own";
  if (!text.endsWith("/")) return `must end with /, else topics beside it could be reached: "${text}/"`;
  return undefined;
}

/** Throws TypeError or RangeError for what no listener can ask, such as a mount point with a wildcard. */
export function checkEntrance({ versions, authMethods, mountPoint, limits = {}, ...unknown }: Entrance): void {
  for (const name of Object.keys(unknown)) throw new TypeError(`A listener has no setting called ${name}`);
  checkList("versions", versions, VERSIONS);
  checkList("authMethods", authMethods, AUTH_METHODS);
  const mistake = mountPoint === undefined ? undefined : mountPointMistake(mountPoint);
  if (mistake !== undefined) throw new TypeError(`The mount point ${JSON.stringify(mountPoint)} ${mistake}`);
  for (const [name, value] of Object.entries<number | undefined>(limits)) {
    const [min, max] = rangeOf(name);
    if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) continue;
    throw new RangeError(`Limit ${name} of a listener is ${value}, must be ${min} to ${max}`);
  }
}

function rangeOf(name: string): readonly [min: number, max: number] {
  if (Object.hasOwn(ENTRANCE_OPTIONS, name)) return ENTRANCE_OPTIONS[name as EntranceOptionName];
  if (!ENTRANCE_LIMITS.some((known) => known === name)) throw new RangeError(`A listener has no limit called ${name}`);
  const { min, max } = LIMITS[name as EntranceLimitName];
  return [min, max];
}

function checkList(what: string, given: readonly unknown[] | undefined, known: readonly unknown[]): void {
  if (given === undefined) return;
  if (!Array.isArray(given) || given.length === 0) {
    throw new TypeError(`${what} of a listener must be a list of at least one of ${known.join(", ")}`);
  }
  const wrong = given.find((value) => !known.includes(value));
  if (wrong !== undefined) throw new TypeError(`${what} of a listener has ${wrong}, must be of ${known.join(", ")}`);
}
