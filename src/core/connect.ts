import type { Connect } from "../codec/packet.ts";
import { type ConnackReasonCode, ReasonCode } from "../codec/reason.ts";
import { utf8Length } from "../codec/text.ts";
import type { Identity } from "./access.ts";
import { beginAuthentication } from "./authentication.ts";
import { Client } from "./client.ts";
import { refuse, refuseConnection } from "./connack.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import { establish } from "./establish.ts";
import { type Admission, Refusal } from "./hooks.ts";
import { waitFor } from "./reading.ts";
import { connackCode } from "./reason-mapping.ts";
import { objectionToWill } from "./will-rules.ts";

/** CONNECT, §3.1: is it acceptable, and who is it? The only packet that may wait. What comes then is `establish`. */
export function handleConnect(connection: Connection, connect: Connect): void {
  const { broker } = connection;
  connection.protocolVersion = connect.protocolVersion;
  // These hold for a refusing CONNACK too, 5.0 [MQTT-3.2.2-19].
  connection.requestProblemInformation = connect.properties.requestProblemInformation !== 0;
  connection.maximumPacketSize = connect.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  const keepAliveSeconds = effectiveKeepAlive(connection, connect);
  const assigned = connect.clientId === "";
  const clientId = assigned ? `auto-${broker.random.hex128()}` : connect.clientId;
  const { protocolVersion, cleanStart, userName } = connect;
  connection.client = new Client(
    clientId,
    userName,
    protocolVersion,
    cleanStart,
    keepAliveSeconds,
    connection.link.peer,
    false,
    connection.client.entrance,
  );
  const { refusal } = connection;
  if (refusal !== undefined) {
    refuse(connection, refusal);
    return;
  }
  const objection = objectionTo(connection, connect);
  if (objection !== undefined) {
    refuseConnection(connection, objection.code, objection.reason);
    return;
  }
  const { client } = connection;
  if (broker.hooks.present.onConnect) {
    const verdict = broker.hooks.pass("onConnect", connect, (hook) => hook.onConnect!(client, connect));
    if (verdict instanceof Refusal) {
      refuseConnection(connection, connackCode(verdict.reasonCode), verdict.reasonString ?? "refused by a hook");
      return;
    }
  }
  if (connect.properties.authenticationMethod !== undefined) {
    beginAuthentication(connection, connect, connect.properties.authenticationMethod);
    return;
  }
  decide(connection, connect);
}

/** Hooks first, then the access rules. While a promise is open nothing more is read from the client. */
function decide(connection: Connection, connect: Connect): void {
  const { broker, client } = connection;
  const { changes } = broker.permissions;
  const byHooks = broker.hooks.present.onConnectAuthenticate
    ? broker.hooks.firstLater<Exclude<Admission, undefined>>("onConnectAuthenticate", (hook) =>
        hook.onConnectAuthenticate!(client, connect),
      )
    : undefined;
  const byRules = (): Admission | Promise<Admission> => {
    const answer = broker.access.authenticate(client, connect);
    return answer instanceof Promise ? answer.then((later) => byMethod(client, later)) : byMethod(client, answer);
  };
  const admission =
    byHooks instanceof Promise ? byHooks.then((verdict) => verdict ?? byRules()) : (byHooks ?? byRules());
  if (!(admission instanceof Promise)) {
    admit(connection, connect, admission);
    return;
  }
  connection.state = ConnectionState.Authenticating;
  waitFor(
    connection,
    admission,
    (verdict) => {
      // By rules that have changed since it asked, a client is not let in: it comes again.
      if (isIdentity(verdict) && changes !== broker.permissions.changes) {
        refuseConnection(connection, ReasonCode.ServerBusy, "the access rules have changed: connect again");
      } else admit(connection, connect, verdict);
    },
    () => refuseConnection(connection, ReasonCode.ServerUnavailable, "authentication failed to answer"),
  );
}

/** Whom the access rules let in in a way that does not count at its listener is refused. */
function byMethod({ entrance, peer }: Client, admission: Admission): Admission {
  const { authMethods } = entrance;
  const isIn = admission === true || typeof admission === "string" || isIdentity(admission);
  if (authMethods === undefined || !isIn) return admission;
  const method = (isIdentity(admission) ? admission.method : undefined) ?? "anonymous";
  if (authMethods.includes(method)) return admission;
  const reason = `listener ${peer.listener} does not let in by the method ${method}, only by ${authMethods.join(", ")}`;
  return new Refusal(ReasonCode.NotAuthorized, undefined, reason);
}

function admit(connection: Connection, connect: Connect, admission: Admission): void {
  if (admission === true) establish(connection, connect, connect.userName, undefined);
  else if (typeof admission === "string") establish(connection, connect, admission, undefined);
  else if (isIdentity(admission)) establish(connection, connect, admission.userName, admission);
  else refuse(connection, admission instanceof Refusal ? admission : new Refusal(ReasonCode.NotAuthorized));
}

function isIdentity(admission: Admission): admission is Identity {
  return typeof admission === "object" && !(admission instanceof Refusal);
}

function objectionTo(
  connection: Connection,
  connect: Connect,
): { code: ConnackReasonCode; reason: string } | undefined {
  const { broker, terms, link } = connection;
  const { options, limits } = broker;
  const { protocolVersion, clientId, will } = connect;
  if (protocolVersion < options.minimumProtocolVersion) {
    return { code: ReasonCode.UnsupportedProtocolVersion, reason: `protocol level ${protocolVersion} is not accepted` };
  }
  if (!terms.accepts(protocolVersion)) {
    const reason = `protocol level ${protocolVersion} is not accepted at listener ${link.peer.listener}`;
    return { code: ReasonCode.UnsupportedProtocolVersion, reason };
  }
  // 3.1.1 [MQTT-3.1.3-8]; 3.1 wants 1 to 23 characters, of which only the lower bound is still kept by anybody.
  if (clientId === "" && (protocolVersion === 3 || (protocolVersion === 4 && !connect.cleanStart))) {
    return { code: ReasonCode.ClientIdentifierNotValid, reason: "an empty client identifier needs Clean Session 1" };
  }
  if (utf8Length(clientId) > limits.clientIdBytes) {
    return {
      code: ReasonCode.ClientIdentifierNotValid,
      reason: `client identifier over ${limits.clientIdBytes} bytes`,
    };
  }
  return will === undefined ? undefined : objectionToWill(connection, will);
}

/** 5.0 [MQTT-3.2.2-21] [-22]. 3.x clients cannot be told another value, so only caps that were asked for apply to them. */
function effectiveKeepAlive({ broker, terms, link }: Connection, connect: Connect): number {
  if (link.isWatched === true) return connect.keepAliveSeconds;
  const { serverKeepAlive, keepAliveDefault } = broker.options;
  const { keepAliveMax } = terms;
  let seconds = connect.keepAliveSeconds;
  if (connect.protocolVersion === 5 && serverKeepAlive !== undefined) return serverKeepAlive;
  if (seconds === 0 && keepAliveDefault !== undefined) seconds = keepAliveDefault;
  if (keepAliveMax === undefined) return seconds;
  if (seconds > keepAliveMax) return keepAliveMax;
  return seconds === 0 && connect.protocolVersion === 5 ? keepAliveMax : seconds;
}
