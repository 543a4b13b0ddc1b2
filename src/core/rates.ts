import { ReasonCode } from "../codec/reason.ts";
import { NO_USER_LIMITS, type UserLimits } from "./access.ts";
import type { Broker } from "./broker.ts";
import { type Budget, Budgets, type Own, SCOPES, type Scope } from "./budget.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { EntranceLimitName } from "./entrance.ts";
import { type Refusal, refuse } from "./hooks.ts";
import { type LogFields, networkOf, type Peer } from "./ports.ts";
import { RateMeter } from "./rate-meter.ts";
import { readOn } from "./reading.ts";

/**
 * How much a client, user, address and listener may use in a second: connections, messages and bytes. Limits hold for
 * all connections together that have the client identifier, user name, address or listener in common.
 *
 * Where no rate is set, a connection costs a look at its user's limits when it begins, and its messages nothing.
 */
export class Rates {
  private readonly broker: Broker;
  private readonly client: Budgets;
  private readonly user: Budgets;
  private readonly address: Budgets;
  private readonly listener: Budgets;
  /** Scopes in which some rate of connections is bounded, and of messages or bytes. */
  private readonly connecting: ReadonlySet<Scope>;
  private readonly publishing: ReadonlySet<Scope>;
  /** Something is bounded for everybody. */
  private readonly bounds: boolean;
  /** Connections with a session by each listener, whether it bounds them or not: it may from one moment on. */
  private readonly present = new Map<string, number>();

  constructor(broker: Broker) {
    this.broker = broker;
    const { limits } = broker;
    this.client = new Budgets("client", limits);
    this.user = new Budgets("user", limits);
    this.address = new Budgets("address", limits);
    this.listener = new Budgets("listener", limits);
    this.connecting = new Set(SCOPES.filter((scope) => limits[`${scope}ConnectionsPerSecond`] > 0));
    this.publishing = new Set(
      SCOPES.filter((scope) => limits[`${scope}MessagesPerSecond`] > 0 || limits[`${scope}BytesPerSecond`] > 0),
    );
    this.bounds = this.connecting.size > 0 || this.publishing.size > 0 || limits.addressConnections > 0;
  }

  /**
   * May one more connection come from there? Asked when it is accepted. When it may, it is counted as waiting until it has
   * its session.
   */
  admits(connection: Connection): Refusal | undefined {
    const own = ownOf(connection.client);
    if (!this.bounds && own === undefined) return undefined;
    const { peer } = connection.link;
    const { nowMs } = this.broker;
    const bounded: Budget[] = [];
    const addresses = this.ofAddress(peer, own);
    for (const { budget, connectionsMax, by, own: bounds } of addresses) {
      // As many as may be connected may be on their way to it.
      if (connectionsMax > 0 && budget.waiting >= connectionsMax) return tooMany(budget.waiting, connectionsMax, by);
      this.address.bound(budget, bounds);
      bounded.push(budget);
    }
    if (this.boundsListener(own)) {
      const budget = this.listener.of(peer.listener, nowMs);
      // What its listener asks now holds for all who came by it, however long ago.
      this.listener.bound(budget, own);
      bounded.push(budget);
    }
    const empty = bounded.find(({ connects }) => connects.isEmpty(nowMs));
    if (empty !== undefined) return refuse(ReasonCode.ConnectionRateExceeded, empty.connects.excess);
    for (const { connects } of bounded) connects.take(1, nowMs);
    connection.waitsUnder = addresses.map(({ budget }) => budget);
    for (const budget of connection.waitsUnder) budget.waiting++;
    return undefined;
  }

  /**
   * Is a connection that was refused when it was accepted kept until its CONNECT, to be told why? Of a few a second
   * from one address; who comes more often is cut off.
   */
  tells(peer: Peer): boolean {
    const network = networkOf(peer.address);
    if (network === "") return true;
    const { nowMs } = this.broker;
    const { told } = this.address.of(network, nowMs);
    if (told.isEmpty(nowMs)) return false;
    told.take(1, nowMs);
    return true;
  }

