import assert from "node:assert/strict";
import type { Access } from "../../src/core/access.ts";
import { Broker } from "../../src/core/broker.ts";
import type { Hook } from "../../src/core/hooks.ts";
import { defaultLimits, type Limits } from "../../src/core/limits.ts";
import { type BrokerOptions, defaultOptions } from "../../src/core/options.ts";
import type { Log, LogFields, LogLevel } from "../../src/core/ports.ts";
import type { Store } from "../../src/core/store.ts";
import { FakeLink } from "./fake-link.ts";
import { lineOf } from "./line.ts";
import { type PeerOptions, TestPeer } from "./peer.ts";

export type StageMqtt = Partial<Omit<BrokerOptions, "compat" | "queue" | "sys">> & {
  compat?: Partial<BrokerOptions["compat"]>;
  queue?: Partial<BrokerOptions["queue"]>;
  sys?: Partial<BrokerOptions["sys"]>;
};

export interface StageOptions {
  mqtt?: StageMqtt;
  limits?: Partial<Limits>;
  hooks?: Hook[];
  access?: Access;
  logLevel?: LogLevel;
  /** Then the broker starts with `load`. */
  store?: Store;
  wallMs?: number;
  sysValues?: () => Iterable<[topic: string, value: string | number]>;
  bytesWritten?: () => number;
  /** Whether the wall clock can be believed. */
  trusted?: boolean;
}

/** A broker with a clock that moves only by `advance`, and clients without sockets. `$SYS` is off unless asked for. */
export class Stage {
  readonly broker: Broker;
  readonly log: TestLog;
  nowMs = 50_000;
  wallMs = 1_700_000_000_000;
  private wantedMs = Number.POSITIVE_INFINITY;
  private readonly peers: TestPeer[] = [];
  private readonly endOfTurn: (() => void)[] = [];
  private random = 0;

  constructor(given: StageOptions = {}) {
    const defaults = defaultOptions();
    const mqtt = given.mqtt ?? {};
    this.wallMs = given.wallMs ?? this.wallMs;
    this.log = new TestLog(given.logLevel ?? "info");
    const options = {
      ...defaults,
      ...mqtt,
      compat: { ...defaults.compat, ...mqtt.compat },
      queue: { ...defaults.queue, ...mqtt.queue },
      sys: { ...defaults.sys, enabled: false, ...mqtt.sys },
    };
    this.broker = new Broker(options, { ...defaultLimits(), ...given.limits }, given.hooks ?? [], {
      clock: { nowMs: () => this.nowMs, wallMs: () => this.wallMs, trusted: () => given.trusted ?? true },
      random: { hex128: () => (++this.random).toString(16).padStart(32, "0") },
      log: this.log,
      access: given.access ?? { authenticate: () => true },
      schedule: (atMs) => {
        this.wantedMs = atMs;
      },
      memory: () => ({ used: 1000, maximum: 2000 }),
      version: "mqtt-broker test",
      atEndOfTurn: (task) => this.endOfTurn.push(task),
      ...(given.bytesWritten !== undefined && { bytesWritten: given.bytesWritten }),
      ...(given.store !== undefined && { store: given.store }),
      ...(given.sysValues !== undefined && { sysValues: given.sysValues }),
    });
    if (given.store === undefined) this.broker.start();
  }

  /** A broker that has taken up what is in `store`. */
  static async load(store: Store, given: StageOptions = {}): Promise<Stage> {
    const stage = new Stage({ ...given, store });
    await stage.broker.load();
    stage.broker.start();
    stage.flush();
    return stage;
  }

  get counters(): Broker["counters"] {
    return this.broker.counters;
  }

  /** A connection on which nothing was sent yet. */
  open(options: PeerOptions = {}): TestPeer {
    const address = `192.0.2.1:${this.peers.length + 1}`;
    const peer = new TestPeer(this, options, (onTaken) => {
      const from = { address, local: false, listener: "test", transport: "fake", ...options.from };
      const link = new FakeLink(from, onTaken);
      link.handler = this.broker.accept(link, options.entrance);
      return link;
    });
    this.peers.push(peer);
    this.flush();
    return peer;
  }

  /** CONNECT is sent, what comes is left to the test. */
  dial(options: PeerOptions = {}): TestPeer {
    const peer = this.open(options);
    peer.connect();
    return peer;
  }

  /** A client that was accepted, its CONNACK taken. */
  connect(clientId: string, options: PeerOptions = {}): TestPeer {
    const peer = this.dial({ clientId, ...options });
    const first = peer.received.shift();
    assert.ok(first?.cmd === "connack", `no CONNACK but ${first === undefined ? "nothing" : lineOf(first)}`);
    assert.equal(first.reasonCode ?? first.returnCode, 0);
    return peer;
  }

  /** A client whose session outlives its connection; it goes on with an old one. */
  resume(clientId: string, options: PeerOptions = {}): TestPeer {
    const properties = { sessionExpiryInterval: 3600, ...options.properties };
    return this.connect(clientId, { clean: false, ...options, ...(options.version === 4 ? {} : { properties }) });
  }

  /** Ends turns of the event loop until nothing is left to do. */
  flush(): void {
    for (let worked = true; worked; ) {
      worked = this.endOfTurn.length > 0;
      for (const task of this.endOfTurn.splice(0)) task();
      for (const peer of this.peers) worked = peer.link.flush() || peer.answer() || worked;
    }
  }

  /** Time passes, with a tick whenever the broker has asked for one, and never otherwise. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.wantedMs <= endMs) {
      this.move(Math.max(this.nowMs, this.wantedMs));
      this.wantedMs = Number.POSITIVE_INFINITY;
      this.broker.tick();
      this.flush();
    }
    this.move(endMs);
  }

  /** Lets promises settle, and then all that follows from it happen. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.flush();
  }

  private move(toMs: number): void {
    this.wallMs += toMs - this.nowMs;
    this.nowMs = toMs;
  }
}

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

export interface TestLogLine {
  level: LogLevel;
  message: string;
  fields: LogFields;
}

export class TestLog implements Log {
  readonly lines: TestLogLine[] = [];
  private readonly level: LogLevel;

  constructor(level: LogLevel) {
    this.level = level;
  }

  enabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) <= LEVELS.indexOf(this.level);
  }

  error = (message: string, fields: LogFields = {}): void => this.note("error", message, fields);
  warn = (message: string, fields: LogFields = {}): void => this.note("warn", message, fields);
  info = (message: string, fields: LogFields = {}): void => this.note("info", message, fields);
  debug = (message: string, fields: LogFields = {}): void => this.note("debug", message, fields);
  trace = (message: string, fields: LogFields = {}): void => this.note("trace", message, fields);

  /** The fields of all lines with this message. */
  of(message: string): LogFields[] {
    return this.lines.filter((line) => line.message === message).map((line) => line.fields);
  }

  /** The lines of one level, without their fields. */
  at(level: LogLevel): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }

  private note(level: LogLevel, message: string, fields: LogFields): void {
    if (this.enabled(level)) this.lines.push({ level, message, fields });
  }
}
