import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAuth } from "../../src/codec/auth.ts";
import { encodePacket } from "../../src/codec/codec.ts";
import { PacketType } from "../../src/codec/constants.ts";
import type { Auth, Disconnect } from "../../src/codec/packet.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { both, hexOf, reads, refuses } from "./kit.ts";

const { MalformedPacket, ProtocolError } = ReasonCode;
const DISCONNECT: Disconnect = { type: PacketType.DISCONNECT, reasonCode: 0, properties: {} };
const AUTH: Auth = { type: PacketType.AUTH, reasonCode: 0, properties: {} };

for (const version of [3, 4, 5] as const) {
  both("PINGREQ", version, "c0 00", { type: PacketType.PINGREQ });
  both("PINGRESP", version, "d0 00", { type: PacketType.PINGRESP });
  both("DISCONNECT", version, "e0 00", DISCONNECT);
}
for (const [rule, version] of [
  ["5.0 [MQTT-4.13.1-1]", 5],
  ["3.1.1 [MQTT-4.8.0-1]", 4],
] as const) {
  refuses(rule, "PINGREQ with a body", version, "c0 01 00", MalformedPacket);
  refuses(rule, "PINGRESP with a body", version, "d0 01 00", MalformedPacket);
}
refuses("5.0 [MQTT-2.1.3-1]", "PINGREQ with flags", 5, "c1 00", MalformedPacket);
refuses("3.1.1 [MQTT-2.2.2-1]", "PINGRESP with flags", 4, "d8 00", MalformedPacket);

for (const code of [0x04, 0x80, 0x81, 0x8c, 0x8e, 0x98, 0x9d, 0xa0, 0xa2] as const) {
  const hex = code.toString(16).padStart(2, "0");
  both(`DISCONNECT 0x${hex}`, 5, `e0 01 ${hex}`, { ...DISCONNECT, reasonCode: code });
}
both("DISCONNECT with a Session Expiry Interval", 5, "e0 * 00 05 11 00000000", {
  ...DISCONNECT,
  properties: { sessionExpiryInterval: 0 },
});
both("DISCONNECT with all properties", 5, "e0 * 9d 15 11 ffffffff 1c 0001 's' 1f 0001 'r' 26 0001 'k' 0002 'vv'", {
  ...DISCONNECT,
  reasonCode: 0x9d,
  properties: {
    sessionExpiryInterval: 4_294_967_295,
    serverReference: "s",
    reasonString: "r",
    userProperties: [["k", "vv"]],
  },
});
reads("DISCONNECT with 0x00 written out", 5, "e0 01 00", DISCONNECT);
reads("DISCONNECT with an empty property list", 5, "e0 02 00 00", DISCONNECT);
refuses("5.0 [MQTT-3.14.2-1]", "a CONNACK code in DISCONNECT", 5, "e0 01 86", ProtocolError);
refuses("5.0 [MQTT-3.14.2-1]", "DISCONNECT 0x01", 5, "e0 01 01", ProtocolError);
refuses("5.0 [MQTT-4.13.1-1]", "trailing bytes in DISCONNECT", 5, "e0 03 00 00 00", MalformedPacket);
refuses("3.1.1 [MQTT-4.8.0-1]", "DISCONNECT with a reason code", 4, "e0 01 00", MalformedPacket);
refuses("3.1.1 [MQTT-4.8.0-1]", "DISCONNECT with a reason code", 3, "e0 01 00", MalformedPacket);
refuses("5.0 [MQTT-3.14.1-1]", "DISCONNECT with flags", 5, "e1 00", MalformedPacket);
refuses("3.1.1 [MQTT-3.14.1-1]", "DISCONNECT with flags", 4, "e2 00", MalformedPacket);

both("AUTH that says Success and nothing more", 5, "f0 00", AUTH);
both("AUTH with method and data", 5, "f0 * 18 09 15 0001 'm' 16 0002 0102", {
  ...AUTH,
  reasonCode: 0x18,
  properties: { authenticationMethod: "m", authenticationData: Uint8Array.of(1, 2) },
});
both("AUTH that re-authenticates", 5, "f0 * 19 04 15 0001 'm'", {
  ...AUTH,
  reasonCode: 0x19,
  properties: { authenticationMethod: "m" },
});
reads("AUTH with Success written out", 5, "f0 02 00 00", AUTH);
refuses("5.0 §3.15.2.2.2", "AUTH without a method", 5, "f0 02 18 00", ProtocolError);
refuses("5.0 §3.15.2.2.2", "AUTH with data and no method", 5, "f0 * 18 04 16 0001 'd'", ProtocolError);
refuses("5.0 [MQTT-3.15.2-1]", "AUTH 0x80", 5, "f0 * 80 04 15 0001 'm'", ProtocolError);
refuses("5.0 [MQTT-2.2.2-1]", "AUTH without Property Length", 5, "f0 01 18", MalformedPacket);
refuses("5.0 [MQTT-4.13.1-1]", "trailing bytes in AUTH", 5, "f0 03 00 00 00", MalformedPacket);
refuses("5.0 [MQTT-3.15.1-1]", "AUTH with flags", 5, "f1 00", MalformedPacket);
refuses("3.1.1 §2.2.1", "AUTH", 4, "f0 00", MalformedPacket);
refuses("3.1.1 §2.2.1", "AUTH", 3, "f0 00", MalformedPacket);
refuses("5.0 §2.1.2", "packet type 0", 5, "00 00", MalformedPacket);
refuses("3.1.1 §2.2.1", "packet type 0", 4, "02 00", MalformedPacket);

test("3.x writes a DISCONNECT without reason", () => {
  const disconnect: Disconnect = { ...DISCONNECT, reasonCode: 0x8e, properties: { reasonString: "x" } };
  assert.equal(hexOf(encodePacket(disconnect, 4)), "e0 00");
});

test("to write AUTH in 3.x is our mistake", () => {
  assert.throws(() => encodePacket(AUTH, 4), RangeError);
});

test("decodeAuth refuses 3.x on its own account too", () => {
  assert.throws(() => decodeAuth(Uint8Array.of(0xf0, 0), 2, 2, 4), { statement: "3.1.1 §2.2.1", reasonCode: 0x81 });
});
