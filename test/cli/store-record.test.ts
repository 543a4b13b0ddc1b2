import assert from "node:assert/strict";
import { test } from "node:test";
import { LineError } from "../../src/cli/store-line.ts";
import { describeRecord, readRecord, type StoredRecord } from "../../src/cli/store-record.ts";
import { encodeMessage } from "../../src/core/message-record.ts";
import { encodeQueued, QueueForm, type QueueRecord } from "../../src/core/queue-record.ts";
import { encodeClock, encodeSession, encodeSubscription, type SessionRecord } from "../../src/core/records.ts";
import { Table } from "../../src/core/store.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NOTHING = bytes("");
const NEVER = Number.POSITIVE_INFINITY;

const SESSION: SessionRecord = {
  clientId: "pump",
  userName: undefined,
  protocolVersion: 4,
  stored: true,
  connected: false,
  expiryIntervalSeconds: 60,
  expiresAtMs: 61_000,
  responseTopic: undefined,
  sentKey: 0,
  will: undefined,
  willDueAtMs: NEVER,
};

const QUEUED: QueueRecord = {
  form: QueueForm.Reference,
  qos: 1,
  retain: false,
  packetIdentifier: 7,
  countedBytes: 12,
  session: 3,
  queuedAtMs: 1000,
  message: 2 ** 40,
  subscriptionIdentifiers: undefined,
  share: undefined,
  whole: undefined,
};

const MESSAGE = {
  topicName: "a/ü",
  qos: 2 as const,
  retain: true,
  properties: {},
  expiresAtMs: NEVER,
  payload: bytes("21.5"),
};

const BASE_MESSAGE = { topicName: "a/ü", qos: 2, retain: true, expiresAtMs: null };
const PROPERTIES = {
  payloadFormatIndicator: 1 as const,
  messageExpiryInterval: 4_294_967_295,
  contentType: "text/plain",
  responseTopic: "r",
  correlationData: Uint8Array.of(0xff, 0),
  userProperties: [
    ["a", "1"],
    ["a", "2"],
  ] as [string, string][],
};

