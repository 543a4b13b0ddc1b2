import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_PROPERTIES, Publish, type PublishProperties } from "../../src/codec/packet.ts";
import { Message, messageOf } from "../../src/core/message.ts";

const publishOf = (properties: PublishProperties): Publish =>
  new Publish("t", 1, true, false, 7, properties, Buffer.from("..payload.."), 2, 9);

test("keep copies the payload out of the receive buffer, once", () => {
  const buffer = Buffer.from("..payload..");
  const message = new Message("t", 0, false, NO_PROPERTIES, Number.POSITIVE_INFINITY, buffer, 2, 9);
  message.keep();
  buffer.fill(0);
  assert.equal(Buffer.from(message.payload).toString(), "payload");
  assert.deepEqual([message.payloadStart, message.payloadEnd, message.bytes.length], [0, 7, 7]);
  const { bytes } = message;
  message.keep();
  assert.equal(message.bytes, bytes);
});

test("countedBytes are payload and Topic Name", () => {
  assert.equal(messageOf(publishOf({}), 0, undefined).countedBytes, 8);
});

test("5.0 [MQTT-3.3.2-15] [MQTT-3.3.2-20] properties of the message go on, those of the connection are left behind", () => {
  const properties = {
    topicAlias: 3,
    subscriptionIdentifiers: [1],
    messageExpiryInterval: 5,
    contentType: "c",
    responseTopic: "r",
  };
  const message = messageOf(publishOf(properties), 1000, undefined);
  assert.deepEqual(message.properties, { contentType: "c", responseTopic: "r" });
  assert.equal(message.expiresAtMs, 6000);
});

test("a message of which no property is left shares the empty list", () => {
  assert.equal(messageOf(publishOf({ topicAlias: 3 }), 0, undefined).properties, NO_PROPERTIES);
  assert.equal(messageOf(publishOf(NO_PROPERTIES), 0, undefined).properties, NO_PROPERTIES);
});

const expiries: [given: number | undefined, max: number | undefined, expiresAtMs: number][] = [
  [undefined, undefined, Number.POSITIVE_INFINITY],
  [undefined, 9, 10_000],
  [5, 9, 6_000],
  [50, 9, 10_000],
  [0, undefined, 1_000],
];
for (const [given, max, expiresAtMs] of expiries) {
  test(`an expiry of ${given} seconds with a maximum of ${max} ends at ${expiresAtMs}`, () => {
    const properties = given === undefined ? {} : { messageExpiryInterval: given };
    assert.equal(messageOf(publishOf(properties), 1000, max).expiresAtMs, expiresAtMs);
  });
}

test("5.0 [MQTT-3.3.2-6] what is left of the expiry is rounded up, and at least 1 second", () => {
  const message = messageOf(publishOf({ messageExpiryInterval: 10 }), 0, undefined);
  assert.deepEqual(
    [0, 1, 999, 1000, 9_999, 10_000, 20_000].map((nowMs) => message.remainingSeconds(nowMs)),
    [10, 10, 10, 9, 1, 1, 1],
  );
});
