import { PacketType } from "../codec/constants.ts";
import {
  type Connect,
  NO_PROPERTIES,
  Publish,
  type PublishProperties,
  type Subscribe,
  type Unsubscribe,
} from "../codec/packet.ts";
import { Client, NO_PEER } from "../core/client.ts";
import type { SysInfo } from "../core/counters.ts";
import { decodeMessage, type MessageRecord } from "../core/message-record.ts";
import { decodeQueued, QueueForm, type QueueRecord } from "../core/queue-record.ts";
import { decodeSession, decodeSubscription } from "../core/records.ts";
import { type StoreLoss, Table } from "../core/store.ts";
import type { HookOperations } from "./hook-operations.ts";
import { recordsOfHooks } from "./hook-records.ts";
import { firstPut, type Keeper, type Outcome, outcomesOf } from "./keeper.ts";

/** Whoever published what is retained is not known any more. */
const NOBODY = new Client("", undefined, 5, true, 0, NO_PEER, true);
const NO_BYTES = new Uint8Array(0);

/** What the hooks tell apart: they know no sessions, of which one may end in the same batch in which the next begins. */
interface KnownClient {
  /** The session that began last. */
  session: number;
  /** Keys of what waits under each packet identifier: the first is what the hooks know. */
  waiting: Map<number, number[]>;
  /** Key of the record of each Topic Filter. */
  filters: Map<string, number>;
}

interface KnownSession {
  number: number;
  client: Client;
  connected: boolean;
  known: KnownClient;
}

interface KnownMessage {
  session: KnownSession;
  packet: Publish;
}

/** Says records in the words of mochi's hooks; see HookOperations. */
export class HookKeeper implements Keeper {
  private readonly operations: HookOperations;
  private readonly clients = new Map<string, KnownClient>();
  private readonly sessions = new Map<number, KnownSession>();
  private readonly subscriptions = new Map<number, { session: KnownSession; topicFilter: string }>();
  private readonly queue = new Map<number, KnownMessage>();
  /** What several sessions wait for. */
  private readonly messages = new Map<number, MessageRecord>();
  private readonly topics = new Map<number, string>();
  /** When the broker's age was 0, by this process's clock. */
  private bornMs = 0;

  constructor(operations: HookOperations) {
    this.operations = operations;
  }

  async load(lose: (loss: StoreLoss) => void): Promise<Uint8Array> {
    const batch = await recordsOfHooks(this.operations, lose);
    this.bornMs = performance.now();
    // Known as if it had been told; the calls themselves are not made.
    for (const _ of this.calls(batch));
    return batch;
  }

  *calls(batch: Uint8Array): Generator<(() => unknown) | undefined> {
    const outcomes = outcomesOf(batch, (table) => this.keysOf(table));
    const of = (table: Table): Outcome => outcomes[table]!;
    for (const [key, put] of of(Table.Session)) if (put !== undefined) yield* this.sessionKept(key, put);
    for (const [key, put] of of(Table.Subscription)) if (put !== undefined) yield* this.subscribed(key, put);
    for (const [key, put] of of(Table.Message)) if (put !== undefined) this.messages.set(key, messageOf(put));
    for (const [key, put] of of(Table.Queue)) if (put !== undefined) yield* this.queued(key, put);
    yield* this.retained(of(Table.Retained));
    for (const put of of(Table.Totals).values()) if (put !== undefined) yield this.totals(put);
    for (const [key, put] of of(Table.Queue)) if (put === undefined) yield* this.completed(key, of(Table.Session));
    for (const [key, put] of of(Table.Message)) if (put === undefined) this.messages.delete(key);
    for (const [key, put] of of(Table.Subscription)) if (put === undefined) yield* this.unsubscribed(key);
    for (const [key, put] of of(Table.Session)) if (put === undefined) yield* this.sessionEnded(key);
  }

  async close(): Promise<void> {
    await this.operations.onStopped?.();
  }

