import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeConnect, UnsupportedVersion } from "../../src/codec/connect.ts";
import { PacketType } from "../../src/codec/constants.ts";
import type { Connect } from "../../src/codec/packet.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { both, bytesOf, reads, refusalOf, refuses } from "./kit.ts";

const PLAIN: Connect = {
  type: PacketType.CONNECT,
  protocolVersion: 4,
  cleanStart: true,
  keepAliveSeconds: 60,
  clientId: "a",
  will: undefined,
  userName: undefined,
  password: undefined,
  properties: {},
  bridge: false,
};
const PLAIN_31: Connect = { ...PLAIN, protocolVersion: 3 };
const PLAIN_5: Connect = { ...PLAIN, protocolVersion: 5 };
const WILL = { topicName: "w", payload: Uint8Array.of(1, 2), qos: 1, retain: true, properties: {} } as const;

// Protocol Name, level, Connect Flags, Keep Alive, [Property Length, properties], client identifier, ...
both("a plain CONNECT", 3, "10 * 0006 'MQIsdp' 03 02 003c 0001 'a'", PLAIN_31);
both("a plain CONNECT", 4, "10 * 0004 'MQTT' 04 02 003c 0001 'a'", PLAIN);
both("a plain CONNECT", 5, "10 * 0004 'MQTT' 05 02 003c 00 0001 'a'", PLAIN_5);
both("an empty client identifier", 4, "10 * 0004 'MQTT' 04 02 003c 0000", { ...PLAIN, clientId: "" });
both("Clean Session 0", 4, "10 * 0004 'MQTT' 04 00 003c 0001 'a'", { ...PLAIN, cleanStart: false });
both("the longest Keep Alive", 4, "10 * 0004 'MQTT' 04 02 ffff 0001 'a'", { ...PLAIN, keepAliveSeconds: 65_535 });
both("a bridge", 3, "10 * 0006 'MQIsdp' 83 02 003c 0001 'a'", { ...PLAIN_31, bridge: true });
both("a bridge", 4, "10 * 0004 'MQTT' 84 02 003c 0001 'a'", { ...PLAIN, bridge: true });
both("user name and password", 4, "10 * 0004 'MQTT' 04 c2 003c 0001 'a' 0001 'u' 0002 00ff", {
  ...PLAIN,
  userName: "u",
  password: Uint8Array.of(0x00, 0xff),
});
both("a user name alone", 4, "10 * 0004 'MQTT' 04 82 003c 0001 'a' 0001 'u'", { ...PLAIN, userName: "u" });
both("an empty user name and password", 4, "10 * 0004 'MQTT' 04 c2 003c 0001 'a' 0000 0000", {
  ...PLAIN,
  userName: "",
  password: new Uint8Array(0),
});
both("a password alone", 5, "10 * 0004 'MQTT' 05 42 003c 00 0001 'a' 0001 'p'", {
  ...PLAIN_5,
  password: Uint8Array.of(0x70),
});
both("a will", 4, "10 * 0004 'MQTT' 04 2e 003c 0001 'a' 0001 'w' 0002 0102", { ...PLAIN, will: WILL });
both("a will with QoS 2 and no payload", 4, "10 * 0004 'MQTT' 04 16 003c 0001 'a' 0001 'w' 0000", {
  ...PLAIN,
  will: { ...WILL, qos: 2, retain: false, payload: new Uint8Array(0) },
});
both("a will without properties", 5, "10 * 0004 'MQTT' 05 2e 003c 00 0001 'a' 00 0001 'w' 0002 0102", {
  ...PLAIN_5,
  will: WILL,
});
both("a will with properties", 5, "10 * 0004 'MQTT' 05 2e 003c 00 0001 'a' 05 18 ffffffff 0001 'w' 0002 0102", {
  ...PLAIN_5,
  will: { ...WILL, properties: { willDelayInterval: 4_294_967_295 } },
});
both(
  "everything at once",
  5,
  "10 * 0004 'MQTT' 05 ee 003c 05 11 0000000a 0001 'a' 02 01 01 0001 'w' 0002 0102 0001 'u' 0001 'p'",
  {
    ...PLAIN_5,
    properties: { sessionExpiryInterval: 10 },
    will: { ...WILL, properties: { payloadFormatIndicator: 1 } },
    userName: "u",
    password: Uint8Array.of(0x70),
  },
);

