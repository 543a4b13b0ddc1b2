import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePacket } from "../../src/codec/codec.ts";
import { PACKET_NAMES, PacketType } from "../../src/codec/constants.ts";
import type { Packet } from "../../src/codec/packet.ts";
import { encodeProperties, isEmpty, readProperties } from "../../src/codec/properties.ts";
import { type PropertiesPlace, propertiesAt, WILL } from "../../src/codec/property-table.ts";
import { Reader } from "../../src/codec/reader.ts";
import { type ProtocolError, ReasonCode } from "../../src/codec/reason.ts";
import { bytesOf, concat, decodeOne, hexOf, refuses } from "./kit.ts";

/** Table 2-4 of 5.0, §2.2.2.2, written down a second time: identifier, name, an encoded value, its meaning, places. */
const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType;
const { SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PacketType;
const ANSWERS = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH];
const PLACES = [WILL, CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, ...ANSWERS] as PropertiesPlace[];
const TABLE: [string, string, string, unknown, number[]][] = [
  ["01", "payloadFormatIndicator", "01", 1, [PUBLISH, WILL]],
  ["02", "messageExpiryInterval", "fffffffe", 4_294_967_294, [PUBLISH, WILL]],
  ["03", "contentType", "0002 'ct'", "ct", [PUBLISH, WILL]],
  ["08", "responseTopic", "0003 'r/t'", "r/t", [PUBLISH, WILL]],
  ["09", "correlationData", "0003 0001ff", Uint8Array.of(0, 1, 255), [PUBLISH, WILL]],
  ["0b", "subscriptionIdentifiers", "ffffff7f", [268_435_455], [PUBLISH]],
  ["0b", "subscriptionIdentifier", "8001", 128, [SUBSCRIBE]],
  ["11", "sessionExpiryInterval", "ffffffff", 4_294_967_295, [CONNECT, CONNACK, DISCONNECT]],
  ["12", "assignedClientIdentifier", "0000", "", [CONNACK]],
  ["13", "serverKeepAlive", "ffff", 65_535, [CONNACK]],
  ["15", "authenticationMethod", "0001 'm'", "m", [CONNECT, CONNACK, AUTH]],
  ["16", "authenticationData", "0000", new Uint8Array(0), [CONNECT, CONNACK, AUTH]],
  ["17", "requestProblemInformation", "00", 0, [CONNECT]],
  ["18", "willDelayInterval", "00000001", 1, [WILL]],
  ["19", "requestResponseInformation", "01", 1, [CONNECT]],
  ["1a", "responseInformation", "0001 'i'", "i", [CONNACK]],
  ["1c", "serverReference", "0001 's'", "s", [CONNACK, DISCONNECT]],
  ["1f", "reasonString", "0002 'ü'", "ü", ANSWERS],
  ["21", "receiveMaximum", "0001", 1, [CONNECT, CONNACK]],
  ["22", "topicAliasMaximum", "0000", 0, [CONNECT, CONNACK]],
  ["23", "topicAlias", "0100", 256, [PUBLISH]],
  ["24", "maximumQos", "00", 0, [CONNACK]],
  ["25", "retainAvailable", "00", 0, [CONNACK]],
  ["26", "userProperties", "0001 'k' 0000", [["k", ""]], PLACES],
  ["27", "maximumPacketSize", "80000000", 2_147_483_648, [CONNECT, CONNACK]],
  ["28", "wildcardSubscriptionAvailable", "00", 0, [CONNACK]],
  ["29", "subscriptionIdentifiersAvailable", "01", 1, [CONNACK]],
  ["2a", "sharedSubscriptionAvailable", "00", 0, [CONNACK]],
];
const { MalformedPacket, ProtocolError: Violation } = ReasonCode;

for (const [identifier, name, line, value, places] of TABLE) {
  test(`5.0 §2.2.2.2 carries ${name} where it belongs, and nowhere else`, () => {
    const property = bytesOf(`${identifier} ${line}`);
    for (const place of PLACES) {
      const other = TABLE.some(([id, , , , at]) => id === identifier && !places.includes(place) && at.includes(place));
      if (places.includes(place)) {
        assert.deepEqual(read(place, property), { [name]: value });
        assert.equal(hexOf(encodeProperties(place, { [name]: value })), hexOf(property));
      } else if (!other) {
        const error = refusal(place, property);
        assert.equal(error.reasonCode, MalformedPacket);
        assert.equal(error.statement, "5.0 §2.2.2.2");
        assert.equal(encodeProperties(place, { [name]: value } as object).length, 0);
      }
    }
  });
  const repeats = name === "userProperties" || name === "subscriptionIdentifiers";
  test(`5.0 §2.2.2.2 ${repeats ? "keeps each" : "refuses a second"} ${name}`, () => {
    const property = bytesOf(`${identifier} ${line}`);
    for (const place of places as PropertiesPlace[]) {
      if (repeats) {
        const [element] = value as unknown[];
        assert.deepEqual(read(place, concat([property, property])), { [name]: [element, element] });
      } else {
        assert.equal(refusal(place, concat([property, property])).reasonCode, Violation);
      }
    }
  });
  test(`5.0 §2.2.2.1 refuses ${name} that is cut short`, () => {
    const property = bytesOf(`${identifier} ${line}`);
    for (let length = 1; length < property.length; length++) {
      assert.equal(refusal(places[0] as PropertiesPlace, property.subarray(0, length)).reasonCode, MalformedPacket);
    }
  });
}

