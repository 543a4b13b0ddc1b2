import { PacketType } from "../../src/codec/constants.ts";
import type { Connack } from "../../src/codec/packet.ts";
import { ReasonCode } from "../../src/codec/reason.ts";
import { both, reads, refuses } from "./kit.ts";

const ACCEPTED: Connack = { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties: {} };
const PRESENT: Connack = { ...ACCEPTED, sessionPresent: true };

both("acceptance", 3, "20 02 00 00", ACCEPTED);
both("acceptance", 4, "20 02 00 00", ACCEPTED);
both("acceptance", 5, "20 03 00 00 00", ACCEPTED);
both("Session Present", 4, "20 02 01 00", PRESENT);
both("Session Present", 5, "20 03 01 00 00", PRESENT);
for (const code of [1, 2, 3, 4, 5] as const) {
  both(`return code ${code}`, 3, `20 02 00 0${code}`, { ...ACCEPTED, reasonCode: code });
  both(`return code ${code}`, 4, `20 02 00 0${code}`, { ...ACCEPTED, reasonCode: code });
}
for (const code of [0x80, 0x84, 0x87, 0x8c, 0x9f] as const) {
  both(`reason code 0x${code.toString(16)}`, 5, `20 03 00 ${code.toString(16)} 00`, { ...ACCEPTED, reasonCode: code });
}
both("an assigned client identifier", 5, "20 * 00 00 07 12 0004 'auto'", {
  ...ACCEPTED,
  properties: { assignedClientIdentifier: "auto" },
});
reads("the reserved first byte, which 3.1 gives no meaning", 3, "20 02 01 00", ACCEPTED);

const { MalformedPacket, ProtocolError } = ReasonCode;
refuses("5.0 [MQTT-3.2.2-1]", "reserved flags", 5, "20 03 02 00 00", MalformedPacket);
refuses("3.1.1 §3.2.2.1", "reserved flags", 4, "20 02 80 00", MalformedPacket);
refuses("5.0 [MQTT-3.2.2-8]", "a reason code of SUBACK", 5, "20 03 00 01 00", ProtocolError);
refuses("5.0 [MQTT-3.2.2-8]", "a reason code of DISCONNECT", 5, "20 03 00 8b 00", ProtocolError);
refuses("3.1.1 §3.2.2.3", "return code 6", 4, "20 02 00 06", ProtocolError);
refuses("3.1.1 §3.2.2.3", "a 5.0 reason code", 4, "20 02 00 87", ProtocolError);
refuses("5.0 [MQTT-3.2.2-6]", "Session Present in a refusal", 5, "20 03 01 87 00", ProtocolError);
refuses("3.1.1 [MQTT-3.2.2-4]", "Session Present in a refusal", 4, "20 02 01 05", ProtocolError);
refuses("5.0 [MQTT-2.2.2-1]", "a CONNACK without Property Length", 5, "20 02 00 00", MalformedPacket);
refuses("5.0 [MQTT-4.13.1-1]", "an empty CONNACK", 5, "20 00", MalformedPacket);
refuses("3.1.1 [MQTT-4.8.0-1]", "a CONNACK of one byte", 4, "20 01 00", MalformedPacket);
refuses("3.1.1 [MQTT-4.8.0-1]", "trailing bytes", 4, "20 03 00 00 00", MalformedPacket);
refuses("5.0 [MQTT-4.13.1-1]", "trailing bytes", 5, "20 04 00 00 00 00", MalformedPacket);
refuses("5.0 §3.2.2.3.18", "Authentication Data without a method", 5, "20 * 00 00 04 16 0001 'd'", ProtocolError);
refuses("5.0 [MQTT-2.1.3-1]", "flags in the fixed header", 5, "21 03 00 00 00", MalformedPacket);
