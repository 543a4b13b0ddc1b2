import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { PACKET_NAMES, PacketType } from "./codec/constants.ts";
import type { Packet } from "./codec/packet.ts";
import type { Access } from "./core/access.ts";
import { Broker } from "./core/broker.ts";
import type { SysInfo } from "./core/counters.ts";
import { checkEntrance, type Entrance, NO_ENTRANCE } from "./core/entrance.ts";
import type { Hook } from "./core/hooks.ts";
import type { InlineClient, PublishOptions } from "./core/inline.ts";
import type { Limits } from "./core/limits.ts";
import type { BrokerOptions } from "./core/options.ts";
import type { Clock, GatewayHandler, Link, Listener, Log } from "./core/ports.ts";
import { type Store, type StoreEvents, StoreInUse } from "./core/store.ts";
import { bytesWritten } from "./os/block-io.ts";
import { HostRandom } from "./os/random.ts";
import { HostTimer } from "./os/timers.ts";
import { attachStream, ServerListener } from "./transport/stream.ts";
import { Turn } from "./transport/turn.ts";
import { VERSION } from "./version.ts";

/** How long a stop waits for subscribers to take what waits for them, and for those that take nothing. */
const DRAIN_MS_MAX = 2_000;
const DRAIN_PAUSE_MS_MAX = 300;

/** How long it waits for the disk before the clients are told to go. */
const SETTLE_MS_MAX = 1_000;

/** What the parts are made of; see createBroker for what the defaults are. */
export interface Parts {
  options: BrokerOptions;
  limits: Limits;
  access: Access;
  hooks: readonly Hook[];
  log: Log;
  clock: Clock;
  /** False: the clock is the caller's own, and so is calling `tick`. */
  ticks: boolean;
  /** Where sessions and messages outlive the process; undefined: in memory alone. */
  store?: Store | undefined;
  /** The broker does not start when nothing can be kept in `store`; else it serves from memory, and says so. */
  storeRequired?: boolean;
  /** Started before anything is restored or accepted, in this order, and stopped when the broker has. */
  companions?: readonly Companion[];
  /** The store's own mistake: what it had not answered for is not kept, and the process should end. */
  onStoreFailed?: (error: Error) => void;
  /** More for `$SYS`, by topic below "$SYS/broker/"; asked once the broker has started. */
  sysValues?: () => Iterable<[topic: string, value: string | number]>;
}

/** What lives as long as the broker runs, beside it. */
export interface Companion {
  /** Rejects when the broker cannot start without it. */
  start(): Promise<void>;
  /** What an earlier run has left is there again, and no listener is open; they wait for it. Never rejects. */
  restored?(): Promise<void>;
  /** All listeners are open. Not awaited, and never rejects. */
  opened?(): void;
  /** A listener is none of the broker's any more and about to close, which waits for it. Never rejects. */
  leaving?(): Promise<void>;
  /** The listeners are about to close, which waits for it. */
  closing?(): Promise<void>;
  /** Also when it was never started. Idempotent. */
  stop(): void | Promise<void>;
}

/** A session as the library shows it. */
export interface SessionInfo {
  clientId: string;
  userName: string | undefined;
  connected: boolean;
  address: string;
  subscriptions: string[];
  queuedMessages: number;
  inflightMessages: number;
}

/** A listener, and what it asks at present of those who come by it. */
interface Way {
  readonly listener: Listener;
  entrance: Entrance;
}

/** The broker with its listeners, its timer and its turn of the event loop: started and stopped as one. */
export class RunningBroker {
  /** Publishes and subscribes in the program's own name, past every ACL. */
  readonly inlineClient: InlineClient;
  /** Shared by the links of all listeners: one flush per turn of the event loop. */
  readonly turn = new Turn();
  private readonly core: Broker;
  private readonly timer: HostTimer;
  private readonly log: Log;
  private readonly storeRequired: boolean;
  private readonly companions: readonly Companion[];
  private readonly ways: Way[] = [];
  private state: "new" | "started" | "stopped" = "new";
  private stopped: Promise<void> | undefined;
  private storeRefusal: string | undefined;
  private isLoaded = false;

