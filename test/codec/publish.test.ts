import assert from "node:assert/strict";
import { test } from "node:test";
import { type ProtocolVersion, VARIABLE_BYTE_INTEGER_MAX } from "../../src/codec/constants.ts";
import { NO_PROPERTIES, Publish } from "../../src/codec/packet.ts";
import {
  decodePublish,
  encodePublishProperties,
  publishIdentifierAt,
  publishSize,
  writePublish,
} from "../../src/codec/publish.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { encodeUtf8, TextCache } from "../../src/codec/text.ts";
import { both, bytesOf, decodeOne, hexOf, publishOf, reads, refuses } from "./kit.ts";

const { MalformedPacket, ProtocolError, TopicAliasInvalid } = ReasonCode;

for (const version of [3, 4, 5] as const) {
  const none = version === 5 ? "00" : "";
  both("QoS 0", version, `30 * 0003 'a/b' ${none} 'hi'`, publishOf("a/b", "hi"));
  both(
    "QoS 1",
    version,
    `32 * 0003 'a/b' 0102 ${none} 'hi'`,
    publishOf("a/b", "hi", { qos: 1, packetIdentifier: 258 }),
  );
  both(
    "QoS 2, sent again, retained",
    version,
    `3d * 0003 'a/b' ffff ${none} 'hi'`,
    publishOf("a/b", "hi", { qos: 2, dup: true, retain: true, packetIdentifier: 65_535 }),
  );
  both("RETAIN", version, `31 * 0003 'a/b' ${none} 'hi'`, publishOf("a/b", "hi", { retain: true }));
  both("an empty payload", version, `30 * 0003 'a/b' ${none}`, publishOf("a/b", ""));
  both("a topic name beyond ASCII", version, `30 * 0007 'ü/€/' ${none} 'x'`, publishOf("ü/€/", "x"));
  both("a topic name that is one space", version, `30 * 0001 ' ' ${none}`, publishOf(" ", ""));
  both("a topic name that is one slash", version, `30 * 0001 '/' ${none}`, publishOf("/", ""));
}
both(
  "a Topic Alias with its name",
  5,
  "30 * 0001 'a' 03 23 0001 'x'",
  publishOf("a", "x", { properties: { topicAlias: 1 } }),
);
both(
  "a Topic Alias without its name",
  5,
  "30 * 0000 03 23 ffff 'x'",
  publishOf("", "x", { properties: { topicAlias: 65_535 } }),
);
both(
  "Subscription Identifiers",
  5,
  "30 * 0001 'a' 07 0b 01 0b ffffff7f 'x'",
  publishOf("a", "x", { properties: { subscriptionIdentifiers: [1, 268_435_455] } }),
);
reads("DUP with QoS 0, which 3.1 does not forbid", 3, "38 * 0001 'a'", publishOf("a", "", { dup: true }));