for (const [name, identifier, values, rule] of [
  ["requestProblemInformation", "17", ["02", "ff"], "5.0 §3.1.2.11.7"],
  ["requestResponseInformation", "19", ["02"], "5.0 §3.1.2.11.6"],
  ["receiveMaximum", "21", ["0000"], "5.0 §3.1.2.11.3"],
  ["maximumPacketSize", "27", ["00000000"], "5.0 §3.1.2.11.4"],
] as const) {
  for (const value of values) {
    const line = `10 * 0004 'MQTT' 05 02 0000 ${bytesOf(`${identifier} ${value}`).length.toString(16).padStart(2, "0")}`;
    refuses(rule, `${name} ${value} in CONNECT`, 5, `${line} ${identifier} ${value} 0000`, Violation);
  }
}
for (const [name, identifier, value, rule] of [
  ["maximumQos", "24", "02", "5.0 §3.2.2.3.4"],
  ["retainAvailable", "25", "02", "5.0 §3.2.2.3.5"],
  ["wildcardSubscriptionAvailable", "28", "02", "5.0 §3.2.2.3.11"],
  ["subscriptionIdentifiersAvailable", "29", "02", "5.0 §3.2.2.3.12"],
  ["sharedSubscriptionAvailable", "2a", "80", "5.0 §3.2.2.3.13"],
] as const) {
  refuses(rule, `${name} ${value} in CONNACK`, 5, `20 * 00 00 02 ${identifier} ${value}`, Violation);
}
refuses("5.0 §2.2.2.2", "property 0x00", 5, "20 * 00 00 02 00 00", MalformedPacket);
refuses("5.0 §2.2.2.2", "property 0x7f", 5, "20 * 00 00 02 7f 00", MalformedPacket);
refuses("5.0 §2.2.2.2", "a property identifier of two bytes", 5, "20 * 00 00 03 a601 00", MalformedPacket);
refuses("5.0 §2.2.2.1", "a property longer than Property Length", 5, "20 * 00 00 02 13 00 00", MalformedPacket);
refuses("5.0 §2.2.2.1", "a Property Length beyond the packet", 5, "20 * 00 00 7f 25 00", MalformedPacket);
refuses("5.0 [MQTT-1.5.5-1]", "a Property Length with a needless byte", 5, "20 * 00 00 8000", MalformedPacket);
refuses("5.0 §1.5.5", "a Property Length of five bytes", 5, "20 * 00 00 8080808001", MalformedPacket);
refuses("5.0 [MQTT-1.5.4-1]", "a Reason String that is not UTF-8", 5, "20 * 00 00 04 1f 0001 80", MalformedPacket);
refuses("5.0 [MQTT-1.5.4-2]", "U+0000 in a User Property", 5, "20 * 00 00 06 26 0001 00 0000", MalformedPacket);

test("5.0 [MQTT-3.3.2-18] keeps the order of User Properties, and names that repeat", () => {
  const userProperties = [
    ["b", "1"],
    ["a", "2"],
    ["b", ""],
    ["__proto__", "x"],
  ] as const;
  const read = decodeOne(
    encodePacket({ type: UNSUBSCRIBE, packetIdentifier: 1, topicFilters: ["t"], properties: { userProperties } }, 5),
    5,
  );
  assert.deepEqual((read as Extract<Packet, { type: typeof UNSUBSCRIBE }>).properties.userProperties, userProperties);
});

test("equal properties have equal bytes, however they were put together", () => {
  const one = encodeProperties(PUBLISH, { contentType: "c", messageExpiryInterval: 1, topicAlias: 2 });
  const other = encodeProperties(PUBLISH, { topicAlias: 2, messageExpiryInterval: 1, contentType: "c" });
  assert.equal(hexOf(one), "02 00 00 00 01 03 00 01 63 23 00 02");
  assert.deepEqual(other, one);
});

test("a long property list does not disturb the next one", () => {
  const long = encodeProperties(CONNACK, { reasonString: "x".repeat(60_000) });
  assert.equal(long.length, 60_003);
  assert.equal(hexOf(encodeProperties(CONNACK, { serverKeepAlive: 1 })), "13 00 01");
});

test("isEmpty tells an empty list", () => {
  assert.equal(isEmpty({}), true);
  assert.equal(isEmpty({ topicAlias: 1 }), false);
});

test("3.x has no properties to read", () => {
  const reader = new Reader(Uint8Array.of(0x02, 0x25, 0x00), 0, 3, 4);
  assert.deepEqual(readProperties(reader, CONNACK), {});
  assert.equal(reader.position, 0);
});

test("the table of properties is that of the specification", () => {
  for (const place of PLACES) {
    const expected = TABLE.filter(([, , , , places]) => places.includes(place)).map(([, name]) => name);
    const found = propertiesAt(place).map((each) => each.name);
    assert.deepEqual(found.toSorted(), expected.toSorted(), PACKET_NAMES[place]);
  }
});

function read(place: PropertiesPlace, list: Uint8Array): object {
  const reader = new Reader(concat([Uint8Array.of(list.length), list]), 0, list.length + 1, 5);
  return readProperties(reader, place);
}

function refusal(place: PropertiesPlace, list: Uint8Array): ProtocolError {
  try {
    read(place, list);
  } catch (error) {
    return error as ProtocolError;
  }
  assert.fail(`${PACKET_NAMES[place]} took ${hexOf(list)}`);
}
