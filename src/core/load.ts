import { parseShared } from "../topic/name.ts";
import type { Archive } from "./archive.ts";
import { BatchReader } from "./batch.ts";
import type { Broker } from "./broker.ts";
import { Client, NO_PEER } from "./client.ts";
import { FoundTopics } from "./found-topics.ts";
import { decodeMessage } from "./message-record.ts";
import { messageOfRecord, understood } from "./queue-reader.ts";
import { decodeQueueHead, QUEUE_HEAD_BYTES, QueueForm, SLOTS_PER_BLOCK } from "./queue-record.ts";
import {
  type ClockRecord,
  decodeClock,
  decodeSession,
  decodeSubscription,
  IDENTIFIERS_PER_SESSION,
  type SessionRecord,
} from "./records.ts";
import { restoreTail } from "./recovery.ts";
import { NEVER_EXPIRES, Session } from "./session.ts";
import { STORE_KEY_MAX, Table } from "./store.ts";
import { Subscription } from "./subscription.ts";
import { Tail } from "./tail.ts";

const PAGE_BYTES = 512 * 1024;
/** Few, since they are read whole, and each may be as large as a packet. */
const STRAYS_AT_ONCE = 8;

/** What is found of one session's queue. */
interface FoundQueue {
  tail: Tail;
  lastIdentifier: number;
  /** Messages of QoS 1 and 2 so far. */
  acknowledged: number;
}

/** The sessions by their numbers, and of those whose client was connected at the cut how much could be under way. */
interface FoundSessions {
  byNumber: Map<number, Session>;
  cutOff: Map<Session, number>;
}

/**
 * Takes up what an earlier run left in the store. Queued messages stay on disk until their client comes; what belongs
 * to nobody any more is removed.
 */
export async function loadArchive(broker: Broker, archive: Archive): Promise<void> {
  broker.turn();
  await loadClock(broker, archive);
  const sessions = await loadSessions(broker, archive);
  await loadSubscriptions(broker, archive, sessions.byNumber);
  await loadIncoming(archive, sessions.byNumber);
  const topics = broker.keepLast.isOn ? new FoundTopics(broker.keepLast) : undefined;
  await loadQueues(broker, archive, sessions, topics);
  await loadMessageKeys(archive, topics);
  topics?.settle();
  await loadRetained(broker, archive);
  await loadTotals(broker, archive);
  broker.turn();
  const found = [...sessions.byNumber.values()];
  for (const session of found) if (session.stored) startSession(broker, archive, session, sessions.cutOff.has(session));
  archive.begin();
  // Those that ended with their connection stood for its will alone, which is due: no client shall find a session there.
  for (const session of found) if (!session.stored) session.end();
}

/**
 * Goes through a table in the order of its keys. The next page is asked for before this one is dealt with, so that the
 * store and the broker work at the same time.
 */
async function each(
  archive: Archive,
  table: Table,
  visit: (reader: BatchReader) => void,
  valueBytesMax?: number,
): Promise<void> {
  const ask = (first: number): Promise<Uint8Array> =>
    archive.journal.read(0, table, first, STORE_KEY_MAX, PAGE_BYTES, valueBytesMax);
  let asked = ask(0);
  for (;;) {
    const page = await asked;
    if (page.length === 0) return;
    let lastKey = 0;
    for (const reader = new BatchReader(page); reader.next(); ) lastKey = reader.key;
    asked = ask(lastKey + 1);
    for (const reader = new BatchReader(page); reader.next(); ) visit(reader);
  }
}

/**
 * Other records are younger than the clock's: so old it had been at least, and nothing may live longer than it was meant
 * to.
 */
function growOlder(broker: Broker, archive: Archive, ageMs: number): void {
  const missingMs = ageMs - archive.age(broker.nowMs);
  if (missingMs > 0) archive.ageOffsetMs += missingMs;
}

/** The broker's age goes on from where it stood; the time it was off counts when both ends of it can be believed. */
async function loadClock(broker: Broker, archive: Archive): Promise<void> {
  const { clock } = broker.world;
  let found: ClockRecord | undefined;
  await each(archive, Table.Clock, (reader) => {
    found = understood(broker, "clock", reader, () => decodeClock(reader.value));
  });
  archive.ageOffsetMs = -broker.nowMs;
  if (found === undefined) return;
  const { ageMs, wallMs, trusted } = found as ClockRecord;
  archive.keepWall(wallMs);
  const offMs = trusted && clock.trusted() ? Math.max(0, clock.wallMs() - wallMs) : 0;
  archive.ageOffsetMs += ageMs + offMs;
}