for (const [head, version] of [
  ["5.0", 5],
  ["3.1.1", 4],
] as const) {
  const v5 = version === 5;
  const rule = (in5: string, in311: string) => `${head} [MQTT-${v5 ? in5 : in311}]`;
  const none = v5 ? "00" : "";
  refuses(rule("3.3.1-4", "3.3.1-4"), "QoS 3", version, `36 * 0001 'a' 0001 ${none}`, MalformedPacket);
  refuses(rule("3.3.1-2", "3.3.1-2"), "DUP with QoS 0", version, `38 * 0001 'a' ${none}`, ProtocolError);
  refuses(rule("2.2.1-3", "2.3.1-1"), "Packet Identifier 0", version, `32 * 0001 'a' 0000 ${none}`, MalformedPacket);
  refuses(rule("2.2.1-3", "2.3.1-1"), "half a Packet Identifier", version, "34 * 0001 'a' 01", MalformedPacket);
  refuses(rule("2.2.1-3", "2.3.1-1"), "a missing Packet Identifier", version, "32 * 0001 'a'", MalformedPacket);
  refuses(rule("3.3.2-2", "3.3.2-2"), "# in a Topic Name", version, `30 * 0003 'a/#' ${none}`, ProtocolError);
  refuses(rule("3.3.2-2", "3.3.2-2"), "+ in a Topic Name", version, `30 * 0003 'a+b' ${none}`, ProtocolError);
  refuses(rule("3.3.2-1", "3.3.2-1"), "an empty PUBLISH", version, "30 00", MalformedPacket);
  refuses(rule("3.3.2-1", "3.3.2-1"), "half a topic length", version, "30 01 00", MalformedPacket);
  refuses(
    rule("3.3.2-1", "3.3.2-1"),
    "a Topic Name longer than the packet",
    version,
    "30 * 0003 'ab'",
    MalformedPacket,
  );
  refuses(rule("1.5.4-1", "1.5.3-1"), "an overlong encoding", version, `30 * 0002 c080 ${none}`, MalformedPacket);
  refuses(rule("1.5.4-1", "1.5.3-1"), "a surrogate", version, `30 * 0003 eda080 ${none}`, MalformedPacket);
  refuses(rule("1.5.4-1", "1.5.3-1"), "a cut character", version, `30 * 0002 e282 ${none}`, MalformedPacket);
  refuses(rule("1.5.4-2", "1.5.3-2"), "U+0000", version, `30 * 0002 6100 ${none}`, MalformedPacket);
}
refuses("3.1.1 [MQTT-3.3.1-4]", "QoS 3", 3, "36 * 0001 'a' 0001", MalformedPacket);
refuses("3.1.1 [MQTT-4.7.3-1]", "an empty Topic Name", 4, "30 * 0000 'x'", ProtocolError);
refuses("3.1.1 [MQTT-4.7.3-1]", "an empty Topic Name", 3, "30 * 0000 'x'", ProtocolError);
refuses("5.0 §3.3.2.1", "an empty Topic Name without a Topic Alias", 5, "30 * 0000 00 'x'", ProtocolError);
refuses("5.0 §3.3.2.1", "the same with another property", 5, "30 * 0000 02 01 01 'x'", ProtocolError);
refuses("5.0 [MQTT-3.3.2-8]", "Topic Alias 0", 5, "30 * 0001 'a' 03 23 0000", TopicAliasInvalid);
refuses("5.0 [MQTT-3.3.2-14]", "# in a Response Topic", 5, "30 * 0001 'a' 06 08 0003 'r/#'", ProtocolError);
refuses("5.0 [MQTT-3.3.2-14]", "+ in a Response Topic", 5, "30 * 0001 'a' 04 08 0001 '+'", ProtocolError);
refuses("5.0 §3.3.2.3.8", "Subscription Identifier 0", 5, "30 * 0001 'a' 02 0b 00", ProtocolError);
refuses("5.0 §3.3.2.3.2", "Payload Format Indicator 2", 5, "30 * 0001 'a' 02 01 02", ProtocolError);
refuses("5.0 [MQTT-2.2.2-1]", "a PUBLISH without Property Length", 5, "30 * 0001 'a'", MalformedPacket);
refuses("5.0 [MQTT-2.2.2-1]", "a QoS 1 PUBLISH without Property Length", 5, "32 * 0001 'a' 0001", MalformedPacket);
refuses("5.0 §2.2.2.1", "a Property Length beyond the packet", 5, "30 * 0001 'a' 05 01 01", MalformedPacket);

test("a PUBLISH without properties has the shared NO_PROPERTIES and refers to the receive buffer", () => {
  for (const version of [3, 4, 5] as const) {
    const bytes = bytesOf(`30 * 0001 'a' ${version === 5 ? "00" : ""} 'payload'`);
    const publish = decodePublish(bytes, 0, 2, bytes.length, version, new TextCache(4));
    assert.equal(publish.properties, NO_PROPERTIES);
    assert.equal(publish.bytes, bytes);
    assert.equal(publish.payloadLength, 7);
    assert.equal(publish.payloadEnd, bytes.length);
  }
});

test("what properties hold shares no memory with the Buffer that was received", () => {
  const bytes = Buffer.from(bytesOf("30 * 0001 'a' 05 09 0002 0102"));
  const publish = decodePublish(bytes, 0, 2, bytes.length, 5, new TextCache(4));
  bytes.fill(0xaa);
  assert.deepEqual(publish.properties.correlationData, Uint8Array.of(1, 2));
});

