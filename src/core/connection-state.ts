import { PACKET_NAMES, PacketType } from "../codec/constants.ts";
import { ProtocolError, ReasonCode } from "../codec/reason.ts";

/** Where a connection stands, §4.1 and §4.12. */
export const ConnectionState = { AwaitConnect: 0, Authenticating: 1, Connected: 2, Closed: 3, Opening: 4 } as const;
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

const bits = (...types: PacketType[]): number => types.reduce((all, type) => all | (1 << type), 0);

/** The packets a client may send in each state, as bits by type. Anything else is a Protocol Error. */
const ALLOWED: readonly number[] = [
  // 5.0 [MQTT-3.1.0-1]: CONNECT comes first.
  bits(PacketType.CONNECT),
  // 5.0 [MQTT-3.1.2-30]: before CONNACK only AUTH and DISCONNECT.
  bits(PacketType.AUTH, PacketType.DISCONNECT),
  bits(
    PacketType.PUBLISH,
    PacketType.PUBACK,
    PacketType.PUBREC,
    PacketType.PUBREL,
    PacketType.PUBCOMP,
    PacketType.SUBSCRIBE,
    PacketType.UNSUBSCRIBE,
    PacketType.PINGREQ,
    PacketType.DISCONNECT,
    PacketType.AUTH,
  ),
  0,
  // Its session waits for the disk; nothing is read meanwhile.
  0,
];

export function allows(state: ConnectionState, type: number): boolean {
  return ((ALLOWED[state] as number) >> type) % 2 === 1;
}

/** Throws the ProtocolError for a packet that may not come in this state. */
export function refuseType(state: ConnectionState, type: number): never {
  const name = PACKET_NAMES[type] ?? String(type);
  if (state === ConnectionState.AwaitConnect) {
    throw new ProtocolError(ReasonCode.ProtocolError, "5.0 [MQTT-3.1.0-1]", `${name} before CONNECT`);
  }
  const statement = type === PacketType.CONNECT ? "5.0 [MQTT-3.1.0-2]" : "";
  throw new ProtocolError(ReasonCode.ProtocolError, statement, `${name} is not allowed here`);
}