/** Each record, and the line that a person reads. */
const RECORDS: readonly [title: string, record: StoredRecord, line: object][] = [
  [
    "the clock",
    {
      table: Table.Clock,
      key: 0,
      name: NOTHING,
      value: encodeClock({ ageMs: 5, wallMs: 1_700_000_000_000, trusted: true }),
    },
    { type: "clock", key: 0, ageMs: 5, wallMs: 1_700_000_000_000, trusted: true },
  ],
  [
    "a session",
    { table: Table.Session, key: 3, name: bytes("pump"), value: encodeSession(SESSION) },
    {
      type: "session",
      key: 3,
      clientId: "pump",
      protocolVersion: 4,
      stored: true,
      connected: false,
      expiryIntervalSeconds: 60,
      sentKey: 0,
      expiresAtMs: 61_000,
    },
  ],
  [
    "a session with all that it can have",
    {
      table: Table.Session,
      key: 2 ** 32 - 1,
      name: bytes("pump"),
      value: encodeSession({
        ...SESSION,
        userName: "u",
        protocolVersion: 5,
        connected: true,
        expiresAtMs: NEVER,
        responseTopic: "res",
        sentKey: 2 ** 52,
        will: {
          topicName: "w",
          payload: bytes("gone"),
          qos: 1,
          retain: true,
          properties: { willDelayInterval: 30, correlationData: bytes("c") },
        },
        willDueAtMs: 9,
      }),
    },
    {
      type: "session",
      key: 2 ** 32 - 1,
      clientId: "pump",
      userName: "u",
      protocolVersion: 5,
      stored: true,
      connected: true,
      expiryIntervalSeconds: 60,
      responseTopic: "res",
      sentKey: 2 ** 52,
      expiresAtMs: null,
      will: {
        topicName: "w",
        qos: 1,
        retain: true,
        properties: { correlationData: "c", willDelayInterval: 30 },
        payload: "gone",
      },
      willDueAtMs: 9,
    },
  ],
  [
    "a subscription",
    {
      table: Table.Subscription,
      key: 9,
      name: bytes("$share/g/a/#"),
      value: encodeSubscription({
        session: 3,
        topicFilter: "$share/g/a/#",
        qos: 1,
        noLocal: false,
        retainAsPublished: true,
        retainHandling: 2,
        subscriptionIdentifier: 268_435_455,
      }),
    },
    {
      type: "subscription",
      key: 9,
      session: 3,
      topicFilter: "$share/g/a/#",
      qos: 1,
      noLocal: false,
      retainAsPublished: true,
      retainHandling: 2,
      subscriptionIdentifier: 268_435_455,
    },
  ],
  [
    "an incoming identifier",
    { table: Table.Incoming, key: 3 * 65_536 + 65_535, name: NOTHING, value: NOTHING },
    { type: "incoming", session: 3, packetIdentifier: 65_535 },
  ],
  [
    "a message of text",
    { table: Table.Message, key: 1, name: bytes("a/ü"), value: encodeMessage(MESSAGE) },
    { type: "message", key: 1, ...BASE_MESSAGE, payload: "21.5" },
  ],
  [
    "a retained message of bytes with every property",
    {
      table: Table.Retained,
      key: Number.MAX_SAFE_INTEGER,
      name: bytes("a/ü"),
      value: encodeMessage({ ...MESSAGE, properties: PROPERTIES, expiresAtMs: 1, payload: Uint8Array.of(0xc3) }),
    },
    {
      type: "retained",
      key: Number.MAX_SAFE_INTEGER,
      ...BASE_MESSAGE,
      expiresAtMs: 1,
      properties: { ...PROPERTIES, correlationData: { base64: "/wA=" } },
      payload: { base64: "ww==" },
    },
  ],
  [
    "an empty payload",
    { table: Table.Retained, key: 1, name: bytes("a/ü"), value: encodeMessage({ ...MESSAGE, payload: NOTHING }) },
    { type: "retained", key: 1, ...BASE_MESSAGE, payload: "" },
  ],
  [
    "a queued reference",
    { table: Table.Queue, key: 5 * 2 ** 20, name: NOTHING, value: encodeQueued(QUEUED) },
    {
      type: "queued",
      key: 5 * 2 ** 20,
      qos: 1,
      retain: false,
      packetIdentifier: 7,
      countedBytes: 12,
      session: 3,
      queuedAtMs: 1000,
      message: 2 ** 40,
    },
  ],
  [
    "a queued message, whole",
    {
      table: Table.Queue,
      key: 6,
      name: bytes("a/ü"),
      value: encodeQueued({
        ...QUEUED,
        form: QueueForm.Whole,
        message: 0,
        subscriptionIdentifiers: [1, 268_435_455],
        share: { name: "g", topicFilter: "a/#" },
        whole: { ...MESSAGE, payload: bytes("\ufeffline\n") },
      }),
    },
    {
      type: "queued",
      key: 6,
      qos: 1,
      retain: false,
      packetIdentifier: 7,
      countedBytes: 12,
      session: 3,
      queuedAtMs: 1000,
      subscriptionIdentifiers: [1, 268_435_455],
      share: { name: "g", topicFilter: "a/#" },
      message: { ...BASE_MESSAGE, payload: "\ufeffline\n" },
    },
  ],
  [
    "a queued message that PUBREC released",
    {
      table: Table.Queue,
      key: 6,
      name: NOTHING,
      value: encodeQueued({ ...QUEUED, form: QueueForm.Released, qos: 2, message: 0 }),
    },
    {
      type: "queued",
      key: 6,
      qos: 2,
      retain: false,
      packetIdentifier: 7,
      countedBytes: 12,
      session: 3,
      queuedAtMs: 1000,
      message: null,
    },
  ],
  [
    "a record of a table that this version gives no meaning",
    { table: Table.Totals, key: 0, name: bytes("n"), value: Uint8Array.of(0xfe) },
    { type: "raw", table: "totals", key: 0, name: "n", value: { base64: "/g==" } },
  ],
  [
    "a record that cannot be understood",
    { table: Table.Session, key: 1, name: Uint8Array.of(0xff), value: bytes("x") },
    { type: "raw", table: "session", key: 1, name: { base64: "/w==" }, value: "x" },
  ],
  [
    "a record with more than this version knows",
    {
      table: Table.Clock,
      key: 0,
      name: bytes("later"),
      value: Uint8Array.of(...encodeClock({ ageMs: 0, wallMs: 0, trusted: false }), 1),
    },
    { type: "raw", table: "clock", key: 0, name: "later", value: { base64: "AAAAAAAAAAAAAAAAAAAAAAAB" } },
  ],
];

