import { decodePacket, encodePacket } from "../codec/codec.ts";
import type { ProtocolVersion } from "../codec/constants.ts";
import type { Packet, Will } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import { TextCache } from "../codec/text.ts";
import type { Access } from "./access.ts";
import { Archive } from "./archive.ts";
import type { Client } from "./client.ts";
import { CLOSED_BY_CLIENT, Connection } from "./connection.ts";
import { Counters } from "./counters.ts";
import { Deadlines } from "./deadlines.ts";
import { receiveAllowed } from "./dispatch.ts";
import { type Entrance, NO_ENTRANCE } from "./entrance.ts";
import { type Hook, Hooks } from "./hooks.ts";
import { InlineClient } from "./inline.ts";
import { KeepLast } from "./keep-last.ts";
import type { Limits } from "./limits.ts";
import { loadArchive } from "./load.ts";
import type { Message } from "./message.ts";
import type { BrokerOptions } from "./options.ts";
import { Permissions } from "./permissions.ts";
import type { Clock, GatewayHandler, Link, Log, Random } from "./ports.ts";
import { packetOf, sendToRoute } from "./publish.ts";
import { PublishWriter } from "./publish-writer.ts";
import { Rates } from "./rates.ts";
import { restore } from "./restore.ts";
import { Retained } from "./retained.ts";
import { type Route, Router } from "./router.ts";
import { NEVER_EXPIRES, type Session } from "./session.ts";
import type { Store } from "./store.ts";
import { mergeSubscriptions, type Subscription } from "./subscription.ts";
import { SysTopics } from "./sys-topics.ts";
import { Takeovers } from "./takeovers.ts";
import { Terms } from "./terms.ts";
import { publishWill } from "./will.ts";

/** Everything the broker is given; see ports.ts for what each promises. */
export interface World {
  clock: Clock;
  random: Random;
  log: Log;
  access: Access;
  /** Asks the host to call `tick` at this time of the clock; a later call replaces an earlier one. */
  schedule: (atMs: number) => void;
  /** Bytes of heap in use, and the most there were. */
  memory: () => { used: number; maximum: number };
  version: string;
  /** Where sessions and messages outlive the process; without one they live in memory alone. */
  store?: Store;
  /** Calls `task` once, when all that came in this turn of the event loop has been handled. Needed with a store. */
  atEndOfTurn: (task: () => void) => void;
  /** Bytes that the process has written to block devices, as the system counts them; undefined where it does not. */
  bytesWritten?: () => number | undefined;
  /** More for `$SYS`, by topic below "$SYS/broker/". What is missing next time is taken back. */
  sysValues?: () => Iterable<[topic: string, value: string | number]>;
  /** The store has ended for a mistake of its own: nothing more can be promised, the process should end. */
  onStoreFailed?: (error: Error) => void;
}

/** The broker: who is connected, which sessions there are, and what passes between them. */
export class Broker {
  readonly options: BrokerOptions;
  readonly limits: Limits;
  readonly world: World;
  readonly log: Log;
  readonly random: Random;
  readonly access: Access;
  readonly hooks: Hooks;
  readonly counters = new Counters();
  readonly deadlines = new Deadlines();
  readonly router = new Router();
  readonly retained: Retained;
  readonly writer: PublishWriter;
  readonly topicNames = new TextCache();
  readonly sessions = new Map<string, Session>();
  readonly connections = new Set<Connection>();
  readonly inlineClient: InlineClient;
  readonly sys: SysTopics;
  readonly rates: Rates;
  readonly takeovers: Takeovers;
  readonly permissions: Permissions;
  readonly keepLast: KeepLast;
  /** What becomes of all this in the store; undefined without one. */
  archive: Archive | undefined;
  /** Hooks or the log want to see each packet as an object. */
  readonly watchesPackets: boolean;
  /** The clock, read once in each turn. */
  nowMs: number;
  private readonly terms = new WeakMap<Entrance, Terms>();
  private scheduledMs = Number.POSITIVE_INFINITY;
  /** New messages are not taken any more: see `quiesce`. */
  stopping = false;