  private *keysOf(table: Table): Generator<number> {
    if (table === Table.Session) yield* this.sessions.keys();
    else if (table === Table.Subscription) yield* this.subscriptions.keys();
    else if (table === Table.Queue) yield* this.queue.keys();
    else if (table === Table.Message) yield* this.messages.keys();
    else if (table === Table.Retained) yield* this.topics.keys();
  }

  private *sessionKept(key: number, put: Uint8Array): Generator<() => unknown> {
    const { name, value } = firstPut(put);
    const record = decodeSession(name, value);
    // One that stands for a will alone does not outlive its connection.
    if (!record.stored) return;
    const { clientId, userName, protocolVersion, connected, expiryIntervalSeconds, will } = record;
    const before = this.sessions.get(key);
    const client = before?.client ?? new Client(clientId, userName, protocolVersion, false, 0, NO_PEER);
    const session = before ?? { number: key, client, connected, known: this.knownClient(client) };
    const wasConnected = session.connected;
    session.known.session = key;
    this.sessions.set(key, session);
    session.connected = connected;
    const packet: Connect = {
      type: PacketType.CONNECT,
      protocolVersion,
      cleanStart: false,
      keepAliveSeconds: 0,
      clientId,
      will,
      userName,
      password: undefined,
      properties: { sessionExpiryInterval: expiryIntervalSeconds },
      bridge: false,
    };
    yield () => this.operations.onSessionEstablished?.(client, packet);
    if (wasConnected && !connected) yield () => this.operations.onDisconnect?.(client, undefined, false);
  }

  private knownClient(client: Client): KnownClient {
    const key = keyOf(client);
    const known = this.clients.get(key) ?? { session: 0, waiting: new Map(), filters: new Map() };
    this.clients.set(key, known);
    return known;
  }

  private *sessionEnded(key: number): Generator<() => unknown> {
    const session = this.sessions.get(key);
    if (session === undefined) return;
    this.sessions.delete(key);
    // When its client has begun anew nothing of that must go.
    if (session.known.session !== key) return;
    this.clients.delete(keyOf(session.client));
    yield () => this.operations.onClientExpired?.(session.client);
  }