// 3.1 lets the Remaining Length overrule the flags, and disregards the bits that it does not use.
reads("a user name that is announced and missing", 3, "10 * 0006 'MQIsdp' 03 82 003c 0001 'a'", PLAIN_31);
reads("user name and password, both missing", 3, "10 * 0006 'MQIsdp' 03 c2 003c 0001 'a'", PLAIN_31);
reads("a missing password", 3, "10 * 0006 'MQIsdp' 03 c2 003c 0001 'a' 0001 'u'", { ...PLAIN_31, userName: "u" });
reads("a Will QoS without a will", 3, "10 * 0006 'MQIsdp' 03 1a 003c 0001 'a'", PLAIN_31);
reads("Will Retain without a will", 3, "10 * 0006 'MQIsdp' 03 22 003c 0001 'a'", PLAIN_31);
reads("the unused Connect Flag", 3, "10 * 0006 'MQIsdp' 03 03 003c 0001 'a'", PLAIN_31);

const { MalformedPacket, ProtocolError, UnsupportedProtocolVersion } = ReasonCode;
refuses("5.0 [MQTT-3.1.2-1]", "a wrong Protocol Name", 4, "10 * 0004 'MQTX' 04 02 003c 0001 'a'", 0x84);
refuses("5.0 [MQTT-3.1.2-1]", "a Protocol Name in small letters", 4, "10 * 0004 'mqtt' 04 02 003c 0001 'a'", 0x84);
refuses("5.0 [MQTT-3.1.2-1]", "half a Protocol Name", 4, "10 * 0004 'MQ'", MalformedPacket);
refuses("5.0 [MQTT-3.1.2-1]", "an empty CONNECT", 4, "10 00", MalformedPacket);
refuses("5.0 [MQTT-3.1.2-2]", "a CONNECT without level", 4, "10 * 0004 'MQTT'", MalformedPacket);
for (const [name, level] of [
  ["MQTT", 3],
  ["MQTT", 0],
  ["MQTT", 6],
  ["MQTT", 0x85],
  ["MQTT", 0xff],
  ["MQIsdp", 4],
  ["MQIsdp", 5],
] as const) {
  test(`5.0 [MQTT-3.1.2-2] refuses level ${level} of ${name} and tells the level`, () => {
    const digits = level.toString(16).padStart(2, "0");
    const length = name.length.toString(16).padStart(4, "0");
    const error = refusalOf(bytesOf(`10 * ${length} '${name}' ${digits} 02 003c 0001 'a'`), 4);
    assert.ok(error instanceof UnsupportedVersion);
    assert.equal(error.level, level);
    assert.equal(error.reasonCode, UnsupportedProtocolVersion);
    assert.equal(error.statement, "5.0 [MQTT-3.1.2-2]");
  });
}
for (const [head, version, tail] of [
  ["3.1.1", "04", ""],
  ["5.0", "05", "00"],
] as const) {
  const v5 = head === "5.0";
  const start = `10 * 0004 'MQTT' ${version}`;
  const id = `003c ${tail} 0001 'a'`;
  const rule = (in5: string, in311: string) => `${head} [MQTT-${v5 ? in5 : in311}]`;
  const at = v5 ? 5 : 4;
  refuses(rule("3.1.2-3", "3.1.2-3"), "the reserved Connect Flag", at, `${start} 03 ${id}`, MalformedPacket);
  refuses(rule("3.1.2-11", "3.1.2-13"), "Will QoS 1 without a will", at, `${start} 0a ${id}`, MalformedPacket);
  refuses(rule("3.1.2-13", "3.1.2-15"), "Will Retain without a will", at, `${start} 22 ${id}`, MalformedPacket);
  refuses(rule("3.1.2-12", "3.1.2-14"), "Will QoS 3", at, `${start} 1e ${id} ${tail} 0001 'w' 0000`, MalformedPacket);
  refuses(rule("3.1.2-9", "3.1.2-9"), "a missing Will Topic", at, `${start} 06 ${id} ${tail}`, MalformedPacket);
  refuses(rule("3.1.2-9", "3.1.2-9"), "a missing Will Payload", at, `${start} 06 ${id} ${tail} 0001 'w'`, 0x81);
  refuses(rule("4.7.0-1", "4.7.1-1"), "# in a Will Topic", at, `${start} 06 ${id} ${tail} 0003 'a/#' 0000`, 0x82);
  refuses(rule("4.7.0-1", "4.7.1-1"), "+ in a Will Topic", at, `${start} 06 ${id} ${tail} 0003 '+/a' 0000`, 0x82);
  refuses(rule("4.7.3-1", "4.7.3-1"), "an empty Will Topic", at, `${start} 06 ${id} ${tail} 0000 0000`, ProtocolError);
  refuses(rule("3.1.2-17", "3.1.2-19"), "a missing user name", at, `${start} 82 ${id}`, MalformedPacket);
  refuses(rule("3.1.2-19", "3.1.2-21"), "a missing password", at, `${start} c2 ${id} 0001 'u'`, MalformedPacket);
  refuses(rule("3.1.3-3", "3.1.3-3"), "a missing client identifier", at, `${start} 02 003c ${tail}`, MalformedPacket);
  refuses(rule("1.5.4-1", "1.5.3-1"), "a user name that is not UTF-8", at, `${start} 82 ${id} 0001 ff`, 0x81);
  refuses(rule("1.5.4-2", "1.5.3-2"), "U+0000 in a client identifier", at, `${start} 02 003c ${tail} 0001 00`, 0x81);
  refuses(rule("4.13.1-1", "4.8.0-1"), "trailing bytes", at, `${start} 02 ${id} 00`, MalformedPacket);
  refuses(rule("4.13.1-1", "4.8.0-1"), "a CONNECT without flags", at, start, MalformedPacket);
  refuses(rule("4.13.1-1", "4.8.0-1"), "half a Keep Alive", at, `${start} 02 00`, MalformedPacket);
}
refuses(
  "3.1.1 [MQTT-3.1.2-22]",
  "a password without user name",
  4,
  "10 * 0004 'MQTT' 04 42 003c 0001 'a' 0001 'p'",
  0x81,
);
refuses("3.1.1 [MQTT-3.1.2-22]", "a password without user name", 3, "10 * 0006 'MQIsdp' 03 42 003c 0001 'a'", 0x81);
refuses("3.1.1 [MQTT-3.1.2-14]", "Will QoS 3", 3, "10 * 0006 'MQIsdp' 03 1e 003c 0001 'a' 0001 'w' 0000", 0x81);
refuses("5.0 [MQTT-2.2.2-1]", "a CONNECT without Property Length", 5, "10 * 0004 'MQTT' 05 02 003c", MalformedPacket);
refuses(
  "5.0 §3.1.2.11.10",
  "Authentication Data without a method",
  5,
  "10 * 0004 'MQTT' 05 02 003c 04 16 0001 'd' 0001 'a'",
  ProtocolError,
);
for (const first of ["11", "12", "18", "1f"]) {
  refuses("5.0 [MQTT-2.1.3-1]", `a first byte of ${first}`, 5, `${first} * 0004 'MQTT' 05 02 003c 00 0000`, 0x81);
  refuses("3.1.1 [MQTT-2.2.2-1]", `a first byte of ${first}`, 4, `${first} * 0004 'MQTT' 04 02 003c 0000`, 0x81);
}

test("what a CONNECT holds shares no memory with the Buffer it was read from", () => {
  const bytes = Buffer.from(bytesOf("10 * 0004 'MQTT' 04 ee 003c 0001 'a' 0001 'w' 0002 0102 0001 'u' 0001 'p'"));
  const connect = decodeConnect(bytes, 2, bytes.length);
  bytes.fill(0xaa);
  assert.deepEqual(connect.password, Uint8Array.of(0x70));
  assert.deepEqual(connect.will?.payload, Uint8Array.of(1, 2));
});