  constructor(options: BrokerOptions, limits: Limits, hooks: readonly Hook[], world: World) {
    this.options = options;
    this.limits = limits;
    this.world = world;
    this.log = world.log;
    this.random = world.random;
    this.access = world.access;
    this.nowMs = world.clock.nowMs();
    this.hooks = new Hooks(hooks, world.log);
    const traced = world.log.enabled("debug");
    this.writer = new PublishWriter(this.counters, this.hooks, traced);
    this.watchesPackets = traced || WATCHING.some((moment) => this.hooks.present[moment]);
    this.retained = new Retained(this);
    this.inlineClient = new InlineClient(this);
    this.sys = new SysTopics(this);
    this.rates = new Rates(this);
    this.takeovers = new Takeovers(this);
    this.permissions = new Permissions(this);
    this.keepLast = new KeepLast(options.queue.keepLast);
    this.archive = world.store === undefined ? undefined : new Archive(this, world.store);
  }

  /**
   * With a store: takes up what an earlier run left there; before `start`. Rejects when nothing can be kept there at
   * all.
   */
  async load(): Promise<void> {
    if (this.archive === undefined) return;
    await this.world.store!.open(this.archive.journal);
    await loadArchive(this, this.archive);
  }

  /** `load` was rejected: nothing outlives the process. */
  serveFromMemory(): void {
    this.archive = undefined;
  }

  /** Resolves when everything so far is on disk. */
  async settled(): Promise<void> {
    await this.archive?.journal.settled();
  }

  /** After `stop`: the last changes go to the store, and it is closed. */
  async close(): Promise<void> {
    const { archive } = this;
    if (archive === undefined) return;
    this.turn();
    archive.putClock();
    await archive.journal.close();
  }

  /** Takes up what the Stored hooks hand over; before any listener accepts. */
  start(): void {
    this.turn();
    restore(this);
    if (this.options.sys.enabled) this.sys.start();
    this.reschedule();
  }

  /** A transport has a new link. `entrance`: what its listener asks of those who come by it. */
  accept(link: Link, entrance: Entrance = NO_ENTRANCE): GatewayHandler {
    this.turn();
    const connection = new Connection(this, link, entrance, this.termsOf(entrance));
    this.counters.connectionsAccepted++;
    this.connections.add(connection);
    if (this.stopping || this.connections.size > this.limits.clients + this.limits.connecting) {
      this.counters.connectionsRefused++;
      connection.close(this.stopping ? "the broker is stopping" : "too many connections", undefined);
      link.destroy();
      this.reschedule();
      return connection;
    }
    const refusal = this.access.admits?.(link.peer) ?? this.rates.admits(connection);
    connection.refusal = refusal;
    if (refusal !== undefined && !this.rates.tells(link.peer)) {
      this.counters.connectionsRefused++;
      connection.close(`refused: ${refusal.logReason ?? refusal.reasonString ?? "not authorized"}`, undefined);
      link.destroy();
    }
    this.reschedule();
    return connection;
  }

  private termsOf(entrance: Entrance): Terms {
    let terms = this.terms.get(entrance);
    if (terms === undefined) {
      terms = new Terms(entrance, this.options);
      this.terms.set(entrance, terms);
    }
    return terms;
  }

  /** Time has passed: keep alive, expiry, delayed wills, `$SYS`. */
  tick(): void {
    this.turn();
    this.scheduledMs = Number.POSITIVE_INFINITY;
    this.deadlines.run(this.nowMs);
    this.reschedule();
  }

  /** When `tick` is wanted next; Infinity when not at all. */
  nextDeadlineMs(): number {
    return this.deadlines.nextMs;
  }