  /**
   * May the client begin a session, or go on with one? Asked when it is known who it is. `holder`: the connection that
   * has the session and is about to lose it.
   */
  objectionTo(client: Client, key: string, holder: Connection | undefined): Refusal | undefined {
    const { connecting, broker } = this;
    const { nowMs } = broker;
    const bounded: Budget[] = [];
    if (connecting.has("client")) bounded.push(this.client.of(key, nowMs));
    if (connecting.has("user") && client.userName !== undefined) bounded.push(this.userBudget(client));
    const empty = bounded.find(({ connects }) => connects.isEmpty(nowMs));
    if (empty !== undefined) return refuse(ReasonCode.ConnectionRateExceeded, empty.connects.excess);
    const { maxConnections } = limitsOf(client);
    const takesOwn = holder !== undefined && nameOf(holder.client) === nameOf(client);
    if (maxConnections !== undefined && !takesOwn) {
      const budget = this.userBudget(client);
      if (budget.connections >= maxConnections) {
        const reason = `user ${nameOf(client)} has ${maxConnections} of at most ${maxConnections} connections`;
        return refuse(ReasonCode.QuotaExceeded, reason);
      }
    }
    const crowd = this.crowdedFor(client, holder);
    if (crowd !== undefined) return crowd;
    for (const { connects } of bounded) connects.take(1, nowMs);
    return undefined;
  }

  /** Are there as many connections as there may be from its address, or by its listener? One that it replaces is none. */
  private crowdedFor(client: Client, holder: Connection | undefined): Refusal | undefined {
    const own = ownOf(client);
    const { listener } = client.peer;
    const clients = own?.limits.clients;
    if (clients !== undefined) {
      const present = (this.present.get(listener) ?? 0) - (holder?.client.peer.listener === listener ? 1 : 0);
      if (present >= clients) return tooMany(present, clients, `listener ${listener}`);
    }
    for (const { budget, connectionsMax, by } of this.ofAddress(client.peer, own)) {
      const connections = budget.connections - (holder?.budgets?.includes(budget) === true ? 1 : 0);
      if (connectionsMax > 0 && connections >= connectionsMax) return tooMany(connections, connectionsMax, by);
    }
    return undefined;
  }

  /**
   * A connection was refused by what is known of its address, or because there are too many: one line a minute for each
   * address, with how many there were.
   */
  logRefused({ peer }: Client, fields: LogFields): void {
    const { nowMs, log } = this.broker;
    const refused = this.address.of(networkOf(peer.address), nowMs).noteRefusal(nowMs);
    if (refused > 0) log.warn("Connection refused", { ...fields, refused });
  }

  /** The connection has its session: from now on it is counted, and what it sends too. */
  enter(connection: Connection): void {
    arrive(connection);
    if (!connection.isPresent) this.count(connection, 1);
    const budgets = this.budgetsOf(connection);
    if (budgets.length === 0) return;
    for (const budget of budgets) budget.connections++;
    connection.budgets = budgets;
    const meter = new RateMeter(connection, budgets);
    if (meter.counts) connection.meter = meter;
  }

  /** Its end; harmless for one that is not counted. */
  leave(connection: Connection): void {
    arrive(connection);
    if (connection.isPresent) this.count(connection, -1);
    const { budgets, meter } = connection;
    if (budgets === undefined) return;
    for (const budget of budgets) budget.connections--;
    connection.budgets = undefined;
    connection.meter = undefined;
    if (meter !== undefined) this.broker.deadlines.cancel(meter);
  }

  /** The client's identity is another now, and its limits may be. What was used up stays so. */
  renew(connection: Connection): void {
    if (connection.budgets === undefined && !bounds(limitsOf(connection.client))) return;
    this.leave(connection);
    this.enter(connection);
    readOn(connection);
  }

  private count(connection: Connection, by: 1 | -1): void {
    const { listener } = connection.client.peer;
    connection.isPresent = by === 1;
    const present = (this.present.get(listener) ?? 0) + by;
    if (present === 0) this.present.delete(listener);
    else this.present.set(listener, present);
  }

  private budgetsOf(connection: Connection): Budget[] {
    const { publishing } = this;
    const { client, session } = connection;
    const budgets: Budget[] = [];
    const ofUser = publishing.has("user") && client.userName !== undefined;
    if (ofUser || bounds(limitsOf(client))) budgets.push(this.userBudget(client));
    const own = ownOf(client);
    if (!this.bounds && own === undefined) return budgets;
    const { peer } = client;
    const { nowMs } = this.broker;
    if (publishing.has("client") || has(own, CLIENT_RATES)) {
      const budget = this.client.of(session.key, nowMs);
      this.client.bound(budget, own);
      budgets.push(budget);
    }
    for (const { budget } of this.ofAddress(peer, own)) budgets.push(budget);
    if (this.boundsListener(own)) budgets.push(this.listener.of(peer.listener, nowMs));
    return budgets;
  }

