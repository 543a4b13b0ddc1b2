import { ReasonCode } from "../codec/reason.ts";
import { NO_USER_LIMITS, type UserLimits } from "./access.ts";
import type { Broker } from "./broker.ts";
import { type Budget, Budgets, SCOPES, type Scope } from "./budget.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import { type Refusal, refuse } from "./hooks.ts";
import { type LogFields, networkOf, type Peer } from "./ports.ts";
import { RateMeter } from "./rate-meter.ts";

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
  }

  /** May one more connection come from there? Asked when it is accepted. */
  admits(peer: Peer): Refusal | undefined {
    const { connecting } = this;
    if (connecting.size === 0) return undefined;
    const { nowMs } = this.broker;
    const budgets: Budget[] = [];
    const network = networkOf(peer.address);
    if (connecting.has("address") && network !== "") budgets.push(this.address.of(network, nowMs));
    if (connecting.has("listener")) budgets.push(this.listener.of(peer.listener, nowMs));
    const empty = budgets.find(({ connects }) => connects.isEmpty(nowMs));
    if (empty === undefined) {
      for (const { connects } of budgets) connects.take(1, nowMs);
      return undefined;
    }
    return refuse(ReasonCode.ConnectionRateExceeded, empty.connects.excess);
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
    for (const { connects } of bounded) connects.take(1, nowMs);
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
    const budgets = this.budgetsOf(connection);
    if (budgets.length === 0) return;
    for (const budget of budgets) budget.connections++;
    connection.budgets = budgets;
    const meter = new RateMeter(connection, budgets);
    if (meter.counts) connection.meter = meter;
  }

  /** Its end; harmless for one that is not counted. */
  leave(connection: Connection): void {
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
    connection.readOn();
  }

  private budgetsOf(connection: Connection): Budget[] {
    const { publishing } = this;
    const { client, session } = connection;
    const budgets: Budget[] = [];
    const ofUser = publishing.has("user") && client.userName !== undefined;
    if (ofUser || bounds(limitsOf(client))) budgets.push(this.userBudget(client));
    if (publishing.size === 0) return budgets;
    const { nowMs } = this.broker;
    const network = networkOf(client.peer.address);
    if (publishing.has("client")) budgets.push(this.client.of(session.key, nowMs));
    if (publishing.has("address") && network !== "") budgets.push(this.address.of(network, nowMs));
    if (publishing.has("listener")) budgets.push(this.listener.of(client.peer.listener, nowMs));
    return budgets;
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

function nameOf(client: Client): string {
  return client.identity?.name ?? client.userName ?? "";
}

function limitsOf(client: Client): UserLimits {
  return client.identity?.limits ?? NO_USER_LIMITS;
}

function bounds({ maxConnections, messagesPerSecond, bytesPerSecond }: UserLimits): boolean {
  return maxConnections !== undefined || messagesPerSecond !== undefined || bytesPerSecond !== undefined;
}
