import type { ProtocolVersion } from "../codec/constants.ts";
import type { RetainHandling } from "../codec/packet.ts";
import { decodeMessage, encodeMessage, type MessageRecord } from "../core/message-record.ts";
import { decodeQueued, encodeQueued, QueueForm } from "../core/queue-record.ts";
import {
  decodeClock,
  decodeSession,
  decodeSubscription,
  encodeClock,
  encodeSession,
  encodeSubscription,
  IDENTIFIERS_PER_SESSION,
  nameBytes,
} from "../core/records.ts";
import { STORE_KEY_MAX, STORE_TABLES, Table } from "../core/store.ts";
import { isTopicFilter } from "../topic/name.ts";
import { bytesToJson, Fields, type JsonObject, LineError, timeToJson, withoutUndefined } from "./store-line.ts";
import {
  describeMessage,
  describeWill,
  identifiersOf,
  qosOf,
  readMessage,
  readMessageMembers,
  readShare,
  readWill,
} from "./store-message.ts";

/** One record of a store as an export has it: an object of a line, and back. The README has the form. */
export interface StoredRecord {
  table: Table;
  key: number;
  name: Uint8Array;
  value: Uint8Array;
}

/** How the records of one table are written down. */
interface Kind {
  type: string;
  table: Table;
  /** The members that say what the record says; throws for bytes that it cannot understand. */
  describe(record: StoredRecord): JsonObject;
  /** The record of such members. */
  read(fields: Fields): StoredRecord;
}

const UINT32_MAX = 4_294_967_295;
const NOTHING = new Uint8Array(0);

/** The object of a record: members by name where that says all, else its bytes under type "raw". */
export function describeRecord(record: StoredRecord): JsonObject {
  const kind = KINDS.find(({ table }) => table === record.table);
  try {
    if (kind !== undefined) {
      const line = { type: kind.type, ...kind.describe(record) };
      // What this version does not know of a record would be lost without a word.
      if (isSame(readRecord(line), record)) return line;
    }
  } catch {
    // The checksum was right, so a later version may well understand it.
  }
  const { key, name, value } = record;
  const table = STORE_TABLES[record.table];
  return { type: "raw", table, key, name: bytesToJson(name), value: bytesToJson(value) };
}

/** The record that an object stands for. Throws LineError when it stands for none. */
export function readRecord(line: unknown): StoredRecord {
  const fields = new Fields(line);
  const type = fields.text("type");
  const record = type === "raw" ? readRaw(fields) : kindOf(type).read(fields);
  fields.end();
  return record;
}

function kindOf(type: string): Kind {
  const kind = KINDS.find((each) => each.type === type);
  if (kind !== undefined) return kind;
  throw new LineError(
    `Unknown type ${JSON.stringify(type)}: known are ${KINDS.map((each) => each.type).join(", ")}, raw`,
  );
}

function readRaw(fields: Fields): StoredRecord {
  const isTable = (text: string): boolean => (STORE_TABLES as readonly string[]).includes(text);
  const table = (STORE_TABLES as readonly string[]).indexOf(fields.text("table", "the name of a table", isTable));
  return { table: table as Table, key: keyOf(fields), name: fields.bytes("name"), value: fields.bytes("value") };
}

const CLOCK: Kind = {
  type: "clock",
  table: Table.Clock,
  describe: ({ key, value }) => ({ key, ...decodeClock(value) }),
  read: (fields) => {
    const ageMs = fields.whole("ageMs", 0, STORE_KEY_MAX);
    const wallMs = fields.whole("wallMs", 0, STORE_KEY_MAX);
    const value = encodeClock({ ageMs, wallMs, trusted: fields.flag("trusted") });
    return { table: Table.Clock, key: keyOf(fields), name: NOTHING, value };
  },
};

const SESSION: Kind = {
  type: "session",
  table: Table.Session,
  describe: ({ key, name, value }) => {
    const { expiresAtMs, will, willDueAtMs, ...members } = decodeSession(name, value);
    const waiting = will === undefined ? {} : { will: describeWill(will), willDueAtMs: timeToJson(willDueAtMs) };
    return { key, ...withoutUndefined(members), expiresAtMs: timeToJson(expiresAtMs), ...waiting };
  },
  read: (fields) => {
    const clientId = fields.text("clientId");
    const will = fields.optional("will", (name) => readWill(fields.inside(name)));
    const value = encodeSession({
      clientId,
      userName: fields.optional("userName", (name) => fields.text(name)),
      protocolVersion: fields.whole<ProtocolVersion>("protocolVersion", 3, 5),
      stored: fields.flag("stored"),
      connected: fields.flag("connected"),
      expiryIntervalSeconds: fields.whole("expiryIntervalSeconds", 0, UINT32_MAX),
      expiresAtMs: fields.time("expiresAtMs"),
      responseTopic: fields.optional("responseTopic", (name) => fields.text(name)),
      sentKey: fields.whole("sentKey", 0, STORE_KEY_MAX),
      will,
      willDueAtMs: will === undefined ? Number.POSITIVE_INFINITY : fields.time("willDueAtMs"),
    });
    return { table: Table.Session, key: keyOf(fields), name: nameBytes(clientId), value };
  },
};

