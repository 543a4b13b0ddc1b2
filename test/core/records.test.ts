import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ProtocolVersion, Qos } from "../../src/codec/constants.ts";
import type { PublishProperties, RetainHandling } from "../../src/codec/packet.ts";
import { decodeMessage, encodeMessage, type MessageRecord } from "../../src/core/message-record.ts";
import {
  decodeQueued,
  decodeQueueHead,
  encodeQueued,
  QUEUE_HEAD_BYTES,
  QueueForm,
  type QueueRecord,
} from "../../src/core/queue-record.ts";
import {
  decodeClock,
  decodeSession,
  decodeSubscription,
  encodeClock,
  encodeSession,
  encodeSubscription,
  nameBytes,
} from "../../src/core/records.ts";

/** Any text that a packet may carry. */
const text = (max = 40): fc.Arbitrary<string> =>
  fc.string({ unit: "grapheme", maxLength: max }).filter((made) => !made.includes("\u0000"));
/** As fc.record, of plain objects. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const qos = fc.constantFrom<Qos>(0, 1, 2);
const age = fc.oneof(fc.nat(2 ** 40), fc.constant(Number.POSITIVE_INFINITY));
const bytes = fc.uint8Array({ maxLength: 60 });

const properties: fc.Arbitrary<PublishProperties> = fc.record(
  {
    payloadFormatIndicator: fc.constantFrom<0 | 1>(0, 1),
    responseTopic: text().filter((topic) => topic !== "" && !/[#+]/.test(topic)),
    correlationData: bytes,
    contentType: text(),
    userProperties: fc.array(fc.tuple(text(10), text(10)), { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);

const message = record<MessageRecord>({
  topicName: text().filter((topic) => topic !== ""),
  qos,
  retain: fc.boolean(),
  properties,
  expiresAtMs: age,
  payload: bytes,
});

test("a message is read as it was written, wherever it stands", () => {
  fc.assert(
    fc.property(message, fc.nat(20), (record, shift) => {
      const value = encodeMessage(record);
      const shifted = new Uint8Array(value.length + shift + 3);
      shifted.set(value, shift);
      assert.deepEqual(decodeMessage(nameBytes(record.topicName), shifted, shift, shift + value.length), record);
    }),
  );
});

test("a queue record is read as it was written, and its head from the first bytes alone", () => {
  const identifiers = fc.option(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }), {
    nil: undefined,
  });
  const share = fc.option(record({ name: text(), topicFilter: text() }), { nil: undefined });
  const head = record({
    qos,
    retain: fc.boolean(),
    packetIdentifier: fc.nat(65_535),
    countedBytes: fc.nat(2 ** 31),
    session: fc.nat(2 ** 31),
    queuedAtMs: fc.nat(2 ** 40),
  });
  fc.assert(
    fc.property(head, identifiers, share, fc.option(message, { nil: undefined }), (common, ids, group, whole) => {
      const form = whole === undefined ? QueueForm.Reference : QueueForm.Whole;
      const number = whole === undefined ? 2 ** 33 : 0;
      const record = { ...common, form, message: number, subscriptionIdentifiers: ids, share: group, whole };
      const value = encodeQueued(record);
      const name = nameBytes(whole?.topicName ?? "");
      assert.deepEqual(decodeQueued(name, value, 0, value.length), record);
      assert.deepEqual(decodeQueueHead(value.subarray(0, QUEUE_HEAD_BYTES), 0, QUEUE_HEAD_BYTES), {
        ...common,
        form,
        message: number,
      });
    }),
  );
});

test("a session is read as it was written, with its will", () => {
  const will = record({
    topicName: text(),
    payload: bytes,
    qos,
    retain: fc.boolean(),
    properties: fc.record(
      { willDelayInterval: fc.nat(2 ** 31), contentType: text() },
      { requiredKeys: [], noNullPrototype: true },
    ),
  });
  const session = record({
    clientId: text(),
    userName: fc.option(text(), { nil: undefined }),
    protocolVersion: fc.constantFrom<ProtocolVersion>(3, 4, 5),
    stored: fc.boolean(),
    connected: fc.boolean(),
    expiryIntervalSeconds: fc.nat(2 ** 31),
    expiresAtMs: age,
    responseTopic: fc.option(text(), { nil: undefined }),
    sentKey: fc.nat(2 ** 45),
    will: fc.option(will, { nil: undefined }),
    willDueAtMs: age,
  });
  fc.assert(
    fc.property(session, (record) => {
      const willDueAtMs = record.will === undefined ? Number.POSITIVE_INFINITY : record.willDueAtMs;
      assert.deepEqual(decodeSession(nameBytes(record.clientId), encodeSession(record)), { ...record, willDueAtMs });
    }),
  );
});

test("a subscription and the clock are read as they were written", () => {
  const subscription = record({
    session: fc.nat(2 ** 31),
    topicFilter: text(),
    qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom<RetainHandling>(0, 1, 2),
    subscriptionIdentifier: fc.option(fc.integer({ min: 1, max: 268_435_455 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(subscription, (record) => {
      assert.deepEqual(decodeSubscription(nameBytes(record.topicFilter), encodeSubscription(record)), record);
    }),
  );
  for (const trusted of [true, false]) {
    const clock = { ageMs: 123_456_789_012, wallMs: 1_800_000_000_000, trusted };
    assert.deepEqual(decodeClock(encodeClock(clock)), clock);
  }
});

test("bytes that are no record are refused with an Error, at every length", () => {
  const whole: MessageRecord = {
    topicName: "t",
    qos: 1,
    retain: false,
    properties: {},
    expiresAtMs: 5,
    payload: Buffer.from("m"),
  };
  const record = {
    form: QueueForm.Whole,
    qos: 1,
    retain: false,
    packetIdentifier: 7,
    countedBytes: 2,
    session: 1,
    queuedAtMs: 3,
    message: 0,
    subscriptionIdentifiers: [9],
    share: { name: "g", topicFilter: "t" },
    whole,
  } satisfies QueueRecord;
  const value = encodeQueued(record);
  for (let length = 0; length < value.length - 1; length++) {
    assert.throws(() => decodeQueued(nameBytes("t"), value, 0, length), Error, `${length} bytes`);
  }
  assert.throws(() => decodeQueueHead(new Uint8Array(QUEUE_HEAD_BYTES).fill(9), 0, QUEUE_HEAD_BYTES), /Unknown form 9/);
  assert.throws(() => decodeClock(new Uint8Array(16)), /has 16 bytes, not 17/);
  assert.throws(() => decodeSubscription(nameBytes("t"), new Uint8Array(8)), /has 8 bytes, not 9/);
  assert.throws(() => decodeSession(nameBytes("c"), new Uint8Array(3)), Error);
});
