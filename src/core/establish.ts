import type { ConnackProperties, Connect } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import type { Identity } from "./access.ts";
import type { Broker } from "./broker.ts";
import { Client } from "./client.ts";
import { connackOf, refuse, refuseConnection } from "./connack.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import { Refusal } from "./hooks.ts";
import { Mount } from "./mount.ts";
import { waitFor } from "./reading.ts";
import { recover } from "./recovery.ts";
import { sendPacket } from "./send.ts";
import { NEVER_EXPIRES, Session } from "./session.ts";
import { OutgoingAliases } from "./topic-alias.ts";
import { mountWill } from "./will-rules.ts";

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
  const isOwn = connection.link.isOwn === true;
  if (!isOwn && broker.counters.clientsConnected >= broker.limits.clients) {
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
  const expiryIntervalSeconds = sessionExpiry(broker, connect, isOwn);
  if (session === undefined) {
    if (!isOwn && broker.sessions.size >= broker.limits.sessions) {
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
  waitFor(
    connection,
    written,
    () => open(connection, connect, sessionPresent, proof),
    () => refuseConnection(connection, ReasonCode.ServerUnavailable, "the store failed to answer"),
  );
}

/** Puts the client and its will below the mount point of its listener, when that has one. Returns why it cannot. */
function mount(connection: Connection, { will }: Connect): Refusal | undefined {
  const { client, terms } = connection;
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
  const mounted = mountWill(connection, will);
  if (mounted instanceof Refusal) return mounted;
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
  const recovered = recover(session.delivery);
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

/** 5.0 §3.1.2.11.2; a 3.x session is kept or not by Clean Session alone. */
function sessionExpiry(broker: Broker, connect: Connect, isOwn: boolean): number {
  if (isOwn) return connect.properties.sessionExpiryInterval ?? 0;
  if (connect.protocolVersion < 5) return connect.cleanStart ? 0 : broker.cappedExpiry(NEVER_EXPIRES);
  return broker.cappedExpiry(broker.options.sessionExpiry ?? connect.properties.sessionExpiryInterval ?? 0);
}
