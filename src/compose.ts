import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import { getHeapStatistics } from "node:v8";
import type { Packet } from "./codec/packet.ts";
import type { Access } from "./core/access.ts";
import { Broker } from "./core/broker.ts";
import type { SysInfo } from "./core/counters.ts";
import type { Hook } from "./core/hooks.ts";
import type { InlineClient, PublishOptions } from "./core/inline.ts";
import type { Limits } from "./core/limits.ts";
import type { BrokerOptions } from "./core/options.ts";
import type { Accept, Clock, Listener, Log } from "./core/ports.ts";
import { HostRandom } from "./os/random.ts";
import { HostTimer } from "./os/timers.ts";
import { attachStream, ServerListener } from "./transport/stream.ts";
import { Turn } from "./transport/turn.ts";
import { VERSION } from "./version.ts";

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

/** The broker with its listeners, its timer and its turn of the event loop: started and stopped as one. */
export class RunningBroker {
  /** Publishes and subscribes in the program's own name, past every ACL. */
  readonly inlineClient: InlineClient;
  /** Shared by the links of all listeners: one flush per turn of the event loop. */
  readonly turn = new Turn();
  private readonly core: Broker;
  private readonly timer: HostTimer;
  private readonly log: Log;
  private readonly listeners: Listener[] = [];
  private readonly accept: Accept = (link) => this.core.accept(link);
  private started = false;
  private stopped: Promise<void> | undefined;

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
    });
    this.inlineClient = this.core.inlineClient;
  }

  /** Restores what hooks have stored and opens all listeners. Rejects when one cannot listen; the others are closed again. */
  async start(): Promise<void> {
    if (this.started) throw new Error("Cannot start: already started");
    this.started = true;
    this.core.start();
    try {
      for (const listener of this.listeners) await this.open(listener);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.core.hooks.notify("onStarted");
  }

  /** Stops accepting, tells every client, writes what is gathered. Later calls wait for the first. */
  stop(): Promise<void> {
    this.stopped ??= this.shutDown();
    return this.stopped;
  }

  /** Adds a way in; opened at once when the broker has started. Rejects when it cannot listen or the name is taken. */
  async addListener(listener: Listener): Promise<void> {
    if (this.listeners.some((known) => known.name === listener.name)) {
      throw new Error(`Cannot add the listener ${listener.name}: there is one of that name`);
    }
    this.listeners.push(listener);
    if (this.started) await this.open(listener);
  }

  /** Serves the connections of a server that you made: net, tls, or anything with their events. */
  async listen(server: Server, name = "server"): Promise<void> {
    await this.addListener(new ServerListener(name, server, this.turn));
  }

  /** Serves one client over any byte stream; `name` stands for the listener in logs and rules. */
  attach(duplex: Duplex, name = "attached"): void {
    attachStream(duplex, this.accept, this.turn, name);
  }

  /** Publishes in the program's own name; returns how many sessions it was for. See InlineClient.publish. */
  publish(topicName: string, payload: Uint8Array | string, options?: PublishOptions): number {
    return this.inlineClient.publish(topicName, payload, options);
  }

  /** Handles a packet as if this client had sent it. Throws when no such client is connected. */
  inject(packet: Packet, asClient: string, userName?: string): void {
    this.core.inject(packet, asClient, userName);
  }

  get sessions(): SessionInfo[] {
    return [...this.core.sessions.values()].map((session) => ({
      clientId: session.client.clientId,
      userName: session.client.userName,
      connected: session.live,
      address: session.live ? session.client.peer.address : "",
      subscriptions: [...session.subscriptions.keys()],
      queuedMessages: session.waiting,
      inflightMessages: session.inflight?.count ?? 0,
    }));
  }

  /** The figures of `$SYS`. */
  get info(): SysInfo {
    return this.core.sys.info();
  }

  /** For a clock of your own: time has passed. */
  tick(): void {
    this.core.tick();
  }

  private async open(listener: Listener): Promise<void> {
    await listener.listen(this.accept);
    this.log.info(`Listening on ${listener.url}`, { listener: listener.name });
  }

  private async shutDown(): Promise<void> {
    for (const listener of this.listeners) await listener.close();
    this.core.stop();
    this.turn.flush();
    this.timer.close();
    this.core.hooks.notify("onStopped");
  }
}

function heap(): { used: number; maximum: number } {
  const { used_heap_size: used, total_heap_size: maximum } = getHeapStatistics();
  return { used, maximum };
}
