import { PacketType } from "../../codec/constants.ts";
import type { Will } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import type { CoreLink } from "../../core/core-link.ts";
import type { GatewayAccept } from "../../core/ports.ts";

/** The broker sends one message of QoS 1 or 2 and waits for its acknowledgement, 1.2 §6.5. */
const RECEIVE_MAXIMUM = 1;
const NEVER_EXPIRES = 0xffff_ffff;

/** What the broker is told for one client, in MQTT 5.0: that it comes, what it has taken, and how it goes. */
export class BrokerSide {
  private readonly clientId: string;
  private readonly cleanSession: boolean;
  private readonly link: CoreLink;

  constructor(clientId: string, cleanSession: boolean, link: CoreLink) {
    this.clientId = clientId;
    this.cleanSession = cleanSession;
    this.link = link;
  }

  /** `cleanSessionSeconds`: for which the session outlives a connection that asked for a clean one. */
  open(accept: GatewayAccept, will: Will | undefined, cleanSessionSeconds: number): void {
    const { clientId, cleanSession, link } = this;
    link.open(accept);
    link.feed({
      type: PacketType.CONNECT,
      protocolVersion: 5,
      cleanStart: cleanSession,
      // The gateway knows better when a client is lost: sleepers are silent.
      keepAliveSeconds: 0,
      clientId,
      will,
      userName: undefined,
      password: undefined,
      properties: {
        receiveMaximum: RECEIVE_MAXIMUM,
        sessionExpiryInterval: cleanSession ? cleanSessionSeconds : NEVER_EXPIRES,
      },
      bridge: false,
    });
  }

  /** The client has a message of QoS 1, or has said so of one of QoS 2. */
  acknowledge(messageId: number, qos: 1 | 2): void {
    this.answer(messageId, qos, ReasonCode.Success);
  }

  /** The client will never have a message of QoS 1 or 2. */
  refuse(messageId: number, qos: 1 | 2): void {
    this.answer(messageId, qos, ReasonCode.ImplementationSpecificError);
  }

  /** The client has released a message of QoS 2. */
  complete(packetIdentifier: number): void {
    if (packetIdentifier === 0) return;
    const { Success } = ReasonCode;
    this.link.feed({ type: PacketType.PUBCOMP, packetIdentifier, reasonCode: Success, properties: {} });
  }

  /** The client says that it goes: no will is published, and a clean session ends. */
  disconnect(): void {
    const properties = this.cleanSession ? { sessionExpiryInterval: 0 } : {};
    this.link.feed({ type: PacketType.DISCONNECT, reasonCode: ReasonCode.NormalDisconnection, properties });
  }

  /** The client is lost: its will is published at once, and a clean session ends. */
  lose(): void {
    this.link.sleep(0);
    if (!this.cleanSession) return;
    const properties = { sessionExpiryInterval: 0 };
    this.link.feed({ type: PacketType.DISCONNECT, reasonCode: ReasonCode.DisconnectWithWill, properties });
  }

  private answer(packetIdentifier: number, qos: 1 | 2, reasonCode: 0 | 0x83): void {
    const type = qos === 1 ? PacketType.PUBACK : PacketType.PUBREC;
    this.link.feed({ type, packetIdentifier, reasonCode, properties: {} });
  }
}