  constructor(parts: Parts) {
    this.log = parts.log;
    this.timer = new HostTimer(parts.clock, () => this.core.tick());
    this.core = new Broker(parts.options, parts.limits, parts.hooks, {
      clock: parts.clock,
      random: new HostRandom(),
      log: parts.log,
      access: parts.access,
      schedule: parts.ticks ? (atMs) => this.timer.schedule(atMs) : () => {},
      memory: heap,
      version: `mqtt-broker ${VERSION}`,
      atEndOfTurn: (task) => this.turn.atEnd(task),
      ...(parts.store !== undefined && { store: throughTurn(parts.store, this.turn) }),
      bytesWritten,
      ...(parts.sysValues !== undefined && { sysValues: parts.sysValues }),
      onStoreFailed: (error) => {
        this.log.error("The store has failed", { reason: error.stack ?? error.message });
        parts.onStoreFailed?.(error);
      },
    });
    this.storeRequired = parts.storeRequired ?? false;
    this.companions = parts.companions ?? [];
    this.inlineClient = this.core.inlineClient;
  }

  /**
   * Restores what the store and hooks have kept and opens all listeners. Rejects when one cannot listen, or when another
   * broker has the store; the others are closed again, and the broker is stopped. A broker starts once: for another run
   * make another.
   */
  async start(): Promise<void> {
    if (this.state !== "new") throw new Error(`Cannot start: already ${this.state}`);
    this.state = "started";
    try {
      for (const companion of this.companions) await companion.start();
      if (this.core.archive !== undefined) await this.load();
      this.core.start();
      for (const companion of this.companions) await companion.restored?.();
      // A copy, since listeners that are added meanwhile are opened by whoever adds them.
      for (const way of [...this.ways]) await this.open(way);
      // Listeners have read their certificates now.
      this.core.sys.publishGiven();
    } catch (error) {
      await this.stop();
      throw error;
    }
    for (const companion of this.companions) companion.opened?.();
    this.core.hooks.notify("onStarted");
  }

  /**
   * Stops accepting connections and messages, lets subscribers take what waits for them for at most two seconds, tells
   * every client (5.0: 0x8B), writes what is gathered. Later calls wait for the first.
   */
  stop(): Promise<void> {
    this.stopped ??= this.shutDown();
    return this.stopped;
  }

  /**
   * Adds a way in; opened at once when the broker has started. `entrance`: what it asks of those who come by it. Rejects
   * when it cannot listen, the name is taken, or `entrance` asks for what nobody can.
   */
  async addListener(listener: Listener, entrance: Entrance = NO_ENTRANCE): Promise<void> {
    const { name } = listener;
    checkEntrance(entrance);
    if (this.state === "stopped") throw new Error(`Cannot add the listener ${name}: the broker has stopped`);
    if (this.listens(name)) throw new Error(`Cannot add the listener ${name}: there is one of that name`);
    const way: Way = { listener, entrance };
    this.ways.push(way);
    if (this.state === "new") return;
    try {
      await this.open(way);
    } catch (error) {
      this.ways.splice(this.ways.indexOf(way), 1);
      throw error;
    }
  }

  /**
   * Takes a way in away: nobody new comes by it, and who is connected stays. False when there is none of that name.
   * `isReplaced`: another of its name comes at once, so nobody outside is told that it goes.
   */
  async removeListener(name: string, isReplaced = false): Promise<boolean> {
    const index = this.ways.findIndex(({ listener }) => listener.name === name);
    if (index === -1) return false;
    const [way] = this.ways.splice(index, 1);
    const { listener } = way!;
    if (!isReplaced) await Promise.all(this.companions.map((companion) => companion.leaving?.()));
    await listener.close();
    this.log.info(`Listening no more on ${listener.url}`, { listener: name });
    return true;
  }

