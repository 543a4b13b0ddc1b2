import { decodeUtf8 } from "../codec/text.ts";
import { BATCH_HEAD_BYTES, BatchOp, BatchReader } from "../core/batch.ts";
import type { MessageRecord } from "../core/message-record.ts";
import { type StoreLoss, Table } from "../core/store.ts";
import { firstPut, joined, type Keeper, outcomesOf, putOf } from "./keeper.ts";
import { NamePages } from "./name-pages.ts";
import type { NineOperations, NineOptions, OperationsSession } from "./nine-operations.ts";
import {
  fromText,
  inText,
  type KeptSession,
  messageOf,
  OWN,
  sayOf,
  sessionOf,
  subscriptionOf,
  topicOf,
  understood,
} from "./nine-words.ts";
import { RecordSlots } from "./record-slots.ts";

const LAST_BATCH = `${OWN}last-batch`;
/** Pages of the names of sessions, and of retained messages. */
const SESSIONS = `${OWN}sessions/`;
const RETAINED = `${OWN}retained/`;
const RECORDS = `${OWN}records/`;
/** Reads that are under way at the same time. */
const READS = 64;
const NO_BYTES = new Uint8Array(0);

/** What a batch takes away, until it turns out that something else has the name. */
interface Gone {
  sessions: Set<KeptSession>;
  names: Set<string>;
  topics: Set<string>;
}

/** Says records in the words of the nine operations; see NineOperations. */
export class NineKeeper implements Keeper {
  private readonly operations: NineOperations;
  private readonly isMissing: (error: unknown) => boolean;
  private readonly slots: RecordSlots;
  private readonly sessions = new Map<number, KeptSession>();
  private readonly sessionPages = new NamePages();
  private readonly namesTaken = new Set<string>();
  /** The session in which each subscription stands. */
  private readonly subscriptions = new Map<number, KeptSession>();
  /** Topics of the retained messages that stand among the retained messages, and the other way. */
  private readonly topics = new Map<number, string>();
  private readonly topicKeys = new Map<string, number>();
  private readonly topicPages = new NamePages();

  constructor(operations: NineOperations, { isMissing = isMissingInMqttServer }: NineOptions) {
    this.operations = operations;
    this.isMissing = isMissing;
    this.slots = new RecordSlots((slot, record) => this.storeOwn(`${RECORDS}${slot}`, record));
  }

  async load(lose: (loss: StoreLoss) => void): Promise<Uint8Array> {
    const last = (await this.retainedOf(LAST_BATCH)) ?? NO_BYTES;
    const found: Uint8Array[] = [];
    await this.loadSessions(found, lose);
    await this.loadRetained(found, lose);
    await this.loadRecords(found, lose);
    // The broker may have been cut off while this one was spread.
    for (const call of this.spread(last)) await call();
    return joined([...found, last]);
  }

  *calls(batch: Uint8Array): Generator<(() => unknown) | undefined> {
    yield () => this.storeOwn(LAST_BATCH, batch);
    yield undefined;
    yield* this.spread(batch);
  }

  async close(): Promise<void> {
    await this.operations.close?.();
  }

  // From records to operations

  /** What a batch changes goes to its places. Calls that were made are made again after a crash, from the first one. */
  private *spread(batch: Uint8Array): Generator<() => unknown> {
    const outcomes = outcomesOf(batch, (table) => this.keysOf(table));
    const gone: Gone = { sessions: new Set(), names: new Set(), topics: new Set() };
    const changed = new Set<KeptSession>();
    for (const [table, outcome] of outcomes.entries()) {
      for (const [key, put] of outcome) if (put === undefined) this.forget(table as Table, key, gone, changed);
    }
    const messages: MessageRecord[] = [];
    for (const [table, outcome] of outcomes.entries()) {
      for (const [key, put] of outcome) {
        if (put !== undefined) this.place(table as Table, key, put, gone, changed, messages);
      }
    }
    for (const { subscriptions } of gone.sessions) {
      for (const [key, put] of subscriptions) this.keepAsRecord(Table.Subscription, key, put);
    }
    for (const topic of gone.topics) {
      this.topicPages.delete(topic);
      yield () => this.storeTopic({ topicName: topic, payload: NO_BYTES, qos: 0 });
    }
    for (const message of messages) yield () => this.storeTopic(message);
    for (const name of gone.names) {
      this.sessionPages.delete(name);
      yield () => this.operations.deleteSession(name);
    }
    for (const session of changed) {
      if (gone.sessions.has(session)) continue;
      const said = sayOf(session);
      yield () => this.operations.saveSession(session.name, said);
    }
    yield* this.slots.calls();
    yield* this.savePages(SESSIONS, this.sessionPages);
    yield* this.savePages(RETAINED, this.topicPages);
  }

