import { PacketType } from "../codec/constants.ts";
import type { Connack, ConnackProperties, Connect } from "../codec/packet.ts";
import { type ConnackReasonCode, type ProtocolError, ReasonCode, reasonText } from "../codec/reason.ts";
import { isUtf8, utf8Length } from "../codec/text.ts";
import { isTopicName, levelCount } from "../topic/name.ts";
import type { Identity } from "./access.ts";
import { beginAuthentication } from "./authentication.ts";
import type { Broker } from "./broker.ts";
import { Client } from "./client.ts";
import { type Connection, ConnectionState } from "./connection.ts";
import { type Admission, Refusal } from "./hooks.ts";
import { Mount } from "./mount.ts";
import { connackCode, returnCode } from "./reason-mapping.ts";
import { sendPacket } from "./send.ts";
import { NEVER_EXPIRES, Session } from "./session.ts";
import { OutgoingAliases } from "./topic-alias.ts";

/** CONNECT, §3.1: is it acceptable, who is it, and then which session goes on. The only packet that may wait. */
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

/**
 * The client's proof was accepted: it gets its session and CONNACK. `proof` goes into CONNACK, 5.0 §4.12. `identity` is
 * what the access rules made of it, where it was they that accepted.
 */
export function establish(
  connection: Connection,
  connect: Connect,
  userName: string | undefined,
  identity: Identity | undefined,
  proof?: ConnackProperties,
): void {
  const { broker } = connection;
  const { protocolVersion, cleanStart } = connect;
  if (userName !== connection.client.userName) {
    const { clientId, keepAliveSeconds, peer, entrance } = connection.client;
    connection.client = new Client(
      clientId,
      userName,
      protocolVersion,
      cleanStart,
      keepAliveSeconds,
      peer,
      false,
      entrance,
    );
  }
  const { client } = connection;
  client.identity = identity;
  const mountRefusal = mount(connection, connect);
  if (mountRefusal !== undefined) {
    refuse(connection, mountRefusal);
    return;
  }
  const key = broker.sessionKey(client.clientId, userName);
  // 5.0 [MQTT-3.1.4-3]
  const before = broker.sessions.get(key);
  const holder = before?.connection ?? before?.opening;
  const objection =
    (holder === undefined ? undefined : broker.takeovers.admits(connection, holder, key)) ??
    broker.rates.objectionTo(client, key, holder);
  if (objection !== undefined) {
    connection.refusal = objection;
    refuse(connection, objection);
    return;
  }
  holder?.disconnect(
    ReasonCode.SessionTakenOver,
    `session taken over by ${client.peer.address || "another connection"}`,
  );
  // Asked only now, so that a client whose connection broke unnoticed can always take its own place again.
  if (broker.counters.clientsConnected >= broker.limits.clients) {
    refuseConnection(connection, ReasonCode.ServerBusy, `there are already ${broker.limits.clients} clients`);
    return;
  }
  let session = broker.sessions.get(key);
  let stored = session?.stored === true;
  // 5.0 [MQTT-3.1.2-4]
  if (cleanStart && session !== undefined) {
    session.end();
    session = undefined;
  }
  const sessionPresent = session !== undefined;
  const expiryIntervalSeconds = sessionExpiry(broker, connect);
  if (session === undefined) {
    if (broker.sessions.size >= broker.limits.sessions) {
      refuseConnection(connection, ReasonCode.QuotaExceeded, `there are already ${broker.limits.sessions} sessions`);
      return;
    }
    if (expiryIntervalSeconds > 0 && broker.archive?.journal.writable === false) {
      refuseConnection(connection, ReasonCode.QuotaExceeded, "the session cannot be kept: the disk takes nothing");
      return;
    }
    session = new Session(broker, key, client);
    broker.sessions.set(key, session);
    if (expiryIntervalSeconds > 0 || connect.will !== undefined) {
      broker.archive?.numberSession(session, expiryIntervalSeconds > 0);
      stored ||= session.stored;
    }
  }
  session.client = client;
  if (sessionPresent) broker.permissions.clientChanged();
  session.expiryIntervalSeconds = expiryIntervalSeconds;
  connection.session = session;
  connection.recovering = sessionPresent;
  connection.bridge = connect.bridge;
  connection.keepAliveMs = client.keepAliveSeconds * 1500;
  const { properties } = connect;
  connection.sendQuota = Math.min(properties.receiveMaximum ?? 65_535, broker.limits.inflight);
  const aliasMaximum = Math.min(properties.topicAliasMaximum ?? 0, connection.terms.topicAliasMaximum);
  if (broker.options.autoTopicAlias && aliasMaximum > 0) connection.outgoingAliases = new OutgoingAliases(aliasMaximum);
  session.claim(connection);
  broker.rates.enter(connection);
  const written = untilWritten(broker, session, stored);
  if (written === undefined) {
    open(connection, connect, sessionPresent, proof);
    return;
  }
  connection.state = ConnectionState.Opening;
  broker.wait(
    connection,
    written,
    () => open(connection, connect, sessionPresent, proof),
    () => refuseConnection(connection, ReasonCode.ServerUnavailable, "the store failed to answer"),
  );
}

