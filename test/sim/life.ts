import { Broker, type World } from "../../src/core/broker.ts";
import type { Hook } from "../../src/core/hooks.ts";
import { defaultLimits, type Limits } from "../../src/core/limits.ts";
import { type BrokerOptions, defaultOptions } from "../../src/core/options.ts";
import type { Log, LogFields } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import type { Store } from "../../src/core/store.ts";
import type { SeededRandom } from "../hostile/random.ts";
import type { CrashPoints } from "./disk.ts";
import { keyOf } from "./message.ts";
import type { BrokerEnd, SimLink } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import type { Happening, Timeline } from "./timeline.ts";

const WALL_START_MS = 1_700_000_000_000;
/** As of a box without a clock of its own. */
const WALL_UNSET_MS = 1_000;

/** How long a queue may take to be read and trimmed. */
const OVER_BOUNDS_MS = 5_000;
/** Errors that the disk of the simulation is the reason of. */
const DISK_ERRORS = ["The disk is full", "The store cannot be written", "Lost from the store"];

/** When a life ends: at the `count`th passage of a point whose name begins so. */
export interface CrashPlan {
  point: string;
  count: number;
}

export interface LifeOptions {
  timeline: Timeline;
  random: SeededRandom;
  oracle: Oracle;
  limits: Partial<Limits>;
  mqtt: Partial<BrokerOptions>;
  /** undefined: memory only. */
  store: ((crashPoints: CrashPoints) => Store) | undefined;
  plan: CrashPlan | undefined;
  /** The wall clock is right from so many milliseconds after the start on. */
  trustedAfterMs: number;
  /** Changes the broker before it starts. */
  patch: ((broker: Broker) => void) | undefined;
  onCrash: () => void;
  trace: (who: string, event: string) => void;
}

/** One process of the broker, from its start to its crash. Once it is dead nothing that it does has an effect. */
export class Life implements BrokerEnd {
  readonly broker: Broker;
  readonly crashPoints: CrashPoints = { pass: (point) => this.pass(point) };
  readonly links = new Set<SimLink>();
  dead = false;
  /** Accepts connections. */
  started = false;
  private readonly options: LifeOptions;
  private readonly bornMs: number;
  private readonly store: Store | undefined;
  private readonly tasks: (() => void)[] = [];
  private wanted: Happening | undefined;
  private wasTouched = false;
  private readonly overSince = new Map<Session, number>();
  private plan: CrashPlan | undefined;
  private left: number;

  constructor(options: LifeOptions) {
    this.options = options;
    this.bornMs = options.timeline.nowMs;
    this.plan = options.plan;
    this.left = options.plan?.count ?? 0;
    this.store = options.store?.(this.crashPoints);
    const defaults = defaultOptions();
    const mqtt = { ...defaults, ...options.mqtt, sys: { ...defaults.sys, enabled: false } };
    this.broker = new Broker(mqtt, { ...defaultLimits(), ...options.limits }, [this.hook()], this.world());
    options.patch?.(this.broker);
  }

  async boot(): Promise<void> {
    if (this.store !== undefined) await this.broker.load();
    if (this.dead) return;
    this.broker.start();
    this.started = true;
    this.touched();
    this.options.oracle.restarted();
    this.options.trace("broker", "started");
  }

  /** From now on it does not crash any more. */
  spare(): void {
    this.plan = undefined;
  }

  touched(): void {
    this.wasTouched = true;
  }

  /** Everything of this turn was handled: what waited for that runs, and output is written. */
  endTurn(): void {
    while (this.wasTouched && !this.dead) {
      this.wasTouched = false;
      const tasksFirst = this.options.random.below(2) === 0;
      if (tasksFirst) this.runTasks();
      for (const link of this.links) {
        link.flush();
        if (link.isOver) this.links.delete(link);
      }
      if (!tasksFirst) this.runTasks();
    }
    if (!this.dead && this.started) this.checkBounds();
  }

  private runTasks(): void {
    for (const task of this.tasks.splice(0)) {
      if (this.pass("turn.task")) return;
      task();
    }
  }

  /** True when the process is dead as of now. */
  private pass(point: string): boolean {
    const { plan } = this;
    if (this.dead) return true;
    if (plan === undefined || !point.startsWith(plan.point) || --this.left > 0) return false;
    this.dead = true;
    this.options.trace("broker", `crashed at ${point}`);
    this.options.onCrash();
    for (const link of this.links) link.brokerDied();
    return true;
  }