  /**
   * What a listener asks of those who come by it from now on; for who is connected, all stays as it was. False when there
   * is no listener of that name. Throws TypeError or RangeError for what nobody can ask.
   */
  setEntrance(name: string, entrance: Entrance): boolean {
    checkEntrance(entrance);
    const way = this.ways.find(({ listener }) => listener.name === name);
    if (way === undefined) return false;
    way.entrance = entrance;
    return true;
  }

  /**
   * Serves the connections of a server that you made: net, tls, or anything with their events. It may begin to listen
   * before or afterwards, and is closed when the broker stops. `name` is "server" when you give none, then "server-2".
   */
  async listen(server: Server, name?: string, entrance?: Entrance): Promise<void> {
    let free = name ?? "server";
    for (let number = 2; name === undefined && this.listens(free); number++) free = `server-${number}`;
    await this.addListener(new ServerListener(free, server, this.turn), entrance);
  }

  /**
   * Serves one client over any byte stream; `name` stands for the listener in logs and rules, `entrance` for what it asks:
   * give the same object to all that should share it. Throws as `setEntrance`.
   */
  attach(duplex: Duplex, name = "attached", entrance: Entrance = NO_ENTRANCE): void {
    checkEntrance(entrance);
    attachStream(duplex, (link) => this.core.accept(link, entrance), this.turn, name);
  }

  /** Serves a link of this process. `entrance`: as for `attach`. Throws as `setEntrance`. */
  accept(link: Link, entrance: Entrance = NO_ENTRANCE): GatewayHandler {
    checkEntrance(entrance);
    return this.core.accept(link, entrance);
  }

  /** By which a session is known: two clients of one key have one session. */
  sessionKey(clientId: string, userName: string | undefined): string {
    return this.core.sessionKey(clientId, userName);
  }

  /** Messages that wait for the session of this client, or that it has not acknowledged; 0 when there is none. */
  waitingFor(clientId: string): number {
    return this.core.findSession(clientId)?.delivery.unacknowledged ?? 0;
  }

  /** Publishes in the program's own name; returns how many sessions it was for. See InlineClient.publish. */
  publish(topicName: string, payload: Uint8Array | string, options?: PublishOptions): number {
    return this.inlineClient.publish(topicName, payload, options);
  }

  /**
   * Handles a packet as if this client had sent it; without one a PUBLISH goes out in the program's own name.
   * Throws when no such client is connected, and for a packet that it could not send; what breaks the protocol ends
   * the client's connection too.
   */
  inject(packet: Packet, asClient?: string, userName?: string): void {
    if (asClient !== undefined) {
      this.core.inject(packet, asClient, userName);
      return;
    }
    if (packet.type !== PacketType.PUBLISH) {
      throw new TypeError(`Cannot inject ${PACKET_NAMES[packet.type]}: name the client that it stands for`);
    }
    const { topicName, payload, qos, retain, properties } = packet;
    this.inlineClient.publish(topicName, payload, { qos, retain, properties });
  }

  /** Where the listeners accept, with real ports: "tcp://[::]:1883". */
  get listeners(): { name: string; url: string }[] {
    return this.ways.map(({ listener: { name, url } }) => ({ name, url }));
  }

  get urls(): string[] {
    return this.ways.map(({ listener }) => listener.url);
  }

  get sessions(): SessionInfo[] {
    return [...this.core.sessions.values()].map((session) => ({
      clientId: session.client.clientId,
      userName: session.client.userName,
      connected: session.live,
      address: session.live ? session.client.peer.address : "",
      subscriptions: [...session.subscriptions.keys()],
      queuedMessages: session.delivery.waiting,
      inflightMessages: session.delivery.inflight?.count ?? 0,
    }));
  }

  /** The figures of `$SYS`. */
  get info(): SysInfo {
    return this.core.sys.info();
  }