  private boundsListener(own: Own | undefined): boolean {
    return this.connecting.has("listener") || this.publishing.has("listener") || has(own, LISTENER_RATES);
  }

  /** The budgets that an address has: everywhere, and by this listener where that bounds it by itself. */
  private ofAddress(peer: Peer, own: Own | undefined): Crowd[] {
    const { broker, connecting, publishing } = this;
    const { nowMs, limits } = broker;
    const network = networkOf(peer.address);
    const crowds: Crowd[] = [];
    if (network === "") return crowds;
    if (limits.addressConnections > 0 || connecting.has("address") || publishing.has("address")) {
      const connectionsMax = limits.addressConnections;
      crowds.push({ budget: this.address.of(network, nowMs), connectionsMax, by: network, own: undefined });
    }
    if (has(own, ADDRESS_LIMITS)) {
      // U+0000 is in no name of a network, so it is nobody else's key.
      const budget = this.address.of(`${peer.listener}\u0000${network}`, nowMs);
      const connectionsMax = own!.limits.addressConnections ?? 0;
      crowds.push({ budget, connectionsMax, by: `${network} by listener ${peer.listener}`, own });
    }
    return crowds;
  }

  /** By what the rules say of the user, or by what holds for every user where that is lower. Anonymous clients are none. */
  private userBudget(client: Client): Budget {
    const { limits, nowMs } = this.broker;
    const name = nameOf(client);
    const budget = this.user.of(name, nowMs);
    const own = limitsOf(client);
    const general = client.userName !== undefined;
    for (const [bucket, ownRate, limit, key] of [
      [budget.messages, own.messagesPerSecond, "userMessagesPerSecond", "messagesPerSecond"],
      [budget.bytes, own.bytesPerSecond, "userBytesPerSecond", "bytesPerSecond"],
    ] as const) {
      const generalRate = general ? limits[limit] : 0;
      if (ownRate !== undefined && (generalRate === 0 || ownRate < generalRate)) {
        bucket.bound(ownRate, `${key} of user ${name}`);
      } else bucket.bound(generalRate, `limit ${limit}`);
    }
    return budget;
  }
}

/** A budget that counts connections, of which there may be so many (0: any number), and whose it is. */
interface Crowd {
  readonly budget: Budget;
  readonly connectionsMax: number;
  readonly by: string;
  /** The bounds of its rates, when they are a listener's. */
  readonly own: Own | undefined;
}

const CLIENT_RATES = ["clientMessagesPerSecond", "clientBytesPerSecond"] as const;
const LISTENER_RATES = ["listenerConnectionsPerSecond", "listenerMessagesPerSecond", "listenerBytesPerSecond"] as const;
const ADDRESS_LIMITS = [
  "addressConnections",
  "addressConnectionsPerSecond",
  "addressMessagesPerSecond",
  "addressBytesPerSecond",
] as const;

function ownOf({ peer, entrance }: Client): Own | undefined {
  return entrance.limits === undefined ? undefined : { listener: peer.listener, limits: entrance.limits };
}

function has(own: Own | undefined, names: readonly EntranceLimitName[]): boolean {
  return own !== undefined && names.some((name) => (own.limits[name] ?? 0) > 0);
}

function tooMany(connections: number, most: number, by: string): Refusal {
  return refuse(ReasonCode.QuotaExceeded, `${by} has ${connections} of at most ${most} connections`);
}

/** It waits no more to be somebody's. */
function arrive(connection: Connection): void {
  const { waitsUnder } = connection;
  if (waitsUnder === undefined) return;
  for (const budget of waitsUnder) budget.waiting--;
  connection.waitsUnder = undefined;
}

function nameOf(client: Client): string {
  return client.identity?.name ?? client.userName ?? "";
}

function limitsOf(client: Client): UserLimits {
  return client.identity?.limits ?? NO_USER_LIMITS;
}

function bounds({ maxConnections, messagesPerSecond, bytesPerSecond }: UserLimits): boolean {
  return maxConnections !== undefined || messagesPerSecond !== undefined || bytesPerSecond !== undefined;
}