  private world(): World {
    const { timeline, random, trustedAfterMs } = this.options;
    const trusted = () => timeline.nowMs - this.bornMs >= trustedAfterMs;
    const wallMs = () => (trusted() ? WALL_START_MS + timeline.nowMs : WALL_UNSET_MS + timeline.nowMs - this.bornMs);
    const hex = () =>
      random
        .below(2 ** 31)
        .toString(16)
        .padStart(8, "0");
    return {
      clock: { nowMs: () => 50_000 + timeline.nowMs - this.bornMs, wallMs, trusted },
      random: { hex128: () => hex() + hex() + hex() + hex() },
      log: this.log(),
      access: { authenticate: () => true as const },
      schedule: (atMs: number) => this.schedule(atMs - 50_000 + this.bornMs),
      memory: () => ({ used: 1000, maximum: 2000 }),
      version: "mqtt-broker simulation",
      atEndOfTurn: (task: () => void) => {
        this.tasks.push(task);
        this.touched();
      },
      ...(this.store === undefined ? {} : { store: this.store }),
    };
  }

  private schedule(atMs: number): void {
    const { timeline, random } = this.options;
    if (this.pass("clock.schedule")) return;
    this.wanted?.cancel();
    this.wanted = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.wanted = timeline.at(Math.ceil(atMs) + random.below(4), () => {
      if (this.pass("clock.tick")) return;
      this.wanted = undefined;
      this.touched();
      this.broker.tick();
    });
  }

  private hook(): Hook {
    const { oracle, trace } = this.options;
    return {
      name: "oracle",
      onPublishDropped: (client, packet, reason) => {
        if (this.dead) return;
        trace("broker", `dropped ${keyOf(packet.payload)} for ${client.clientId}: ${reason}`);
        oracle.dropped(client.clientId, keyOf(packet.payload), packet.qos, reason);
      },
      onQosDropped: (_client, packet) => {
        if (!this.dead) oracle.givenUp(keyOf(packet.payload));
      },
      onWillSent: (_client, packet) => {
        if (!this.dead) oracle.willPublished(keyOf(packet.payload));
      },
    };
  }

  private log(): Log {
    const { oracle, trace } = this.options;
    const note = (level: string) => (message: string, fields?: LogFields) => {
      if (!this.dead) trace("broker", `${level}: ${message} ${JSON.stringify(fields)}`);
    };
    const error = (message: string, fields?: LogFields) => {
      if (this.dead) return;
      note("error")(message, fields);
      if (DISK_ERRORS.some((known) => message.startsWith(known))) return;
      oracle.break(`the broker logged an error: ${message} ${JSON.stringify(fields)}`);
    };
    const nothing = () => {};
    return {
      enabled: (level) => level !== "debug" && level !== "trace",
      error,
      warn: note("warn"),
      info: note("info"),
      debug: nothing,
      trace: nothing,
    };
  }

  /** What is on disk only has to be read before it can be dropped, so a queue may be over its bounds for a moment. */
  private checkBounds(): void {
    const { broker, overSince } = this;
    const { oracle, timeline } = this.options;
    const { queuedMessages, queuedBytes, inflight } = broker.limits;
    for (const session of broker.sessions.values()) {
      const { waiting, queued } = session.delivery;
      const onDisk = queued?.tail?.count ?? 0;
      const bytes = queued?.queue.bytes ?? 0;
      // After a restart what was under way is counted with what waits, until it has been read.
      if (waiting <= queuedMessages + (onDisk > 0 ? inflight : 0) && bytes <= queuedBytes) {
        if (overSince.size > 0) overSince.delete(session);
        continue;
      }
      const sinceMs = overSince.get(session) ?? timeline.nowMs;
      overSince.set(session, sinceMs);
      const isReading = onDisk > 0 || sinceMs < timeline.nowMs;
      if (isReading && timeline.nowMs - sinceMs < OVER_BOUNDS_MS) continue;
      const held = `${waiting} messages (${onDisk} on disk only), ${bytes} bytes`;
      oracle.break(
        `the queue of ${session.client.clientId} has ${held}; allowed are ${queuedMessages}, ${queuedBytes}`,
      );
    }
  }
}