for (const [title, record, line] of RECORDS) {
  test(`${title} becomes a line, and that line the record`, () => {
    const described = describeRecord(record);
    assert.deepEqual(described, line);
    const { table, key, name, value } = readRecord(JSON.parse(JSON.stringify(described)));
    assert.deepEqual({ table, key }, { table: record.table, key: record.key });
    assert.deepEqual([Buffer.from(name), Buffer.from(value)], [Buffer.from(record.name), Buffer.from(record.value)]);
  });
}

const line = (type: string, change: object = {}): object => {
  const found = RECORDS.find(([, , each]) => (each as { type: string }).type === type)![2];
  return { ...found, ...change };
};

for (const [given, message] of [
  [null, "It is not an object in braces"],
  [[], "It is not an object in braces"],
  [{}, "type is missing: it is a text"],
  [
    { type: "sesion" },
    'Unknown type "sesion": known are clock, session, subscription, incoming, message, queued, retained, raw',
  ],
  [{ type: "raw", table: "x" }, "table must be the name of a table"],
  [line("clock", { trusted: "yes" }), "trusted must be true or false"],
  [line("clock", { more: 1 }), 'Unknown member "more"'],
  [line("session", { key: -1 }), "key must be a whole number from 0 to 9007199254740991"],
  [line("session", { protocolVersion: 6 }), "protocolVersion must be a whole number from 3 to 5"],
  [line("session", { clientId: "a\0" }), "clientId must be a text"],
  [line("session", { clientId: "\ud800" }), "clientId must be a text"],
  [line("session", { will: 5 }), "will must be an object"],
  [line("session", { will: { topicName: "w" } }), "will.qos is missing: it is a whole number from 0 to 2"],
  [line("subscription", { topicFilter: "a#" }), "topicFilter must be a topic filter"],
  [line("subscription", { qos: 1.5 }), "qos must be a whole number from 0 to 2"],
  [line("incoming", { packetIdentifier: 0 }), "packetIdentifier must be a whole number from 1 to 65535"],
  [line("message", { topicName: "a/+" }), "topicName must be a topic name"],
  [line("message", { payload: { base64: "=" } }), 'payload must be a text or {"base64": "…"}'],
  [line("message", { payload: { base64: "", x: 1 } }), 'payload must be a text or {"base64": "…"}'],
  [line("message", { expiresAtMs: "never" }), "expiresAtMs must be a whole number from 0 to 9007199254740991"],
  [line("retained", { properties: { contentTyp: "" } }), 'Unknown member "properties.contentTyp"'],
  [
    line("retained", { properties: { userProperties: [["a"]] } }),
    "properties.userProperties must be a list of pairs of texts",
  ],
  [line("queued", { message: "x" }), "message must be a whole number from 0 to 9007199254740991"],
  [line("queued", { message: { topicName: "a" } }), "message.qos is missing: it is a whole number from 0 to 2"],
  [line("queued", { share: { name: "g", topicFilter: "" } }), "share.topicFilter must be a topic filter"],
  [line("queued", { subscriptionIdentifiers: [0] }), "subscriptionIdentifiers must be a list of whole numbers"],
] as const) {
  test(`the line ${JSON.stringify(given)} is refused`, () => {
    assert.throws(() => readRecord(given), new LineError(message));
  });
}