  /**
   * Before `stop`: a PUBLISH is neither handled nor acknowledged from now on, so that its publisher keeps it, and what
   * we own already can leave.
   */
  quiesce(): void {
    this.stopping = true;
    this.sys.stop();
  }

  /** Messages that wait for clients that are connected. */
  get waitingForConnected(): number {
    let waiting = 0;
    for (const { connection, delivery } of this.sessions.values()) {
      if (connection?.asleep === false) waiting += delivery.waiting;
    }
    return waiting;
  }

  /** Ends every connection: 5.0 clients are told that the server shuts down, 5.0 §4.13. */
  stop(): void {
    this.turn();
    this.quiesce();
    for (const connection of [...this.connections]) {
      connection.disconnect(ReasonCode.ServerShuttingDown, "the broker is stopping");
    }
  }

  /** Reads the clock: first thing in whatever the world calls. */
  turn(): void {
    this.nowMs = this.world.clock.nowMs();
  }

  /** Tells the host about an earlier deadline: last thing in whatever the world calls. */
  reschedule(): void {
    const dueMs = this.deadlines.nextMs;
    if (dueMs >= this.scheduledMs) return;
    this.scheduledMs = dueMs;
    this.world.schedule(dueMs);
  }

  sessionKey(clientId: string, userName: string | undefined): string {
    if (this.options.sessionKey === "client" || userName === undefined) return clientId;
    // U+0000 is in no MQTT string, so the two parts cannot be mistaken.
    return `${clientId}\u0000${userName}`;
  }

  /** The session of a client id: that of `userName` when given, else any. */
  findSession(clientId: string, userName?: string): Session | undefined {
    const session = this.sessions.get(this.sessionKey(clientId, userName));
    if (session !== undefined || userName !== undefined) return session;
    for (const candidate of this.sessions.values()) if (candidate.client.clientId === clientId) return candidate;
    return undefined;
  }

  connectionEstablished(connection: Connection, sessionPresent: boolean): void {
    const { counters } = this;
    counters.clientsConnected++;
    if (counters.clientsConnected > counters.clientsMaximum) counters.clientsMaximum = counters.clientsConnected;
    if (!this.log.enabled("info")) return;
    const { client, session } = connection;
    this.log.info("Client connected", {
      ...client.logFields(),
      version: VERSION_NAMES[client.protocolVersion],
      keepAlive: client.keepAliveSeconds,
      cleanStart: client.cleanStart,
      sessionPresent,
      sessionExpiry: session.expiryIntervalSeconds,
      remark: client.identity?.remark,
    });
  }

  connectionClosed(connection: Connection, wasConnected: boolean, reason: string, error: Error | undefined): void {
    this.connections.delete(connection);
    const { client } = connection;
    if (!wasConnected) {
      if (connection.refusal !== undefined) {
        if (reason !== CLOSED_BY_CLIENT) this.rates.logRefused(client, { ...client.logFields(), reason });
        return;
      }
      // Port probes and health checks connect and leave: no news, and no fault.
      if (reason === CLOSED_BY_CLIENT) this.log.info("Connection closed before CONNECT", client.logFields());
      else this.log.warn("Connection refused", { ...client.logFields(), reason });
      return;
    }
    const { session } = connection;
    this.counters.clientsConnected--;
    this.log.info("Client disconnected", { ...client.logFields(), reason });
    client.isAway = true;
    if (session.keepsWhileAway) this.permissions.clientChanged();
    const expires = session.expiryIntervalSeconds === 0;
    session.detach(connection.will);
    if (this.hooks.present.onDisconnect) this.hooks.notify("onDisconnect", client, error, expires);
  }

  forgetSession(session: Session): void {
    if (this.sessions.get(session.key) === session) this.sessions.delete(session.key);
  }