const SUBSCRIPTION: Kind = {
  type: "subscription",
  table: Table.Subscription,
  describe: ({ key, name, value }) => ({ key, ...withoutUndefined(decodeSubscription(name, value)) }),
  read: (fields) => {
    const topicFilter = fields.text("topicFilter", "a topic filter", isTopicFilter);
    const value = encodeSubscription({
      session: fields.whole("session", 0, UINT32_MAX),
      topicFilter,
      qos: qosOf(fields),
      noLocal: fields.flag("noLocal"),
      retainAsPublished: fields.flag("retainAsPublished"),
      retainHandling: fields.whole<RetainHandling>("retainHandling", 0, 2),
      subscriptionIdentifier: fields.optional("subscriptionIdentifier", (name) => fields.whole(name, 1, UINT32_MAX)),
    });
    return { table: Table.Subscription, key: keyOf(fields), name: nameBytes(topicFilter), value };
  },
};

const INCOMING: Kind = {
  type: "incoming",
  table: Table.Incoming,
  describe: ({ key }) => {
    const packetIdentifier = key % IDENTIFIERS_PER_SESSION;
    return { session: (key - packetIdentifier) / IDENTIFIERS_PER_SESSION, packetIdentifier };
  },
  read: (fields) => {
    const session = fields.whole("session", 0, UINT32_MAX);
    const key = session * IDENTIFIERS_PER_SESSION + fields.whole("packetIdentifier", 1, 65_535);
    return { table: Table.Incoming, key, name: NOTHING, value: NOTHING };
  },
};

const QUEUED: Kind = {
  type: "queued",
  table: Table.Queue,
  describe: ({ key, name, value }) => {
    const { form, message, whole, ...members } = decodeQueued(name, value, 0, value.length);
    if (form === QueueForm.Released) return { key, ...withoutUndefined(members), message: null };
    return { key, ...withoutUndefined(members), message: whole === undefined ? message : describeMessage(whole) };
  },
  read: (fields) => {
    const given = fields.raw("message");
    const isWhole = typeof given === "object" && given !== null;
    const whole = isWhole ? readMessage(fields.inside("message")) : undefined;
    const form = given === null ? QueueForm.Released : isWhole ? QueueForm.Whole : QueueForm.Reference;
    const value = encodeQueued({
      form,
      qos: qosOf(fields),
      retain: fields.flag("retain"),
      packetIdentifier: fields.whole("packetIdentifier", 0, 65_535),
      countedBytes: fields.whole("countedBytes", 0, UINT32_MAX),
      session: fields.whole("session", 0, UINT32_MAX),
      queuedAtMs: fields.time("queuedAtMs"),
      message: form === QueueForm.Reference ? fields.whole("message", 0, STORE_KEY_MAX) : 0,
      subscriptionIdentifiers: fields.optional("subscriptionIdentifiers", () => identifiersOf(fields)),
      share: fields.optional("share", (name) => readShare(fields.inside(name))),
      whole,
    });
    return { table: Table.Queue, key: keyOf(fields), name: whole === undefined ? NOTHING : nameOf(whole), value };
  },
};

const KINDS: readonly Kind[] = [
  CLOCK,
  SESSION,
  SUBSCRIPTION,
  INCOMING,
  messageKind("message", Table.Message),
  QUEUED,
  messageKind("retained", Table.Retained),
];

function messageKind(type: string, table: Table): Kind {
  return {
    type,
    table,
    describe: ({ key, name, value }) => ({ key, ...describeMessage(decodeMessage(name, value, 0, value.length)) }),
    read: (fields) => {
      const key = keyOf(fields);
      const message = readMessageMembers(fields);
      return { table, key, name: nameOf(message), value: encodeMessage(message) };
    },
  };
}

function keyOf(fields: Fields): number {
  return fields.whole("key", 0, STORE_KEY_MAX);
}

function nameOf({ topicName }: MessageRecord): Uint8Array {
  return nameBytes(topicName);
}

function isSame(a: StoredRecord, b: StoredRecord): boolean {
  return a.table === b.table && a.key === b.key && isEqual(a.name, b.name) && isEqual(a.value, b.value);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