  private *subscribed(key: number, put: Uint8Array): Generator<() => unknown> {
    const { name, value } = firstPut(put);
    const record = decodeSubscription(name, value);
    const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier } = record;
    const session = this.sessions.get(record.session);
    if (session === undefined) return;
    this.subscriptions.set(key, { session, topicFilter });
    session.known.filters.set(topicFilter, key);
    const packet: Subscribe = {
      type: PacketType.SUBSCRIBE,
      packetIdentifier: 0,
      entries: [{ topicFilter, qos, noLocal, retainAsPublished, retainHandling }],
      properties: subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier },
    };
    yield () => this.operations.onSubscribed?.(session.client, packet, [qos]);
  }

  private *unsubscribed(key: number): Generator<() => unknown> {
    const known = this.subscriptions.get(key);
    if (known === undefined) return;
    this.subscriptions.delete(key);
    const { session, topicFilter } = known;
    // As above.
    if (session.known.filters.get(topicFilter) !== key) return;
    session.known.filters.delete(topicFilter);
    const type = PacketType.UNSUBSCRIBE;
    const packet: Unsubscribe = { type, packetIdentifier: 0, topicFilters: [topicFilter], properties: {} };
    yield () => this.operations.onUnsubscribed?.(session.client, packet);
  }

  private *queued(key: number, put: Uint8Array): Generator<() => unknown> {
    const { name, bytes, valueStart, valueEnd } = firstPut(put);
    const record = decodeQueued(name, bytes, valueStart, valueEnd);
    const session = this.sessions.get(record.session);
    if (session === undefined || record.qos === 0) return;
    const { packetIdentifier } = record;
    const known = this.queue.get(key);
    if (record.form === QueueForm.Released) {
      const packet = known?.packet ?? this.packet(record, NOTHING);
      this.queue.set(key, { session, packet });
      if (known === undefined) session.known.waiting.set(packetIdentifier, [key]);
      yield () => this.operations.onQosReleased?.(session.client, packet);
      return;
    }
    const message = record.whole ?? this.messages.get(record.message);
    if (message === undefined) return;
    const packet = this.packet(record, message);
    this.queue.set(key, { session, packet });
    const { waiting } = session.known;
    const keys = waiting.get(packetIdentifier) ?? [];
    waiting.set(packetIdentifier, keys);
    if (known === undefined) keys.push(key);
    if (keys[0] === key) yield () => this.operations.onQosPublish?.(session.client, packet, performance.now(), 0);
  }

  private *completed(key: number, sessions: Outcome): Generator<() => unknown> {
    const message = this.queue.get(key);
    if (message === undefined) return;
    this.queue.delete(key);
    const { session, packet } = message;
    const {
      client,
      known: { waiting },
    } = session;
    const keys = waiting.get(packet.packetIdentifier)!;
    const wasFirst = keys[0] === key;
    keys.splice(keys.indexOf(key), 1);
    if (keys.length === 0) waiting.delete(packet.packetIdentifier);
    if (!wasFirst) return;
    const { operations } = this;
    const isEnding = sessions.has(session.number) && sessions.get(session.number) === undefined;
    if (isEnding && operations.onQosDropped !== undefined) yield () => operations.onQosDropped?.(client, packet);
    else yield () => operations.onQosComplete?.(client, packet);
    const next = this.queue.get(keys[0] ?? -1);
    if (next !== undefined) yield () => operations.onQosPublish?.(client, next.packet, performance.now(), 0);
  }

  private *retained(outcome: Outcome): Generator<() => unknown> {
    const gone = new Set<string>();
    for (const [key, put] of outcome) {
      const topic = this.topics.get(key);
      if (put !== undefined || topic === undefined) continue;
      this.topics.delete(key);
      gone.add(topic);
    }
    for (const [key, put] of outcome) {
      if (put === undefined) continue;
      const message = messageOf(put);
      const { topicName, payload, qos } = message;
      this.topics.set(key, topicName);
      gone.delete(topicName);
      const packet = new Publish(topicName, qos, true, false, 0, this.properties(message), payload, 0, payload.length);
      yield () => this.operations.onRetainMessage?.(NOBODY, packet, 1);
    }
    for (const topic of gone) {
      const packet = new Publish(topic, 0, true, false, 0, NO_PROPERTIES, NO_BYTES, 0, 0);
      yield () => this.operations.onRetainMessage?.(NOBODY, packet, -1);
    }
  }

  private totals(put: Uint8Array): () => unknown {
    const info = JSON.parse(new TextDecoder().decode(firstPut(put).value)) as SysInfo;
    return () => this.operations.onSysInfoTick?.(info);
  }

  private packet(record: QueueRecord, message: MessageRecord): Publish {
    const { qos, retain, packetIdentifier, subscriptionIdentifiers } = record;
    const { topicName, payload } = message;
    const own = this.properties(message);
    const properties = subscriptionIdentifiers === undefined ? own : { ...own, subscriptionIdentifiers };
    return new Publish(topicName, qos, retain, false, packetIdentifier, properties, payload, 0, payload.length);
  }

  private properties({ properties, expiresAtMs }: MessageRecord): PublishProperties {
    if (expiresAtMs === Number.POSITIVE_INFINITY) return properties;
    const leftMs = expiresAtMs - (performance.now() - this.bornMs);
    return { ...properties, messageExpiryInterval: Math.max(1, Math.ceil(leftMs / 1000)) };
  }
}

/** Of a message that was released before this run, only its identifier is left. */
const NOTHING: MessageRecord = {
  topicName: "",
  qos: 0,
  retain: false,
  properties: NO_PROPERTIES,
  expiresAtMs: Number.POSITIVE_INFINITY,
  payload: NO_BYTES,
};

/** U+0000 is in no MQTT string. */
function keyOf({ clientId, userName }: Client): string {
  return userName === undefined ? clientId : `${clientId}\u0000${userName}`;
}

function messageOf(put: Uint8Array): MessageRecord {
  const { name, bytes, valueStart, valueEnd } = firstPut(put);
  return decodeMessage(name, bytes, valueStart, valueEnd);
}