test("a name longer than the cache takes is read and refused like any other", () => {
  const long = "x".repeat(300);
  assert.equal((decodeOne(bytesOf(`30 * 012c '${long}'`), 4) as Publish).topicName, long);
  assert.throws(() => decodeOne(bytesOf(`30 * 012d '${long}#'`), 4), { statement: "3.1.1 [MQTT-3.3.2-2]" });
});

test("5.0 [MQTT-3.3.2-2] refuses a wildcard each time, from the cache too", () => {
  const names = new TextCache(4);
  const bytes = bytesOf("30 * 0003 'a/#' 00");
  for (let round = 0; round < 3; round++) {
    assert.throws(() => decodePublish(bytes, 0, 2, bytes.length, 5, names), { statement: "5.0 [MQTT-3.3.2-2]" });
  }
});

const TOPIC = encodeUtf8("some/topic");
const PROPERTIES = encodePublishProperties({ messageExpiryInterval: 7, contentType: "text/plain" });
for (const payloadBytes of [0, 1, 47, 48, 49, 100, 112, 113, 127, 128, 16_383, 16_384, 2_097_151]) {
  for (const version of [4, 5] as const) {
    test(`writePublish fills publishSize with ${payloadBytes} payload bytes in ${version === 5 ? "5.0" : "3.1.1"}`, () => {
      const source = new Uint8Array(payloadBytes + 7).map((_, at) => at * 7);
      const target = new Uint8Array(payloadBytes + 200).fill(0xee);
      const size = publishSize(version, TOPIC.length, 1, PROPERTIES.length, payloadBytes);
      const end = writePublish(target, 5, version, 0x0b, TOPIC, 300, PROPERTIES, source, 7, 7 + payloadBytes);
      assert.equal(end - 5, size);
      assert.equal(target[4], 0xee);
      assert.equal(target[end], 0xee);
      const publish = decodeOne(target.slice(5, end), version) as Publish;
      assert.equal(publish.topicName, "some/topic");
      assert.equal(publish.packetIdentifier, 300);
      assert.equal(publish.qos, 1);
      assert.equal(publish.dup, true);
      assert.equal(publish.retain, true);
      assert.equal(publish.properties.contentType, version === 5 ? "text/plain" : undefined);
      assert.equal(Buffer.compare(publish.payload, source.subarray(7)), 0);
    });
    test(`publishIdentifierAt finds the identifier before ${payloadBytes} payload bytes in ${version}`, () => {
      const source = new Uint8Array(payloadBytes);
      const target = new Uint8Array(payloadBytes + 200);
      const end = writePublish(target, 3, version, 0x02, TOPIC, 1, PROPERTIES, source, 0, payloadBytes);
      const at = publishIdentifierAt(target, 3);
      target[at] = 0xab;
      target[at + 1] = 0xcd;
      const publish = decodeOne(target.slice(3, end), version) as Publish;
      assert.equal(publish.packetIdentifier, 0xabcd);
      assert.equal(publish.topicName, "some/topic");
    });
  }
}

test("publishSize throws RangeError when no packet can be so large", () => {
  const sizeOf = (version: ProtocolVersion, payload: number) => publishSize(version, 1, 0, 0, payload);
  assert.equal(sizeOf(4, VARIABLE_BYTE_INTEGER_MAX - 3), VARIABLE_BYTE_INTEGER_MAX + 5);
  assert.throws(() => sizeOf(4, VARIABLE_BYTE_INTEGER_MAX - 2), RangeError);
  assert.throws(() => sizeOf(5, VARIABLE_BYTE_INTEGER_MAX - 3), RangeError);
});

test("encodePublishProperties leaves out what belongs to the will alone", () => {
  const will = { willDelayInterval: 5, contentType: "a" };
  assert.equal(hexOf(encodePublishProperties(will)), "03 00 01 61");
  assert.equal(encodePublishProperties({}).length, 0);
  assert.equal(encodePublishProperties(NO_PROPERTIES).length, 0);
});

test("a Publish can be given another payload", () => {
  const publish = new Publish("a", 0, false, false, 0, {}, Uint8Array.of(1, 2, 3, 4), 1, 3);
  assert.deepEqual(publish.payload, Uint8Array.of(2, 3));
  publish.payload = Uint8Array.of(9);
  assert.deepEqual(publish.payload, Uint8Array.of(9));
  assert.equal(publish.payloadLength, 1);
});
