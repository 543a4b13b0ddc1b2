import { allowLocal } from "./auth/anonymous.ts";
import { type Parts, RunningBroker } from "./compose.ts";
import type { Access } from "./core/access.ts";
import type { Hook } from "./core/hooks.ts";
import { defaultLimits, LIMITS, type LimitName, type Limits } from "./core/limits.ts";
import { type BrokerOptions, defaultOptions } from "./core/options.ts";
import type { Clock, Log } from "./core/ports.ts";
import { HostClock } from "./os/clock.ts";

// The public face of the package: what a program that embeds the broker needs, and nothing else.
export { allowAll, allowLocal, denyAll } from "./auth/anonymous.ts";
export { PacketType, type ProtocolVersion, type Qos } from "./codec/constants.ts";
export { type Packet, Publish, type PublishProperties, type Will } from "./codec/packet.ts";
export { ReasonCode } from "./codec/reason.ts";
export type { RunningBroker, SessionInfo } from "./compose.ts";
export type { Access } from "./core/access.ts";
export type { Client } from "./core/client.ts";
export type { SysInfo } from "./core/counters.ts";
export { type Admission, type AuthAnswer, type Hook, IGNORE, type Refusal, refuse } from "./core/hooks.ts";
export type { Accept, Clock, Link, LinkHandler, Listener, Log, Peer } from "./core/ports.ts";
export type { StoredClient, StoredMessage, StoredRetained, StoredSubscription } from "./core/stored.ts";
export { TcpListener } from "./transport/tcp.ts";

/** BrokerOptions with every part optional. */
export type MqttOptions = Partial<Omit<BrokerOptions, "compat" | "queue" | "sys">> & {
  compat?: Partial<BrokerOptions["compat"]>;
  queue?: Partial<BrokerOptions["queue"]>;
  sys?: Partial<BrokerOptions["sys"]>;
};

export interface CreateBrokerOptions {
  mqtt?: MqttOptions;
  limits?: Partial<Limits>;
  /** Who may connect and do what. Default: clients on this machine, everything. */
  auth?: Access;
  /** In the order in which they are asked. */
  hooks?: readonly Hook[];
  /** Default: silent. */
  log?: Log;
  /** Default: the machine's. With a clock of your own, call `tick()` when its time has moved. */
  clock?: Clock;
}

/**
 * Makes a broker without any listener: add some, then `start()` it.
 * Throws RangeError for a limit that does not exist or is out of its range.
 */
export function createBroker(given: CreateBrokerOptions = {}): RunningBroker {
  const defaults = defaultOptions();
  const { mqtt = {} } = given;
  const parts: Parts = {
    options: {
      ...defaults,
      ...mqtt,
      compat: { ...defaults.compat, ...mqtt.compat },
      queue: { ...defaults.queue, ...mqtt.queue },
      sys: { ...defaults.sys, ...mqtt.sys },
    },
    limits: checkedLimits(given.limits ?? {}),
    access: given.auth ?? allowLocal(),
    hooks: given.hooks ?? [],
    log: given.log ?? SILENT,
    clock: given.clock ?? new HostClock(),
    ticks: given.clock === undefined,
  };
  return new RunningBroker(parts);
}

function checkedLimits(given: Partial<Limits>): Limits {
  const limits = defaultLimits();
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(LIMITS, name)) throw new RangeError(`There is no limit called ${name}`);
    const { min, max } = LIMITS[name as LimitName];
    if (!(value >= min && value <= max)) throw new RangeError(`Limit ${name} is ${value}, must be ${min} to ${max}`);
    limits[name as LimitName] = value;
  }
  return limits;
}

const nothing = (): void => {};
const SILENT: Log = {
  enabled: () => false,
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
  trace: nothing,
};