  private *keysOf(table: Table): Generator<number> {
    yield* this.slots.keys(table);
    if (table === Table.Session) yield* this.sessions.keys();
    else if (table === Table.Subscription) yield* this.subscriptions.keys();
    else if (table === Table.Retained) yield* this.topics.keys();
  }

  private forget(table: Table, key: number, gone: Gone, changed: Set<KeptSession>): void {
    this.slots.delete(table, key);
    if (table === Table.Session) {
      const session = this.sessions.get(key);
      if (session === undefined) return;
      this.sessions.delete(key);
      this.namesTaken.delete(session.name);
      gone.sessions.add(session);
      gone.names.add(session.name);
    } else if (table === Table.Subscription) this.forgetSubscription(key, changed);
    else if (table === Table.Retained) {
      const topic = this.topics.get(key);
      if (topic === undefined) return;
      this.topics.delete(key);
      this.topicKeys.delete(topic);
      gone.topics.add(topic);
    }
  }

  private forgetSubscription(key: number, changed: Set<KeptSession>): void {
    const session = this.subscriptions.get(key);
    if (session === undefined) return;
    this.subscriptions.delete(key);
    session.subscriptions.delete(key);
    changed.add(session);
  }

  /** Where the interface has a place for it, or among the records. */
  private place(
    table: Table,
    key: number,
    put: Uint8Array,
    gone: Gone,
    changed: Set<KeptSession>,
    messages: MessageRecord[],
  ): void {
    if (table === Table.Session && this.placeSession(key, put, gone, changed)) this.slots.delete(table, key);
    else if (table === Table.Subscription && this.placeSubscription(key, put, changed)) this.slots.delete(table, key);
    else if (table === Table.Retained && this.placeRetained(key, put, gone, messages)) this.slots.delete(table, key);
    else {
      this.forget(table, key, gone, changed);
      this.keepAsRecord(table, key, put);
    }
  }

  private keepAsRecord(table: Table, key: number, put: Uint8Array): void {
    if (table === Table.Subscription) this.subscriptions.delete(key);
    this.slots.put(table, key, put);
  }

  private placeSession(key: number, put: Uint8Array, gone: Gone, changed: Set<KeptSession>): boolean {
    const record = understood(() => sessionOf(put));
    let session = this.sessions.get(key);
    if (record === undefined) return false;
    if (session === undefined) {
      const { clientId } = record;
      const isFree = clientId !== "" && !clientId.startsWith(OWN) && !this.namesTaken.has(clientId);
      session = { name: isFree ? clientId : `${OWN}session/${key}`, put, subscriptions: new Map() };
      this.sessions.set(key, session);
      this.namesTaken.add(session.name);
      this.sessionPages.set(session.name, session.name);
      gone.names.delete(session.name);
    }
    session.put = put;
    changed.add(session);
    return true;
  }

  private placeSubscription(key: number, put: Uint8Array, changed: Set<KeptSession>): boolean {
    const record = understood(() => subscriptionOf(put));
    const session = record === undefined ? undefined : this.sessions.get(record.session);
    if (session === undefined) return false;
    if (this.subscriptions.get(key) !== session) this.forgetSubscription(key, changed);
    this.subscriptions.set(key, session);
    session.subscriptions.set(key, put);
    changed.add(session);
    return true;
  }

  private placeRetained(key: number, put: Uint8Array, gone: Gone, messages: MessageRecord[]): boolean {
    const message = understood(() => messageOf(put));
    if (message === undefined || message.topicName === "" || message.payload.length === 0) return false;
    const { topicName, payload } = message;
    const before = this.topics.get(key);
    if (before !== topicName && this.topicKeys.has(topicName)) return false;
    if (before !== undefined && before !== topicName) this.forget(Table.Retained, key, gone, new Set());
    this.topics.set(key, topicName);
    this.topicKeys.set(topicName, key);
    gone.topics.delete(topicName);
    const head = firstPut(put);
    const headOnly = putOf(Table.Retained, key, head.name, head.value.subarray(0, head.value.length - payload.length));
    this.topicPages.set(topicName, inText(headOnly));
    messages.push(message);
    return true;
  }

  private *savePages(prefix: string, pages: NamePages): Generator<() => unknown> {
    for (const { number, texts } of pages.takeChanged()) {
      const clientId = `${prefix}${number}`;
      const subscriptions = texts.map((topic) => ({ topic, qos: 0 as const }));
      yield () => this.operations.saveSession(clientId, { clientId, cleanSession: false, subscriptions });
    }
  }

  private storeOwn(topic: string, payload: Uint8Array): unknown {
    return this.operations.storeRetained(topic, { topic, payload, qos: 0, retain: true });
  }

