import { PacketType } from "../codec/constants.ts";
import { type PubackReasonCode, type PubrelReasonCode, ReasonCode } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { packetOf } from "./publish.ts";
import { type AckType, sendAck } from "./send.ts";

/** PUBACK, PUBREC, PUBREL or PUBCOMP from the client, §3.4 to §3.7 and §4.3. */
export function handleAck(
  connection: Connection,
  type: AckType,
  packetIdentifier: number,
  reasonCode: PubackReasonCode | PubrelReasonCode,
): void {
  if (type === PacketType.PUBACK) handlePuback(connection, packetIdentifier, reasonCode as PubackReasonCode);
  else if (type === PacketType.PUBREC) handlePubrec(connection, packetIdentifier, reasonCode as PubackReasonCode);
  else if (type === PacketType.PUBCOMP) handlePubcomp(connection, packetIdentifier);
  else handlePubrel(connection, packetIdentifier);
}

function handlePuback(connection: Connection, packetIdentifier: number, reasonCode: PubackReasonCode): void {
  const outgoing = connection.session.delivery.inflight?.get(packetIdentifier);
  if (outgoing === undefined || outgoing.state !== OutgoingState.AwaitPuback) {
    logUnexpected(connection, "PUBACK", packetIdentifier);
    return;
  }
  complete(connection, outgoing, reasonCode);
}

function handlePubrec(connection: Connection, packetIdentifier: number, reasonCode: PubackReasonCode): void {
  const { session, broker } = connection;
  const outgoing = session.delivery.inflight?.get(packetIdentifier);
  if (outgoing === undefined || outgoing.state === OutgoingState.AwaitPuback) {
    logUnexpected(connection, "PUBREC", packetIdentifier);
    // 5.0 [MQTT-4.3.3-4] wants a PUBREL for every PUBREC; 3.1.1 has no code to say more.
    if (reasonCode < 0x80)
      sendAck(connection, PacketType.PUBREL, packetIdentifier, ReasonCode.PacketIdentifierNotFound);
    return;
  }
  if (reasonCode >= 0x80) {
    complete(connection, outgoing, reasonCode);
    return;
  }
  // A second PUBREC finds it written, or waits as the first one does.
  if (outgoing.state === OutgoingState.AwaitPubrec && outgoing.key !== 0) {
    outgoing.releasedBatch = broker.archive!.queues.released(session, outgoing);
  }
  outgoing.state = OutgoingState.AwaitPubcomp;
  connection.sendAckAfter(outgoing.releasedBatch, PacketType.PUBREL, packetIdentifier, ReasonCode.Success);
}

function handlePubcomp(connection: Connection, packetIdentifier: number): void {
  const outgoing = connection.session.delivery.inflight?.get(packetIdentifier);
  if (outgoing === undefined || outgoing.state !== OutgoingState.AwaitPubcomp) {
    logUnexpected(connection, "PUBCOMP", packetIdentifier);
    return;
  }
  complete(connection, outgoing, ReasonCode.Success);
}

/**
 * 5.0 [MQTT-4.3.3-11]: PUBCOMP answers every PUBREL; the code tells that we did not know the identifier. That is no
 * error during recovery, 5.0 §3.7.2.1, when our PUBCOMP was lost, but clients exist that report it as one. Clients
 * send again in order, so recovery is over with the first that we do know.
 */
function handlePubrel(connection: Connection, packetIdentifier: number): void {
  const { session, broker } = connection;
  const known = session.incoming?.delete(packetIdentifier) === true;
  if (known && connection.unreleased > 0) connection.unreleased--;
  const code = known || connection.recovering ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound;
  if (known) connection.recovering = false;
  // PUBCOMP lets the client use the identifier for another message, so ours must be gone for good, or that message
  // would be taken for the old one after a restart.
  let sequence = 0;
  if (session.stored) {
    if (known) broker.archive!.incomingRemoved(session, packetIdentifier);
    sequence = broker.archive!.journal.lastSequence;
  }
  connection.sendAckAfter(sequence, PacketType.PUBCOMP, packetIdentifier, code);
}

/** The receiver has the message, or has refused it: its identifier is free, and another one may start. */
function complete({ broker, session }: Connection, outgoing: Outgoing, reasonCode: PubackReasonCode): void {
  const { delivery } = session;
  delivery.release(outgoing);
  if (reasonCode >= 0x80) {
    // 5.0 [MQTT-4.8.2-6]: what one member refuses goes to no other.
    delivery.dropped(outgoing.message, "refusedByReceiver");
    if (broker.hooks.present.onQosDropped) {
      broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
    }
  } else if (broker.hooks.present.onQosComplete) {
    broker.hooks.notify("onQosComplete", session.client, packetOf(outgoing.message, outgoing));
  }
  if (delivery.waiting !== 0 || delivery.resends !== undefined || delivery.backlogs !== undefined) delivery.pump();
}

function logUnexpected({ broker, session }: Connection, packet: string, packetIdentifier: number): void {
  if (!broker.log.enabled("debug")) return;
  broker.log.debug(`Unexpected ${packet}`, { ...session.client.logFields(), packetIdentifier });
}