  /** Why nothing outlives this process though a store was given; undefined when what is to be kept is kept. */
  get unkept(): string | undefined {
    return this.storeRefusal;
  }

  /** What time it is at least, by what the store has kept of earlier runs: milliseconds since 1970, 0 for nothing. */
  get keptWallMs(): number {
    return this.core.archive?.keptWallMs ?? 0;
  }

  /** For a clock of your own: time has passed. */
  tick(): void {
    this.core.tick();
  }

  private async load(): Promise<void> {
    try {
      await this.core.load();
      this.isLoaded = true;
    } catch (error) {
      if (this.storeRequired || error instanceof StoreInUse) throw error;
      this.storeRefusal = (error as Error).message;
      this.log.error("Nothing outlives this process: the store cannot be used", { reason: this.storeRefusal });
      this.core.serveFromMemory();
    }
  }

  private listens(name: string): boolean {
    return this.ways.some(({ listener }) => listener.name === name);
  }

  private async open(way: Way): Promise<void> {
    const { listener } = way;
    await listener.listen((link) => this.core.accept(link, way.entrance));
    // Stopped while it opened: `stop` has closed it too early.
    if (this.stopped !== undefined) {
      await listener.close();
      throw new Error(`Cannot listen on ${listener.url}: the broker was stopped`);
    }
    this.log.info(`Listening on ${listener.url}`, { listener: listener.name });
  }

  /** Messages that were acknowledged to their publishers should not be lost because we stop in order. */
  private async drain(): Promise<void> {
    const startedMs = performance.now();
    let progressMs = startedMs;
    let least = this.core.waitingForConnected;
    while (least > 0) {
      await sleep(5);
      const nowMs = performance.now();
      const waiting = this.core.waitingForConnected;
      if (waiting < least) progressMs = nowMs;
      least = Math.min(least, waiting);
      if (nowMs - startedMs > DRAIN_MS_MAX || nowMs - progressMs > DRAIN_PAUSE_MS_MAX) return;
    }
  }

  private async shutDown(): Promise<void> {
    this.state = "stopped";
    await Promise.all(this.companions.map((companion) => companion.closing?.()));
    for (const { listener } of this.ways) await listener.close();
    this.core.quiesce();
    await this.drain();
    // What was acknowledged by the disk meanwhile is told to the clients before they are told to go.
    await Promise.race([this.core.settled(), sleep(SETTLE_MS_MAX, undefined, { ref: false })]);
    this.core.stop();
    this.turn.flush();
    // Stopped while the store was opened, which takes a minute when a damaged one is saved: there is nothing to be written yet.
    if (this.isLoaded) await this.core.close();
    for (const companion of this.companions) await companion.stop();
    this.timer.close();
    this.core.hooks.notify("onStopped");
  }
}

/**
 * What the store answers is handled like bytes that came in: what it leads to is written at once when nothing else
 * happens, and with the rest of the turn otherwise.
 */
function throughTurn(store: Store, turn: Turn): Store {
  const open = (events: StoreEvents): Promise<void> => {
    const onDurable = (count: number): void => {
      turn.beginRead();
      events.onDurable(count);
      turn.endRead();
    };
    return store.open({
      onDurable,
      onTrouble: (trouble) => events.onTrouble(trouble),
      onRecovered: () => events.onRecovered(),
      onLost: (loss) => events.onLost(loss),
      onFailed: (error) => events.onFailed(error),
    });
  };
  return {
    kind: store.kind,
    open,
    commit: (batch) => store.commit(batch),
    read: (table, first, last, bytesMax, valueBytesMax) => store.read(table, first, last, bytesMax, valueBytesMax),
    readKeys: (table, keys) => store.readKeys(table, keys),
    figures: () => store.figures(),
    close: () => store.close(),
  };
}

function heap(): { used: number; maximum: number } {
  const { used_heap_size: used, total_heap_size: maximum } = getHeapStatistics();
  return { used, maximum };
}