  private storeTopic({ topicName, payload, qos }: Pick<MessageRecord, "topicName" | "payload" | "qos">): unknown {
    const topic = topicOf(topicName);
    return this.operations.storeRetained(topic, { topic, payload, qos, retain: true });
  }

  // From operations to records

  private async loadSessions(found: Uint8Array[], lose: (loss: StoreLoss) => void): Promise<void> {
    for await (const names of this.pages(SESSIONS)) {
      this.sessionPages.restore(new Map(names.map((name) => [name, name])));
      const sessions = await Promise.all(names.map((name) => this.sessionOf(name)));
      for (const [at, session] of sessions.entries()) {
        const name = names[at]!;
        if (session === undefined) {
          // The broker was cut off before the name was gone too.
          this.sessionPages.delete(name);
          continue;
        }
        try {
          found.push(this.restoreSession(name, session));
        } catch (error) {
          lose({ table: "session", key: 0, name, reason: (error as Error).message });
        }
      }
    }
  }

  private restoreSession(name: string, { subscriptions }: OperationsSession): Uint8Array {
    const own = subscriptions.findLast(({ topic }) => topic.startsWith(OWN));
    if (own === undefined) throw new Error("its subscriptions do not hold the record that the broker had added");
    const bytes = fromText(own.topic);
    const { key } = firstPut(bytes);
    const session: KeptSession = { name, put: bytes, subscriptions: new Map() };
    for (const reader = new BatchReader(bytes); reader.next(); ) {
      const put = bytes.subarray(reader.nameStart - BATCH_HEAD_BYTES, reader.valueEnd);
      if (reader.table === Table.Session) session.put = put;
      else session.subscriptions.set(reader.key, put);
    }
    this.sessions.set(key, session);
    this.namesTaken.add(name);
    for (const one of session.subscriptions.keys()) this.subscriptions.set(one, session);
    return bytes;
  }

  private async loadRetained(found: Uint8Array[], lose: (loss: StoreLoss) => void): Promise<void> {
    for await (const texts of this.pages(RETAINED)) {
      const heads = texts.flatMap((text) => {
        try {
          const put = firstPut(fromText(text));
          return [{ text, put, topic: decodeUtf8(put.name, 0, put.name.length) }];
        } catch (error) {
          lose({ table: "retained", key: 0, name: "", reason: (error as Error).message });
          return [];
        }
      });
      this.topicPages.restore(new Map(heads.map(({ topic, text }) => [topic, text])));
      const payloads = await Promise.all(heads.map(({ topic }) => this.retainedOf(topicOf(topic))));
      for (const [at, payload] of payloads.entries()) {
        const { put, topic } = heads[at]!;
        if (payload === undefined) {
          this.topicPages.delete(topic);
          continue;
        }
        this.topics.set(put.key, topic);
        this.topicKeys.set(topic, put.key);
        found.push(putOf(Table.Retained, put.key, put.name, joined([put.value, payload])));
      }
    }
  }

  private async loadRecords(found: Uint8Array[], lose: (loss: StoreLoss) => void): Promise<void> {
    for (let first = 0; ; first += READS) {
      const slots = Array.from({ length: READS }, (_, at) => `${RECORDS}${first + at}`);
      for (const record of await Promise.all(slots.map((slot) => this.retainedOf(slot)))) {
        if (record === undefined) return;
        if (record[0] === BatchOp.Void) {
          this.slots.restore(undefined);
          continue;
        }
        try {
          const { table, key } = firstPut(record);
          this.slots.restore({ table, key });
          found.push(record);
        } catch (error) {
          this.slots.restore(undefined);
          lose({ table: "queue", key: 0, name: "", reason: (error as Error).message });
        }
      }
    }
  }

  private async *pages(prefix: string): AsyncGenerator<string[]> {
    for (let number = 0; ; number++) {
      const page = await this.sessionOf(`${prefix}${number}`);
      if (page === undefined) return;
      yield page.subscriptions.map(({ topic }) => topic);
    }
  }

  private async sessionOf(name: string): Promise<OperationsSession | undefined> {
    return this.existing(async () => this.operations.loadSession(name));
  }

  private async retainedOf(topic: string): Promise<Uint8Array | undefined> {
    const message = await this.existing(async () => this.operations.getRetained(topic));
    if (message === undefined || message.payload.length === 0) return undefined;
    if (message.payload instanceof Uint8Array) return message.payload;
    throw new TypeError(`getRetained must answer with a payload of bytes, as storeRetained was given: ${topic}`);
  }

  private async existing<T>(call: () => Promise<T | undefined | null>): Promise<T | undefined> {
    try {
      return (await call()) ?? undefined;
    } catch (error) {
      if (this.isMissing(error)) return undefined;
      throw error;
    }
  }
}

function isMissingInMqttServer(error: unknown): boolean {
  return error instanceof Error && /\bnot found$|^no retained message\b/.test(error.message);
}