  addSubscription(topicFilter: string, subscription: Subscription, before: Subscription | undefined): void {
    const { session, group } = subscription;
    session.subscriptions.set(topicFilter, subscription);
    // Added before the old one leaves: 5.0 [MQTT-3.8.4-3] wants no message lost by replacing, and a share its place.
    this.router.add(subscription);
    if (before !== undefined) {
      session.delivery.dropBacklog(before);
      if (group === undefined) this.router.remove(before);
      return;
    }
    this.counters.subscriptions++;
    if (group !== undefined) this.counters.sharedSubscriptions++;
  }

  removeSubscription(subscription: Subscription): void {
    subscription.session.delivery.dropBacklog(subscription);
    this.archive?.subscriptionRemoved(subscription);
    this.router.remove(subscription);
    this.counters.subscriptions--;
    if (subscription.group !== undefined) this.counters.sharedSubscriptions--;
  }

  merge(parts: readonly Subscription[]): Subscription {
    return mergeSubscriptions(parts);
  }

  /** Stores or clears the retained message of the topic. False when a limit forbids it. */
  retain(client: Client, message: Message): boolean {
    const stored = this.retained.store(message);
    if (stored === undefined) {
      this.log.warn("Retained message refused: over the limits", { ...client.logFields(), topic: message.topicName });
      return false;
    }
    if (this.hooks.present.onRetainMessage) this.hooks.notify("onRetainMessage", client, packetOf(message), stored);
    return true;
  }

  /** The retained messages for a new subscription; not those of somebody else's Response Information. */
  retainedFor(session: Session, topicFilter: string): Message[] {
    const messages = this.retained.match(topicFilter);
    if (this.router.responseTopics.size === 0) return messages;
    return messages.filter((message) => {
      const owner = this.router.responseOwner(message.topicName);
      return owner === undefined || owner === session;
    });
  }

  send(message: Message, route: Route, publisherKey: string | undefined): number {
    return sendToRoute(this, message, route, publisherKey);
  }

  publishWill(session: Session, will: Will): void {
    publishWill(this, session, will);
  }

  cappedExpiry(seconds: number): number {
    const { sessionExpiryMax } = this.options;
    return sessionExpiryMax < NEVER_EXPIRES && seconds > sessionExpiryMax ? sessionExpiryMax : seconds;
  }

  /** The topic that only this session may subscribe to; made once a session, 5.0 §3.2.2.3.15. */
  responseTopicOf(session: Session): string {
    session.responseTopic ??= `res_${this.random.hex128()}`;
    this.router.responseTopics.set(session.responseTopic, session);
    return session.responseTopic;
  }

  /**
   * Handles a packet as if the client had sent it. Throws when no client of that id is connected; RangeError or
   * ProtocolError for a packet that nobody could send, which harms nobody; and ProtocolError when the packet breaks the
   * protocol here and now, which also ends that client's connection.
   */
  inject(packet: Packet, clientId: string, userName?: string): void {
    this.turn();
    const connection = this.findSession(clientId, userName)?.connection;
    if (connection === undefined)
      throw new Error(`Cannot inject a packet for ${JSON.stringify(clientId)}: not connected`);
    const received = asReceived(packet, connection.protocolVersion);
    try {
      receiveAllowed(connection, received);
    } catch (error) {
      connection.fail(error);
      throw error;
    } finally {
      this.reschedule();
    }
  }
}

/** The packet as it would come off the wire: with everything checked that decoding checks. */
function asReceived(packet: Packet, version: ProtocolVersion): Packet {
  const bytes = encodePacket(packet, version);
  let bodyStart = 2;
  while ((bytes[bodyStart - 1] as number) > 0x7f) bodyStart++;
  return decodePacket(bytes, 0, bodyStart, bytes.length, version, new TextCache());
}

const WATCHING = ["onPacketRead", "onPacketEncode", "onPacketSent", "onPacketProcessed"] as const;

export const VERSION_NAMES: Record<number, string> = { 3: "3.1", 4: "3.1.1", 5: "5.0" };
