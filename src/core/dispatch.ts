import { PacketType } from "../codec/constants.ts";
import type { Disconnect, Packet, Publish } from "../codec/packet.ts";
import { ProtocolError, ReasonCode, reasonText } from "../codec/reason.ts";
import { handleAck } from "./acknowledgements.ts";
import { handleAuth } from "./authentication.ts";
import { handleConnect } from "./connect.ts";
import type { Connection } from "./connection.ts";
import { allows, ConnectionState, refuseType } from "./connection-state.ts";
import { Refusal } from "./hooks.ts";
import { handlePublish } from "./publish.ts";
import { disconnectCode } from "./reason-mapping.ts";
import { sendPingresp, tracePacket } from "./send.ts";
import { handleSubscribe, handleUnsubscribe } from "./subscribe.ts";

/** As `receive`, for a packet that nobody has asked about yet whether it may come now. */
export function receiveAllowed(connection: Connection, packet: Packet): void {
  if (!allows(connection.state, packet.type)) refuseType(connection.state, packet.type);
  receive(connection, packet);
}

/** A decoded packet on its way through the hooks of reading: off the wire while somebody watches, or injected. */
export function receive(connection: Connection, packet: Packet): void {
  const { broker } = connection;
  tracePacket(connection, "received", packet);
  let accepted = packet;
  if (broker.hooks.present.onPacketRead) {
    const verdict = broker.hooks.pass("onPacketRead", packet, (hook, value) =>
      hook.onPacketRead!(connection.client, value),
    );
    if (verdict instanceof Refusal) {
      throw new ProtocolError(disconnectCode(verdict.reasonCode), "", verdict.reasonString ?? "Refused by a hook");
    }
    accepted = verdict as Packet;
  }
  if (accepted.type === PacketType.PUBLISH) {
    broker.counters.publishReceived++;
    broker.counters.publishBytesReceived += accepted.payloadLength;
  }
  let failure: Error | undefined;
  try {
    dispatch(connection, accepted);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    if (broker.hooks.present.onPacketProcessed) {
      broker.hooks.notify("onPacketProcessed", connection.client, accepted, failure);
    }
  }
}

/** To whatever handles packets of its type. The hot ones have a shorter way, see `Connection.onFrame`. */
export function dispatch(connection: Connection, packet: Packet): void {
  switch (packet.type) {
    case PacketType.CONNECT:
      handleConnect(connection, packet);
      return;
    case PacketType.PUBLISH:
      handlePublish(connection, packet as Publish);
      return;
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      handleAck(connection, packet.type, packet.packetIdentifier, packet.reasonCode);
      return;
    case PacketType.SUBSCRIBE:
      handleSubscribe(connection, packet);
      return;
    case PacketType.UNSUBSCRIBE:
      handleUnsubscribe(connection, packet);
      return;
    case PacketType.PINGREQ:
      sendPingresp(connection);
      return;
    case PacketType.DISCONNECT:
      handleDisconnect(connection, packet);
      return;
    case PacketType.AUTH:
      handleAuth(connection, packet);
      return;
    default:
      refuseType(connection.state, packet.type);
  }
}

/** 5.0 §3.14. */
function handleDisconnect(connection: Connection, packet: Disconnect): void {
  const { sessionExpiryInterval } = packet.properties;
  if (connection.state === ConnectionState.Connected && sessionExpiryInterval !== undefined) {
    const { session, broker } = connection;
    if (session.expiryIntervalSeconds === 0 && sessionExpiryInterval !== 0) {
      throw new ProtocolError(
        ReasonCode.ProtocolError,
        "5.0 §3.14.2.2.2",
        "A session that ends with its connection cannot be given an expiry at DISCONNECT",
      );
    }
    session.expiryIntervalSeconds = broker.cappedExpiry(sessionExpiryInterval);
  }
  // 5.0 [MQTT-3.14.4-3]; only Disconnect with Will Message keeps it, as every other failure does.
  if (packet.reasonCode === ReasonCode.NormalDisconnection) connection.will = undefined;
  connection.close(`disconnected, ${reasonText(packet.reasonCode)}`, undefined);
  connection.link.end();
}