async function loadSessions(broker: Broker, archive: Archive): Promise<FoundSessions> {
  const byNumber = new Map<number, Session>();
  const cutOff = new Map<Session, number>();
  await each(archive, Table.Session, (reader) => {
    const number = reader.key;
    archive.nextSession = Math.max(archive.nextSession, number + 1);
    const record = understood(broker, "session", reader, () => decodeSession(reader.name, reader.value));
    if (record === undefined) return;
    const session = sessionOf(broker, number, record);
    const before = broker.sessions.get(session.key);
    // Of two under one name the later one holds; the other was not removed before a crash that damaged the file.
    if (before !== undefined) {
      byNumber.delete(before.number);
      archive.journal.batch.delete(Table.Session, before.number);
    }
    broker.sessions.set(session.key, session);
    byNumber.set(number, session);
    if (record.connected) cutOff.set(session, record.sentKey);
    else if (record.expiresAtMs !== Number.POSITIVE_INFINITY) {
      growOlder(broker, archive, record.expiresAtMs - record.expiryIntervalSeconds * 1000);
    }
  });
  return { byNumber, cutOff };
}

function sessionOf(broker: Broker, number: number, record: SessionRecord): Session {
  const { clientId, userName, protocolVersion, expiryIntervalSeconds, will } = record;
  const key = broker.sessionKey(clientId, userName);
  const session = new Session(broker, key, new Client(clientId, userName, protocolVersion, false, 0, NO_PEER));
  session.number = number;
  session.stored = record.stored;
  session.expiryIntervalSeconds = expiryIntervalSeconds;
  session.delivery.sentKey = record.connected ? 0 : record.sentKey;
  if (record.responseTopic !== undefined) {
    session.responseTopic = record.responseTopic;
    broker.router.responseTopics.set(record.responseTopic, session);
  }
  // Ages as yet: see startSession.
  session.expiresAtMs = record.expiresAtMs;
  if (will !== undefined) session.delayedWill = { will, dueMs: record.willDueAtMs };
  return session;
}

async function loadSubscriptions(
  broker: Broker,
  archive: Archive,
  sessions: ReadonlyMap<number, Session>,
): Promise<void> {
  await each(archive, Table.Subscription, (reader) => {
    const { key } = reader;
    archive.nextSubscription = Math.max(archive.nextSubscription, key + 1);
    const record = understood(broker, "subscription", reader, () => decodeSubscription(reader.name, reader.value));
    if (record === undefined) return;
    archive.nextSession = Math.max(archive.nextSession, record.session + 1);
    const session = sessions.get(record.session);
    if (session === undefined) {
      archive.journal.batch.delete(Table.Subscription, key);
      return;
    }
    const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier } = record;
    const shared = parseShared(topicFilter);
    const subscription = new Subscription(
      session,
      shared?.filter ?? topicFilter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier],
      shared === undefined ? undefined : broker.router.group(shared.group, shared.filter),
    );
    subscription.key = key;
    broker.addSubscription(topicFilter, subscription, session.subscriptions.get(topicFilter));
  });
}

async function loadIncoming(archive: Archive, sessions: ReadonlyMap<number, Session>): Promise<void> {
  await each(archive, Table.Incoming, ({ key }) => {
    const session = sessions.get(Math.floor(key / IDENTIFIERS_PER_SESSION));
    if (session === undefined) {
      archive.journal.batch.delete(Table.Incoming, key);
      return;
    }
    session.incoming ??= new Set();
    session.incoming.add(key % IDENTIFIERS_PER_SESSION);
  });
}

