import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePacket } from "../../src/codec/codec.ts";
import { PacketType } from "../../src/codec/constants.ts";
import type { Suback, Subscribe, Unsuback, Unsubscribe } from "../../src/codec/packet.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { both, hexOf, reads, refuses } from "./kit.ts";

const { MalformedPacket, ProtocolError } = ReasonCode;
const ENTRY = { topicFilter: "a/#", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
const SUBSCRIBE: Subscribe = { type: PacketType.SUBSCRIBE, packetIdentifier: 10, entries: [ENTRY], properties: {} };
const SUBACK: Suback = { type: PacketType.SUBACK, packetIdentifier: 10, reasonCodes: [0], properties: {} };
const UNSUBSCRIBE: Unsubscribe = {
  type: PacketType.UNSUBSCRIBE,
  packetIdentifier: 10,
  topicFilters: ["a/#"],
  properties: {},
};
const UNSUBACK: Unsuback = { type: PacketType.UNSUBACK, packetIdentifier: 10, reasonCodes: [], properties: {} };
const UNSUBACK_5: Unsuback = { ...UNSUBACK, reasonCodes: [0] };

for (const version of [3, 4] as const) {
  both("SUBSCRIBE", version, "82 * 000a 0003 'a/#' 00", SUBSCRIBE);
  both("SUBSCRIBE with two Topic Filters", version, "82 * 000a 0003 'a/#' 01 0001 '+' 02", {
    ...SUBSCRIBE,
    entries: [
      { ...ENTRY, qos: 1 },
      { ...ENTRY, topicFilter: "+", qos: 2 },
    ],
  });
  both("SUBACK", version, "90 * 000a 00 01 02 80", { ...SUBACK, reasonCodes: [0, 1, 2, 0x80] });
  both("UNSUBSCRIBE", version, "a2 * 000a 0003 'a/#' 0001 'b'", { ...UNSUBSCRIBE, topicFilters: ["a/#", "b"] });
  both("UNSUBACK", version, "b0 02 000a", UNSUBACK);
}
both("SUBSCRIBE", 5, "82 * 000a 00 0003 'a/#' 00", SUBSCRIBE);
both("all Subscription Options", 5, "82 * 000a 00 0003 'a/#' 2e 0001 'b' 11", {
  ...SUBSCRIBE,
  entries: [
    { ...ENTRY, qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
    { ...ENTRY, topicFilter: "b", qos: 1, retainHandling: 1 },
  ],
});
both("a Subscription Identifier", 5, "82 * 000a 02 0b 01 0003 'a/#' 00", {
  ...SUBSCRIBE,
  properties: { subscriptionIdentifier: 1 },
});
both("an empty Topic Filter, which the core refuses", 5, "82 * 000a 00 0000 00", {
  ...SUBSCRIBE,
  entries: [{ ...ENTRY, topicFilter: "" }],
});
both("SUBACK", 5, "90 * 000a 00 00 01 02 80 83 87 8f 91 97 9e a1 a2", {
  ...SUBACK,
  reasonCodes: [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
});
both("SUBACK with a Reason String", 5, "90 * 000a 05 1f 0002 'no' 87", {
  ...SUBACK,
  reasonCodes: [0x87],
  properties: { reasonString: "no" },
});
both("UNSUBSCRIBE", 5, "a2 * 000a 00 0003 'a/#' 0001 'b'", { ...UNSUBSCRIBE, topicFilters: ["a/#", "b"] });
both("UNSUBSCRIBE with a User Property", 5, "a2 * 000a 07 26 0001 'k' 0001 'v' 0003 'a/#'", {
  ...UNSUBSCRIBE,
  properties: { userProperties: [["k", "v"]] },
});
both("UNSUBACK", 5, "b0 * 000a 00 00 11 80 83 87 8f 91", {
  ...UNSUBACK,
  reasonCodes: [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
});
reads("unused bits beside the QoS", 3, "82 * 000a 0003 'a/#' fd", { ...SUBSCRIBE, entries: [{ ...ENTRY, qos: 1 }] });
reads("SUBSCRIBE sent again with DUP", 3, "8a * 000a 0003 'a/#' 00", SUBSCRIBE);
reads("UNSUBSCRIBE sent again with DUP", 3, "aa * 000a 0003 'a/#'", UNSUBSCRIBE);

for (const [head, version] of [
  ["5.0", 5],
  ["3.1.1", 4],
] as const) {
  const v5 = version === 5;
  const none = v5 ? "00" : "";
  const rule = (in5: string, in311: string) => `${head} [MQTT-${v5 ? in5 : in311}]`;
  const noFilter = rule("3.8.3-2", "3.8.3-3");
  refuses(noFilter, "SUBSCRIBE without a Topic Filter", version, `82 * 000a ${none}`, ProtocolError);
  refuses(noFilter, "a Topic Filter without its options", version, `82 * 000a ${none} 0001 'a'`, MalformedPacket);
  refuses(rule("3.8.3-1", "3.8.3-1"), "a cut Topic Filter", version, `82 * 000a ${none} 0002 'a'`, MalformedPacket);
  refuses(rule("3.8.3-5", "3.8.3-4"), "option bit 7", version, `82 * 000a ${none} 0001 'a' 80`, MalformedPacket);
  refuses(rule("3.8.3-5", "3.8.3-4"), "option bit 6", version, `82 * 000a ${none} 0001 'a' 40`, MalformedPacket);
  refuses(
    v5 ? "5.0 §3.8.3.1" : "3.1.1 [MQTT-3.8.3-4]",
    "QoS 3",
    version,
    `82 * 000a ${none} 0001 'a' 03`,
    ProtocolError,
  );
  refuses(
    rule("1.5.4-1", "1.5.3-1"),
    "a Topic Filter that is not UTF-8",
    version,
    `82 * 000a ${none} 0001 ff 00`,
    0x81,
  );
  refuses(rule("2.2.1-3", "2.3.1-1"), "SUBSCRIBE with identifier 0", version, `82 * 0000 ${none} 0001 'a' 00`, 0x81);
  refuses(rule("2.2.1-3", "2.3.1-1"), "an empty SUBSCRIBE", version, "82 00", MalformedPacket);
  refuses(rule("3.8.1-1", "3.8.1-1"), "SUBSCRIBE with flags 0", version, `80 * 000a ${none} 0001 'a' 00`, 0x81);
  refuses(rule("3.8.1-1", "3.8.1-1"), "SUBSCRIBE with DUP", version, `8a * 000a ${none} 0001 'a' 00`, 0x81);
  refuses(rule("2.2.1-6", "2.3.1-7"), "SUBACK with identifier 0", version, `90 * 0000 ${none} 00`, MalformedPacket);
  refuses(rule("3.8.4-6", "3.8.4-5"), "SUBACK without a code", version, `90 * 000a ${none}`, ProtocolError);
  refuses(rule("3.9.3-2", "3.9.3-2"), "SUBACK with code 3", version, `90 * 000a ${none} 03`, ProtocolError);
  refuses(rule("3.10.3-2", "3.10.3-2"), "UNSUBSCRIBE without a Topic Filter", version, `a2 * 000a ${none}`, 0x82);
  refuses(rule("3.10.3-1", "3.10.3-1"), "UNSUBSCRIBE cut short", version, `a2 * 000a ${none} 0001`, MalformedPacket);
  refuses(rule("3.10.1-1", "3.10.1-1"), "UNSUBSCRIBE with flags 0", version, `a0 * 000a ${none} 0001 'a'`, 0x81);
  refuses(rule("2.2.1-3", "2.3.1-1"), "UNSUBSCRIBE with identifier 0", version, `a2 * 0000 ${none} 0001 'a'`, 0x81);
  refuses(rule("2.2.1-6", "2.3.1-7"), "UNSUBACK with identifier 0", version, `b0 * 0000 ${none}`, MalformedPacket);
}
refuses("5.0 §3.8.3.1", "Retain Handling 3", 5, "82 * 000a 00 0001 'a' 30", ProtocolError);
refuses("3.1.1 [MQTT-3.8.3-4]", "options of 5.0", 4, "82 * 000a 0001 'a' 04", MalformedPacket);
refuses("3.1.1 [MQTT-3.8.3-4]", "QoS 3", 3, "82 * 000a 0001 'a' 03", ProtocolError);
refuses("5.0 §3.8.2.1.2", "Subscription Identifier 0", 5, "82 * 000a 02 0b 00 0001 'a' 00", ProtocolError);
refuses("5.0 §2.2.2.2", "two Subscription Identifiers", 5, "82 * 000a 04 0b 01 0b 02 0001 'a' 00", ProtocolError);
refuses("3.1.1 [MQTT-3.9.3-2]", "SUBACK with a code of 5.0", 4, "90 * 000a 87", ProtocolError);
refuses("5.0 [MQTT-3.11.3-1]", "UNSUBACK without a code", 5, "b0 * 000a 00", ProtocolError);
refuses("5.0 [MQTT-3.11.3-2]", "UNSUBACK with code 1", 5, "b0 * 000a 00 01", ProtocolError);
refuses("3.1.1 [MQTT-4.8.0-1]", "UNSUBACK with a code", 4, "b0 * 000a 00", MalformedPacket);

test("3.1.1 [MQTT-3.9.3-2] writes every failure in SUBACK as 0x80", () => {
  const suback: Suback = { ...SUBACK, reasonCodes: [1, 0x87, 0x8f, 0xa2] };
  assert.equal(hexOf(encodePacket(suback, 4)), "90 06 00 0a 01 80 80 80");
});

test("3.x writes neither reason codes nor properties of an UNSUBACK", () => {
  assert.equal(hexOf(encodePacket({ ...UNSUBACK_5, properties: { reasonString: "x" } }, 4)), "b0 02 00 0a");
});

test("3.x writes the QoS alone of an entry", () => {
  const entry = { ...ENTRY, qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 } as const;
  assert.equal(hexOf(encodePacket({ ...SUBSCRIBE, entries: [entry] }, 4)), "82 08 00 0a 00 03 61 2f 23 01");
});