/** Puts the client and its will below the mount point of its listener, when that has one. Returns why it cannot. */
function mount(connection: Connection, { will }: Connect): Refusal | undefined {
  const { client, broker, terms } = connection;
  connection.will = will;
  const point = terms.mountPoint(client.clientId, client.userName);
  if (point === undefined) return undefined;
  if (point === false) {
    const template = client.entrance.mountPoint;
    return new Refusal(
      ReasonCode.NotAuthorized,
      undefined,
      `the mount point ${template} of its listener needs names without /, + and # that do not begin with $`,
    );
  }
  connection.mount = new Mount(point);
  if (will === undefined) return undefined;
  const mounted = connection.mount.mountWill(will);
  const { topicName, properties } = mounted;
  const objection = connection.mount.objectionTo(topicName, properties.responseTopic);
  if (objection !== undefined) return new Refusal(objection, "will topic that cannot be used at this listener");
  if (levelCount(topicName) > broker.limits.topicLevels) {
    return new Refusal(ReasonCode.TopicNameInvalid, `will topic has more than ${broker.limits.topicLevels} levels`);
  }
  connection.will = mounted;
  return undefined;
}

/**
 * What CONNACK promises must be on disk before it leaves: that the session is there, goes on, or that an earlier one
 * will not come back. After a restart, what may have been under way is known again as well. `stored`: the session is,
 * or the one that it replaces was. undefined: there is nothing to wait for.
 */
function untilWritten(broker: Broker, session: Session, stored: boolean): Promise<unknown> | undefined {
  const { archive } = broker;
  if (archive === undefined) return undefined;
  if (session.number !== 0 && !session.stored) archive.willGiven(session);
  if (!stored) return undefined;
  const written = session.stored ? archive.sessionConnects(session) : archive.journal.settled();
  const recovered = session.delivery.recover();
  // Those who have a session already are let in when nothing can be written: what they take makes room.
  if (!archive.journal.writable) return recovered;
  return recovered === undefined ? written : Promise.all([written, recovered]);
}

/** CONNACK, and the session goes on. */
function open(
  connection: Connection,
  connect: Connect,
  sessionPresent: boolean,
  proof: ConnackProperties | undefined,
): void {
  const { broker, session, client } = connection;
  if (broker.hooks.present.onSessionEstablish) broker.hooks.notify("onSessionEstablish", client, connect);
  if (!sendPacket(connection, connackOf(connection, connect, sessionPresent, proof))) {
    // It would wait for CONNACK for ever.
    broker.counters.connectionsRefused++;
    connection.close(`accepts no packet large enough for CONNACK, ${connection.maximumPacketSize} bytes`, undefined);
    connection.link.end(ReasonCode.PacketTooLarge);
  }
  if (isClosed(connection)) {
    // What waited for the disk was left behind when it closed.
    if (session.opening === connection) session.detach(undefined);
    return;
  }
  session.resume(connection);
  broker.connectionEstablished(connection, sessionPresent);
  connection.established();
  session.delivery.pump();
  if (broker.hooks.present.onSessionEstablished) broker.hooks.notify("onSessionEstablished", client, connect);
}

/** True when a hook that heard of the new session has ended its connection: asked anew, whatever the state was before. */
function isClosed(connection: Connection): boolean {
  return connection.state === ConnectionState.Closed;
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
  broker.wait(
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

function refuse(connection: Connection, { reasonCode, reasonString, logReason }: Refusal): void {
  refuseConnection(connection, connackCode(reasonCode), reasonString ?? "not authorized", logReason);
}

function objectionTo(
  { broker, terms, link }: Connection,
  connect: Connect,
): { code: ConnackReasonCode; reason: string } | undefined {
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
  if (will === undefined) return undefined;
  if (!isTopicName(will.topicName))
    return { code: ReasonCode.TopicNameInvalid, reason: "will topic is not a topic name" };
  if (levelCount(will.topicName) > limits.topicLevels) {
    return { code: ReasonCode.TopicNameInvalid, reason: `will topic has more than ${limits.topicLevels} levels` };
  }
  if (will.qos > terms.maximumQos) {
    return { code: ReasonCode.QosNotSupported, reason: `will QoS ${will.qos} is above ${terms.maximumQos}` };
  }
  if (will.retain && !options.retain) return { code: ReasonCode.RetainNotSupported, reason: "retained will" };
  if (will.properties.payloadFormatIndicator === 1 && !isUtf8(will.payload, 0, will.payload.length)) {
    return { code: ReasonCode.PayloadFormatInvalid, reason: "will payload is not UTF-8" };
  }
  return undefined;
}

/** 5.0 [MQTT-3.2.2-21] [-22]. 3.x clients cannot be told another value, so only caps that were asked for apply to them. */
function effectiveKeepAlive({ broker, terms }: Connection, connect: Connect): number {
  const { serverKeepAlive, keepAliveDefault } = broker.options;
  const { keepAliveMax } = terms;
  let seconds = connect.keepAliveSeconds;
  if (connect.protocolVersion === 5 && serverKeepAlive !== undefined) return serverKeepAlive;
  if (seconds === 0 && keepAliveDefault !== undefined) seconds = keepAliveDefault;
  if (keepAliveMax === undefined) return seconds;
  if (seconds > keepAliveMax) return keepAliveMax;
  return seconds === 0 && connect.protocolVersion === 5 ? keepAliveMax : seconds;
}

/** 5.0 §3.1.2.11.2; a 3.x session is kept or not by Clean Session alone. */
function sessionExpiry(broker: Broker, connect: Connect): number {
  if (connect.protocolVersion < 5) return connect.cleanStart ? 0 : broker.cappedExpiry(NEVER_EXPIRES);
  return broker.cappedExpiry(broker.options.sessionExpiry ?? connect.properties.sessionExpiryInterval ?? 0);
}

function connackOf(
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
