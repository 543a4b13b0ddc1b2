import { NO_PROPERTIES } from "../codec/packet.ts";
import { encodeUtf8 } from "../codec/text.ts";
import type { Broker } from "./broker.ts";
import type { SysInfo } from "./counters.ts";
import type { Timed } from "./deadlines.ts";
import { Message } from "./message.ts";

const LOAD_WINDOWS = [
  { name: "1min", ms: 60_000 },
  { name: "5min", ms: 300_000 },
  { name: "15min", ms: 900_000 },
] as const;

/** Totals of which `$SYS/broker/load` shows the rate a minute, by its topic. */
const LOADS: readonly { topic: string; total: (broker: Broker) => number }[] = [
  { topic: "messages/received", total: ({ counters }) => counters.packetsReceived },
  { topic: "messages/sent", total: ({ counters }) => counters.packetsSent },
  { topic: "publish/received", total: ({ counters }) => counters.publishReceived },
  { topic: "publish/sent", total: ({ counters }) => counters.publishSent },
  { topic: "publish/dropped", total: ({ counters }) => counters.messagesDropped },
  { topic: "bytes/received", total: ({ counters }) => counters.bytesReceived },
  { topic: "bytes/sent", total: ({ counters }) => counters.bytesSent },
  { topic: "sockets", total: ({ counters }) => counters.connectionsAccepted },
  { topic: "connections", total: ({ counters }) => counters.connectionsAccepted - counters.connectionsRefused },
];

/**
 * `$SYS/broker/…`: retained figures by the names of Mosquitto, and mochi's where Mosquitto has none. A topic is
 * published again only when its value has changed, so that an idle broker stays idle.
 */
export class SysTopics implements Timed {
  heapIndex = -1;
  dueMs = 0;
  private readonly broker: Broker;
  private readonly published = new Map<string, string>();
  /** Topics of others, as they were last given. */
  private given = new Set<string>();
  private readonly startedMs: number;
  private readonly startedWallMs: number;
  private restored: Partial<SysInfo> = {};
  private lastMs: number;
  private readonly averages = LOADS.map(() => ({ last: 0, rates: LOAD_WINDOWS.map(() => 0) }));

  constructor(broker: Broker) {
    this.broker = broker;
    this.startedMs = broker.nowMs;
    this.startedWallMs = broker.world.clock.wallMs();
    this.lastMs = broker.nowMs;
  }

  start(): void {
    this.publishAll(this.broker.nowMs);
  }

  stop(): void {
    this.broker.deadlines.cancel(this);
  }

  /** Totals go on from where an earlier run stopped. */
  restore(info: Partial<SysInfo>): void {
    this.restored = info;
  }

  onDue(nowMs: number): void {
    this.publishAll(nowMs);
  }

  /** The topics of others, also between two intervals. */
  publishGiven(): void {
    if (!this.broker.options.sys.enabled) return;
    const before = this.given;
    this.given = new Set();
    for (const [topic, value] of this.broker.world.sysValues?.() ?? []) {
      const topicName = `$SYS/broker/${topic}`;
      this.given.add(topicName);
      this.publish(topicName, String(value));
    }
    // An empty payload takes the retained message away.
    for (const topicName of before) if (!this.given.has(topicName)) this.publish(topicName, "");
  }

  /** The figures as the hook of the tick, and the library, are given them. */
  info(): SysInfo {
    const { broker } = this;
    const { counters, nowMs } = broker;
    const { restored } = this;
    const total = broker.sessions.size;
    return {
      version: broker.world.version,
      started: Math.floor(this.startedWallMs / 1000),
      time: Math.floor(broker.world.clock.wallMs() / 1000),
      uptime: Math.floor((nowMs - this.startedMs) / 1000),
      bytesReceived: counters.bytesReceived + (restored.bytesReceived ?? 0),
      bytesSent: counters.bytesSent + (restored.bytesSent ?? 0),
      clientsConnected: counters.clientsConnected,
      clientsDisconnected: total - counters.clientsConnected,
      clientsMaximum: Math.max(counters.clientsMaximum, restored.clientsMaximum ?? 0),
      clientsTotal: total,
      messagesReceived: counters.publishReceived + (restored.messagesReceived ?? 0),
      messagesSent: counters.publishSent + (restored.messagesSent ?? 0),
      messagesDropped: counters.messagesDropped + (restored.messagesDropped ?? 0),
      packetsReceived: counters.packetsReceived + (restored.packetsReceived ?? 0),
      packetsSent: counters.packetsSent + (restored.packetsSent ?? 0),
      retained: broker.retained.size,
      inflight: counters.inflight,
      inflightDropped: counters.droppedBy.refusedByReceiver + (restored.inflightDropped ?? 0),
      subscriptions: counters.subscriptions,
      memoryAlloc: broker.world.memory().used,
      threads: 1,
    };
  }