async function loadQueues(
  broker: Broker,
  archive: Archive,
  { byNumber, cutOff }: FoundSessions,
  topics: FoundTopics | undefined,
): Promise<void> {
  const found = new Map<Session, FoundQueue>();
  const strays: number[] = [];
  let youngestMs = 0;
  const visit = (reader: BatchReader): void => {
    const { key } = reader;
    const block = Math.floor(key / SLOTS_PER_BLOCK);
    archive.queues.nextBlock = Math.max(archive.queues.nextBlock, block + 1);
    const head = understood(broker, "queue", reader, () =>
      decodeQueueHead(reader.bytes, reader.valueStart, reader.valueEnd),
    );
    if (head === undefined) return;
    youngestMs = Math.max(youngestMs, head.queuedAtMs);
    // Keys of what is lost must not be given again as long as something refers to them.
    archive.queues.nextMessage = Math.max(archive.queues.nextMessage, head.message + 1);
    archive.nextSession = Math.max(archive.nextSession, head.session + 1);
    const session = byNumber.get(head.session);
    if (session === undefined) {
      strays.push(key);
      return;
    }
    if (head.form === QueueForm.Reference) {
      archive.queues.references.set(head.message, (archive.queues.references.get(head.message) ?? 0) + 1);
    }
    let queue = found.get(session);
    if (queue === undefined) {
      queue = { tail: new Tail(), lastIdentifier: 0, acknowledged: 0 };
      found.set(session, queue);
    }
    if (session.blocks[session.blocks.length - 1] !== block) session.blocks.push(block);
    queue.tail.push(key, head.form === QueueForm.Released ? 0 : head.countedBytes, 0);
    topics?.queued(session, reader, head);
    if (head.qos !== 0) {
      queue.lastIdentifier = head.packetIdentifier;
      const underWayMax = cutOff.get(session);
      if (underWayMax !== undefined) {
        // What was under way are the oldest, and no more than may be: of QoS 2 that is certain, see Delivery.
        if (queue.acknowledged < underWayMax) session.delivery.sentKey = key;
        session.delivery.duplicateKey = key;
      }
      queue.acknowledged++;
    }
  };
  await each(archive, Table.Queue, visit, QUEUE_HEAD_BYTES);
  await removeStrays(archive, strays);
  growOlder(broker, archive, youngestMs);
  for (const [session, { tail, lastIdentifier }] of found) {
    restoreTail(session.delivery, tail, lastIdentifier);
  }
}

/**
 * Queued messages of sessions that are no more. Only their heads have been read, so without a look at their checksums: one
 * whose session's number is damaged is somebody's, and the store says that it is lost when it reads all of it.
 */
async function removeStrays({ journal }: Archive, keys: readonly number[]): Promise<void> {
  for (let at = 0; at < keys.length; at += STRAYS_AT_ONCE) {
    const some = keys.slice(at, at + STRAYS_AT_ONCE);
    await journal.readKeys(Table.Queue, some);
    for (const key of some) journal.batch.delete(Table.Queue, key);
  }
}

/** Messages that several sessions waited for, and nobody waits for any more. */
async function loadMessageKeys(archive: Archive, topics: FoundTopics | undefined): Promise<void> {
  const visit = (reader: BatchReader): void => {
    const { key } = reader;
    archive.queues.nextMessage = Math.max(archive.queues.nextMessage, key + 1);
    if (!archive.queues.references.has(key)) archive.journal.batch.delete(Table.Message, key);
    else topics?.named(reader);
  };
  await each(archive, Table.Message, visit, 0);
}

async function loadRetained(broker: Broker, archive: Archive): Promise<void> {
  await each(archive, Table.Retained, (reader) => {
    const { key } = reader;
    archive.nextRetained = Math.max(archive.nextRetained, key + 1);
    const record = understood(broker, "retained", reader, () =>
      decodeMessage(reader.name, reader.bytes, reader.valueStart, reader.valueEnd),
    );
    if (record !== undefined) broker.retained.restore(messageOfRecord(broker, record), key);
  });
}

async function loadTotals(broker: Broker, archive: Archive): Promise<void> {
  await each(archive, Table.Totals, (reader) => {
    const totals = understood(broker, "totals", reader, () => JSON.parse(new TextDecoder().decode(reader.value)));
    if (totals !== undefined && broker.options.sys.restore) broker.sys.restore(totals);
  });
}

/** From here on it expires, and its will is published, when the time comes: perhaps at the first tick. */
function startSession(broker: Broker, archive: Archive, session: Session, cutOff: boolean): void {
  const { delayedWill, expiryIntervalSeconds } = session;
  if (cutOff) {
    // The broker was cut off, and with it the connection: that is now, 5.0 [MQTT-3.1.2-8].
    const never = expiryIntervalSeconds === NEVER_EXPIRES;
    const lifetimeMs = never ? Number.POSITIVE_INFINITY : expiryIntervalSeconds * 1000;
    session.expiresAtMs = broker.nowMs + lifetimeMs;
    if (delayedWill !== undefined) {
      const delayMs = (delayedWill.will.properties.willDelayInterval ?? 0) * 1000;
      delayedWill.dueMs = broker.nowMs + Math.min(delayMs, lifetimeMs);
    }
  } else {
    session.expiresAtMs = archive.fromAge(session.expiresAtMs);
    if (delayedWill !== undefined) delayedWill.dueMs = archive.fromAge(delayedWill.dueMs);
  }
  session.schedule();
  archive.sessionDetached(session);
}
