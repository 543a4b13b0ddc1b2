import { PacketType } from "../codec/constants.ts";
import type { Auth, AuthProperties, Connect } from "../codec/packet.ts";
import { ProtocolError, ReasonCode } from "../codec/reason.ts";
import { refuseConnection } from "./connack.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import { establish } from "./establish.ts";
import { type AuthAnswer, Refusal } from "./hooks.ts";
import { waitFor } from "./reading.ts";
import { connackCode, disconnectCode } from "./reason-mapping.ts";
import { sendPacket } from "./send.ts";

/** An enhanced authentication under way, or the method by which the client may authenticate anew, 5.0 §4.12. */
export interface Authentication {
  readonly method: string;
  /** The CONNECT that waits for its end; undefined once connected. */
  connect: Connect | undefined;
  /** True between the client's Re-authenticate and our answer to it. */
  renewing: boolean;
}

/** CONNECT with an Authentication Method. 5.0 [MQTT-4.12.0-1]. */
export function beginAuthentication(connection: Connection, connect: Connect, method: string): void {
  connection.authentication = { method, connect, renewing: false };
  connection.state = ConnectionState.Authenticating;
  ask(connection, connect);
}

/** AUTH from the client: the next step, or Re-authenticate. */
export function handleAuth(connection: Connection, auth: Auth): void {
  const { authentication } = connection;
  if (authentication === undefined) {
    throw new ProtocolError(
      ReasonCode.ProtocolError,
      "5.0 [MQTT-4.12.0-6]",
      "AUTH without an Authentication Method in CONNECT",
    );
  }
  if (auth.properties.authenticationMethod !== authentication.method) {
    throw new ProtocolError(ReasonCode.ProtocolError, "5.0 [MQTT-4.12.0-5]", "AUTH with another Authentication Method");
  }
  const renews = auth.reasonCode === ReasonCode.ReAuthenticate;
  if (renews === (authentication.connect !== undefined || authentication.renewing)) {
    throw new ProtocolError(
      ReasonCode.ProtocolError,
      "5.0 §4.12",
      "AUTH with a Reason Code that does not fit the exchange",
    );
  }
  if (renews) authentication.renewing = true;
  else if (auth.reasonCode !== ReasonCode.ContinueAuthentication) {
    throw new ProtocolError(
      ReasonCode.ProtocolError,
      "5.0 [MQTT-4.12.0-3]",
      "A client answers with Continue authentication",
    );
  }
  ask(connection, auth);
}

function ask(connection: Connection, packet: Connect | Auth): void {
  const { broker, client } = connection;
  const answer = broker.hooks.firstLater<AuthAnswer>("onAuthPacket", (hook) => hook.onAuthPacket!(client, packet));
  if (!(answer instanceof Promise)) {
    proceed(connection, answer);
    return;
  }
  waitFor(
    connection,
    answer,
    (later) => proceed(connection, later),
    () => proceed(connection, new Refusal(ReasonCode.ServerUnavailable)),
  );
}

function proceed(connection: Connection, answer: AuthAnswer | Refusal | undefined): void {
  const authentication = connection.authentication!;
  const { connect, method } = authentication;
  if (answer === undefined || answer instanceof Refusal) {
    refuse(connection, answer ?? new Refusal(ReasonCode.BadAuthenticationMethod, `no hook knows the method ${method}`));
    return;
  }
  const properties: AuthProperties = { authenticationMethod: method };
  if (answer.authenticationData !== undefined) properties.authenticationData = answer.authenticationData;
  if (connection.requestProblemInformation) {
    if (answer.reasonString !== undefined) properties.reasonString = answer.reasonString;
    if (answer.userProperties !== undefined) properties.userProperties = answer.userProperties;
  }
  if (answer.reasonCode === ReasonCode.ContinueAuthentication) {
    sendPacket(connection, { type: PacketType.AUTH, reasonCode: ReasonCode.ContinueAuthentication, properties });
    return;
  }
  if (connect !== undefined) {
    authentication.connect = undefined;
    establish(connection, connect, answer.userName ?? connect.userName, undefined, properties);
    return;
  }
  authentication.renewing = false;
  sendPacket(connection, { type: PacketType.AUTH, reasonCode: ReasonCode.Success, properties });
}

/** 5.0 [MQTT-4.12.0-4] before CONNACK, [MQTT-4.12.1-2] after it. */
function refuse(connection: Connection, refusal: Refusal): void {
  const reason = refusal.reasonString ?? "authentication failed";
  if (connection.authentication?.connect !== undefined) {
    refuseConnection(connection, connackCode(refusal.reasonCode), reason);
  } else connection.disconnect(disconnectCode(refusal.reasonCode), reason);
}