  private publishAll(nowMs: number): void {
    const { broker } = this;
    const info = this.info();
    if (broker.hooks.present.onSysInfoTick) broker.hooks.notify("onSysInfoTick", info);
    this.updateAverages(nowMs);
    for (const [topic, value] of this.values(info)) this.publish(`$SYS/broker/${topic}`, String(value));
    this.publishGiven();
    broker.deadlines.set(this, nowMs + broker.options.sys.intervalMs);
  }

  private publish(topicName: string, value: string): void {
    if (this.published.get(topicName) === value) return;
    this.published.set(topicName, value);
    const { broker } = this;
    const payload = encodeUtf8(value);
    const message = new Message(
      topicName,
      0,
      true,
      NO_PROPERTIES,
      Number.POSITIVE_INFINITY,
      payload,
      0,
      payload.length,
    );
    broker.retained.store(message);
    broker.send(message, broker.router.route(topicName), undefined);
  }

  private *values(info: SysInfo): Generator<[string, string | number]> {
    const { broker } = this;
    const { counters, retained } = broker;
    const memory = broker.world.memory();
    yield ["version", info.version];
    yield ["started", info.started];
    yield ["time", info.time];
    yield ["uptime", `${info.uptime} seconds`];
    yield ["clients/connected", info.clientsConnected];
    yield ["clients/active", info.clientsConnected];
    yield ["clients/disconnected", info.clientsDisconnected];
    yield ["clients/inactive", info.clientsDisconnected];
    yield ["clients/maximum", info.clientsMaximum];
    yield ["clients/total", info.clientsTotal];
    yield ["clients/expired", counters.clientsExpired];
    const banned = broker.access.banned?.();
    if (banned !== undefined) yield ["clients/banned", banned];
    yield ["bytes/received", info.bytesReceived];
    yield ["bytes/sent", info.bytesSent];
    yield ["packets/received", info.packetsReceived];
    yield ["packets/sent", info.packetsSent];
    yield ["messages/received", info.packetsReceived];
    yield ["messages/sent", info.packetsSent];
    yield ["messages/dropped", info.messagesDropped];
    yield ["messages/inflight", info.inflight];
    yield ["messages/stored", retained.size + counters.queuedMessages];
    yield ["publish/messages/received", info.messagesReceived];
    yield ["publish/messages/sent", info.messagesSent];
    yield ["publish/messages/dropped", info.messagesDropped];
    yield ["publish/bytes/received", counters.publishBytesReceived];
    yield ["publish/bytes/sent", counters.publishBytesSent];
    for (const [reason, count] of Object.entries(counters.droppedBy)) yield [`publish/dropped/${reason}`, count];
    yield ["store/messages/count", retained.size + counters.queuedMessages];
    yield ["store/messages/bytes", retained.bytes + counters.queuedBytes];
    yield* this.storeValues();
    yield ["retained", retained.size];
    yield ["retained messages/count", retained.size];
    yield ["subscriptions", info.subscriptions];
    yield ["subscriptions/count", info.subscriptions];
    yield ["shared_subscriptions/count", counters.sharedSubscriptions];
    yield ["system/memory", memory.used];
    yield ["system/threads", info.threads];
    yield ["heap/current", memory.used];
    yield ["heap/maximum", memory.maximum];
    yield ["load/bytes/received", info.bytesReceived];
    yield ["load/bytes/sent", info.bytesSent];
    for (const [index, load] of LOADS.entries()) {
      for (const [window, { name }] of LOAD_WINDOWS.entries()) {
        yield [`load/${load.topic}/${name}`, this.averages[index]!.rates[window]!.toFixed(2)];
      }
    }
  }

  private *storeValues(): Generator<[string, string | number]> {
    const { archive, counters } = this.broker;
    if (archive === undefined) {
      yield ["store/state", "memory"];
      return;
    }
    const { journal, flash } = archive;
    const { commits, records, bytes, diskBytes } = journal.figures();
    yield ["store/state", journal.trouble?.kind ?? "writable"];
    yield ["store/commits", commits];
    yield ["store/records", records];
    yield ["store/records/lost", counters.storeRecordsLost];
    yield ["store/bytes", bytes];
    yield ["store/bytes/disk", diskBytes];
    yield ["store/bytes/pending", journal.pendingBytes];
    yield ["store/bytes/written/estimate", flash.writtenBytes];
    yield ["store/bytes/written/day", flash.bytesPerDay];
    yield ["store/amplification", flash.amplification.toFixed(2)];
    yield ["store/pause", journal.pauseMs];
  }

  /** Exponentially weighted, as the load averages of Unix: each figure is a rate a minute. */
  private updateAverages(nowMs: number): void {
    const elapsedMs = nowMs - this.lastMs;
    if (elapsedMs <= 0) return;
    this.lastMs = nowMs;
    for (const [index, load] of LOADS.entries()) {
      const average = this.averages[index]!;
      const total = load.total(this.broker);
      const perMinute = ((total - average.last) * 60_000) / elapsedMs;
      average.last = total;
      for (const [window, { ms }] of LOAD_WINDOWS.entries()) {
        const weight = Math.exp(-elapsedMs / ms);
        average.rates[window] = average.rates[window]! * weight + perMinute * (1 - weight);
      }
    }
  }
}
