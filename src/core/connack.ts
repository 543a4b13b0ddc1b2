import { PacketType } from "../codec/constants.ts";
import type { Connack, ConnackProperties, Connect } from "../codec/packet.ts";
import { type ConnackReasonCode, type ProtocolError, ReasonCode, reasonText } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import type { Refusal } from "./hooks.ts";
import { connackCode, returnCode } from "./reason-mapping.ts";
import { sendPacket } from "./send.ts";

/** The CONNACK that accepts, §3.2. `proof` is the last step of an enhanced authentication, 5.0 §4.12. */
export function connackOf(
  connection: Connection,
  connect: Connect,
  sessionPresent: boolean,
  proof: ConnackProperties | undefined,
): Connack {
  const properties = connect.protocolVersion === 5 ? connackProperties(connection, connect) : {};
  // 3.1 has no Session Present flag.
  return {
    type: PacketType.CONNACK,
    sessionPresent: sessionPresent && connect.protocolVersion !== 3,
    reasonCode: ReasonCode.Success,
    properties: { ...properties, ...proof },
  };
}

/** What differs from the defaults that 5.0 §3.2.2.3 gives. */
function connackProperties(connection: Connection, connect: Connect): ConnackProperties {
  const { broker, client, session, terms } = connection;
  const { options } = broker;
  const properties: ConnackProperties = {};
  if (session.expiryIntervalSeconds !== (connect.properties.sessionExpiryInterval ?? 0)) {
    properties.sessionExpiryInterval = session.expiryIntervalSeconds;
  }
  if (terms.receiveMaximum !== 65_535) properties.receiveMaximum = terms.receiveMaximum;
  if (terms.maximumQos !== 2) properties.maximumQos = terms.maximumQos;
  if (!options.retain) properties.retainAvailable = 0;
  properties.maximumPacketSize = terms.packetBytesMax;
  if (connect.clientId === "") properties.assignedClientIdentifier = client.clientId;
  if (terms.topicAliasMaximum !== 0) properties.topicAliasMaximum = terms.topicAliasMaximum;
  if (!options.wildcards) properties.wildcardSubscriptionAvailable = 0;
  if (!options.subscriptionIdentifiers) properties.subscriptionIdentifiersAvailable = 0;
  if (!options.sharedSubscriptions) properties.sharedSubscriptionAvailable = 0;
  if (client.keepAliveSeconds !== connect.keepAliveSeconds) properties.serverKeepAlive = client.keepAliveSeconds;
  const wanted = connect.properties.requestResponseInformation === 1 || options.compat.alwaysReturnResponseInfo;
  // Below a mount point its topic would be another one, and not the session's own.
  if (wanted && options.responseInformation && connection.mount === undefined)
    properties.responseInformation = broker.responseTopicOf(session);
  return properties;
}

/**
 * CONNACK with a code of 0x80 or more, then the end, 5.0 [MQTT-3.2.2-7]. 3.x clients get the Connect Return code that
 * says the same, and where there is none no CONNACK, 3.1.1 [MQTT-3.2.2-6].
 */
export function refuseConnection(
  connection: Connection,
  code: ConnackReasonCode,
  reason: string,
  logReason = reason,
): void {
  if (connection.state === ConnectionState.Closed) return;
  connection.broker.counters.connectionsRefused++;
  const v5 = connection.protocolVersion === 5;
  const reasonCode = v5 ? code : returnCode(code);
  if (reasonCode !== undefined) {
    sendPacket(connection, {
      type: PacketType.CONNACK,
      sessionPresent: false,
      reasonCode,
      properties: v5 && connection.requestProblemInformation ? { reasonString: reason } : {},
    });
  }
  connection.close(`refused: ${logReason} (${reasonText(code)})`, undefined);
  connection.link.end(code);
}

/** A CONNECT that breaks the protocol. Only a wrong version is answered: whoever sent the rest may not speak MQTT at all. */
export function refuseMalformedConnect(connection: Connection, error: ProtocolError, level: number | undefined): void {
  if (level !== undefined) {
    connection.protocolVersion = level >= 5 ? 5 : 4;
    refuseConnection(connection, ReasonCode.UnsupportedProtocolVersion, error.message);
    return;
  }
  connection.broker.counters.connectionsRefused++;
  connection.close(`${error.message} ${error.statement}`.trim(), error);
  connection.link.end(error.reasonCode);
}

/** As a hook or the access rules say it. */
export function refuse(connection: Connection, { reasonCode, reasonString, logReason }: Refusal): void {
  refuseConnection(connection, connackCode(reasonCode), reasonString ?? "not authorized", logReason);
}
